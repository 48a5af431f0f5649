"""What demod needs and this machine lacks, for the cell that installs demod on Colab: it imports nothing but Python's own.

On Colab most of it is there, newer or older than the lock has it, and loaded. Installing demod with all that it needs might
replace a package under the feet of the kernel; so a chapter installs demod alone, then what is missing, and pip is told to
keep every package that is there as it is.
"""

import re
import tempfile
from importlib.metadata import distributions, requires
from pathlib import Path

CHAPTERS = ("chapters", "convex")  # the extras that chapters import from
EXTRA = re.compile(r"""extra\s*==\s*["']([\w-]+)["']""")
NAME = re.compile(r"[\w.-]+")


def missing() -> str:
    """Return what pip is to install, and what it is to keep: the end of a command line, empty if nothing is missing."""
    there = {_normal(found.name): found.version for found in distributions()}
    needed = [name for name in needed_names(requires("demod") or []) if _normal(name) not in there]
    if not needed:
        return ""
    constraints = Path(tempfile.mkdtemp(prefix="demod-")) / "there.txt"
    constraints.write_text("".join(f"{name}=={number}\n" for name, number in there.items()), encoding="utf-8")
    return f'--constraint "{constraints}" {" ".join(needed)}'


def needed_names(requirements: list[str]) -> list[str]:
    """Return the names of the packages that chapters need, of the `requirements` in a package's metadata."""
    found = []
    for line in requirements:
        name, extra = NAME.match(line), EXTRA.search(line)
        if name and name[0] != "demod" and (extra is None or extra[1] in CHAPTERS):
            found.append(name[0])
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
