"""What a chapter depends on, by content: the cache of the build.

A chapter runs again exactly when one of its ingredients changed: its code (not its prose), its parameters, a module of
`demod` that it reaches through `from demod.x import y`, the shipped weights if it reaches `demod.shipped`, a file under
results/ that its code names, whether MNIST is at hand if it reaches `demod.data`, requirements.lock, Python or torch.
"""

import ast
import json
import platform
import re
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from demod.artifacts import sha256
from demod.book.notebooks import Notebook, code_cells, python_code, tags, text

PACKAGE = Path(__file__).parents[1]
RESULT = re.compile(r"results/[\w./-]*\w")


def chapter_ingredients(
    notebook: Notebook, parameters: Mapping[str, Any], root: Path, *, mnist: Callable[[], bool], package: Path = PACKAGE
) -> dict[str, str]:
    """Return what `notebook`, run with `parameters`, depends on: name to hash or value.

    root is the folder of the book, package that of `demod`; mnist() says whether MNIST is at hand.
    """
    code = python_code(notebook)
    modules = reached_modules(code, package)
    found = {
        "code": sha256(json.dumps([(text(cell), tags(cell)) for _, cell in code_cells(notebook)]).encode()),
        "parameters": json.dumps(dict(parameters), sort_keys=True),
        "Python": platform.python_version(),
        "torch": version("torch"),
    }
    files = {"requirements.lock": root / "requirements.lock"} | modules | _results(code, root)
    if "demod.shipped" in modules:
        files |= {f"weights/{path.name}": path for path in sorted((package / "weights").glob("*.*"))}
    if "demod.data" in modules:
        found["MNIST"] = "at hand" if mnist() else "absent"
    return found | {name: sha256(path) if path.is_file() else "absent" for name, path in files.items()}


def reached_modules(code: str, package: Path) -> dict[str, Path]:
    """Return the modules of `package` that `code` imports, directly or through others: dotted name to file."""
    reached: dict[str, Path] = {}
    waiting = imported_names(code, package.name)
    while waiting:
        name = waiting.pop()
        path = _module_file(name, package)
        if path is not None and name not in reached:
            reached[name] = path
            waiting |= imported_names(path.read_text(encoding="utf-8"), package.name)
    return reached


def imported_names(code: str, package: str) -> set[str]:
    """Return the dotted names under `package` that the imports of `code` may load; each with the packages around it."""
    names = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    inside = [name.split(".") for name in names if name.split(".")[0] == package]
    return {".".join(parts[:depth]) for parts in inside for depth in range(1, len(parts) + 1)}


def _module_file(name: str, package: Path) -> Path | None:
    """Return the file of the module `name`; None where the name is not a module's, but of something inside one."""
    path = package.joinpath(*name.split(".")[1:])
    candidates = (path / "__init__.py", path.with_suffix(".py"))
    return next((file for file in candidates if file.is_file()), None)


def _results(code: str, root: Path) -> dict[str, Path]:
    """Return the files under results/ that `code` names; a folder stands for all it holds."""
    found: dict[str, Path] = {}
    for name in RESULT.findall(code):
        inside = [path for path in sorted((root / name).rglob("*")) if path.is_file()] or [root / name]
        found |= {path.relative_to(root).as_posix(): path for path in inside}
    return found


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the names of the ingredients that differ."""
    return [name for name in {**before, **now} if before.get(name) != now.get(name)]
