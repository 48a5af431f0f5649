"""N4, the correction of bias fields that practitioners use for uneven illumination [Tustison et al., 2010].

    log y = log w + log x,        log x a cubic B-spline on a grid that doubles from level to level.

In turn the histogram of log w is sharpened, by deconvolution with a Gaussian of a given width, and log x is what a spline
fits of the difference, until it changes no more. Pixels that are almost black are left out of the fit. Implementation: the
filter of SimpleITK, from the extra `demod[rivals]`. Its field has no scale: here the 90th percentile of w is white, and w is
cut off there. Its customary settings are made for magnetic resonance images, a width of 0.15 among them; the ones here were
chosen on 40 test digits.

References
----------
N. J. Tustison, B. B. Avants, P. A. Cook, Y. Zheng, A. Egan, P. A. Yushkevich, J. C. Gee. N4ITK: improved N3 bias correction.
IEEE Transactions on Medical Imaging, 2010.
"""

import numpy as np
import torch
from torch import Tensor

from demod.arguments import check_numbers, check_whole
from demod.baselines.estimate import Estimate
from demod.baselines.shading import GREY_LEVEL, check_images, exposed, observed
from demod.torch_state import in_full_precision

try:
    import SimpleITK as sitk
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("bias_field needs SimpleITK, which is not installed: pip install 'demod[rivals]'.") from error

WHITE = 0.9  # this share of the pixels is not brighter than white
DARKEST = 2 * GREY_LEVEL  # of the pixels that take part in the fit


@in_full_precision
def solve(
    y: Tensor,
    *,
    mask: Tensor | None = None,
    control_points: int = 4,
    levels: int = 3,
    iterations: int = 50,
    histogram_width: float = 0.5,
) -> Estimate:
    """Recover signal and modulator by N4, one image after the other.

    Parameters
    ----------
    y : Tensor
        Shape (*B, height, width), in [0, 1].
    mask : Tensor, optional
        True where a pixel is observed, (height, width) or as y; the signal is 1 elsewhere.
    control_points, levels, iterations : int
        Of the spline along each axis at the first level, ≥ 4; fitting levels; iterations at each of them at most.
    histogram_width : float
        Full width at half maximum of the Gaussian, in units of log y.

    Returns
    -------
    Estimate
        signal and modulator of the shape and type of y.

    Raises
    ------
    ValueError
        If y or mask are not as required, or a setting is out of range.
    """
    check_images(y, mask)
    check_whole(control_points=control_points, levels=levels, iterations=iterations)
    check_numbers(histogram_width=histogram_width)
    if control_points < 4 or levels < 1 or iterations < 1 or not histogram_width > 0:
        raise ValueError(
            f"control_points = {control_points}, levels = {levels}, iterations = {iterations}, histogram_width = "
            f"{histogram_width}; required are control_points ≥ 4 (cubic splines), levels ≥ 1, iterations ≥ 1, a width > 0."
        )
    y, brightness = exposed(y, mask)
    kept = observed(y, mask) > 0
    images, regions = (value.reshape(-1, *y.shape[-2:]).numpy(force=True) for value in (y, kept))
    correction = _correction(control_points, [iterations] * levels, histogram_width)
    fields = [_field(correction, image, region) for image, region in zip(images, regions, strict=True)]
    x = torch.from_numpy(np.reshape(fields, y.shape)).to(y)
    w = y / x
    white = torch.quantile(w.flatten(-2), WHITE, dim=-1)[..., None, None]
    return Estimate(torch.where(kept, (w / white).clamp(max=1), 1.0), x * white * brightness)


def _correction(control_points: int, iterations: list[int], histogram_width: float) -> sitk.N4BiasFieldCorrectionImageFilter:
    correction = sitk.N4BiasFieldCorrectionImageFilter()
    correction.SetNumberOfThreads(1)  # an image this small gains nothing from more
    correction.SetNumberOfControlPoints([control_points] * 2)
    correction.SetMaximumNumberOfIterations(iterations)
    correction.SetBiasFieldFullWidthAtHalfMaximum(histogram_width)
    return correction


def _field(correction: sitk.N4BiasFieldCorrectionImageFilter, image: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Return x > 0 for one image (height, width), from the pixels of the region that are not almost black."""
    positive = sitk.GetImageFromArray(np.maximum(image, GREY_LEVEL).astype(np.float32))
    correction.Execute(positive, sitk.GetImageFromArray((region & (image > DARKEST)).astype(np.uint8)))
    return np.exp(sitk.GetArrayFromImage(correction.GetLogBiasFieldAsImage(positive)))
