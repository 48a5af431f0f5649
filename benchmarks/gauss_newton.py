"""(2) to a relative residual of 1e-10: `gauss_newton.solve` against Algorithm 1, SciPy, Adam and optimistix, all in one run.

Every method gets the same problems and the same starts, in float64, and all are run in turn, several times; the table gives
medians of the time to solution in milliseconds a problem, and how many problems each method solved. The peers are

    descend                  Algorithm 1 with its default step size, at most 3000 iterations
    SciPy, one by one        a loop over least_squares with method "lm" (MINPACK), given the Jacobian in NumPy
    SciPy, no Jacobian       the same loop as most would write it: MINPACK takes differences
    L-BFGS, one by one       a loop over minimize with method "L-BFGS-B", given the gradient in NumPy, 3000 at most
    Adam                     that of PyTorch on the whole batch, at most 3000 steps, whose length falls like a cosine
    optimistix, jit + vmap   its Levenberg-Marquardt on the whole batch, compiled before; needs `pip install jax optimistix`

L-BFGS and Adam stop once the residual is reached, Adam when it is for all problems. SciPy's Levenberg-Marquardt and that of
optimistix stop at a tolerance that is as loose as reaching 1e-10 allows. The floor is the time of the matrix products that
the steps need, each with as many problems as there were, on memory that is there already: through each network one product
per layer for z and -z together; through the inner layers, and through those rows of the last one that matter, one with the
Jacobian; and the Gram matrix. `make bench` runs it and writes demod_book/results/benchmark-gauss-newton.json.
"""

import json
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table
from scipy.optimize import OptimizeResult, least_squares, minimize
from torch import Tensor

from demod.artifacts import machine, write_json
from demod.descent import Solution, descend, outer_product_error
from demod.descent.blocks import blocks
from demod.gauss_newton import solve
from demod.generators import Generator, ReLUGenerator, networks, pick
from demod.objective import half_squared_norm

try:
    import jax
    import jax.numpy as jnp
    import optimistix
except ImportError:
    jax = None
else:
    jax.config.update("jax_enable_x64", True)

RESULT = Path(__file__).parents[1] / "demod_book" / "results" / "benchmark-gauss-newton.json"
TOLERANCE = 1e-10  # of the relative residual
RIVAL = 1e-7  # relative change of codes and residuals at which SciPy and optimistix stop: the next step would be its square
STEPS = 3000  # of first-order methods, at most
MEMORY = 20  # of L-BFGS
LENGTH = 0.03  # of the first step of Adam, in units of the root mean square of a starting code
SIZES = (  # n = p, inner widths, ℓ, problems, whether each has networks of its own
    (10, (100,), 1000, 64, True),
    (10, (100,), 1000, 64, False),
    (10, (100,), 400, 64, True),
    (5, (50,), 400, 64, True),
)
Codes = tuple[Tensor, Tensor]


def ours(G1: ReLUGenerator, G2: ReLUGenerator, y: Tensor, start: Codes) -> Codes:
    """`solve` from one start."""
    solution = solve(G1, G2, y, h=start[0], m=start[1], tolerance=TOLERANCE)
    return solution.h, solution.m


def algorithm_1(G1: ReLUGenerator, G2: ReLUGenerator, y: Tensor, start: Codes) -> Codes:
    """`descend` from one start."""
    solution = descend(G1, G2, y, h=start[0], m=start[1], iterations=STEPS, tolerance=TOLERANCE)
    return solution.h, solution.m


def one_by_one(G1: ReLUGenerator, G2: ReLUGenerator, y: Tensor, start: Codes, *, exact: bool = True) -> Codes:
    """SciPy's Levenberg-Marquardt, problem by problem, given the Jacobian if it is to be exact."""
    found = [_scipy_codes(*problem, exact=exact) for problem in _problems(G1, G2, y, start)]
    return torch.stack([h for h, _ in found]), torch.stack([m for _, m in found])


def _problems(G1: ReLUGenerator, G2: ReLUGenerator, y: Tensor, start: Codes) -> list[tuple[Any, ...]]:
    return [
        ([W.numpy() for W in pick(G1, torch.tensor(k)).weights], [W.numpy() for W in pick(G2, torch.tensor(k)).weights],
         y[k].numpy(), start[0][k].numpy(), start[1][k].numpy())
        for k in range(len(y))
    ]  # fmt: skip


