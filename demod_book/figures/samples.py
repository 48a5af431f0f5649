"""Figures of the chapter on sample complexity: success against measurements, codes, expansion and depth."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from demod_book.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILION, canvas

SIZES = (BLUE, ORANGE, GREEN, VERMILION, PURPLE)
EXPONENTS = np.linspace(0, 2, 21)


def plot_success(ratios: dict[int, np.ndarray], success: dict[int, np.ndarray], bands: dict[int, np.ndarray]) -> Figure:
    """Draw the share of recovered problems against ℓ/(n + p), one curve for each n = p with its interval (2, sizes)."""
    fig, ax = canvas(size=(6.0, 3.4))
    for (n, x), colour in zip(ratios.items(), SIZES, strict=False):
        ax.fill_between(x, *bands[n], color=colour, alpha=0.15, linewidth=0)
        ax.plot(x, success[n], "o-", color=colour, markersize=4, label=f"$n = p = {n}$")
    ax.axhline(0.5, color=BLACK, linestyle=":", linewidth=1)
    ax.set(xlabel=r"$\ell\ /\ (n + p)$", ylabel="share recovered", ylim=(-0.03, 1.03))
    ax.legend(frameon=False, fontsize=9)
    return fig


def plot_phase(
    n: np.ndarray, ell: np.ndarray, success: np.ndarray, half: dict[int, float], fit: tuple[float, float]
) -> Figure:
    """Draw each task at (n, ℓ), as dark as its share of recovered problems, with ℓ_50, its power law and two bounds.

    half maps n to ℓ_50; fit is (factor, exponent) of the power law through them.
    """
    fig, ax = canvas(size=(6.0, 4.2))
    tasks = ax.scatter(n, ell, c=success, cmap="Blues", vmin=0, vmax=1, edgecolor=GREY, linewidth=0.6, s=60, marker="s")
    line = np.geomspace(n.min() / 1.2, n.max() * 1.2, 50)
    ax.plot(line, fit[0] * line ** fit[1], color=ORANGE, label=rf"half recovered: $\ell \propto n^{{{fit[1]:.2f}}}$")
    ax.plot(list(half), list(half.values()), "o", color=ORANGE, markersize=6, markeredgecolor="white")
    ax.plot(line, 2 * line, color=BLACK, linestyle=":", label=r"$\ell = n + p$, the number of unknowns")
    ax.plot(line, 2 * line**2, color=VERMILION, linestyle="--", label=r"$\ell = n^2 + p^2$, as in the theorem")
    ax.set(xlabel="$n = p$", ylabel=r"measurements $\ell$", xscale="log", yscale="log")
    ax.set_xticks(sorted(set(n.tolist())), [str(int(k)) for k in sorted(set(n.tolist()))])
    ax.minorticks_off()
    ax.set_yticks([10, 30, 100, 300, 1000], ["10", "30", "100", "300", "1000"])
    fig.colorbar(tasks, label="share recovered")
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=1, frameon=False, fontsize=9)
    return fig


def plot_expansion(expansion: np.ndarray, success: dict[str, np.ndarray], bands: dict[str, np.ndarray]) -> Figure:
    """Draw the share of recovered problems against the expansion n₁/n, one curve for each label."""
    fig, ax = canvas(size=(6.0, 3.4))
    for (label, values), colour in zip(success.items(), SIZES, strict=False):
        ax.fill_between(expansion, *bands[label], color=colour, alpha=0.15, linewidth=0)
        ax.plot(expansion, values, "o-", color=colour, markersize=4, label=label)
    ax.axvline(1, color=BLACK, linestyle=":", linewidth=1)
    ax.set(xlabel="expansion of the inner layer, $n_1/n$", ylabel="share recovered", xscale="log", ylim=(-0.03, 1.03))
    ax.set_xticks(expansion, [f"{value:g}" for value in expansion])
    ax.minorticks_off()
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return fig


def interactive_collapse(ratios: dict[int, np.ndarray], success: dict[int, np.ndarray], bands: dict[int, np.ndarray]) -> Any:
    """Return the curves of `plot_success` in plotly, with a slider for the exponent a of the law ℓ ∝ n^a.

    The curve of n is drawn over ℓ/(2 n̄^{1-a} n^a), n̄ the geometric mean of all n: at a = 1 over ℓ/(n + p). Where the law
    holds the curves lie on each other.
    """
    from plotly import graph_objects as go

    relative = np.array(list(ratios)) / np.exp(np.log(list(ratios)).mean())
    moved = [[x * k ** (1 - a) for x, k in zip(ratios.values(), relative, strict=True)] for a in EXPONENTS]
    first = int(np.argmin(abs(EXPONENTS - 2)))
    fig = go.Figure()
    for (n, share), x, colour in zip(success.items(), moved[first], SIZES, strict=False):
        bars = {"array": bands[n][1] - share, "arrayminus": share - bands[n][0], "thickness": 1, "width": 3}
        text = [
            f"n = p = {n}, ℓ = {round(2 * n * ratio)}: {value:.0%}" for ratio, value in zip(ratios[n], share, strict=True)
        ]
        line = {"color": colour, "width": 2}
        fig.add_scatter(x=x, y=share, error_y=bars, text=text, hoverinfo="text", line=line, name=f"n = p = {n}")
    steps = [
        {"method": "restyle", "label": f"{a:.1f}", "args": [{"x": [x.round(3).tolist() for x in xs]}]}
        for a, xs in zip(EXPONENTS, moved, strict=True)
    ]
    everywhere = np.log10(np.concatenate([x for xs in moved for x in xs]))
    edges = [everywhere.min() - 0.05, everywhere.max() + 0.05]
    ticks = [1, 2, 3, 5, 10, 20, 30, 50, 100]
    fig.update_layout(
        template="plotly_white",
        xaxis={"type": "log", "range": edges, "title": "ℓ / (2 n̄<sup>1−a</sup> n<sup>a</sup>)", "tickvals": ticks},
        yaxis={"title": "share recovered", "range": (-0.03, 1.03)},
        sliders=[{"steps": steps, "active": first, "currentvalue": {"prefix": "ℓ ∝ nᵃ, a = "}, "pad": {"t": 50}}],
        margin={"l": 60, "r": 10, "t": 50, "b": 50},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    )
    return fig
