"""Generators made of others: a known factor, A G(z), |G(z)|, and G seen through a mask."""

import torch
from torch import Tensor

from demod.arguments import check_alike, check_finite, check_generator, check_picks
from demod.generators.protocol import Generator, Pullback, jacobian, networks, pick
from demod.generators.relu import ReLUGenerator
from demod.torch_state import in_full_precision


class Constant:
    """The generator of one known factor: it has a code, but does not depend on it.

    Parameters
    ----------
    value : Tensor
        x0, shape (*B, ℓ).
    """

    homogeneous = False

    def __init__(self, value: Tensor) -> None:
        check_finite(value=value)
        if not value.ndim:
            raise ValueError("value has shape (), but a factor has entries, (*B, l); use .reshape(1).")
        self.value = value
        self.widths: tuple[int, ...] = (1, value.shape[-1])
        self.batch = value.shape[:-1]

    def pick(self, numbers: Tensor) -> "Constant":
        """Return the factors of these numbers in the flattened batch, shape () or (K,)."""
        if not self.batch:
            return self
        return Constant(self.value.flatten(0, -2)[check_picks(numbers, self.batch.numel())])

    def __call__(self, z: Tensor) -> Tensor:
        """Return x0, (*B, 1) -> (*B, ℓ)."""
        check_alike(z=z, value=self.value)
        return self.value.expand(*torch.broadcast_shapes(z.shape[:-1], self.batch), -1)

    @torch.no_grad()
    def vjp(self, z: Tensor) -> tuple[Tensor, Pullback]:
        """Return (x0, pullback), the pullback of everything being zero."""
        return self(z).detach(), lambda u: torch.zeros_like(z)

    @torch.no_grad()
    def jacobian(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return (x0, 0), shapes (*B, ℓ) and (*B, ℓ, 1)."""
        value = self(z).detach()
        return value, torch.zeros_like(value)[..., None]


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
        check_generator(G=G)
        check_finite(A=A)
        if A.ndim != 2 or A.shape[1] != G.widths[-1]:
            raise ValueError(f"A has shape {tuple(A.shape)}, but G produces {G.widths[-1]} entries; give a matrix (k, l).")
        self.G, self.A = G, A
        self.widths = (*G.widths, len(A))
        self.homogeneous = G.homogeneous
        self.batch = networks(G)

    def pick(self, numbers: Tensor) -> "Measured":
        """Return the generator of these numbers in the flattened batch, shape () or (K,); a single one stays as it is."""
        return Measured(pick(self.G, numbers), self.A) if self.batch else self

    def __call__(self, z: Tensor) -> Tensor:
        """Return A G(z): (*B, n) -> (*B, k)."""
        return self._measure(self.G(z))

    @torch.no_grad()
    def vjp(self, z: Tensor) -> tuple[Tensor, Pullback]:
        """Return (A G(z), pullback), pullback: (*B, k) -> (*B, n)."""
        value, pull = self.G.vjp(z)
        return self._measure(value), lambda u: pull(u @ self.A.detach())

    @torch.no_grad()
    @in_full_precision
    def jacobian(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return (A G(z), A J_G(z)), shapes (*B, k) and (*B, k, n)."""
        value, J = jacobian(self.G, z)
        return self._measure(value), self.A.detach() @ J

    @in_full_precision
    def _measure(self, value: Tensor) -> Tensor:
        check_alike(**{"G(z)": value, "A": self.A[0]})
        return value @ self.A.mT


class Magnitude:
    """The generator |G(z)|, with slope zero where an entry of G(z) is zero.

    Parameters
    ----------
    G : Generator
        Onto R^ℓ.
    """

    def __init__(self, G: Generator) -> None:
        check_generator(G=G)
        self.G, self.widths, self.homogeneous = G, G.widths, G.homogeneous
        self.batch = networks(G)

    def pick(self, numbers: Tensor) -> "Magnitude":
        """Return the generator of these numbers in the flattened batch, shape () or (K,); a single one stays as it is."""
        return Magnitude(pick(self.G, numbers)) if self.batch else self

    def __call__(self, z: Tensor) -> Tensor:
        """Return |G(z)|: (*B, n) -> (*B, ℓ)."""
        return self.G(z).abs()

    @torch.no_grad()
    def vjp(self, z: Tensor) -> tuple[Tensor, Pullback]:
        """Return (|G(z)|, pullback), pullback: (*B, ℓ) -> (*B, n)."""
        value, pull = self.G.vjp(z)
        return value.abs(), lambda u: pull(value.sign() * u)

    @torch.no_grad()
    def jacobian(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return (|G(z)|, diag(sign G(z)) J_G(z)), shapes (*B, ℓ) and (*B, ℓ, n)."""
        value, J = jacobian(self.G, z)
        return value.abs(), value.sign()[..., None] * J


class Restricted:
    """The generator observed ⊙ G(z): what is seen of G through a mask, or through one mask for each problem.

    Parameters
    ----------
    G : Generator
        Onto R^ℓ.
    observed : Tensor
        Zeros and ones, shape (*B, ℓ), in the type of the values.
    """

    def __init__(self, G: Generator, observed: Tensor) -> None:
        _check_mask(G, observed)
        self.G, self.observed = G, observed
        self.widths, self.homogeneous = G.widths, G.homogeneous
        self.batch = torch.broadcast_shapes(networks(G), observed.shape[:-1])

    def pick(self, numbers: Tensor) -> "Restricted":
        """Return the generator of these numbers in the flattened batch, shape () or (K,); a single one stays as it is."""
        if not self.batch:
            return self
        numbers = check_picks(numbers, self.batch.numel())
        observed, N = self.observed.expand(*self.batch, -1).flatten(0, -2)[numbers], networks(self.G)
        network = torch.arange(N.numel(), device=numbers.device).view(N).expand(self.batch).flatten()
        return Restricted(pick(self.G, network[numbers]), observed)

    def __call__(self, z: Tensor) -> Tensor:
        """Return observed ⊙ G(z): (*B, n) -> (*B, ℓ)."""
        return self.observed * self.G(z)

    @torch.no_grad()
    def vjp(self, z: Tensor) -> tuple[Tensor, Pullback]:
        """Return (observed ⊙ G(z), pullback), pullback: (*B, ℓ) -> (*B, n)."""
        value, pull = self.G.vjp(z)
        return self.observed * value, lambda u: pull(self.observed * u)

    @torch.no_grad()
    def jacobian(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return (observed ⊙ G(z), diag(observed) J_G(z)), shapes (*B, ℓ) and (*B, ℓ, n)."""
        value, J = jacobian(self.G, z)
        return self.observed * value, self.observed[..., None] * J


def restrict(G: Generator, observed: Tensor) -> Generator:
    """Return z ↦ observed ⊙ G(z), observed (*B, ℓ) of zeros and ones; a ReLU network stays one, or becomes a batch."""
    _check_mask(G, observed)
    if not isinstance(G, ReLUGenerator):
        return Restricted(G, observed)
    batch = observed.shape[:-1]
    inner = [W.expand(*torch.broadcast_shapes(batch, W.shape[:-2]), -1, -1) if batch else W for W in G.weights[:-1]]
    return ReLUGenerator([*inner, observed[..., None] * G.weights[-1]])


def _check_mask(G: Generator, observed: Tensor) -> None:
    check_generator(G=G)
    check_finite(observed=observed)
    if observed.shape[-1:] != G.widths[-1:]:
        raise ValueError(f"observed has shape {tuple(observed.shape)}, but G produces {G.widths[-1]} entries; flatten it.")
