"""The index of all figures: what the paper calls it ↔ the regenerated figure ↔ chapter ↔ code ↔ cost ↔ provenance.

Numbers come from the provenance that each figure left; caption, alternative text and code come from the notebook cell that
drew it.
"""

import ast
import html
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demod.artifacts import read_json
from demod.sources import imported_names
from demod_book.build.notebooks import Cell, Notebook, cell_code, code_cells, python_code, read_notebook, title

PAPER = re.compile(r"figure-(\d+[a-z]?)\b")
HEAD = "| the paper | here | chapter, code, cost and provenance |\n| --- | --- | --- |"
FILES = {"svg": "SVG", "png": "PNG", "npz": "arrays"}


@dataclass(frozen=True)
class Drawing:
    """How a notebook draws a figure: caption, label and alternative text of its cell, the modules that it calls."""

    caption: str
    label: str
    alt: str
    modules: tuple[str, ...]


@dataclass(frozen=True)
class Figure:
    """A figure that a chapter left, `card` its provenance, with how its notebook draws it."""

    card: dict[str, Any]
    drawing: Drawing
    notebook: Path

    @property
    def paper(self) -> str:
        """Which figure of the paper it is, as in "Figure 1a"; empty for a figure that the paper does not have."""
        found = PAPER.match(self.card["figure"])
        return f"Figure {found[1]}" if found else ""

    @property
    def place(self) -> str:
        """Where it stands in the book, seen from a page beside the chapters."""
        return f"{self.notebook.stem}.html" + (f"#{self.drawing.label}" if self.drawing.label else "")

    def file(self, ending: str) -> str:
        """Return the address of one of its files, seen from a page beside the chapters."""
        return f"../figures/{self.card['chapter']}/{self.card['figure']}.{ending}"


def read_figures(folder: Path, notebooks: dict[str, Path]) -> list[Figure]:
    """Return the figures that lie in `folder`, one folder a chapter, in the order in which the chapters draw them.

    notebooks maps slug to notebook.
    """
    figures = []
    for slug, path in notebooks.items():
        drawn = drawings(read_notebook(path))
        cards = {card.stem: read_json(card) for card in sorted((folder / slug).glob("*.json"))}
        for name in sorted(cards, key=lambda name: (list(drawn).index(name) if name in drawn else len(drawn), name)):
            figures.append(Figure(cards[name], drawn.get(name, Drawing("", "", name, ())), path))
    return figures


def paper_table(figures: list[Figure], *, sources: bool) -> str:
    """Return the table of the figures that the paper has too. sources says whether the book shows the code of `demod`."""
    rows = []
    for figure in figures:
        if figure.paper:
            here = f"{_picture(figure)}<br>{_first_sentence(figure.drawing.caption)}"
            chapter = f'<a href="{figure.place}">{figure.card["chapter"]}</a>'
            made = (chapter, _code(figure, sources), f"{figure.card['seconds']:.1f} s", _origin(figure))
            rows.append(f"| **{figure.paper}** | {here} | {'<br>'.join(made)} |")
    return "\n".join(['<div class="demod-index">', "", HEAD, *rows, "", "</div>"])


def figure_cards(figures: list[Figure], *, sources: bool) -> str:
    """Return a card for every figure, by chapter: the links are those of a page that lies beside the chapters."""
    parts = []
    for notebook in dict.fromkeys(figure.notebook for figure in figures):
        cards = [_card(figure, sources) for figure in figures if figure.notebook == notebook]
        parts += [f"### [{title(read_notebook(notebook))}]({notebook.name})", '<div class="demod-cards">', *cards, "</div>"]
    return "\n\n".join(parts)


