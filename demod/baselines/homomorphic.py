"""Homomorphic filtering: a logarithm makes the product a sum, and a filter takes its smooth part for the modulator.

    log x = G_ω * log y,        w = min(exp(log y - log x), 1),

G_ω a Gaussian of standard deviation ω pixels [Stockham, 1972; Oppenheim, Schafer and Stockham, 1968]. Nothing is known of
the signal but that it is not smooth and not above 1; its own smooth part is lost. Without the cut at 1, which is not
Stockham's, the background beside a dark stroke is too bright.

References
----------
A. V. Oppenheim, R. W. Schafer, T. G. Stockham. Nonlinear filtering of multiplied and convolved signals. Proceedings of the
IEEE, 1968. T. G. Stockham. Image processing in the context of a visual model. Proceedings of the IEEE, 1972.
"""

from math import inf

import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from demod.arguments import check_numbers
from demod.baselines.estimate import Estimate
from demod.baselines.shading import GREY_LEVEL, check_images, exposed, observed
from demod.torch_state import in_full_precision


@in_full_precision
def solve(y: Tensor, *, width: float = 10.0, mask: Tensor | None = None) -> Estimate:
    """Recover signal and modulator by a filter on log y.

    Parameters
    ----------
    y : Tensor
        Shape (*B, height, width), in [0, 1]; darker pixels are taken for 1/255.
    width : float
        ω > 0, in pixels.
    mask : Tensor, optional
        True where a pixel is observed; the filter averages over these alone, and the signal is 1 elsewhere.

    Returns
    -------
    Estimate
        signal and modulator of the shape and type of y.

    Raises
    ------
    ValueError
        If y or mask are not as required, or the width is not positive.
    """
    check_images(y, mask)
    check_numbers(width=width)
    if not 0 < width < inf:
        raise ValueError(f"width is {width}; required is the filter's standard deviation in pixels, > 0.")
    y, brightness = exposed(y, mask)
    kept, log_y = observed(y, mask), y.clamp(min=GREY_LEVEL).log()
    log_x = _smooth(kept * log_y, width) / _smooth(kept, width).clamp(min=torch.finfo(y.dtype).tiny)
    return Estimate(torch.where(kept > 0, (log_y - log_x).exp().clamp(max=1), 1.0), log_x.exp() * brightness)


def _smooth(images: Tensor, width: float) -> Tensor:
    return torch.from_numpy(gaussian_filter(images.numpy(force=True), width, axes=(-2, -1), mode="nearest")).to(images)
