"""Starts of any norm: Algorithm 1 with a constant step and with relative ones, and Gauss–Newton, on the same problems.

Each problem has networks of its own, and a start of random directions from which all methods begin.
"""

from typing import Any

import torch
from torch import Tensor

from demod.arguments import check_counts
from demod.descent import Solution, code_scale, descend, outer_product_error
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
        n, ell, trials; start_norm, in units of √Ĥ0; iterations and tolerance; optionally inner, the inner width of both
        networks, 10 n by default, and methods, of `METHODS` and by default these. p is n.
    rng : torch.Generator
        On the CPU.

    Returns
    -------
    dict
        error, the outer-product error, and iterations, (trials, methods) each, in the order of the methods.

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
    widths = (n, task.get("inner", 10 * n), task["ell"])
    G1, G2 = (ReLUGenerator.gaussian(widths, rng, batch=(count,)) for _ in range(2))
    h0, m0, h, m = torch.randn(4, count, n, generator=rng, dtype=torch.float64, device="cpu")
    y = G1(h0) * G2(m0)
    norm = task["start_norm"] * code_scale(G1, G2, y).sqrt()[:, None]
    begin = {name: norm * torch.nn.functional.normalize(z, dim=-1) for name, z in (("h", h), ("m", m))}
    solutions = [_solve(method, G1, G2, y, begin | rule) for method in task.get("methods", METHODS)]
    errors = [outer_product_error(solution.h, solution.m, h0, m0) for solution in solutions]
    return torch.stack(errors, -1), torch.stack([solution.iterations for solution in solutions], -1)


def _solve(method: str, G1: ReLUGenerator, G2: ReLUGenerator, y: Tensor, settings: dict[str, Any]) -> Solution:
    """Return what a method of `METHODS` finds."""
    if method == "second_order":
        return solve(G1, G2, y, **settings)
    return descend(G1, G2, y, relative_steps=method == "relative", **settings)
