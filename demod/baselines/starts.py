"""Latent codes for methods that try several starts: where they begin, how Adam moves them, which is kept.

A start is z ~ N(0, I). A homogeneous generator maps c z to c G(z), and c is chosen so that the start fits the observation
best,

    c = ⟨y, w ⊙ x⟩ / ‖w ⊙ x‖²,

shared out evenly where both factors are homogeneous. Steps are counted in units of the root mean square of the code at its
start, so that one step size serves codes of any length.
"""

from math import inf

import torch
from torch import Tensor

from demod.arguments import check_counts, check_numbers, check_stream, check_whole
from demod.generators import Generator


def draw_starts(y: Tensor, rng: torch.Generator, restarts: int, *generators: Generator) -> tuple[Tensor, ...]:
    """Return codes from N(0, I) for each generator, shapes (restarts, *B, n), for y (*B, ℓ); more starts begin alike."""
    check_stream(rng)
    sizes = [G.widths[0] for G in generators]
    codes = torch.randn(restarts, *y.shape[:-1], sum(sizes), generator=rng, dtype=torch.float64, device="cpu").to(y)
    return codes.split(sizes, dim=-1)


def best_length(product: Tensor, y: Tensor) -> Tensor:
    """Return the c > 0 that makes c times the product (*B, ℓ) fit y (*B, ℓ) best, shape (*B, 1); 1 where none does."""
    c = (y * product).sum(-1, keepdim=True) / product.square().sum(-1, keepdim=True)
    return torch.where(c > 0, c, 1.0)


class AdamCode:
    """A batch of codes that Adam moves, with a step size that falls to zero like a cosine.

    Parameters
    ----------
    start : Tensor
        Shape (*B, n), every code with its own length for a unit.
    step_size : float
        Of the first step, in units of the root mean square of the start.
    iterations : int
        After so many steps the step size is zero.
    """

    def __init__(self, start: Tensor, step_size: float, iterations: int) -> None:
        start = start.detach()
        self.unit = start.square().mean(-1, keepdim=True).sqrt()
        self.relative = start / self.unit
        self.adam = torch.optim.Adam([self.relative], lr=step_size)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.adam, max(iterations, 1))

    @property
    def z(self) -> Tensor:
        """The codes, shape (*B, n)."""
        return self.unit * self.relative

    def step(self, gradient: Tensor) -> None:
        """Move against a gradient with respect to z, shape (*B, n)."""
        self.relative.grad = self.unit * gradient.detach()
        self.adam.step()
        self.schedule.step()


def least(values: Tensor, *choices: Tensor) -> tuple[Tensor, ...]:
    """Return for each problem the one of the starts, the first dimension, whose value (restarts, *B) is least."""
    best = torch.where(values.isfinite(), values, torch.inf).argmin(0)
    index = best[None, ..., None]
    return tuple(
        choice.take_along_dim(index if choice.ndim > values.ndim else index[..., 0], 0).squeeze(0) for choice in choices
    )


def check_starts(restarts: int, iterations: int, step_size: float, *weights: float) -> None:
    """Raise unless there are starts and iterations, the step size is positive and finite, and no weight is negative."""
    check_whole(restarts=restarts, iterations=iterations)
    check_numbers(step_size=step_size, **{f"weights[{k}]": weight for k, weight in enumerate(weights)})
    if restarts < 1 or iterations < 0 or not 0 < step_size < inf or not all(0 <= weight < inf for weight in weights):
        raise ValueError(
            f"restarts = {restarts}, iterations = {iterations}, step_size = {step_size}, weights = {weights}; required are "
            "restarts ≥ 1, iterations ≥ 0, step_size > 0 and weights ≥ 0."
        )


def check_budget(iterations: int, tolerance: float) -> None:
    """Raise unless iterations is a count and the tolerance a number that is not negative."""
    check_counts(0, iterations=iterations)
    check_numbers(tolerance=tolerance)
    if not tolerance >= 0:
        raise ValueError(f"tolerance is {tolerance}, but it bounds a norm and must be ≥ 0; 0 runs all iterations.")
