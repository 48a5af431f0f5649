"""Encoders from pictures to codes, trained on the residual itself through two generators that stand still.

The encoder E maps a picture y = w0 ⊙ x0, divided by its peak, to (h, m), and minimises

    E f(h, m),        f(h, m) = 1/2 ‖G1(h) ⊙ G2(m) - y‖²,

the objective (2), over digits of the training set and the paper's distortions with parameters anywhere in their ranges. No
other loss guides it and no codes are given: the gradient of (2) at the codes that E returns goes on into its weights. It
begins at the centres of the priors, for a ReLU network that sees the code zero has no gradient.

A refinement is trained alike, on the residual after it has corrected the codes of an encoder that stands still.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from demod.arguments import check_counts, check_positive, check_seed
from demod.artifacts import sha256
from demod.data import CENTRES, SPREADS, distortion, resize
from demod.dcgan import load_generator
from demod.demodulation import infer, score
from demod.generators import CentredGenerator, Generator
from demod.objective import gradient, objective
from demod.priors.encoder import (
    SEEN,
    Encoder,
    at_full_brightness,
    encoder_network,
    load_encoder,
    seen_by_refinement,
)
from demod.priors.relu import load_prior
from demod.priors.weights import load_card
from demod.torch_state import by_itself
from demod.training.checkpoints import Parts, Saved
from demod.training.distributed import count
from demod.training.loop import check_images


@dataclass(frozen=True)
class EncoderSettings:
    """Everything that decides a training run, besides the images.

    signal and modulator name the shipped generators, channels and hidden the encoder's layers; refines names the encoder
    whose answers are to be refined, if that is what is trained. lr is AdamW's; it rises during the first warm_up steps and
    falls to zero, both along straight lines.
    """

    signal: str
    modulator: str
    steps: int
    channels: tuple[int, ...] = (32, 96, 192, 256)
    hidden: int = 512
    batch_size: int = 32
    lr: float = 1e-3
    weight_decay: float = 1e-2
    warm_up: int = 200
    seed: int = 2019
    refines: str | None = None

    def __post_init__(self) -> None:
        """Raise unless the values can be meant."""
        check_counts(hidden=self.hidden, warm_up=self.warm_up)
        check_counts(2, batch_size=self.batch_size)  # one picture has no variance
        check_counts(self.warm_up + 1, steps=self.steps)
        check_positive(lr=self.lr)
        check_seed(self.seed)


def shipped_generator(name: str, *, device: torch.device, dtype: torch.dtype = torch.float32) -> Generator:
    """Return the shipped generator `name`: a ReLU prior in float32, or a DCGAN with weights in `dtype`."""
    if name.startswith("relu-"):
        return load_prior(name.removeprefix("relu-"), device=device)
    return load_generator(name, device=device, dtype=dtype)


def _centre(G: Generator) -> Tensor:
    return G.centre.cpu() if isinstance(G, CentredGenerator) else torch.zeros(G.widths[0])


class Encoding(Saved):
    """A run of training that can stop after any step and go on, on the CPU bit for bit."""

    architecture = "encoder of stride-2 convolutions with batch normalisation and a hidden layer, 64 × 64 to two codes"

    @by_itself
    def __init__(self, images: np.ndarray, settings: EncoderSettings, device: torch.device | str = "cpu") -> None:
        check_images(images, (28, 28))
        if count() > 1:
            raise ValueError(f"{count()} processes were started, but an encoder trains in one; leave torchrun out.")
        self.settings, self.device = settings, torch.device(device)
        self.images = torch.from_numpy(np.array(images)).to(self.device)
        self.data_sha256 = sha256(images)
        self.rng = torch.Generator().manual_seed(settings.seed)
        self.G1, self.G2 = (
            shipped_generator(name, device=self.device, dtype=torch.bfloat16)
            for name in (settings.signal, settings.modulator)
        )
        self.refined = None if settings.refines is None else load_encoder(settings.refines, device=device, refined=False)
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            network = self._new_network()
        last = cast(nn.Linear, network[-1])
        with torch.no_grad():
            if self.refined is None:
                last.bias.copy_(torch.cat([_centre(self.G1), _centre(self.G2)]))
            else:  # begins by leaving the answer nearly as it is
                last.weight.mul_(0.1)
                last.bias.zero_()
        self.network = network.to(self.device)
        self.adam = torch.optim.AdamW(self.network.parameters(), weight_decay=settings.weight_decay)
        self.step, self.seconds = 0, 0.0

    def _new_network(self) -> nn.Sequential:
        """Return a network of these settings."""
        entries = self.G1.widths[0] + self.G2.widths[0]
        seen = 1 if self.refined is None else SEEN
        return encoder_network(self.settings.channels, self.settings.hidden, entries, seen=seen)

    def _codes(self, y: Tensor) -> Tensor:
        """Return codes (B, n + p) for pictures (B, 64, 64), differentiable in the weights of the network."""
        if self.refined is None:
            with torch.autocast(self.device.type, dtype=torch.bfloat16):
                return self.network(y[:, None]).float()
        h, m = self.refined(y)
        with torch.no_grad():
            seen = seen_by_refinement(y, self.G1(h).view_as(y), self.G2(m).view_as(y))
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            correction = self.network(seen).float()
        return torch.cat([h, m], 1) + correction

    def _pictures(self) -> Tensor:
        """Return a batch of new pictures (B, 64, 64): digits under distortions from anywhere in the paper's ranges."""
        chosen = torch.randint(len(self.images), (self.settings.batch_size,), generator=self.rng)
        unit = torch.rand(2, self.settings.batch_size, generator=self.rng, dtype=torch.float64).numpy()
        c, sigma = (low + (high - low) * u for u, (low, high) in zip(unit, (CENTRES, SPREADS), strict=True))
        modulators = resize(distortion(c, sigma)).to(self.device)
        return at_full_brightness(resize(self.images[chosen.to(self.device)]) * modulators)

    @by_itself
    def advance(self, *, read_losses: bool = True) -> dict[str, float]:
        """Take one step; return the mean-squared residual, or nothing."""
        started, s = time.perf_counter(), self.settings
        fall = min((self.step + 1) / s.warm_up, (s.steps - self.step) / (s.steps - s.warm_up))
        for group in self.adam.param_groups:
            group["lr"] = s.lr * fall
        y = self._pictures()
        codes = self._codes(y)
        y, n = y.flatten(1), self.G1.widths[0]
        h, m = codes.detach()[:, :n].contiguous(), codes.detach()[:, n:].contiguous()
        self.adam.zero_grad(set_to_none=True)
        codes.backward(torch.cat(gradient(self.G1, self.G2, h, m, y), -1) / len(y))
        self.adam.step()
        losses = {"residual": objective(self.G1, self.G2, h, m, y).mean().item() * 2 / y.shape[1]} if read_losses else {}
        self.step += 1
        self.seconds += time.perf_counter() - started
        return losses

    def parts(self) -> Parts:
        """Return what a step changes."""
        return Parts({"network": self.network}, {"adam": self.adam}, self.rng)

    def identity(self) -> dict[str, Any]:
        """Return what the run is known by; the steps decide the step sizes, so that a longer run is another one."""
        settings = asdict(self.settings) | {"channels": list(self.settings.channels)}  # as JSON has them
        return {"settings": settings, "data_sha256": self.data_sha256}

    def trained(self) -> dict[str, Tensor]:
        """Return the tensors that are worth keeping."""
        return self.network.state_dict()

    def encoder(self, tensors: Mapping[str, Tensor]) -> Encoder:
        """Return the encoder that is loaded from such tensors."""
        network = self._new_network()
        network.load_state_dict(tensors)
        network, latents = network.to(self.device), (self.G1.widths[0], self.G2.widths[0])
        if self.refined is None:
            return Encoder(network, latents)
        return Encoder(self.refined.network, latents, refinement=network)

    def measured(self, tensors: Mapping[str, Tensor], held_out: Tensor) -> dict[str, Any]:
        """Return what a card says of the encoder: its generators, and its scores on pairs of images, (2, N, 64, 64)."""
        s, (signals, modulators) = self.settings, held_out.to(self.device)
        encoder = self.encoder(tensors)
        G1, G2 = (shipped_generator(name, device=self.device) for name in (s.signal, s.modulator))
        found = infer(signals * modulators, encoder=encoder, signal_prior=G1, modulator_prior=G2)
        return {
            "latents": list(encoder.latents),
            "through": {name: load_card(name)["sha256"] for name in (s.signal, s.modulator, s.refines) if name},
            "signal_psnr": _spread(score(found.signal, signals).psnr, 0.1),
            "modulator_psnr": _spread(score(found.modulator, modulators).psnr, 0.1),
            "mean_squared_residual": _spread(found.relative_residual, 0.9),
        }


def _spread(values: Tensor, tail: float) -> dict[str, float]:
    """Return the median of N numbers, and what one in ten is worse than."""
    return {"median": values.median().item(), "one_in_ten": values.quantile(tail).item()}
