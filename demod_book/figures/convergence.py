"""Figures of the chapter on convergence: the spectrum on the hyperbola, the tube around it, predicted and measured rates."""

import numpy as np
from matplotlib.figure import Figure

from demod_book.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, SKY, canvas

_TUBE = (BLUE, BLUE, ORANGE, ORANGE)  # of two depths, the certified and the proved bound each


def plot_spectra(widths: np.ndarray, spectra: np.ndarray) -> Figure:
    """Draw eigenvalues (len(widths), networks, n + p) of the Hessian on the hyperbola, with those of infinite width."""
    fig, ax = canvas(size=(6.0, 3.6))
    rng = np.random.default_rng(0)
    for k, values in enumerate(spectra):
        for rank, colour in ((0, GREY), (slice(1, -1), BLUE), (-1, ORANGE)):
            points = values[:, rank].ravel()
            ax.plot(k + rng.uniform(-0.2, 0.2, len(points)), points, ".", color=colour, markersize=3, alpha=0.6)
    for value in (0, 1, 2):
        ax.axhline(value, color=BLACK, linestyle=":", linewidth=1)
    for label, colour in (("largest", ORANGE), ("between", BLUE), ("smallest", GREY)):
        ax.plot([], [], ".", color=colour, label=label)
    ax.set(xlabel="inner width $n_1 = p_1$", ylabel=r"eigenvalues of $\nabla^2 f$, in units of $L$")
    ax.set_xticks(np.arange(len(widths)), [f"{width:,}" for width in widths])
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return fig


def plot_tube(limit: dict[str, tuple[np.ndarray, np.ndarray]], finite: dict[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Draw how strongly points point home by their distance: bounds for infinite width, and the least that searches find.

    limit maps a label to (distances, bounds); finite to (distances, least strengths (pairs, distances) of each pair).
    """
    fig, (left, right) = canvas(1, 2, size=(6.6, 3.4), sharey=True)
    for (label, (distance, bound)), style, colour in zip(limit.items(), ("-", "--", "-", "--"), _TUBE, strict=False):
        left.plot(distance, bound, style, color=colour, label=label)
    for k, (label, (distance, least)) in enumerate(finite.items()):
        colour, place = (GREY, SKY, GREEN)[k], distance + 0.012 * (k - 1)
        right.vlines(place, least.min(0), least.max(0), color=colour, linewidth=1.5)
        right.plot(place, np.median(least, axis=0), "o", color=colour, markersize=4, label=label)
    for ax in (left, right):
        ax.axhline(0, color=BLACK, linestyle=":", linewidth=1)
        ax.set(xlabel=r"distance $\Vert z - z^*\Vert\ /\ \Vert z^*\Vert$", xlim=(0, 1))
        ax.legend(frameon=False, fontsize=8)
    left.set_ylabel(r"$\langle\nabla f, z - z^*\rangle\ /\ L\,\Vert z - z^*\Vert^2$")
    return fig


def plot_rates(predicted: np.ndarray, measured: np.ndarray) -> Figure:
    """Draw the measured linear rate of each problem against the predicted one."""
    fig, ax = canvas(size=(4.6, 4.0))
    low, high = min(predicted.min(), measured.min()) - 0.01, max(predicted.max(), measured.max()) + 0.01
    ax.plot([low, high], [low, high], color=BLACK, linestyle=":", linewidth=1)
    ax.plot(predicted, measured, "o", color=BLUE, markersize=4, alpha=0.7)
    ax.set(xlabel="rate predicted by the spectrum", ylabel="rate measured", aspect="equal")
    return fig


def plot_step_sizes(theta: np.ndarray, predicted: np.ndarray, iterations: np.ndarray) -> Figure:
    """Draw predicted rates (len(theta), problems) and iterations needed against the step size, medians and 10–90 % bands."""
    fig, (left, right) = canvas(1, 2, size=(6.4, 3.0))
    for ax, values, colour in ((left, predicted, BLUE), (right, iterations, ORANGE)):
        low, middle, high = np.quantile(values, (0.1, 0.5, 0.9), axis=1)
        ax.fill_between(theta, low, high, color=colour, alpha=0.2, linewidth=0)
        ax.plot(theta, middle, "o-", color=colour, markersize=4)
        ax.set(xlabel=r"step size $\theta$", xscale="log")
        ax.set_xticks(theta, [f"{value:g}" for value in theta])
        ax.minorticks_off()
    left.axhline(1, color=BLACK, linestyle=":", linewidth=1)
    left.set(ylabel="predicted rate", ylim=(0.7, 1.3))
    right.set_ylabel(r"iterations to $10^{-6}$")
    right.set_yscale("log")
    right.set_yticks([50, 100, 200, 400], ["50", "100", "200", "400"])
    right.minorticks_off()
    return fig
