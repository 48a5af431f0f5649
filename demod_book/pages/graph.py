"""What depends on what: claim → statement of the paper → condition → module → figure, as a picture and as a list.

Nothing of it is typed. A claim points to the statements that its place in the ledger names; a statement to the conditions,
and either to the modules whose docstrings name it; a module to the figures whose cells call it or use what others made
of it. Sections of the paper that are about one thing stand for it.
"""

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from demod_book.build.notebooks import Notebook, cell_code, code_cells, imported_as, python_code, read_notebook
from demod_book.claims.ledger import LEDGER
from demod_book.markdown import box
from demod_book.pages.figures import Figure, drawn_names
from demod_book.pages.layers import Layer, draw
from demod_book.pages.mentions import CLAIM, STATEMENTS, mentions
from demod_book.pages.reference import reference_modules

DEFINED = {"equation 5": "WDC", "equation 6": "joint-WDC", "equation 7": "joint-WDC"}  # by these equations
ASSUMED = tuple(name for name in STATEMENTS if name.startswith("assumption"))
CONDITIONS = {name: STATEMENTS[name] for name in ASSUMED} | {"WDC": "definition-wdc", "joint-WDC": "definition-joint-wdc"}
SECTIONS = {"Section 2": "Algorithm 1", "Section 4": "Figure 2"}  # what the whole section is about
SECTION = re.compile(r"Section \d(?![.\d])")
WDC = re.compile(r"\b(?:joint-)?WDC\b")
BLOCK = re.compile(r"^:::\{prf:\w+\}.*?\n:label: ([\w-]+)\n(.*?)^:::$", re.DOTALL | re.MULTILINE)
PAPER = "chapters/paper.md"


@dataclass
class Graph:
    """Five layers of nodes, name to where it leads ("" where nowhere), and the arrows between them."""

    layers: dict[str, dict[str, str]]
    arrows: set[tuple[str, str]] = field(default_factory=set)

    def point(self, start: str, ends: Iterable[str]) -> None:
        """Add arrows from `start` to those `ends` that are nodes."""
        known = {name for layer in self.layers.values() for name in layer}
        self.arrows |= {(start, end) for end in ends if end in known and end != start}


def dependency_graph(root: Path, targets: Mapping[str, str], figures: list[Figure]) -> Graph:
    """Return the graph of the book in `root`; links are those of a page beside the chapters, `targets` of `find_targets`."""
    address = {name: f"{page.removeprefix('chapters/')}.html#{anchor}" for name, page, anchor in _split(targets)}
    statements = [name for name in STATEMENTS if _node(name) not in CONDITIONS] + ["Figure 1", "Figure 2"]
    modules = reference_modules()
    graph = Graph({
        "Claims": {name: address.get(f"{CLAIM}{name}", "verdicts.html") for name in LEDGER},
        "Statements": {_node(name): address.get(name, "") for name in statements},
        "Conditions": {name: f"paper.html#{anchor}" for name, anchor in CONDITIONS.items()},
        "Modules": {f"demod.{name}": f"../package/{name}.html" for name in modules if name != "figures"},
        "Figures": {_figure(figure): f"{figure.notebook.stem}.html#{figure.label}" for figure in figures},
    })  # fmt: skip
    for claim in LEDGER.values():
        graph.point(claim.id, _named(claim.place))
    for label, text in BLOCK.findall((root / PAPER).read_text(encoding="utf-8")):
        for name in (name for name, anchor in STATEMENTS.items() if anchor == label):
            graph.point(_node(name), (end for end in _named(text) if end in CONDITIONS))
    for name, paths in modules.items():
        for start in _named("\n".join(_docstrings(paths))):
            graph.point(start, [f"demod.{name}"])
    for path in dict.fromkeys(figure.notebook for figure in figures):
        used = modules_behind(read_notebook(path))
        for figure in (figure for figure in figures if figure.notebook == path):
            for module in used.get(figure.card["figure"], ()):
                graph.point(module, [_figure(figure)])
    graph.layers["Modules"] = {
        name: link for name, link in graph.layers["Modules"].items() if any(name in arrow for arrow in graph.arrows)
    }
    return graph


