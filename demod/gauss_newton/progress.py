"""How far each problem of a block has come: its codes, its objectives, its next step, and how it ended."""

import torch
from torch import Tensor

from demod.descent.balancing import balanced
from demod.descent.progress import Ongoing
from demod.gauss_newton.damping import Damping, step
from demod.gauss_newton.product import LinearisedProduct
from demod.gauss_newton.rule import StepRule


class Progress(Ongoing):
    """The state of B problems, or of several starts of fewer problems, that a `LinearisedProduct` evaluates.

    owner : the number of the problem that a row is a start of, (B,)
    solved : which problems have a start that converged, by their numbers; shared among blocks, and updated
    """

    def __init__(
        self, product: LinearisedProduct, h: Tensor, m: Tensor, rule: StepRule, owner: Tensor, solved: Tensor
    ) -> None:
        super().__init__(product, h, m, rule)
        self.rule: StepRule = rule
        self.product, self.owner, self.solved = product, owner, solved
        self.fate[1] = ~self.f.isfinite()
        solved[owner[self.fate[0] > 0]] = True
        self.going = self.f.isfinite() & ~solved[owner]
        self.z, self.damping = torch.cat([h, m], 1), Damping(self.f, rule.dampings)
        self.moved = torch.zeros_like(self.going)

    def begin(self) -> None:
        """Line 3 at the starts, and the normal equations there."""
        self.product.reflect()
        self.z, self.f = self._codes(), self.product.objective()
        self.gram, self.slope = self.product.normal_equations(self._numbers())

    def _leave(self, going: Tensor) -> None:
        self.product.keep(going)
        self.damping.keep(going)
        self.live, self.y_norm, self.z, self.f = self.live[going], self.y_norm[going], self.z[going], self.f[going]
        self.gram, self.slope, self.moved = self.gram[going], self.slope[going], self.moved[going]
        self.going = going[going]

    def advance(self, spent: int) -> None:
        """Try steps, and take the best where it lowers f; note which problems end after so many iterations.

        Lines 5 and 3 come with each Jacobian: where an old one goes on to serve, signs and norms stay, too.
        """
        renew = spent % self.rule.linearise_every == 0
        new, codes, fall, multiple = self._best_try(renew)
        better = self.going & (new < self.f)
        self.damping.note(better, multiple)
        self.z, self.f = torch.where(better[:, None], codes, self.z), torch.where(better, new, self.f)
        self.history[spent, self.live] = self.f
        self._end(fall, spent)
        self.moved = self.moved | better
        if spent == self.rule.iterations:
            return
        if self.rule.returns:
            self.product.stay(*self._halves(self.z))
        if renew:
            self._linearise(self.moved & self.going)
        elif better.any():
            self.slope = torch.where(better[:, None], self.product.slope(), self.slope)

    def _best_try(self, renew: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return f, the codes, by how much the model fell, and the multiple of μ, of the best step that was tried."""
        multiples = self.damping.multiples
        tries = [(*self._try(multiple, renew), torch.full_like(self.f, multiple)) for multiple in multiples]
        if len(tries) == 1:
            return tries[0]
        new, codes, fall, multiple = (torch.stack(values) for values in zip(*tries, strict=True))
        best = torch.where(new.isnan(), torch.inf, new).argmin(0), self._numbers()
        return new[best], codes[best], fall[best], multiple[best]

    def _try(self, multiple: float, renew: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Return f and the codes after the step of this multiple of μ, and by how much the linear model falls along it."""
        h, m = self._halves(self.z)
        u = torch.cat([h, -m], 1) if self.rule.balance else torch.zeros_like(self.z)
        damping = multiple * self.damping.mu * 2 * self.f / self.y_norm.square()
        delta, fall = step(self.gram, self.slope, damping, u, h.shape[1])
        codes = self._halves(self.z - delta)
        self.product.move(*(balanced(*codes) if self.rule.balance and renew else codes), mirror=renew)  # line 5
        if renew:
            self.product.reflect()  # line 3
        return self.product.objective(), self._codes(), fall

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
        self.moved = torch.zeros_like(moved)

    def _halves(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return (h, m) of z (B, n + p)."""
        n = self.h.shape[1]
        return z[:, :n], z[:, n:]

    def _codes(self) -> Tensor:
        return torch.cat([self.product.first.z, self.product.second.z], 1)

    def _numbers(self) -> Tensor:
        return torch.arange(len(self.f), device=self.f.device)

    def _store(self, rows: Tensor) -> None:
        self.h[self.live[rows]], self.m[self.live[rows]] = self._halves(self.z[rows])

    def outcome(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return (h, m, history, fate); problems that have not ended spent all iterations."""
        self._store(self.going)
        self.fate[2, self.live[self.going]] = self.rule.iterations
        return self.h, self.m, self.history, self.fate
