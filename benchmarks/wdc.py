"""The constant of the WDC: the search against random sampling in the same time, and the exact method for two columns.

Random sampling gets at least the search's wall time and as many spectral norms; every method reports the largest residual
it met. The floor is the time of the matrix products that so many Gram matrices cost. Run it with sizes of your own:

    python benchmarks/wdc.py --rows 3200 --columns 20
"""

import os
import platform
import time
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor

from demod.wdc import estimate_wdc, exact_wdc, wdc_residual

BATCH = 256


def gaussian(rows: int, columns: int, rng: torch.Generator) -> Tensor:
    """Draw a matrix with the scale of the paper."""
    return torch.randn(rows, columns, generator=rng, dtype=torch.float64) / rows**0.5


def sample(W: Tensor, rng: torch.Generator, seconds: float, least: int) -> tuple[float, int, float]:
    """Return the largest residual of random pairs, their number and the time, at least `seconds` and `least` pairs."""
    started, best, count = time.perf_counter(), 0.0, 0
    while (taken := time.perf_counter() - started) < seconds or count < least:
        x, y = torch.randn(2, BATCH, W.shape[-1], generator=rng, dtype=torch.float64)
        best = max(best, wdc_residual(W, x, y).max().item())
        count += BATCH
    return best, count, taken


def products(W: Tensor, count: int) -> float:
    """Return the seconds of the matrix products behind `count` Gram matrices: active rows and the weighted sum."""
    weights, codes = torch.rand(BATCH, len(W), dtype=W.dtype), torch.randn(2 * BATCH, W.shape[-1], dtype=W.dtype)
    outer = (W[:, :, None] * W[:, None, :]).flatten(1)
    started = time.perf_counter()
    for _ in range(-(-count // BATCH)):
        _ = codes @ W.mT, weights @ outer
    return time.perf_counter() - started


def main(
    rows: Annotated[int, typer.Option(help="l, rows of the matrices.")] = 1000,
    columns: Annotated[int, typer.Option(help="n, columns of the matrices.")] = 10,
    matrices: Annotated[int, typer.Option(help="How many matrices.")] = 10,
    exact: Annotated[int, typer.Option(help="Largest l of the exact method for two columns.")] = 2000,
) -> None:
    """Time the search, random sampling and the exact method, and print the tables."""
    rng, console = torch.Generator().manual_seed(2019), Console()
    console.print(f"{platform.platform()}, {os.cpu_count()} cores, float64, {torch.get_num_threads()} threads")
    table = Table(
        "matrix", "search", "s", "random pairs", "count", "s", "products alone, s", title=f"l = {rows}, n = {columns}"
    )
    won = 0
    for k in range(matrices):
        W = gaussian(rows, columns, rng)
        started = time.perf_counter()
        found = estimate_wdc(W, rng).value
        taken = time.perf_counter() - started
        best, count, sampling = sample(W, rng, taken, 10_000)
        won += found > best
        numbers = (f"{found:.4f}", f"{taken:.2f}", f"{best:.4f}", f"{count}", f"{sampling:.2f}", f"{products(W, count):.2f}")
        table.add_row(f"{k + 1}", *numbers)
    console.print(table, f"The search found more on {won} of {matrices} matrices.")
    table = Table("l", "exact", "s", title="two columns")
    for size in (exact // 8, exact // 4, exact // 2, exact):
        W = gaussian(size, 2, rng)
        started = time.perf_counter()
        value = exact_wdc(W).value
        table.add_row(f"{size}", f"{value:.4f}", f"{time.perf_counter() - started:.2f}")
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
