"""A robust fit of log x in a subspace, from the pixels of the white background.

    log x = μ + D c,        y = w ⊙ x + noise, kept between 0 and 1,        w = 1 on most pixels and 0 ≤ w ≤ 1 on all.

A pixel is background with probability 0.8, and then Gaussian about E(x), the mean of x + noise after it was cut off at 0
and 1, with the variance s² of `shading`; or it is ink with w uniform, y then being uniform on [0, x] up to the noise,

    background: N(y; E(x), s²),        ink: (Φ(y/s) - Φ((y - x)/s)) / x.

The likelihood is maximised by iteratively reweighted least squares: the weight of a pixel is its probability of being
background, divided by s² and multiplied by (dE/dlog x)², the delta method with the fitted x in place of y, so that dark and
noisy pixels count for little. s begins thirty times too large, so that the first fits see all pixels. The signal is then
`shading.signal_given`, which also decides what no pixel shows.

With a Gaussian prior on c, D may be the principal components of the logarithms of training modulators; with the quadratic
polynomials it is `log_quadratic`.
"""

from math import pi, sqrt

import torch
from torch import Tensor

from demod.arguments import check_counts
from demod.baselines.estimate import Estimate
from demod.baselines.shading import check_images, exposed, observed, pixel_variance, signal_given
from demod.baselines.subspaces import Subspace, check_subspace
from demod.torch_state import in_full_precision

BACKGROUND = 0.8  # share of the pixels
ANNEALING, FIRST_FACTOR = 30, 30.0  # fits during which s falls, geometrically, from so many times its value
LARGEST_DEVIATION = 0.3  # of the first fits
LOG_RANGE = (-20.0, 3.0)  # of log x
TINY = 1e-300


@in_full_precision
def solve(
    log_modulators: Subspace, y: Tensor, *, noise: float = 0.0, mask: Tensor | None = None, iterations: int = 50
) -> Estimate:
    """Recover signal and modulator from images whose modulator has its logarithm in a subspace.

    Parameters
    ----------
    log_modulators : Subspace
        Of log x, for ℓ = height · width pixels.
    y : Tensor
        Shape (*B, height, width), in [0, 1]. The work is done in float64.
    noise : float
        Standard deviation σ of a Gaussian added before pixels were cut off at 0 and 1.
    mask : Tensor, optional
        True where a pixel is observed, (height, width) or as y.
    iterations : int
        Fits, of which the first 30 have s too large.

    Returns
    -------
    Estimate
        signal and modulator of the shape and type of y, m the codes c, of the image at a peak of 1 where y is dimmer.

    Raises
    ------
    ValueError
        If y, mask or noise are not as required, or the subspace has another number of pixels.
    """
    check_images(y, mask, noise)
    check_subspace("log_modulators", log_modulators)
    check_counts(0, iterations=iterations)
    if len(log_modulators.mean) != y.shape[-2] * y.shape[-1]:
        raise ValueError(
            f"log_modulators has {len(log_modulators.mean)} pixels but y {tuple(y.shape[-2:])}; give images of one size."
        )
    y, brightness = exposed(y, mask)
    pixels, kept = y.double().flatten(-2), observed(y, mask).double().flatten(-2)
    c = pixels.new_zeros(*pixels.shape[:-1], log_modulators.directions.shape[1])
    for k in range(iterations):
        factor = FIRST_FACTOR ** max(0.0, 1 - k / ANNEALING)
        c = c + _step(log_modulators, c, pixels, kept, noise, factor)
    x = log_modulators(c).clamp(*LOG_RANGE).exp().reshape(y.shape)
    w = signal_given(y.double(), x, noise=noise, mask=mask)
    return Estimate(w.to(y), (x * brightness).to(y), m=c.to(y))


def _step(log_modulators: Subspace, c: Tensor, y: Tensor, kept: Tensor, noise: float, factor: float) -> Tensor:
    """Return the step of one reweighted fit, (*B, k), cut where it would change log x by more than 1 somewhere."""
    x = log_modulators(c).clamp(*LOG_RANGE).exp()
    deviation = pixel_variance(x, noise).sqrt()
    s = (factor * deviation).clamp(max=max(LARGEST_DEVIATION, 1.1 * noise))
    mean, slope = cut_off_mean(x, noise)
    slope = x * slope
    background = BACKGROUND * density((y - mean) / s) / s
    ink = (1 - BACKGROUND) * (torch.special.ndtr(y / s) - torch.special.ndtr((y - x) / s)) / x
    weight = kept * background / (background + ink).clamp(min=TINY) / s.square()
    target = y - mean + slope * (c @ log_modulators.directions.mT)
    step = log_modulators.ridge(weight * slope.square(), weight * slope * target) - c
    change = (step @ log_modulators.directions.mT).abs().amax(-1, keepdim=True)
    return step / change.clamp(min=1)


def cut_off_mean(x: Tensor, noise: float) -> tuple[Tensor, Tensor]:
    """Return E min(max(x + σ n, 0), 1) for n ~ N(0, 1) and its derivative in x, each of the shape of x."""
    if noise == 0:
        return x, torch.ones_like(x)
    low, high = -x / noise, (1 - x) / noise
    inside = torch.special.ndtr(high) - torch.special.ndtr(low)
    return noise * (density(low) - density(high)) + x * inside + torch.special.ndtr(-high), inside


def density(z: Tensor) -> Tensor:
    """Return the standard normal density."""
    return torch.exp(-z.square() / 2) / sqrt(2 * pi)
