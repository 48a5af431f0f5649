"""How far each problem of a block has come."""

import torch
from torch import Tensor

from demod.descent.balancing import balanced
from demod.descent.rule import Rule
from demod.gauss_newton.damping import Damping, step
from demod.gauss_newton.product import Product

SHRINK = 0.9


class Progress:
    def __init__(self, product, h, m, rule, problem, solved):
        y = product.y
        self.product, self.h, self.m, self.rule = product, h, m, rule
        self.problem, self.solved = problem, solved
        self.n = h.shape[-1]
        self.y_norm, self.live = y.norm(dim=-1), torch.arange(len(y), device=y.device)
        self.history = y.new_empty(rule.iterations + 1, len(y))
        self.fate = torch.zeros(3, len(y), dtype=torch.long, device=y.device)
        self.history[:] = self.f = product.objective()
        self.fate[0] += product.is_done(self.f, self.y_norm, rule)
        self.fate[1] += ~self.f.isfinite()
        self.solved[problem[self.fate[0] > 0]] = True
        self.going = (self.fate[:2] == 0).all(0) & ~self.solved[problem]
        self.damping = Damping(self.f)
        self.codes = torch.cat([h, m], 1)
        self.gram = None
        self.changed = True

    def goes_on(self):
        if self.changed:
            if not (count := int(self.going.sum())):
                return False
            if count <= SHRINK * len(self.live):
                going = self.going
                self.product.keep(going)
                self.live, self.y_norm, self.f, self.codes = self.live[going], self.y_norm[going], self.f[going], self.codes[going]
                self.damping.keep(going)
                if self.gram is not None:
                    self.gram, self.slope = self.gram[going], self.slope[going]
                self.going = going[going]
        return True

    def begin(self):
        h, m = self.codes[:, :self.n], self.codes[:, self.n:]
        if self.rule.balance:
            h, m = balanced(h, m)
        self.product.move(h, m)
        self.product.reflect()
        self.codes = torch.cat([self.product.first.z, self.product.second.z], 1)
        self.f = self.product.objective()
        self.gram, self.slope = self.product.normal_equations(torch.arange(len(self.f), device=self.f.device))

    def advance(self, spent):
        if self.gram is None:
            self.begin()
        lam = self.damping.mu * self.damping_scale()
        delta, fall, regular = step(self.gram, self.slope, lam, self.codes, self.n, gauge=self.rule.balance)
        z = self.codes - delta
        h, m = z[:, :self.n], z[:, self.n:]
        if self.rule.balance:
            h, m = balanced(h, m)
        self.product.move(h, m)
        self.product.reflect()
        new = self.product.objective()
        better = self.going & (new < self.f)
        self.codes = torch.where(better[:, None], torch.cat([self.product.first.z, self.product.second.z], 1), self.codes)
        self.f = torch.where(better, new, self.f)
        self.history[spent, self.live] = self.f
        self.damping.note(better)
        done = self.going & self.product.is_done(self.f, self.y_norm, self.rule)
        eps = torch.finfo(self.f.dtype).eps
        stalled = self.going & regular & (fall <= eps * (self.f + 16 * eps * self.y_norm.square()))
        self.solved[self.problem[self.live[done]]] = True
        ended = done | stalled | (self.going & self.solved[self.problem[self.live]])
        self.changed = bool(ended.any())
        if self.changed:
            rows = self.live[ended]
            self.h[rows], self.m[rows] = self.codes[ended, :self.n], self.codes[ended, self.n:]
            self.fate[0, rows] = done[ended].long()
            self.fate[2, rows] = spent
            self.history[spent + 1:, rows] = self.f[ended]
            self.going = self.going & ~ended
        need = (better & self.going).nonzero()[:, 0]
        if len(need) == len(self.live):
            self.gram, self.slope = self.product.normal_equations(need)
        elif len(need):
            self.gram[need], self.slope[need] = self.product.normal_equations(need)

    def damping_scale(self):
        return 2 * self.f / self.y_norm.square()

    def outcome(self):
        rows, going = self.live[self.going], self.going
        self.h[rows], self.m[rows] = self.codes[going, :self.n], self.codes[going, self.n:]
        self.fate[2, rows] = self.rule.iterations
        return self.h, self.m, self.history, self.fate
