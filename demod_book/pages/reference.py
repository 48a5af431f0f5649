"""The reference: a page for each module of `demod`, made by Sphinx from the docstrings.

The pages are staged under package/; the table of contents lists them below chapters/package.md, the page that introduces
them, in which `<!-- modules -->` stands for their list. What builds the book (`demod_book`) and the command line
(`demod_book.cli`, which has `demod --help`) are left out.
"""

import ast
from pathlib import Path
from typing import Any

from demod.artifacts import sha256
from demod.sources import PACKAGE

INTRODUCTION = "chapters/package"
LEFT_OUT = {"__init__", "__main__"}
MEMBERS = "   :members:\n   :special-members: __call__"


def reference_modules(package: Path = PACKAGE) -> dict[str, list[Path]]:
    """Return the top modules of `package` in alphabetical order: name to files, a subpackage's `__init__` first."""
    tops = {
        path.stem: path for path in sorted(package.iterdir()) if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    files = {name: sorted(top.glob("*.py")) if top.is_dir() else [top] for name, top in tops.items()}
    return {name: paths for name, paths in files.items() if name not in LEFT_OUT}


def reference_page(name: str, files: list[Path]) -> str:
    """Return the page of the module `name`, in MyST. A change of its source is a change of the page."""
    parts = [f"# `demod.{name}`", *(_directive(name, path) for path in files if _is_shown(path, files))]
    return "\n\n".join([*parts, f"% {sha256(''.join(map(sha256, files)).encode())}"]) + "\n"


def _directive(name: str, path: Path) -> str:
    inner = "" if path.stem in (name, "__init__") else f".{path.stem}"
    heading = f"## `demod.{name}{inner}`\n\n" if inner else ""
    return f"{heading}```{{eval-rst}}\n.. automodule:: demod.{name}{inner}\n{MEMBERS}\n```"


def _is_shown(path: Path, files: list[Path]) -> bool:
    """Return whether a file has a section of its own: not where the package already offers what it defines."""
    package = ast.parse(files[0].read_text(encoding="utf-8"))
    offered = [node.module.split(".")[-1] for node in package.body if isinstance(node, ast.ImportFrom) and node.module]
    return path == files[0] or path.stem not in offered


def module_table(package: Path = PACKAGE) -> str:
    """Return the list of the modules, each with what it holds, in MyST, for a page under chapters/."""
    rows = [
        f"| [`demod.{name}`](../package/{name}.md) | {_first_line(files[0])} |"
        for name, files in reference_modules(package).items()
    ]
    return "\n".join(["| module | holds |", "| --- | --- |", *rows])


def _first_line(path: Path) -> str:
    summary = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0]
    return " ".join(summary.split()).replace("|", r"\|").replace("*", r"\*")


def with_reference(toc: Any, pages: list[str]) -> Any:
    """Return a table of contents with `pages` below the page that introduces them, if it is there."""
    if isinstance(toc, list):
        return [with_reference(entry, pages) for entry in toc]
    if not isinstance(toc, dict):
        return toc
    toc = {key: with_reference(value, pages) for key, value in toc.items()}
    return toc | {"sections": [{"file": page} for page in pages]} if toc.get("file") == INTRODUCTION else toc
