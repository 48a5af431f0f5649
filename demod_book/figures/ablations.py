"""Figures of the ablations of Algorithm 1."""

import numpy as np
from matplotlib.figure import Figure

from demod_book.figures.style import BLACK, BLUE, GREEN, GREY, JUMP, ORANGE, WALK, canvas


def plot_variants(labels: list[str], recovered: np.ndarray, iterations: list[np.ndarray]) -> Figure:
    """Draw for each variant the share recovered, with its interval, and the iterations of those that were.

    recovered is (variants, 3): the share and the ends of its interval.
    """
    fig, (left, right) = canvas(1, 2, size=(6.6, 0.42 * len(labels) + 1.0), sharey=True)
    place = -np.arange(len(labels))
    share, *ends = recovered.T
    left.errorbar(share, place, xerr=np.abs(ends - share), fmt="o", color=BLUE, capsize=3)
    left.set(xlabel="share recovered", xlim=(-0.04, 1.04))
    left.set_yticks(place, labels)
    for y, values in zip(place, iterations, strict=True):
        if len(values):
            low, middle, high = np.quantile(values, (0.1, 0.5, 0.9))
            right.plot([low, high], [y, y], color=ORANGE, linewidth=2)
            right.plot(middle, y, "o", color=ORANGE)
    right.set(xlabel="iterations of the recovered", xscale="log")
    right.set_xticks([50, 100, 200, 500, 1000, 2000], ["50", "100", "200", "500", "1k", "2k"])
    right.minorticks_off()
    return fig


def plot_starts(norms: np.ndarray, recovered: np.ndarray, iterations: np.ndarray, edges: tuple[float, float]) -> Figure:
    """Draw the share recovered against the norm of the start, and the iterations of the recovered, for three methods.

    recovered is (norms, methods, 3), a share and the ends of its interval; iterations (norms, methods), a median or nan.
    """
    fig, (left, right) = canvas(1, 2, size=(6.6, 3.2))
    labels = ("constant step", "relative steps", "Gauss–Newton")
    for k, (label, colour) in enumerate(zip(labels, (GREY, WALK, JUMP), strict=True)):
        share, *ends = recovered[:, k].T
        place = norms * 1.08 ** (k - 1)
        left.errorbar(place, share, np.abs(ends - share), fmt="o-", color=colour, capsize=2, markersize=4, linewidth=1)
        right.plot(norms, iterations[:, k], "o-", color=colour, markersize=4, linewidth=1, label=label)
    for edge, style in zip(edges, ("--", ":"), strict=True):
        left.axvline(edge, color=BLACK, linestyle=style, linewidth=1)
    for ax in (left, right):
        ax.set(xlabel=r"$\Vert h_1\Vert = \Vert m_1\Vert$ in units of $\sqrt{\widehat{H}_0}$", xscale="log")
    left.set(ylabel="share recovered", ylim=(-0.04, 1.04))
    right.set(ylabel="iterations of the recovered", yscale="log")
    fig.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return fig


def plot_noise(snr: np.ndarray, errors: np.ndarray, slope: float, intercept: float) -> Figure:
    """Draw the outer-product error (len(snr), trials) against the signal-to-noise ratio, both in dB, and the fitted line."""
    fig, ax = canvas(size=(6.0, 3.4))
    ax.plot(np.repeat(snr, errors.shape[1]), errors.ravel(), ".", color=BLUE, alpha=0.4, markersize=4)
    ax.plot(snr, intercept + slope * snr, color=BLACK, linestyle=":", label=f"slope {slope:.2f}")
    ax.plot(snr, np.median(errors, axis=1), "o-", color=GREEN, markersize=4, label="median")
    ax.set(xlabel="signal-to-noise ratio of $y$ [dB]", ylabel="error of $h m^T$ [dB]")
    ax.legend(frameon=False, fontsize=9)
    return fig
