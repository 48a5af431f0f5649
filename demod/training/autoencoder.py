"""Priors for images that are decoders of autoencoders: bias-free ReLU networks, and DCGANs that see every image again.

An encoder E maps an image to the sphere of radius √n, a decoder G maps codes to images, and both minimise

    E ‖G(E(x) + s ζ) - x‖² / pixels,        ζ ~ N(0, I).

The noise of standard deviation s lets neighbouring codes make similar images. E is then dropped. G contains the images, and
much else: a random code need not make one. There are two kinds of decoders.

**ReLU networks** of the theorems' class, G(z) = relu(R W_d … relu(W_2 relu(W_1 z))), without biases. R resizes 28 × 28
pixels to 64 × 64 and is linear, so that R W_d is the last layer's matrix. Training works in 28 × 28 pixels and before the
last ReLU, which can only come closer to an image that is not negative. Such a G is positively homogeneous: the
hyperbolas, the sign check and the balancing mean for it what they mean in the paper, and Algorithm 1 applies verbatim. What
the theorems assume beyond that, weights that are random, is given up.

**DCGANs**, which begin as the generator that adversarial training left, with its batch normalisation frozen. An adversarial
loss asks that images look right, not that all are there; the autoencoder asks that none is missing. First E alone learns to
invert G on G's own images.
"""

import math
import time
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from demod.arguments import check_counts, check_seed
from demod.artifacts import sha256
from demod.baselines.trivial import nearest
from demod.data import resize
from demod.dcgan import discriminator_network, shipped_network
from demod.demodulation import align
from demod.generators import Generator, ReLUGenerator
from demod.priors.image import ImageGenerator, draw_codes
from demod.priors.relu import PIXELS, gain, image_prior
from demod.torch_state import by_itself
from demod.training.checkpoints import Parts, Saved
from demod.training.distributed import count
from demod.training.loop import check_images


@dataclass(frozen=True)
class AutoencoderSettings:
    """Everything that decides a training run, besides the images.

    widths are (n, …) of a ReLU network without the pixels, or (n,) of a DCGAN; dcgan names the shipped generator that the
    latter begins as. encoder is the width of the encoder's hidden layer, or its base width. noise is s. lr and decoder_lr
    are Adam's for E and G; both fall to zero as a half cosine. During the first warm_up steps only E learns.
    """

    widths: tuple[int, ...]
    steps: int
    dcgan: str | None = None
    encoder: int = 512
    batch_size: int = 128
    lr: float = 1e-3
    decoder_lr: float = 1e-3
    noise: float = 0.1
    warm_up: int = 0
    seed: int = 2019

    def __post_init__(self) -> None:
        """Raise unless the values can be meant."""
        check_counts(steps=self.steps, encoder=self.encoder, batch_size=self.batch_size)
        check_counts(0, warm_up=self.warm_up)
        check_counts(self.warm_up + 1, steps=self.steps)
        check_seed(self.seed)


# --- decoders -----------------------------------------------------------------------------------------------------------


class ReLUDecoder(nn.Module):
    """(B, n) -> (B, 784) by W_1, …, W_d: drawn as in Theorem 2, scaled to images, and without the last ReLU."""

    def __init__(self, settings: AutoencoderSettings) -> None:
        super().__init__()
        self.weights = nn.ParameterList(initial_weights(settings))

    def forward(self, z: Tensor) -> Tensor:
        """Return the images in 28 × 28 pixels."""
        z = gain(list(self.weights)) * z
        for W in self.weights[:-1]:
            z = (z @ W.T).relu()
        return z @ self.weights[-1].T


class DCGANDecoder(nn.Module):
    """(B, n) -> (B, 4096) by a shipped DCGAN in eval mode."""

    def __init__(self, settings: AutoencoderSettings) -> None:
        super().__init__()
        network = shipped_network(str(settings.dcgan)).eval()
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's stubs lack memory_format

    def forward(self, z: Tensor) -> Tensor:
        """Return the images in [0, 1]."""
        return (self.network(z[:, :, None, None]).float().flatten(1) + 1) / 2


def initial_weights(settings: AutoencoderSettings) -> tuple[Tensor, ...]:
    """Return W_1, …, W_d as the training starts with them: those of `ReLUGenerator.gaussian`, in 28 × 28 pixels."""
    rng = torch.Generator().manual_seed(settings.seed)
    return ReLUGenerator.gaussian((*settings.widths, PIXELS), rng, dtype=torch.float32).weights


def _dense_encoder(n: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(PIXELS, width), nn.ReLU(), nn.Linear(width, n))


def _convolutional_encoder(n: int, width: int) -> nn.Sequential:
    """Return DCGAN's discriminator with n outputs instead of one, (B, 4096) -> (B, n)."""
    layers = list(discriminator_network(width))
    layers[-1] = nn.Conv2d(cast(nn.Conv2d, layers[-1]).in_channels, n, 4, 1, 0)
    network = nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's stubs lack memory_format
    return nn.Sequential(nn.Unflatten(1, (1, 64, 64)), *network, nn.Flatten())


# --- training -----------------------------------------------------------------------------------------------------------


