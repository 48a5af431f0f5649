"""The loop of every training: steps, a bar, checkpoints, samples, on one process or several.

A run is a network in training that can take a step, write its whole state to a file, and continue from such a file. A kill
loses at most the steps since the last checkpoint. Of several processes the first writes, and all continue from its file.
"""

from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from demod.arguments import check_counts
from demod.artifacts import atomic_path
from demod.training.distributed import agree, rank

CHECKPOINT = "checkpoint.safetensors"
READ_EVERY = 10  # steps between two readings of the losses


class Run(Protocol):
    """A network in training; settings have steps, at which it is over."""

    @property
    def settings(self) -> Any: ...  # noqa: D102

    device: torch.device
    step: int

    def advance(self, *, read_losses: bool = True) -> dict[str, float]:
        """Take a step; return the losses by name, or none of them, which spares a wait for the device."""

    def save(self, path: Path) -> None:
        """Write the whole state."""

    def restore(self, path: Path) -> None:
        """Continue from what `save` wrote."""


@runtime_checkable
class Pictured(Protocol):
    """A run that shows what its network makes by now."""

    def samples(self) -> Tensor:
        """Return one image in [0, 1], shape (height, width)."""


R = TypeVar("R", bound=Run)


def train(
    run: R, folder: Path | None = None, *, checkpoint_every: int = 100, samples_every: int = 500, progress: bool = True
) -> R:
    """Train a run to its end, or continue the one that `folder` holds; None keeps nothing on disk. Return the run.

    Raises
    ------
    ValueError
        If the run in `folder` has other settings or images or is past its end, or not all processes see it.
    """
    check_counts(checkpoint_every=checkpoint_every, samples_every=samples_every)
    if folder is not None and (folder / CHECKPOINT).exists():
        run.restore(folder / CHECKPOINT)
    if not agree(run.step, run.device):
        raise ValueError(f"{CHECKPOINT} is not the same for all processes; choose a folder that every machine can see.")
    first, steps = rank() == 0, run.settings.steps
    if run.step > steps:
        raise ValueError(f"{folder} holds a run at step {run.step}, past the {steps} of the settings; use another folder.")
    with tqdm(total=steps, initial=run.step, unit="step", disable=not (progress and first), mininterval=5) as bar:
        while run.step < steps:
            losses = run.advance(read_losses=(run.step + 1) % READ_EVERY == 0)
            if losses:
                bar.set_postfix({name: f"{loss:.2e}" for name, loss in losses.items()}, refresh=False)
            bar.update()
            if folder is not None and first:
                _write(run, folder, checkpoint_every, samples_every)
    return run


def _write(run: Run, folder: Path, checkpoint_every: int, samples_every: int) -> None:
    last = run.step == run.settings.steps
    if isinstance(run, Pictured) and (last or run.step % samples_every == 0):
        pixels = (255 * run.samples().clamp(0, 1)).round().to(torch.uint8).cpu().numpy()
        with atomic_path(folder / f"samples-{run.step:06d}.png") as temporary:
            Image.fromarray(pixels).save(temporary, format="PNG")
    if last or run.step % checkpoint_every == 0:
        run.save(folder / CHECKPOINT)


def check_images(images: np.ndarray, shape: tuple[int, int] | None = None) -> None:
    """Raise unless images are uint8 (N, height, width) with N ≥ 1, of the given height and width if there is one."""
    height, width = shape or ("height", "width")
    right = isinstance(images, np.ndarray) and images.ndim == 3 and images.dtype == np.uint8 and len(images) > 0
    if not right or (shape is not None and images.shape[1:] != shape):
        given = f"{images.dtype} {images.shape}" if isinstance(images, np.ndarray) else f"a {type(images).__name__}"
        raise ValueError(f"images are {given}, but training needs uint8 (N, {height}, {width}) with N ≥ 1.")
