"""How far each problem of a block has come: its objectives, its last finite codes, and how it ended."""

import torch
from torch import Tensor

from demod.descent.lines import Descent, Product
from demod.descent.rule import Rule

SHRINK = 0.9  # of the problems in the computation at most so many go on: then the others leave it


class Ongoing:
    """The state of B problems y (B, ℓ) that a `Product` evaluates, of which those that are done leave the computation.

    h, m : the starting codes, replaced by the last ones when a problem ends
    f : the objectives of the problems that are still in the computation, `live` by their numbers; `going` are not yet done
    history : f at the start and after each iteration, (iterations + 1, B)
    fate : converged, diverged, iterations, (3, B)
    """

    going: Tensor

    def __init__(self, product: Product, h: Tensor, m: Tensor, rule: Rule) -> None:
        y = product.y
        self.h, self.m, self.rule, self.changed = h, m, rule, True
        self.y_norm, self.live = y.norm(dim=-1), torch.arange(len(y), device=y.device)
        self.history = y.new_empty(rule.iterations + 1, len(y))
        self.fate = torch.zeros(3, len(y), dtype=torch.long, device=y.device)
        self.history[:] = self.f = product.objective()
        self.fate[0] += product.is_done(self.f, self.y_norm, rule)

    def goes_on(self) -> bool:
        """Return whether a problem is left; those that are done leave the computation as soon as they are a tenth of it."""
        if self.changed:
            if not (count := int(self.going.sum())):
                return False
            if count <= SHRINK * len(self.live):
                self._leave(self.going)
        return True

    def _leave(self, going: Tensor) -> None:
        """Go on with the problems where `going` is true."""
        raise NotImplementedError


class Progress(Ongoing):
    """The state of B problems that a `Descent` moves; the codes that are kept are the last finite ones.

    eta : step sizes of the problems that are still in the computation
    """

    def __init__(self, descent: Descent, h: Tensor, m: Tensor, eta: Tensor, rule: Rule) -> None:
        super().__init__(descent, h, m, rule)
        self.descent, self.eta = descent, eta
        self.going = self.fate[0] == 0

    def goes_on(self) -> bool:
        """Return whether a problem is left, and remember where those that are stand."""
        if not super().goes_on():
            return False
        self.before = self.descent.first.z, self.descent.second.z
        return True

    def _leave(self, going: Tensor) -> None:
        self.descent.keep(going)
        self.live, self.eta, self.y_norm = self.live[going], self.eta[going], self.y_norm[going]
        self.f, self.going = self.f[going], going[going]

    def note(self, spent: int) -> None:
        """Note where the problems stand after so many iterations, and which of them end there."""
        new, codes = self.descent.objective(), (self.descent.first.z, self.descent.second.z)
        finite = (new + codes[0].sum(-1) + codes[1].sum(-1)).isfinite()
        self.f = torch.where(self.going & finite, new, self.f)
        self.history[spent, self.live] = self.f
        done = self.going & finite & self.descent.is_done(self.f, self.y_norm, self.rule)
        ended = self.going & ~finite | done & ~self.descent.is_stale(self.rule, done, self.y_norm)
        if changed := bool(ended.any()):
            self._end(ended, finite, codes, spent)
        self.changed = changed

    def _end(self, ended: Tensor, finite: Tensor, codes: tuple[Tensor, Tensor], spent: int) -> None:
        rows = self.live[ended]
        for kept, old, new in zip((self.h, self.m), self.before, codes, strict=True):
            kept[rows] = torch.where(finite[:, None], new, old)[ended]
        converged, diverged, iterations = self.fate
        converged[rows], diverged[rows], iterations[rows] = finite[ended].long(), (~finite)[ended].long(), spent
        self.history[spent + 1 :, rows] = self.f[ended]
        self.going = self.going & ~ended

    def outcome(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return (h, m, history, fate); problems that have not ended spent all iterations."""
        rows, going = self.live[self.going], self.going
        self.h[rows], self.m[rows] = self.descent.first.z[going], self.descent.second.z[going]
        self.fate[2, rows] = self.rule.iterations
        return self.h, self.m, self.history, self.fate
