"""The index of all figures: what the paper calls it ↔ the regenerated figure ↔ chapter ↔ code ↔ cost ↔ how it was made.

Numbers come from the card that each figure left; caption, alternative text and code come from the notebook cell that drew
it. All links are those of a page that lies beside the chapters.
"""

import ast
import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from demod.artifacts import read_json
from demod.sources import imported_names
from demod_book.build.notebooks import Cell, Notebook, cell_code, code_cells, python_code, read_notebook, title
from demod_book.markdown import box, table
from demod_book.pages.page import short_commit

PAPER = re.compile(r"figure-(\d+[a-z]?)\b")
HEAD = ("the paper", "here", "chapter, code, cost and provenance")
FILES = {"svg": "SVG", "png": "PNG", "npz": "arrays"}
DRAWERS = "demod_book.figures"


@dataclass(frozen=True)
class Drawing:
    """How a notebook draws a figure: caption, label and alternative text of its cell, the modules that it calls."""

    caption: str
    label: str
    alt: str
    modules: tuple[str, ...]


@dataclass(frozen=True)
class Figure:
    """A figure that a chapter left, with its card, and how its notebook draws it."""

    card: dict[str, Any]
    drawing: Drawing
    notebook: Path

    @property
    def name(self) -> str:
        """What its files are called."""
        return self.card["figure"]

    @property
    def paper(self) -> str:
        """Which figure of the paper it is, as in "Figure 1a"; empty for a figure that the paper does not have."""
        found = PAPER.match(self.name)
        return f"Figure {found[1]}" if found else ""

    @property
    def caption(self) -> str:
        """The first sentence of its caption, fit for a table cell."""
        return (self.drawing.caption or self.name).split(". ")[0].rstrip(".").replace("|", r"\|") + "."

    def leads_to_place(self, shown: str) -> str:
        """Return `shown` as a link to where the figure stands in the book."""
        label = f"#{self.drawing.label}" if self.drawing.label else ""
        return f'<a href="{self.notebook.stem}.html{label}">{shown}</a>'

    def leads_to_file(self, ending: str, shown: str, said: str) -> str:
        """Return `shown` as a link to one of the figure's files, which is read aloud as `said`."""
        return f'<a href="{self._file(ending)}" aria-label="{self.name}: {said}">{shown}</a>'

    def picture(self) -> str:
        """Return the figure in small, as a link to where it stands."""
        alt = html.escape(self.drawing.alt)
        picture = f'<img class="demod-thumbnail" loading="lazy" src="{self._file("png")}" alt="{alt}">'
        return self.leads_to_place(picture)

    def facts(self, *, sources: bool) -> tuple[str, str, str]:
        """Return the modules that draw it, linked if the book shows their `sources`, its seconds, and what made it."""
        code = {name: f"<code>{name}</code>" for name in self.drawing.modules}
        if sources:
            code = {name: f'<a href="../_modules/{name.replace(".", "/")}.html">{text}</a>' for name, text in code.items()}
        made = "{profile}, {device}, seed {seed}, {commit}".format(**self.card | {"commit": short_commit(self.card["commit"])})
        card = self.leads_to_file("json", made, "provenance")
        return "<br>".join(code.values()), f"{self.card['seconds']:.1f} s", card

    def _file(self, ending: str) -> str:
        return f"../figures/{self.card['chapter']}/{self.name}.{ending}"


def collect_figures(folder: Path, notebooks: Mapping[str, Path]) -> list[Figure]:
    """Return the figures that lie in `folder`, one folder a chapter, in the order in which the chapters draw them.

    notebooks maps slug to notebook.
    """
    figures = []
    for slug, path in notebooks.items():
        drawn = drawings(read_notebook(path))
        cards = {card.stem: read_json(card) for card in sorted((folder / slug).glob("*.json"))}
        order = [*(name for name in drawn if name in cards), *(name for name in cards if name not in drawn)]
        figures += [Figure(cards[name], drawn.get(name, Drawing("", "", name, ())), path) for name in order]
    return figures


def paper_table(figures: list[Figure], *, sources: bool) -> str:
    """Return the table of the figures that the paper has too. sources says whether the book shows the code of `demod`."""
    rows = []
    for figure in figures:
        if figure.paper:
            made = (figure.leads_to_place(figure.card["chapter"]), *figure.facts(sources=sources))
            rows.append((f"**{figure.paper}**", f"{figure.picture()}<br>{figure.caption}", "<br>".join(made)))
    return box("demod-index", table(HEAD, rows))


def figure_cards(figures: list[Figure], *, sources: bool) -> str:
    """Return a card for every figure, by chapter."""
    parts = []
    for notebook, group in groupby(figures, key=lambda figure: figure.notebook):
        cards = [_card(figure, sources) for figure in group]
        parts += [f"### [{title(read_notebook(notebook))}]({notebook.name})", box("demod-cards", *cards)]
    return "\n\n".join(parts)


def _card(figure: Figure, sources: bool) -> str:
    named = not figure.paper or figure.caption.startswith(figure.paper)
    caption = figure.caption if named else f"**{figure.paper} of the paper.** {figure.caption}"
    facts = " · ".join((figure.leads_to_place("in its chapter"), *figure.facts(sources=sources)))
    links = " · ".join(figure.leads_to_file(ending, shown, shown) for ending, shown in FILES.items())
    return box("demod-card", figure.picture(), caption, f'<div class="demod-facts">{facts}<br>{links}</div>')


def drawings(notebook: Notebook) -> dict[str, Drawing]:
    """Return the figures that a notebook draws by a literal name, `chapter.figure(fig, "name", …)`, in order."""
    code = python_code(notebook)
    sources = _figure_functions(code)
    everything = tuple(sorted(imported_names(code, ("demod_book",)) & set(sources.values())))
    found = {}
    for _, cell in code_cells(notebook):
        tree = ast.parse(cell_code(cell))
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        modules = tuple(sorted({sources[name] for name in used & sources.keys()})) or everything
        found |= {name: _drawing(cell, name, modules) for name in _figure_names(tree)}
    return found


def _drawing(cell: Cell, name: str, modules: tuple[str, ...]) -> Drawing:
    settings = cell["metadata"].get("mystnb", {})
    figure, image = settings.get("figure", {}), settings.get("image", {})
    return Drawing(figure.get("caption", ""), figure.get("name", ""), image.get("alt", name), modules)


def _figure_functions(code: str) -> dict[str, str]:
    """Return what `code` imports from `demod_book.figures`, functions and modules: name to the module that draws."""
    found: dict[str, str] = {}
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(DRAWERS):
            whole = node.module == DRAWERS  # `from demod_book.figures import geometry`
            found |= {a.asname or a.name: f"{DRAWERS}.{a.name}" if whole else str(node.module) for a in node.names}
    return found


def _figure_names(tree: ast.AST) -> list[str]:
    calls = [(node.func, node.args) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    named = [args[1] for func, args in calls if isinstance(func, ast.Attribute) and func.attr == "figure" and len(args) > 1]
    return [argument.value for argument in named if isinstance(argument, ast.Constant) and isinstance(argument.value, str)]
