"""DCGANs [Radford et al., 2016] for 64 × 64 images: the networks, and the trained generators that the package carries.

A trained generator has tanh, biases, batch normalisation and convolutions: it lies outside every theorem of the paper. How
they are trained stands in `demod.training.adversarial`.

References
----------
A. Radford, L. Metz, S. Chintala. Unsupervised representation learning with deep convolutional generative adversarial
networks. ICLR 2016.
"""

from typing import Any

import torch
from torch import nn

from demod.arguments import check_counts, check_place
from demod.priors.image import ImageGenerator, InstanceGenerator
from demod.priors.weights import load_shipped

SINGLE: dict[str, Any] = {"device": "cpu", "dtype": torch.float32}  # where networks are made, whatever torch's defaults are


@torch.inference_mode(False)
def generator_network(latent: int, d: int) -> nn.Sequential:
    """Return G: (B, latent, 1, 1) -> (B, 1, 64, 64) in [-1, 1], with 8d, 4d, 2d, d channels on the way."""
    check_counts(latent=latent, d=d)
    layers: list[nn.Module] = []
    for i, (inner, outer) in enumerate([(latent, 8 * d), (8 * d, 4 * d), (4 * d, 2 * d), (2 * d, d)]):
        stride, padding = (1, 0) if i == 0 else (2, 1)
        convolution = nn.ConvTranspose2d(inner, outer, 4, stride, padding, **SINGLE)
        layers += [convolution, nn.BatchNorm2d(outer, **SINGLE), nn.ReLU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(d, 1, 4, 2, 1, **SINGLE), nn.Tanh())


@torch.inference_mode(False)
def discriminator_network(d: int) -> nn.Sequential:
    """Return D: (B, 1, 64, 64) -> (B, 1, 1, 1), a logit: positive for "real"."""
    check_counts(d=d)
    layers: list[nn.Module] = [nn.Conv2d(1, d, 4, 2, 1, **SINGLE), nn.LeakyReLU(0.2)]
    for inner, outer in [(d, 2 * d), (2 * d, 4 * d), (4 * d, 8 * d)]:
        layers += [
            nn.Conv2d(inner, outer, 4, 2, 1, bias=False, **SINGLE),
            nn.BatchNorm2d(outer, **SINGLE),
            nn.LeakyReLU(0.2),
        ]
    return nn.Sequential(*layers, nn.Conv2d(8 * d, 1, 4, 1, 0, **SINGLE))


def load_generator(name: str, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> ImageGenerator:
    """Return a shipped generator onto [0, 1]^4096, batch normalisation in eval mode.

    Parameters
    ----------
    name : str
        "digits" (n = 100; inverted digits on a white background) or "distortions" (p = 50).
    dtype : torch.dtype
        Of the weights; with bfloat16 an evaluation takes half the time and is right to about three digits.

    Raises
    ------
    ValueError
        If no generator of this name is shipped, or its file is not the one its card was written for.
    """
    check_place(dtype, device)
    return ImageGenerator(shipped_network(name)).to(device, dtype)


def load_notebook_generator(name: str, *, device: torch.device | str = "cpu") -> InstanceGenerator:
    """Return the same shipped generator with batch normalisation left in train mode, see `InstanceGenerator`."""
    check_place(device=device)
    return InstanceGenerator(shipped_network(name)).to(device)


@torch.inference_mode(False)
def shipped_network(name: str) -> nn.Sequential:
    """Return the network of a shipped DCGAN, with its batch normalisation."""
    _, tensors = load_shipped(name)
    try:
        latent, widest = tensors["0.weight"].shape[:2]
        network = generator_network(latent, widest // 8)
        network.load_state_dict(tensors)  # copies, so half precision becomes single
    except (KeyError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{name}.safetensors holds no DCGAN onto 64 × 64 pixels; `make weights` trains it again, or reinstall demod."
        ) from error
    return network
