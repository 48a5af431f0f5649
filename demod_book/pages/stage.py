"""The folder that jupyter-book reads: today's prose with the outputs of the accepted runs, and all files a page needs.

A comment in the prose is a mark and stands for what the build knows: `<!-- figures -->` for the index of all figures,
`<!-- verdicts -->` for the tables of all claims, `<!-- claim L4 -->` for a link to where that claim is judged,
`<!-- landscape.rho_2 -->` for a number of another chapter; `marks` lists them all. Every page of a chapter begins, under its
title, with a box that says how it was made, and ends with its provenance. Nothing refers to another host: MathJax and
plotly.js come from their Python packages.
"""

import html
import re
import shutil
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path

import yaml

from demod.artifacts import read_json, write_json
from demod_book.build.folders import BuildError, Layout, fresh_folder
from demod_book.build.launch import with_buttons
from demod_book.build.notebooks import Cell, Notebook, code_cells, read_notebook, text
from demod_book.expected.numbers import read_numbers
from demod_book.pages.citation import citation
from demod_book.pages.figures import figure_cards, paper_table, read_figures
from demod_book.pages.provenance import banner, footer
from demod_book.pages.reference import INTRODUCTION, module_table, reference_modules, reference_page, with_reference
from demod_book.pages.verdicts import claim_links, exceptions, read_verdicts, verdict_counts, verdict_tables

MARK = re.compile(r"<!--\s*[\w. -]+?\s*-->")
INTERACTIVE = '<div class="demod-interactive">'
MATHJAX = ("tex-chtml.js", "a11y", "input", "output", "sre", "ui")
SPOKEN = ("base.json", "en.json", "nemeth.json")  # what MathJax needs to read formulas aloud in the language of the book


def stage(layout: Layout) -> Path:
    """Fill `layout.stage` from the sources, the executed notebooks and the figures; return it."""
    folder = fresh_folder(layout.stage)
    write_config(layout.root / "_config.yml", folder / "_config.yml")
    for name in ("references.bib", "assets"):
        _copy(layout.root / name, folder / name)
    reference = reference_modules() if INTRODUCTION in layout.pages() else {}
    for name, sources in reference.items():
        _write(folder / "package" / f"{name}.md", reference_page(name, sources))
    toc = yaml.safe_load((layout.root / "_toc.yml").read_text(encoding="utf-8"))
    toc = with_reference(toc, [f"package/{name}" for name in reference])
    _write(folder / "_toc.yml", yaml.safe_dump(toc, sort_keys=False, allow_unicode=True))
    meanings = marks(layout)
    for page in layout.pages():
        source = layout.root / f"{page}.md"
        if source.is_file():
            _write(folder / f"{page}.md", insert(meanings, source.read_text(encoding="utf-8"), page))
    for slug, path in layout.notebooks().items():
        target = folder / path.relative_to(layout.root)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_json(target, page_of(slug, read_notebook(path), layout, meanings))
    _copy_offline(layout, folder / "extra")
    return folder


def marks(layout: Layout) -> dict[str, str]:
    """Return what each mark stands for, in MyST, on a page under chapters/."""
    notebooks = layout.notebooks()
    figures = read_figures(layout.figures, notebooks)
    sources = INTRODUCTION in layout.pages()
    verdicts = read_verdicts(layout.numbers, list(notebooks))
    cited = layout.root / "CITATION.cff"
    found = {
        "paper figures": paper_table(figures, sources=sources),
        "figures": figure_cards(figures, sources=sources),
        "figure count": str(len(figures)),
        "verdicts": verdict_tables(verdicts, notebooks),
        "verdict counts": verdict_counts(verdicts),
        "exceptions": exceptions(verdicts, notebooks),
        "modules": module_table(),
        "citation": citation(cited) if cited.is_file() else "",
    }
    for slug, numbers in read_numbers(layout.numbers, notebooks).items():
        found |= {f"{slug}.{name}": number["text"] for name, number in numbers.items()}
    return {f"<!-- {name} -->": meaning for name, meaning in found.items()} | claim_links(verdicts, notebooks)


def insert(marks: dict[str, str], prose: str, page: str) -> str:
    """Return `prose` of `page` with each mark, a key of `marks`, replaced by what it stands for.

    Raises
    ------
    BuildError
        If a comment looks like a mark but is none.
    """

    def meaning(found: re.Match[str]) -> str:
        if found[0] not in marks:
            raise BuildError(f"{page}: {found[0]} stands for nothing; correct it, or glue that number in its chapter.")
        return marks[found[0]]

    return MARK.sub(meaning, prose)


