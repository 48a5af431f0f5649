"""Figures of the chapter on the distribution conditions: the residual on the torus, what methods reach, brackets, decay."""

import numpy as np
from matplotlib.figure import Figure

from demod_book.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, VERMILION, canvas

TURN = ([0, np.pi / 2, np.pi, 3 * np.pi / 2, 2 * np.pi], ["0", r"$\pi/2$", r"$\pi$", r"$3\pi/2$", r"$2\pi$"])


def plot_torus(angle: np.ndarray, residual: np.ndarray, worst: tuple[float, float]) -> Figure:
    """Draw the residual (len(angle), len(angle)) over the angles of x (rows) and y, with both copies of the worst pair."""
    fig, ax = canvas(size=(6.0, 5.2))
    extent = (*angle[[0, -1]], *angle[[0, -1]])
    image = ax.imshow(residual, origin="lower", extent=extent, cmap="viridis", interpolation="nearest")
    for psi, phi in (worst, worst[::-1]):
        ax.plot(psi, phi, "o", markersize=13, markerfacecolor="none", markeredgecolor="white", markeredgewidth=4)
        ax.plot(psi, phi, "o", markersize=13, markerfacecolor="none", markeredgecolor=VERMILION, markeredgewidth=2)
    ax.set(xlabel=r"angle $\psi$ of $y$", ylabel=r"angle $\varphi$ of $x$")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks(*TURN)
    fig.colorbar(image, label=r"residual of (5)", shrink=0.85)
    return fig


def plot_reach(rows: np.ndarray, sampled: np.ndarray, searched: np.ndarray) -> Figure:
    """Draw which share of the exact constant the two methods reach, a dot per matrix, against the number of rows."""
    fig, ax = canvas(size=(6.0, 3.6))
    ax.axhline(1, color=BLACK, linestyle=":", linewidth=1.2)
    ax.plot(rows * 1.04, searched, "D", color=GREEN, markersize=6, label="search")
    ax.plot(rows / 1.04, sampled, "o", color=ORANGE, markersize=6, label="1,000 random pairs")
    ax.set(xlabel=r"rows $\ell$", ylabel="share of the exact constant", xscale="log", ylim=(None, 1.03))
    ax.set_xticks(np.unique(rows), [str(count) for count in np.unique(rows)])
    ax.minorticks_off()
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return fig


def plot_brackets(series: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Figure:
    """Draw guaranteed brackets, one panel per label of an axis: positions, lower ends and upper ends."""
    fig, axes = canvas(len(series), size=(6.0, 2.9 * len(series)), squeeze=False)
    for ax, (label, (position, low, high)) in zip(axes[:, 0], series.items(), strict=True):
        places = np.arange(len(position))
        ax.vlines(places, low, high, color=GREY, linewidth=7)
        ax.plot(places, high, "v", color=VERMILION, markersize=9, label="upper bound")
        ax.plot(places, low, "^", color=GREEN, markersize=9, label="lower bound")
        ax.set(xlabel=label, ylabel=r"constant $\epsilon$", yscale="log", xlim=(-0.5, len(position) - 0.5))
        ax.set_xticks(places, [f"{value:g}" for value in position])
        ticks = [0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1, 1.5, 2, 3]
        ax.set_yticks(ticks, [f"{value:g}" for value in ticks])
        ax.set_ylim(0.8 * min(low), 1.25 * max(high))
        ax.minorticks_off()
    axes[0, 0].legend(frameon=False)
    return fig


def plot_decay(series: dict[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Draw searched constants against the expansion, a dot per matrix, with a line of slope -1/2 through the last ones."""
    fig, ax = canvas(size=(6.0, 4.2))
    for (label, (expansion, values)), colour in zip(series.items(), (BLUE, VERMILION), strict=True):
        ax.plot(expansion, values, "o", color=colour, markersize=5, label=label)
        last = np.exp(np.log(values[expansion == expansion.max()]).mean())
        grid = np.geomspace(expansion.min(), expansion.max(), 50)
        ax.plot(grid, last * (grid / expansion.max()) ** -0.5, color=colour, linestyle="--", linewidth=1.2)
    ax.set(xlabel=r"expansion $\ell / n$", ylabel=r"searched $\hat\epsilon$", xscale="log", yscale="log")
    ticks = np.unique(np.concatenate([expansion for expansion, _ in series.values()]))
    ax.set_xticks(ticks, [f"{value:g}" for value in ticks])
    ax.set_yticks([0.1, 0.2, 0.5, 1, 2, 5], ["0.1", "0.2", "0.5", "1", "2", "5"])
    ax.minorticks_off()
    ax.legend(frameon=False)
    return fig
