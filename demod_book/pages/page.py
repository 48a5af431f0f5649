"""The page of a chapter: today's prose, the outputs of its accepted run, today's verdicts, and how it was made.

A page begins, under its title, with a box that says how it was made, and ends with the details. `record` is what the
chapter left among the numbers, `card` what the build knows of its run.
"""

import html
import re
from collections.abc import Mapping
from typing import Any

from nbformat.v4 import new_code_cell

from demod.data import MNIST_SHA256
from demod_book.build.folders import BuildError
from demod_book.build.notebooks import Cell, Notebook, code_cells, give_outputs
from demod_book.markdown import table

TITLE = re.compile(r"^# .*$", re.MULTILINE)
INTERACTIVE = '<div class="demod-interactive">'
CODE = ("demod", "code", "results/", "requirements.lock")  # how the ingredients begin that are code, or as good as code
FOLDED = {  # what a cell holds, by what its code calls
    r"^profile = ": "the parameters",
    r"^(import|from) ": "the set-up",
    r"\bchapter\.(figure|interactive)\(": "the figure",
    r"\bchapter\.claim\(": "the claim",
    r"\bMarkdown\(": "the table",
    r"\bnumber\.record\(": "numbers for the text",
}
HASH = 16  # digits shown; the whole hash stands in the files


def add_outputs(notebook: Notebook, executed: Notebook, boxes: Mapping[str, str]) -> None:
    """Give the code cells of `notebook` the outputs of the same cells of `executed`, claims as in `boxes`, by claim."""
    give_outputs(notebook, executed)
    for _, cell in code_cells(notebook):
        for output in cell["outputs"]:
            if name := output.get("metadata", {}).get("demod", {}).get("claim"):
                output["data"]["text/markdown"] = boxes[name]
        _describe(cell)
    notebook["cells"] = [part for cell in notebook["cells"] for part in _figure_apart(cell)]


def _describe(cell: Cell) -> None:
    """Show an image at the size it was drawn for (200 dpi are for sharp screens) unless the cell says otherwise.

    An interactive figure takes the alternative text of its cell, as images do: MyST-NB passes over HTML.
    """
    widths = [output.get("metadata", {}).get("image/png", {}).get("width") for output in cell["outputs"]]
    if width := next(filter(None, widths), None):
        cell["metadata"].setdefault("mystnb", {}).setdefault("image", {}).setdefault("width", f"{width}px")
    alt = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")
    described = INTERACTIVE.replace(">", f' role="figure" aria-label="{html.escape(alt)}">')
    for output in cell["outputs"]:
        if "text/html" in output.get("data", {}):
            output["data"]["text/html"] = "".join(output["data"]["text/html"]).replace(INTERACTIVE, described)


def _figure_apart(cell: Cell) -> list[Cell]:
    """Return a cell with a captioned figure and boxes as two: MyST-NB would put the caption under every output."""
    boxes = [output for output in cell.get("outputs", ()) if "text/markdown" in output.get("data", {})]
    if not boxes or "figure" not in cell["metadata"].get("mystnb", {}):
        return [cell]
    below = new_code_cell("# boxes", id=f"{cell['id']}-boxes", metadata={"tags": ["remove-input"]}, outputs=boxes)
    below["execution_count"] = cell["execution_count"]
    cell["outputs"] = [output for output in cell["outputs"] if output not in boxes]
    return [cell, below]


def purposes(code: str) -> list[str]:
    """Return what a cell of this code is for besides computing; a cell that only computes has no other purpose."""
    return [purpose for pattern, purpose in FOLDED.items() if re.search(pattern, code, re.MULTILINE)]


def fold_code(notebook: Notebook) -> None:
    """Fold the code that sets up, draws or records under a line that says which; what computes stays open."""
    for _, cell in code_cells(notebook):
        if held := purposes(cell["source"]):
            shown = held[0] if len(held) == 1 else f"{', '.join(held[:-1])} and {held[-1]}"
            cell["metadata"].setdefault("tags", []).append("hide-input")
            prompts = {"code_prompt_show": f"Code: {shown}", "code_prompt_hide": f"Code: {shown}"}
            cell["metadata"].setdefault("mystnb", {}).update(prompts)


