"""Figures of the study: methods on the same images."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from demod.figures.style import BLACK, BLUE, GREY, ORANGE, SKY, canvas

KINDS = {"learned": BLUE, "classical": ORANGE, "for nothing": GREY}


def plot_intervals(kinds: dict[str, str], digit: np.ndarray, modulator: np.ndarray) -> Figure:
    """Draw the median PSNR of each method with its interval; digit and modulator are (methods, 3): median, low, high.

    kinds names the methods, from top to bottom, and says what each one is: a key of `KINDS`.
    """
    fig, axes = canvas(1, 2, size=(7.0, 0.27 * len(kinds) + 1.0), sharey=True)
    for ax, values, what in zip(axes, (digit, modulator), ("digit", "modulator"), strict=True):
        for k, (kind, (median, low, high)) in enumerate(zip(kinds.values(), values, strict=True)):
            ax.plot([low, high], [k, k], color=KINDS[kind], linewidth=2)
            ax.plot(median, k, "o", color=KINDS[kind], markersize=6)
            ax.annotate(f"{median:.1f}", (high, k), (5, 0), textcoords="offset points", va="center", fontsize=8)
        ax.set(xlabel=f"PSNR of the {what} in dB", yticks=range(len(kinds)), yticklabels=list(kinds))
        ax.margins(x=0.15)
    axes[0].invert_yaxis()
    for kind, colour in KINDS.items():
        axes[1].plot([], [], "o-", color=colour, label=kind)
    axes[1].legend(frameon=False, fontsize=8, loc="lower right")
    return fig


def plot_matrix(values: np.ndarray, rows: Sequence[str], columns: Sequence[str], groups: Sequence[str]) -> Figure:
    """Draw a table of medians (rows, groups · columns), darker where larger, the largest of each column in bold."""
    fig, ax = canvas(size=(0.47 * values.shape[1] + 1.6, 0.36 * len(rows) + 1.2))
    ax.imshow(values, cmap="Blues", norm=Normalize(5, 50), aspect="auto")
    best = values.argmax(0)
    for (i, j), value in np.ndenumerate(values):
        style = {"weight": "bold"} if best[j] == i else {}
        ax.text(j, i, f"{value:.0f}", ha="center", va="center", fontsize=8, color="white" if value > 32 else BLACK, **style)
    each = len(columns)
    ax.set(yticks=range(len(rows)), yticklabels=rows, xticks=range(values.shape[1]))
    ax.set_xticklabels(list(columns) * len(groups), fontsize=7, rotation=90)
    for k, group in enumerate(groups):
        ax.text(each * k + (each - 1) / 2, -0.7, group, ha="center", va="bottom", fontsize=9)
        if k:
            ax.axvline(each * k - 0.5, color="white", linewidth=3)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return fig


def plot_starts(psnr: np.ndarray, residual: np.ndarray) -> Figure:
    """Draw the PSNR of each start (starts, images), the one with the least residual marked, images in order of that."""
    fig, ax = canvas(size=(6.0, 3.0))
    kept = residual.argmin(0)
    order = psnr[kept, np.arange(psnr.shape[1])].argsort()
    for k, image in enumerate(order):
        ax.plot([k] * len(psnr), psnr[:, image], "o", color=SKY, markersize=4, label="a start" if k == 0 else None)
        ax.plot(k, psnr[kept[image], image], "D", color=BLUE, label="least residual" if k == 0 else None)
    ax.set(xlabel="digit", ylabel="PSNR of the digit in dB", xticks=range(psnr.shape[1]))
    ax.legend(frameon=False)
    return fig
