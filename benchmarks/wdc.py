"""The constant of the WDC: the search against random sampling, and the exact method for two columns.

Random sampling gets at least the search's wall time and as many spectral norms; every method reports the largest residual
it met. The floor is the time of the matrix products that so many Gram matrices cost. `make bench` runs it and writes
demod_book/results/benchmark-wdc.json, which the book shows; sizes of your own are only printed:

    python benchmarks/wdc.py --rows 800 --columns 6
"""

import json
import statistics
import time
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor

from demod.artifacts import machine, write_json
from demod.wdc import estimate_wdc, exact_wdc, wdc_residual

RESULT = Path(__file__).parents[1] / "demod_book" / "results" / "benchmark-wdc.json"
SIZES = ((200, 10), (800, 10), (3200, 10), (3200, 20))  # rows and columns: how cost grows with either
EXACT = (250, 500, 1000, 2000)  # rows of matrices with two columns
BATCH = 256
NORMS = 64 * 32 + 12 * 2 * (64 + 32 + 16 + 8 + 4 + 2) + 4 * 12 * 2  # of `estimate_wdc` by default: starts, then moves


def gaussian(rows: int, columns: int, rng: torch.Generator) -> Tensor:
    """Draw a matrix with the scale of the paper."""
    return torch.randn(rows, columns, generator=rng, dtype=torch.float64) / rows**0.5


def sample(W: Tensor, rng: torch.Generator, seconds: float) -> tuple[float, int, float]:
    """Return the largest residual of random pairs, their number and the time, at least `seconds` and NORMS pairs."""
    started, best, count = time.perf_counter(), 0.0, 0
    while (taken := time.perf_counter() - started) < seconds or count < NORMS:
        x, y = torch.randn(2, BATCH, W.shape[-1], generator=rng, dtype=torch.float64)
        best = max(best, wdc_residual(W, x, y).max().item())
        count += BATCH
    return best, count, taken


def products(W: Tensor) -> float:
    """Return the seconds of the matrix products behind NORMS Gram matrices: active rows and the weighted sum."""
    weights, codes = torch.rand(BATCH, len(W), dtype=W.dtype), torch.randn(2 * BATCH, W.shape[-1], dtype=W.dtype)
    outer = (W[:, :, None] * W[:, None, :]).flatten(1)
    started = time.perf_counter()
    for _ in range(-(-NORMS // BATCH)):
        _ = codes @ W.mT, weights @ outer
    return time.perf_counter() - started


def compare(rows: int, columns: int, matrices: int, rng: torch.Generator) -> dict[str, Any]:
    """Return medians over matrices of what search and sampling find and take, and how often the search found more."""
    runs = []
    for _ in range(matrices):
        W = gaussian(rows, columns, rng)
        started = time.perf_counter()
        found = estimate_wdc(W, rng).value
        taken = time.perf_counter() - started
        best, count, sampling = sample(W, rng, taken)
        runs.append((found, taken, best, count, sampling, products(W)))
    names = ("search", "search_seconds", "sampling", "pairs", "sampling_seconds", "floor_seconds")
    medians = dict(zip(names, map(statistics.median, zip(*runs, strict=True)), strict=True))
    more = sum(found > best for found, _, best, *_ in runs)
    return {"rows": rows, "columns": columns, "matrices": matrices, "search_found_more": more, **medians}


def compare_exact(rows: int, matrices: int, rng: torch.Generator) -> dict[str, Any]:
    """Return the median time of the exact method for two columns."""
    seconds = []
    for _ in range(matrices):
        W = gaussian(rows, 2, rng)
        started = time.perf_counter()
        exact_wdc(W)
        seconds.append(time.perf_counter() - started)
    return {"rows": rows, "exact_seconds": statistics.median(seconds)}


def show(title: str, table: list[dict[str, Any]], console: Console) -> None:
    """Print a list of rows."""
    shown = Table(*(name.replace("_", " ") for name in table[0]), title=title)
    for row in table:
        shown.add_row(*(f"{value:.4g}" for value in row.values()))
    console.print(shown)


def main(
    rows: Annotated[int | None, typer.Option(help="l, rows of the matrices.")] = None,
    columns: Annotated[int, typer.Option(help="n, columns of the matrices.")] = 10,
    matrices: Annotated[int, typer.Option(help="How many matrices of each size.")] = 3,
) -> None:
    """Time the search, random sampling and the exact method, print the tables, and write the result that the book shows."""
    rng, console = torch.Generator().manual_seed(2019), Console()
    gaussian(100, 3, rng).svd()  # the first call of a process loads LAPACK
    searches = [compare(*size, matrices, rng) for size in (SIZES if rows is None else ((rows, columns),))]
    show("Gaussian matrices, medians", searches, console)
    exact = [compare_exact(size, matrices, rng) for size in EXACT]
    show("two columns, medians", exact, console)
    where = machine() | {"threads": torch.get_num_threads(), "torch": torch.__version__}
    console.print(json.dumps(where))
    if rows is None:
        write_json(RESULT, {"command": "make bench", **where, "searches": searches, "exact": exact})


if __name__ == "__main__":
    typer.run(main)
