"""Recovery of images: a batch in `descend` against the loop over images as it was published, with the same generators.

The loop takes one image at a time through the networks as training leaves them: batch normalisation in eval mode but not
folded, parameters that require gradients, each of the four sign checks a forward pass of its own, one backward pass for both
codes. Step size, momentum, starts, iterations and how often signs are checked are the same. Both sides are run in turn,
several times; the table gives medians in milliseconds per iteration and image. The floor is the time of the convolutions and
matrix products alone, once forward and once back through both networks, at the batch size. `make bench` runs it and writes
demod_book/results/benchmark-recovery.json.
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
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d

from demod.artifacts import machine, write_json
from demod.dcgan import load_generator, shipped_network
from demod.demodulation import FIRST_ORDER_SETTING, PIXELS, drawn_problems
from demod.descent import descend
from demod.priors.image import ImageGenerator

RESULT = Path(__file__).parents[1] / "demod_book" / "results" / "benchmark-recovery.json"
STEP, MOMENTUM, CHECK_EVERY = FIRST_ORDER_SETTING.step, FIRST_ORDER_SETTING.momentum, FIRST_ORDER_SETTING.reflect_every
Codes = tuple[Tensor, Tensor]


def as_published(networks: list[nn.Sequential], y: Tensor, start: Codes, iterations: int) -> Codes:
    """One image after the other, by autograd and SGD with momentum on the mean-squared loss."""
    found = [_one_image(networks, y[k], tuple(z[k : k + 1] for z in start), iterations) for k in range(len(y))]
    return tuple(torch.cat(codes) for codes in zip(*found, strict=True))


def _one_image(networks: list[nn.Sequential], y: Tensor, start: Codes, iterations: int) -> Codes:
    G1, G2 = networks
    h, m = (z.clone()[..., None, None].requires_grad_() for z in start)
    optimizer = torch.optim.SGD([h, m], lr=STEP, momentum=MOMENTUM)

    def loss(h: Tensor, m: Tensor) -> Tensor:
        return (((G1(h) + 1) / 2 * (G2(m) + 1) / 2).flatten() - y).square().mean()

    for i in range(iterations):
        if i % CHECK_EVERY == 0:
            losses = [loss(a * h, b * m).item() for a in (1, -1) for b in (1, -1)]
            best = losses.index(min(losses))
            for z, sign in ((h, 1 - 2 * (best // 2)), (m, 1 - 2 * (best % 2))):
                z.data *= sign
                if "momentum_buffer" in optimizer.state[z]:
                    optimizer.state[z]["momentum_buffer"] *= sign
        optimizer.zero_grad()
        loss(h, m).backward()
        optimizer.step()
    return h.detach()[..., 0, 0], m.detach()[..., 0, 0]


def in_a_batch(priors: list[ImageGenerator], y: Tensor, start: Codes, iterations: int, simultaneous: bool = False) -> Codes:
    """All images at once by `descend`."""
    rule = {"momentum": MOMENTUM, "iterations": iterations, "tolerance": 0, "reflect_every": CHECK_EVERY}
    rule |= {"step_size": STEP * 2 / PIXELS, "simultaneous": simultaneous}
    solution = descend(*priors, y, h=start[0], m=start[1], **rule)
    return solution.h, solution.m


def products(priors: list[ImageGenerator], batch: int) -> Callable[[], None]:
    """Return a function that makes the matrix products and convolutions of one iteration."""
    inner, outer = [], []
    for G in priors:
        z, side = torch.randn(batch, G.widths[0], dtype=G.into.dtype), G.first.kernel_size[0]
        outer.append((z, G.into, torch.randn(batch, G.into.shape[1], dtype=z.dtype)))
        for T in G.inner:
            x, u = (
                torch.randn(batch, n, k * side, k * side, dtype=z.dtype).to(memory_format=torch.channels_last)
                for n, k in ((T.in_channels, 1), (T.out_channels, 2))
            )
            side *= 2
            inner.append((x, T, u))
        x = torch.randn(batch, side * side, G.last.in_channels, dtype=z.dtype)
        outer.append((x, G.out_of, torch.randn(batch, side * side, G.out_of.shape[1], dtype=z.dtype)))

    def run() -> None:
        for x, W, u in outer:
            _ = x @ W, u @ W.mT
        for x, T, u in inner:
            _ = conv_transpose2d(x, T.weight, T.bias, T.stride, T.padding), conv2d(u, T.weight, None, T.stride, T.padding)

    return run


def seconds(work: Callable[[], Any]) -> float:
    """Return the wall-clock time of `work`."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def compare(batches: tuple[int, ...], iterations: int, repeats: int) -> list[dict[str, Any]]:
    """Time both sides in turn, after checking that they agree where they do the same arithmetic."""
    networks = [shipped_network(name).eval() for name in ("digits", "distortions")]
    kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    priors = {kind: [load_generator(name, dtype=t) for name in ("digits", "distortions")] for kind, t in kinds.items()}
    rng = torch.Generator().manual_seed(2019)
    most = max(batches)
    y = torch.mul(*drawn_problems(most)).flatten(1)
    start = tuple(torch.randn(most, G.widths[0], generator=rng) for G in priors["float32"])
    two = tuple(z[:2] for z in start)
    agreed = in_a_batch(priors["float32"], y[:2], two, 5, simultaneous=True)
    torch.testing.assert_close(agreed, as_published(networks, y[:2], two, 5), rtol=1e-3, atol=1e-3)

    work: dict[tuple[str, int], Callable[[], Any]] = {}
    work["as published", 1] = lambda: as_published(networks, y[:1], tuple(z[:1] for z in start), iterations)
    for B in batches:
        for kind, pair in priors.items():
            alone = products(pair, B)
            work[kind, B] = lambda pair=pair, B=B: in_a_batch(pair, y[:B], tuple(z[:B] for z in start), iterations)
            work[f"{kind}, floor", B] = lambda alone=alone: [alone() for _ in range(iterations)]
    times: dict[tuple[str, int], list[float]] = {key: [] for key in work}
    for _ in range(repeats):
        for (method, B), run in work.items():
            times[method, B].append(1e3 * seconds(run) / iterations / B)
    return [
        {
            "method": method, "batch": B, "milliseconds": statistics.median(values), "spread": [min(values), max(values)],
            "speedup": statistics.median(times["as published", 1]) / statistics.median(values),
        }
        for (method, B), values in times.items()
    ]  # fmt: skip


def main(
    iterations: Annotated[int, typer.Option(help="Iterations a run.")] = 50,
    repeats: Annotated[int, typer.Option(help="Runs of each side, in turn.")] = 5,
    batch: Annotated[list[int] | None, typer.Option(help="Only these batch sizes, without writing the result.")] = None,
) -> None:
    """Time recovery against the loop as published, print the table, and write the result."""
    console = Console()
    rows = compare(tuple(batch or (1, 4, 8, 16, 32, 64)), iterations, repeats)
    table = Table("method", "batch", "median", "least", "most", "times as published", title="ms per iteration and image")
    for row in rows:
        numbers = [f"{t:.2f}" for t in (row["milliseconds"], *row["spread"])]
        table.add_row(row["method"], str(row["batch"]), *numbers, f"{row['speedup']:.1f}")
    console.print(table)
    where = machine() | {"threads": torch.get_num_threads(), "torch": torch.__version__}
    console.print(json.dumps(where))
    if not batch:
        write_json(RESULT, {"command": "make bench", "iterations": iterations, "repeats": repeats, **where, "rows": rows})


if __name__ == "__main__":
    typer.run(main)
