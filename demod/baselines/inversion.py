"""Inversion of one generator by gradient descent with a negation check [Hand and Voroninski, 2017].

    f(h) = ½ ‖G(h) ⊙ x0 - y‖²,        x0 known,

is (2) with the second factor known; x0 = 1 inverts the generator itself. For wide random networks f has a descent direction
everywhere but near the truth h0 and near a negative multiple -ρ_d h0 of it, where f is larger. So Algorithm 1 serves here
without its second step and without balancing: the second generator is a constant.

References
----------
P. Hand, V. Voroninski. Global guarantees for enforcing deep generative priors by empirical risk. 2017.
"""

import torch
from torch import Tensor

from demod.baselines.estimate import Estimate, check_factor
from demod.baselines.starts import best_length, draw_starts
from demod.descent import THETA, descend
from demod.generators import Constant, Generator, ReLUGenerator
from demod.torch_state import in_full_precision


def inversion_step_size(G: Generator, modulator: Tensor) -> Tensor:
    """Return η = θ ℓ (2^d/α)/‖x0‖², shape (*B,): f has curvature α ‖x0‖²/(2^d ℓ), in expectation, at the truth.

    Raises
    ------
    ValueError
        If G was not drawn by ReLUGenerator.gaussian.
    """
    if not isinstance(G, ReLUGenerator) or G.alpha is None:
        raise ValueError(
            "step_size is None, but its rule holds for networks drawn by ReLUGenerator.gaussian, and this is none: "
            "give step_size (it multiplies the gradient of f, a sum over ℓ)."
        )
    return THETA * modulator.shape[-1] * 2 ** len(G.weights) / G.alpha / modulator.square().sum(-1)


@in_full_precision
def solve(
    G: Generator,
    modulator: Tensor,
    y: Tensor,
    *,
    h: Tensor | None = None,
    step_size: float | Tensor | None = None,
    iterations: int = 500,
    tolerance: float = 1e-12,
    reflect_every: int = 1,
    rng: torch.Generator | None = None,
) -> Estimate:
    """Recover h from y = G(h) ⊙ x0 with x0 known; a whole batch of problems at once.

    Parameters
    ----------
    G : Generator
        Onto R^ℓ.
    modulator, y : Tensor
        x0 and y, shapes (*B, ℓ).
    h : Tensor, optional
        Starting codes, (*B, n). None: drawn from `rng`, of the length that fits best where G is homogeneous.
    step_size : float or Tensor (*B,), optional
        η, multiplying ∇f. None is `inversion_step_size`.
    iterations, tolerance, reflect_every, rng
        As in `descend`.

    Returns
    -------
    Estimate
        objective is f; m is None, as the modulator was known.

    Raises
    ------
    ValueError
        As `descend`, and if the modulator does not fit.
    """
    check_factor(G, "modulator", modulator, y)
    y, modulator = y.detach(), modulator.detach()
    if step_size is None:
        step_size = inversion_step_size(G, modulator)
    if h is None:
        if rng is None:
            raise ValueError("h is None and so is rng; give a starting code, or a torch.Generator to draw one.")
        h = draw_starts(y, rng, 1, G)[0].squeeze(0)
        h = best_length(G(h) * modulator, y) * h if G.homogeneous else h
    solution = descend(
        G,
        Constant(modulator),
        y,
        h=h,
        m=torch.zeros_like(h[..., :1]),
        step_size=step_size,
        iterations=iterations,
        tolerance=tolerance,
        reflect_every=reflect_every,
    )
    return Estimate(
        *(solution.signal, modulator),
        h=solution.h,
        objective=solution.objective[-1],
        converged=solution.converged,
        iterations=solution.iterations,
    )
