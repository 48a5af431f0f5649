"""Trained bias-free ReLU networks as priors for images: G(z) = relu(R W_d … relu(W_2 relu(W_1 z))).

R resizes 28 × 28 pixels to 64 × 64 and is linear, so that R W_d is the last layer's matrix. How the weights are trained
stands in `demod.training.autoencoder`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from demod.arguments import check_alike, check_place
from demod.data import resize
from demod.generators import ReLUGenerator
from demod.generators.differentiation import keepable
from demod.priors.weights import load_shipped
from demod.torch_state import in_full_precision

PIXELS = 28 * 28


class ReLUPrior(ReLUGenerator):
    """A trained ReLU network, and the mean code of its training images.

    Without biases only a common part of all codes can make what all images share, such as a white background; so codes
    lie around a centre, and starts are drawn around it.
    """

    def __init__(self, weights: Sequence[Tensor], centre: Tensor) -> None:
        super().__init__(weights)
        check_alike(centre=centre, **{"weights[0]": self.weights[0][..., 0, :]})
        if centre.shape != self.widths[:1]:
            raise ValueError(f"centre has shape {tuple(centre.shape)}, but codes have {self.widths[0]} entries; flatten it.")
        with torch.inference_mode(False):
            self.centre = keepable(centre.detach())

    def to(self, *, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> "ReLUPrior":
        """Return the same prior in another precision or on another device."""
        check_place(dtype, device)
        return ReLUPrior([W.to(device=device, dtype=dtype) for W in self.weights], self.centre.to(device, dtype))


@in_full_precision
def image_prior(weights: Sequence[Tensor], centre: Tensor) -> ReLUPrior:
    """Return G onto R^4096 for trained W_1, …, W_d, scaled so that codes of norm √n decode to images in [0, 1]."""
    R = resize(255 * torch.eye(PIXELS, dtype=torch.uint8, device="cpu").reshape(PIXELS, 28, 28)).flatten(1).T
    first, *inner, last = weights
    return ReLUPrior([gain(weights) * first, *inner, R.to(last.dtype) @ last], centre)


def gain(weights: Sequence[Tensor]) -> float:
    """Return what makes up for the halving of the energy by each layer of a Gaussian network, per entry of the code."""
    return 2 ** (len(weights) / 2) * (PIXELS / weights[0].shape[-1]) ** 0.5


def load_weights(name: str) -> tuple[Tensor, ...]:
    """Return the trained W_1, …, W_d of the shipped prior relu-`name`, float32, the last in 28 × 28 pixels."""
    _, tensors = load_shipped(f"relu-{name}")
    return tuple(tensors[f"weights.{i}"].float() for i in range(len(tensors) - 1))


def load_prior(name: str, *, device: torch.device | str = "cpu") -> ReLUPrior:
    """Return a shipped ReLU prior onto R^4096, float32: "digits" (n = 100) or a family of `demod.data.FAMILIES` (p = 50).

    Raises
    ------
    ValueError
        If no prior of this name is shipped, or its file is not the one its card was written for.
    """
    centre = load_shipped(f"relu-{name}")[1]["centre"].float()
    return image_prior(load_weights(name), centre).to(device=device)
