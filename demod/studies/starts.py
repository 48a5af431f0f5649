"""Starts of any norm: Algorithm 1 with a constant step and with relative ones, and Gauss–Newton, on the same problems.

Each problem has networks of its own, and a start of random directions from which all methods begin.
"""

import torch
from torch import Tensor

from demod.arguments import check_counts
from demod.descent import code_scale, descend, outer_product_error
from demod.gauss_newton import solve
from demod.generators import ReLUGenerator
from demod.studies.random_problems import TOGETHER
from demod.studies.sweeps import Result, Task

METHODS = ("constant", "relative", "second_order")


def recover_from_starts(task: Task, rng: torch.Generator) -> Result:
    """Solve fresh problems from starts of one norm by each method.

    Parameters
    ----------
    task : mapping
        n, ell, trials; start_norm, in units of √Ĥ0; iterations and tolerance. p is n, the inner widths are 10 n.
    rng : torch.Generator
        On the CPU.

    Returns
    -------
    dict
        error, the outer-product error, and iterations, (trials, methods) each, in the order of `METHODS`.

    Raises
    ------
    ValueError
        If the task lacks a size, or one of them is less than 1.
    """
    if missing := [name for name in ("n", "ell", "trials", "start_norm", "iterations", "tolerance") if name not in task]:
        raise ValueError(f"task has no {', '.join(missing)}, but each is required; add what is missing.")
    check_counts(n=task["n"], ell=task["ell"], trials=task["trials"])
    sizes = [min(TOGETHER, task["trials"] - done) for done in range(0, task["trials"], TOGETHER)]
    parts = [_recover_some(task, size, rng) for size in sizes]
    return {name: torch.cat([part[k] for part in parts]) for k, name in enumerate(("error", "iterations"))}


def _recover_some(task: Task, count: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw and solve `count` problems."""
    n, rule = task["n"], {name: task[name] for name in ("iterations", "tolerance")}
    G1, G2 = (ReLUGenerator.gaussian((n, 10 * n, task["ell"]), rng, batch=(count,)) for _ in range(2))
    h0, m0, h, m = torch.randn(4, count, n, generator=rng, dtype=torch.float64, device="cpu")
    y = G1(h0) * G2(m0)
    norm = task["start_norm"] * code_scale(G1, G2, y).sqrt()[:, None]
    h, m = (norm * torch.nn.functional.normalize(z, dim=-1) for z in (h, m))
    solutions = [descend(G1, G2, y, h=h, m=m, relative_steps=relative, **rule) for relative in (False, True)]
    solutions.append(solve(G1, G2, y, h=h, m=m, **rule))
    errors = [outer_product_error(solution.h, solution.m, h0, m0) for solution in solutions]
    return torch.stack(errors, -1), torch.stack([solution.iterations for solution in solutions], -1)
