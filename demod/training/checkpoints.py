"""A run of training as one file: its networks, Adam's moments, the random stream, and what the run is known by.

A run that was cut off goes on from such a file as if it had not been, on the CPU bit for bit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from demod.artifacts import load_tensors, save_tensors
from demod.torch_state import by_itself


@dataclass(frozen=True)
class Parts:
    """What a step changes: networks and optimisers, by name, and the random stream."""

    networks: Mapping[str, nn.Module]
    optimisers: Mapping[str, Optimizer]
    rng: torch.Generator


class Resumable(Protocol):
    """A run of training that can stop after any step and go on."""

    step: int
    seconds: float

    def parts(self) -> Parts:
        """Return what a step changes."""

    def identity(self) -> dict[str, Any]:
        """Return what the run is known by, as JSON has it: settings and a hash of the images."""


def save_run(run: Resumable, path: Path) -> None:
    """Write the whole state of a run to `path` (.safetensors), atomically."""
    parts = run.parts()
    tensors = {
        f"{name}.{key}": value for name, network in parts.networks.items() for key, value in network.state_dict().items()
    }
    for name, optimiser in parts.optimisers.items():
        for i, moments in optimiser.state_dict()["state"].items():
            tensors |= {f"{name}.{i}.{key}": value for key, value in moments.items()}
    header = run.identity() | {"step": run.step, "seconds": run.seconds}
    save_tensors(path, tensors | {"rng": parts.rng.get_state()}, header)


def restore_run(run: Resumable, path: Path) -> None:
    """Bring a run to the state that `save_run` wrote.

    Raises
    ------
    ValueError
        If `path` belongs to a run with other settings or other images.
    """
    tensors, header = load_tensors(path)
    identity, parts = run.identity(), run.parts()
    if different := sorted(key for key in identity if header.get(key) != identity[key]):
        raise ValueError(f"{path} was written with other {', '.join(different)}; train in another folder or delete it.")
    for name, network in parts.networks.items():
        network.load_state_dict({key: tensors[f"{name}.{key}"] for key in network.state_dict()})
    for name, optimiser in parts.optimisers.items():
        state: dict[int, dict[str, Tensor]] = {}
        for key in (key for key in tensors if key.startswith(f"{name}.")):
            _, i, moment = key.split(".")
            state.setdefault(int(i), {})[moment] = tensors[key]
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    parts.rng.set_state(tensors["rng"])
    run.step, run.seconds = header["step"], header["seconds"]


class Saved:
    """What a `Resumable` inherits to save and restore itself."""

    def save(self: Resumable, path: Path) -> None:
        """Write the whole state to `path` (.safetensors), atomically."""
        save_run(self, path)

    @by_itself
    def restore(self: Resumable, path: Path) -> None:
        """Continue from what `save` wrote; a run of other settings or images is a ValueError."""
        restore_run(self, path)
