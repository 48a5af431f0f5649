"""Adversarial training of DCGANs, resumable after every step.

It plays min_G max_D E log D(x + σn) + E log(1 - D(G(z) + σn)) in its non-saturating form, z ~ N(0, I), n ~ N(0, I).
Every image that the discriminator sees carries this instance noise; σ falls linearly to a floor. Without it the
discriminator wins at once and the generator stays noise. What is kept is the exponential moving average of the generator.

References
----------
C. Kaae Sønderby et al. Amortised MAP inference for image super-resolution. ICLR 2017 (instance noise).
"""

import time
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim.swa_utils import get_ema_multi_avg_fn
from tqdm import tqdm

from demod.artifacts import atomic_path, sha256
from demod.data import SIDE, distortion_images, invert, load_mnist, resize
from demod.dcgan import discriminator_network, generator_network
from demod.priors.image import ImageGenerator, representation_error
from demod.priors.weights import rounded, write_shipped
from demod.training.checkpoints import Networks, Optimisers, restore_run, save_run
from demod.training.distributed import agree, average_buffers, count, parallel, rank, share

READ_EVERY = 10  # steps between two readings of the losses


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


SETTINGS = {
    "digits": TrainingSettings(latent=100, base_width=64, steps=3000),
    "distortions": TrainingSettings(latent=50, base_width=16, steps=5000),
}


def training_images(name: str) -> np.ndarray:
    """Return the uint8 (N, 28, 28) images that `name` is trained on: "digits" (inverted MNIST) or "distortions"."""
    if name not in SETTINGS:
        raise ValueError(f"name is {name!r}, but there are settings for {', '.join(SETTINGS)}.")
    return invert(load_mnist("train")[0]) if name == "digits" else distortion_images()


