"""How far each problem of a block has come: its codes, its objectives, its next step, and how it ended."""

import torch
from torch import Tensor

from demod.descent.balancing import balanced
from demod.descent.progress import Ongoing
from demod.descent.rule import Rule
from demod.gauss_newton.damping import Damping, step
from demod.gauss_newton.product import LinearisedProduct


class Progress(Ongoing):
    """The state of B problems, or of several starts of fewer problems, that a `LinearisedProduct` evaluates.

    owner : the number of the problem that a row is a start of, (B,)
    solved : which problems have a start that converged, by their numbers; shared among blocks, and updated
    """

    def __init__(self, product: LinearisedProduct, h: Tensor, m: Tensor, rule: Rule, owner: Tensor, solved: Tensor) -> None:
        super().__init__(product, h, m, rule)
        self.product, self.owner, self.solved = product, owner, solved
        self.fate[1] = ~self.f.isfinite()
        solved[owner[self.fate[0] > 0]] = True
        self.going = self.f.isfinite() & ~solved[owner]
        self.z, self.damping = torch.cat([h, m], 1), Damping(self.f)

    def begin(self) -> None:
        """Line 3 at the starts, and the normal equations there."""
        self.product.reflect()
        self.z, self.f = self._codes(), self.product.objective()
        self.gram, self.slope = self.product.normal_equations(self._numbers())

    def _leave(self, going: Tensor) -> None:
        self.product.keep(going)
        self.damping.keep(going)
        self.live, self.y_norm, self.z, self.f = self.live[going], self.y_norm[going], self.z[going], self.f[going]
        self.gram, self.slope, self.going = self.gram[going], self.slope[going], going[going]

    def advance(self, spent: int) -> None:
        """Try a step, line 5 and line 3, and take it where it lowers f; note which problems end after so many iterations."""
        n = self.h.shape[1]
        u = torch.cat([self.z[:, :n], -self.z[:, n:]], 1) if self.rule.balance else torch.zeros_like(self.z)
        delta, fall = step(self.gram, self.slope, self.damping.mu * 2 * self.f / self.y_norm.square(), u, n)
        codes = (self.z - delta).tensor_split([n], 1)
        self.product.move(*(balanced(*codes) if self.rule.balance else codes))  # line 5
        self.product.reflect()  # line 3
        new = self.product.objective()
        better = self.going & (new < self.f)
        self.damping.note(better)
        self.z, self.f = torch.where(better[:, None], self._codes(), self.z), torch.where(better, new, self.f)
        self.history[spent, self.live] = self.f
        self._end(fall, spent)
        self._linearise(better & self.going)

    def _end(self, fall: Tensor, spent: int) -> None:
        """Let those end that have converged, another start of whose problem has, or whom no step brings further down."""
        done = self.going & self.product.is_done(self.f, self.y_norm, self.rule)
        self.solved[self.owner[self.live[done]]] = True
        eps = torch.finfo(self.f.dtype).eps  # f is known to eps · f, and to the square of eps · ‖y‖
        settled = fall <= eps * (self.f + 16 * eps * self.y_norm.square())
        ended = self.going & (done | settled | self.solved[self.owner[self.live]])
        if changed := bool(ended.any()):
            rows = self.live[ended]
            self._store(ended)
            self.fate[0, rows], self.fate[2, rows] = done[ended].long(), spent
            self.history[spent + 1 :, rows] = self.f[ended]
            self.going = self.going & ~ended
        self.changed = changed

    def _linearise(self, moved: Tensor) -> None:
        """Compute the normal equations of the problems that moved, (B,)."""
        if moved.all():
            self.gram, self.slope = self.product.normal_equations(self._numbers())
        elif moved.any():
            numbers = moved.nonzero()[:, 0]
            self.gram[numbers], self.slope[numbers] = self.product.normal_equations(numbers)

    def _codes(self) -> Tensor:
        return torch.cat([self.product.first.z, self.product.second.z], 1)

    def _numbers(self) -> Tensor:
        return torch.arange(len(self.f), device=self.f.device)

    def _store(self, rows: Tensor) -> None:
        self.h[self.live[rows]], self.m[self.live[rows]] = self.z[rows].tensor_split([self.h.shape[1]], 1)

    def outcome(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return (h, m, history, fate); problems that have not ended spent all iterations."""
        self._store(self.going)
        self.fate[2, self.live[self.going]] = self.rule.iterations
        return self.h, self.m, self.history, self.fate
