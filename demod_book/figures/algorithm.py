"""Figures of Algorithm 1 on random networks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from demod_book.figures.style import (
    BLACK,
    CURVES,
    FIRST_CHECK,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    WITH_CHECK,
    WITHOUT_CHECK,
    canvas,
    grouped_bars,
    size_of,
)

CHECKS = {"every iteration": WITH_CHECK, "first iteration only": FIRST_CHECK, "never": WITHOUT_CHECK}


def plot_convergence(residuals: dict[str, np.ndarray]) -> Figure:
    """Draw relative residuals (iterations + 1, problems) on a logarithmic scale: thin lines, the median thick."""
    fig, grid = canvas(1, len(residuals), size=(6.4, 3.2), sharey=True)
    for ax, (check, runs) in zip(grid, residuals.items(), strict=True):
        ax.semilogy(runs, color=CHECKS.get(check, GREY), linewidth=0.6, alpha=0.5)
        ax.semilogy(np.median(runs, axis=1), color=BLACK, linewidth=1.6)
        ax.set_title(check, fontsize=10)
        ax.set_xlabel("iteration $i$")
    grid[0].set_ylabel(r"$\|w_i \odot x_i - y_0\|\ /\ \|y_0\|$")
    return fig


def plot_success(dimensions: Sequence[int], recovered: dict[str, np.ndarray]) -> Figure:
    """Draw the share of recovered problems against n for each schedule of the sign check.

    recovered maps a schedule to (dimensions, 3): the share and the ends of its interval.
    """
    fig, ax = canvas(size=(6.0, 3.4))
    for k, (check, values) in enumerate(recovered.items()):
        share, *ends = values.T
        place = np.arange(len(dimensions)) + 0.12 * (k - 1)
        ax.errorbar(place, share, np.abs(ends - share), fmt="o", color=CHECKS[check], capsize=3, label=check)
    ax.set(xlabel="latent dimension $n = p$", ylabel="share recovered", ylim=(0, 1.04))
    ax.set_xticks(np.arange(len(dimensions)), [str(n) for n in dimensions])
    fig.legend(title="sign check", loc="outside right upper", frameon=False)
    return fig


def plot_endings(values: np.ndarray, valleys: np.ndarray) -> Figure:
    """Draw where descents without the sign check end: a histogram of f / (1/2 ‖y‖²), with the heights of the valleys."""
    fig, ax = canvas(size=(6.0, 3.2))
    ax.hist(values, bins=np.linspace(0, 1, 61), color=WITHOUT_CHECK)
    for value, colour in zip(valleys, CURVES, strict=True):
        ax.axvline(value, color=colour, linestyle="--", linewidth=1.4)
    ax.set(xlabel=r"$f\ /\ \frac{1}{2}\|y_0\|^2$ after the last iteration", ylabel="problems")
    return fig


def plot_speed(rows: list[dict[str, Any]]) -> Figure:
    """Draw the time per iteration and problem of each method, one group of bars for each size of the benchmark."""
    names = [f"{size_of(row)}\n{row['problems']} problems" for row in rows]
    times, colours = [row["microseconds"] for row in rows], (GREY, GREEN, SKY, ORANGE, PURPLE)
    return grouped_bars(times, names, colours, "µs per iteration and problem", 0.62)