def _initialise(module: nn.Module) -> None:
    """Draw weights as DCGAN does: N(0, 0.02²), and N(1, 0.02²) for the scales of batch normalisation."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1, 0.02)


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


class Training:
    """A run of DCGAN training that can stop after any step and go on, on the CPU bit for bit.

    All randomness comes from one CPU stream; it, both networks, both optimisers, the average and the step are the state.
    The bits are those of one machine, thread count, number of processes and version of torch. Images stay on the device;
    off the CPU, the stream seeds another on the device for each step, so that noise is drawn where it is needed.

    Of several processes (`demod.training.distributed`) each takes its share of every batch and normalises by that share's
    statistics. compiled has torch compile both networks.
    """

    def __init__(
        self,
        images: np.ndarray,
        settings: TrainingSettings,
        device: torch.device | str = "cpu",
        *,
        compiled: bool = False,
    ) -> None:
        if images.ndim != 3 or images.dtype != np.uint8 or not len(images):
            raise ValueError(
                f"images are {images.dtype} {images.shape}, but training needs uint8 (N, height, width) with N ≥ 1."
            )
        if settings.batch_size % count():
            raise ValueError(
                f"batch_size is {settings.batch_size}, but {count()} processes need a multiple of {count()}; "
                "start another number of processes, or choose another batch size."
            )
        self.settings, self.device = settings, torch.device(device)
        self.images = torch.from_numpy(np.array(images)).to(self.device)
        self.data_sha256 = sha256(images)
        self.rng = torch.Generator().manual_seed(settings.seed)
        self.stream = self.rng if self.device.type == "cpu" else torch.Generator(self.device)
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            G, D = generator_network(settings.latent, settings.base_width), discriminator_network(settings.base_width)
            G.apply(_initialise), D.apply(_initialise)
        self.G = G.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's stubs lack memory_format
        self.D = D.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's stubs lack memory_format
        self.average = deepcopy(self.G).requires_grad_(False)
        if compiled:
            self.G.compile(), self.D.compile()
        self.parallel_G, self.both_sides = parallel(self.G), parallel(_BothSides(self.D))
        adam: dict[str, Any] = {"lr": settings.lr, "betas": (settings.beta1, 0.999), "fused": self.device.type == "cuda"}
        self.adam_G, self.adam_D = (
            torch.optim.Adam(self.G.parameters(), **adam),
            torch.optim.Adam(self.D.parameters(), **adam),
        )
        self.step, self.seconds = 0, 0.0

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

    def _parts(self) -> tuple[Networks, Optimisers, torch.Generator]:
        networks = {"G": self.G, "D": self.D, "average": self.average}
        return networks, {"adam_G": self.adam_G, "adam_D": self.adam_D}, self.rng

    def save(self, path: Path) -> None:
        """Write the whole state to `path` (.safetensors), atomically."""
        save_run(path, *self._parts(), self._identity() | {"step": self.step, "seconds": self.seconds})

    def restore(self, path: Path) -> None:
        """Continue from what `save` wrote.

        Raises
        ------
        ValueError
            If `path` belongs to other settings or other images.
        """
        header = restore_run(path, *self._parts(), self._identity())
        self.step, self.seconds = header["step"], header["seconds"]

    def _identity(self) -> dict[str, object]:
        settings = {key: value for key, value in asdict(self.settings).items() if key != "steps"}
        return {"settings": settings, "data_sha256": self.data_sha256}

    @torch.no_grad()
    def samples(self, rows: int = 8) -> Tensor:
        """Return rows × rows samples of the averaged generator as one image in [0, 1], for the same z always."""
        z = torch.randn(rows * rows, self.settings.latent, generator=torch.Generator().manual_seed(0))
        images = ImageGenerator(self.average)(z.to(self.device)).reshape(rows, rows, SIDE, SIDE)
        return images.transpose(1, 2).reshape(rows * SIDE, rows * SIDE)


def _write_png(path: Path, image: Tensor) -> None:
    with atomic_path(path) as temporary:
        Image.fromarray((255 * image.clamp(0, 1)).round().to(torch.uint8).cpu().numpy()).save(temporary, format="PNG")


def train(
    images: np.ndarray,
    settings: TrainingSettings,
    folder: Path,
    *,
    device: torch.device | str = "cpu",
    compiled: bool = False,
    checkpoint_every: int = 100,
    samples_every: int = 500,
    progress: bool = True,
) -> Training:
    """Train a DCGAN on uint8 (N, height, width) images, or continue the run that `folder` holds.

    A kill loses at most `checkpoint_every` steps. Samples of the averaged generator are written to `folder` every
    `samples_every` steps. Of several processes the first writes, and all continue from what it wrote.

    Raises
    ------
    ValueError
        If the run in `folder` has other settings or images, or not all processes see it.
    """
    run = Training(images, settings, device, compiled=compiled)
    checkpoint = folder / "checkpoint.safetensors"
    if checkpoint.exists():
        run.restore(checkpoint)
    if not agree(run.step, run.device):
        raise ValueError(f"{checkpoint} is not the same for all processes; choose a folder that every machine can see.")
    first = rank() == 0
    with tqdm(total=settings.steps, initial=run.step, unit="step", disable=not (progress and first), mininterval=5) as bar:
        while run.step < settings.steps:
            losses = run.advance(read_losses=(run.step + 1) % READ_EVERY == 0)
            if losses:
                bar.set_postfix({name: f"{loss:.2f}" for name, loss in losses.items()}, refresh=False)
            bar.update()
            last = run.step == settings.steps
            if first and (last or run.step % samples_every == 0):
                _write_png(folder / f"samples-{run.step:06d}.png", run.samples())
            if first and (last or run.step % checkpoint_every == 0):
                run.save(checkpoint)
    return run


def ship(name: str, run: Training, held_out: Tensor, *, dtype: torch.dtype = torch.float16) -> dict[str, Any]:
    """Write the averaged generator of `run` to `demod/weights`, with its card, and return the card.

    held_out are images (N, 64, 64) in [0, 1] that the training never saw; their representation error goes into the card.
    """
    tensors = rounded(name, run, run.average.state_dict(), dtype)
    network = deepcopy(run.average)
    network.load_state_dict(tensors)
    error = representation_error(ImageGenerator(network), held_out.to(run.device))
    return write_shipped(name, run, tensors, "DCGAN generator, 64 × 64, moving average of the weights", error, {})
