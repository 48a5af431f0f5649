"""Alternating least squares with signal and modulator in principal subspaces.

    minimise ‖(w ⊙ x - y) / s‖² + Σ_k (h_k / δ_k)² + Σ_k (m_k / ε_k)²,        w = μ + B h,  x = ν + C m,

(μ, B, δ) and (ν, C, ε) the mean, principal components and deviations of training images, s² = σ² + r² with r = 0.03 for what
the subspaces miss. Each half is a ridge regression, solved exactly. Of several starts the one with the least value is kept.
This is what two linear priors from the same training set can do.
"""

import torch
from torch import Tensor

from demod.arguments import check_stream
from demod.baselines.estimate import Estimate
from demod.baselines.shading import check_images, observed, usable
from demod.baselines.starts import check_starts, least
from demod.baselines.subspaces import Subspace, check_subspace
from demod.torch_state import in_full_precision

MISFIT = 0.03  # r


@in_full_precision
def solve(
    signal_basis: Subspace,
    modulator_basis: Subspace,
    y: Tensor,
    *,
    noise: float = 0.0,
    mask: Tensor | None = None,
    iterations: int = 30,
    starts: int = 1,
    misfit: float = MISFIT,
    rng: torch.Generator,
) -> Estimate:
    """Recover signal and modulator from images.

    Parameters
    ----------
    signal_basis, modulator_basis : Subspace
        From `subspaces.principal_subspace`, for ℓ = height · width pixels.
    y : Tensor
        Shape (*B, height, width), in [0, 1] and in the units of the training images. The work is done in float64.
    noise : float
        Standard deviation σ of a pixel.
    mask : Tensor, optional
        True where a pixel is observed, (height, width) or as y.
    iterations, starts : int, int
        Pairs of regressions; the number of first modulators: the mean, and draws from the prior.
    misfit : float
        r > 0, in units of the peak.
    rng : torch.Generator
        On the CPU, for the starts.

    Returns
    -------
    Estimate
        signal and modulator of the shape and type of y, not below 0, the signal not above 1; h, m, and the objective.

    Raises
    ------
    ValueError
        If y, mask or noise are not as required, a basis has another number of pixels, or a setting is out of range.
    """
    check_images(y, mask, noise)
    check_starts(starts, iterations, misfit)
    for name, basis in (("signal_basis", signal_basis), ("modulator_basis", modulator_basis)):
        check_subspace(name, basis)
        if len(basis.mean) != y.shape[-2] * y.shape[-1]:
            raise ValueError(f"{name} has {len(basis.mean)} pixels but y {tuple(y.shape[-2:])}; give images of one size.")
    check_stream(rng)
    y = usable(y)
    pixels = y.double().flatten(-2).expand(starts, *y.shape[:-2], -1)
    precision = observed(y, mask).double().flatten(-2).expand_as(pixels) / (noise**2 + misfit**2)
    m = torch.randn(*pixels.shape[:-1], len(modulator_basis.deviations), generator=rng, dtype=torch.float64, device="cpu")
    m = m * modulator_basis.deviations
    m[0] = 0
    h = m.new_zeros(*pixels.shape[:-1], len(signal_basis.deviations))
    for _ in range(iterations):
        h = _regress(signal_basis, modulator_basis(m), pixels, precision)
        m = _regress(modulator_basis, signal_basis(h), pixels, precision)
    misfits = precision * (signal_basis(h) * modulator_basis(m) - pixels).square()
    penalties = (h / signal_basis.deviations).square().sum(-1) + (m / modulator_basis.deviations).square().sum(-1)
    h, m, objective = least(value := misfits.sum(-1) + penalties, h, m, value)
    w, x = signal_basis(h).clamp(0, 1), modulator_basis(m).clamp(min=0)
    return Estimate(w.reshape(y.shape).to(y), x.reshape(y.shape).to(y), h.to(y), m.to(y), objective=objective.to(y))


def _regress(basis: Subspace, other: Tensor, y: Tensor, precision: Tensor) -> Tensor:
    """Return the codes that fit y best as (μ + D c) ⊙ other, all (*B, ℓ)."""
    return basis.ridge(precision * other.square(), precision * other * (y - basis.mean * other))
