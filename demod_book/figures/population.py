"""Figures of the chapter on infinitely wide networks: convergence, ρ, the population landscape and its valley floor."""

from typing import Any

import numpy as np
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure

from demod_book.figures.style import BLACK, BLUE, CURVES, GREEN, GREY, ORANGE, VERMILION, canvas

LEVELS = (0.0, 0.1, 0.25, 0.5, 0.7, 0.85, 0.9, 0.93, 0.96, 0.98, 0.99, 1.0, 1.1, 1.3, 1.6, 2.0, 2.6)
ANGLES = ([0, np.pi / 4, np.pi / 2, 3 * np.pi / 4, np.pi], ["0", r"$\pi/4$", r"$\pi/2$", r"$3\pi/4$", r"$\pi$"])
STATIONARY = ((0, 1), (2, 3))  # the curves of style.CURVES with θ_m = 0 and with θ_m = π, each first at θ_h = 0


def plot_convergence(sizes: np.ndarray, errors: dict[str, np.ndarray], slopes: list[float], xlabel: str) -> Figure:
    """Draw errors (len(sizes), trials) on logarithmic axes, one colour per label, with lines of the given slopes."""
    fig, ax = canvas(size=(6.0, 3.6))
    for (label, values), slope, colour in zip(errors.items(), slopes, (BLUE, ORANGE, GREEN, VERMILION), strict=False):
        ax.plot(np.repeat(sizes, values.shape[1]), values.ravel(), ".", color=colour, alpha=0.35, markersize=4)
        middle = np.exp(np.log(values).mean(1))
        line = np.exp(np.log(middle).mean()) * (sizes / np.exp(np.log(sizes).mean())) ** slope
        ax.plot(sizes, line, color=colour, label=f"{label}: slope {slope:.2f}")
    ax.set(xlabel=xlabel, ylabel="error", xscale="log", yscale="log")
    ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
    ax.set_yticks(ticks := [0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0], [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
    fig.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return fig


def plot_contraction(depths: np.ndarray, rho: np.ndarray) -> Figure:
    """Draw ρ_d and 1 - ρ_d against the depth, the latter with its asymptote 9π²/(2d²)."""
    fig, (left, right) = canvas(1, 2, size=(6.4, 3.0))
    shown = depths <= 20
    left.plot(depths[shown], rho[shown], "o-", color=BLUE, markersize=4)
    left.axhline(1, color=BLACK, linestyle=":", linewidth=1)
    left.set(xlabel="depth $d$", ylabel=r"$\rho_d$", ylim=(0, 1.05), xticks=(2, 5, 10, 15, 20))
    right.loglog(depths, 1 - rho, "o-", color=BLUE, markersize=4, label=r"$1 - \rho_d$")
    right.loglog(depths, 9 * np.pi**2 / (2 * depths**2), color=BLACK, linestyle=":", label=r"$9\pi^2/(2d^2)$")
    right.set(xlabel="depth $d$")
    right.legend(frameon=False, fontsize=9)
    return fig


def plot_population(t: np.ndarray, theta: np.ndarray, f: np.ndarray, kappa: np.ndarray) -> Figure:
    """Draw f̄ (2, len(theta), len(t)) at θ_m = 0 and π over t and θ_h, with its valley floors κ (2, len(theta))."""
    fig, axes = canvas(1, 2, size=(6.6, 4.0), sharey=True)
    for ax, values, floor, curves, title in zip(axes, f, kappa, STATIONARY, ("0", r"\pi"), strict=True):
        filled = ax.contourf(t, theta, values, levels=LEVELS, cmap="viridis", norm=BoundaryNorm(LEVELS, 256), extend="max")
        filled.set_rasterized(True)
        ax.contour(t, theta, values, levels=LEVELS, colors="white", linewidths=0.4).set_rasterized(True)
        ax.plot(floor, theta, color="white", linestyle="--", linewidth=1.6)
        for curve, end in zip(curves, (0, -1), strict=True):
            ax.plot(floor[end], theta[end], "o", color=CURVES[curve], markeredgecolor="white", markersize=9, clip_on=False)
        ax.set(xlabel=r"$\|h\|\|m\|\ /\ \|h_0\|\|m_0\|$", title=rf"$\angle(m, m_0) = {title}$", xlim=t[[0, -1]])
        ax.title.set_fontsize(11)
    axes[0].set_ylabel(r"$\angle(h, h_0)$")
    axes[0].set_yticks(*ANGLES)
    fig.colorbar(filled, ax=axes, location="bottom", shrink=0.8, aspect=40, ticks=(0, 0.5, 0.9, 1, 1.6, 2.6), format="%g",
                 label=r"$\bar f$, in units of its value on $\mathcal{K}$")  # fmt: skip
    return fig


def plot_floor(delta: np.ndarray, rise: dict[int, np.ndarray]) -> Figure:
    """Draw κ - ρ_d at the angle π - δ from h0, one line per depth d, with a cubic beside them."""
    fig, ax = canvas(size=(6.0, 3.4))
    for (depth, values), colour in zip(rise.items(), (BLUE, ORANGE, GREEN), strict=True):
        ax.loglog(delta, values, color=colour, label=f"$d = {depth}$")
    ax.loglog(delta, delta**3 / 100, color=BLACK, linestyle=":", label=r"$\propto \delta^3$")
    ax.set(xlabel=r"$\delta = \pi - \angle(h, h_0)$", ylabel=r"$\cos\theta_d - \rho_d$")
    ax.legend(frameon=False, fontsize=9)
    return fig


def interactive_population(t: np.ndarray, theta: np.ndarray, theta_m: np.ndarray, f: np.ndarray, kappa: np.ndarray) -> Any:
    """Return a plotly surface of f̄ (len(theta_m), len(theta), len(t)) with a slider for θ_m and the floors drawn in."""
    from plotly import graph_objects as go

    ramp = {"cmin": 0, "cmax": 2, "colorscale": "Viridis", "opacity": 0.92, "colorbar": {"len": 0.6, "thickness": 12}}
    fig = go.Figure()
    for k, (values, floor) in enumerate(zip(f, kappa, strict=True)):
        fig.add_surface(x=t, y=theta, z=np.minimum(values, 2).round(4), visible=k == 0, name="f̄", **ramp)
        line = {"color": GREY, "width": 6}
        fig.add_scatter3d(x=floor, y=theta, z=1.02 - floor**2, mode="lines", line=line, visible=k == 0, name="valley floor")
    shown = [[index // 2 == k for index in range(2 * len(theta_m))] for k in range(len(theta_m))]
    steps = [
        {"method": "update", "label": f"{angle:.2f}", "args": [{"visible": mask}]}
        for angle, mask in zip(theta_m, shown, strict=True)
    ]
    scene = {"xaxis_title": "‖h‖‖m‖ / ‖h₀‖‖m₀‖", "yaxis_title": "∠(h, h₀)", "zaxis_title": "f̄", "zaxis_range": (0, 2)}
    fig.update_layout(
        scene=scene | {"camera_eye": {"x": 1.5, "y": -1.3, "z": 0.9}, "aspectratio": {"x": 1, "y": 1, "z": 0.7}},
        sliders=[{"steps": steps, "currentvalue": {"prefix": "∠(m, m₀) = "}, "pad": {"t": 10}}],
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        showlegend=False,
        paper_bgcolor="rgba(0,0,0,0)",
        font={"color": GREY},
    )
    return fig
