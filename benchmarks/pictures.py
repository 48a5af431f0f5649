"""What each solver makes of products of images with the same trained priors, and how long it takes, in one run.

    Algorithm 1              our setting of it, 500 iterations
    Gauss–Newton             the best setting, from the same random starts
    encoder                  one pass and its refinement, no descent
    encoder + Gauss–Newton   a few steps from its answer

with the DCGANs; and Algorithm 1, Gauss–Newton and the encoder with the ReLU priors. The scores are medians over the same
test digits under distortions that no method was trained on, with bootstrap intervals of 95 %, and what one in ten is worse
than. The kinds ask what the encoder has learned: bumps wider than all that it saw, noise, missing pixels, letters. Times are
medians of interleaved runs on batches of 16 images, in milliseconds an image, on one thread; with the DCGANs each run first
loads its weights, which is what most of the time of the encoder is.

`make bench` runs it and writes demod_book/results/benchmark-pictures.json. It needs MNIST.
"""

import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor

from demod.artifacts import machine, write_json
from demod.demodulation import (
    BEST_SETTING,
    FAST_SETTING,
    FIRST_ORDER_SETTING,
    RELU_SETTING,
    Recovery,
    infer,
    mnist_problems,
    recover,
    score,
)
from demod.priors.encoder import load_encoder
from demod.priors.relu import load_prior
from demod.studies.blocks import FIRST_DIGIT, image_block
from demod.studies.statistics import bootstrap

RESULT = Path(__file__).parents[1] / "demod_book" / "results" / "benchmark-pictures.json"
DIGITS, OTHERS = 128, 48  # images of the table, and of each other kind
BATCH = 16
BLOCK = 20  # of the kinds: none of the digits of the table
KINDS: dict[str, dict[str, Any]] = {
    "the paper's bumps": {"family": "bump"},
    "wider bumps": {"family": "wide"},
    "noise, σ = .05": {"family": "bump", "noise": 0.05},
    "half of the pixels": {"family": "bump", "missing": 0.5},
    "letters": {"family": "bump", "glyphs": True},
}
RELU_JUMPS = replace(BEST_SETTING, iterations=8, linearise_every=1, dampings=1)  # their Jacobians are cheap
Method = Callable[..., Recovery]  # of images and a mask


def methods() -> tuple[dict[str, Method], dict[str, Method]]:
    """Return the methods by name: with the DCGANs, and with the ReLU priors."""
    priors = {"signal_prior": load_prior("digits"), "modulator_prior": load_prior("bump")}
    with_dcgans: dict[str, Method] = {
        "Algorithm 1": partial(recover, setting=FIRST_ORDER_SETTING),
        "Gauss–Newton": partial(recover, setting=BEST_SETTING),
        "encoder": infer,
        "encoder + Gauss–Newton": partial(recover, setting=FAST_SETTING),
    }
    with_relu: dict[str, Method] = {
        "Algorithm 1, 2 starts": partial(recover, setting=RELU_SETTING, **priors),
        "Gauss–Newton": partial(recover, setting=RELU_JUMPS, **priors),
        "encoder": partial(infer, encoder=load_encoder("relu-encoder"), **priors),
    }
    return with_dcgans, with_relu


def in_batches(method: Method, y: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Return signals, modulators and relative residuals of images (N, 64, 64)."""
    runs = [method(part, mask=mask) for part in y.split(BATCH)]
    signal, modulator = (torch.cat([getattr(run, name) for run in runs]) for name in ("signal", "modulator"))
    return signal, modulator, torch.cat([run.relative_residual for run in runs])


def scores(found: tuple[Tensor, Tensor, Tensor], w: Tensor, x: Tensor) -> dict[str, Any]:
    """Return medians with their intervals, and the tails, of what was found of signals w and modulators x."""
    rng = torch.Generator().manual_seed(0)
    digit, shade = score(found[0], w).psnr, score(found[1], x).psnr
    return {
        "digit": bootstrap(digit, rng),
        "digit, one in ten": digit.quantile(0.1).item(),
        "modulator": bootstrap(shade, rng),
        "residual": bootstrap(found[2], rng),
    }


def by_kind(chosen: dict[str, Method], count: int) -> dict[str, dict[str, Any]]:
    """Return the scores of each method on each kind of image."""
    table: dict[str, dict[str, Any]] = {}
    for kind, stated in KINDS.items():
        w, x, y, mask = image_block(number=BLOCK, count=count, **stated)
        table[kind] = {name: scores(in_batches(method, y, mask), w, x) for name, method in chosen.items()}
    return table


def times(chosen: dict[str, Method], y: Tensor, repeats: int) -> dict[str, Any]:
    """Return medians and ranges of interleaved runs in milliseconds an image."""
    found: dict[str, list[float]] = {name: [] for name in chosen}
    for method in chosen.values():
        method(y[:2])  # loads what it needs
    for _ in range(repeats):
        for name, method in chosen.items():
            begun = time.perf_counter()
            method(y)
            found[name].append(1e3 * (time.perf_counter() - begun) / len(y))
    return {name: [statistics.median(values), min(values), max(values)] for name, values in found.items()}


def show(title: str, rows: dict[str, dict[str, Any]], took: dict[str, Any] | None, console: Console) -> None:
    """Print a table of scores, and of times if there are some."""
    table = Table("", "digit", "one in ten", "modulator", "residual", "ms an image", title=title)
    for name, row in rows.items():
        digit, modulator = (
            f"{row[part][0]:.1f} [{row[part][1]:.1f}, {row[part][2]:.1f}]" for part in ("digit", "modulator")
        )
        cells = [digit, f"{row['digit, one in ten']:.1f}", modulator, f"{row['residual'][0]:.2e}"]
        table.add_row(name, *cells, f"{took[name][0]:.1f}" if took else "")
    console.print(table)


def main(
    repeats: Annotated[int, typer.Option(help="Runs of each method for the times, in turn.")] = 5,
    digits: Annotated[int, typer.Option(help="Test digits of the table.")] = DIGITS,
    others: Annotated[int, typer.Option(help="Images of each kind.")] = OTHERS,
    write: Annotated[bool, typer.Option(help="Write the result.")] = True,
) -> None:
    """Compare the solvers on images with trained priors, print the tables, and write the result."""
    torch.set_num_threads(1)
    console = Console()
    with_dcgans, with_relu = methods()
    w, x = mnist_problems(FIRST_DIGIT, digits)
    y = w * x
    result: dict[str, Any] = {}
    for name, chosen in (("DCGANs", with_dcgans), ("ReLU priors", with_relu)):
        took = times(chosen, y[:BATCH], repeats)
        rows = {label: scores(in_batches(method, y), w, x) for label, method in chosen.items()}
        show(name, rows, took, console)
        result[name] = {"scores": rows, "milliseconds": took}
    del with_dcgans["Algorithm 1"]
    kinds = by_kind(with_dcgans, others)
    for kind, rows in kinds.items():
        show(kind, rows, None, console)
    where = machine() | {"threads": torch.get_num_threads(), "torch": torch.__version__, "load": os.getloadavg()[0]}
    console.print(json.dumps(where))
    if write:
        counts = {"digits": digits, "others": others, "batch": BATCH, "repeats": repeats}
        write_json(RESULT, {"command": "make bench", **counts, **where, **result, "kinds": kinds})


if __name__ == "__main__":
    typer.run(main)
