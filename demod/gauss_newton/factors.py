"""The two factors of the product while Gauss–Newton moves their codes: values, mirrored values and linear maps.

A ReLU network is linear where its units do not switch, G(z) = Λ_z z, and only the active rows of Λ_z matter: where G1(h) or
G2(m) has a zero entry, that row of the product's Jacobian is zero. About a quarter of the rows is left. So the last layer
is multiplied by those rows alone, gathered block by block into a buffer that fits the cache, and Λ_z is never whole.
"""

from typing import Protocol

import torch
from torch import Tensor

from demod.descent.factors import Mirrored, ReLUFactor
from demod.generators import Generator, Pullback, ReLUGenerator, Restricted, jacobian, pick


class Linearised(Mirrored, Protocol):
    """A factor w = G(z) of the product, for B problems, that knows the Jacobian of G at z (B, n), or one that is near it."""

    def move(self, z: Tensor, *, mirror: bool = True) -> None:
        """Go to the codes z (B, n), evaluating G at them, and at -z, too, if `mirrored` or `reflect` will be asked for."""
        ...

    def stay(self, z: Tensor) -> None:
        """Go to the codes z (B, n), from where `pull` will be asked for."""
        ...

    def pull(self, cotangent: Tensor) -> Tensor:
        """Return J_G(z)ᵀ cotangent, exactly, (B, n); the cotangent (B, ℓ) may be overwritten."""
        ...

    def row_bytes(self) -> int:
        """Return what a row of the Jacobian occupies while it is made."""
        ...

    def columns(self, problems: Tensor, entries: Tensor | None, *, out: Tensor) -> None:
        """Write rows of the problems' (K,) Jacobians at z, `entries` (K, k) or all, to out as columns (K, n, k)."""
        ...


def factors_at(
    G1: Generator, G2: Generator, h: Tensor, m: Tensor, observed: Tensor | None, near: tuple[Generator, Generator]
) -> tuple[Linearised, Linearised]:
    """Return the two factors at h and m, (B, n) and (B, p); of the first only the entries `observed` (B, ℓ) are seen.

    Their Jacobians are those of the generators `near`, which may be the same ones.
    """
    C1, C2 = near
    if all(isinstance(G, ReLUGenerator) for G in (G1, G2, C1, C2)):
        return LinearFactor(G1, h, observed, C1), LinearFactor(G2, m, None, C2)  # type: ignore[arg-type] # ReLU networks
    if observed is not None:
        G1, C1 = (Restricted(G, observed.to(h.dtype)) for G in (G1, C1))
    return PlainFactor(G1, h, C1), PlainFactor(G2, m, C2)


class LinearFactor(ReLUFactor):
    """A factor of a ReLU network, with the active rows of Λ_z; see `demod.descent.factors.ReLUFactor`."""

    def __init__(self, G: ReLUGenerator, z: Tensor, observed: Tensor | None, near: ReLUGenerator) -> None:
        self.observed = observed
        super().__init__(G, z)
        self.near = None if near is G else tuple(W.detach() for W in near.weights)
        self._hide()

    def _hide(self) -> None:
        if self.observed is not None:
            last = self.layers[-1]
            last.mul_(self.observed if self.weights[-1].ndim == 2 else self.observed[:, None])

    def move(self, z: Tensor, *, mirror: bool = True) -> None:
        """See `Linearised`."""
        self.z = z
        self._evaluate(mirror=mirror)
        self._hide()

    def stay(self, z: Tensor) -> None:
        """See `Linearised`."""
        self.move(z, mirror=False)

    def keep(self, rows: Tensor) -> None:
        """See `Linearised`."""
        self.observed = None if self.observed is None else self.observed[rows]
        self._select(rows)

    def pull(self, cotangent: Tensor) -> Tensor:
        """See `Linearised`."""
        return self._pull(cotangent)

    def row_bytes(self) -> int:
        """See `Linearised`."""
        return (self.weights[-1].shape[-1] + self.z.shape[-1]) * self.z.element_size()

    def columns(self, problems: Tensor, entries: Tensor | None, *, out: Tensor) -> None:
        """See `Linearised`."""
        inner, rows = self._inner_map(problems), self._last_rows(problems, entries)
        if inner.dtype == out.dtype:
            torch.bmm(inner, rows.mT, out=out)
        else:
            out.copy_(inner @ rows.mT)

    @property
    def linear(self) -> tuple[Tensor, ...]:
        """The weights of which the Jacobian is made."""
        return self.near or self.weights

    def _inner_map(self, problems: Tensor) -> Tensor:
        """Return the transpose of W_{d-1,+,z} … W_{1,+,z}, which leads into the last layer, shape (K, n, n_{d-1})."""
        n = self.z.shape[-1]
        inner = torch.eye(n, dtype=self.linear[0].dtype, device=self.z.device).expand(len(problems), n, n)
        for i, W in enumerate(self.linear[:-1]):
            W_T = (W if W.ndim == 2 else W[problems]).mT
            on = (self._side(i, 0)[problems] > 0)[:, None]
            inner = W_T * on if i == 0 else (inner @ W_T).mul_(on)
        return inner

    def _last_rows(self, problems: Tensor, entries: Tensor | None) -> Tensor:
        """Return the rows `entries` (K, k) of the problems' last layers, or all of them, shape (K, k, n_{d-1})."""
        W = self.linear[-1]
        if entries is None:
            return W.expand(len(problems), -1, -1) if W.ndim == 2 else W[problems]
        if W.ndim == 3:
            entries = entries + problems[:, None] * W.shape[-2]
        return W.reshape(-1, W.shape[-1]).index_select(0, entries.flatten()).view(*entries.shape, W.shape[-1])


class PlainFactor:
    """A factor of any generator, by its values and its pullbacks, and the Jacobian of a generator that is near it."""

    pullback: Pullback | None  # at z, if it is there already

    def __init__(self, G: Generator, z: Tensor, near: Generator) -> None:
        self.G, self.near = G, near
        self.move(z)

    def move(self, z: Tensor, *, mirror: bool = True) -> None:
        """See `Linearised`."""
        self.z, self.pullback = z, None
        self.values = self.G(torch.stack([z, -z]) if mirror else z[None]).detach()

    def stay(self, z: Tensor) -> None:
        """See `Linearised`."""
        value, self.pullback = self.G.vjp(z)
        self.z, self.values = z, value.detach()[None]

    @property
    def value(self) -> Tensor:
        """See `Linearised`."""
        return self.values[0]

    def mirrored(self) -> Tensor:
        """See `Linearised`."""
        return self.values

    def reflect(self, rows: Tensor) -> None:
        """See `Linearised`."""
        self.z, self.pullback = torch.where(rows[:, None], -self.z, self.z), None
        self.values = torch.where(rows[:, None], self.values.flip(0), self.values)

    def keep(self, rows: Tensor) -> None:
        """See `Linearised`."""
        self.z, self.values, self.pullback = self.z[rows], self.values[:, rows], None
        numbers = rows.nonzero()[:, 0]
        self.G, self.near = pick(self.G, numbers), pick(self.near, numbers)

    def pull(self, cotangent: Tensor) -> Tensor:
        """See `Linearised`."""
        return (self.pullback or self.G.vjp(self.z)[1])(cotangent).detach()

    def row_bytes(self) -> int:
        """See `Linearised`."""
        return self.z.shape[-1] * self.z.element_size()

    def columns(self, problems: Tensor, entries: Tensor | None, *, out: Tensor) -> None:
        """See `Linearised`."""
        out.copy_(jacobian(pick(self.near, problems), self.z[problems])[1].mT)
