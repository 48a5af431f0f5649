"""Figures of the study: methods on the same images."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from demod_book.figures.style import BLACK, BLUE, GREY, ORANGE, SKY, canvas

KINDS = {"learned": BLUE, "classical": ORANGE, "trivial": GREY}


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


def plot_matrix(values: np.ndarray, methods: Sequence[str], conditions: Sequence[str], families: Sequence[str]) -> Figure:
    """Draw a table of medians, a row a condition of each family and a column a method: darker where larger.

    values has the shape (methods, families · conditions). The largest of each row is in bold.
    """
    fig, ax = canvas(size=(0.5 * len(methods) + 2.0, 0.27 * values.shape[1] + 1.6))
    ax.imshow(values.T, cmap="Blues", norm=Normalize(5, 50), aspect="auto")
    best = values.argmax(0)
    for (i, j), value in np.ndenumerate(values):
        style = {"weight": "bold"} if best[j] == i else {}
        ax.text(i, j, f"{value:.0f}", ha="center", va="center", fontsize=9, color="white" if value > 32 else BLACK, **style)
    each = len(conditions)
    ax.set(xticks=range(len(methods)), yticks=range(values.shape[1]), yticklabels=list(conditions) * len(families))
    ax.set_xticklabels(methods, rotation=40, ha="left", rotation_mode="anchor")
    ax.xaxis.tick_top()
    for k, family in enumerate(families):
        ax.text(len(methods) - 0.3, each * k + (each - 1) / 2, family, rotation=-90, ha="left", va="center", fontsize=9)
        if k:
            ax.axhline(each * k - 0.5, color="white", linewidth=4)
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
    ax.set(xlabel="image", ylabel="PSNR of the digit in dB", xticks=range(psnr.shape[1]))
    ax.legend(frameon=False)
    return fig
