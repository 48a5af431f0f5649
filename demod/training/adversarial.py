"""Adversarial training of DCGANs, resumable after every step.

It plays min_G max_D E log D(x + σn) + E log(1 - D(G(z) + σn)) in its non-saturating form, z ~ N(0, I), n ~ N(0, I).
Every image that the discriminator sees carries this instance noise; σ falls linearly to a floor. Without it the
discriminator wins at once and the generator stays noise. What is kept is the exponential moving average of the generator.

References
----------
C. Kaae Sønderby et al. Amortised MAP inference for image super-resolution. ICLR 2017 (instance noise).
"""

import time
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim.swa_utils import get_ema_multi_avg_fn

from demod.arguments import check_counts, check_seed
from demod.artifacts import sha256
from demod.data import SIDE, resize
from demod.dcgan import discriminator_network, generator_network
from demod.generators import Generator
from demod.priors.image import ImageGenerator
from demod.torch_state import by_itself
from demod.training.checkpoints import Parts, Saved
from demod.training.distributed import average_buffers, count, parallel, share
from demod.training.loop import check_images


@dataclass(frozen=True)
class TrainingSettings:
    """Everything that decides a training run, besides the images.

    latent and base_width are the dimension of z and the channels of the last hidden layer; lr and beta1 are Adam's;
    noise falls linearly from noise_start to noise_end over the first noise_steps steps; average is the decay per step of
    the moving average. A longer run with the same other settings begins as the shorter one: it may be continued.
    """

    latent: int
    base_width: int
    steps: int
    seed: int = 2019
    batch_size: int = 64
    lr: float = 2e-4
    beta1: float = 0.5
    noise_start: float = 0.5
    noise_end: float = 0.01
    noise_steps: int = 4000
    average: float = 0.998

    def __post_init__(self) -> None:
        """Raise unless the values can be meant."""
        check_counts(latent=self.latent, base_width=self.base_width, steps=self.steps, batch_size=self.batch_size)
        check_counts(noise_steps=self.noise_steps)
        check_seed(self.seed)