def page_of(slug: str, notebook: Notebook, layout: Layout, marks: dict[str, str]) -> Notebook:
    """Return `notebook` with the outputs of its accepted run, its box and its provenance, and what its marks stand for."""
    add_outputs(notebook, read_notebook(layout.executed / f"{slug}.ipynb"))
    record, card = read_json(layout.numbers / f"{slug}.json"), read_json(layout.executed / f"{slug}.json")
    add_banner(notebook, banner(record, card["seconds"]))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = insert(marks, text(cell), slug)
    end = {"cell_type": "markdown", "id": "provenance", "metadata": {}, "source": footer(record, card)}
    notebook["cells"].append(end)
    return notebook


def add_outputs(notebook: Notebook, executed: Notebook) -> None:
    """Give the code cells of `notebook` the outputs of the same cells of `executed`."""
    for (_, cell), (_, done) in zip(code_cells(notebook), code_cells(executed), strict=True):
        shown = [output for output in done["outputs"] if output.get("name") != "stderr"]  # progress bars: warnings fail
        cell["outputs"], cell["execution_count"] = shown, done["execution_count"]
        _set_width(cell)
        _describe(cell)
    notebook["cells"] = [part for cell in notebook["cells"] for part in _figure_apart(cell)]


def _figure_apart(cell: Cell) -> list[Cell]:
    """Return a cell with a captioned figure and boxes as two: MyST-NB would put the caption under every output."""
    boxes = [output for output in cell.get("outputs", ()) if "text/markdown" in output.get("data", {})]
    if not boxes or "figure" not in cell["metadata"].get("mystnb", {}):
        return [cell]
    drawing = {**cell, "outputs": [output for output in cell["outputs"] if output not in boxes]}
    below = {"cell_type": "code", "id": f"{cell['id']}-boxes", "metadata": {"tags": ["remove-input"]}, "source": "# boxes"}
    return [drawing, {**below, "execution_count": cell["execution_count"], "outputs": boxes}]


def _set_width(cell: Cell) -> None:
    """Show an image at the size it was drawn for, unless the cell says otherwise: 200 dpi are for sharp screens."""
    widths = [output.get("metadata", {}).get("image/png", {}).get("width") for output in cell["outputs"]]
    if width := next(filter(None, widths), None):
        cell["metadata"].setdefault("mystnb", {}).setdefault("image", {}).setdefault("width", f"{width}px")


def _describe(cell: Cell) -> None:
    """Give an interactive figure the alternative text of its cell, as images have it: MyST-NB passes over HTML."""
    alt = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")
    described = INTERACTIVE.replace(">", f' role="figure" aria-label="{html.escape(alt)}">')
    for output in cell["outputs"]:
        if "text/html" in output.get("data", {}):
            output["data"]["text/html"] = text(output["data"], "text/html").replace(INTERACTIVE, described)


def add_banner(notebook: Notebook, box: str) -> None:
    """Insert `box` under the title, the first line of a notebook that begins with "# "."""
    for cell in notebook["cells"]:
        lines = text(cell).split("\n")
        title = next((number for number, line in enumerate(lines) if line.startswith("# ")), None)
        if cell["cell_type"] == "markdown" and title is not None:
            cell["source"] = "\n".join([*lines[: title + 1], "", box, "", *lines[title + 1 :]])
            return
    raise BuildError('A chapter has no title; begin its first Markdown cell with "# ".')


def write_config(source: Path, target: Path) -> None:
    """Copy `_config.yml`, with launch and repository buttons if it names the repository."""
    config = with_buttons(yaml.safe_load(source.read_text(encoding="utf-8")))
    target.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def _copy(source: Path, target: Path) -> None:
    """Copy a file or a folder, if it is there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.is_file():
        shutil.copyfile(source, target)


def _copy_offline(layout: Layout, extra: Path) -> None:
    """Fill the folder whose contents go to the root of the book: notebooks, figures, MathJax and plotly.js."""
    for slug, path in layout.notebooks().items():
        _copy(path, extra / "notebooks" / path.name)
        _copy(layout.figures / slug, extra / "figures" / slug)
    mathjax = Path(str(distribution("sphinx-mathjax-offline").locate_file("sphinx-mathjax-offline/static/mathjax")))
    for name in MATHJAX:
        _copy(mathjax / name, extra / "mathjax" / name)
    for path in (extra / "mathjax" / "sre" / "mathmaps").iterdir():
        if path.name not in SPOKEN:
            path.unlink()
    _copy(Path(str(files("plotly"))) / "package_data" / "plotly.min.js", extra / "plotly.min.js")
