"""Figures of the first chapter: what the product hides, and why the objective is not convex."""

import numpy as np
from matplotlib.figure import Figure

from demod_book.figures.style import BLUE, MODULATOR, OBSERVATION, SIGNAL, canvas


def plot_factorisations(factorisations: dict[str, tuple[np.ndarray, np.ndarray]], y: np.ndarray) -> Figure:
    """Draw the first entries of several pairs (w, x), a column each, all with the same product y."""
    fig, grid = canvas(3, len(factorisations), size=(6.4, 4.4), sharex=True, sharey="row")
    for column, (label, (w, x)) in zip(grid.T, factorisations.items(), strict=True):
        for ax, values, colour in zip(column, (w, x, y), (SIGNAL, MODULATOR, OBSERVATION), strict=True):
            ax.bar(np.arange(len(values)), values, color=colour, width=0.9)
        column[0].set_title(label, fontsize=10)
        column[-1].set_xlabel("entry")
    for ax, name in zip(grid[:, 0], ("signal $w$", "modulator $x$", r"$y = w \odot x$"), strict=True):
        ax.set_ylabel(name)
    return fig


def plot_segment(t: np.ndarray, f: np.ndarray) -> Figure:
    """Draw f, in units of 1/2 ‖y‖², along the segment between two global minimisers."""
    fig, ax = canvas(size=(6.0, 3.0))
    ax.plot(t, f, color=BLUE)
    ax.plot(t[[0, -1]], f[[0, -1]], "o", color=BLUE)
    ax.set(xlabel="$t$ along the segment", ylabel=r"$f\ /\ \frac{1}{2}\|y_0\|^2$")
    return fig