def _card(figure: Figure, sources: bool) -> str:
    caption = _first_sentence(figure.drawing.caption or figure.card["figure"])
    if figure.paper and not caption.startswith(figure.paper):
        caption = f"**{figure.paper} of the paper.** {caption}"
    place = f'<a href="{figure.place}">in its chapter</a>'
    facts = f"{place} · {_code(figure, sources)} · {figure.card['seconds']:.1f} s · {_origin(figure)}"
    lines = [
        '<div class="demod-card">',
        _picture(figure),
        f"{caption}",
        f'<div class="demod-facts">{facts}<br>{_files(figure)}</div>',
    ]
    return "\n\n".join([*lines, "</div>"])


def _picture(figure: Figure) -> str:
    alt = html.escape(figure.drawing.alt)
    return (
        f'<a href="{figure.place}"><img class="demod-thumbnail" loading="lazy" src="{figure.file("png")}" alt="{alt}"></a>'
    )


def _files(figure: Figure) -> str:
    name = figure.card["figure"]
    links = [f'<a href="{figure.file(end)}" aria-label="{name}: {text}">{text}</a>' for end, text in FILES.items()]
    return " · ".join(links)


def _code(figure: Figure, sources: bool) -> str:
    """Return the modules that draw the figure, linked to their source if the book shows it."""
    links = {name: f"../_modules/{name.replace('.', '/')}.html" for name in figure.drawing.modules}
    shown = {name: f"<code>{name}</code>" for name in links}
    return "<br>".join(f'<a href="{links[name]}">{code}</a>' if sources else code for name, code in shown.items())


def _origin(figure: Figure) -> str:
    """Return what the figure was made with, linked to its provenance."""
    card = figure.card
    made = f"{card['profile']}, {card['device']}, seed {card['seed']}, {short_commit(card['commit'])}"
    return f'<a href="{figure.file("json")}" aria-label="{card["figure"]}: provenance">{made}</a>'


def short_commit(commit: str | None) -> str:
    """Return a commit as a page names it."""
    if commit is None:
        return "an installed copy"
    if commit.startswith("unknown"):
        return "commit unknown"
    name, _, dirty = commit.partition("-")
    return f"commit {name[:7]}{' with changes' if dirty else ''}"


def _first_sentence(caption: str) -> str:
    """Return the first sentence of a caption, fit for a table cell."""
    return caption.split(". ")[0].rstrip(".").replace("|", r"\|") + "."


def drawings(notebook: Notebook) -> dict[str, Drawing]:
    """Return the figures that a notebook draws by a literal name, `chapter.figure(fig, "name", …)`, in order."""
    code = python_code(notebook)
    sources = _figure_functions(code)
    everything = tuple(sorted(name for name in imported_names(code, ("demod_book",)) if name in set(sources.values())))
    found = {}
    for _, cell in code_cells(notebook):
        tree = ast.parse(cell_code(cell))
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        modules = tuple(sorted({sources[name] for name in used & sources.keys()})) or everything
        for name in _figure_names(tree):
            found[name] = _drawing(cell, name, modules)
    return found


def _drawing(cell: Cell, name: str, modules: tuple[str, ...]) -> Drawing:
    settings = cell["metadata"].get("mystnb", {})
    figure = settings.get("figure", {})
    return Drawing(figure.get("caption", ""), figure.get("name", ""), settings.get("image", {}).get("alt", name), modules)


def _figure_functions(code: str) -> dict[str, str]:
    """Return what `code` imports from `demod_book.figures`, functions and modules: name to the module that draws."""
    imports = [(node.module or "", node.names) for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
    found: dict[str, str] = {}
    for module, names in imports:
        if module.startswith("demod_book.figures"):
            whole = module == "demod_book.figures"  # `from demod_book.figures import geometry`
            found |= {a.asname or a.name: f"{module}.{a.name}" if whole else module for a in names}
    return found


def _figure_names(tree: ast.AST) -> list[str]:
    calls = [(node.func, node.args) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    named = [args[1] for func, args in calls if isinstance(func, ast.Attribute) and func.attr == "figure" and len(args) > 1]
    return [argument.value for argument in named if isinstance(argument, ast.Constant) and isinstance(argument.value, str)]
