"""Networks of the theorems' class as priors for images: bias-free ReLU networks whose weights are trained.

    G(z) = relu(R W_d … relu(W_2 relu(W_1 z))),

without biases, where R resizes 28 × 28 pixels to 64 × 64 and is linear, so that R W_d is the last layer's matrix. Such a G
is positively homogeneous: the hyperbolas, the sign check and the balancing mean for it what they mean in the paper, and
Algorithm 1 applies verbatim. What the theorems assume beyond that, weights that are random, is given up.

G is the decoder of an autoencoder. An encoder E maps an image to the sphere of radius √n, and both minimise

    E ‖R† G(E(x) + s ζ) - x‖²,        ζ ~ N(0, I),

in 28 × 28 pixels and before the last ReLU, which can only come closer to an image that is not negative. The noise of
standard deviation s spreads the codes over the sphere, so that a random direction decodes to an image. E is then dropped.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from tqdm import tqdm

from demod.artifacts import load_tensors, save_tensors, sha256, versions, write_json
from demod.data import FAMILIES, distortion_images, invert, load_mnist, modulator_images, resize
from demod.dcgan import WEIGHTS, load_shipped, representation_error
from demod.generators import ReLUGenerator

PIXELS = 28 * 28
FAMILY_IMAGES = 8100  # training images of a family of modulators: as many as the paper has distortions
FAMILY_SEED = 1


@dataclass(frozen=True)
class AutoencoderSettings:
    """Everything that decides a training run, besides the images.

    widths are (n, …) without the pixels; encoder is the width of the encoder's hidden layer; noise is s; lr is Adam's and
    falls to zero as a half cosine over the steps.
    """

    widths: tuple[int, ...]
    steps: int
    encoder: int = 512
    batch_size: int = 128
    lr: float = 1e-3
    noise: float = 0.02
    seed: int = 2019


SETTINGS = {"digits": AutoencoderSettings((100, 1000), steps=12_000, noise=0.25)} | {
    family: AutoencoderSettings((50, 250), steps=8_000, encoder=256) for family in FAMILIES
}


def training_images(name: str) -> np.ndarray:
    """Return the uint8 (N, 28, 28) images that the prior `name` is trained on: "digits" or a family of modulators.

    The family "bump" is the paper's: its training set is the paper's grid of 8,100 distortions.
    """
    if name not in SETTINGS:
        raise ValueError(f"name is {name!r}, but there are settings for {', '.join(SETTINGS)}.")
    if name == "digits":
        return invert(load_mnist("train")[0])
    return distortion_images() if name == "bump" else modulator_images(name, FAMILY_IMAGES, FAMILY_SEED)


def initial_weights(settings: AutoencoderSettings) -> tuple[Tensor, ...]:
    """Return W_1, …, W_d as the training starts with them: those of `ReLUGenerator.gaussian`, in 28 × 28 pixels."""
    rng = torch.Generator().manual_seed(settings.seed)
    return ReLUGenerator.gaussian((*settings.widths, PIXELS), rng, dtype=torch.float32).weights


def image_prior(weights: Sequence[Tensor]) -> ReLUGenerator:
    """Return G onto R^4096 for trained W_1, …, W_d, scaled so that codes of norm √n decode to images in [0, 1]."""
    R = resize(255 * torch.eye(PIXELS).reshape(PIXELS, 28, 28)).flatten(1).T
    first, *inner, last = weights
    return ReLUGenerator([_gain(weights) * first, *inner, R @ last])


def _gain(weights: Sequence[Tensor]) -> float:
    """Return what makes up for the halving of the energy by each layer of a Gaussian network, per entry of the code."""
    return 2 ** (len(weights) / 2) * (PIXELS / weights[0].shape[-1]) ** 0.5


class Autoencoding:
    """A run of training that can stop after any step and go on, on one thread bit for bit."""

    def __init__(self, images: np.ndarray, settings: AutoencoderSettings, device: torch.device | str = "cpu") -> None:
        if images.ndim != 3 or images.shape[1:] != (28, 28) or images.dtype != np.uint8 or not len(images):
            raise ValueError(f"images are {images.dtype} {images.shape}, but training needs uint8 (N, 28, 28) with N ≥ 1.")
        self.settings, self.device = settings, torch.device(device)
        self.images = torch.from_numpy(np.array(images)).flatten(1).to(self.device)
        self.data_sha256 = sha256(images)
        self.rng = torch.Generator().manual_seed(settings.seed)
        self.weights = [nn.Parameter(W.to(self.device)) for W in initial_weights(settings)]
        n, width = settings.widths[0], settings.encoder
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            self.encoder = nn.Sequential(nn.Linear(PIXELS, width), nn.ReLU(), nn.Linear(width, n)).to(self.device)
        self.adam = torch.optim.Adam([*self.weights, *self.encoder.parameters()], lr=settings.lr)
        self.step, self.seconds = 0, 0.0

    def encode(self, images: Tensor) -> Tensor:
        """Return codes of norm √n for images (B, 784) in [0, 1]."""
        return normalize(self.encoder(1 - images), dim=-1) * self.settings.widths[0] ** 0.5

    def decode(self, z: Tensor) -> Tensor:
        """Return the images (B, 784) before the last ReLU."""
        z = _gain(self.weights) * z
        for W in self.weights[:-1]:
            z = (z @ W.T).relu()
        return z @ self.weights[-1].T

    def advance(self) -> Tensor:
        """Take one step; return the mean-squared error."""
        started, s = time.perf_counter(), self.settings
        for group in self.adam.param_groups:
            group["lr"] = s.lr * (1 + math.cos(math.pi * self.step / s.steps)) / 2
        chosen = torch.randint(len(self.images), (s.batch_size,), generator=self.rng)
        images = self.images[chosen.to(self.device)].float() / 255
        zeta = torch.randn(s.batch_size, s.widths[0], generator=self.rng).to(self.device)
        error = (self.decode(self.encode(images) + s.noise * zeta) - images).square().mean()
        self.adam.zero_grad(set_to_none=True)
        error.backward()
        self.adam.step()
        self.step += 1
        self.seconds += time.perf_counter() - started
        return error.detach()

    def save(self, path: Path) -> None:
        """Write the whole state to `path` (.safetensors), atomically."""
        tensors = {f"weights.{i}": W for i, W in enumerate(self.weights)} | self.encoder.state_dict(prefix="encoder.")
        for i, moments in self.adam.state_dict()["state"].items():
            tensors |= {f"adam.{i}.{key}": value for key, value in moments.items()}
        tensors["rng"] = self.rng.get_state()
        save_tensors(path, tensors, self._identity() | {"step": self.step, "seconds": self.seconds})

    def restore(self, path: Path) -> None:
        """Continue from what `save` wrote.

        Raises
        ------
        ValueError
            If `path` belongs to other settings or other images.
        """
        tensors, header = load_tensors(path)
        mine = self._identity()
        if different := sorted(key for key in mine if header.get(key) != mine[key]):
            raise ValueError(f"{path} was written with other {', '.join(different)}; train in another folder or delete it.")
        with torch.no_grad():
            for i, W in enumerate(self.weights):
                W.copy_(tensors[f"weights.{i}"])
        self.encoder.load_state_dict({key: tensors[f"encoder.{key}"] for key in self.encoder.state_dict()})
        state: dict[int, dict[str, Tensor]] = {}
        for key in (key for key in tensors if key.startswith("adam.")):
            _, i, moment = key.split(".")
            state.setdefault(int(i), {})[moment] = tensors[key]
        self.adam.load_state_dict({"state": state, "param_groups": self.adam.state_dict()["param_groups"]})
        self.rng.set_state(tensors["rng"])
        self.step, self.seconds = header["step"], header["seconds"]

    def _identity(self) -> dict[str, object]:
        settings = asdict(self.settings)
        return {"settings": settings | {"widths": list(self.settings.widths)}, "data_sha256": self.data_sha256}


def train(
    images: np.ndarray,
    settings: AutoencoderSettings,
    folder: Path | None = None,
    *,
    device: torch.device | str = "cpu",
    checkpoint_every: int = 1000,
    progress: bool = True,
) -> Autoencoding:
    """Train a prior on uint8 (N, 28, 28) images, or continue the run that `folder` holds; None keeps nothing on disk."""
    run = Autoencoding(images, settings, device)
    checkpoint = None if folder is None else folder / "checkpoint.safetensors"
    if checkpoint is not None and checkpoint.exists():
        run.restore(checkpoint)
    with tqdm(total=settings.steps, initial=run.step, unit="step", disable=not progress, mininterval=5) as bar:
        while run.step < settings.steps:
            error = run.advance()
            bar.update()
            if run.step % checkpoint_every == 0 or run.step == settings.steps:
                bar.set_postfix({"error": f"{error:.2e}"})
                if checkpoint is not None:
                    run.save(checkpoint)
    return run


def load_weights(name: str) -> tuple[Tensor, ...]:
    """Return the trained W_1, …, W_d of a shipped prior, float32, the last in 28 × 28 pixels.

    Raises
    ------
    ValueError
        If no prior of this name is shipped, or its file is not the one its card was written for.
    """
    _, tensors = load_shipped(f"relu-{name}")
    return tuple(tensors[f"weights.{i}"].float() for i in range(len(tensors)))


def load_prior(name: str, *, device: torch.device | str = "cpu") -> ReLUGenerator:
    """Return a shipped prior onto R^4096, float32: "digits" (n = 100) or a family of `demod.data.FAMILIES` (p = 50)."""
    return image_prior(load_weights(name)).to(device=device)


def ship(name: str, run: Autoencoding, held_out: Tensor, *, folder: Path = WEIGHTS) -> dict:
    """Write the decoder of `run` in half precision to `folder` as relu-`name`, with its card, and return the card.

    held_out are images (N, 64, 64) in [0, 1] that the training never saw; their representation error goes into the card.
    """
    if run.step < run.settings.steps:
        raise ValueError(f"{name} stands at step {run.step} of {run.settings.steps}; let the training end first.")
    weights = [W.detach().half() for W in run.weights]
    path = folder / f"relu-{name}.safetensors"
    save_tensors(path, {f"weights.{i}": W for i, W in enumerate(weights)}, {"name": f"relu-{name}"})
    error = representation_error(image_prior([W.float() for W in weights]), held_out.to(run.device))
    card = {
        "name": f"relu-{name}",
        "architecture": "bias-free ReLU network, decoder of an autoencoder in 28 × 28 pixels, resized to 64 × 64",
        **run._identity(),
        "training_images": len(run.images),
        "steps": run.step,
        "seconds": round(run.seconds),
        "device": torch.cuda.get_device_name(run.device)
        if run.device.type == "cuda"
        else f"CPU, {torch.get_num_threads()} threads",
        "dtype": "float16",
        "held_out_images": len(held_out),
        "representation_error": {"median": error.median().item(), "mean": error.mean().item(), "worst": error.max().item()},
        "sha256": sha256(path),
        "versions": versions(),
    }
    write_json(folder / f"relu-{name}.json", card)
    return card
