"""A graph in layers as SVG: a column for each layer, each node a link, each arrow a curve from left to right.

Nodes of the first and the last column keep their order; those between are moved to the mean height of what they are tied
to, as far as their neighbours leave room.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from html import escape

ROW, TOP, GAP = 24, 40, 48  # pixels: of a row, above the rows, between columns
PAD, LETTER = 8, 5.9  # beside a word, and of a letter
PASSES = 8


@dataclass(frozen=True)
class Layer:
    """A column: its title, and its nodes, name to link ("" for none)."""

    title: str
    nodes: Mapping[str, str]

    @property
    def width(self) -> float:
        """The width of its longest name, or of its title."""
        return max(map(len, (*self.nodes, self.title)), default=0) * LETTER + 2 * PAD


def draw(layers: list[Layer], arrows: Collection[tuple[str, str]]) -> str:
    """Return the graph as SVG, without a blank line; what an arrow leads from and to, the nodes say in `data-to`."""
    rows = heights(layers, arrows)
    lefts = [sum(layer.width + GAP for layer in layers[:column]) for column in range(len(layers))]
    column = {name: number for number, layer in enumerate(layers) for name in layer.nodes}
    order = {name: number for number, name in enumerate(rows)}
    width = lefts[-1] + layers[-1].width
    height = TOP + ROW * (max(rows.values(), default=0) + 1)
    parts = [f'<svg width="{width:.0f}" height="{height:.0f}" role="group" aria-label="What depends on what">']
    for start, end in sorted(arrows, key=lambda arrow: (order[arrow[0]], order[arrow[1]])):
        x, y = lefts[column[start]] + layers[column[start]].width, _middle(rows[start])
        u, v = lefts[column[end]], _middle(rows[end])
        bend = (u - x) / 2
        curve = f"M{x:.0f} {y:.0f}C{x + bend:.0f} {y:.0f} {u - bend:.0f} {v:.0f} {u:.0f} {v:.0f}"
        parts.append(f'<path data-from="{order[start]}" data-to="{order[end]}" d="{curve}"/>')
    for layer, left in zip(layers, lefts, strict=True):
        parts.append(f'<text class="title" x="{left + PAD:.0f}" y="18">{escape(layer.title)}</text>')
        for name, link in layer.nodes.items():
            y = TOP + ROW * rows[name]
            shape = (
                f'<rect x="{left:.0f}" y="{y + 2:.0f}" width="{layer.width:.0f}" height="{ROW - 4}" rx="4"/>'
                f'<text x="{left + PAD:.0f}" y="{y + 16:.0f}">{escape(name)}</text>'
            )
            shown = f'<a href="{escape(link)}">{shape}</a>' if link else shape
            parts.append(f'<g data-node="{order[name]}">{shown}</g>')
    return "\n".join([*parts, "</svg>"])


def _middle(row: float) -> float:
    return TOP + ROW * (row + 0.5)


def heights(layers: list[Layer], arrows: Collection[tuple[str, str]]) -> dict[str, float]:
    """Return the row of each node: its number in the outer columns, near its neighbours in those between."""
    tied: dict[str, list[str]] = {name: [] for layer in layers for name in layer.nodes}
    for start, end in arrows:
        tied[start].append(end)
        tied[end].append(start)
    tallest = max((len(layer.nodes) for layer in layers), default=0)
    rows = {name: (k + 0.5) * tallest / len(layer.nodes) - 0.5 for layer in layers for k, name in enumerate(layer.nodes)}
    for _ in range(PASSES):
        for layer in layers[1:-1]:
            wanted = {name: _mean([rows[other] for other in tied[name]], rows[name]) for name in layer.nodes}
            rows |= _apart(wanted, tallest)
    return rows


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _apart(wanted: Mapping[str, float], tallest: int) -> dict[str, float]:
    """Return rows in the order of the `wanted` ones, at least 1 apart, from 0 to `tallest` - 1."""
    names = sorted(wanted, key=lambda name: wanted[name])
    rows, least = dict[str, float](), 0.0
    for name in names:
        rows[name] = max(wanted[name], least)
        least = rows[name] + 1
    most = float(max(tallest, len(names)) - 1)
    for name in reversed(names):
        rows[name] = min(rows[name], most)
        most = rows[name] - 1
    return rows
