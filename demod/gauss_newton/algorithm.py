"""(2) by damped Gauss–Newton steps."""

import torch
from torch import Tensor

from demod.arguments import check_counts, check_tensors, told
from demod.descent import Solution, code_scale
from demod.descent.balancing import balanced
from demod.descent.blocks import blocks
from demod.descent.problem import check_problem
from demod.descent.rule import Rule
from demod.descent.starts import is_gaussian, starting_code
from demod.descent.units import code_unit
from demod.gauss_newton.progress import Progress
from demod.gauss_newton.product import Product
from demod.generators import Generator
from demod.torch_state import in_full_precision


@in_full_precision
def solve(
    G1: Generator,
    G2: Generator,
    y: Tensor,
    *,
    h: Tensor | None = None,
    m: Tensor | None = None,
    starts: int = 1,
    iterations: int = 50,
    tolerance: float = 1e-12,
    mask: Tensor | None = None,
    rng: torch.Generator | None = None,
) -> Solution:
    """Solve (2)."""
    check_counts(starts=starts)
    check_problem(G1, G2, y)
    homogeneous = G1.homogeneous and G2.homogeneous
    rule = Rule(iterations=iterations, tolerance=tolerance, balance=homogeneous)
    y = y.detach()
    unit = code_unit(y) if homogeneous else torch.ones_like(y[..., :1])
    y = (y / unit / unit).expand(starts, *y.shape)
    scale = code_scale(G1, G2, y) if is_gaussian(G1) and is_gaussian(G2) else None
    h, m = starting_code("h", G1, h, y, unit, scale, rng), starting_code("m", G2, m, y, unit, scale, rng)
    h, m, history, fate = _in_blocks(G1, G2, y, h, m, None, rule)
    f = torch.where(history[-1].isnan(), torch.inf, history[-1])
    best = f.argmin(0)[None]
    h, m = (z.take_along_dim(best[..., None], 0)[0] * unit for z in (h, m))
    history, fate = (v.take_along_dim(best[None], 1)[:, 0] for v in (history, fate))
    for _ in range(4):
        history = history * unit[..., 0]
    converged, diverged, spent = fate
    return Solution(h, m, G1(h).detach(), G2(m).detach(), history, converged > 0, diverged > 0, spent)


def _in_blocks(
    G1: Generator, G2: Generator, y: Tensor, h: Tensor, m: Tensor, observed: Tensor | None, rule: Rule
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return (h, m, history, fate) of problems y (K, *B, ℓ), block by block."""
    batch = y.shape[:-1]
    count = batch[1:].numel()
    history = y.new_empty(rule.iterations + 1, batch.numel())
    fate = torch.empty(3, batch.numel(), dtype=torch.long, device=y.device)
    y, h, m = (tensor.reshape(-1, tensor.shape[-1]) for tensor in (y, h, m))
    solved = torch.zeros(count, dtype=torch.bool, device=y.device)
    for rows, A, B in blocks(G1, G2, batch, y):
        seen = None if observed is None else observed.reshape(-1, y.shape[-1])[rows]
        h[rows], m[rows], history[:, rows], fate[:, rows] = _run(A, B, y[rows], h[rows], m[rows], seen, rule, rows % count, solved)
    h, m = (tensor.view(*batch, tensor.shape[-1]) for tensor in (h, m))
    return h, m, history.view(len(history), *batch), fate.view(3, *batch)


def _run(G1, G2, y, h, m, observed, rule, problem, solved):
    progress = Progress(Product(G1, G2, y, h, m, observed), h, m, rule, problem, solved)
    for i in range(rule.iterations):
        if not progress.goes_on():
            break
        progress.advance(i + 1)
    return progress.outcome()
