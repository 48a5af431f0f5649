"""A run of training as one file: its networks, Adam's moments, the random stream, and what the run is known by.

A run that was cut off goes on from such a file as if it had not been, on the CPU bit for bit.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from demod.artifacts import load_tensors, save_tensors

Networks = Mapping[str, nn.Module]
Optimisers = Mapping[str, Optimizer]


def save_run(
    path: Path, networks: Networks, optimisers: Optimisers, rng: torch.Generator, header: Mapping[str, Any]
) -> None:
    """Write the state of a run to `path` (.safetensors), atomically; header holds what is no tensor, as JSON has it."""
    tensors = {f"{name}.{key}": value for name, network in networks.items() for key, value in network.state_dict().items()}
    for name, optimiser in optimisers.items():
        for i, moments in optimiser.state_dict()["state"].items():
            tensors |= {f"{name}.{i}.{key}": value for key, value in moments.items()}
    save_tensors(path, tensors | {"rng": rng.get_state()}, header)


def restore_run(
    path: Path, networks: Networks, optimisers: Optimisers, rng: torch.Generator, identity: Mapping[str, Any]
) -> dict[str, Any]:
    """Bring networks, optimisers and stream to the state that `save_run` wrote; return its header.

    Raises
    ------
    ValueError
        If the header does not hold `identity`: `path` belongs to other settings or other images.
    """
    tensors, header = load_tensors(path)
    if different := sorted(key for key in identity if header.get(key) != identity[key]):
        raise ValueError(f"{path} was written with other {', '.join(different)}; train in another folder or delete it.")
    for name, network in networks.items():
        network.load_state_dict({key: tensors[f"{name}.{key}"] for key in network.state_dict()})
    for name, optimiser in optimisers.items():
        state: dict[int, dict[str, Tensor]] = {}
        for key in (key for key in tensors if key.startswith(f"{name}.")):
            _, i, moment = key.split(".")
            state.setdefault(int(i), {})[moment] = tensors[key]
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    rng.set_state(tensors["rng"])
    return header
