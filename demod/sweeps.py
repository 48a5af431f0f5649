"""Sweeps: many cells, each a setting with a random stream of its own, on as many workers as there are.

A cell is a dictionary of numbers and words. Its stream is seeded with the sweep's seed and a hash of the cell, its result is
a file named by a hash of the two and of the function's source. So neither the order nor the number of workers matters, a
sweep that was killed goes on where it was, having lost at most the cells at work, and two runs leave the same bytes.

The workers are processes of this machine. For a cluster, give joblib another backend:

    with joblib.parallel_config(backend="dask"):
        sweep(recover_cell, cells, folder, seed=2019)
"""

import hashlib
import inspect
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed
from scipy.optimize import minimize
from scipy.special import expit, log_expit
from torch import Tensor
from tqdm import tqdm

from demod.arguments import check_counts
from demod.artifacts import load_tensors, save_tensors
from demod.descent import THETA, code_scale, default_step_size, descend, outer_product_error
from demod.generators import ReLUGenerator

Cell = Mapping[str, Any]
Result = dict[str, Tensor]
Run = Callable[[Cell, torch.Generator], Result]

SUCCESS = 1e-3  # outer-product error at which a problem counts as recovered
TOGETHER = 16  # problems drawn and solved at once: what memory holds of them, whatever the number of trials


def sweep(
    run: Run, cells: Sequence[Cell], folder: Path | str, *, seed: int, jobs: int | None = None, progress: bool = False
) -> list[Result]:
    """Return run(cell, rng) for each cell, in order; cells with a file in `folder` are not run again.

    Parameters
    ----------
    run : callable
        A function of a module, so that workers can import it; it returns named tensors. A change of its source makes all
        cells anew, a change of what it calls does not: then empty the folder.
    cells : sequence of mappings
        Of what JSON can hold.
    folder : path
        One file a cell.
    seed : int
        Of all streams.
    jobs : int, optional
        Cells at once: -1 for as many as there are cores. None: one, or what `joblib.parallel_config` says.
    progress : bool
        Whether to show a bar with the time left.

    Raises
    ------
    ValueError
        If two cells are the same.
    """
    folder = Path(folder)
    paths = [folder / f"{_digest(cell, seed, _source(run))[:16]}.safetensors" for cell in cells]
    if len(set(paths)) < len(paths):
        raise ValueError(
            f"{len(paths) - len(set(paths))} cells occur twice, with the same stream; give each a number to tell."
        )
    waiting = [k for k, path in enumerate(paths) if not path.is_file()]
    workers = Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1, pre_dispatch="2 * n_jobs")
    finished = workers(delayed(_finish)(run, dict(cells[k]), seed, k) for k in waiting)
    with tqdm(total=len(cells), initial=len(cells) - len(waiting), unit="cell", disable=not progress) as bar:
        for k, result in finished:
            save_tensors(paths[k], result, {"cell": dict(cells[k]), "seed": seed})
            bar.update()
    return [load_tensors(path)[0] for path in paths]


