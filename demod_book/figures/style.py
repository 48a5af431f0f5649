"""What all figures share: the palette and the canvas.

The palette is that of Okabe and Ito, told apart by colour-blind readers; the same thing has the same colour everywhere.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILION, PURPLE, GREY = "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#888888"

# the four curves, in the order of Theorem 1, and the same signs of the codes wherever they occur
CURVES = (BLUE, VERMILION, ORANGE, PURPLE)
CURVE_LABELS = (
    r"$(h_0,\ m_0)$",
    r"$(-\rho_d h_0,\ m_0)$",
    r"$(h_0,\ -\rho_s m_0)$",
    r"$(-\rho_d h_0,\ -\rho_s m_0)$",
)
SIGNAL, MODULATOR, OBSERVATION, TRUTH = BLUE, ORANGE, GREY, BLACK
WITH_CHECK, FIRST_CHECK, WITHOUT_CHECK = GREEN, SKY, VERMILION
PAPER, OURS = SKY, GREEN  # settings of Algorithm 1 on images
WALK, JUMP = BLUE, ORANGE  # Algorithm 1 and Gauss–Newton

# what the families of modulators are called, and the prior of the digits among them
PRIORS = {
    "digits": "digits",
    "bump": "the paper's bumps",
    "bumps": "sums of bumps",
    "edge": "edges",
    "stripes": "stripes",
    "digit": "second digits",
}


def canvas(rows: int = 1, columns: int = 1, *, size: tuple[float, float] = (6.0, 3.6), **axes: Any) -> tuple[Figure, Any]:
    """Return a figure of `size` inches and its axes, an `Axes` or an array of them; `axes` goes to `Figure.subplots`.

    The figure does not belong to pyplot: nothing keeps it open.
    """
    fig = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(fig)
    grid = fig.subplots(rows, columns, **axes)
    for ax in np.ravel(grid):
        if ax.name == "rectilinear":
            ax.spines[["top", "right"]].set_visible(False)
    return fig, grid


def grouped_bars(
    rows: list[dict[str, float]], names: list[str], colours: Sequence[str], label: str, inches: float
) -> Figure:
    """Draw one group of bars, so many inches high, for each row, method to value, on a logarithmic axis."""
    fig, ax = canvas(size=(6.4, inches * len(rows) + 1.2))
    methods = list(rows[0])
    height = 0.8 / len(methods)
    groups = -np.arange(len(rows))
    for k, (method, colour) in enumerate(zip(methods, colours, strict=False)):
        ax.barh(groups - k * height, [row[method] for row in rows], height, color=colour, label=method)
    ax.set_yticks(groups - 0.4 + height / 2, names, fontsize=8)
    ax.set(xlabel=label, xscale="log")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return fig


def size_of(row: dict[str, Any]) -> str:
    """Return the sizes of the networks of a row of a benchmark, as in "10·100·1000"."""
    return "·".join(map(str, (row["n"], *row["inner"], row["ell"])))


def show_image(ax: Axes, image: np.ndarray) -> None:
    """Draw an image with grey values 0 (black) to 1 (white), without ticks."""
    ax.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def image_rows(rows: dict[str, np.ndarray], notes: dict[str, list[str]] | None = None, *, width: float = 6.4) -> Figure:
    """Return a figure with a labelled row of images (N, height, width) per entry, and notes[label] under its images."""
    notes = notes or {}
    count = len(next(iter(rows.values())))
    cell = width / (count + 0.9)
    fig, grid = canvas(len(rows), count, size=(width, len(rows) * cell + 0.22 * cell * len(notes) + 0.1), squeeze=False)
    for axes, (label, images) in zip(grid, rows.items(), strict=True):
        for j, (ax, image) in enumerate(zip(axes, images, strict=True)):
            show_image(ax, image)
            if label in notes:
                ax.set_xlabel(notes[label][j], fontsize=8, labelpad=2)
        axes[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=10, labelpad=6)
    fig.set_layout_engine("constrained", w_pad=0.01, h_pad=0.01, wspace=0.02, hspace=0.02)
    return fig
