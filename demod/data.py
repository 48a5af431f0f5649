"""The images of Section 4: MNIST, and the 8,100 distortions.

A distortion is a two-dimensional Gaussian bump on the 28 × 28 grid t × t, t = linspace(-5, 5, 28), with one centre c for
both axes,

    g(x, y) = exp(-((x - c)² + (y - c)²) / σ),        c ∈ [-3, 3],  σ ∈ [20, 35],

and the training set is the 90 × 90 grid of (c, σ), stored as 8-bit images. Digits are inverted, w0 = 1 - MNIST: on a
white background the modulator is visible everywhere. Both are resized to 64 × 64 before they meet a network.

MNIST is found by content: every file is checked against the SHA-256 of its decompressed bytes.
"""

import gzip
import os
import struct
import warnings
import zlib
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate
from tqdm import TqdmWarning

from demod.arguments import check_counts
from demod.artifacts import atomic_path, sha256

MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist", "https://storage.googleapis.com/cvdf-datasets/mnist")
CONNECT_SECONDS = 5
PREFIX = {"train": "train", "test": "t10k"}
CENTRES = (-3.0, 3.0)
SPREADS = (20.0, 35.0)
SIDE = 64
FAMILIES = ("bump", "bumps", "edge", "stripes", "digit")


class MNISTUnavailableError(FileNotFoundError):
    """MNIST is neither on this machine nor to be had from a mirror."""


def read_idx(content: bytes) -> np.ndarray:
    """Return the uint8 array of an IDX file, shape as in its header.

    Raises
    ------
    ValueError
        If the header is not that of unsigned bytes, or the length does not fit it.
    """
    dimensions = content[3] if len(content) > 3 else 0
    header, body = content[: 4 + 4 * dimensions], content[4 + 4 * dimensions :]
    if header[:3] != b"\x00\x00\x08" or len(header) < 4 + 4 * dimensions:
        raise ValueError(
            f"content starts with {header!r}, but an IDX file of unsigned bytes starts with b'\\x00\\x00\\x08', "
            "the number of its dimensions and their sizes."
        )
    shape = struct.unpack(f">{dimensions}I", header[4:])
    if len(body) != np.prod(shape):
        raise ValueError(f"content holds {len(body)} entries but its header says {shape}; the file is cut off or damaged.")
    return np.frombuffer(body, np.uint8).reshape(shape)


def _cache() -> Path:
    return Path(_pooch().os_cache("demod")) / "mnist"


def _pooch() -> ModuleType:
    """Import pooch where it is needed."""
    with warnings.catch_warnings():  # it loads tqdm's notebook bar, which warns in a kernel without ipywidgets
        warnings.simplefilter("ignore", TqdmWarning)
        import pooch
    return pooch


def _decompress(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes())
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is no whole gzip file ({error}); delete it, and it is downloaded again.") from error


def _read_verified(folder: Path, name: str) -> bytes | None:
    """Return the decompressed bytes of `name` or `name`.gz in `folder`, None where neither is there."""
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            content = _decompress(path) if path.suffix == ".gz" else path.read_bytes()
            if sha256(content) != MNIST_SHA256[name]:
                raise ValueError(
                    f"{path} has SHA-256 {sha256(content)} (decompressed) but MNIST's file has {MNIST_SHA256[name]}; "
                    "delete it, and it is downloaded again."
                )
            return content
    return None


def _download(name: str) -> bytes:
    """Fetch `name` from the first mirror that has it, one try each, and keep it in the user cache."""
    failures = []
    for mirror in MIRRORS:
        downloader = _pooch().HTTPDownloader(timeout=(CONNECT_SECONDS, 60))
        try:
            with atomic_path(_cache() / f"{name}.gz") as temporary:
                downloader(f"{mirror}/{name}.gz", str(temporary), None)
                content = _decompress(temporary)
                if sha256(content) != MNIST_SHA256[name]:
                    raise ValueError(f"{mirror}/{name}.gz has SHA-256 {sha256(content)} (decompressed), not MNIST's")
            return content
        except (OSError, ValueError) as error:  # requests' errors are OSErrors; a bad gzip or hash is a ValueError
            failures.append(f"{mirror}: {type(error).__name__}")
    raise MNISTUnavailableError(
        f"MNIST's {name} was not found in DEMOD_DATA_DIR ({os.environ.get('DEMOD_DATA_DIR', 'not set')}) or {_cache()}, and "
        f"no mirror gave it ({'; '.join(failures)}). Put the four MNIST files into a folder and set DEMOD_DATA_DIR to it, "
        "or run `demod data` with a network."
    )


def _mnist_file(name: str) -> np.ndarray:
    for folder in filter(None, (os.environ.get("DEMOD_DATA_DIR"), str(_cache()))):
        content = _read_verified(Path(folder), name)
        if content is not None:
            return read_idx(content)
    return read_idx(_download(name))


