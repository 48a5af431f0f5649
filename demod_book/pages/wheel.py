"""A wheel of the package that runs, so that a notebook taken from the book runs without a network.

A wheel is a zip archive of the modules, the weights and the stored results, with the metadata that the installation left.
The same package gives the same bytes: files in order, of one date.
"""

import base64
import csv
import hashlib
import io
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import demod
import demod_book
from demod.artifacts import atomic_path
from demod_book.build.folders import BuildError

PACKAGES = (demod, demod_book)
SKIPPED = ("__pycache__", ".ipynb_checkpoints")
UNUSED = "*encoder*"  # weights that no chapter loads: 20 MB that the book need not carry
TAG = "py3-none-any"
WHEEL = f"Wheel-Version: 1.0\nGenerator: demod\nRoot-Is-Purelib: true\nTag: {TAG}\n"
KEPT = ("METADATA", "entry_points.txt")  # of what the installation knows


def write_wheel(folder: Path) -> Path:
    """Write the wheel of this package into `folder` and return its path.

    Raises
    ------
    BuildError
        If the package runs from a folder without having been installed, so that nothing says what it needs.
    """
    try:
        installed = distribution("demod")
    except PackageNotFoundError as error:
        raise BuildError("demod is not installed, so that its wheel cannot be written; run `pip install -e .`.") from error
    name = f"demod-{installed.version}"
    contents = {path: source.read_bytes() for path, source in _files().items()}
    contents |= {f"{name}.dist-info/{kept}": (installed.read_text(kept) or "").encode() for kept in KEPT}
    contents[f"{name}.dist-info/WHEEL"] = WHEEL.encode()
    contents[f"{name}.dist-info/RECORD"] = _record(contents, f"{name}.dist-info/RECORD")
    wheel = folder / f"{name}-{TAG}.whl"
    with atomic_path(wheel) as temporary, ZipFile(temporary, "w", ZIP_DEFLATED, compresslevel=9) as archive:
        for path, content in contents.items():
            entry = ZipInfo(path)  # of 1980, whenever it is written
            entry.external_attr, entry.compress_type = 0o644 << 16, ZIP_DEFLATED
            archive.writestr(entry, content, compresslevel=9)
    return wheel


def _files() -> dict[str, Path]:
    """Return the files of the packages, in order: path in the wheel to path here."""
    folders = [Path(str(package.__file__)).parent for package in PACKAGES]
    found = {path.relative_to(folder.parent): path for folder in folders for path in folder.rglob("*") if path.is_file()}
    kept = (path for path in sorted(found) if not set(path.parts) & set(SKIPPED) and not path.match(f"weights/{UNUSED}"))
    return {path.as_posix(): found[path] for path in kept}


def _record(contents: dict[str, bytes], own: str) -> bytes:
    """Return the list of the files with their hashes and sizes, itself without."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    for path, content in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        writer.writerow((path, f"sha256={digest}", len(content)))
    writer.writerow((own, "", ""))
    return lines.getvalue().encode()