def _initialise(module: nn.Module) -> None:
    """Draw weights as DCGAN does: N(0, 0.02²), and N(1, 0.02²) for the scales of batch normalisation."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1, 0.02)


def _networks(settings: TrainingSettings) -> tuple[nn.Sequential, nn.Sequential]:
    """Return G and D as they start; the global random stream is left alone."""
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        G, D = generator_network(settings.latent, settings.base_width), discriminator_network(settings.base_width)
        return G.apply(_initialise), D.apply(_initialise)


def _check_shares(batch_size: int) -> None:
    if batch_size % count():
        raise ValueError(
            f"batch_size is {batch_size}, but {count()} processes need a multiple of {count()}; "
            "start another number of processes, or choose another batch size."
        )


class _BothSides(nn.Module):
    """D on real and on fake images, by the statistics of each: one forward pass for one backward pass, as DDP wants it."""

    def __init__(self, D: nn.Module) -> None:
        super().__init__()
        self.D = D

    def forward(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        return self.D(real), self.D(fake)


def _loss(logits: Tensor, label: float) -> Tensor:
    logits = logits.float()
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


class Training(Saved):
    """A run of DCGAN training that can stop after any step and go on, on the CPU bit for bit.

    All randomness comes from one CPU stream; it, both networks, both optimisers, the average and the step are the state.
    The bits are those of one machine, thread count, number of processes and version of torch. Images stay on the device;
    off the CPU, the stream seeds another on the device for each step, so that noise is drawn where it is needed.

    Of several processes (`demod.training.distributed`) each takes its share of every batch and normalises by that share's
    statistics. compiled has torch compile both networks.
    """

    architecture = "DCGAN generator, 64 × 64, moving average of the weights"

    @by_itself
    def __init__(
        self,
        images: np.ndarray,
        settings: TrainingSettings,
        device: torch.device | str = "cpu",
        *,
        compiled: bool = False,
    ) -> None:
        check_images(images)
        _check_shares(settings.batch_size)
        self.settings, self.device = settings, torch.device(device)
        self.images = torch.from_numpy(np.array(images)).to(self.device)
        self.data_sha256 = sha256(images)
        self.rng = torch.Generator().manual_seed(settings.seed)
        self.stream = self.rng if self.device.type == "cpu" else torch.Generator(self.device)
        self.G, self.D = (network.to(self.device, memory_format=torch.channels_last) for network in _networks(settings))  # type: ignore[call-overload] # torch's stubs lack memory_format
        self.average = deepcopy(self.G).requires_grad_(False)
        if compiled:
            self.G.compile(), self.D.compile()
        self.parallel_G, self.both_sides = parallel(self.G), parallel(_BothSides(self.D))
        self.adam_G, self.adam_D = self._adam(self.G), self._adam(self.D)
        self.step, self.seconds = 0, 0.0

    def _adam(self, network: nn.Module) -> torch.optim.Adam:
        s, fused = self.settings, self.device.type == "cuda"
        return torch.optim.Adam(network.parameters(), lr=s.lr, betas=(s.beta1, 0.999), fused=fused)

    def _normal(self, *shape: int) -> Tensor:
        """Draw normal numbers for the whole batch, (batch_size, *shape), and return this process's share."""
        drawn = torch.randn(self.settings.batch_size, *shape, generator=self.stream, device=self.device)
        return share(drawn.to(memory_format=torch.channels_last))

    def _noisy(self, images: Tensor) -> Tensor:
        s = self.settings
        progress = min(1.0, self.step / s.noise_steps)
        sigma = s.noise_start + (s.noise_end - s.noise_start) * progress
        return images + sigma * self._normal(*images.shape[1:])

    def _real(self) -> Tensor:
        chosen = torch.randint(len(self.images), (self.settings.batch_size,), generator=self.stream, device=self.device)
        pixels = 2 * resize(self.images[share(chosen)]) - 1
        return pixels[:, None].contiguous(memory_format=torch.channels_last)

    @by_itself
    def advance(self, *, read_losses: bool = True) -> dict[str, float]:
        """Take one step of D and one of G; return both losses, or none of them, which spares a wait for the device."""
        started = time.perf_counter()
        if self.stream is not self.rng:
            self.stream.manual_seed(int(torch.randint(2**62, (), generator=self.rng)))
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            fake = self.parallel_G(self._normal(self.settings.latent, 1, 1))
            real, false = self.both_sides(self._noisy(self._real()), self._noisy(fake.detach()))
            loss_D = _loss(real, 1.0) + _loss(false, 0.0)
        self.adam_D.zero_grad(set_to_none=True)
        loss_D.backward()
        self.adam_D.step()
        self.D.requires_grad_(False)
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            loss_G = _loss(self.D(self._noisy(fake)), 1.0)
        self.adam_G.zero_grad(set_to_none=True)
        loss_G.backward()
        self.adam_G.step()
        self.D.requires_grad_(True)
        average_buffers(self.G, self.D)
        self._update_average()
        losses = {"loss_D": loss_D.item(), "loss_G": loss_G.item()} if read_losses else {}
        self.step += 1
        self.seconds += time.perf_counter() - started
        return losses

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.settings.average, (1 + self.step) / (10 + self.step))
        pairs = list(zip(self.average.state_dict().values(), self.G.state_dict().values(), strict=True))
        kept, new = zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True)
        get_ema_multi_avg_fn(decay)(kept, new, None)
        for count_kept, count_new in (pair for pair in pairs if not pair[0].is_floating_point()):
            count_kept.copy_(count_new)

    def parts(self) -> Parts:
        """Return what a step changes."""
        networks = {"G": self.G, "D": self.D, "average": self.average}
        return Parts(networks, {"adam_G": self.adam_G, "adam_D": self.adam_D}, self.rng)

    def identity(self) -> dict[str, Any]:
        """Return what the run is known by; a longer run is the same one."""
        settings = {key: value for key, value in asdict(self.settings).items() if key != "steps"}
        return {"settings": settings, "data_sha256": self.data_sha256}

    @by_itself
    @torch.no_grad()
    def samples(self, rows: int = 8) -> Tensor:
        """Return rows × rows samples of the averaged generator as one image in [0, 1], for the same z always."""
        z = torch.randn(rows * rows, self.settings.latent, generator=torch.Generator().manual_seed(0))
        images = ImageGenerator(self.average)(z.to(self.device)).reshape(rows, rows, SIDE, SIDE)
        return images.transpose(1, 2).reshape(rows * SIDE, rows * SIDE)

    def trained(self) -> dict[str, Tensor]:
        """Return the tensors that are worth keeping: those of the averaged generator."""
        return self.average.state_dict()

    def prior(self, tensors: Mapping[str, Tensor]) -> ImageGenerator:
        """Return the prior that is loaded from such tensors."""
        network = deepcopy(self.average)
        network.load_state_dict(tensors)
        return ImageGenerator(network)

    def measured(self, prior: Generator) -> dict[str, float]:
        """Return what else a card says of the prior: nothing."""
        return {}
