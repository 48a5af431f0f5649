"""The folder that jupyter-book reads: today's prose with the outputs of the accepted runs, and all files a page needs.

A comment in the prose is a mark and stands for what the build knows: `<!-- figures -->` for the index of all figures,
`<!-- verdicts -->` for the tables of all claims, `<!-- claim L4 -->` for a link to where that claim is judged,
`<!-- landscape.rho_2 -->` for a number of another chapter; `marks` lists them all. Nothing refers to another host: MathJax
and plotly.js come from their Python packages.
"""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path

import yaml
from nbformat.v4 import new_markdown_cell

from demod.artifacts import read_json, write_json
from demod_book.build.folders import BuildError, Layout
from demod_book.build.launch import read_repository, with_buttons, with_copied_install
from demod_book.build.notebooks import Notebook, read_notebook
from demod_book.build.texts import insert_texts, with_captions
from demod_book.claims.stored import Judged
from demod_book.expected.numbers import read_numbers
from demod_book.pages.citation import citation
from demod_book.pages.figures import Figure, collect_figures, figure_marks
from demod_book.pages.graph import graph_mark
from demod_book.pages.linking import TARGETS
from demod_book.pages.live import weights_script
from demod_book.pages.page import add_banner, add_outputs, banner, fold_code, footer
from demod_book.pages.plain import CITED, addresses, plain_copy
from demod_book.pages.reference import INTRODUCTION, module_table, reference_modules, reference_page, with_reference
from demod_book.pages.targets import find_targets, treating
from demod_book.pages.verdicts import claim_boxes, read_verdicts, verdict_marks
from demod_book.pages.wheel import write_wheel

LIVE = "chapters/try"  # the page that computes
MARK = re.compile(r"<!--\s*[\w. -]+?\s*-->")
MATHJAX = ("tex-chtml.js", "a11y", "input", "output", "sre", "ui")
BUNDLED = tuple(f"input/{name}.js" for name in ("tex", "tex-base", "tex-full", "asciimath", "tex/extensions/all-packages"))
BUNDLED += ("output/chtml.js", "output/svg.js")  # tex-chtml.js has what of these the book needs
SPOKEN = ("base.json", "en.json", "nemeth.json")  # what MathJax needs to read formulas aloud in the language of the book


def stage(layout: Layout) -> Path:
    """Fill `layout.stage` from the sources, the executed notebooks and the figures; return it."""
    folder, notebooks, pages = layout.stage, layout.notebooks(), layout.pages()
    for old in (folder, layout.copies):
        shutil.rmtree(old, ignore_errors=True)
    left = _left(layout, notebooks)
    meanings, boxes = _meanings(layout, notebooks, left), claim_boxes(left.judged)
    reference = reference_modules() if INTRODUCTION in pages else {}
    written = {f"package/{name}.md": reference_page(name, sources) for name, sources in reference.items()}
    for page in (page for page in pages if (layout.root / f"{page}.md").is_file()):
        written[f"{page}.md"] = insert(meanings, (layout.root / f"{page}.md").read_text(encoding="utf-8"), page)
    toc, config = (yaml.safe_load((layout.root / name).read_text(encoding="utf-8")) for name in ("_toc.yml", "_config.yml"))
    for name, content in {"_toc.yml": with_reference(toc, list(reference)), "_config.yml": with_buttons(config)}.items():
        written[name] = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    for name, content in written.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    write_json(folder / TARGETS, left.targets)
    for slug, path in notebooks.items():
        write_json(folder / path.relative_to(layout.root), page_of(slug, layout, boxes, meanings))
    for name in ("references.bib", "assets", "ARCHITECTURE.md"):
        _copy(layout.root / name, folder / name)
    _copy_offline(layout, folder / "extra")
    return folder


@dataclass(frozen=True)
class Left:
    """What the chapters left: their figures, their judged claims, and where what prose may mention leads."""

    figures: list[Figure]
    judged: dict[str, Judged]
    targets: dict[str, str]


def _left(layout: Layout, notebooks: Mapping[str, Path]) -> Left:
    figures, judged = collect_figures(layout.figures, notebooks), read_verdicts(layout.numbers, list(notebooks))
    return Left(figures, judged, find_targets(layout, figures, judged))


