"""The index of all figures: what the paper calls it ↔ the regenerated figure ↔ chapter ↔ code ↔ cost ↔ how it was made.

Numbers come from the card that each figure left; caption, alternative text and code come from the notebook cell that drew
it. Links are those of a page beside the chapters; `sources` says whether the book shows the code of the modules.
"""

import ast
import html
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from demod.artifacts import read_json
from demod_book.build.notebooks import Notebook, cell_code, code_cells, imported_as, python_code, read_notebook, title
from demod_book.build.texts import with_captions
from demod_book.markdown import box, table
from demod_book.pages.page import short_commit

PAPER = re.compile(r"figure-(\d+[a-z]?)\b")
HEAD = ("the paper", "here", "chapter, code, cost and provenance")
FILES = {"svg": "SVG", "png": "PNG", "npz": "arrays"}
DRAWERS = "demod_book.figures."


@dataclass(frozen=True)
class Drawing:
    """How a notebook draws a figure: what its cell tells MyST-NB of caption, label and text, the modules that it calls."""

    told: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    modules: tuple[str, ...] = ()


@dataclass(frozen=True)
class Figure:
    """A figure that a chapter left, `card` what vouches for it, with how its notebook draws it."""

    card: dict[str, Any]
    drawing: Drawing
    notebook: Path

    @property
    def paper(self) -> str:
        """Which figure of the paper it is, as in "Figure 1a"; empty for a figure that the paper does not have."""
        found = PAPER.match(self.card["figure"])
        return f"Figure {found[1]}" if found else ""

    @property
    def caption(self) -> str:
        """The first sentence of its caption, fit for a table cell."""
        caption = self.drawing.told.get("figure", {}).get("caption") or self.card["figure"]
        return caption.split(". ")[0].rstrip(".").replace("|", r"\|") + "."

    @property
    def picture(self) -> str:
        """The figure in small, a link to where it stands."""
        alt = html.escape(self.drawing.told.get("image", {}).get("alt", self.card["figure"]))
        return self.place(f'<img class="demod-thumbnail" loading="lazy" src="{self.address("png")}" alt="{alt}">')

    @property
    def label(self) -> str:
        """The anchor of the figure on the page of its chapter; empty if its cell gives it none."""
        return self.drawing.told.get("figure", {}).get("name", "")

    def place(self, shown: str) -> str:
        """Return `shown` as a link to where the figure stands in the book."""
        return f'<a href="{self.notebook.stem}.html{f"#{self.label}" if self.label else ""}">{shown}</a>'

    def address(self, ending: str) -> str:
        """Return the address of one of its files."""
        return f"../figures/{self.card['chapter']}/{self.card['figure']}.{ending}"

    def file(self, ending: str, shown: str, said: str) -> str:
        """Return `shown` as a link to one of its files, which is read aloud as `said`."""
        return f'<a href="{self.address(ending)}" aria-label="{self.card["figure"]}: {said}">{shown}</a>'

    def facts(self, place: str, sources: bool) -> tuple[str, ...]:
        """Return `place`, linked to where the figure stands, the modules that draw it, its seconds, and its card."""
        link = '<a href="../_modules/{path}.html"><code>{name}</code></a>' if sources else "<code>{name}</code>"
        code = [link.format(path=name.replace(".", "/"), name=name) for name in self.drawing.modules]
        made = "{profile}, {device}, seed {seed}, ".format(**self.card) + short_commit(self.card["commit"])
        seconds = f"{self.card['seconds']:.1f} s"
        return self.place(place), "<br>".join(code), seconds, self.file("json", made, "provenance")


def collect_figures(folder: Path, notebooks: Mapping[str, Path]) -> list[Figure]:
    """Return the figures in `folder`, one folder a chapter, in the order in which the chapters, by slug, draw them."""
    figures = []
    for slug, path in notebooks.items():
        cards = {card.stem: read_json(card) for card in sorted((folder / slug).glob("*.json"))}
        drawn = drawings(with_captions(read_notebook(path)))
        order = [name for name in drawn if name in cards] + [name for name in cards if name not in drawn]
        figures += [Figure(cards[name], drawn.get(name, Drawing()), path) for name in order]
    return figures


def figure_marks(figures: list[Figure], *, sources: bool) -> dict[str, str]:
    """Return what the marks in the prose that concern figures stand for, in MyST."""
    tables = {"paper figures": paper_table(figures, sources=sources), "figures": figure_cards(figures, sources=sources)}
    return tables | {"figure count": str(len(figures))}


def paper_table(figures: list[Figure], *, sources: bool) -> str:
    """Return the table of the figures that the paper has too."""
    rows = []
    for figure in (figure for figure in figures if figure.paper):
        facts = "<br>".join(figure.facts(figure.card["chapter"], sources))
        rows.append((f"**{figure.paper}**", f"{figure.picture}<br>{figure.caption}", facts))
    return box("demod-index", table(HEAD, rows))


def figure_cards(figures: list[Figure], *, sources: bool) -> str:
    """Return a box for every figure, by chapter."""
    parts = []
    for notebook, group in groupby(figures, key=lambda figure: figure.notebook):
        boxes = [_box(figure, sources) for figure in group]
        parts += [f"### [{title(read_notebook(notebook))}]({notebook.name})", box("demod-cards", *boxes)]
    return "\n\n".join(parts)


def _box(figure: Figure, sources: bool) -> str:
    named = not figure.paper or figure.caption.startswith(figure.paper)
    caption = figure.caption if named else f"**{figure.paper} of the paper.** {figure.caption}"
    facts = " · ".join(figure.facts("in its chapter", sources))
    files = " · ".join(figure.file(ending, shown, shown) for ending, shown in FILES.items())
    return box("demod-card", figure.picture, caption, f'<div class="demod-facts">{facts}<br>{files}</div>')


def drawings(notebook: Notebook) -> dict[str, Drawing]:
    """Return the figures that a notebook draws by a literal name, `chapter.figure(fig, "name", …)`, in order."""
    names, found = imported_as(ast.parse(python_code(notebook))).items(), dict[str, Drawing]()
    drawers = {name: ".".join(dotted.split(".")[:3]) for name, dotted in names if dotted.startswith(DRAWERS)}
    for _, cell in code_cells(notebook):
        nodes = list(ast.walk(ast.parse(cell_code(cell))))
        called = {drawers[node.id] for node in nodes if isinstance(node, ast.Name) and node.id in drawers}
        drawing = Drawing(cell["metadata"].get("mystnb", {}), tuple(sorted(called or set(drawers.values()))))
        found |= dict.fromkeys(drawn_names(nodes), drawing)
    return found


def drawn_names(nodes: Iterable[ast.AST]) -> list[str]:
    """Return the names of the figures that are drawn by `nodes`."""
    found = []
    for node in nodes:
        match node:
            case ast.Call(func=ast.Attribute(attr="figure"), args=[_, ast.Constant(value=str(name)), *_]):
                found.append(name)
    return found
