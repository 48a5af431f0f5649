"""A tool of the build in a process of its own, which ends with the build, however the build ends.

    python -m demod_book.build.worker papermill.cli:papermill …

The standard input is a pipe whose other end the build holds and never writes to. When the build ends, even by SIGKILL, the
system closes that end; the worker reads the end of its input and stops with all that it started.

Its environment holds nothing that would make the same chapter or page another one: no profiles, styles, kernels or start-up
files of the user, no locale, no zone of time, no date from outside.
"""

import json
import os
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import distribution
from pathlib import Path
from pkgutil import resolve_name

import psutil

MODULE = "demod_book.build.worker"
IMPORTED = Path(__file__).parents[2]  # the folder that demod and demod_book are imported from
DROPPED = (
    *("PYTHON", "IPYTHON", "JUPYTER", "MPLBACKEND", "PLOTLY", "PAPERMILL", "DEMOD_", "OMP_", "MKL_", "LC_", "LANG"),
    *("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CLICOLOR", "DISPLAY", "WAYLAND", "SPHINX", "SOURCE_DATE_EPOCH"),
)
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
    kernel = folder / "jupyter/kernels/python3/kernel.json"
    kernel.parent.mkdir(parents=True, exist_ok=True)
    kernel.write_text(json.dumps({"argv": argv, "display_name": "Python 3", "language": "python"}), encoding="utf-8")
    style = Path(str(distribution("matplotlib").locate_file("matplotlib/mpl-data/matplotlibrc")))
    own = {"IPYTHONDIR": folder / "ipython", "MATPLOTLIBRC": style}
    own |= {f"JUPYTER_{name}": folder / "jupyter" for name in ("PATH", "DATA_DIR", "CONFIG_DIR", "RUNTIME_DIR")}
    return found | FIXED | {name: str(path) for name, path in own.items()}


@contextmanager
def lifeline() -> Iterator[tuple[int, Callable[[], None]]]:
    """Yield the standard input of processes that are to end with this one or the block, and what ends them before."""
    read, write = os.pipe()
    with os.fdopen(read), os.fdopen(write, "w") as held:
        yield read, held.close


def stop(process: int) -> None:
    """Kill the process of this number and all that it started; do nothing if it is gone."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(process)
        for member in (*parent.children(recursive=True), parent):  # which may be this process: last
            with suppress(psutil.NoSuchProcess):
                member.kill()


def _end_with_the_build() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    stop(os.getpid())


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_build, daemon=True).start()
    sys.argv = sys.argv[1:]
    resolve_name(sys.argv[0])()
