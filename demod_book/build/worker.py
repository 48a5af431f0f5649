"""A tool of the build in a process of its own, which ends with the build, however the build ends.

    python -m demod_book.build.worker papermill.cli:papermill …

The standard input is a pipe whose other end the build holds and never writes to. When the build ends, even by SIGKILL, the
system closes that end; the worker reads the end of its input and stops with all that it started. So no chapter of a build
that was killed is at work, or writes, beside those of the next one.

Its environment holds nothing that would make the same chapter or page another one: no profiles, styles, kernels or start-up
files of the user, no locale, no zone of time, no date from outside.
"""

import os
import sys
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name

import psutil

from demod.artifacts import write_json

MODULE = "demod_book.build.worker"
IMPORTED = Path(__file__).parents[2]  # the folder that demod and demod_book are imported from
DROPPED: tuple[str, ...] = (
    "PYTHON",
    "IPYTHON",
    "JUPYTER",
    "MPLBACKEND",
    "PLOTLY",
    "PAPERMILL",
    "DEMOD_",
    "OMP_",
    "MKL_",
    "LC_",
    "LANG",
)
DROPPED += ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "DISPLAY", "WAYLAND", "SPHINX", "SOURCE_DATE_EPOCH")
KEPT = {"PYTHONHOME", "PYTHONUSERBASE", "PYTHONNOUSERSITE", "PYTHONPATH", "DEMOD_DATA_DIR"}  # where things are found
FIXED = {
    "LC_ALL": "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8",
    "TZ": "UTC",
    "PYTHONUTF8": "1",
    "PYTHONHASHSEED": "0",  # sets are gone through in one order
    "JUPYTER_NO_CONFIG": "1",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}


def environment(folder: Path) -> dict[str, str]:
    """Return the environment of a tool that keeps its own settings in `folder`; the kernel python3 is this Python there."""
    found = {name: value for name, value in os.environ.items() if name in KEPT or not name.startswith(DROPPED)}
    searched = [str(IMPORTED)] if str(IMPORTED) not in sysconfig.get_paths().values() else []
    searched += [str(Path(entry).absolute()) for entry in found.pop("PYTHONPATH", "").split(os.pathsep) if entry]
    if searched:
        found["PYTHONPATH"] = os.pathsep.join(searched)
    if "DEMOD_DATA_DIR" in found:
        found["DEMOD_DATA_DIR"] = str(Path(found["DEMOD_DATA_DIR"]).absolute())
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel = {"argv": argv, "display_name": "Python 3", "language": "python"}
    write_json(folder / "jupyter/kernels/python3/kernel.json", kernel)
    own = {"IPYTHONDIR": folder / "ipython", "MATPLOTLIBRC": _matplotlib_defaults()}
    own |= {f"JUPYTER_{name}": folder / "jupyter" for name in ("PATH", "DATA_DIR", "CONFIG_DIR", "RUNTIME_DIR")}
    return found | FIXED | {name: str(path) for name, path in own.items()}


def _matplotlib_defaults() -> Path:
    package = find_spec("matplotlib")
    return Path(package.origin if package and package.origin else "").parent / "mpl-data/matplotlibrc"


@contextmanager
def lifeline() -> Iterator[int]:
    """Yield the standard input of a process that is to end with this one, or with the block."""
    read, write = os.pipe()
    try:
        yield read
    finally:
        os.close(write)
        os.close(read)


def stop(process: int) -> None:
    """Kill the process of this number and all that it started; do nothing if it is gone."""
    try:
        family = [psutil.Process(process), *psutil.Process(process).children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue


def _end_with_the_build() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    stop(os.getpid())


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_build, daemon=True).start()
    sys.argv = sys.argv[1:]
    resolve_name(sys.argv[0])()
