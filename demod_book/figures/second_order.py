"""Figures of the chapter on Gauss–Newton steps: residuals, order, success by starts, zeros that mislead, cost, pictures."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from demod_book.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    JUMP,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    WALK,
    YELLOW,
    canvas,
    grouped_bars,
    size_of,
)

WALKS, JUMPS = (BLUE, SKY), (ORANGE, VERMILION, PURPLE, GREEN)  # by how many starts
RESIDUAL = r"$\|w_i \odot x_i - y_0\|\ /\ \|y_0\|$"


def plot_residuals(walked: np.ndarray, jumped: np.ndarray, steps: int) -> Figure:
    """Draw relative residuals (iterations + 1, problems), medians and 10–90 % bands: all, and those of the first `steps`."""
    fig, axes = canvas(1, 2, size=(6.4, 3.2), sharey=True)
    changing = int((walked != walked[-1]).any(1).sum())
    for ax, end in zip(axes, (changing, steps), strict=True):
        for label, runs, colour in (("Algorithm 1", walked, WALK), ("Gauss–Newton", jumped, JUMP)):
            some = np.minimum(np.arange(end + 1), len(runs) - 1)  # after the end of all runs nothing changes
            low, middle, high = np.quantile(runs[some], (0.1, 0.5, 0.9), axis=1)
            ax.fill_between(range(end + 1), low, high, color=colour, alpha=0.2, linewidth=0)
            ax.semilogy(middle, color=colour, label=label)
        ax.set_xlabel("iteration $i$")
    axes[0].set_ylabel(RESIDUAL)
    axes[0].set_title("all iterations", fontsize=10)
    axes[1].set_title(f"the first {steps}", fontsize=10)
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return fig


def plot_order(before: np.ndarray, after: np.ndarray) -> Figure:
    """Draw the residual after a step against that before it, with lines of order one and two."""
    fig, ax = canvas(size=(4.8, 3.8))
    ax.loglog(before, after, "o", color=JUMP, markersize=4, alpha=0.7)
    line = np.geomspace(before.min(), 1, 50)
    ax.loglog(line, line, color=BLACK, linestyle=":", linewidth=1, label="no change")
    ax.loglog(line, np.median(after / before**2) * line**2, color=BLACK, linestyle="--", linewidth=1, label="slope 2")
    ax.set(xlabel="relative residual before the step", ylabel="and after it", ylim=(after.min() / 3, 3))
    ax.legend(frameon=False, fontsize=9)
    return fig


def plot_starts(ratios: np.ndarray, shares: dict[tuple[str, int], np.ndarray], isolated: np.ndarray, floor: float) -> Figure:
    """Draw the share of recovered problems against ℓ/(n + p), one curve for each method and number of starts.

    shares maps them to (ratios, 3), the share and the ends of its interval; isolated has the share of problems whose planted
    codes are isolated, floor is where there are as many equations as unknowns.
    """
    fig, ax = canvas(size=(6.2, 4.0))
    colours = {"Algorithm 1": iter(WALKS), "Gauss–Newton": iter(JUMPS)}
    ax.plot(ratios, isolated, "s--", color=GREY, markersize=4, label="planted codes isolated")
    for (method, count), values in shares.items():
        colour, (share, low, high) = next(colours[method]), values.T
        ax.fill_between(ratios, low, high, color=colour, alpha=0.12, linewidth=0)
        label = f"{method}, {count} start{'s' * (count > 1)}"
        ax.plot(ratios, share, "o-", color=colour, markersize=4, label=label)
    ax.axvline(floor, color=BLACK, linestyle=":", linewidth=1)
    ax.text(floor, 1.04, r"$4(n+p-1)$", ha="center", va="bottom", fontsize=9)
    ax.set(xlabel=r"$\ell\ /\ (n + p)$", ylabel="share recovered", ylim=(-0.03, 1.03))
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return fig


def plot_zeros(ratios: np.ndarray, kinds: dict[str, np.ndarray]) -> Figure:
    """Draw how many problems are of each kind at each ℓ/(n + p), as stacked bars."""
    fig, ax = canvas(size=(6.2, 3.2))
    bottom = np.zeros(len(ratios))
    for (label, counts), colour in zip(kinds.items(), (GREY, GREEN, YELLOW, VERMILION), strict=True):
        ax.bar(range(len(ratios)), counts, 0.7, bottom, color=colour, label=label)
        bottom = bottom + counts
    ax.set_xticks(range(len(ratios)), [f"{ratio:g}" for ratio in ratios])
    ax.set(xlabel=r"$\ell\ /\ (n + p)$", ylabel="problems")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return fig


def plot_costs(rows: list[dict[str, Any]]) -> Figure:
    """Draw the time to solution of each method, one group of bars for each size of the benchmark."""
    kinds = ["networks of their own" if row["own networks"] else "shared networks" for row in rows]
    names = [f"{size_of(row)}\n{kind}" for row, kind in zip(rows, kinds, strict=True)]
    times, colours = [row["milliseconds"] for row in rows], (GREY, JUMP, WALK, GREEN, SKY, VERMILION, PURPLE, YELLOW)
    return grouped_bars(times, names, colours, "ms per problem to a relative residual of $10^{-10}$", 0.75)


def plot_pictures(kinds: dict[str, dict[str, Any]]) -> Figure:
    """Draw the digit's PSNR by kind of image and method: the median, its interval, and a tick that nine of ten exceed."""
    fig, ax = canvas(size=(6.4, 0.62 * len(kinds) + 1.4))
    methods = list(next(iter(kinds.values())))
    for k, (method, colour) in enumerate(zip(methods, (JUMP, PURPLE, VERMILION), strict=True)):
        rows = -np.arange(len(kinds)) + 0.22 * (1 - k)
        medians, low, high = np.array([scores[method]["digit"] for scores in kinds.values()]).T
        tails = [scores[method]["digit, one in ten"] for scores in kinds.values()]
        ax.hlines(rows, tails, medians, color=colour, alpha=0.35, linewidth=1.5)
        ax.plot(tails, rows, "|", color=colour, markersize=8)
        ax.errorbar(medians, rows, xerr=(medians - low, high - medians), fmt="o", color=colour, markersize=5, label=method)
    ax.set_yticks(-np.arange(len(kinds)), list(kinds), fontsize=9)
    ax.set(xlabel="PSNR of the signal in dB, after scale alignment")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return fig
