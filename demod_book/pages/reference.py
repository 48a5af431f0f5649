"""The reference: a page for each module of `demod`, and one for the figures, made by Sphinx from the docstrings.

The pages are staged under package/; the table of contents lists them below chapters/package.md, the page that introduces
them, in which `<!-- modules -->` stands for their list. What else makes the book (`demod_book`) is left out.
"""

import ast
from pathlib import Path
from typing import Any

from demod.artifacts import sha256
from demod.sources import PACKAGE
from demod_book.markdown import table

INTRODUCTION = "chapters/package"
MEMBERS = "   :members:\n   :special-members: __call__"

# A module imports only from its own layer and from those above it; pyproject.toml has the order inside of a layer.
LAYERS = {
    "Arguments and files": ("arguments", "artifacts", "sources", "torch_state"),
    "Generators and theory": ("generators", "objective", "expectation", "hyperbolas", "wdc"),
    "Descent, landscape, related work": ("descent", "gauss_newton", "landscape", "baselines"),
    "Images": ("data", "settings", "priors", "dcgan", "demodulation", "pixels", "tiles", "photo"),
    "Training and studies": ("training", "studies"),
    "What the book draws": ("figures",),
}
FIGURES = Path(__file__).parents[1] / "figures"  # of demod_book, shown here because figures lead to their code


def reference_modules(package: Path = PACKAGE) -> dict[str, list[Path]]:
    """Return the modules of `package` by layer: name to files, the `__init__` of a family first."""
    names = [name for layer in LAYERS.values() for name in layer]
    files = {name: sorted((package / name).glob("*.py")) or [package / f"{name}.py"] for name in names}
    files["figures"] = sorted(FIGURES.glob("*.py"))
    return {name: paths for name, paths in files.items() if paths[0].is_file()}


def reference_page(name: str, files: list[Path]) -> str:
    """Return the page of the module `name`, in MyST. A change of its source is a change of the page."""
    package = ast.parse(files[0].read_text(encoding="utf-8"))
    offered = [node.module.split(".")[-1] for node in package.body if isinstance(node, ast.ImportFrom) and node.module]
    parts = [f"# `{_dotted(name)}`", _directive(_dotted(name))]
    for inner in (path.stem for path in files[1:] if path.stem not in offered):  # the package shows what it offers
        parts += [f"## `{_dotted(name)}.{inner}`", _directive(f"{_dotted(name)}.{inner}")]
    return "\n\n".join([*parts, f"% {sha256(''.join(map(sha256, files)).encode())}"]) + "\n"


def _dotted(name: str) -> str:
    return f"demod_book.{name}" if name == FIGURES.name else f"demod.{name}"


def _directive(module: str) -> str:
    return f"```{{eval-rst}}\n.. automodule:: {module}\n{MEMBERS}\n```"


def module_table(package: Path = PACKAGE) -> str:
    """Return the list of the modules by layer, each with what it holds, in MyST, for a page under chapters/."""
    modules, rows = reference_modules(package), []
    for layer, names in LAYERS.items():
        shown = [
            (f"[`{_dotted(name)}`](../package/{name}.md)", _first_line(modules[name][0]))
            for name in names
            if name in modules
        ]
        rows += [(f"**{layer}**", ""), *shown]
    return table(("module", "holds"), rows)


def _first_line(path: Path) -> str:
    summary = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0]
    return " ".join(summary.split()).replace("|", r"\|").replace("*", r"\*")


def with_reference(toc: Any, modules: list[str]) -> Any:
    """Return a table of contents with the pages of `modules` below the one that introduces them, if it is there."""
    if isinstance(toc, list):
        return [with_reference(entry, modules) for entry in toc]
    if not isinstance(toc, dict):
        return toc
    inner = {"sections": [{"file": f"package/{name}"} for name in modules]} if toc.get("file") == INTRODUCTION else {}
    return {key: with_reference(value, modules) for key, value in toc.items()} | inner
