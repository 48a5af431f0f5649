"""What pages are written in, MyST Markdown: tables, and boxes with a class of assets/demod.css."""

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a vertical bar in a cell must be escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def box(css: str, *blocks: str, name: str = "") -> str:
    """Return `blocks` of Markdown in a division of the class `css`; a link to #`name` leads to it."""
    anchor = f' id="{name}"' if name else ""
    return "\n\n".join([f'<div class="{css}"{anchor}>', *blocks, "</div>"])


def fold(css: str, summary: str, *blocks: str, name: str = "") -> str:
    """Return `blocks` folded under the line `summary`, in a box of the class `css`; a link to #`name` leads to it."""
    anchor = f' id="{name}"' if name else ""
    return "\n\n".join([f'<details class="{css}"{anchor}><summary>', summary, "</summary>", *blocks, "</details>"])
