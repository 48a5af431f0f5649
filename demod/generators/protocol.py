"""What a generator is: the values, the pullbacks and the widths that every method asks of a prior.

A prior of one's own needs no base class. z ↦ exp(A z), onto positive signals, is

    class Exponential:
        homogeneous = False

        def __init__(self, A):  # (ℓ, n)
            self.A, self.widths = A, (A.shape[1], A.shape[0])

        def __call__(self, z):
            return (z @ self.A.mT).exp()

        def vjp(self, z):
            value = self(z).detach()
            return value, lambda u: (value * u) @ self.A

and `as_generator` makes one of any `torch.nn.Module`, with the pullback by automatic differentiation. The Jacobian, which
second-order methods ask for, is `jacobian(G, z)`: by the generator's own method `jacobian`, here

        def jacobian(self, z):
            value = self(z).detach()
            return value, value[..., None] * self.A

or, where it has none, by automatic differentiation.
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from demod.arguments import check_floats, check_generator
from demod.generators.differentiation import automatic_jacobian

Pullback = Callable[[Tensor], Tensor]


@runtime_checkable
class Generator(Protocol):
    """What Algorithm 1 needs of a prior: values, pullbacks, and whether G(c z) = c G(z) for c > 0.

    widths : (n, …, ℓ), the entries of a code first, those of a value last
    """

    widths: tuple[int, ...]
    homogeneous: bool

    def __call__(self, z: Tensor) -> Tensor:
        """Return G(z): (*B, n) -> (*B, ℓ), differentiable by autograd."""
        ...

    def vjp(self, z: Tensor) -> tuple[Tensor, Pullback]:
        """Return (G(z), pullback) with pullback: (*B, ℓ) -> (*B, n), u ↦ J_G(z)ᵀ u; autograd records neither."""
        ...


@runtime_checkable
class LinearisedGenerator(Generator, Protocol):
    """A generator that knows its Jacobian."""

    def jacobian(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return (G(z), J_G(z)), shapes (*B, ℓ) and (*B, ℓ, n); autograd records neither."""
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


@runtime_checkable
class CentredGenerator(Generator, Protocol):
    """A generator whose codes lie around a centre, not around zero."""

    centre: Tensor  # (n,)


def networks(G: Generator) -> torch.Size:
    """Return the shape N of a batch of networks; () for a single one."""
    return G.batch if isinstance(G, BatchedGenerator) else torch.Size()


def pick(G: Generator, numbers: Tensor) -> Generator:
    """Return the networks of these numbers in the flattened batch, shape () or (K,); a single one stays as it is."""
    return G.pick(numbers) if isinstance(G, BatchedGenerator) and G.batch else G


def jacobian(G: Generator, z: Tensor) -> tuple[Tensor, Tensor]:
    """Return (G(z), J_G(z)), shapes (*B, ℓ) and (*B, ℓ, n): the generator's own, or by automatic differentiation."""
    check_generator(G=G)
    check_floats(z=z)
    return G.jacobian(z) if isinstance(G, LinearisedGenerator) else automatic_jacobian(G, z)
