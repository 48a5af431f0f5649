"""A Sphinx extension that makes every mention in the prose a link, where nothing else is one already.

`demod_book.pages.mentions` says what a mention is, the staged file `targets.json` where each of them leads. The sources stay
plain text. Code, formulas, headings, links and signatures are left alone, and so is what would lead to the very box that
it stands in. A mention of what does not exist is a warning, which names the page and fails the build.
"""

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.util import logging

from demod.artifacts import read_json
from demod_book.pages.mentions import CLAIM, mentions

TARGETS = "targets.json"
CODE = (nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.comment, addnodes.desc_signature)
LEFT_ALONE = (*CODE, nodes.title, nodes.reference, nodes.citation, nodes.rubric)
OPENED = re.compile(r"<(/?)(?:a|summary)\b", re.IGNORECASE)  # no link stands in another, nor in what folds a box
log = logging.getLogger(__name__)


def setup(app: Any) -> dict[str, Any]:
    """Register the extension."""
    targets: dict[str, str] = {}
    app.connect("builder-inited", lambda app: targets.update(_read(Path(app.srcdir) / TARGETS)))
    app.connect("doctree-resolved", lambda app, doctree, page: _link(app, doctree, page, targets))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _read(path: Path) -> dict[str, str]:
    """Return where mentions lead, page#anchor; nowhere if nobody said."""
    return read_json(path) if path.is_file() else {}


def _link(app: Any, doctree: nodes.document, page: str, targets: dict[str, str]) -> None:
    """Replace the mentions in the text of `page` by links to their targets."""
    opened = 0  # of what is written as HTML: a beginning, a text, an end
    for node in list(doctree.findall(lambda node: isinstance(node, nodes.Text | nodes.raw))):
        if isinstance(node, nodes.raw):
            opened += sum(-1 if closing else 1 for closing in OPENED.findall(node.astext()))
        elif isinstance(node.parent, nodes.raw) or opened or _within(node, LEFT_ALONE):
            continue
        elif pieces := _pieces(app, node, page, targets):
            node.parent.replace(node, pieces)


def _pieces(app: Any, text: nodes.Text, page: str, targets: dict[str, str]) -> list[nodes.Node]:
    """Return `text` in pieces, its mentions as links; nothing if it has none that lead anywhere."""
    pieces, done, written = list[nodes.Node](), 0, text.astext()
    for mention in mentions(written):
        if mention.problem:
            log.warning(f"“{written[mention.start : mention.end]}”: {mention.problem}", location=page)
        target, _, anchor = targets.get(mention.name, "").partition("#")
        heads_its_box = mention.name.startswith(CLAIM) and written[mention.end : mention.end + 1] == ":"
        if not target or (target == page and (heads_its_box or _within_anchor(text, anchor))):
            continue
        address = f"{app.builder.get_relative_uri(page, target)}#{anchor}"
        shown = written[mention.start : mention.end]
        link = nodes.reference("", shown, refuri=address, internal=True, classes=["demod-mention"])
        pieces += [nodes.Text(written[done : mention.start]), link]
        done = mention.end
    return [*pieces, nodes.Text(written[done:])] if pieces else []


def _within(node: nodes.Node, kinds: tuple[type, ...]) -> bool:
    return node is not None and (isinstance(node, kinds) or _within(node.parent, kinds))


def _within_anchor(node: nodes.Node, anchor: str) -> bool:
    inside = isinstance(node, nodes.Element) and anchor in node.get("ids", ())
    return node is not None and (inside or _within_anchor(node.parent, anchor))
