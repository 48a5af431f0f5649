"""What the classical methods for images share: how exact a pixel is, and the signal once the modulator is known.

A pixel of y = w ⊙ x + noise, kept between 0 and 1, differs from w x by a Gaussian of standard deviation

    s² = σ² + q² + (ε x)²,        q = 1/510, half a grey level of 8 bits, and ε = 0.003 for the model of x.

Given x, the signal is the mode of a posterior whose prior knows that the pictures are flat and their background white,

    minimise Σ_i (w_i x_i - y_i)² / (2 s_i²) + μ TV(w) - κ Σ_i w_i    over 0 ≤ w ≤ 1,

TV the isotropic total variation, by the primal-dual method. Where x is nothing but noise the prior decides, and in missing
pixels as well. All this is made for pictures whose peak is near 1; a dimmer one is divided by its peak
first. μ = 6 and κ = 1 were chosen once, on 40 test digits, for all noise levels.

References
----------
A. Chambolle, T. Pock. A first-order primal-dual algorithm for convex problems with applications to imaging. 2011.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from demod.arguments import check_numbers, check_precision, check_tensors

LEAST_PEAK = 0.92  # of an image that is taken as it is: from here to 1 the same picture is recovered to 0.3 dB
GREY_LEVEL = 1 / 255
MODEL_ERROR = 0.003
VARIATION, WHITENESS = 6.0, 1.0  # μ, κ
PRIMAL_STEP, DUAL_STEP = 0.25, 0.5  # their product times ‖∇‖² = 8 is 1


def check_images(y: Tensor, mask: Tensor | None = None, noise: float = 0.0) -> None:
    """Raise unless y (*B, height, width) holds floats in [0, 1] where observed, none black, and mask and noise fit it."""
    check_tensors(y=y, **({} if mask is None else {"mask": mask}))
    check_numbers(noise=noise)
    if mask is not None and (
        mask.dtype != torch.bool or mask.shape not in (y.shape, y.shape[-2:]) or not mask.any() or mask.device != y.device
    ):
        raise ValueError(
            f"mask is {mask.dtype} {tuple(mask.shape)} on {mask.device} with {int(mask.sum())} pixels observed; "
            f"required are Booleans, {tuple(y.shape[-2:])} or {tuple(y.shape)}, on {y.device}: True where observed."
        )
    missing = torch.zeros((), dtype=torch.bool, device=y.device) if mask is None else ~mask
    if y.ndim < 2 or not y.is_floating_point() or not ((y >= 0) & (y <= 1) | missing).all():
        raise ValueError(
            f"y is {y.dtype} {tuple(y.shape)}; required are finite floats in [0, 1] of shape (*B, height, width): "
            "divide by the peak, and clip noise below 0 with .clamp(min=0)."
        )
    check_precision(y=y.masked_fill(missing, 0))
    if not (y.masked_fill(missing, 0)).flatten(-2).any(-1).all():
        raise ValueError(
            "y is black for some image, or the mask observes nothing bright of it; nothing can be recovered: leave it out."
        )
    if not 0 <= noise < 1:
        raise ValueError(f"noise is {noise}; required is the standard deviation of a pixel, 0 ≤ noise < 1.")


def exposed(y: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the images with an observed peak near 1 and their brightness, (*B, 1, 1), by which the modulator is multiplied.

    An image with a peak of at least `LEAST_PEAK` is left as it is, with brightness 1.
    """
    y = y.detach()
    seen = y if mask is None else torch.where(mask, y, 0.0)
    peak = seen.flatten(-2).amax(-1)[..., None, None]
    brightness = torch.where((peak > 0) & (peak < LEAST_PEAK), peak, 1.0)
    return torch.where(brightness < 1, (usable(y) / brightness).clamp(max=1), usable(y)), brightness


def usable(y: Tensor) -> Tensor:
    """Return the images with 0 in place of missing pixels that hold no number between 0 and 1."""
    return torch.where((y >= 0) & (y <= 1), y.detach(), 0.0)


def observed(y: Tensor, mask: Tensor | None) -> Tensor:
    """Return 1 where a pixel is observed and 0 where it is missing, of the shape and type of y."""
    return torch.ones_like(y) if mask is None else mask.to(y).expand_as(y)


def pixel_variance(x: Tensor, noise: float) -> Tensor:
    """Return s² for pixels whose white would be x, the module's formula."""
    return noise**2 + (GREY_LEVEL / 2) ** 2 + (MODEL_ERROR * x) ** 2


def signal_given(y: Tensor, x: Tensor, *, noise: float = 0.0, mask: Tensor | None = None, iterations: int = 200) -> Tensor:
    """Return the signal (*B, height, width) in [0, 1] for a known modulator x ≥ 0, the module's program.

    Parameters
    ----------
    y, x : Tensor
        Shape (*B, height, width), y in [0, 1].
    noise : float
        σ, in units of the peak.
    mask : Tensor, optional
        True where a pixel is observed, (height, width) or as y; everywhere where None.
    iterations : int
        Of the primal-dual method.

    Raises
    ------
    ValueError
        If y, mask or noise are not as required, or x has another shape or is negative.
    """
    check_images(y, mask, noise)
    check_tensors(x=x)
    y = usable(y)
    if x.shape != y.shape or not (x >= 0).all():
        raise ValueError(
            f"x has shape {tuple(x.shape)} or negative entries; required is a modulator ≥ 0 like y {tuple(y.shape)}."
        )
    precision = observed(y, mask) / pixel_variance(x, noise) / VARIATION
    pull, curvature = PRIMAL_STEP * (precision * x * y + WHITENESS / VARIATION), 1 + PRIMAL_STEP * precision * x.square()
    w = ahead = torch.ones_like(y)
    p, q = torch.zeros_like(y), torch.zeros_like(y)
    for _ in range(iterations):
        p, q = p + DUAL_STEP * _slope(ahead, -1), q + DUAL_STEP * _slope(ahead, -2)
        length = (p.square() + q.square()).sqrt().clamp(min=1)
        p, q = p / length, q / length
        last, w = w, ((w + PRIMAL_STEP * (_divergence(p, -1) + _divergence(q, -2)) + pull) / curvature).clamp(0, 1)
        ahead = 2 * w - last
    return w


def _slope(image: Tensor, axis: int) -> Tensor:
    """Return the forward differences along an axis, 0 at its end."""
    return pad(image.diff(dim=axis), (0, 1) if axis == -1 else (0, 0, 0, 1))


def _divergence(field: Tensor, axis: int) -> Tensor:
    """Return minus the adjoint of `_slope` along an axis."""
    inner = field.narrow(axis, 0, field.shape[axis] - 1)
    edge = inner.new_zeros(()).expand_as(inner.narrow(axis, 0, 1))
    return torch.cat([inner, edge], axis) - torch.cat([edge, inner], axis)