def _split(targets: Mapping[str, str]) -> list[tuple[str, str, str]]:
    return [(name, *place.partition("#")[::2]) for name, place in targets.items()]


def _node(name: str) -> str:
    """Return the name of a statement, or of the condition that it is, as the graph shows it."""
    return DEFINED.get(name) or (f"({name.split()[1]})" if name.startswith("equation") else name)


def _figure(figure: Figure) -> str:
    return f"{figure.notebook.stem}: {figure.card['figure']}"


def _named(text: str) -> set[str]:
    """Return the nodes that a text names: statements and conditions, by their numbers, words or sections."""
    names = {_node(mention.name.rstrip("ab") if "Figure" in mention.name else mention.name) for mention in mentions(text)}
    sections = {SECTIONS[name] for name in SECTION.findall(text) if name in SECTIONS}
    return names | sections | set(WDC.findall(text))


def _docstrings(paths: list[Path]) -> list[str]:
    """Return all docstrings of the modules in `paths`."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = [node for path in paths for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    return [ast.get_docstring(node) or "" for node in nodes if isinstance(node, kinds)]


def modules_behind(notebook: Notebook) -> dict[str, set[str]]:
    """Return the families of `demod` behind each figure of a notebook: those called where it is drawn, or before for it."""
    imports = {name: dotted.split(".") for name, dotted in imported_as(ast.parse(python_code(notebook))).items()}
    family = {name: f"demod.{parts[1]}" for name, parts in imports.items() if parts[0] == "demod" and len(parts) > 1}
    statements = [node for _, cell in code_cells(notebook) for node in ast.parse(cell_code(cell)).body]
    found = {}
    for number, statement in enumerate(statements):
        for drawn in drawn_names(ast.walk(statement)):
            needed = _read(statement)
            for earlier in reversed(statements[:number]):
                if _written(earlier) & needed:
                    needed |= _read(earlier)
            found[drawn] = {family[name] for name in needed if name in family}
    return found


def _read(statement: ast.stmt) -> set[str]:
    names = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return names - {"chapter"}


def _written(statement: ast.stmt) -> set[str]:
    """Return the names that a statement assigns, or whose values it changes: ratios[depth] = …, spectra.append(…)."""
    found = set()
    for node in ast.walk(statement):
        match node:
            case (
                ast.Name(id=name, ctx=ast.Store())
                | ast.Subscript(value=ast.Name(id=name), ctx=ast.Store())
                | ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name))))
            ):
                found.add(name)
    return found - {"chapter"}


def graph_mark(root: Path, targets: Mapping[str, str], figures: list[Figure]) -> dict[str, str]:
    """Return what `<!-- dependency graph -->` stands for: the picture in a box that scrolls, and the same as a list."""
    if not (root / PAPER).is_file():
        return {}
    graph = dependency_graph(root, targets, figures)
    picture = draw([Layer(title, nodes) for title, nodes in graph.layers.items()], graph.arrows)
    head = '<div class="demod-graph" role="region" tabindex="0" aria-label="Graph; the same as a list stands below">'
    listed = f":::{{dropdown}} The same as a list\n{_list(graph)}\n:::"
    return {"dependency graph": f"{head}{picture}</div>\n\n{listed}"}


def _list(graph: Graph) -> str:
    """Return the graph as HTML: for each layer its nodes, for each of them, nested, what it points to, all as links."""
    links = {name: link for layer in graph.layers.values() for name, link in layer.items()}
    order = list(links)
    shown = {name: f'<a href="{link}">{escape(name)}</a>' if link else escape(name) for name, link in links.items()}
    parts = []
    for title, nodes in graph.layers.items():
        items = []
        for name in nodes:
            ends = sorted((end for start, end in graph.arrows if start == name), key=order.index)
            inner = f"<ul>{''.join(f'<li>{shown[end]}</li>' for end in ends)}</ul>" if ends else ""
            items.append(f"<li>{shown[name]}{inner}</li>")
        parts.append(f"<p><strong>{title}</strong></p><ul>{''.join(items)}</ul>")
    return box("demod-graph-list", "".join(parts)).replace("\n\n", "\n")
