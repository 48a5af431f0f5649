"""Where f is looked at: points at kinks, points near the four curves, directions off K.

To stand at a kink exactly takes exact arithmetic. Weights and codes are rounded to multiples of 2⁻¹²; a code of three
entries that is the cross product of two such vectors is orthogonal to both without any rounding.
"""

import torch
from torch import Tensor

from demod.arguments import check_counts, check_floats, check_not_negative, check_stream
from demod.generators import ReLUGenerator
from demod.hyperbolas import curves
from demod.objective import piecewise

GRID = 2.0**-12


def on_grid(z: Tensor) -> Tensor:
    """Return z rounded to multiples of 2⁻¹², same shape."""
    check_floats(z=z)
    return (z / GRID).round() * GRID


def rounded(G: ReLUGenerator) -> ReLUGenerator:
    """Return the network with its weights rounded to multiples of 2⁻¹²."""
    return ReLUGenerator([on_grid(W) for W in piecewise("G", G).weights], alpha=G.alpha)


def codes_at_kinks(G: ReLUGenerator, z: Tensor, rng: torch.Generator) -> Tensor:
    """Return codes at a kink of the first layer, every other of them at two kinks, shape (B, 3).

    Parameters
    ----------
    G : ReLUGenerator
        A network of codes with three entries, or B of them, its weights `rounded`.
    z : Tensor
        Codes `on_grid`, (B, 3): a code at a single kink is orthogonal to its unit and to z.
    rng : torch.Generator
        For the units.

    Raises
    ------
    ValueError
        If G does not take codes of three entries, for which alone the cross product is defined.
    """
    piecewise("G", G)
    check_floats(z=z)
    check_stream(rng)
    if G.widths[0] != 3 or z.ndim != 2:
        raise ValueError(
            f"G takes codes of {G.widths[0]} entries and z is {tuple(z.shape)}; 3 entries and (B, 3) are required."
        )
    W = G.weights[0].expand(len(z), -1, -1)
    units = torch.rand(W.shape[:-1], generator=rng, dtype=torch.float64, device="cpu").topk(2).indices.to(z.device)
    first, second = W.take_along_dim(units[..., None], -2).unbind(-2)
    every_other = torch.arange(len(z), device=z.device)[:, None] % 2 == 1
    return torch.linalg.cross(first, torch.where(every_other, second, z))


def codes_near_curves(
    h0: Tensor, m0: Tensor, count: int, rng: torch.Generator, *, spread: float, d: int, s: int
) -> tuple[Tensor, Tensor]:
    """Return codes around the base points of the four curves, shapes (4, count, n) and (4, count, p).

    Each code is off its curve by a random vector of `spread` times its length.
    """
    check_counts(count=count)
    check_not_negative(spread=spread)
    check_stream(rng)
    bases = (base[:, None] for base in curves(h0, m0, d=d, s=s))
    noise = (torch.randn(4, count, len(z), generator=rng, dtype=torch.float64, device="cpu").to(z) for z in (h0, m0))
    h, m = (
        base + spread * base.norm(dim=-1, keepdim=True) * e / e.norm(dim=-1, keepdim=True)
        for base, e in zip(bases, noise, strict=True)
    )
    return h, m


def directions_off_K(h0: Tensor, m0: Tensor, count: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return random unit codes (count, n) and (count, p), every other pair close to the directions of -h0, -m0."""
    check_floats(h0=h0, m0=m0)
    check_counts(0, count=count)
    check_stream(rng)
    for name, z in (("h0", h0), ("m0", m0)):
        if z.ndim != 1 or not z.any():
            raise ValueError(f"{name} has shape {tuple(z.shape)}, but one nonzero code is required, of one dimension.")
    backwards = 10.0 * (torch.arange(count, dtype=h0.dtype, device=h0.device) % 2)[:, None]
    codes = (
        torch.randn(count, len(z), generator=rng, dtype=torch.float64, device="cpu").to(z) - backwards * z / z.norm()
        for z in (h0, m0)
    )
    u, v = (z / z.norm(dim=-1, keepdim=True) for z in codes)
    return u, v