def _scipy_codes(weights1: Any, weights2: Any, y: Any, h: Any, m: Any, *, exact: bool) -> Codes:
    n = len(h)

    def residual(z: Any) -> Any:
        return _value(weights1, z[:n]) * _value(weights2, z[n:]) - y

    def jacobian(z: Any) -> Any:
        (w, of_h), (x, of_m) = _linearised(weights1, z[:n]), _linearised(weights2, z[n:])
        return np.hstack([x[:, None] * of_h, w[:, None] * of_m])

    start, rule = np.concatenate([h, m]), {"ftol": RIVAL**2, "xtol": RIVAL, "gtol": 1e-15}
    calls = 500 if exact else 500 * (1 + len(start))  # of the residual
    z = least_squares(residual, start, jacobian if exact else "2-point", method="lm", max_nfev=calls, **rule).x
    return torch.from_numpy(z[:n]), torch.from_numpy(z[n:])


def _value(weights: Any, z: Any) -> Any:
    for W in weights:
        z = np.maximum(W @ z, 0)
    return z


def _linearised(weights: Any, z: Any) -> Any:
    Lambda = np.eye(len(z))
    for W in weights:
        z = W @ z
        Lambda = (W @ Lambda) * (z > 0)[:, None]
        z = np.maximum(z, 0)
    return z, Lambda


def by_lbfgs(G1: ReLUGenerator, G2: ReLUGenerator, y: Tensor, start: Codes) -> Codes:
    """SciPy's L-BFGS, problem by problem."""
    found = [_lbfgs_codes(*problem) for problem in _problems(G1, G2, y, start)]
    return torch.stack([h for h, _ in found]), torch.stack([m for _, m in found])


def _lbfgs_codes(weights1: Any, weights2: Any, y: Any, h: Any, m: Any) -> Codes:
    n = len(h)

    def objective(z: Any) -> Any:
        (w, masks1), (x, masks2) = _masked(weights1, z[:n]), _masked(weights2, z[n:])
        r = w * x - y
        slope = np.concatenate([_pulled(weights1, masks1, x * r), _pulled(weights2, masks2, w * r)])
        return r @ r / (y @ y), 2 / (y @ y) * slope

    def stop(*, intermediate_result: OptimizeResult) -> None:
        if intermediate_result.fun <= TOLERANCE**2:
            raise StopIteration

    rule = {"maxiter": STEPS, "maxfun": 3 * STEPS, "maxcor": MEMORY, "ftol": 0, "gtol": 0}
    z = minimize(objective, np.concatenate([h, m]), jac=True, method="L-BFGS-B", callback=stop, options=rule).x
    return torch.from_numpy(z[:n]), torch.from_numpy(z[n:])


def _masked(weights: Any, z: Any) -> Any:
    masks = []
    for W in weights:
        z = W @ z
        masks.append(z > 0)
        z = z * masks[-1]
    return z, masks


def _pulled(weights: Any, masks: Any, u: Any) -> Any:
    for W, mask in zip(reversed(weights), reversed(masks), strict=True):
        u = W.T @ (u * mask)
    return u


def by_adam(G1: ReLUGenerator, G2: ReLUGenerator, y: Tensor, start: Codes) -> Codes:
    """Run Adam of PyTorch on the whole batch, each code in units of the root mean square of its start."""
    units = [z.square().mean(-1, keepdim=True).sqrt() for z in start]
    codes = [(z / unit).requires_grad_() for z, unit in zip(start, units, strict=True)]
    adam = torch.optim.Adam(codes, lr=LENGTH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, STEPS)
    for _ in range(STEPS):
        adam.zero_grad()
        h, m = (unit * z for unit, z in zip(units, codes, strict=True))
        squares = residuals(G1, G2, y, (h, m)).square()
        if (squares <= TOLERANCE**2).all():
            break
        squares.sum().backward()
        adam.step()
        schedule.step()
    return units[0] * codes[0].detach(), units[1] * codes[1].detach()


def with_optimistix(G1: ReLUGenerator, G2: ReLUGenerator, y: Tensor, start: Codes) -> Codes:
    """Run the Levenberg-Marquardt of optimistix on the whole batch."""
    weights = [[jnp.asarray(W.numpy()) for W in G.weights] for G in (G1, G2)]
    h, m = _compiled(bool(networks(G1)))(*weights, *(jnp.asarray(t.numpy()) for t in (y, *start)))
    return torch.from_numpy(jax.device_get(h).copy()), torch.from_numpy(jax.device_get(m).copy())


