"""Where the book's sources and products lie, and how a folder is replaced without ever being lost.

`_build/html` is replaced by two renames and one removal. A build that is killed between the renames leaves the last good
book under `html.previous`; the next one begins by renaming it back.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

import yaml
from filelock import FileLock, Timeout
from sphinx_external_toc.parsing import MalformedError, parse_toc_yaml


class BuildError(Exception):
    """The book was not built. The message says what failed, where to look and what to do."""


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no space, a quota, a limit on the size of a file
CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)


def remedy(message: str) -> str:
    """Return what to do about an error of the system that `message` quotes, a sentence with a blank before it, or ""."""
    if any(os.strerror(number) in message for number in FULL):
        return " There is no space to write to: free some (`make clean` empties _build), and build again."
    if any(os.strerror(number) in message for number in CLOSED):
        return " The build writes to _build and to nothing else there: make that folder writable, and build again."
    return ""


def explained(error: OSError) -> str:
    """Return what the system refused, with what to do."""
    return f"{error}.{remedy(str(error)) or ' The last good book, if there is one, is as it was.'}"


class Layout:
    """The folders of a book."""

    def __init__(self, root: Path) -> None:
        """Name the folders of the book whose sources lie in `root`."""
        self.root = root
        self.products = root / "_build"  # everything the build writes:
        self.executed = self.products / "executed"  # a notebook for each chapter, with its card: made from what, how long
        self.figures = self.products / "figures"  # a folder for each chapter
        self.numbers = self.products / "numbers"  # a record for each chapter: its numbers, claims, choices and data
        self.sweeps = self.products / "sweeps"  # a folder for each chapter: the finished tasks of its sweeps
        self.running = self.products / "running"  # a folder for each run that is not over, of no use to another build
        self.stage = self.products / "stage"  # what jupyter-book reads
        self.copies = self.products / "copies"  # the chapters with their outputs, to be given away
        self.html = self.products / "html"  # the book

    def pages(self) -> list[str]:
        """Return the pages in reading order, as `_toc.yml` names them: "chapters/landscape"."""
        try:
            pages = list(parse_toc_yaml(self.root / "_toc.yml"))
        except (MalformedError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise BuildError(f"_toc.yml cannot be read ({' '.join(str(error).split())}); correct it.") from error
        for page in pages:
            if not any((self.root / f"{page}{ending}").is_file() for ending in (".ipynb", ".md")):
                raise BuildError(f"_toc.yml lists {page}, but there is neither {page}.ipynb nor {page}.md.")
        return pages

    def notebooks(self) -> dict[str, Path]:
        """Return the chapters that run, slug to notebook, in reading order."""
        paths = [self.root / f"{page}.ipynb" for page in self.pages()]
        return {path.stem: path for path in paths if path.is_file()}


def replace_folder(new: Path, folder: Path) -> None:
    """Put `new` in the place of `folder`, which may or may not exist."""
    previous = recover_folder(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        folder.rename(previous)
    new.rename(folder)
    shutil.rmtree(previous, ignore_errors=True)


def recover_folder(folder: Path) -> Path:
    """Finish or undo a replacement of `folder` that was killed halfway; return where one keeps the old folder meanwhile."""
    previous = folder.with_name(f"{folder.name}.previous")
    if previous.exists() and not folder.exists():
        previous.rename(folder)
    elif previous.exists():
        shutil.rmtree(previous)
    return previous


SKIPPED = (".*", "_build", "__pycache__", "*.egg-info")  # what is no source of the book,
BESIDE = ("tests", "benchmarks", "binder", "build", "dist", "training", "data")  # nor are these at its root


def sources(root: Path) -> dict[str, tuple[int, int]]:
    """Return the files of the book in `root`, its products apart: path to (time of change in ns, size)."""
    found = {}
    for folder, folders, names in os.walk(root):
        skipped = SKIPPED + BESIDE if Path(folder) == root else SKIPPED
        folders[:] = [name for name in folders if not any(fnmatch(name, pattern) for pattern in skipped)]
        for path in (Path(folder, name) for name in names if not name.startswith(".")):
            try:
                state = path.lstat()
            except FileNotFoundError:  # an editor's, gone since the folder was listed
                continue
            found[path.relative_to(root).as_posix()] = (state.st_mtime_ns, state.st_size)
    return found


@contextmanager
def steady_sources(root: Path) -> Iterator[None]:
    """Refuse what is done while the sources in `root` change: it would be of no one state of them."""
    before = sources(root)
    yield
    if changed := sorted({path for path, _ in before.items() ^ sources(root).items()}):
        listed = ", ".join(changed[:5]) + (" …" if len(changed) > 5 else "")
        raise BuildError(
            f"{listed} changed while the chapters ran. If you did it, build again: the chapters are kept. If a chapter did, "
            "let it write with chapter.figure and number, which write under _build, and with nothing else."
        )


@contextmanager
def only_build(layout: Layout) -> Iterator[None]:
    """Hold the lock of `layout.products`, which ends with the process, and clear away what a killed build left."""
    for name in ("_config.yml", "_toc.yml"):
        if not (layout.root / name).is_file():
            raise BuildError(f"There is no {name} in {layout.root}; run `demod build` in the folder that holds the book.")
    layout.products.mkdir(exist_ok=True)
    try:
        with FileLock(layout.products / "lock", timeout=0):
            recover_folder(layout.html)
            for folder in (layout.running, *layout.products.glob("site-*")):
                shutil.rmtree(folder, ignore_errors=True)  # a process of that build may still write there, for a moment
            yield
    except Timeout as error:
        raise BuildError(f"Another build of {layout.root} is running; wait for it, or stop it.") from error
