"""The list of all figures: what the paper calls it ↔ the regenerated figure ↔ chapter ↔ code ↔ cost.

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
from demod.book.ingredients import imported_names
from demod.book.notebooks import Cell, Notebook, code_cells, python_code, read_notebook, text

PAPER = re.compile(r"figure-(\d+[a-z]?)\b")
HEAD = "| figure | what it shows | chapter and code | seconds | profile |\n| --- | --- | --- | --- | --- |"


@dataclass(frozen=True)
class Drawing:
    """How a notebook draws a figure: the cell's caption and alternative text, the modules whose functions it calls."""

    caption: str
    alt: str
    modules: tuple[str, ...]


def figure_table(figures: Path, notebooks: dict[str, Path]) -> str:
    """Return the table of all figures in `figures`, one folder a chapter, in the order in which the chapters draw them.

    notebooks maps slug to notebook. The links are those of a page that lies beside the chapters.
    """
    rows = []
    for slug, path in notebooks.items():
        drawn = drawings(read_notebook(path))
        cards = {card.stem: read_json(card) for card in sorted((figures / slug).glob("*.json"))}
        for name in sorted(cards, key=lambda name: (list(drawn).index(name) if name in drawn else len(drawn), name)):
            rows.append(_row(cards[name], drawn.get(name, Drawing("", name, ())), path))
    return "\n".join([HEAD, *rows])


def _row(card: dict[str, Any], drawing: Drawing, notebook: Path) -> str:
    slug, name = card["chapter"], card["figure"]
    where = f"../figures/{slug}/{name}"
    picture = f'<a href="{where}.svg"><img class="demod-thumbnail" src="{where}.png" alt="{html.escape(drawing.alt)}"></a>'
    files = " · ".join(f'<a href="{where}.{ending}">{ending.upper()}</a>' for ending in ("svg", "png", "npz", "json"))
    paper = f"**Figure {found.group(1)} of the paper.** " if (found := PAPER.match(name)) else ""
    source = "<br>".join([f"[{slug}]({notebook.name})", *(f"`{module}`" for module in drawing.modules)])
    cells = (f"{picture}<br>{files}", paper + _first_sentence(drawing.caption or name), source)
    return f"| {' | '.join(cells)} | {card['seconds']:.1f} | {card['profile']} |"


def _first_sentence(caption: str) -> str:
    """Return the first sentence of a caption, fit for a table cell."""
    return caption.split(". ")[0].rstrip(".").replace("|", r"\|") + "."


def drawings(notebook: Notebook) -> dict[str, Drawing]:
    """Return the figures that a notebook draws by a literal name, `chapter.figure(fig, "name", …)`, in order."""
    code = python_code(notebook)
    sources = _figure_functions(code)
    everything = tuple(sorted(name for name in imported_names(code, "demod") if name in set(sources.values())))
    found = {}
    for _, cell in code_cells(notebook):
        tree = ast.parse(text(cell))
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        modules = tuple(sorted({sources[name] for name in used & sources.keys()})) or everything
        for name in _figure_names(tree):
            found[name] = _drawing(cell, name, modules)
    return found


def _drawing(cell: Cell, name: str, modules: tuple[str, ...]) -> Drawing:
    settings = cell["metadata"].get("mystnb", {})
    return Drawing(settings.get("figure", {}).get("caption", ""), settings.get("image", {}).get("alt", name), modules)


def _figure_functions(code: str) -> dict[str, str]:
    """Return the functions that `code` imports from `demod.figures`: name to module."""
    imports = [(node.module or "", node.names) for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
    inside = [(module, names) for module, names in imports if module.startswith("demod.figures")]
    return {alias.asname or alias.name: module for module, names in inside for alias in names}


def _figure_names(tree: ast.AST) -> list[str]:
    calls = [(node.func, node.args) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    named = [args[1] for func, args in calls if isinstance(func, ast.Attribute) and func.attr == "figure" and len(args) > 1]
    return [argument.value for argument in named if isinstance(argument, ast.Constant) and isinstance(argument.value, str)]
