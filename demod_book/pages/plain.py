"""A chapter as it is taken from the book: plain Markdown with its numbers in place, which runs where it lies.

The chapters hold three things that only MyST knows: numbers, which the build has told; solutions, which unfold; and the tags
of captions. A link to the references becomes one to the work itself, any other link to a page of the book its words.
"""

import copy
import re
from pathlib import Path

from pybtex.database import parse_file

from demod_book.build.notebooks import Notebook, give_outputs
from demod_book.build.texts import insert_texts

SOLUTION = re.compile(r"^:::\{admonition\} (?P<title>.*)\n:class:.*\n(?P<body>(?:.*\n)*?):::$", re.MULTILINE)
CITED = re.compile(r"\[(?P<text>[^\]]+)\]\(references\.md#(?P<key>[\w:-]+)\)")
PAGE = re.compile(r"\[(?P<words>[^\]]+)\]\([\w-]+\.md(?:#[\w-]+)?\)")


def plain_copy(notebook: Notebook, executed: Notebook, works: dict[str, str], *, outputs: bool) -> Notebook:
    """Return a chapter as a copy in plain Markdown, with the numbers that `executed` told, and its outputs if asked for.

    works : the address of each work that is cited, by its key
    """
    plain = copy.deepcopy(notebook)
    insert_texts(plain, executed)
    for cell in plain["cells"]:
        cell["metadata"].pop("mystnb", None)
        if cell["cell_type"] == "markdown":
            cell["source"] = plain_text(cell["source"], works)
    if outputs:
        give_outputs(plain, executed)
    return plain


def plain_text(prose: str, works: dict[str, str]) -> str:
    """Return the prose of a chapter as plain Markdown."""
    prose = SOLUTION.sub(r"<details>\n<summary>\g<title></summary>\n\n\g<body>\n</details>", prose)
    return PAGE.sub(r"\g<words>", CITED.sub(lambda found: f"[{found['text']}]({works[found['key']]})", prose))


def addresses(bibliography: Path) -> dict[str, str]:
    """Return where the works of a bibliography are found, by key: the DOI, the number on arXiv, or the address."""
    found = {}
    for key, entry in parse_file(bibliography, "bibtex").entries.items():
        fields = entry.fields
        doi, number = fields.get("doi"), fields.get("eprint")
        found[key] = (
            f"https://doi.org/{doi}" if doi else f"https://arxiv.org/abs/{number}" if number else fields.get("url", "#")
        )
    return found