def load_mnist(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return (images, labels) of MNIST: uint8 (N, 28, 28), ink 255 on background 0, and uint8 (N,).

    Looks in the folder that DEMOD_DATA_DIR names, then in the user cache, then at public mirrors.

    Parameters
    ----------
    split : str
        "train" (N = 60,000) or "test" (N = 10,000).

    Raises
    ------
    ValueError
        If `split` is another word, or a file on disk is not MNIST's.
    MNISTUnavailableError
        If MNIST is nowhere to be had.
    """
    if split not in PREFIX:
        raise ValueError(f'split is {split!r}, but MNIST has "train" and "test".')
    return _mnist_file(f"{PREFIX[split]}-images-idx3-ubyte"), _mnist_file(f"{PREFIX[split]}-labels-idx1-ubyte")


def mnist_available() -> bool:
    """Return whether MNIST can be loaded here, downloading it if need be."""
    try:
        load_mnist("test")
    except MNISTUnavailableError:
        return False
    return True


def distortion(c: np.ndarray | float, sigma: np.ndarray | float) -> np.ndarray:
    """Return g(x, y) for each (c, σ) as 8-bit images, uint8 (*N, 28, 28); c and σ (broadcast to (*N,)) are dimensionless."""
    c, sigma = np.broadcast_arrays(np.asarray(c, float), np.asarray(sigma, float))
    if not (np.isfinite(c).all() and (sigma > 0).all()):
        raise ValueError(
            "c or sigma is not finite, or sigma not positive; see CENTRES and SPREADS for the ranges of the paper."
        )
    t = np.linspace(-5, 5, 28)
    bump = np.exp(-((t - c[..., None]) ** 2) / sigma[..., None])  # the Gaussian is separable
    return np.round(255 * bump[..., :, None] * bump[..., None, :]).astype(np.uint8)


def distortion_images() -> np.ndarray:
    """Return the training set of distortions, uint8 (8100, 28, 28): image 90·i + j has centre c_i and spread σ_j."""
    c, sigma = np.linspace(*CENTRES, 90), np.linspace(*SPREADS, 90)
    return distortion(c[:, None], sigma[None, :]).reshape(8100, 28, 28)


def random_distortions(count: int, seed: int) -> np.ndarray:
    """Return distortions with (c, σ) uniform in the paper's ranges, almost surely off the grid, uint8 (count, 28, 28)."""
    check_counts(0, count=count, seed=seed)
    rng = np.random.default_rng(seed)
    return distortion(rng.uniform(*CENTRES, count), rng.uniform(*SPREADS, count))


def modulator_images(family: str, count: int, seed: int) -> np.ndarray:
    """Return modulators of one family with random parameters, uint8 (count, 28, 28), on the grid t × t of the bumps.

    Parameters
    ----------
    family : str
        "bump": the paper's, `random_distortions`; log-quadratic. "bumps": the sum of three narrower bumps with centres
        anywhere (their product would be log-quadratic again), over a floor of 0.15. "edge": a shadow, 1 on one side of a
        straight soft edge and 0.2 to 0.5 on the other. "stripes": a plane wave of 0.8 to 2.5 periods between 0.3 and 1.
        "digit": a translucent digit of the training set, 1 - 0.6 of its ink; needs MNIST.
    count : int
        How many.
    seed : int
        Of their parameters.

    Raises
    ------
    ValueError
        If there is no such family.
    """
    if family not in FAMILIES:
        raise ValueError(f"family is {family!r}, but modulators are drawn from one of {', '.join(FAMILIES)}.")
    if family == "bump":
        return random_distortions(count, seed)
    rng = np.random.default_rng(seed)
    t = np.linspace(-5, 5, 28)
    if family == "digit":
        ink = load_mnist("train")[0]
        return np.round(255 - 0.6 * ink[rng.integers(len(ink), size=count)]).astype(np.uint8)
    if family == "bumps":
        centres, spread = rng.uniform(-5, 5, (2, 3, count, 1)), rng.uniform(4, 10, (3, count, 1))
        rows, columns = np.exp(-((t - centres) ** 2) / spread)
        light = np.einsum("kni,knj->nij", rows, columns)
        image = 0.15 + 0.85 * light / light.max((1, 2), keepdims=True)
        return np.round(255 * image).astype(np.uint8)
    angle, phase, scale, depth = rng.uniform(size=(4, count, 1, 1))
    along = np.cos(2 * np.pi * angle) * t[:, None] + np.sin(2 * np.pi * angle) * t
    if family == "edge":
        shade = 1 / (1 + np.exp((along - 6 * (phase - 0.5)) / (0.2 + scale)))
        image = 1 - (0.5 + 0.3 * depth) * shade
    else:
        wave = np.cos(2 * np.pi * ((0.8 + 1.7 * scale) * along / 10 + phase))
        image = 0.65 + 0.35 * wave
    return np.round(255 * image).astype(np.uint8)


def resize(images: np.ndarray | Tensor) -> Tensor:
    """Return 8-bit images (*N, height, width) as float32 (*N, 64, 64) in [0, 1]: bilinear, half-pixel centres."""
    pixels = torch.as_tensor(np.array(images) if isinstance(images, np.ndarray) else images)
    if pixels.ndim < 2:
        raise ValueError(f"images has shape {tuple(pixels.shape)}, but (*N, height, width) is required; reshape it.")
    batch = pixels.reshape(-1, 1, *pixels.shape[-2:]).float() / 255
    return interpolate(batch, (SIDE, SIDE), mode="bilinear", align_corners=False).reshape(*pixels.shape[:-2], SIDE, SIDE)


def invert(images: np.ndarray) -> np.ndarray:
    """Return 255 - images, uint8: dark digits on a white background, as in the published experiment."""
    if images.dtype != np.uint8:
        raise ValueError(f"images is {images.dtype}, but 8-bit images are inverted; for floats in [0, 1] write 1 - images.")
    return 255 - images
