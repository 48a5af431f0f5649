"""Algorithm 1: `descend` against the same iteration written with autograd, batched and problem by problem.

All three do the same work from the same starts, every iteration with the sign check and balancing, and are run in turn,
several times; the table gives medians in microseconds per iteration and problem. The floor is the time of the matrix
products that the algorithm needs: three passes through each network. Run it with `make bench`, or with sizes of your own:

    python benchmarks/descend.py --width 200 --length 2000 --batch 32
"""

import statistics
import time
from collections.abc import Callable
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor

from demod.descent import default_step_size, descend
from demod.generators import ReLUGenerator
from demod.objective import objective

Codes = tuple[Tensor, Tensor]


def balanced(h: Tensor, m: Tensor) -> Codes:
    """Line 5."""
    c = (h.norm(dim=-1, keepdim=True) / m.norm(dim=-1, keepdim=True)).sqrt()
    return h / c, m * c


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
    """Run the matrix products alone: for each network a pass for the value, one for the mirrored sign, one backward."""
    shapes = [(W, torch.randn(len(y), W.shape[-1], dtype=y.dtype)) for G in (G1, G2) for W in G.weights]
    back = [torch.randn(len(y), W.shape[-2], dtype=y.dtype) for W, _ in shapes]
    for _ in range(iterations):
        for (W, z), u in zip(shapes, back, strict=True):
            _ = z @ W.mT, z @ W.mT, u @ W
    return start


def seconds(run: Callable[[], Codes]) -> tuple[float, Codes]:
    """Return the wall-clock time of one run, and what it returned."""
    started = time.perf_counter()
    result = run()
    return time.perf_counter() - started, result


def main(
    latent: Annotated[int, typer.Option(help="n = p.")] = 10,
    width: Annotated[int, typer.Option(help="Inner width of both networks.")] = 100,
    length: Annotated[int, typer.Option(help="l, the length of an observation.")] = 1000,
    batch: Annotated[int, typer.Option(help="Problems at once.")] = 64,
    iterations: Annotated[int, typer.Option(help="Iterations a run.")] = 50,
    repeats: Annotated[int, typer.Option(help="Runs of each, in turn.")] = 5,
) -> None:
    """Time Algorithm 1 against its peers and print the table."""
    rng = torch.Generator().manual_seed(2019)
    G1, G2 = (ReLUGenerator.gaussian((latent, width, length), rng) for _ in range(2))
    h0, m0, *start = torch.randn(4, batch, latent, generator=rng, dtype=torch.float64)
    y = G1(h0) * G2(m0)
    eta = default_step_size(G1, G2, y)[:, None]
    runs = {
        "products alone (floor)": products,
        "descend": ours,
        "batched autograd": autograd,
        "autograd, one by one": one_by_one,
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            count = max(1, iterations // 10) if run is one_by_one else iterations
            taken, _ = seconds(lambda run=run, count=count: run(G1, G2, y, tuple(start), eta, count))
            times[name].append(1e6 * taken / count / batch)
    table = Table("", "µs per iteration and problem", "times `descend`")
    reference = statistics.median(times["descend"])
    for name, values in times.items():
        table.add_row(name, f"{statistics.median(values):.1f}", f"{statistics.median(values) / reference:.2f}")
    console = Console()
    console.print(
        f"n = p = {latent}, width {width}, l = {length}, {batch} problems, float64, {torch.get_num_threads()} threads"
    )
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
