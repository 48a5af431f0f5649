"""A chapter in plain Markdown, as it is taken from the book: JupyterLab, Colab and every editor show it as it is meant.

MyST has roles, {name}`content`, and directives, fences that begin with {name}. In the copy each is what a reader of the page
sees of it: a citation with its link, a number, a name, a box, a solution to unfold. `$x$` stays; every notebook knows it.
"""

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from nbformat.v4 import new_markdown_cell
from pybtex.database import BibliographyData, Entry
from pylatexenc.latex2text import LatexNodes2Text

from demod_book.build.notebooks import Notebook

FENCE = re.compile(r"^(?P<indent> {0,3})(?P<fence>:{3,}|`{3,}|~{3,})(?P<rest>.*)$")
DIRECTIVE = re.compile(r"^\{(?P<name>[\w:.+-]+)\}\s*(?P<argument>.*)$")
OPTION = re.compile(r"^:(?P<key>[\w-]+):\s*(?P<value>.*)$")
CODE = r"(?:\{(?P<role>[\w:.+-]+)\})?(?P<ticks>`+)(?P<content>.+?)(?P=ticks)"
INLINE = re.compile(rf"{CODE}|(?P<mark><!--.*?-->)", re.DOTALL)
TITLED = re.compile(r"^(?P<title>.*?)\s*<(?P<target>[^<>]+)>$", re.DOTALL)
TARGET = re.compile(r"^\((?P<name>[^()\s]+)\)=\s*$", re.MULTILINE)
LABEL = re.compile(r"^(.*\$\$)[ ]*\([\w:.-]+\)[ ]*$", re.MULTILINE)
LINK = re.compile(r"(?<!!)\[(?P<text>[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*)\]\((?P<path>[^()\s:#]+)\.md(?P<anchor>#[^()\s]*)?\)")
NUMBERS = ("glue:text", "glue", "eval")  # the roles that stand for a number
PROOFS = ("prf:", "proof:")
CODE_BLOCKS = ("code", "code-block", "code-cell", "sourcecode")
NOTHING = ("bibliography", "include", "toctree", "contents", "tableofcontents")  # what only the book can show
LATEX = LatexNodes2Text()


class Position(NamedTuple):
    """Where in a notebook a number stands: in which cell, and which of its numbers it is, both counted from 0."""

    cell: int
    number: int


@dataclass(frozen=True)
class Book:
    """What a copy of a chapter takes from the book around it.

    Attributes
    ----------
    number : function
        From the content of a role that stands for a number, and its `Position`, to the number's text.
    works : BibliographyData
        What is cited.
    marks : mapping
        What the marks `<!-- name -->` stand for; of others nothing is left.
    references : mapping
        The words for a place that {ref}, {numref}, {eq} or {prf:ref} names, "(2)" or "Theorem 3".
    address : str
        Where the book is read, for links to its other pages; without one, the words of such a link are left.
    """

    number: Callable[[str, Position], str]
    works: BibliographyData = field(default_factory=BibliographyData)
    marks: Mapping[str, str] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)
    address: str = ""


def plain_notebook(notebook: Notebook, book: Book) -> Notebook:
    """Return a copy of `notebook` in plain Markdown; the captions of figures are cells of their own, below the figures."""
    plain = copy.deepcopy(notebook)
    plain["cells"] = []
    for index, cell in enumerate(copy.deepcopy(notebook["cells"])):
        text = partial(_text, book=book, numbers=_Numbers(book.number, index))
        settings = cell["metadata"].pop("mystnb", {})
        if cell["cell_type"] == "markdown":
            cell["source"] = text(cell["source"])
        for output in cell.get("outputs", ()):
            if "text/markdown" in (shown := output.get("data", {})):
                shown["text/markdown"] = text("".join(shown["text/markdown"]))
        plain["cells"].append(cell)
        if caption := settings.get("figure", {}).get("caption"):
            below = new_markdown_cell(f"*{_unstarred(text(caption))}*", id=f"{cell['id']}-caption"[-64:])
            plain["cells"].append(below)
    return plain


def plain_text(source: str, book: Book, cell: int = 0) -> str:
    """Return MyST Markdown as plain Markdown; `cell` is the number of the cell that it stands in."""
    return _text(source, book=book, numbers=_Numbers(book.number, cell))


class _Numbers:
    """Gives the numbers of a cell their positions, one after the other."""

    def __init__(self, number: Callable[[str, Position], str], cell: int) -> None:
        self.number, self.cell, self.count = number, cell, 0

    def __call__(self, content: str) -> str:
        self.count += 1
        return self.number(content, Position(self.cell, self.count - 1))


def _text(source: str, *, book: Book, numbers: _Numbers) -> str:
    """Return the blocks of `source`, directives as plain ones, fenced code as it is, the rest as prose."""
    written: list[str] = []
    prose: list[str] = []
    lines = iter(source.split("\n"))
    for line in lines:
        opening = FENCE.match(line)
        directive = DIRECTIVE.match(opening["rest"].strip()) if opening else None
        if opening is None or (directive is None and opening["fence"][0] == ":"):
            prose.append(line)
            continue
        written += [_prose("\n".join(prose), book, numbers)] if prose else []
        prose.clear()
        body, last = _body(lines, opening["fence"])
        written += [_directive(directive, body, book, numbers)] if directive else ["\n".join([line, *body, last])]
    return "\n".join(written + ([_prose("\n".join(prose), book, numbers)] if prose else []))


