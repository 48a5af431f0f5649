"""Several processes that torchrun starts: one for each GPU (NCCL), or any number on the CPU (gloo).

All processes draw the same random numbers and each works on its share of a batch. `DistributedDataParallel` averages the
gradients, so that all of them take the same steps. In a process that stands alone nothing here does anything.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import parameters_to_vector, vector_to_parameters


@contextmanager
def processes(device: torch.device | str) -> Iterator[torch.device]:
    """Join the other processes if torchrun started this one, and yield its device, a GPU of its own where it is CUDA."""
    device = torch.device(device)
    if not distributed.is_torchelastic_launched():
        yield device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        distributed.destroy_process_group()


def count() -> int:
    """Return how many processes work together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Return the number of this process; process 0 writes the files."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def share(batch: Tensor) -> Tensor:
    """Return the rows of `batch` that are this process's, as many as every other's."""
    return batch.chunk(count())[rank()]


def parallel(network: nn.Module) -> nn.Module:
    """Return `network`, in a wrapper that averages its gradients over the processes: one forward pass for one backward."""
    return DistributedDataParallel(network) if count() > 1 else network


@torch.no_grad()
def average_buffers(*networks: nn.Module) -> None:
    """Replace running statistics by their means over the processes, each of which has seen its own share."""
    if count() > 1:
        buffers = [buffer for network in networks for buffer in network.buffers() if buffer.is_floating_point()]
        total = parameters_to_vector(buffers)
        distributed.all_reduce(total)
        vector_to_parameters(total / count(), buffers)


def agree(number: int, device: torch.device) -> bool:
    """Return whether all processes have the same number."""
    if count() == 1:
        return True
    extremes = torch.tensor([number, -number], device=device)
    distributed.all_reduce(extremes, distributed.ReduceOp.MAX)
    return bool(extremes.sum() == 0)
