"""Paired studies: the same codes and the same starts, on networks of several kinds or with several methods.

What differs between two results is then the kind or the method, and not the luck of the draw. Networks of all kinds are
made of one stream of normal numbers, see `demod.wdc.ensembles`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import normalize

from demod.baselines import inversion, plugin
from demod.descent import code_scale, descend, outer_product_error
from demod.generators import ReLUGenerator
from demod.studies.sweeps import Result, Task
from demod.wdc.ensembles import ENSEMBLES, draw_network

Draw = Callable[[Sequence[int], torch.Generator], ReLUGenerator]
BUDGET = {"iterations": 400, "tolerance": 1e-4}  # of every method
DESCENT = BUDGET | {"momentum": 0.5}  # of Algorithm 1


@dataclass(frozen=True)
class Codes:
    """Planted codes and the directions of the starts, (trials, n) each."""

    h0: Tensor
    m0: Tensor
    h: Tensor
    m: Tensor


@dataclass(frozen=True)
class Problems:
    """Networks with what they make of the codes. Where y0 is zero, as a narrow network switched off, `dead` is true."""

    G1: ReLUGenerator
    G2: ReLUGenerator
    y: Tensor
    dead: Tensor

    def starts(self, codes: Codes, length: float = 1.0) -> tuple[Tensor, Tensor]:
        """Return starting codes of norm length · √Ĥ0."""
        norm = length * code_scale(self.G1, self.G2, self.y).sqrt()[:, None]
        return norm * codes.h, norm * codes.m


def draw_codes(n: int, trials: int, rng: torch.Generator) -> Codes:
    """Draw planted codes and directions of starts, n = p."""
    h0, m0, h, m = torch.randn(4, trials, n, generator=rng, dtype=torch.float64, device="cpu")
    return Codes(h0, m0, normalize(h, dim=-1), normalize(m, dim=-1))


def draw_problems(draw: Draw, widths: Sequence[int], codes: Codes, seed: int) -> Problems:
    """Draw a pair of networks for each pair of codes, from a stream of this seed."""
    rng = torch.Generator("cpu").manual_seed(seed)
    G1, G2 = draw(widths, rng), draw(widths, rng)
    y = G1(codes.h0) * G2(codes.m0)
    dead = (y == 0).all(-1)
    return Problems(G1, G2, y + dead[:, None], dead)  # any other y will do, as nothing is recovered


def recover_ensembles(task: Task, rng: torch.Generator) -> Result:
    """Run Algorithm 1 on networks of every law of `ENSEMBLES` and on Gaussian ones, as in Theorem 2.

    task: widths and trials. Returns the outer-product error by the law, shape (trials,).
    """
    widths, trials = task["widths"], task["trials"]
    codes, seed = draw_codes(widths[0], trials, rng), _seed(rng)
    draws: dict[str, Draw] = {"gaussian": partial(_gaussian, trials)}
    draws |= {name: partial(_of_law, name, trials) for name in ENSEMBLES}
    return {name: _recovered(draw_problems(draw, widths, codes, seed), codes) for name, draw in draws.items()}


def recover_orders(task: Task, rng: torch.Generator) -> Result:
    """Run Algorithm 1 on networks with the hidden widths in the order given and in the reverse order.

    task: n, ell, inner and trials. Returns the outer-product errors `given` and `reversed`, shape (trials,).
    """
    codes, seed = draw_codes(task["n"], task["trials"], rng), _seed(rng)
    draw = partial(_gaussian, task["trials"])
    orders = {"given": task["inner"], "reversed": task["inner"][::-1]}
    return {
        name: _recovered(draw_problems(draw, (task["n"], *inner, task["ell"]), codes, seed), codes)
        for name, inner in orders.items()
    }


def demodulate_both(task: Task, rng: torch.Generator) -> Result:
    """Run Algorithm 1 and `plugin.demodulate` on the same problems from the same starts.

    task: n, ell, inner and trials; optionally start_norm, in units of √Ĥ0, 1. Returns the outer-product errors `algorithm_1`
    and `plugin`, shape (trials,).
    """
    codes, seed = draw_codes(task["n"], task["trials"], rng), _seed(rng)
    widths = task["n"], *task["inner"], task["ell"]
    problems = draw_problems(partial(_gaussian, task["trials"]), widths, codes, seed)
    h, m = problems.starts(codes, task.get("start_norm", 1.0))
    walk = descend(problems.G1, problems.G2, problems.y, h=h, m=m, **DESCENT)
    jump = plugin.demodulate(problems.G1, problems.G2, problems.y, h=h, m=m, **BUDGET)
    return {name: _error(problems, codes, found.h, found.m) for name, found in (("algorithm_1", walk), ("plugin", jump))}


def invert_both(task: Task, rng: torch.Generator) -> Result:
    """Recover h0 from G(h0) by gradient descent and by `plugin.solve`, from the same starts.

    task: n, ell, inner and trials. Returns the relative errors `gradient` and `plugin` of the code, shape (trials,).
    """
    n, trials = task["n"], task["trials"]
    codes = draw_codes(n, trials, rng)
    G = _gaussian(trials, (n, *task["inner"], task["ell"]), rng)
    y = G(codes.h0)
    dead = (y == 0).all(-1)
    y = y + dead[:, None]
    h = n**0.5 * codes.h
    estimates = {
        "gradient": inversion.solve(G, torch.ones_like(y), y, h=h, **BUDGET),
        "plugin": plugin.solve(G, y, h=h, **BUDGET),
    }
    return {
        name: torch.where(dead, 1.0, _finite((found.h - codes.h0).norm(dim=-1) / codes.h0.norm(dim=-1)))
        for name, found in estimates.items()
    }


def _seed(rng: torch.Generator) -> int:
    return int(torch.randint(2**62, (), generator=rng, device="cpu"))


def _gaussian(trials: int, widths: Sequence[int], rng: torch.Generator) -> ReLUGenerator:
    return ReLUGenerator.gaussian(widths, rng, batch=(trials,))


def _of_law(name: str, trials: int, widths: Sequence[int], rng: torch.Generator) -> ReLUGenerator:
    return draw_network(name, widths, rng, batch=(trials,))


def _recovered(problems: Problems, codes: Codes) -> Tensor:
    """Return the outer-product errors of Algorithm 1."""
    h, m = problems.starts(codes)
    solution = descend(problems.G1, problems.G2, problems.y, h=h, m=m, **DESCENT)
    return _error(problems, codes, solution.h, solution.m)


def _error(problems: Problems, codes: Codes, h: Tensor, m: Tensor) -> Tensor:
    lost = problems.dead | ~(h.isfinite().all(-1) & m.isfinite().all(-1))
    h, m = (torch.where(lost[:, None], torch.ones_like(z), z) for z in (h, m))
    return torch.where(lost, 1.0, outer_product_error(h, m, codes.h0, codes.m0))


def _finite(error: Tensor) -> Tensor:
    return torch.where(error.isfinite(), error, torch.inf)
