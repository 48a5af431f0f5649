"""Figures of the geometry: neighbourhoods of the curves, valleys on the torus of directions, endpoints, radii."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from demod_book.figures.style import BLACK, BLUE, CURVE_LABELS, CURVES, GREEN, GREY, ORANGE, SKY, VERMILION, canvas

DIMENSIONS = {1: VERMILION, 2: BLUE, 3: GREEN}
WIDTHS = (SKY, BLUE, GREEN)
TURNS = ([0, np.pi / 2, np.pi], ["$0$", r"$\pi/2$", r"$\pi$"])


def plot_neighbourhoods(h: np.ndarray, m: np.ndarray, distances: np.ndarray, radii: tuple[float, float]) -> Figure:
    """Draw A_ε of the four curves for two ε, from the distances (len(m), len(h), 4) of scalar codes."""
    fig, grid = canvas(1, 2, size=(6.4, 3.9), sharey=True)
    for ax, epsilon in zip(grid, radii, strict=True):
        for k, colour in enumerate(CURVES):
            ax.contourf(h, m, distances[..., k], levels=(0, epsilon), colors=[colour], alpha=0.35)
            ax.contour(h, m, distances[..., k], levels=(epsilon,), colors=[colour], linewidths=1.2)
            ax.plot([], [], color=colour, linewidth=6, alpha=0.5, label=CURVE_LABELS[k])
        ax.axhline(0, color=GREY, linewidth=0.8)
        ax.axvline(0, color=GREY, linewidth=0.8)
        ax.set(xlabel="$h$", aspect="equal", title=rf"$\epsilon = {epsilon}$")
    grid[0].set_ylabel("$m$")
    fig.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=10)
    return fig


def plot_valleys(
    angle: np.ndarray, expected: np.ndarray, valleys: np.ndarray, ends: np.ndarray, nearest: np.ndarray
) -> Figure:
    """Draw the least f over the lengths of the codes against their directions, in the limit and for one pair of networks.

    angle: directions of h and of m, in radians from h0 and m0; expected, valleys: f (len(angle), len(angle)) in units of
    1/2 ‖y‖², rows along m; ends: the directions (N, 2) where descents end; nearest: which of the four curves is nearest.
    """
    fig, grid = canvas(1, 2, size=(6.4, 4.0), sharey=True)
    levels = (0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.85, 0.88, 0.9, 0.92, 0.94, 0.96, 0.98, 0.99, 1.0)
    for ax, f, title in zip(grid, (expected, valleys), ("infinite width", "one pair of networks"), strict=True):
        filled = ax.contourf(angle, angle, f, levels=levels, cmap="viridis")
        filled.set_rasterized(True)
        ax.contour(angle, angle, f, levels=levels, colors="white", linewidths=0.3).set_rasterized(True)
        ax.set(xlabel=r"turn of $h$ from $h_0$", aspect="equal", title=title)
        ax.set_xticks(*TURNS)
        ax.set_yticks(*TURNS)
    grid[0].set_ylabel(r"turn of $m$ from $m_0$")
    for k, (place, colour) in enumerate(zip(((0, 0), (np.pi, 0), (0, np.pi), (np.pi, np.pi)), CURVES, strict=True)):
        grid[0].plot(*place, "o", color=colour, markeredgecolor="white", markersize=9, label=CURVE_LABELS[k])
        grid[1].plot(*ends[nearest == k].T, "o", color=colour, markeredgecolor="white", markersize=6, markeredgewidth=0.8)
    fig.colorbar(
        filled,
        ax=grid,
        label=r"least $f\ /\ \frac{1}{2}\|y_0\|^2$",
        shrink=0.7,
        ticks=(0, 0.6, 0.85, 0.92, 0.98, 1),
        format="%g",
    )
    fig.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=10)
    return fig


def plot_endpoints(widths: np.ndarray, spurious: list[tuple[np.ndarray, np.ndarray]], radii: np.ndarray) -> Figure:
    """Draw the distances of spurious endpoints, and which curve is nearest, in a column per width, with the radius r."""
    fig, ax = canvas(size=(6.0, 3.9))
    rng = np.random.default_rng(0)  # for the jitter
    for place, (distance, curve) in enumerate(spurious):
        jitter = place + rng.uniform(-0.3, 0.3, len(distance))
        for k, colour in enumerate(CURVES):
            ax.plot(jitter[curve == k], distance[curve == k], "o", color=colour, markersize=4, alpha=0.6, markeredgewidth=0)
        ax.plot([place - 0.4, place + 0.4], [radii[place]] * 2, color=BLACK, linewidth=2)
    for k in np.unique(np.concatenate([curve for _, curve in spurious])):
        ax.plot([], [], "o", color=CURVES[k], label=CURVE_LABELS[k])
    ax.plot([], [], color=BLACK, linewidth=2, label="$r$: holds 95 % of them")
    ax.set(xlabel="inner width", ylabel="distance of the orbit from the curves", ylim=(0, 1.03))
    ax.set_xticks(range(len(widths)), [str(width) for width in widths])
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=10)
    return fig


def plot_stuck(widths: np.ndarray, shares: dict[int, np.ndarray]) -> Figure:
    """Draw the share of descents that end away from the global curve against the width, one line per dimension n = p.

    shares: for each n the shares and their standard errors, (2, k), at the first k widths.
    """
    fig, ax = canvas(size=(6.0, 3.6))
    for n, (share, error) in shares.items():
        ax.errorbar(widths[: len(share)], share, 2 * error, fmt="o-", color=DIMENSIONS[n], capsize=3, label=f"$n = p = {n}$")
        ax.plot(widths, share[0] * (widths / widths[0]) ** ((1 - n) / 2), ":", color=DIMENSIONS[n], linewidth=1.4)
    _logarithmic(ax, widths, (0.02, 0.05, 0.1, 0.2, 0.5, 1.0))
    ax.set(xlabel="inner width $N$", ylabel="share stuck")
    ax.legend(frameon=False)
    return fig


def plot_ripples(widths: np.ndarray, shares: np.ndarray, turns: np.ndarray) -> Figure:
    """Draw the share of the circle that drains into ripples, and how far from -h0 these are, against the inner width.

    shares and turns: values and standard errors of their logarithms, (2, len(widths)).
    """
    fig, grid = canvas(1, 2, size=(6.4, 3.3))
    parts = ((shares, 0.5, "$N^{-1/2}$", "share of the circle"), (turns, 0.25, "$N^{-1/4}$", "turn from $-h_0$ (radians)"))
    for ax, ((value, error), power, name, label) in zip(grid, parts, strict=True):
        ends = value * np.exp(np.multiply.outer([-1.96, 1.96], error))
        ax.errorbar(widths, value, np.abs(ends - value), fmt="o", color=BLUE, capsize=3, label="measured")
        middle = np.exp(np.log(value).mean() + power * np.log(widths).mean())
        ax.plot(widths, middle * widths**-power, ":", color=GREY, label=name)
        _logarithmic(ax, widths, (0.05, 0.1, 0.2, 0.3) if power == 0.5 else (0.2, 0.3, 0.5, 0.7))
        ax.set(xlabel="inner width $N$", ylabel=label)
        ax.legend(frameon=False, fontsize=10)
    return fig


def plot_turning(
    turn: np.ndarray, floors: dict[int, np.ndarray], limit: np.ndarray, close: np.ndarray, slope: np.ndarray
) -> Figure:
    """Draw the floor of the valley while h turns away from -h0, and for the widest network its slope, close up.

    floors: least f (len(turn),) for each width; slope: its derivative at the turns `close`.
    """
    fig, (left, right) = canvas(1, 2, size=(6.4, 3.7))
    for (width, f), colour in zip(floors.items(), WIDTHS, strict=True):
        left.plot(turn, f, color=colour, label=f"$N = {width}$")
    left.plot(turn, limit, color=BLACK, linestyle="--", label="infinite width")
    right.plot(close, slope, color=WIDTHS[len(floors) - 1], linewidth=1)
    left.set(xlabel="turn of $h$ from $-h_0$", ylabel=r"least $f\ /\ \frac{1}{2}\|y_0\|^2$")
    right.set(xlabel="turn, close up")
    left.set_title("valley floor", fontsize=11)
    right.set_title(f"slope of the floor, $N = {max(floors)}$", fontsize=11)
    fig.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=10)
    return fig


def plot_off_K(product: np.ndarray, rises: dict[int, np.ndarray], reach: float) -> Figure:
    """Draw the range of f - 1/2 ‖y‖² over perturbations of points of K against ‖h+δh‖‖δm‖, a band for each depth."""
    fig, ax = canvas(size=(6.0, 3.5))
    for (depth, rise), colour in zip(rises.items(), (ORANGE, BLUE), strict=True):
        ax.fill_between(product, rise.min(1), rise.max(1), color=colour, alpha=0.35, linewidth=0, label=f"$d = s = {depth}$")
        ax.plot(product, rise.max(1), color=colour)
        ax.plot(product, rise.min(1), color=colour)
    ax.axhline(0, color=BLACK, linewidth=1)
    ax.axvline(reach, color=GREY, linestyle=":")
    ax.text(reach * 1.03, 0.92, r"$\rho_d\rho_s$ at $d = s = 2$", transform=ax.get_xaxis_transform(), fontsize=10)
    ax.set(xlabel=r"$\|h+\delta h\|\,\|\delta m\|\ /\ \|h_0\|\|m_0\|$", ylabel=r"$f\ /\ \frac{1}{2}\|y_0\|^2 - 1$")
    ax.legend(frameon=False, loc="lower left")
    return fig


def plot_radii(epsilon: np.ndarray, radii: np.ndarray, depths: np.ndarray, deep: np.ndarray) -> Figure:
    """Draw the radius r against ε̂, and against the depth d = s.

    radii and deep: in each row r, and then its values for networks drawn again, of which the standard errors are drawn.
    """
    fig, (left, right) = canvas(1, 2, size=(6.4, 3.3), sharey=True)
    left.errorbar(epsilon, radii[:, 0], radii[:, 1:].std(1), fmt="o-", color=BLUE, capsize=3, label="measured")
    for power, style in ((0.25, ":"), (0.5, "--")):
        label = r"$\epsilon^{1/4}$" if power == 0.25 else r"$\epsilon^{1/2}$"
        left.plot(epsilon, radii[0, 0] * (epsilon / epsilon[0]) ** power, style, color=GREY, label=label)
    right.errorbar(depths, deep[:, 0], deep[:, 1:].std(1), fmt="o-", color=BLUE, capsize=3)
    _logarithmic(left, np.array([1, 2, 5, 10]), (0.3, 0.5, 0.7, 1.0))
    right.set(xlabel="depth $d = s$", xticks=depths)
    left.set(xlabel=r"$\hat\epsilon$ of all layers", ylabel="radius $r$", xlim=(epsilon.min() * 0.9, epsilon.max() * 1.1))
    left.legend(frameon=False, fontsize=10)
    return fig


def _logarithmic(ax: Axes, x: np.ndarray, y: tuple[float, ...]) -> None:
    """Make both axes logarithmic with these numbers, written out, for ticks."""
    ax.set(xscale="log", yscale="log")
    ax.set_xticks(x, [f"{value:g}" for value in x])
    ax.set_yticks(y, [f"{value:g}" for value in y])
    ax.minorticks_off()
