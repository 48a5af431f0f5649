"""What a chapter depends on, by content: the cache of the build.

A chapter runs again exactly when one of its ingredients changed: its code (of its prose only what shows numbers), its
parameters, a module that it reaches by its imports, the shipped weights if it reaches `demod.priors.weights`, a file under
results/ that its code names, whether MNIST is at hand if it reaches `demod.data`, requirements.lock, Python or torch. The
claims are no ingredient: the pages judge what the chapters measured, as long as they measured all that it asks for.
"""

import json
import platform
import re
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import demod
from demod.artifacts import sha256
from demod.sources import reached_modules
from demod_book.build.notebooks import Notebook, python_code, tags
from demod_book.build.texts import expressions
from demod_book.claims.ledger import LEDGER

BOOK = Path(__file__).parents[1]
PACKAGES = {"demod": Path(demod.__file__).parent, "demod_book": BOOK}
JUDGED_LATER = ("demod_book.claims", "demod_book.markdown")  # the pages judge anew what was measured, and show it
RESULT = re.compile(r"results/[\w./-]*\w")


def chapter_ingredients(
    notebook: Notebook,
    parameters: Mapping[str, Any],
    root: Path,
    *,
    mnist: Callable[[], bool],
    packages: Mapping[str, Path] = PACKAGES,
) -> dict[str, str]:
    """Return what `notebook`, run with `parameters`, depends on: name to hash or value.

    root is the folder of the book, packages those whose modules count; mnist() says whether MNIST is at hand.
    """
    code = python_code(notebook)
    run = [[cell["source"], tags(cell)] if cell["cell_type"] == "code" else expressions(cell) for cell in notebook["cells"]]
    reached = reached_modules(code, packages)
    modules = {name: path for name, path in reached.items() if not name.startswith(JUDGED_LATER)}
    found = {
        "code": sha256(json.dumps([part for part in run if part]).encode()),
        "parameters": json.dumps(dict(parameters), sort_keys=True),
        "Python": platform.python_version(),
        "torch": version("torch"),
    }
    files = {"requirements.lock": root / "requirements.lock"} | modules | _results(code, packages["demod_book"])
    if "demod.priors.weights" in modules:
        files |= {f"weights/{path.name}": path for path in sorted((packages["demod"] / "weights").glob("*.*"))}
    if "demod.data" in modules:
        found["MNIST"] = "at hand" if mnist() else "absent"
    return found | {name: sha256(path) if path.is_file() else "absent" for name, path in files.items()}


def _results(code: str, package: Path) -> dict[str, Path]:
    """Return the files under results/ that `code` names; a folder stands for all it holds."""
    found: dict[str, Path] = {}
    for name in RESULT.findall(code):
        inside = [path for path in sorted((package / name).rglob("*")) if path.is_file()] or [package / name]
        found |= {path.relative_to(package).as_posix(): path for path in inside}
    return found


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the names of the ingredients that differ."""
    return [name for name in {**before, **now} if before.get(name) != now.get(name)]


def unanswered(claims: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return in what today's ledger asks for other measurements than a chapter recorded of its `claims`."""
    found = []
    for name, record in claims.items():
        asked = [criterion.name for criterion in LEDGER[name].criteria] if name in LEDGER else []
        measured = record.get("measured", {})
        missing = [criterion for criterion in asked if criterion not in measured]
        surplus = [criterion for criterion in measured if criterion not in asked]
        found += [f"claim {name} asks for {', '.join(missing)}"] if missing else []
        found += [f"claim {name} asks no longer for {', '.join(surplus)}"] if surplus else []
    return found
