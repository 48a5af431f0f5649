"""Generators made of others: a known factor, A G(z), |G(z)|, and G seen through a mask."""

import torch
from torch import Tensor

from demod.generators.protocol import BatchedGenerator, Generator, Pullback
from demod.generators.relu import ReLUGenerator


class Constant:
    """The generator of one known factor: it has a code, but does not depend on it.

    Parameters
    ----------
    value : Tensor
        x0, shape (*B, ℓ).
    """

    homogeneous = False

    def __init__(self, value: Tensor) -> None:
        self.value = value
        self.widths: tuple[int, ...] = (1, value.shape[-1])
        self.batch = value.shape[:-1]

    def pick(self, numbers: Tensor) -> "Constant":
        """Return the factors of these numbers in the flattened batch, shape () or (K,)."""
        return Constant(self.value.flatten(0, -2)[numbers]) if self.batch else self

    def __call__(self, z: Tensor) -> Tensor:
        """Return x0, (*B, 1) -> (*B, ℓ)."""
        return self.value.expand(*z.shape[:-1], -1)

    def vjp(self, z: Tensor) -> tuple[Tensor, Pullback]:
        """Return (x0, pullback), the pullback of everything being zero."""
        return self(z), lambda u: torch.zeros_like(z)


class Measured:
    """The generator A G(z).

    Parameters
    ----------
    G : Generator
        Onto R^ℓ.
    A : Tensor
        Shape (k, ℓ).
    """

    def __init__(self, G: Generator, A: Tensor) -> None:
        self.G, self.A = G, A
        self.widths = (*G.widths, len(A))
        self.homogeneous = G.homogeneous
        self.batch = getattr(G, "batch", torch.Size())

    def pick(self, numbers: Tensor) -> "Measured":
        """Return the generator of these numbers in the flattened batch, shape () or (K,); a single one stays as it is."""
        return Measured(self.G.pick(numbers), self.A) if isinstance(self.G, BatchedGenerator) and self.batch else self

    def __call__(self, z: Tensor) -> Tensor:
        """Return A G(z): (*B, n) -> (*B, k)."""
        return self.G(z) @ self.A.mT

    def vjp(self, z: Tensor) -> tuple[Tensor, Pullback]:
        """Return (A G(z), pullback), pullback: (*B, k) -> (*B, n)."""
        value, pull = self.G.vjp(z)
        return value @ self.A.mT, lambda u: pull(u @ self.A)


class Magnitude:
    """The generator |G(z)|, with slope zero where an entry of G(z) is zero.

    Parameters
    ----------
    G : Generator
        Onto R^ℓ.
    """

    def __init__(self, G: Generator) -> None:
        self.G, self.widths, self.homogeneous = G, G.widths, G.homogeneous
        self.batch = getattr(G, "batch", torch.Size())

    def pick(self, numbers: Tensor) -> "Magnitude":
        """Return the generator of these numbers in the flattened batch, shape () or (K,); a single one stays as it is."""
        return Magnitude(self.G.pick(numbers)) if isinstance(self.G, BatchedGenerator) and self.batch else self

    def __call__(self, z: Tensor) -> Tensor:
        """Return |G(z)|: (*B, n) -> (*B, ℓ)."""
        return self.G(z).abs()

    def vjp(self, z: Tensor) -> tuple[Tensor, Pullback]:
        """Return (|G(z)|, pullback), pullback: (*B, ℓ) -> (*B, n)."""
        value, pull = self.G.vjp(z)
        return value.abs(), lambda u: pull(value.sign() * u)


def restrict(G: Generator, observed: Tensor) -> Generator:
    """Return z ↦ observed ⊙ G(z), observed (*B, ℓ) of zeros and ones; a ReLU network stays one, or becomes a batch."""
    if isinstance(G, ReLUGenerator):
        batch = observed.shape[:-1]
        inner = [W.expand(*torch.broadcast_shapes(batch, W.shape[:-2]), -1, -1) if batch else W for W in G.weights[:-1]]
        return ReLUGenerator([*inner, observed[..., None] * G.weights[-1]])
    return _Restricted(G, observed)


class _Restricted:
    """A generator seen through a mask."""

    def __init__(self, G: Generator, observed: Tensor) -> None:
        self.G, self.observed = G, observed
        self.widths, self.homogeneous = G.widths, G.homogeneous
        networks = getattr(G, "batch", torch.Size())
        self.batch = torch.broadcast_shapes(networks, observed.shape[:-1])

    def pick(self, numbers: Tensor) -> "_Restricted":
        if not self.batch:
            return self
        observed = self.observed.expand(*self.batch, -1).flatten(0, -2)[numbers]
        if not (isinstance(self.G, BatchedGenerator) and self.G.batch):
            return _Restricted(self.G, observed)
        among = torch.arange(self.G.batch.numel(), device="cpu").view(self.G.batch).expand(self.batch).flatten()
        return _Restricted(self.G.pick(among[numbers]), observed)

    def __call__(self, z: Tensor) -> Tensor:
        return self.observed * self.G(z)

    def vjp(self, z: Tensor) -> tuple[Tensor, Pullback]:
        value, pull = self.G.vjp(z)
        return self.observed * value, lambda u: pull(self.observed * u)
