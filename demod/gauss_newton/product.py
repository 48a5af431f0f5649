"""The product G1(h) ⊙ G2(m) of a block of problems: line 3 as in Algorithm 1, and the normal equations of a step.

With w = G1(h), x = G2(m), r = w ⊙ x - y and the Jacobians Λ_h, Λ_m of the generators at h and m, the Jacobian of the product
is

    J = [diag(x) Λ_h, diag(w) Λ_m],        ℓ × (n + p),

and the gradient of (2) is Jᵀr. A step needs JᵀJ and Jᵀr alone, which are sums over those rows of J that are not zero.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from demod.descent.lines import Product
from demod.gauss_newton.factors import LinearFactor, Linearised, factors_at
from demod.generators import Generator

CACHE = {"cpu": 2**21, "cuda": 2**28}  # bytes that the rows of J may take at a time


class LinearisedProduct(Product):
    """The product for B problems y (B, ℓ) that share their networks, or have one each, observed (B, ℓ) in part or whole."""

    first: Linearised
    second: Linearised

    def __init__(
        self,
        G1: Generator,
        G2: Generator,
        y: Tensor,
        h: Tensor,
        m: Tensor,
        observed: Tensor | None,
        near: tuple[Generator, Generator] | None = None,
    ) -> None:
        self.first, self.second = factors_at(G1, G2, h, m, observed, near or (G1, G2))
        self.exact = near is None
        self._observe(y)

    def move(self, h: Tensor, m: Tensor, *, mirror: bool = True) -> None:
        """Go to the codes h (B, n) and m (B, p); mirror says that `reflect` comes next."""
        self.first.move(h, mirror=mirror)
        self.second.move(m, mirror=mirror)
        self._update()

    def stay(self, h: Tensor, m: Tensor) -> None:
        """Go to the codes h (B, n) and m (B, p), from where `slope` or `normal_equations` come next."""
        self.first.stay(h)
        self.second.stay(m)
        self._update()

    def slope(self) -> Tensor:
        """Return Jᵀr at the current codes by pulling back, exactly whatever the Jacobians are, (B, n + p)."""
        parts = ((self.first, self.second.value), (self.second, self.first.value))
        return torch.cat([factor.pull(other * self.residual) for factor, other in parts], 1)

    def normal_equations(self, problems: Tensor) -> tuple[Tensor, Tensor]:
        """Return JᵀJ (K, n + p, n + p) and Jᵀr (K, n + p) of the problems (K,) at the current codes."""
        size = self.first.z.shape[-1] + self.second.z.shape[-1]
        gram, slope = self.y.new_empty(len(problems), size, size), self.y.new_empty(len(problems), size, 1)
        w, x, r = (vector[problems] for vector in (self.first.value, self.second.value, self.residual))
        entries = None
        if isinstance(self.first, LinearFactor):
            entries, (w, x, r) = _gathered((w > 0) & (x > 0), w, x, r)
        for part in self._parts(*w.shape):
            J = self._columns(problems[part], None if entries is None else entries[part], w[part], x[part])
            torch.bmm(J, J.mT, out=gram[part])
            torch.bmm(J, r[part, :, None], out=slope[part])
        return gram, slope[..., 0] if self.exact else self.slope()[problems]

    def _parts(self, count: int, rows: int) -> Iterator[slice]:
        """Yield the parts of so many problems whose rows of J fit into the cache together."""
        row = self.first.row_bytes() + self.second.row_bytes()
        limit = max(1, CACHE.get(self.y.device.type, CACHE["cuda"]) // max(1, row * rows))
        return (slice(begin, begin + limit) for begin in range(0, count, limit))

    def _columns(self, problems: Tensor, entries: Tensor | None, w: Tensor, x: Tensor) -> Tensor:
        """Return the rows `entries` of J as columns, (K, n + p, k), given w and x there, (K, k)."""
        n = self.first.z.shape[-1]
        J = self.y.new_empty(len(w), n + self.second.z.shape[-1], w.shape[-1])
        for factor, other, columns in ((self.first, x, J[:, :n]), (self.second, w, J[:, n:])):
            factor.columns(problems, entries, out=columns)
            columns.mul_(other[:, None])
        return J


def _gathered(on: Tensor, *vectors: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Return the entries (K, k) that are on (K, ℓ), filled up with 0, and the vectors (K, ℓ) there, filled up with zeros."""
    problem, entry = on.nonzero(as_tuple=True)
    counts = on.sum(1)
    k = int(counts.max())
    place = torch.arange(len(entry), device=on.device) + (problem * k - (counts.cumsum(0) - counts)[problem])
    source = problem * on.shape[1] + entry
    picked = [v.new_zeros(len(v) * k).index_copy_(0, place, v.flatten().index_select(0, source)) for v in vectors]
    entries = entry.new_zeros(len(on) * k).index_copy_(0, place, entry)
    return entries.view(len(on), k), [v.view(len(on), k) for v in picked]