def marks(layout: Layout, notebooks: Mapping[str, Path]) -> dict[str, str]:
    """Return what each mark stands for, in MyST, on a page under chapters/, where `notebooks` have run."""
    return _meanings(layout, notebooks, _left(layout, notebooks))


def _meanings(layout: Layout, notebooks: Mapping[str, Path], left: Left) -> dict[str, str]:
    cited = layout.root / "CITATION.cff"
    found = {"modules": module_table(), "citation": citation(cited) if cited.is_file() else ""}
    found |= figure_marks(left.figures, sources=INTRODUCTION in layout.pages())
    found |= verdict_marks(left.judged, notebooks) | treating(notebooks)
    found |= graph_mark(layout.root, left.targets, left.figures)
    for slug, numbers in read_numbers(layout.numbers, notebooks).items():
        found |= {f"{slug}.{name}": number["text"] for name, number in numbers.items()}
    return {f"<!-- {name} -->": meaning for name, meaning in found.items()}


def insert(marks: Mapping[str, str], prose: str, page: str) -> str:
    """Return `prose` of `page` with each mark, a key of `marks`, replaced; a comment that looks like one is a BuildError."""

    def meaning(found: re.Match[str]) -> str:
        if found[0] not in marks:
            raise BuildError(f"{page}: {found[0]} stands for nothing; correct it, or record that number in its chapter.")
        return marks[found[0]]

    return MARK.sub(meaning, prose)


def page_of(slug: str, layout: Layout, boxes: Mapping[str, str], marks: Mapping[str, str]) -> Notebook:
    """Return the notebook of a chapter as its page: with outputs, what its marks stand for, and how it was made."""
    notebook, executed = read_notebook(layout.notebooks()[slug]), read_notebook(layout.executed / f"{slug}.ipynb")
    record, card = read_json(layout.numbers / f"{slug}.json"), read_json(layout.executed / f"{slug}.json")
    insert_texts(notebook, executed)
    add_outputs(with_captions(notebook), executed, boxes)
    fold_code(notebook)
    add_banner(notebook, banner(record, card["seconds"]))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = CITED.sub(_cite, insert(marks, cell["source"], slug))
    notebook["cells"].append(new_markdown_cell(footer(record, card), id="provenance"))
    return notebook


def _cite(found: re.Match[str]) -> str:
    """Return the role for a work that the prose cites by a link to the references, as it reads everywhere else."""
    return f"{{cite:{'t' if found['text'].endswith(')') else 'alp'}}}`{found['key']}`"


def _copy_offline(layout: Layout, extra: Path) -> None:
    """Fill the folder whose contents go to the root of the book: notebooks, a wheel, figures, MathJax and plotly.js."""
    works, repository = addresses(layout.root / "references.bib"), read_repository(layout.root)
    for slug, path in layout.notebooks().items():
        source = with_copied_install(read_notebook(path), repository)
        executed = read_notebook(layout.executed / f"{slug}.ipynb")
        write_json(extra / "notebooks" / path.name, plain_copy(source, executed, works, outputs=False))
        write_json(layout.copies / path.name, plain_copy(source, executed, works, outputs=True))
        _copy(layout.figures / slug, extra / "figures" / slug)
    if layout.notebooks():
        write_wheel(extra / "notebooks")
    if LIVE in layout.pages():
        (extra / "live").mkdir(parents=True)
        (extra / "live/weights.js").write_text(weights_script(), encoding="ascii")
    mathjax = Path(str(distribution("sphinx-mathjax-offline").locate_file("sphinx-mathjax-offline/static/mathjax")))
    for name in MATHJAX:
        _copy(mathjax / name, extra / "mathjax" / name)
    shutil.rmtree(extra / "mathjax" / "output" / "svg")  # formulas are drawn with fonts
    for name in BUNDLED:
        (extra / "mathjax" / name).unlink()
    for path in (extra / "mathjax" / "sre" / "mathmaps").iterdir():
        if path.name not in SPOKEN:
            path.unlink()
    _copy(Path(str(files("plotly"))) / "package_data" / "plotly.min.js", extra / "plotly.min.js")


def _copy(source: Path, target: Path) -> None:
    """Copy a file or a folder, if it is there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.is_file():
        shutil.copyfile(source, target)
