"""Figures of the chapter on related methods: success, half points and cost of each method in its own class."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from demod_book.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, canvas

METHODS = {
    "algorithm_1": ("Algorithm 1", GREEN, "o"),
    "branchhull": (r"$\ell_1$-BranchHull, signs given", ORANGE, "s"),
    "power_factorization": ("sparse power factorisation", PURPLE, "D"),
    "lifted": ("lifting", VERMILION, "^"),
    "bilinear_gradient": ("bilinear gradient", SKY, "v"),
}

ROWS = {
    "algorithm_1": "Algorithm 1",
    "branchhull": "$\\ell_1$-BranchHull,\nsigns given",
    "power_factorization": "sparse power\nfactorisation",
    "nonzero": "Algorithm 1, only\nnonzero entries",
}


def plot_methods(ratios: np.ndarray, success: Mapping[str, np.ndarray], bands: np.ndarray, codes: tuple[int, ...]) -> Figure:
    """Draw the share of recovered problems against ℓ/(n + p), a panel for each n = p and a curve for each method.

    ratios (codes, sizes); success maps a method to (codes, sizes); bands (methods, codes, sizes, 2) are its intervals.
    """
    fig, axes = canvas(len(codes), size=(6.0, 2.1 * len(codes) + 0.8), sharex=True, squeeze=False)
    for k, (n, ax) in enumerate(zip(codes, axes[:, 0], strict=True)):
        for (method, share), band in zip(success.items(), bands, strict=True):
            label, colour, marker = METHODS[method]
            ax.fill_between(ratios[k], *band[k].T, color=colour, alpha=0.15, linewidth=0)
            ax.plot(ratios[k], share[k], "-", marker=marker, color=colour, markersize=5, label=label)
        ax.axhline(0.5, color=BLACK, linestyle=":", linewidth=1)
        ax.set(ylabel="share recovered", ylim=(-0.03, 1.03), title=f"$n = p = k = {n}$")
    ax.set(xlabel=r"$\ell\ /\ (n + p)$")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=1, frameon=False, fontsize=10)
    return fig


def plot_halves(rows: Mapping[str, tuple[str, np.ndarray]], codes: tuple[int, ...]) -> Figure:
    """Draw ℓ_50/(n + p) with its 95 % interval, a row for each key of ROWS and a dot for each n = p, open for the first.

    rows maps a key to (method, (3, codes)): the values and the ends of their intervals.
    """
    fig, ax = canvas(size=(6.0, 0.75 * len(rows) + 0.9))
    offsets = 0.5 * (np.arange(len(codes)) / (len(codes) - 1) - 0.5)
    for i, (method, values) in enumerate(rows.values()):
        _, colour, marker = METHODS[method]
        for k, (value, low, high) in enumerate(values.T):
            ax.plot([low, high], [i + offsets[k]] * 2, color=colour, linewidth=1.5)
            ax.plot(value, i + offsets[k], marker, color=colour, markerfacecolor=colour if k else "white", markersize=6)
            ax.annotate(f"$n = {codes[k]}$", (high, i + offsets[k]), (4, 0), textcoords="offset points", va="center")
    ax.set_yticks(range(len(rows)), [ROWS[key] for key in rows])
    ax.set(ylim=(len(rows) - 0.5, -0.5), xlabel=r"$\ell_{50}\ /\ (n + p)$", xlim=(0, ax.get_xlim()[1] * 1.08))
    return fig


def plot_cost(codes: tuple[int, ...], seconds: Mapping[str, np.ndarray]) -> Figure:
    """Draw the time of one solution against n = p, a line for each method."""
    fig, ax = canvas(size=(6.0, 4.4))
    for method, times in seconds.items():
        label, colour, marker = METHODS[method]
        ax.loglog(codes, times, "-", marker=marker, color=colour, label=label)
    ax.set(xlabel="$n = p$", ylabel="seconds for one problem")
    ax.set_xticks(codes, [str(n) for n in codes])
    ax.minorticks_off()
    decades = np.log10([min(map(np.min, seconds.values())), max(map(np.max, seconds.values()))])
    ax.set_ylim(10.0 ** np.floor(decades[0]), 10.0 ** np.ceil(decades[1]))
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=1, frameon=False, fontsize=10)
    return fig


BASIS_STYLES = {"cosine": ("cosines", BLUE), "haar": ("Haar", GREY), "daubechies": ("Daubechies", VERMILION)}


def plot_terms(rows: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """Draw k/n for each row and basis: a dot at the median over images and a line over their middle half.

    rows maps a label to, by basis, the ratios of the images (N,).
    """
    fig, ax = canvas(size=(6.0, 0.75 * len(rows) + 1.2))
    for i, values in enumerate(rows.values()):
        for j, (basis, ratios) in enumerate(values.items()):
            low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
            height, (label, colour) = i + 0.2 * (j - 1), BASIS_STYLES[basis]
            ax.plot([low, high], [height, height], color=colour, linewidth=2)
            ax.plot(middle, height, "o", color=colour, markersize=6, label=label if i == 0 else None)
    ax.axvline(1, color=BLACK, linestyle=":", linewidth=1)
    ax.set_yticks(range(len(rows)), rows)
    ax.set(xscale="log", ylim=(len(rows) - 0.5, -0.5), xlabel="terms of the basis / latent dimension")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=10)
    return fig


def plot_sparsity(sparsity: Sequence[int], halves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Draw ℓ_50 against the number of nonzero entries of each code, with 95 % intervals, and two slopes.

    halves maps a kind of codes to (ℓ_50, the standard errors of their logarithms).
    """
    fig, ax = canvas(size=(6.0, 3.4))
    for (label, (half, error)), colour, marker in zip(halves.items(), (BLUE, ORANGE), "os", strict=True):
        _, low, high = half, half * np.exp(-1.96 * error), half * np.exp(1.96 * error)
        ax.errorbar(sparsity, half, [half - low, high - half], fmt=f"{marker}-", color=colour, label=f"{label} codes")
    k, first = np.asarray(sparsity, float), max(half[0] for half, _ in halves.values())
    for power, style in ((1, ":"), (2, "--")):
        ax.plot(k, first * (k / k[0]) ** power, style, color=BLACK, linewidth=1, label=rf"$\ell \propto k^{power}$")
    ax.set(xlabel="nonzero entries $k$ of each code", ylabel=r"$\ell_{50}$", xscale="log", yscale="log")
    ax.set_xticks(sparsity, [str(value) for value in sparsity])
    ax.minorticks_off()
    ax.legend(frameon=False, fontsize=9)
    return fig