def add_banner(notebook: Notebook, banner: str) -> None:
    """Insert `banner` under the title, the first line of a notebook that begins with "# "."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown" and TITLE.search(cell["source"]):
            cell["source"] = TITLE.sub(lambda title: f"{title[0]}\n\n{banner}\n", cell["source"], count=1)
            return
    raise BuildError('A chapter has no title; begin its first Markdown cell with "# ".')


def banner(record: Mapping[str, Any], seconds: float) -> str:
    """Return the box of a page, in MyST: profile, seconds, device, data, and what `full` would change."""
    where = f"{record['device']}, seed {record['seed']}"
    lines = [f"Made with the `{record['profile']}` profile in {seconds:.0f} s on: {where}."]
    if record["data"]:
        lines.append(f"Data: {'; '.join(record['data'])}.")
    changes = [f"{name} {_show(pair['quick'])} → {_show(pair['full'])}" for name, pair in record["choices"].items()]
    if record["profile"] == "quick":
        lines.append(f"`full` would change: {', '.join(changes)}." if changes else "`full` would change nothing.")
    return "\n".join([":::{admonition} How this page was made", ":class: note demod-banner", *lines, ":::"])


def footer(record: Mapping[str, Any], card: Mapping[str, Any]) -> str:
    """Return the end of a page, in MyST: its notebook to download, and from what, where and how the page was made."""
    slug, commit, seconds = record["chapter"], short_commit(record["commit"]), f"{card['seconds']:.0f} s"
    sizes = [f"{name} = {_show(pair[record['profile']])}" for name, pair in record["choices"].items()]
    mnist = MNIST_SHA256 if card["ingredients"].get("MNIST") == "at hand" else {}
    code = {name: value for name, value in sorted(card["ingredients"].items()) if name.startswith(CODE)}
    rows = {
        "commit": f"`{record['commit'] or commit}`",
        "parameters": f"`{', '.join(f'{name} = {card[name]}' for name in ('profile', 'device', 'seed'))}`",
        "sizes": "; ".join(sizes) or "none",
        "ran on": f"{record['device']}, in {seconds}",
        "versions": ", ".join(f"{name} {number}" for name, number in record["versions"].items()),
        "data": "<br>".join([*record["data"], *_hashes(mnist)]) or "none but random numbers",
        "weights": "<br>".join(_hashes(record["weights"])) or "none",
        "code": "<br>".join(_hashes(code)),
    }
    return "\n\n".join([
        "---",
        f'**Download this chapter:** <a href="../notebooks/{slug}.ipynb" download>the notebook, to be run</a> · '
        f'<a href="../_sources/chapters/{slug}.ipynb" download>with the outputs shown here</a>',
        f":::{{dropdown}} Provenance of this page: {commit}, `{record['profile']}`, {seconds}\n"
        ":class-container: demod-provenance",
        table(("what", "value"), rows.items()),
        "Hashes are the first digits of SHA-256. Every figure has a card of its own.\n:::",
    ])  # fmt: skip


def short_commit(commit: str | None) -> str:
    """Return a commit as a page names it."""
    if commit is None:
        return "an installed copy"
    if commit.startswith("unknown"):
        return "commit unknown"
    name, _, dirty = commit.partition("-")
    return f"commit {name[:7]}{' with changes' if dirty else ''}"


def _show(value: Any) -> str:
    if not isinstance(value, list):
        return str(value)
    shown = ", ".join(map(_show, value))
    return shown if len(value) == 1 else f"({shown})"  # (1) would be an equation


def _hashes(found: Mapping[str, str]) -> list[str]:
    return [f"{name}: `{value[:HASH]}`" for name, value in found.items()]
