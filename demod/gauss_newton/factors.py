"""The two factors of the product while Gauss–Newton moves their codes: values, mirrored values and linear maps.

A ReLU network is linear where its units do not switch, G(z) = Λ_z z, and only the active rows of Λ_z matter: where G1(h) or
G2(m) has a zero entry, that row of the product's Jacobian is zero. About a quarter of the rows is left. So the last layer
is multiplied by those rows alone, gathered block by block into a buffer that fits the cache, and Λ_z is never whole.
"""

from typing import Protocol

import torch
from torch import Tensor

from demod.descent.factors import Mirrored, ReLUFactor
from demod.generators import Generator, ReLUGenerator, Restricted, jacobian, pick


class Linearised(Mirrored, Protocol):
    """A factor w = G(z) of the product, for B problems, that knows the Jacobian of G at z (B, n)."""

    def move(self, z: Tensor) -> None:
        """Go to the codes z (B, n), evaluating G at them and at -z."""
        ...

    def row_bytes(self) -> int:
        """Return what a row of the Jacobian occupies while it is made."""
        ...

    def columns(self, problems: Tensor, entries: Tensor | None, *, out: Tensor) -> None:
        """Write rows of the problems' (K,) Jacobians at z, `entries` (K, k) or all, to out as columns (K, n, k)."""
        ...


def factors_at(G1: Generator, G2: Generator, h: Tensor, m: Tensor, observed: Tensor | None) -> tuple[Linearised, Linearised]:
    """Return the two factors at h and m, (B, n) and (B, p); of the first only the entries `observed` (B, ℓ) are seen."""
    if isinstance(G1, ReLUGenerator) and isinstance(G2, ReLUGenerator):
        return LinearFactor(G1, h, observed), LinearFactor(G2, m, None)
    return PlainFactor(G1 if observed is None else Restricted(G1, observed.to(h.dtype)), h), PlainFactor(G2, m)


class LinearFactor(ReLUFactor):
    """A factor of a ReLU network, with the active rows of Λ_z; see `demod.descent.factors.ReLUFactor`."""

    def __init__(self, G: ReLUGenerator, z: Tensor, observed: Tensor | None) -> None:
        self.observed = observed
        super().__init__(G, z)
        self._hide()

    def _hide(self) -> None:
        if self.observed is not None:
            last = self.layers[-1]
            last.mul_(self.observed if self.weights[-1].ndim == 2 else self.observed[:, None])

    def move(self, z: Tensor) -> None:
        """See `Linearised`."""
        self.z = z
        self._evaluate(mirror=True)
        self._hide()

    def keep(self, rows: Tensor) -> None:
        """See `Linearised`."""
        self.observed = None if self.observed is None else self.observed[rows]
        self._select(rows)

    def row_bytes(self) -> int:
        """See `Linearised`."""
        return (self.weights[-1].shape[-1] + self.z.shape[-1]) * self.z.element_size()

    def columns(self, problems: Tensor, entries: Tensor | None, *, out: Tensor) -> None:
        """See `Linearised`."""
        torch.bmm(self._inner_map(problems), self._last_rows(problems, entries).mT, out=out)

    def _inner_map(self, problems: Tensor) -> Tensor:
        """Return the transpose of W_{d-1,+,z} … W_{1,+,z}, which leads into the last layer, shape (K, n, n_{d-1})."""
        n = self.z.shape[-1]
        inner = torch.eye(n, dtype=self.z.dtype, device=self.z.device).expand(len(problems), n, n)
        for i, W in enumerate(self.weights[:-1]):
            W_T = (W if W.ndim == 2 else W[problems]).mT
            on = (self._side(i, 0)[problems] > 0)[:, None]
            inner = W_T * on if i == 0 else (inner @ W_T).mul_(on)
        return inner

    def _last_rows(self, problems: Tensor, entries: Tensor | None) -> Tensor:
        """Return the rows `entries` (K, k) of the problems' last layers, or all of them, shape (K, k, n_{d-1})."""
        W = self.weights[-1]
        if entries is None:
            return W.expand(len(problems), -1, -1) if W.ndim == 2 else W[problems]
        if W.ndim == 3:
            entries = entries + problems[:, None] * W.shape[-2]
        return W.reshape(-1, W.shape[-1]).index_select(0, entries.flatten()).view(*entries.shape, W.shape[-1])


class PlainFactor:
    """A factor of any generator, by its values and its Jacobian."""

    def __init__(self, G: Generator, z: Tensor) -> None:
        self.G = G
        self.move(z)

    def move(self, z: Tensor) -> None:
        """See `Linearised`."""
        self.z = z
        self.both = self.G(torch.stack([z, -z])).detach()

    @property
    def value(self) -> Tensor:
        """See `Linearised`."""
        return self.both[0]

    def mirrored(self) -> Tensor:
        """See `Linearised`."""
        return self.both

    def reflect(self, rows: Tensor) -> None:
        """See `Linearised`."""
        self.z = torch.where(rows[:, None], -self.z, self.z)
        self.both = torch.where(rows[:, None], self.both.flip(0), self.both)

    def keep(self, rows: Tensor) -> None:
        """See `Linearised`."""
        self.z, self.both = self.z[rows], self.both[:, rows]
        self.G = pick(self.G, rows.nonzero()[:, 0])

    def row_bytes(self) -> int:
        """See `Linearised`."""
        return self.z.shape[-1] * self.z.element_size()

    def columns(self, problems: Tensor, entries: Tensor | None, *, out: Tensor) -> None:
        """See `Linearised`."""
        out.copy_(jacobian(pick(self.G, problems), self.z[problems])[1].mT)
