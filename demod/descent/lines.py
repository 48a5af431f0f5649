"""The lines of Algorithm 1, each for a block of problems at once, and whether they are done."""

import torch
from torch import Tensor

from demod.descent.balancing import imbalance
from demod.descent.factors import Factor, Mirrored, factors_at
from demod.descent.rule import Rule
from demod.generators import Generator
from demod.objective import half_squared_norm

ROUNDED = {torch.float32: 1e-4, torch.float64: 1e-14}  # below it a tolerance is checked on values that are computed anew


class Product:
    """The product of two factors for B problems that share their networks, or have one each.

    y : observations, (B, ℓ)
    residual : G1(h) ⊙ G2(m) - y at the current codes, (B, ℓ)
    """

    first: Mirrored
    second: Mirrored

    def _observe(self, y: Tensor) -> None:
        self.y, self.minus_y, self.residual, self.cotangent = y, -y, torch.empty_like(y), torch.empty_like(y)
        self.products = y.new_empty(3, 2, *y.shape)
        self._update()

    def _update(self) -> None:
        torch.addcmul(self.minus_y, self.first.value, self.second.value, out=self.residual)

    def objective(self) -> Tensor:
        """Return f, shape (B,)."""
        return half_squared_norm(self.residual)

    def four_objectives(self) -> Tensor:
        """Return f - 1/2 ‖y‖² at (h, m), (h, -m), (-h, m), (-h, -m), shape (B, 4).

        It is -⟨w, x ⊙ y⟩ + 1/2 ⟨w², x²⟩: two products of 2 × ℓ with ℓ × 2 matrices for each problem.
        """
        w, x = self.first.mirrored(), self.second.mirrored()
        xy, xx, ww = self.products
        torch.mul(x, self.y, out=xy)
        torch.mul(x, x, out=xx)
        torch.mul(w, w, out=ww)
        linear = torch.bmm(w.transpose(0, 1), xy.permute(1, 2, 0))
        return torch.baddbmm(linear, ww.transpose(0, 1), xx.permute(1, 2, 0), beta=-1, alpha=0.5).flatten(1)

    def reflect(self) -> None:
        """Line 3: move to the one of (±h, ±m) with the least objective; a tie keeps the current signs."""
        f = self.four_objectives()
        best = torch.where(f.isnan(), torch.inf, f).argmin(1)
        if best.any():
            self.first.reflect(best >= 2)
            self.second.reflect(best % 2 == 1)
            self._update()

    @staticmethod
    def is_done(f: Tensor, y_norm: Tensor, rule: Rule) -> Tensor:
        """Return whether √(2f)/‖y‖ is at most the tolerance, which 0 never is, shape (B,)."""
        return (rule.tolerance > 0) & ((2 * f).sqrt() / y_norm <= rule.tolerance)

    def keep(self, rows: Tensor) -> None:
        """Go on with the problems where `rows` (B,) is true."""
        self.first.keep(rows)
        self.second.keep(rows)
        self._observe(self.y[rows])


class Descent(Product):
    """The lines of Algorithm 1 on B problems that share their networks, or have one each."""

    first: Factor
    second: Factor

    def __init__(self, G1: Generator, G2: Generator, y: Tensor, h: Tensor, m: Tensor) -> None:
        self.first, self.second = factors_at(G1, G2, h, m)
        self._observe(y)

    def step(self, step_size: Tensor, rule: Rule, *, mirror: bool) -> None:
        """Line 4: one step in h, then one in m that sees the new h (or, if the rule is simultaneous, the old one).

        mirror says that line 3 comes next.
        """
        h, of_m = self.first.z, self.first.value * self.residual if rule.simultaneous else None
        of_h = torch.mul(self.second.value, self.residual, out=self.cotangent)
        self.first.step(of_h, _size(step_size, self.second.z, rule), rule.momentum, mirror=mirror)
        if of_m is None:
            self._update()
            h, of_m = self.first.z, torch.mul(self.first.value, self.residual, out=self.cotangent)
        self.second.step(of_m, _size(step_size, h, rule), rule.momentum, mirror=mirror)
        self._update()

    def balance(self) -> None:
        """Line 5: divide h by c = √(‖h‖/‖m‖) and multiply m by it, so that their norms agree; a zero code is left alone."""
        c = imbalance(self.first.z, self.second.z)
        self.first.scale(1 / c)
        self.second.scale(c)
        if not (self.first.homogeneous and self.second.homogeneous):
            self._update()

    def is_stale(self, rule: Rule, claims: Tensor, y_norm: Tensor) -> Tensor:
        """Return which of the claims (B,) to be done fail at values computed anew from the codes; then go on from these.

        The values of balanced codes are scaled, not evaluated, and lose a rounding in each iteration.
        """
        if rule.tolerance >= ROUNDED[self.y.dtype] or not claims.any():
            return torch.zeros_like(claims)
        anew = half_squared_norm(self.first.evaluated() * self.second.evaluated() - self.y)
        if (stale := claims & ~self.is_done(anew, y_norm, rule)).any():
            self.first.rebase()
            self.second.rebase()
            self._update()
        return stale


def _size(step_size: Tensor, other: Tensor, rule: Rule) -> Tensor:
    """Return η (B, 1), divided by the squared norm of the other code (B, n) if the rule says so."""
    return step_size / other.square().sum(-1, keepdim=True) if rule.relative_steps else step_size
