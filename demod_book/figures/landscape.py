"""Figures 1a and 1b of the paper: the objective for scalar codes, with the four branches that the theory predicts."""

from typing import Any

import numpy as np
from matplotlib.colors import BoundaryNorm, Normalize
from matplotlib.figure import Figure
from scipy.interpolate import RegularGridInterpolator

from demod_book.figures.style import CURVE_LABELS, CURVES, GREY, canvas

CLIP = 1.6  # the surface is cut here, in units of 1/2 ‖y‖², to keep the valleys visible
LEVELS = (0.0, 0.1, 0.25, 0.5, 0.7, 0.85, 0.9, 0.93, 0.96, 0.98, 0.99, 0.995, 1.0, 1.1, 1.3, 1.6)


def branch_lines(products: np.ndarray, reach: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the four hyperbolic branches h m = ± product inside |h|, |m| ≤ reach, in the order of Theorem 1."""
    lines = []
    for product, sign_h, sign_m in zip(products, (1, -1, 1, -1), (1, 1, -1, -1), strict=True):
        h = np.geomspace(product / reach, reach, 200)
        lines.append((sign_h * h, sign_m * product / h))
    return lines


def plot_surface(h: np.ndarray, m: np.ndarray, f: np.ndarray, products: np.ndarray, values: np.ndarray) -> Figure:
    """Draw f (len(m), len(h)), in units of 1/2 ‖y‖², as a surface, with the predicted branches at their predicted values."""
    fig, ax = canvas(size=(6.0, 4.8), subplot_kw={"projection": "3d", "computed_zorder": False})
    H, M = np.meshgrid(h, m)
    surface = {"cmap": "viridis", "norm": Normalize(0, CLIP), "rcount": 120, "ccount": 120, "linewidth": 0}
    ax.plot_surface(H, M, np.minimum(f, CLIP), alpha=0.85, antialiased=True, rasterized=True, **surface)
    for (x, y), value, colour, label in zip(branch_lines(products, h.max()), values, CURVES, CURVE_LABELS, strict=True):
        ax.plot(x, y, value + 0.02, color=colour, linewidth=2.2, label=label, zorder=5)
    ax.set(xlabel="$h$", ylabel="$m$", zlabel=r"$f(h, m)\ /\ \frac{1}{2}\|y_0\|^2$", zlim=(0, CLIP))
    ax.zaxis.labelpad = 8
    ax.view_init(elev=38, azim=-60)
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return fig


def plot_contours(h: np.ndarray, m: np.ndarray, f: np.ndarray, products: np.ndarray) -> Figure:
    """Draw the level sets of f (len(m), len(h)), in units of 1/2 ‖y‖², with the predicted branches over them."""
    fig, ax = canvas(size=(6.0, 5.2))
    filled = ax.contourf(h, m, np.minimum(f, CLIP), levels=LEVELS, cmap="viridis", norm=BoundaryNorm(LEVELS, 256))
    filled.set_rasterized(True)
    ax.contour(h, m, f, levels=LEVELS, colors="white", linewidths=0.4).set_rasterized(True)
    for (x, y), colour, label in zip(branch_lines(products, h.max()), CURVES, CURVE_LABELS, strict=True):
        ax.plot(x, y, color="white", linewidth=4)
        ax.plot(x, y, color=colour, linewidth=2.2, linestyle="--", label=label)
    ax.set(xlabel="$h$", ylabel="$m$", aspect="equal", xlim=h[[0, -1]], ylim=m[[0, -1]])
    fig.colorbar(
        filled,
        label=r"$f(h, m)\ /\ \frac{1}{2}\|y_0\|^2$",
        shrink=0.85,
        ticks=(0, 0.25, 0.7, 0.9, 0.96, 0.99, 1.0, 1.3, 1.6),
        format="%g",
    )
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return fig


def plot_branches(widths: np.ndarray, products: np.ndarray, expected: np.ndarray) -> Figure:
    """Draw measured branch positions (len(widths), networks, 4) against inner width, with the predicted ones."""
    fig, ax = canvas(size=(6.0, 3.8))
    for k, (colour, label) in enumerate(zip(CURVES, CURVE_LABELS, strict=True)):
        low, middle, high = np.quantile(products[..., k], (0.1, 0.5, 0.9), axis=1)
        ax.fill_between(widths, low, high, color=colour, alpha=0.2, linewidth=0)
        ax.plot(widths, middle, "o-", color=colour, label=label, markersize=4)
        ax.axhline(expected[k], color=colour, linestyle=":", linewidth=1.2)
    ax.set(xlabel="inner width $n_1 = p_1$", ylabel=r"$|h m|$ on the branch", xscale="log", yscale="log")
    ax.set_xticks(widths, [str(width) for width in widths])
    ax.minorticks_off()
    ax.set_yticks([0.1, 0.2, 0.3, 0.5, 1.0], ["0.1", "0.2", "0.3", "0.5", "1"])
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return fig


def plot_extrapolation(
    widths: np.ndarray, mean: np.ndarray, error: np.ndarray, lines: np.ndarray, expected: np.ndarray
) -> Figure:
    """Draw mean positions and heights of the branches against one over the width, and the lines fitted to them.

    mean and error, with one standard error, are (len(widths), 2, 4), lines (slope and value at zero, 2, 4), expected (2, 4).
    """
    fig, axes = canvas(1, 2, size=(6.4, 3.8))
    for q, (ax, label) in enumerate(zip(axes, (r"$|h m|$", r"$f\ /\ \frac{1}{2}\|y_0\|^2$"), strict=True)):
        x = np.linspace(0, 1.05 / widths[0], 2)
        for k in range(1, 4):
            ax.errorbar(1 / widths, mean[:, q, k], error[:, q, k], fmt="o", color=CURVES[k], markersize=4, capsize=2)
            ax.plot(x, lines[1, q, k] + lines[0, q, k] * x, color=CURVES[k], label=CURVE_LABELS[k])
            ax.plot(0, expected[q, k], "*", color=CURVES[k], markersize=13, markeredgecolor="white", clip_on=False, zorder=5)
        ax.set(xlabel="1 / inner width", xlim=(0, x[1]), title=label)
        ax.set_xticks([0, *1 / widths], ["0", *(f"1/{width}" for width in widths)], rotation=45)
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return fig


def interactive_surface(h: np.ndarray, m: np.ndarray, f: np.ndarray, products: np.ndarray) -> Any:
    """Return a plotly figure of the same surface, to be turned by hand; the branches lie on it, not at their heights."""
    from plotly import graph_objects as go

    ramp = {"cmin": 0, "cmax": CLIP, "colorscale": "Viridis", "opacity": 0.92, "colorbar": {"len": 0.6, "thickness": 12}}
    names = ("global curve", "−ρ h₀", "−ρ m₀", "−ρ h₀, −ρ m₀")
    fig = go.Figure(go.Surface(x=h, y=m, z=np.minimum(f, CLIP).round(4), name="f", **ramp))
    height = RegularGridInterpolator((m, h), np.minimum(f, CLIP))
    for (x, y), colour, name in zip(branch_lines(products, h.max()), CURVES, names, strict=True):
        line = {"color": colour, "width": 7}
        z = height(np.stack([y, x], -1)) + 0.02
        fig.add_scatter3d(x=x[::2], y=y[::2], z=z[::2].round(4), mode="lines", line=line, name=name)
    scene = {"xaxis_title": "h", "yaxis_title": "m", "zaxis_title": "f / ½‖y₀‖²", "zaxis_range": (0, CLIP)}
    fig.update_layout(
        scene=scene | {"camera_eye": {"x": 0.9, "y": -1.1, "z": 1.6}, "aspectratio": {"x": 1, "y": 1, "z": 0.7}},
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        legend={"orientation": "h", "y": 0, "font": {"color": GREY}},
        paper_bgcolor="rgba(0,0,0,0)",
        font={"color": GREY},
    )
    return fig
