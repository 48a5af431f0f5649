"""What pages are written in, MyST Markdown: tables, and boxes with a class of assets/demod.css."""

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a vertical bar in a cell must be escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def box(css: str, *blocks: str, name: str = "") -> str:
    """Return `blocks` of Markdown in a division of the class `css`; a link to #`name` leads to it."""
    return "\n\n".join([_opened("div", css, name), *blocks, "</div>"])


def fold(css: str, summary: str, *blocks: str, name: str = "") -> str:
    """Return `blocks` folded under the line `summary`, in a box of the class `css`; a link to #`name` leads to it."""
    return "\n\n".join([f"{_opened('details', css, name)}<summary>", summary, "</summary>", *blocks, "</details>"])


def _opened(tag: str, css: str, name: str) -> str:
    anchor = f' id="{name}"' if name else ""
    return f'<{tag} class="{css}"{anchor}>'
