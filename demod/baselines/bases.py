"""Orthonormal bases in which images are sparse: cosines, and two wavelets.

    cosine      products of cosines over the whole image, the DCT of type II
    haar        the Haar wavelet
    daubechies  the wavelet of Daubechies with four taps, (1 + √3, 3 + √3, 3 - √3, 1 - √3)/(4 √2)

The wavelets are periodic and taken to the last level: a level maps a square X to S X Sᵀ, the upper half of S the taps,
shifted by two from row to row, its lower half those with alternating signs in reverse order, and the next level does so with
the upper left quarter. All bases are orthonormal, so that of all images with k terms the one that keeps the k largest is
closest to x, at the distance of what it leaves out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import torch
from scipy.fft import dctn, idctn
from torch import Tensor

from demod.arguments import check_finite
from demod.torch_state import in_full_precision

TAPS = {
    "haar": (1 / sqrt(2), 1 / sqrt(2)),
    "daubechies": tuple((a + b * sqrt(3)) / (4 * sqrt(2)) for a, b in ((1, 1), (3, 1), (3, -1), (1, -1))),
}
WAVELETS = tuple(TAPS)
BASES = ("cosine", *WAVELETS)


@dataclass(frozen=True)
class Basis:
    """An orthonormal basis: coefficients of images (*B, N, N), N a power of two, and images of coefficients."""

    analyse: Callable[[Tensor], Tensor]
    synthesise: Callable[[Tensor], Tensor]


def basis(name: str) -> Basis:
    """Return one of `BASES`.

    Raises
    ------
    ValueError
        If there is no such basis.
    """
    if name not in BASES:
        raise ValueError(f"name is {name!r}, but the bases are {', '.join(BASES)}; take one of them.")
    if name == "cosine":
        return Basis(lambda x: _cosines(x, dctn), lambda c: _cosines(c, idctn))
    return Basis(lambda x: _wavelets(x, TAPS[name]), lambda c: _wavelets(c, TAPS[name], back=True))


@in_full_precision
def terms_needed(images: Tensor, name: str, error: float) -> Tensor:
    """Return the least number of terms that leave a mean squared error of at most `error`, shape (*B,), images (*B, N, N).

    Raises
    ------
    ValueError
        If there is no such basis, the images are no squares of a power of two, or the error is not positive.
    """
    if not error > 0:
        raise ValueError(f"error is {error}, but a mean squared error > 0 is required; 0 takes every term.")
    squares = basis(name).analyse(images).flatten(-2).square().sort(dim=-1).values
    return (squares.cumsum(-1) > error * squares.shape[-1]).sum(-1)


def _check(x: Tensor) -> None:
    check_finite(x=x)
    side = x.shape[-1] if x.ndim > 1 else 0
    if x.shape[-2:] != (side, side) or side < 2 or side & (side - 1):
        raise ValueError(f"images are {tuple(x.shape)}, but (*B, N, N), N a power of two, is required; resize them.")


def _cosines(x: Tensor, transform: Callable) -> Tensor:
    _check(x)
    return torch.from_numpy(transform(x.numpy(force=True), axes=(-2, -1), norm="ortho")).to(x)


def _wavelets(x: Tensor, taps: tuple[float, ...], *, back: bool = False) -> Tensor:
    _check(x)
    x, sides = x.clone(), [2**k for k in range(1, x.shape[-1].bit_length())]
    for side in sides if back else sides[::-1]:
        S = _level(side, taps).to(x)
        square = x[..., :side, :side]
        x[..., :side, :side] = S.mT @ square @ S if back else S @ square @ S.mT
    return x


def _level(side: int, taps: tuple[float, ...]) -> Tensor:
    """Return S, (side, side)."""
    S = torch.zeros(side, side, dtype=torch.float64, device="cpu")
    for k in range(side // 2):
        for j, tap in enumerate(taps):
            S[k, (2 * k + j) % side] += tap
            S[side // 2 + k, (2 * k + j) % side] += (-1) ** j * taps[-1 - j]
    return S
