"""Figures of the image priors."""

import numpy as np
from matplotlib.figure import Figure

from demod_book.figures.style import BLACK, MODULATOR, SIGNAL, canvas, image_rows


def plot_rows(rows: dict[str, np.ndarray]) -> Figure:
    """Draw labelled rows of images (N, 64, 64) with values in [0, 1]."""
    return image_rows(rows)


def plot_projections(images: np.ndarray, closest: np.ndarray, psnr: np.ndarray) -> Figure:
    """Draw images, the closest ones found in the range of a generator, and the PSNR in dB of each pair."""
    return image_rows({"image": images, "closest": closest}, {"closest": [f"{value:.1f}" for value in psnr]})


def plot_homogeneity(scales: np.ndarray, digits: np.ndarray, distortions: np.ndarray) -> Figure:
    """Draw how far G(c z) is from c G(z), relative to c G(z), for two trained generators."""
    fig, ax = canvas(size=(6.0, 3.2))
    ax.plot(scales, digits, color=SIGNAL, label="digits, $G_1$")
    ax.plot(scales, distortions, color=MODULATOR, label="distortions, $G_2$")
    ax.axhline(0, color=BLACK, linestyle=":", linewidth=1, label="the theorems' networks")
    ax.set(xlabel="$c$", ylabel=r"$\|G(cz) - cG(z)\|\ /\ \|cG(z)\|$", xscale="log")
    ax.set_xticks([0.25, 0.5, 1, 2, 4], ["1/4", "1/2", "1", "2", "4"])
    ax.minorticks_off()
    ax.legend(frameon=False)
    return fig
