"""Figures of the trained ReLU priors."""

import numpy as np
from matplotlib.figure import Figure

from demod_book.figures.style import BLUE, GREY, ORANGE, VERMILION, WITH_CHECK, WITHOUT_CHECK, canvas, image_rows


def plot_samples(rows: dict[str, np.ndarray]) -> Figure:
    """Draw labelled rows of images (N, 64, 64)."""
    return image_rows(rows)


def plot_layers(names: list[str], before: np.ndarray, after: np.ndarray) -> Figure:
    """Draw the searched constant over its fitted α for each layer, before and after training."""
    fig, ax = canvas(size=(6.0, 0.4 * len(names) + 1.0))
    for k, (low, high) in enumerate(zip(before, after, strict=True)):
        ax.annotate("", (high, k), (low, k), arrowprops={"arrowstyle": "->", "color": GREY})
    ax.plot(before, range(len(names)), "o", color=BLUE, label="before training")
    ax.plot(after, range(len(names)), "D", color=VERMILION, label="after training")
    ax.axvline(0.5, color=GREY, linestyle=":", linewidth=1)
    ax.set(xlabel=r"$\hat\epsilon\, /\, \alpha$", xscale="log", yticks=range(len(names)), yticklabels=names)
    ax.invert_yaxis()
    ax.legend(frameon=False, loc="best")
    return fig


def plot_starts(histories: dict[str, np.ndarray]) -> Figure:
    """Draw the mean-squared residual (iterations + 1, images) for each kind of start, the medians thick."""
    fig, ax = canvas(size=(6.0, 4.0))
    styles = (
        {"color": BLUE, "linewidth": 5, "alpha": 0.5},
        {"color": WITH_CHECK, "linewidth": 2},
        {"color": WITHOUT_CHECK, "linewidth": 2, "linestyle": "--"},
        {"color": ORANGE, "linewidth": 2, "linestyle": "-."},
    )
    for (label, history), style in zip(histories.items(), styles, strict=True):
        steps = np.arange(1, len(history) + 1)
        ax.loglog(steps, history, color=style["color"], linewidth=0.5, alpha=0.3)
        ax.loglog(steps, np.median(history, axis=1), label=label, **style)
    ax.set(xlabel="iteration $i + 1$", ylabel=r"$\|w_i \odot x_i - y_0\|^2\ /\ 4096$")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return fig
