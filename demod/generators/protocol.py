"""What a generator is: the values, the pullbacks and the widths that every method asks of a prior."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

Pullback = Callable[[Tensor], Tensor]


class Generator(Protocol):
    """What Algorithm 1 needs of a prior: values, pullbacks, and whether G(c z) = c G(z) for c > 0."""

    widths: tuple[int, ...]
    homogeneous: bool

    def __call__(self, z: Tensor) -> Tensor:
        """Return G(z): (*B, n) -> (*B, ℓ)."""
        ...

    def vjp(self, z: Tensor) -> tuple[Tensor, Pullback]:
        """Return (G(z), pullback) with pullback: (*B, ℓ) -> (*B, n), u ↦ J_G(z)ᵀ u."""
        ...


@runtime_checkable
class BatchedGenerator(Generator, Protocol):
    """A generator that may be a batch of networks, which problems see one by one."""

    @property
    def batch(self) -> torch.Size:
        """The shape N of a batch of networks; () for a single one."""
        ...

    def pick(self, numbers: Tensor) -> Generator:
        """Return the networks of these numbers in the flattened batch, shape () or (K,)."""
        ...