class Autoencoding(Saved):
    """A run of training that can stop after any step and go on, on the CPU bit for bit."""

    @by_itself
    def __init__(self, images: np.ndarray, settings: AutoencoderSettings, device: torch.device | str = "cpu") -> None:
        check_images(images, (28, 28))
        if count() > 1:
            raise ValueError(f"{count()} processes were started, but an autoencoder trains in one; leave torchrun out.")
        self.settings, self.device = settings, torch.device(device)
        self.images = torch.from_numpy(np.array(images)).to(self.device)
        self.data_sha256 = sha256(images)
        self.rng = torch.Generator().manual_seed(settings.seed)
        decoder, encoder = (DCGANDecoder, _convolutional_encoder) if settings.dcgan else (ReLUDecoder, _dense_encoder)
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            self.encoder = encoder(settings.widths[0], settings.encoder).to(self.device)
        self.decoder = decoder(settings).to(self.device)
        self.adam = torch.optim.Adam([{"params": list(part.parameters())} for part in (self.decoder, self.encoder)])
        self.step, self.seconds = 0, 0.0

    def encode(self, images: Tensor) -> Tensor:
        """Return codes of norm √n for flat images in [0, 1]."""
        return normalize(self.encoder(1 - images).float(), dim=-1) * self.settings.widths[0] ** 0.5

    @by_itself
    def advance(self, *, read_losses: bool = True) -> dict[str, float]:
        """Take one step; return the mean-squared error, of the codes during the warm-up, of the images then, or nothing."""
        started, s = time.perf_counter(), self.settings
        fall = (1 + math.cos(math.pi * max(0, self.step - s.warm_up) / (s.steps - s.warm_up))) / 2
        warm = self.step < s.warm_up
        for group, lr in zip(self.adam.param_groups, (0.0 if warm else s.decoder_lr, s.lr), strict=True):
            group["lr"] = lr * fall
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=s.dcgan is not None):
            error = self._error_of_codes() if warm else self._error_of_images()
        self.adam.zero_grad(set_to_none=True)
        error.backward()
        self.adam.step()
        losses = {"error": error.item()} if read_losses else {}
        self.step += 1
        self.seconds += time.perf_counter() - started
        return losses

    @by_itself
    @torch.no_grad()
    def centre(self) -> Tensor:
        """Return the mean code of the training images, of at most 10,000 of them, shape (n,)."""
        some = self.images[:: max(1, len(self.images) // 10_000)]
        return self.encode(some.flatten(1).float() / 255).mean(0)

    def _normal(self) -> Tensor:
        return torch.randn(self.settings.batch_size, self.settings.widths[0], generator=self.rng).to(self.device)

    def _error_of_codes(self) -> Tensor:
        z = self._normal()
        with torch.no_grad():
            images = self.decoder(z)
        return (self.encode(images) - z).square().mean()

    def _error_of_images(self) -> Tensor:
        chosen = torch.randint(len(self.images), (self.settings.batch_size,), generator=self.rng)
        images = self.images[chosen.to(self.device)]
        images = resize(images).flatten(1) if self.settings.dcgan else images.flatten(1).float() / 255
        return (self.decoder(self.encode(images) + self.settings.noise * self._normal()) - images).square().mean()

    def parts(self) -> Parts:
        """Return what a step changes."""
        return Parts({"decoder": self.decoder, "encoder": self.encoder}, {"adam": self.adam}, self.rng)

    def identity(self) -> dict[str, Any]:
        """Return what the run is known by; the steps decide the step sizes, so that a longer run is another one."""
        settings = asdict(self.settings) | {"widths": list(self.settings.widths)}  # as JSON has them
        return {"settings": settings, "data_sha256": self.data_sha256}

    @property
    def architecture(self) -> str:
        """What has been trained."""
        if self.settings.dcgan:
            return "DCGAN generator, 64 × 64, tuned as the decoder of an autoencoder"
        return "bias-free ReLU network, decoder of an autoencoder in 28 × 28 pixels, resized to 64 × 64"

    def trained(self) -> dict[str, Tensor]:
        """Return the tensors that are worth keeping: those of the decoder, and a ReLU network's mean code."""
        if isinstance(self.decoder, DCGANDecoder):
            return self.decoder.network.state_dict()
        return self.decoder.state_dict() | {"centre": self.centre()}

    def prior(self, tensors: Mapping[str, Tensor]) -> ReLUGenerator | ImageGenerator:
        """Return the prior that is loaded from such tensors."""
        if isinstance(self.decoder, DCGANDecoder):
            network = deepcopy(self.decoder.network)
            network.load_state_dict(tensors)
            return ImageGenerator(network)
        *weights, centre = (tensor.float() for tensor in tensors.values())
        return image_prior(weights, centre)

    def measured(self, prior: Generator) -> dict[str, float]:
        """Return what else a card says of the prior: how far its samples are from the training images, in the median."""
        return {"nearest_training_image": nearest_training_image(prior, self.images.cpu()).median().item()}


def nearest_training_image(G: Generator, images: Tensor, *, samples: int = 64) -> Tensor:
    """Return min_{d, a} ‖a d - G(z)‖²/‖G(z)‖² over the training images d, uint8 (N, 28, 28), for random codes, (samples,).

    A prior that had learned its training images by heart would bring this to zero.
    """
    drawn = G(draw_codes(G, (samples,), torch.Generator().manual_seed(0))).reshape(samples, 64, 64)
    drawn = drawn / drawn.amax((-2, -1), keepdim=True)
    closest = nearest(resize(images), drawn).signal
    return (align(closest, drawn) - drawn).square().sum((-2, -1)) / drawn.square().sum((-2, -1))
