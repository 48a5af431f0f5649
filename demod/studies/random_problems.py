"""Random problems of Theorem 2, drawn and solved by Algorithm 1: what the sweeps of the book run."""

from typing import Any

import torch

from demod.arguments import check_counts
from demod.descent import THETA, code_scale, default_step_size, descend, outer_product_error
from demod.generators import ReLUGenerator
from demod.studies.sweeps import Result, Task

SUCCESS = 1e-3  # outer-product error at which a problem counts as recovered
TOGETHER = 16  # problems drawn and solved at once: what memory holds of them, whatever the number of trials


def recover_problems(task: Task, rng: torch.Generator) -> Result:
    """Run Algorithm 1 on fresh problems with networks of their own.

    Parameters
    ----------
    task : mapping
        n, p, ell, trials; optionally inner1 and inner2, the inner widths, [10 n] and [10 p] by default; noise, the ratio
        ‖noise‖/‖y0‖ of Gaussian noise, 0; starts, 1, the best of which by residual counts; theta, the step size in units of
        2^{d+s} ℓ/(α Ĥ0); start_norm, that of the starting codes in units of √Ĥ0, 1; and settings of `descend`.
    rng : torch.Generator
        On the CPU.

    Returns
    -------
    dict
        error, the outer-product error, residual, ‖w ⊙ x - y‖/‖y‖, and iterations: shape (trials,) each. Where y0 is zero,
        because a narrow network switches off, the error is 1.

    Raises
    ------
    ValueError
        If the task lacks a size, or one of them is less than 1.
    """
    if missing := [name for name in ("n", "p", "ell", "trials") if name not in task]:
        raise ValueError(f"task has no {', '.join(missing)}, but n, p, ell and trials are required; add what is missing.")
    check_counts(n=task["n"], p=task["p"], ell=task["ell"], trials=task["trials"])
    rest = dict(task)
    trials = rest.pop("trials")
    parts = [_recover_some(dict(rest), min(TOGETHER, trials - done), rng) for done in range(0, trials, TOGETHER)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _recover_some(task: dict[str, Any], count: int, rng: torch.Generator) -> Result:
    """Draw and solve `count` problems of a task at once; what remains of the task are settings of `descend`."""
    n, p, ell = (task.pop(name) for name in ("n", "p", "ell"))
    inner1, inner2 = task.pop("inner1", [10 * n]), task.pop("inner2", [10 * p])
    noise, starts = task.pop("noise", 0.0), task.pop("starts", 1)
    theta, start_norm = task.pop("theta", THETA), task.pop("start_norm", 1.0)
    G1 = ReLUGenerator.gaussian((n, *inner1, ell), rng, batch=(count, 1))
    G2 = ReLUGenerator.gaussian((p, *inner2, ell), rng, batch=(count, 1))
    h0 = torch.randn(count, 1, n, generator=rng, dtype=torch.float64, device="cpu")
    m0 = torch.randn(count, 1, p, generator=rng, dtype=torch.float64, device="cpu")
    y = G1(h0) * G2(m0)
    e = torch.randn(y.shape, generator=rng, dtype=torch.float64, device="cpu")
    y = y + noise * y.norm(dim=-1, keepdim=True) / e.norm(dim=-1, keepdim=True) * e
    dead = (y == 0).all(-1, keepdim=True)  # narrow networks may switch off; any other y will do, as nothing is recovered
    z = (y + dead).expand(-1, starts, -1)
    codes = torch.randn(2, count, starts, max(n, p), generator=rng, dtype=torch.float64, device="cpu")
    norm = start_norm * code_scale(G1, G2, z).sqrt()[..., None]
    h, m = (norm * torch.nn.functional.normalize(code[..., :k], dim=-1) for code, k in zip(codes, (n, p), strict=True))
    eta = theta / THETA * default_step_size(G1, G2, z)
    solution = descend(G1, G2, z, h=h, m=m, step_size=eta, **task)
    residual = (solution.signal * solution.modulator - y).norm(dim=-1) / (y + dead).norm(dim=-1)
    error = torch.where(dead[..., 0], 1.0, outer_product_error(solution.h, solution.m, h0, m0))
    best = residual.argmin(-1, keepdim=True)
    found = {"error": error, "residual": residual, "iterations": solution.iterations}
    return {name: values.gather(-1, best)[:, 0] for name, values in found.items()}
