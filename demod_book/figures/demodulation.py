"""Figure 2 of the paper, with numbers under each column, and what the residual does meanwhile."""

import numpy as np
from matplotlib.figure import Figure

from demod_book.figures.style import JUMP, OURS, PAPER, canvas, image_rows

SETTINGS = {"the paper's setting": PAPER, "Algorithm 1, our setting": OURS, "Gauss–Newton": JUMP}


def plot_recovery(rows: dict[str, np.ndarray], scores: dict[str, np.ndarray]) -> Figure:
    """Draw labelled rows of images (N, 64, 64); scores[label] (N, 2) are the PSNR in dB and SSIM to write under a row."""
    return image_rows(rows, {label: [f"{psnr:.1f}\n{ssim:.2f}" for psnr, ssim in pairs] for label, pairs in scores.items()})


def plot_histories(histories: dict[str, np.ndarray]) -> Figure:
    """Draw the mean-squared residual (iterations + 1, images) of each setting: every image thin, the median thick."""
    fig, ax = canvas(size=(6.0, 3.4))
    for label, history in histories.items():
        ax.loglog(np.arange(1, len(history) + 1), history, color=SETTINGS[label], linewidth=0.5, alpha=0.4)
        ax.loglog(
            np.arange(1, len(history) + 1), np.median(history, axis=1), color=SETTINGS[label], linewidth=2.2, label=label
        )
    ax.set(xlabel="iteration $i + 1$", ylabel=r"$\|w_i \odot x_i - y_0\|^2\ /\ 4096$")
    ax.legend(frameon=False)
    return fig


def plot_scores(baseline: float, scores: dict[str, np.ndarray]) -> Figure:
    """Draw the distribution over images of the digit's PSNR for each setting, with that of a constant image as a line."""
    fig, ax = canvas(size=(6.0, 2.6))
    for k, (label, values) in enumerate(scores.items()):
        jitter = k + np.linspace(-0.25, 0.25, len(values))
        ax.plot(np.sort(values), jitter, "o", color=SETTINGS[label], markersize=4)
        ax.plot([np.median(values)] * 2, [k - 0.35, k + 0.35], color="black", linewidth=1.5)
    ax.axvline(baseline, color="black", linestyle=":", linewidth=1)
    ax.set(xlabel="PSNR of the digit in dB, after scale alignment", yticks=range(len(scores)), yticklabels=list(scores))
    return fig