def _compiled(own: bool, cache: dict[bool, Callable[..., Any]] = {}) -> Callable[..., Any]:  # noqa: B006 - compiled once
    def network(weights: Any, z: Any) -> Any:
        for W in weights:
            z = jax.nn.relu(W @ z)
        return z

    def residual(codes: Any, problem: Any) -> Any:
        (h, m), (weights1, weights2, y) = codes, problem
        return network(weights1, h) * network(weights2, m) - y

    def one(weights1: Any, weights2: Any, y: Any, h: Any, m: Any) -> Any:
        solver = optimistix.LevenbergMarquardt(rtol=RIVAL, atol=RIVAL**2)
        problem = (weights1, weights2, y)
        return optimistix.least_squares(residual, solver, (h, m), problem, max_steps=100, throw=False).value

    if own not in cache:
        cache[own] = jax.jit(jax.vmap(one, in_axes=(0 if own else None,) * 2 + (0,) * 3))
    return cache[own]


def floor(G1: ReLUGenerator, G2: ReLUGenerator, y: Tensor, solution: Solution) -> Callable[[], None]:
    """Return the matrix products alone, for the problems that each iteration had, on memory that is there already."""
    both = solution.signal * solution.modulator > 0
    work = []
    for rows, A, B in blocks(G1, G2, y.shape[:-1], y):
        k, spent = int(both[rows].sum(-1).max()), solution.iterations[rows]
        live = [int((spent >= i).sum()) for i in range(int(spent.max()) + 1)]  # at the start, too
        J = torch.randn(len(rows), G1.widths[0] + G2.widths[0], k, dtype=y.dtype)
        work.append((_layers(A, len(rows), k), _layers(B, len(rows), k), J, J @ J.mT, live))

    def products() -> None:
        for first, second, J, gram, live in work:
            for count in live:
                for left, right, out in (*first, *second):
                    if right.ndim == 2:
                        side = left[: count * (len(left) // len(J))]
                        torch.mm(side, right, out=out[: len(side)])
                    else:
                        torch.bmm(left[:count], right[:count], out=out[:count])
                torch.bmm(J[:count], J[:count].mT, out=gram[:count])

    return products


def _layers(G: ReLUGenerator, count: int, k: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return the factors and the memory of the products of one network: for z and -z, and for k rows of its Jacobian."""
    pairs = []
    for i, W in enumerate(G.weights):
        sides = 1 if i == 0 else 2  # the first layer of -z needs no product
        shape = (count, sides, W.shape[-1]) if W.ndim == 3 else (count * sides, W.shape[-1])
        pairs.append((torch.randn(shape, dtype=W.dtype), W.mT))
        if 0 < i < len(G.weights) - 1:
            shape = (count, G.widths[0], W.shape[-1]) if W.ndim == 3 else (count * G.widths[0], W.shape[-1])
            pairs.append((torch.randn(shape, dtype=W.dtype), W.mT))
    W = G.weights[-1]
    rows = W[..., :k, :].expand(count, k, W.shape[-1]).contiguous()
    pairs.append((torch.randn(count, G.widths[0], W.shape[-1], dtype=W.dtype), rows.mT))
    return [(left, right, left @ right) for left, right in pairs]


def residuals(G1: Generator, G2: Generator, y: Tensor, codes: Codes) -> Tensor:
    """Return ‖G1(h) ⊙ G2(m) - y‖/‖y‖, shape (B,)."""
    return (2 * half_squared_norm(G1(codes[0]) * G2(codes[1]) - y)).sqrt() / y.norm(dim=-1)


def order(solution: Solution, y: Tensor) -> float:
    """Return the median order of convergence over the last three steps before rounding."""
    orders = []
    for rho in ((2 * solution.objective).sqrt() / y.norm(dim=-1)).T[solution.converged]:
        before, here, after = rho[rho > 1e-14].unique().flip(0)[-3:].log()
        orders.append(float((after - here) / (here - before)))
    return statistics.median(orders)


def draw(n: int, inner: tuple[int, ...], ell: int, problems: int, own: bool) -> tuple[Any, ...]:
    """Return networks, planted codes and observations."""
    rng = torch.Generator().manual_seed(2019)
    G1, G2 = (ReLUGenerator.gaussian((n, *inner, ell), rng, batch=(problems,) if own else ()) for _ in range(2))
    h0, m0 = torch.randn(2, problems, n, generator=rng, dtype=torch.float64)
    return G1, G2, h0, m0, G1(h0) * G2(m0), rng


def compare(n: int, inner: tuple[int, ...], ell: int, problems: int, own: bool, *, repeats: int) -> dict[str, Any]:
    """Return the median time to solution of each method in milliseconds a problem, and how many problems it solved."""
    G1, G2, _, _, y, rng = draw(n, inner, ell, problems, own)
    start = solve(G1, G2, y, iterations=0, rng=rng)
    codes = start.h, start.m  # those of `descend`
    methods: dict[str, Callable[..., Codes]] = {"solve": ours, "descend": algorithm_1, "SciPy, one by one": one_by_one}
    methods |= {"SciPy, no Jacobian": partial(one_by_one, exact=False), "L-BFGS, one by one": by_lbfgs, "Adam": by_adam}
    methods |= {"optimistix, jit + vmap": with_optimistix} if jax else {}
    solved = {
        name: int((residuals(G1, G2, y, method(G1, G2, y, codes)) <= TOLERANCE).sum())  # this also compiles
        for name, method in methods.items()
    }
    solution = solve(G1, G2, y, h=codes[0], m=codes[1], tolerance=TOLERANCE)
    runs: dict[str, Callable[[], Any]] = {"floor": floor(G1, G2, y, solution)}
    runs |= {name: lambda method=method: method(G1, G2, y, codes) for name, method in methods.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            begun = time.perf_counter()
            run()
            times[name].append(1e3 * (time.perf_counter() - begun) / problems)
    return {
        "n": n, "inner": list(inner), "ell": ell, "problems": problems, "own networks": own, "solved": solved,
        "iterations": [int(solution.iterations.median()), int(solution.iterations.max())], "order": order(solution, y),
        "milliseconds": {name: statistics.median(values) for name, values in times.items()},
        "spread": {name: [min(values), max(values)] for name, values in times.items()},
    }  # fmt: skip


def by_starts(n: int = 8, inner: int = 80, problems: int = 32) -> dict[str, Any]:
    """Return how many problems with ℓ = 5 (n + p) are solved by the best of so many starts, the outer product to 1e-3."""
    G1, G2, h0, m0, y, _ = draw(n, (inner,), 10 * n, problems, True)
    found = {}
    for starts in (1, 5, 20):
        solution = solve(G1, G2, y, starts=starts, tolerance=TOLERANCE, rng=torch.Generator().manual_seed(2019))
        found[starts] = int((outer_product_error(solution.h, solution.m, h0, m0) < 1e-3).sum())
    return {"n": n, "inner": [inner], "ell": 10 * n, "problems": problems, "solved by starts": found}


def show(rows: list[dict[str, Any]], console: Console) -> None:
    """Print the table."""
    names = list(rows[0]["milliseconds"])
    table = Table("n = p", "inner", "l", "networks", "steps", *names, "/ floor", title="ms a problem (problems solved)")
    for row in rows:
        median, solved = row["milliseconds"], row["solved"]
        cells = [str(row["n"]), "·".join(map(str, row["inner"])), str(row["ell"])]
        cells += ["own" if row["own networks"] else "shared", "{} to {}".format(*row["iterations"])]
        cells += [f"{median[name]:.2f}" + (f" ({solved[name]})" if name in solved else "") for name in names]
        table.add_row(*cells, f"{median['solve'] / median['floor']:.2f}")
    console.print(table)


def main(
    repeats: Annotated[int, typer.Option(help="Runs of each method, in turn.")] = 7,
    first: Annotated[bool, typer.Option(help="Only the first two sizes, without writing the result.")] = False,
) -> None:
    """Time damped Gauss-Newton steps against its peers, print the table, and write the result."""
    console = Console()
    rows = [compare(*size, repeats=repeats) for size in SIZES[: 2 if first else None]]
    show(rows, console)
    restarts = by_starts()
    where = machine() | {"threads": torch.get_num_threads(), "torch": torch.__version__}
    where |= {"load": os.getloadavg()[0]}  # of all that ran: above the number of threads, the machine was not idle
    where |= {"jax": jax.__version__ if jax else None, "optimistix": optimistix.__version__ if jax else None}
    console.print(json.dumps(where | restarts))
    if not first:
        write_json(RESULT, {"command": "make bench", "repeats": repeats, **where, "rows": rows, "restarts": restarts})


if __name__ == "__main__":
    typer.run(main)
