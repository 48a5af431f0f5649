"""Trained weights as the package carries them: `<name>.safetensors`, and a card, `<name>.json`, that vouches for them.

A card says how the weights were made: architecture, settings, hash of the images, steps, seconds, device; and how well they
represent images that the training never saw. Weights that are not those of their card are refused.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from demod.arguments import told
from demod.artifacts import load_tensors, read_json, save_tensors, sha256, versions, write_json

WEIGHTS = Path(__file__).parents[1] / "weights"


class Run(Protocol):
    """A run of training, as far as a card tells of it; settings are a dataclass and have steps, at which it is over."""

    settings: Any
    images: Tensor
    data_sha256: str
    device: torch.device
    step: int
    seconds: float


def load_card(name: str) -> dict[str, Any]:
    """Return how the shipped generator `name` was made: settings, data hash, seconds, device, representation error.

    Raises
    ------
    ValueError
        If no generator of this name is shipped.
    """
    path = WEIGHTS / f"{name}.json"
    if not isinstance(name, str) or name not in weight_hashes():
        names = ", ".join(weight_hashes()) or "none"
        raise ValueError(f"name is {told(name)}, but the shipped generators are: {names}.")
    return read_json(path)


def load_shipped(name: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the card and the tensors of the shipped weights `name`.

    Raises
    ------
    ValueError
        If no weights of this name are shipped, or their file is not the one the card was written for.
    """
    card, path = load_card(name), WEIGHTS / f"{name}.safetensors"
    if sha256(path) != card["sha256"]:
        raise ValueError(f"{path.name} does not match its card; `make weights` trains it again, or reinstall demod.")
    return card, load_tensors(path)[0]


def weight_hashes() -> dict[str, str]:
    """Return the SHA-256 of all shipped weights, by name."""
    return {path.stem: read_json(path)["sha256"] for path in sorted(WEIGHTS.glob("*.json"))}


def prior_hashes() -> dict[str, str]:
    """Return the SHA-256 of the shipped generators, by name: those weights whose cards know a representation error."""
    return {name: digest for name, digest in weight_hashes().items() if "representation_error" in load_card(name)}


def rounded(name: str, run: Run, state: Mapping[str, Tensor], dtype: torch.dtype = torch.float16) -> dict[str, Tensor]:
    """Return the tensors of a run as they are to be shipped: numbers rounded to `dtype`, counts as they are.

    Raises
    ------
    ValueError
        If the run is not over.
    """
    if run.step < run.settings.steps:
        raise ValueError(f"{name} stands at step {run.step} of {run.settings.steps}; let the training end first.")
    return {key: value.to(dtype) if value.is_floating_point() else value for key, value in state.items()}


def write_shipped(
    name: str, run: Run, tensors: Mapping[str, Tensor], architecture: str, held_out: int, measured: Mapping[str, Any]
) -> dict[str, Any]:
    """Write rounded tensors to `WEIGHTS` as `name`, with their card, and return the card.

    held_out is the number of images that judged them; measured is what the card says of the judgement.
    """
    path, cuda = WEIGHTS / f"{name}.safetensors", run.device.type == "cuda"
    save_tensors(path, tensors, {"name": name})
    dtype = next(value.dtype for value in tensors.values() if value.is_floating_point())
    card = {
        "name": name,
        "architecture": architecture,
        "settings": asdict(run.settings),
        "data_sha256": run.data_sha256,
        "training_images": len(run.images),
        "steps": run.step,
        "seconds": round(run.seconds),
        "device": torch.cuda.get_device_name(run.device) if cuda else f"CPU, {torch.get_num_threads()} threads",
        "dtype": str(dtype).removeprefix("torch."),
        "held_out_images": held_out,
        **measured,
        "sha256": sha256(path),
        "versions": versions(),
    }
    write_json(WEIGHTS / f"{name}.json", card)
    return load_card(name)
