"""The folder that jupyter-book reads: today's prose with the outputs of the accepted runs, and all files a page needs.

In the prose `<!-- figures -->` stands for the table of all figures, `<!-- verdicts -->` for those of all claims, and
`<!-- claim L4 -->` for a link to where that claim is judged. Every page of a chapter begins, under its title, with a box
that says how it was made and what the `full` profile would change. Nothing refers to another host: MathJax and plotly.js
come from their Python packages.
"""

import shutil
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from demod.artifacts import read_json, write_json
from demod.book.gallery import figure_table
from demod.book.layout import BuildError, Layout, fresh_folder
from demod.book.notebooks import Cell, Notebook, code_cells, read_notebook, text
from demod.book.verdicts import claim_links, read_verdicts, verdict_tables

FIGURES_HERE, VERDICTS_HERE = "<!-- figures -->", "<!-- verdicts -->"
MATHJAX = ("tex-chtml.js", "a11y", "input", "output", "sre", "ui")


def stage(layout: Layout) -> Path:
    """Fill `layout.stage` from the sources, the executed notebooks and the figures; return it."""
    folder = fresh_folder(layout.stage)
    write_config(layout.root / "_config.yml", folder / "_config.yml")
    for name in ("_toc.yml", "references.bib", "assets"):
        _copy(layout.root / name, folder / name)
    notebooks = layout.notebooks()
    verdicts = read_verdicts(layout.numbers, list(notebooks))
    marks = {FIGURES_HERE: figure_table(layout.figures, notebooks), VERDICTS_HERE: verdict_tables(verdicts, notebooks)}
    marks |= claim_links(verdicts, notebooks)
    for page in layout.pages():
        source, target = (base / f"{page}.md" for base in (layout.root, folder))
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(insert(marks, source.read_text(encoding="utf-8")), encoding="utf-8")
    for slug, path in notebooks.items():
        target = folder / path.relative_to(layout.root)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_json(target, page_of(slug, read_notebook(path), layout, marks))
    _copy_offline(layout, folder / "extra")
    return folder


def insert(marks: dict[str, str], prose: str) -> str:
    """Return `prose` with each mark, a key of `marks`, replaced by what it stands for."""
    for mark, meaning in marks.items():
        prose = prose.replace(mark, meaning)
    return prose


def page_of(slug: str, notebook: Notebook, layout: Layout, marks: dict[str, str]) -> Notebook:
    """Return `notebook` with the outputs of its accepted run, the box under its title, and what its marks stand for."""
    add_outputs(notebook, read_notebook(layout.executed / f"{slug}.ipynb"))
    record, card = read_json(layout.numbers / f"{slug}.json"), read_json(layout.executed / f"{slug}.json")
    add_banner(notebook, banner(record, card["seconds"]))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = insert(marks, text(cell))
    return notebook


def add_outputs(notebook: Notebook, executed: Notebook) -> None:
    """Give the code cells of `notebook` the outputs of the same cells of `executed`."""
    for (_, cell), (_, done) in zip(code_cells(notebook), code_cells(executed), strict=True):
        cell["outputs"], cell["execution_count"] = done["outputs"], done["execution_count"]
        _set_width(cell)
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


def banner(record: dict[str, Any], seconds: float) -> str:
    """Return the box of a page, in MyST: profile, seconds, device, data, and what `full` would change."""
    where = f"{record['device']}, seed {record['seed']}"
    lines = [f"Made with the `{record['profile']}` profile in {seconds:.0f} s on: {where}."]
    if record["data"]:
        lines.append(f"Data: {'; '.join(record['data'])}.")
    changes = [f"{name} {_show(pair['quick'])} → {_show(pair['full'])}" for name, pair in record["choices"].items()]
    if record["profile"] == "quick":
        lines.append(f"`full` would change: {', '.join(changes)}." if changes else "`full` would change nothing.")
    return "\n".join([":::{admonition} How this page was made", ":class: note demod-banner", *lines, ":::"])


def _show(value: Any) -> str:
    return ", ".join(map(_show, value)).join("()") if isinstance(value, list) else str(value)


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
    config = yaml.safe_load(source.read_text(encoding="utf-8"))
    if config.get("repository", {}).get("url"):
        config["html"] |= {"use_repository_button": True, "use_issues_button": True}
        config["launch_buttons"] = {
            "notebook_interface": "jupyterlab",
            "binderhub_url": "https://mybinder.org",
            "colab_url": "https://colab.research.google.com",
        }
    target.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _copy(source: Path, target: Path) -> None:
    """Copy a file or a folder, if it is there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.is_file():
        shutil.copyfile(source, target)


def _copy_offline(layout: Layout, extra: Path) -> None:
    """Fill the folder whose contents go to the root of the book: the figures, MathJax and plotly.js."""
    for slug in layout.notebooks():
        _copy(layout.figures / slug, extra / "figures" / slug)
    mathjax = Path(str(distribution("sphinx-mathjax-offline").locate_file("sphinx-mathjax-offline/static/mathjax")))
    for name in MATHJAX:
        _copy(mathjax / name, extra / "mathjax" / name)
    _copy(Path(str(files("plotly"))) / "package_data" / "plotly.min.js", extra / "plotly.min.js")
