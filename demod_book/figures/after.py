"""Figures of the chapter on what came after 2019: narrow layers, and pullbacks with and without masks."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from demod_book.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILION, canvas

MEASUREMENTS = (GREY, ORANGE, BLUE, PURPLE)  # from few to many


def plot_expansion(
    ratio: np.ndarray, constant: np.ndarray, share: dict[str, np.ndarray], bands: dict[str, np.ndarray]
) -> Figure:
    """Draw searched constants (matrices, ratios) and shares of recovered problems against n₁/n, a curve for each label."""
    fig, (above, below) = canvas(2, size=(6.0, 5.6), sharex=True)
    above.plot(ratio, constant.T, "o", color=VERMILION, markersize=4)
    above.axhline(0.5, color=BLACK, linestyle=":", linewidth=1.2)
    above.set(ylabel=r"searched $\hat\epsilon$ of $W_1$", yscale="log")
    above.set_yticks([0.2, 0.5, 1, 2, 5, 10, 20], ["0.2", "0.5", "1", "2", "5", "10", "20"])
    above.minorticks_off()
    for (label, values), colour in zip(share.items(), MEASUREMENTS, strict=False):
        below.fill_between(ratio, *bands[label], color=colour, alpha=0.15, linewidth=0)
        below.plot(ratio, values, "o-", color=colour, markersize=4, label=label)
    _expansions(below, ratio)
    below.set(ylabel="share recovered", ylim=(-0.03, 1.03))
    fig.legend(*below.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    for ax in (above, below):
        ax.axvline(1, color=BLACK, linestyle=":", linewidth=1)
    return fig


def plot_pullbacks(
    ratio: np.ndarray, panels: dict[str, dict[str, np.ndarray]], bands: dict[str, dict[str, np.ndarray]]
) -> Figure:
    """Draw the share recovered against n₁/n in a panel for each task: with masks first, without second."""
    fig, axes = canvas(len(panels), size=(6.0, 2.7 * len(panels)), sharex=True, squeeze=False)
    for ax, (title, curves) in zip(axes[:, 0], panels.items(), strict=True):
        for (label, values), colour, dash in zip(curves.items(), (BLUE, GREEN), ("-", "--"), strict=True):
            ax.fill_between(ratio, *bands[title][label], color=colour, alpha=0.15, linewidth=0)
            ax.plot(ratio, values, f"o{dash}", color=colour, markersize=5, label=label)
        ax.set(ylabel="share recovered", ylim=(-0.03, 1.03))
        ax.set_title(title, fontsize=10, loc="left")
        ax.legend(frameon=False, fontsize=9, loc="lower right")
    _expansions(axes[-1, 0], ratio)
    return fig


def _expansions(ax: Axes, ratio: np.ndarray) -> None:
    ax.set(xlabel="expansion of the first layer, $n_1/n$", xscale="log")
    ax.set_xticks(ratio, [f"{value:g}" for value in ratio])
    ax.minorticks_off()
