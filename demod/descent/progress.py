"""How far each problem of a block has come: its objectives, its last finite codes, and how it ended."""

import torch
from torch import Tensor

from demod.descent.lines import Descent
from demod.descent.rule import Rule

SHRINK = 0.9  # of the problems in the computation at most so many go on: then the others leave it


class Progress:
    """The state of B problems y (B, ℓ) that a `Descent` moves.

    h, m : the starting codes, replaced by the last finite ones when a problem ends
    history : f at the start and after each iteration, (iterations + 1, B)
    fate : converged, diverged, iterations, (3, B)
    eta : step sizes of the problems that are still in the computation
    """

    def __init__(self, descent: Descent, h: Tensor, m: Tensor, eta: Tensor, rule: Rule) -> None:
        y = descent.y
        self.descent, self.h, self.m, self.eta, self.rule = descent, h, m, eta, rule
        self.y_norm, self.live = y.norm(dim=-1), torch.arange(len(y), device=y.device)
        self.history = y.new_empty(rule.iterations + 1, len(y))
        self.fate = torch.zeros(3, len(y), dtype=torch.long, device=y.device)
        self.history[:] = self.f = descent.objective()
        self.fate[0] += descent.is_done(self.f, self.y_norm, rule)
        self.going = self.fate[0] == 0
        self.changed = True

    def goes_on(self) -> bool:
        """Return whether a problem is left; those that are done leave the computation as soon as they are a tenth of it."""
        if self.changed:
            if not (count := int(self.going.sum())):
                return False
            if count <= SHRINK * len(self.live):
                self._leave(self.going)
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
