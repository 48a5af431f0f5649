"""What the prose of a chapter refers to: its works and marks. And what it must not say: the words of the template."""

import re

from demod_book.build.folders import Layout
from demod_book.build.notebooks import Notebook, read_notebook
from demod_book.pages.plain import CITED
from demod_book.pages.stage import MARK, marks

CITE = re.compile(r"\{cite(?::\w+)?\}`([^`]+)`")
KEY = re.compile(r"^\s*@\w+\s*\{\s*([^,\s]+)", re.MULTILINE)
SENTENCE = re.compile(r"(?<=[.?!:])\s+")
TELLING = 25  # characters: what is shorter, or a heading, an author may well say himself


def check_prose(layout: Layout, slugs: list[str]) -> list[str]:
    """Return what the prose of the chapters `slugs`, which have run, names that is not there, and what is the template's."""
    paths = layout.notebooks()
    ran = {slug: path for slug, path in paths.items() if (layout.numbers / f"{slug}.json").is_file()}
    meanings, later = marks(layout, ran), tuple(f"<!-- {slug}." for slug in paths.keys() - ran.keys())  # known once they ran
    bibliography, template = layout.root / "references.bib", layout.root / "templates/chapter.ipynb"
    works = set(KEY.findall(bibliography.read_text(encoding="utf-8"))) if bibliography.is_file() else set()
    foreign = _sentences("\n\n".join(_texts(read_notebook(template)))) if template.is_file() else set()
    problems = []
    for slug in slugs:
        prose = "\n\n".join(_texts(read_notebook(paths[slug])))
        cited = [re.sub(r"\{.*?\}", "", key).strip() for found in CITE.findall(prose) for key in found.split(",")]
        cited += [found["key"] for found in CITED.finditer(prose)]
        unknown = [mark for mark in MARK.findall(prose) if mark not in meanings and not mark.startswith(later)]
        found = [f"{key} is cited, but references.bib has no such work" for key in cited if key not in works]
        found += [f"{mark} stands for nothing; correct it, or record that number in its chapter" for mark in unknown]
        found += [f'"{words}" is what the template says; say what is so here' for words in _sentences(prose) & foreign]
        problems += [f"chapters/{slug}.ipynb: {problem}." for problem in dict.fromkeys(found)]
    return problems


def _texts(notebook: Notebook) -> list[str]:
    """Return all that a reader is told: the Markdown, the captions and the descriptions of figures."""
    prose = [cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
    return prose + [cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "") for cell in notebook["cells"]]


def _sentences(prose: str) -> set[str]:
    """Return the sentences that are no headings and long enough to be known again."""
    lines = [" ".join(block.split()) for block in prose.split("\n\n") if not block.startswith("##")]
    found = {sentence for line in lines for sentence in SENTENCE.split(line)}
    return {
        sentence for sentence in found if len(sentence) >= TELLING and not re.search(r"^\*\*.*\*\*$|^# |\{eval\}", sentence)
    }
