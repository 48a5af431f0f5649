"""Figures of the generators' chapter: pieces, norms, angles."""

import numpy as np
from matplotlib.figure import Figure

from demod_book.figures.style import BLACK, BLUE, GREEN, ORANGE, SKY, VERMILION, canvas

DEPTHS = (BLUE, ORANGE, GREEN, VERMILION, SKY)


def plot_pieces(angle: np.ndarray, values: np.ndarray) -> Figure:
    """Draw some entries (len(angle), entries) of G along the unit circle of codes: one smooth arc per linear piece."""
    fig, ax = canvas(size=(6.0, 3.2))
    for entry, colour in zip(values.T, DEPTHS, strict=False):
        ax.plot(angle, entry, color=colour)
    ax.set(xlabel=r"angle of the code $z = (\cos t, \sin t)$", ylabel="entries of $G(z)$", xlim=angle[[0, -1]])
    ax.set_xticks([0, np.pi, 2 * np.pi], ["0", r"$\pi$", r"$2\pi$"])
    return fig


def plot_norms(ratios: dict[int, np.ndarray]) -> Figure:
    """Draw the spread of 2^d ‖G(z)‖² / (α ‖z‖²) over networks, a violin for each depth d."""
    fig, ax = canvas(size=(6.0, 3.2))
    parts = ax.violinplot(list(ratios.values()), positions=list(ratios), showmedians=True, widths=0.7)
    for body, colour in zip(parts["bodies"], DEPTHS, strict=False):
        body.set(facecolor=colour, alpha=0.6)
    for name in ("cmedians", "cbars", "cmins", "cmaxes"):
        parts[name].set(color=BLACK, linewidth=1)
    ax.axhline(1, color=BLACK, linestyle=":", linewidth=1)
    ax.set(xlabel="depth $d$", ylabel=r"$2^d\,\|G(z)\|^2\ /\ \alpha\|z\|^2$", xticks=list(ratios))
    return fig


def plot_angles(theta: np.ndarray, measured: dict[int, np.ndarray], expected: dict[int, np.ndarray]) -> Figure:
    """Draw the angle between G(x) and G(y) against that between x and y, one colour per depth, theory as a line."""
    fig, ax = canvas(size=(6.0, 4.0))
    for (depth, angles), colour in zip(measured.items(), DEPTHS, strict=False):
        ax.plot(theta, expected[depth], color=colour)
        ax.plot(theta, angles, "o", color=colour, markersize=4, label=f"$d = {depth}$")
    ax.plot(theta, theta, color=BLACK, linestyle=":", linewidth=1)
    ax.set(xlabel=r"angle between the codes", ylabel="angle between the outputs")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks([0, np.pi / 4, np.pi / 2, 3 * np.pi / 4, np.pi], ["0", r"$\pi/4$", r"$\pi/2$", r"$3\pi/4$", r"$\pi$"])
    ax.legend(frameon=False)
    return fig
