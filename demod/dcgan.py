"""DCGANs [Radford et al., 2016] for 64 × 64 images: the networks, and the trained generators that the package carries.

A trained generator has tanh, biases, batch normalisation and convolutions: it lies outside every theorem of the paper. How
they are trained stands in `demod.training.adversarial`.

References
----------
A. Radford, L. Metz, S. Chintala. Unsupervised representation learning with deep convolutional generative adversarial
networks. ICLR 2016.
"""

import torch
from torch import nn

from demod.priors.image import ImageGenerator, InstanceGenerator
from demod.priors.weights import load_shipped


def generator_network(latent: int, d: int) -> nn.Sequential:
    """Return G: (B, latent, 1, 1) -> (B, 1, 64, 64) in [-1, 1], with 8d, 4d, 2d, d channels on the way."""
    layers: list[nn.Module] = []
    for i, (inner, outer) in enumerate([(latent, 8 * d), (8 * d, 4 * d), (4 * d, 2 * d), (2 * d, d)]):
        convolution = nn.ConvTranspose2d(inner, outer, 4, 1, 0) if i == 0 else nn.ConvTranspose2d(inner, outer, 4, 2, 1)
        layers += [convolution, nn.BatchNorm2d(outer), nn.ReLU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(d, 1, 4, 2, 1), nn.Tanh())


def discriminator_network(d: int) -> nn.Sequential:
    """Return D: (B, 1, 64, 64) -> (B, 1, 1, 1), a logit: positive for "real"."""
    layers: list[nn.Module] = [nn.Conv2d(1, d, 4, 2, 1), nn.LeakyReLU(0.2)]
    for inner, outer in [(d, 2 * d), (2 * d, 4 * d), (4 * d, 8 * d)]:
        layers += [nn.Conv2d(inner, outer, 4, 2, 1, bias=False), nn.BatchNorm2d(outer), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(8 * d, 1, 4, 1, 0))


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
    return ImageGenerator(shipped_network(name)).to(device, dtype)


def load_notebook_generator(name: str, *, device: torch.device | str = "cpu") -> InstanceGenerator:
    """Return the same shipped generator with batch normalisation left in train mode, see `InstanceGenerator`."""
    return InstanceGenerator(shipped_network(name)).to(device)


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
