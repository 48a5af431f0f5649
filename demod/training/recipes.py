"""What can be trained, by name: on which images, with which settings, and which images judge it.

digits, distortions             DCGANs, trained adversarially (`demod.training.adversarial`)
digits-tuned                    the first as the decoder of an autoencoder (`demod.training.autoencoder`)
relu-digits, relu-<family>      bias-free ReLU networks, decoders of autoencoders, a family of `demod.data.FAMILIES` each
encoder, relu-encoder           from pictures to the codes of two of them (`demod.training.encoder`)
encoder-refinement              from what the answer of the first of these leaves to a correction of its codes
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from demod.data import FAMILIES, distortion_images, invert, load_mnist, modulator_images, resize
from demod.demodulation import mnist_problems
from demod.priors.image import representation_error
from demod.priors.weights import rounded, write_shipped
from demod.training.adversarial import Training, TrainingSettings
from demod.training.autoencoder import AutoencoderSettings, Autoencoding
from demod.training.encoder import EncoderSettings, Encoding

FAMILY_IMAGES = 8100  # training images of a family of modulators: as many as the paper has distortions
FAMILY_SEED = 1
FIRST_HELD_OUT = 5000  # the test digit with which the pictures begin that judge an encoder


@dataclass(frozen=True)
class Recipe:
    """How a prior is trained.

    learns is "digits" or a family of modulators; held_out the number of images that judge the prior; held_out_seed that of
    their parameters, where they are modulators.
    """

    learns: str
    settings: TrainingSettings | AutoencoderSettings | EncoderSettings
    held_out: int
    held_out_seed: int = FAMILY_SEED + 1

    def images(self) -> np.ndarray:
        """Return the images that the prior learns from, uint8 (N, 28, 28)."""
        return training_images(self.learns)

    def held_out_images(self) -> Tensor:
        """Return images that the training never saw, (N, 64, 64) in [0, 1]; for an encoder pairs of them, (2, N, 64, 64)."""
        if isinstance(self.settings, EncoderSettings):
            return torch.stack(mnist_problems(FIRST_HELD_OUT, self.held_out))
        if self.learns == "digits":
            return resize(invert(load_mnist("test")[0][: self.held_out]))
        return resize(modulator_images(self.learns, self.held_out, self.held_out_seed))

    def changed(self, **changes: int | None) -> "Recipe":
        """Return the recipe with other settings; None changes nothing.

        Raises
        ------
        ValueError
            If this kind of training has no such setting, or not with such a value.
        """
        settings: Any = self.settings
        asked = {name: value for name, value in changes.items() if value is not None}
        if unknown := [name for name in asked if not hasattr(settings, name)]:
            raise ValueError(f"{', '.join(unknown)}: only the training of a DCGAN has this setting; leave it out.")
        return replace(self, settings=replace(settings, **asked))

    def start(self, device: torch.device | str = "cpu", *, compiled: bool = False) -> Training | Autoencoding | Encoding:
        """Return the run at its first step; compiled has torch compile a DCGAN's networks."""
        if isinstance(self.settings, TrainingSettings):
            return Training(self.images(), self.settings, device, compiled=compiled)
        if compiled:
            raise ValueError("compiled is True, but only the adversarial training compiles its networks; leave it out.")
        if isinstance(self.settings, EncoderSettings):
            return Encoding(self.images(), self.settings, device)
        return Autoencoding(self.images(), self.settings, device)


RECIPES = {
    "digits": Recipe("digits", TrainingSettings(latent=100, base_width=64, steps=3000), held_out=64),
    "distortions": Recipe(
        "bump", TrainingSettings(latent=50, base_width=16, steps=5000), held_out=64, held_out_seed=FAMILY_SEED
    ),
    "digits-tuned": Recipe(
        "digits",
        AutoencoderSettings(
            (100,), steps=1700, dcgan="digits", encoder=32, batch_size=32, decoder_lr=3e-4, noise=0.1, warm_up=200
        ),
        held_out=64,
    ),
    "relu-digits": Recipe("digits", AutoencoderSettings((100, 1000), steps=12_000, noise=0.05), held_out=500),
    **{
        f"relu-{family}": Recipe(family, AutoencoderSettings((50, 250), steps=8_000, encoder=256, noise=0.02), held_out=500)
        for family in FAMILIES
    },
    "encoder": Recipe("digits", EncoderSettings("digits-tuned", "distortions", steps=20_000), held_out=128),
    "encoder-refinement": Recipe(
        "digits", EncoderSettings("digits-tuned", "distortions", steps=12_000, refines="encoder"), held_out=128
    ),
    "relu-encoder": Recipe("digits", EncoderSettings("relu-digits", "relu-bump", steps=3500), held_out=128),
}


def find_recipe(name: str) -> Recipe:
    """Return the recipe of the prior `name`.

    Raises
    ------
    ValueError
        If there is none.
    """
    if name not in RECIPES:
        raise ValueError(f"name is {name!r}, but the priors that can be trained are {', '.join(RECIPES)}.")
    return RECIPES[name]


def training_images(name: str) -> np.ndarray:
    """Return the uint8 (N, 28, 28) images that priors learn from: "digits", inverted, or a family of modulators.

    The family "bump" is the paper's: its training set is the paper's grid of 8,100 distortions.

    Raises
    ------
    ValueError
        If there is no such family.
    """
    if name == "digits":
        return invert(load_mnist("train")[0])
    return distortion_images() if name == "bump" else modulator_images(name, FAMILY_IMAGES, FAMILY_SEED)


def ship(
    name: str, run: Training | Autoencoding | Encoding, held_out: Tensor, *, dtype: torch.dtype = torch.float16
) -> dict[str, Any]:
    """Write what `run` has trained to `demod/weights` as `name`, rounded to `dtype`, with its card, and return the card.

    held_out are images in [0, 1] that the training never saw: (N, 64, 64) for a prior, whose representation error goes into
    the card; (2, N, 64, 64) for an encoder, signals and modulators, whose scores do.

    Raises
    ------
    ValueError
        If the run is not over.
    """
    tensors = rounded(name, run, run.trained(), dtype)
    if isinstance(run, Encoding):
        measured = run.measured(tensors, held_out)
    else:
        prior = run.prior(tensors)
        error = representation_error(prior, held_out.to(run.device))
        spread = {"median": error.median().item(), "mean": error.mean().item(), "worst": error.max().item()}
        measured = {"representation_error": spread} | run.measured(prior)
    return write_shipped(name, run, tensors, run.architecture, held_out.shape[-3], measured)


def shipped_as(card: Mapping[str, Any]) -> str:
    """Return in a few words how good that is of which `ship` returned the card."""
    if "representation_error" in card:
        return f"median representation error {card['representation_error']['median']:.2e} a pixel, squared"
    signal, modulator = (card[name]["median"] for name in ("signal_psnr", "modulator_psnr"))
    return f"median PSNR of the signal {signal:.1f} dB, of the modulator {modulator:.1f} dB"
