"""Trivial estimates, which any method has to beat.

The input is w = y and x = 1, the constant image w = 1 and x = y. The nearest training image is the d of least

    min_a ‖a d ⊙ x - y‖²,        x a given modulator, such as the mean of training modulators, or 1.
"""

import torch
from torch import Tensor

from demod.arguments import check_tensors
from demod.baselines.estimate import Estimate
from demod.baselines.shading import check_images, exposed, observed

CHUNK = 4096  # training images that are compared at a time


def unchanged(y: Tensor) -> Estimate:
    """Return the observation as the signal, shapes (*B, height, width)."""
    check_images(y)
    return Estimate(y.detach(), torch.ones_like(y))


def constant(y: Tensor) -> Estimate:
    """Return a white image as the signal and the observation as the modulator, shapes (*B, height, width)."""
    check_images(y)
    return Estimate(torch.ones_like(y), y.detach())


def nearest(candidates: Tensor, y: Tensor, *, modulator: Tensor | None = None, mask: Tensor | None = None) -> Estimate:
    """Return for each observation the candidate d of the least min_a ‖a d ⊙ x - y‖² over the observed pixels.

    Parameters
    ----------
    candidates : Tensor
        Training images (N, height, width), in any units and of any type.
    y : Tensor
        Shape (*B, height, width), in [0, 1].
    modulator : Tensor, optional
        x, (height, width), such as the mean of training modulators; 1 where None.
    mask : Tensor, optional
        True where a pixel is observed, (height, width) or as y.

    Returns
    -------
    Estimate
        signal of the type of y; modulator is x.

    Raises
    ------
    ValueError
        If y or mask are not as required, or candidates or modulator have another size.
    """
    check_images(y, mask)
    check_tensors(candidates=candidates, **({} if modulator is None else {"modulator": modulator}))
    y, _ = exposed(y, mask)
    size = y.shape[-2:]
    x = y.new_ones(size) if modulator is None else modulator.detach().to(y)
    if candidates.ndim != 3 or not len(candidates) or any(shape != size for shape in (candidates.shape[1:], x.shape)):
        raise ValueError(
            f"candidates are {tuple(candidates.shape)} and modulator {tuple(x.shape)}; required are (N, *{tuple(size)}) and "
            f"{tuple(size)}, the size of y: resize them."
        )
    pixels, kept = y.reshape(-1, size.numel()), observed(y, mask).reshape(-1, size.numel())
    gains = [_gains(chunk.flatten(1).to(y) * x.flatten(), pixels, kept) for chunk in candidates.split(CHUNK)]
    chosen = torch.cat(gains).argmax(0)
    return Estimate(candidates.detach()[chosen].to(y).reshape(y.shape), x.expand_as(y))


def _gains(products: Tensor, y: Tensor, kept: Tensor) -> Tensor:
    """Return ‖y‖² - min_a ‖a d - y‖² = ⟨d, y⟩²/‖d‖² for products d (N, ℓ) and observations y (M, ℓ), shape (N, M)."""
    inner, energy = products @ (kept * y).mT, products.square() @ kept.mT
    return torch.where(energy > 0, inner.clamp(min=0).square() / energy, 0.0)
