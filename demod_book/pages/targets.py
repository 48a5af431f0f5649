"""Where each statement of the paper, each of its figures and each claim stands in the book, and who treats it.

`chapters/paper` states what the paper states, each under an anchor; a figure stands where its chapter draws it, a claim
where it was measured. A book without one of these pages has no target for what would stand there.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from demod_book.build.folders import Layout
from demod_book.build.notebooks import read_notebook, title
from demod_book.claims.ledger import LEDGER
from demod_book.claims.stored import Judged
from demod_book.pages.figures import Figure
from demod_book.pages.mentions import CLAIM, STATEMENTS, mentions

PAPER = "chapters/paper"
PLAIN = re.compile(r"^```.*?^```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|<!--.*?-->|\]\([^)]*\)", re.DOTALL | re.MULTILINE)


def find_targets(layout: Layout, figures: list[Figure], judged: Mapping[str, Judged]) -> dict[str, str]:
    """Return where each name that prose may mention leads: name to "chapters/paper#theorem-1", without an ending."""
    notebooks = layout.notebooks()
    found = {name: f"{PAPER}#{anchor}" for name, anchor in STATEMENTS.items()} if PAPER in layout.pages() else {}
    for figure in figures:
        if figure.paper and (label := figure.label):
            place = f"{_page(layout, figure.notebook)}#{label}"
            found.setdefault(figure.paper, place)
            found.setdefault(figure.paper.rstrip("abcdefgh"), place)
    claims = {name: claim for name, claim in judged.items() if claim.chapter in notebooks}
    return found | {
        f"{CLAIM}{name}": f"{_page(layout, notebooks[claim.chapter])}#{LEDGER[name].anchor}"
        for name, claim in claims.items()
    }


def _page(layout: Layout, path: Path) -> str:
    return path.relative_to(layout.root).with_suffix("").as_posix()


def treating(notebooks: Mapping[str, Path]) -> dict[str, str]:
    """Return what `<!-- treats Theorem 1 -->` stands for, in MyST: the chapters that mention it, the claims about it."""
    mentioned = {path: _mentioned(path) for path in notebooks.values()}
    found = {}
    for name in STATEMENTS:
        chapters = [f"[{title(read_notebook(path))}]({path.name})" for path, names in mentioned.items() if name in names]
        about = [claim.id for claim in LEDGER.values() if name in {mention.name for mention in mentions(claim.place)}]
        claims = f"claim{'s' if len(about) > 1 else ''} {', '.join(about)}" if about else ""
        parts = [", ".join(chapters), claims]
        told = "; ".join(part for part in parts if part)
        found[f"treats {name}"] = f"*{_short(name)} in this book: {told or 'mentioned nowhere else'}.*"
    return found


def _short(name: str) -> str:
    """Return a name as prose has it."""
    return f"({name.split()[1]})" if name.startswith("equation") else name.removeprefix("assumption ")


def _mentioned(path: Path) -> set[str]:
    """Return what the Markdown of a notebook mentions."""
    prose = [cell["source"] for cell in read_notebook(path)["cells"] if cell["cell_type"] == "markdown"]
    return {mention.name for mention in mentions(PLAIN.sub(" ", "\n\n".join(prose)))}