def _finish(run: Run, cell: Cell, seed: int, k: int) -> tuple[int, Result]:
    """Run one cell on one thread: sums over more threads depend on their number."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rng = torch.Generator().manual_seed(int(_digest(cell, seed)[:8], 16))  # torch uses 32 bits of a seed
        return k, run(cell, rng)
    finally:
        torch.set_num_threads(threads)


def _digest(cell: Cell, seed: int, source: str = "") -> str:
    return hashlib.sha256(json.dumps([dict(cell), seed, source], sort_keys=True).encode()).hexdigest()


def _source(run: Run) -> str:
    return f"{run.__module__}.{run.__qualname__}\n{inspect.getsource(run)}"


def recover_cell(cell: Cell, rng: torch.Generator) -> Result:
    """Run Algorithm 1 on fresh problems with networks of their own.

    Parameters
    ----------
    cell : mapping
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
    """
    if missing := [name for name in ("n", "p", "ell", "trials") if name not in cell]:
        raise ValueError(f"cell has no {', '.join(missing)}, but n, p, ell and trials are required; add what is missing.")
    check_counts(n=cell["n"], p=cell["p"], ell=cell["ell"], trials=cell["trials"])
    cell = dict(cell)
    n, p, ell, trials = (cell.pop(name) for name in ("n", "p", "ell", "trials"))
    inner1, inner2 = cell.pop("inner1", [10 * n]), cell.pop("inner2", [10 * p])
    noise, starts = cell.pop("noise", 0.0), cell.pop("starts", 1)
    theta, start_norm = cell.pop("theta", THETA), cell.pop("start_norm", 1.0)
    parts = []
    for done in range(0, trials, TOGETHER):
        count = min(TOGETHER, trials - done)
        G1 = ReLUGenerator.gaussian((n, *inner1, ell), rng, batch=(count, 1))
        G2 = ReLUGenerator.gaussian((p, *inner2, ell), rng, batch=(count, 1))
        h0 = torch.randn(count, 1, n, generator=rng, dtype=torch.float64)
        m0 = torch.randn(count, 1, p, generator=rng, dtype=torch.float64)
        y = G1(h0) * G2(m0)
        e = torch.randn(y.shape, generator=rng, dtype=torch.float64)
        y = y + noise * y.norm(dim=-1, keepdim=True) / e.norm(dim=-1, keepdim=True) * e
        dead = (y == 0).all(-1, keepdim=True)  # narrow networks may switch off; any other y will do, as nothing is recovered
        z = (y + dead).expand(-1, starts, -1)
        codes = torch.randn(2, count, starts, max(n, p), generator=rng, dtype=torch.float64)
        norm = start_norm * code_scale(G1, G2, z).sqrt()[..., None]
        h, m = (norm * torch.nn.functional.normalize(code[..., :k], dim=-1) for code, k in zip(codes, (n, p), strict=True))
        eta = theta / THETA * default_step_size(G1, G2, z)
        solution = descend(G1, G2, z, h=h, m=m, step_size=eta, **cell)
        residual = (solution.signal * solution.modulator - y).norm(dim=-1) / (y + dead).norm(dim=-1)
        error = torch.where(dead[..., 0], 1.0, outer_product_error(solution.h, solution.m, h0, m0))
        best = residual.argmin(-1, keepdim=True)
        found = {"error": error, "residual": residual, "iterations": solution.iterations}
        parts.append({name: values.gather(-1, best)[:, 0] for name, values in found.items()})
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def half_point(sizes: Sequence[float], successes: Sequence[int], trials: int) -> tuple[float, float]:
    """Return the size at which half of the problems succeed, and the standard error of its logarithm.

    The success probability is modelled as 1/(1 + (size_50/size)^a), and size_50 and a maximise the likelihood; the error is
    that of the inverse Fisher information. A weak prior on a, log-normal around 8, decides where success jumps from none to
    all between two sizes.

    Raises
    ------
    ValueError
        If the sizes do not bracket one half.
    """
    x, k = np.log(np.asarray(sizes, float)), np.asarray(successes, float)
    if len(x) == len(k) and not ((k >= 0) & (k <= trials)).all():
        raise ValueError(f"successes is {list(successes)}, but each is a count from 0 to trials = {trials}; count again.")
    if len(x) != len(k) or not k.min() < trials / 2 < k.max():
        raise ValueError(f"{list(successes)} of {trials} at {list(sizes)}: some sizes must give less than half, some more.")

    def cost(theta: np.ndarray) -> float:
        odds = math.exp(theta[1]) * (x - theta[0])
        return -(k * log_expit(odds) + (trials - k) * log_expit(-odds)).sum() + (theta[1] - math.log(8)) ** 2 / 2

    start = np.interp(trials / 2, np.maximum.accumulate(k) + 1e-9 * np.arange(len(k)), x)
    log_half, log_a = minimize(cost, [start, math.log(8)], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10}).x
    a, p = math.exp(log_a), expit(math.exp(log_a) * (x - log_half))
    weight = trials * p * (1 - p)
    slopes = np.stack([-a * np.ones_like(x), a * (x - log_half)])  # of the log-odds in (log size_50, log a)
    information = (slopes * weight) @ slopes.T + np.diag([0.0, 1.0])
    return math.exp(log_half), float(np.linalg.inv(information)[0, 0] ** 0.5)


def exponent(sizes: Sequence[float], values: Sequence[float], errors: Sequence[float]) -> tuple[float, float]:
    """Return the slope of log values in log sizes, and its standard error, for independent errors of log values."""
    if not len(sizes) == len(values) == len(errors) > 1 or not all(min(part) > 0 for part in (sizes, values, errors)):
        raise ValueError(
            f"sizes, values and errors have {len(sizes)}, {len(values)} and {len(errors)} entries; required are as many of "
            "each, two or more, all positive: leave out what failed."
        )
    x, y, weight = np.log(np.asarray(sizes, float)), np.log(np.asarray(values, float)), np.asarray(errors, float) ** -2.0
    centre = (weight * x).sum() / weight.sum()
    spread = (weight * (x - centre) ** 2).sum()
    return float((weight * (x - centre) * y).sum() / spread), float(spread**-0.5)
