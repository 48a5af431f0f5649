"""Files that are whole or absent: atomic writes, content hashes, arrays with their cards.

A write goes to a temporary name in the same folder and is renamed when it is complete, so a reader, or a process that is
killed, never meets half a file. Arrays are stored without pickle: `.safetensors` for networks, `.npz` with a `.json`
card beside it for results.
"""

import hashlib
import json
import os
import platform
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

CPUINFO = Path("/proc/cpuinfo")  # Linux; elsewhere Python knows the name
MODEL = re.compile(r"^model name\s*: (.+)$", re.MULTILINE)
VERSIONED = ("demod", "torch", "numpy", "matplotlib", "scipy", "scikit-image")


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path that replaces `path` in one rename when the block ends without an exception."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem[:100]}-{secrets.token_hex(8)}{path.suffix}")
    temporary.touch(exist_ok=False)
    mode = stat.S_IMODE(temporary.stat().st_mode)  # 0666 less the umask, as of any file; some libraries make it 0600
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(mode)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def sha256(content: bytes | Path | np.ndarray) -> str:
    """Return the SHA-256 of bytes, of a file, or of an array's shape, type and entries."""
    if isinstance(content, Path):
        with content.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    if isinstance(content, np.ndarray):
        head = f"{content.shape}{content.dtype.str}".encode()
        return hashlib.sha256(head + np.ascontiguousarray(content).tobytes()).hexdigest()
    return hashlib.sha256(content).hexdigest()


def write_json(path: Path | str, content: Any) -> None:
    """Write `content` as indented JSON, atomically; NaN and infinity are refused."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path | str) -> Any:
    """Read a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def save_tensors(path: Path | str, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write named tensors and a JSON-serialisable header as one `.safetensors` file, atomically."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        save_file(contiguous, temporary, metadata={"json": json.dumps(metadata)})


def load_tensors(path: Path | str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote: the tensors, on the CPU, and the header."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["json"])  # noqa: SIM118


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that numbers can depend on."""
    found = {"python": platform.python_version()}
    for name in VERSIONED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found | {"torch": torch.__version__}  # with its build, as in 2.13.0+cu130, which the metadata may leave out


def machine() -> dict[str, str | int]:
    """Return what a time depends on: system, processor as the system names it, and the number of cores."""
    found = MODEL.search(CPUINFO.read_text(encoding="utf-8")) if CPUINFO.is_file() else None
    processor = found[1] if found else platform.processor() or platform.machine()
    return {"system": f"{platform.system()} {platform.machine()}", "processor": processor, "cores": os.cpu_count() or 1}


def save_arrays(path: Path | str, arrays: Mapping[str, np.ndarray], card: Mapping[str, Any]) -> None:
    """Write named arrays as `path` (.npz) and `card`, with hash and versions, beside it (.json), each atomically.

    Raises
    ------
    ValueError
        If an array holds Python objects, which only pickle could store.
    """
    path = Path(path)
    objects = [name for name, array in arrays.items() if np.asarray(array).dtype.hasobject]
    if objects:
        raise ValueError(f"arrays {', '.join(objects)} hold Python objects; give numbers, Booleans or strings.")
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type] # allow_pickle is younger than NumPy 2.0
    write_json(path.with_suffix(".json"), {**card, "sha256": sha256(path), "versions": versions()})


def load_arrays(path: Path | str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `save_arrays` wrote.

    Raises
    ------
    ValueError
        If the arrays are not those that the card was written for.
    """
    path = Path(path)
    card = read_json(path.with_suffix(".json"))
    if card["sha256"] != sha256(path):
        raise ValueError(
            f"{path} does not match its card {path.with_suffix('.json').name}; run the command that makes it again."
        )
    with np.load(path, allow_pickle=False) as file:
        return dict(file), card
