"""Which code a result depends on: the modules that a piece of Python imports, directly or through others.

A cached result is made again when code that it reaches has changed, and only then.
"""

import ast
import inspect
import json
import os
import subprocess
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from demod.artifacts import sha256

PACKAGE = Path(__file__).parent
MISLEADING = {f"GIT_{name}" for name in ("DIR", "WORK_TREE", "INDEX_FILE", "COMMON_DIR", "OBJECT_DIRECTORY", "NAMESPACE")}
MISLEADING |= {"GIT_PREFIX", "GIT_CEILING_DIRECTORIES", "GIT_ALTERNATE_OBJECT_DIRECTORIES"}  # a hook has these for its own


def reached_modules(code: str, packages: Mapping[str, Path]) -> dict[str, Path]:
    """Return the modules of `packages`, name to folder, that `code` imports, also through others: dotted name to file."""
    reached: dict[str, Path] = {}
    waiting = imported_names(code, packages)
    while waiting:
        name = waiting.pop()
        path = _module_file(name, packages)
        if path is not None and name not in reached:
            reached[name] = path
            waiting |= imported_names(path.read_text(encoding="utf-8"), packages)
    return reached


def imported_names(code: str, packages: Collection[str]) -> set[str]:
    """Return the dotted names under `packages` that the imports of `code` may load; each with the packages around it."""
    names = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    inside = [name.split(".") for name in names if name.split(".")[0] in packages]
    return {".".join(parts[:depth]) for parts in inside for depth in range(1, len(parts) + 1)}


def function_hash(function: Callable[..., Any]) -> str:
    """Return a hash of a function's name, of the module that defines it, and of all modules of `demod` that this reaches."""
    source = Path(inspect.getsourcefile(function) or "").read_text(encoding="utf-8")
    reached = reached_modules(source, {PACKAGE.name: PACKAGE})
    files = {name: sha256(path) for name, path in sorted(reached.items())}
    return sha256(json.dumps([function.__module__, function.__qualname__, sha256(source.encode()), files]).encode())


def _module_file(name: str, packages: Mapping[str, Path]) -> Path | None:
    """Return the file of the module `name`; None where the name is not a module's, but of something inside one."""
    top, *inner = name.split(".")
    path = packages[top].joinpath(*inner)
    candidates = (path / "__init__.py", path.with_suffix(".py"))
    return next((file for file in candidates if file.is_file()), None)


def commit(folder: Path = PACKAGE) -> str | None:
    """Return the commit of the code in `folder`, with "-dirty" where files differ from it; None for an installed copy.

    A copy is installed where no repository holds its files, also inside the folder of another one. Where git cannot say, as
    in a folder of another owner or without git, it is "unknown: " and the reason.
    """
    above = folder.resolve().parent
    exported = (above / "pyproject.toml").is_file()
    outside = "unknown: this is a copy of the sources without their repository; clone it" if exported else None
    if not any((parent / ".git").exists() for parent in (above, *above.parents)):
        return outside
    status, said = _git(folder, "ls-files", "--error-unmatch", "__init__.py")
    if status and not (above / ".git").exists() and (status == 1 or "site-packages" in folder.parts):
        return outside
    if status == 0:
        status, said = _git(folder, "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty")
    return f"unknown: {said}" if status else said


def _git(folder: Path, *words: str) -> tuple[int, str]:
    """Return git's exit status and what it said, on one line; variables of a hook of another repository are left out."""
    own = {name: value for name, value in os.environ.items() if name not in MISLEADING}
    command, environment = ("git", "-C", str(folder), *words), own | {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", errors="replace", check=False)
    except OSError as error:
        return -1, f"git cannot be run ({error.strerror}); install it"
    return done.returncode, " ".join((done.stdout if done.returncode == 0 else f"git says {done.stderr}").split())
