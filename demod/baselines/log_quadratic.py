"""A robust fit of a quadratic polynomial to log y on the white background.

    log x = c₁ + c₂ u + c₃ v + c₄ u² + c₅ u v + c₆ v²,        u, v ∈ (-1, 1) the coordinates of a pixel's centre.

The paper's distortions are Gaussian bumps, whose logarithm is such a polynomial: for them nothing need be learned. How it is
fitted stands in `log_subspace`.
"""

import torch
from torch import Tensor

from demod.arguments import check_whole
from demod.baselines import log_subspace
from demod.baselines.estimate import Estimate
from demod.baselines.shading import check_images
from demod.baselines.subspaces import Subspace
from demod.torch_state import in_full_precision

DEVIATION = 10.0  # of each coefficient: a prior that only keeps the fit defined


@in_full_precision
def solve(y: Tensor, *, noise: float = 0.0, mask: Tensor | None = None, degree: int = 2, iterations: int = 50) -> Estimate:
    """Recover signal and modulator from images whose modulator is the exponential of a polynomial.

    Parameters
    ----------
    y : Tensor
        Shape (*B, height, width), in [0, 1].
    noise, mask, iterations : float, Tensor, int
        As in `log_subspace.solve`.
    degree : int
        Of the polynomial.

    Returns
    -------
    Estimate
        signal and modulator of the shape and type of y, m the coefficients.

    Raises
    ------
    ValueError
        If y, mask, noise or degree are not as required.
    """
    check_images(y, mask, noise)
    height, width = y.shape[-2:]
    return log_subspace.solve(polynomials(height, width, degree), y, noise=noise, mask=mask, iterations=iterations)


def polynomials(height: int, width: int, degree: int = 2) -> Subspace:
    """Return the span of the monomials u^i v^j, i + j ≤ degree, on height × width pixels.

    Raises
    ------
    ValueError
        If the degree is negative.
    """
    check_whole(degree=degree)
    if degree < 0:
        raise ValueError(f"degree is {degree}; required is degree ≥ 0, 2 for the paper's distortions.")
    v, u = (2 * (torch.arange(n, dtype=torch.float64, device="cpu") + 0.5) / n - 1 for n in (height, width))
    powers = [(total - j, j) for total in range(degree + 1) for j in range(total + 1)]
    columns = torch.stack([(v[:, None] ** j * u**i).flatten() for i, j in powers], dim=-1)
    return Subspace(torch.zeros_like(columns[:, 0]), columns, torch.full_like(columns[0], DEVIATION))
