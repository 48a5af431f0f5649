"""Paired studies: the same codes and the same starts, on networks of several kinds or with several methods.

What differs between two results is then the kind or the method, and not the luck of the draw. Networks of all kinds are
made of one stream of normal numbers, see `demod.wdc.ensembles`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import normalize

from demod.baselines import inversion, plugin
from demod.descent import code_scale, descend, outer_product_error
from demod.generators import ReLUGenerator
from demod.studies.sweeps import Result, Task
from demod.wdc.ensembles import ENSEMBLES, draw_network

Draw = Callable[[Sequence[int], torch.Generator], ReLUGenerator]
ITERATIONS, TOLERANCE = 400, 1e-4  # of every method
MOMENTUM = 0.5  # of Algorithm 1


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
    problems = {name: draw_problems(draw, widths, codes, seed) for name, draw in draws.items()}
    return {name: _recovered(some, codes, *some.starts(codes)) for name, some in problems.items()}


def recover_orders(task: Task, rng: torch.Generator) -> Result:
    """Run Algorithm 1 on networks with the hidden widths in the order given and in the reverse order.

    task: n, ell, inner and trials. Returns the outer-product errors `given` and `reversed`, shape (trials,).
    """
    codes, seed = draw_codes(task["n"], task["trials"], rng), _seed(rng)
    draw = partial(_gaussian, task["trials"])
    orders = {"given": task["inner"], "reversed": task["inner"][::-1]}
    problems = {name: draw_problems(draw, (task["n"], *inner, task["ell"]), codes, seed) for name, inner in orders.items()}
    return {name: _recovered(some, codes, *some.starts(codes)) for name, some in problems.items()}


def demodulate_both(task: Task, rng: torch.Generator) -> Result:
    """Run Algorithm 1 and `plugin.demodulate` on the same problems from the same starts.

    task: n, ell, inner and trials; optionally start_norm, in units of √Ĥ0, 1. Returns the outer-product errors `algorithm_1`
    and `plugin`, shape (trials,).
    """
    codes, seed = draw_codes(task["n"], task["trials"], rng), _seed(rng)
    widths = task["n"], *task["inner"], task["ell"]
    problems = draw_problems(partial(_gaussian, task["trials"]), widths, codes, seed)
    h, m = problems.starts(codes, task.get("start_norm", 1.0))
    without = plugin.demodulate(problems.G1, problems.G2, problems.y, h=h, m=m, iterations=ITERATIONS, tolerance=TOLERANCE)
    return {
        "algorithm_1": _recovered(problems, codes, h, m),
        "plugin": _error(problems, codes, cast(Tensor, without.h), cast(Tensor, without.m)),
    }


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
    ones = torch.ones_like(y)
    estimates = {
        "gradient": inversion.solve(G, ones, y, h=h, iterations=ITERATIONS, tolerance=TOLERANCE).h,
        "plugin": plugin.solve(G, y, h=h, iterations=ITERATIONS, tolerance=TOLERANCE).h,
    }
    errors = {
        name: (cast(Tensor, found) - codes.h0).norm(dim=-1) / codes.h0.norm(dim=-1) for name, found in estimates.items()
    }
    return {name: torch.where(dead | ~error.isfinite(), 1.0, error) for name, error in errors.items()}


def _seed(rng: torch.Generator) -> int:
    return int(torch.randint(2**62, (), generator=rng, device="cpu"))


def _gaussian(trials: int, widths: Sequence[int], rng: torch.Generator) -> ReLUGenerator:
    return ReLUGenerator.gaussian(widths, rng, batch=(trials,))


def _of_law(name: str, trials: int, widths: Sequence[int], rng: torch.Generator) -> ReLUGenerator:
    return draw_network(name, widths, rng, batch=(trials,))


def _recovered(problems: Problems, codes: Codes, h: Tensor, m: Tensor) -> Tensor:
    """Return the outer-product errors of Algorithm 1 from the starts h and m."""
    solution = descend(
        problems.G1, problems.G2, problems.y, h=h, m=m, momentum=MOMENTUM, iterations=ITERATIONS, tolerance=TOLERANCE
    )
    return _error(problems, codes, solution.h, solution.m)


def _error(problems: Problems, codes: Codes, h: Tensor, m: Tensor) -> Tensor:
    lost = problems.dead | ~(h.isfinite().all(-1) & m.isfinite().all(-1))
    h, m = (torch.where(lost[:, None], torch.ones_like(z), z) for z in (h, m))
    return torch.where(lost, 1.0, outer_product_error(h, m, codes.h0, codes.m0))
