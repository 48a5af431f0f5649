"""Algorithm 1: `descend` against the same iteration written with autograd and with JAX, all in one run.

Every method does the same work from the same starts, each iteration with the sign check and balancing, in float64, and all
are run in turn, several times; the table gives medians in microseconds per iteration and problem. The peers are

    autograd, one by one    a loop over problems, as one writes it first
    batched autograd        the same code on the whole batch
    JAX, jit + vmap         one compiled loop over iterations, the gradient by jax.grad; needs `pip install jax`

The floor is the time of the matrix products that the algorithm needs: through each network one product per layer for z and
-z together, and one back. `make bench` runs it and writes demod_book/results/benchmark-descend.json, which the book shows.
"""

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor

from demod.artifacts import machine, write_json
from demod.descent import default_step_size, descend
from demod.descent.balancing import balanced
from demod.generators import ReLUGenerator
from demod.objective import objective

try:
    import jax
    import jax.numpy as jnp
except ImportError:
    jax = None
else:
    jax.config.update("jax_enable_x64", True)

RESULT = Path(__file__).parents[1] / "demod_book" / "results" / "benchmark-descend.json"
SIZES = (  # n = p, inner widths, ℓ, problems
    (10, (100,), 1000, 64),
    (10, (100,), 1000, 1),
    (10, (100,), 1000, 8),
    (10, (100,), 1000, 512),
    (10, (100,), 500, 64),
    (10, (100,), 4000, 64),
    (20, (200,), 2000, 64),
    (5, (50,), 400, 64),
    (10, (100, 400), 1000, 64),
    (10, (100, 200, 400), 1000, 64),
)
Codes = tuple[Tensor, Tensor]