def _body(lines: Iterator[str], fence: str) -> tuple[list[str], str]:
    """Return the lines up to the one that closes `fence`, and that line; in a block of code inside, nothing closes it."""
    body, code = list[str](), ""
    for line in lines:
        found = FENCE.match(line)
        closes = found and not found["rest"].strip() and found["fence"].startswith(code or fence)
        if closes and not code:
            return body, line
        if closes:
            code = ""
        elif found and not code and fence[0] == ":" != found["fence"][0]:
            code = found["fence"]
        body.append(line)
    return body, fence


def _directive(found: re.Match[str], body: list[str], book: Book, numbers: _Numbers) -> str:
    """Return what a directive shows: a solution to unfold, a box as a quotation, a block of code, or its content."""
    name, argument = found["name"], found["argument"].strip()
    options: dict[str, str] = {}
    while body and (option := OPTION.match(body[0].strip())):
        options[option["key"]] = option["value"]
        body = body[1:]
    if name in NOTHING:
        return ""
    if name in CODE_BLOCKS or name == "mermaid":
        return "\n".join([f"```{argument or name * (name == 'mermaid')}", *body, "```"])
    if name == "math":
        return "\n".join(["$$", *([argument] if argument else []), *body, "$$"])
    title = _prose(argument, book, numbers)
    if name in ("image", "figure"):
        picture = f"![{options.get('alt', '')}]({argument})"
        caption = _text("\n".join(body).strip(), book=book, numbers=numbers)
        return f"{picture}\n\n*{_unstarred(caption)}*" if caption else picture
    text = _text("\n".join(body).strip("\n"), book=book, numbers=numbers)
    if name == "dropdown" or "dropdown" in options.get("class", "").split():
        return f"<details>\n<summary>{title or 'More'}</summary>\n\n{text}\n\n</details>"
    return _block(name, title, text)


def _block(name: str, title: str, text: str) -> str:
    if name.startswith(PROOFS):
        kind = name.partition(":")[2].capitalize()
        title = f"{kind} ({title})" if title else kind
    elif name.startswith("grid"):
        return "\n\n".join(part for part in (f"**{title}**" * name.endswith("card") if title else "", text) if part)
    elif not title:
        title = name.capitalize()
    return "\n".join(f"> {line}".rstrip() for line in [f"**{title}**", "", *text.split("\n")])


def _prose(source: str, book: Book, numbers: _Numbers) -> str:
    """Return prose with its roles, marks, targets and links as plain Markdown; code between backticks stays."""

    def meaning(found: re.Match[str]) -> str:
        if found["mark"]:
            return book.marks.get(found["mark"], "")
        if found["role"] is None:
            return found[0]
        return _role(found["role"], " ".join(found["content"].split()), book, numbers)

    text = TARGET.sub(r'<a id="\g<name>"></a>', LABEL.sub(r"\1", source))
    return INLINE.sub(meaning, LINK.sub(partial(_link, address=book.address), text))


def _role(role: str, content: str, book: Book, numbers: _Numbers) -> str:
    """Return what a role shows."""
    if role in NUMBERS:
        return numbers(content)
    if role.partition(":")[0] == "cite":
        return _citation(content, book.works, in_text=role != "cite:p")
    titled = TITLED.match(content)
    shown, target = (titled["title"], titled["target"]) if titled else (content, content)
    if role == "math":
        return f"${content}$"
    if role.partition(":")[0] == "py":
        short = target.rpartition(".")[2] if target.startswith("~") else target
        return f"`{titled['title'] if titled else short}`"
    return shown if titled or role in ("sub", "sup", "abbr", "term", "doc") else book.references.get(target, shown)


def _citation(content: str, works: BibliographyData, *, in_text: bool) -> str:
    """Return "Hand and Joshi (2019)", or "(Hand and Joshi, 2019)", each work with a link to where it is found."""
    cited = []
    for key in (key.strip() for key in content.split(",")):
        if key not in works.entries:
            raise ValueError(
                f"{key} is cited, but the bibliography has no such work; its keys are {', '.join(works.entries)}."
            )
        entry = works.entries[key]
        year = entry.fields.get("year", "n.d.")
        words, address = f"{_authors(entry)} ({year})" if in_text else f"{_authors(entry)}, {year}", _address(entry)
        cited.append(f"[{words}]({address})" if address else words)
    return "; ".join(cited) if in_text else f"({'; '.join(cited)})"


def _authors(entry: Entry) -> str:
    people = entry.persons.get("author") or entry.persons.get("editor") or []
    names = [LATEX.latex_to_text(" ".join([*person.prelast_names, *person.last_names])) for person in people]
    if len(names) > 2:
        return f"{names[0]} et al."
    return " and ".join(names) or LATEX.latex_to_text(entry.fields.get("title", ""))


def _address(entry: Entry) -> str:
    """Return where a work is found, by its DOI, its number on arXiv or its address; empty if nothing is known."""
    if doi := entry.fields.get("doi"):
        return f"https://doi.org/{doi}"
    if number := entry.fields.get("eprint"):
        return f"https://arxiv.org/abs/{number}"
    return entry.fields.get("url", "")


def _link(found: re.Match[str], address: str) -> str:
    """Return a link to a page of the book that is no notebook: to where the book is read, or its words alone."""
    if not address:
        return found["text"]
    return f"[{found['text']}]({address.rstrip('/')}/chapters/{found['path']}.html{found['anchor'] or ''})"


def _unstarred(caption: str) -> str:
    """Return a caption on one line that can stand between stars."""
    return " ".join(caption.split()).replace("*", "")
