"""Figures of the chapter on neighbouring problems: compressed sensing, anchors."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from demod_book.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILION, canvas

SENSING = {
    "csgm": ("CSGM", GREEN, "o"),
    "cosine": ("lasso, cosines", BLUE, "s"),
    "haar": ("lasso, Haar wavelet", GREY, "^"),
    "daubechies": ("lasso, Daubechies wavelet", VERMILION, "D"),
}


def plot_sensing(measurements: Mapping[str, Sequence[int]], psnr: Mapping[str, np.ndarray]) -> Figure:
    """Draw the PSNR of digits against the number of measurements: the median over digits and its middle half.

    psnr maps a method to (measurements, digits), in dB.
    """
    fig, ax = canvas(size=(6.0, 4.2))
    for method, values in psnr.items():
        label, colour, marker = SENSING[method]
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], axis=1)
        ax.fill_between(measurements[method], low, high, color=colour, alpha=0.15, linewidth=0)
        ax.plot(measurements[method], middle, marker=marker, color=colour, markersize=5, label=label)
    ax.set(xlabel="measurements", ylabel="PSNR (dB)", xscale="log")
    ticks = sorted({k for counts in measurements.values() for k in counts})
    ax.set_xticks(ticks, [str(k) for k in ticks])
    ax.minorticks_off()
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=10)
    return fig


def plot_anchors(ratios: Sequence[float], success: Mapping[int, np.ndarray], bands: Mapping[int, np.ndarray]) -> Figure:
    """Draw the share of recovered problems against ℓ/p, a curve for each angle of the anchor in degrees."""
    fig, ax = canvas(size=(6.0, 3.4))
    for (angle, share), colour in zip(success.items(), (BLUE, GREEN, ORANGE, VERMILION, PURPLE), strict=False):
        ax.fill_between(ratios, *bands[angle], color=colour, alpha=0.15, linewidth=0)
        ax.plot(ratios, share, "o-", color=colour, markersize=4, label=f"anchor at {angle}°")
    ax.axhline(0.5, color=BLACK, linestyle=":", linewidth=1)
    ax.set(xlabel=r"$\ell\ /\ p$", ylabel="share recovered", ylim=(-0.03, 1.03))
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=10)
    return fig