def autograd(G1: ReLUGenerator, G2: ReLUGenerator, y: Tensor, start: Codes, eta: Tensor, iterations: int) -> Codes:
    """Algorithm 1 as one writes it with autograd, on whatever batch it is given."""
    h, m = start
    for _ in range(iterations):
        f = torch.stack([objective(G1, G2, a * h, b * m, y) for a in (1, -1) for b in (1, -1)]).argmin(0)[..., None]
        h, m = h * (1 - 2 * (f // 2)), m * (1 - 2 * (f % 2))
        h = h.detach().requires_grad_()
        h = h - eta * torch.autograd.grad(objective(G1, G2, h, m, y).sum(), h)[0]
        m = m.detach().requires_grad_()
        m = m - eta * torch.autograd.grad(objective(G1, G2, h.detach(), m, y).sum(), m)[0]
        h, m = balanced(h.detach(), m.detach())
    return h, m


def one_by_one(G1: ReLUGenerator, G2: ReLUGenerator, y: Tensor, start: Codes, eta: Tensor, iterations: int) -> Codes:
    """Run `autograd` on each problem for itself."""
    results = [autograd(G1, G2, y[k], tuple(z[k] for z in start), eta[k], iterations) for k in range(len(y))]
    return torch.stack([h for h, _ in results]), torch.stack([m for _, m in results])


def ours(G1: ReLUGenerator, G2: ReLUGenerator, y: Tensor, start: Codes, eta: Tensor, iterations: int) -> Codes:
    """`descend`, made to run all iterations."""
    solution = descend(G1, G2, y, h=start[0], m=start[1], step_size=eta[:, 0], iterations=iterations, tolerance=0)
    return solution.h, solution.m


def products(G1: ReLUGenerator, G2: ReLUGenerator, y: Tensor, start: Codes, eta: Tensor, iterations: int) -> Codes:
    """Run the matrix products alone, on memory that is there already."""
    work = []
    for W in (*G1.weights, *G2.weights):
        rows = len(y) if W is G1.weights[0] or W is G2.weights[0] else 2 * len(y)  # the first layer of -z needs no product
        z, u = torch.randn(rows, W.shape[1], dtype=y.dtype), torch.randn(len(y), W.shape[0], dtype=y.dtype)
        work.append((W, z, z @ W.mT, u, u @ W))
    for _ in range(iterations):
        for W, z, out, u, back in work:
            torch.mm(z, W.mT, out=out)
            torch.mm(u, W, out=back)
    return start


def with_jax(G1: ReLUGenerator, G2: ReLUGenerator, y: Tensor, start: Codes, eta: Tensor, iterations: int) -> Codes:
    """Algorithm 1 as one writes it with JAX."""
    networks = [[jnp.asarray(W.numpy()) for W in G.weights] for G in (G1, G2)]
    h, m = _jax_descent(*networks, *(jnp.asarray(t.numpy()) for t in (y, *start, eta[:, 0])), iterations)
    return torch.from_numpy(jax.device_get(h).copy()), torch.from_numpy(jax.device_get(m).copy())


def _jax_descent(weights1: Any, weights2: Any, y: Any, h: Any, m: Any, eta: Any, iterations: int) -> Any:
    return _compiled()(weights1, weights2, y, h, m, eta, iterations)


def _compiled(cache: dict[str, Callable[..., Any]] = {}) -> Callable[..., Any]:  # noqa: B006 - compiled once
    def network(weights: Any, z: Any) -> Any:
        for W in weights:
            z = jax.nn.relu(W @ z)
        return z

    def f(weights1: Any, weights2: Any, h: Any, m: Any, y: Any) -> Any:
        return jnp.sum((network(weights1, h) * network(weights2, m) - y) ** 2) / 2

    def descent(weights1: Any, weights2: Any, y: Any, h: Any, m: Any, eta: Any, iterations: int) -> Any:
        def iteration(_: int, codes: Any) -> Any:
            h, m = codes
            w, x = (jnp.stack([network(W, z), network(W, -z)]) for W, z in ((weights1, h), (weights2, m)))
            best = jnp.argmin(jnp.sum((w[:, None] * x[None] - y) ** 2, -1).ravel())
            h, m = h * (1 - 2 * (best // 2)), m * (1 - 2 * (best % 2))
            h = h - eta * jax.grad(f, 2)(weights1, weights2, h, m, y)
            m = m - eta * jax.grad(f, 3)(weights1, weights2, h, m, y)
            c = jnp.sqrt(jnp.linalg.norm(h) / jnp.linalg.norm(m))
            return h / c, m * c

        return jax.lax.fori_loop(0, iterations, iteration, (h, m))

    if "descent" not in cache:
        cache["descent"] = jax.jit(jax.vmap(descent, in_axes=(None, None, 0, 0, 0, 0, None)))
    return cache["descent"]


def compare(n: int, inner: tuple[int, ...], ell: int, problems: int, iterations: int, repeats: int) -> dict[str, Any]:
    """Return the median time of each method in microseconds per iteration and problem, after checking that they agree."""
    rng = torch.Generator().manual_seed(2019)
    G1, G2 = (ReLUGenerator.gaussian((n, *inner, ell), rng) for _ in range(2))
    h0, m0, *start = torch.randn(4, problems, n, generator=rng, dtype=torch.float64)
    y = G1(h0) * G2(m0)
    eta = default_step_size(G1, G2, y)[:, None]
    methods = {"floor": products, "descend": ours, "batched autograd": autograd, "autograd, one by one": one_by_one}
    methods |= {"JAX, jit + vmap": with_jax} if jax else {}
    times: dict[str, list[float]] = {name: [] for name in methods}
    expected = autograd(G1, G2, y, tuple(start), eta, 10)
    for name, method in methods.items():
        found = method(G1, G2, y, tuple(start), eta, 10)  # also compiles
        if name != "floor":
            torch.testing.assert_close(found, expected)
    for _ in range(repeats):
        for name, method in methods.items():
            count = max(1, iterations // 20) if method is one_by_one else iterations
            begun = time.perf_counter()
            method(G1, G2, y, tuple(start), eta, count)
            times[name].append(1e6 * (time.perf_counter() - begun) / count / problems)
    return {
        "n": n, "inner": list(inner), "ell": ell, "problems": problems,
        "microseconds": {name: statistics.median(values) for name, values in times.items()},
        "spread": {name: [min(values), max(values)] for name, values in times.items()},
    }  # fmt: skip


def show(rows: list[dict[str, Any]], console: Console) -> None:
    """Print the table."""
    names = list(rows[0]["microseconds"])
    table = Table("n = p", "inner", "l", "problems", *names, "descend / floor", title="µs per iteration and problem")
    for row in rows:
        median = row["microseconds"]
        cells = [str(row["n"]), "·".join(map(str, row["inner"])), str(row["ell"]), str(row["problems"])]
        cells += [f"{median[name]:.1f}" for name in names] + [f"{median['descend'] / median['floor']:.2f}"]
        table.add_row(*cells)
    console.print(table)


def main(
    iterations: Annotated[int, typer.Option(help="Iterations a run.")] = 100,
    repeats: Annotated[int, typer.Option(help="Runs of each method, in turn.")] = 7,
    first: Annotated[bool, typer.Option(help="Only the first size, without writing the result.")] = False,
) -> None:
    """Time Algorithm 1 against its peers, print the table, and write the result that the book shows."""
    console = Console()
    rows = [compare(*size, iterations=iterations, repeats=repeats) for size in SIZES[: 1 if first else None]]
    show(rows, console)
    where = machine() | {"threads": torch.get_num_threads(), "torch": torch.__version__}
    where["jax"] = jax.__version__ if jax else None
    console.print(json.dumps(where))
    if not first:
        write_json(RESULT, {"command": "make bench", "repeats": repeats, **where, "rows": rows})


if __name__ == "__main__":
    typer.run(main)
