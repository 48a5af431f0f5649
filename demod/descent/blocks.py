"""Which problems go through Algorithm 1 together: those that share their networks, or all that have networks of their own.

A block is small enough for its vectors to fit into the cache.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from demod.generators import Generator, ReLUGenerator, networks, pick

WORKING_SET = {"cpu": 2**23, "cuda": 2**32}  # bytes that a block of problems works on
VECTORS = 14  # of length ℓ that the iteration holds for each problem


def blocks(G1: Generator, G2: Generator, batch: torch.Size, y: Tensor) -> Iterator[tuple[Tensor, Generator, Generator]]:
    """Split the problems y (B, ℓ) of a flattened batch; yield rows of y, and the networks of these.

    Problems with the same two networks go together, and so do problems that have networks of their own.
    """
    numbers = torch.stack([_network_numbers(G, batch) for G in (G1, G2)])
    pairs, group = numbers.unique(dim=1, return_inverse=True)
    own = pairs.shape[1] == numbers.shape[1] > 1
    size = VECTORS * y.element_size() * y.shape[-1] + (sum(_network_bytes(G) for G in (G1, G2)) if own else 0)
    limit = max(1, WORKING_SET.get(y.device.type, WORKING_SET["cuda"]) // size)
    for k in range(1 if own else pairs.shape[1]):
        members = torch.arange(numbers.shape[1], device="cpu") if own else (group == k).nonzero()[:, 0]
        for rows in members.split(limit):
            chosen = numbers[:, rows if own else rows[0]]
            yield rows.to(y.device), *(pick(G, index) for G, index in zip((G1, G2), chosen, strict=True))


def _network_numbers(G: Generator, batch: torch.Size) -> Tensor:
    """Return, for each problem of the flattened batch, the number of its network in the flattened batch of networks."""
    shape = networks(G)
    return torch.arange(shape.numel(), device="cpu").view(shape).expand(batch).reshape(-1)


def _network_bytes(G: Generator) -> int:
    return sum(W.shape[-1] * W.shape[-2] * W.element_size() for W in G.weights) if isinstance(G, ReLUGenerator) else 0
