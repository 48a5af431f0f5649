"""The book as one PDF, `_build/demod.pdf`: a title page, the contents, and every page that is read from end to end.

The pages of the reference and the listings of source code are not among them: they are looked things up in, and searched.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from sphinx_external_toc.parsing import parse_toc_yaml

from demod.artifacts import atomic_path, read_json
from demod_book.build.build import last_build
from demod_book.build.folders import BuildError, Layout
from demod_book.pages.page import short_commit
from demod_book.pages.reference import INTRODUCTION
from demod_book.paper.browser import launched
from demod_book.paper.joining import Bookmark, join, place_name
from demod_book.paper.printing import Printed, print_page, print_text

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FRONT = "front"  # the name of the place of the title page
LARGEST = 25e6  # bytes
Track = Callable[[Sequence[tuple[str]]], Iterable[tuple[str]]]


@dataclass(frozen=True)
class Part:
    """A part of the book: its caption, empty for what stands before the first, and its pages as paths in the book."""

    caption: str
    pages: tuple[str, ...]


@dataclass(frozen=True)
class About:
    """What the title page says of the book: its title, its author, and what it was made from."""

    title: str
    author: str
    made: str


def parts(layout: Layout) -> list[Part]:
    """Return the parts of the book in reading order, without the reference."""
    toc = parse_toc_yaml(layout.root / "_toc.yml")
    found = [Part("", (f"{toc.root.docname}.html",))]
    for tree in toc.root.subtrees:
        names = [str(name) for name in tree.items if str(name) != INTRODUCTION]
        found.append(Part(tree.caption or "", tuple(f"{name}.html" for name in names)))
    return [part for part in found if part.pages]


def make_pdf(layout: Layout, program: str, track: Track = iter) -> Path:
    """Print the built book with the browser `program` into `_build/demod.pdf` and return that path.

    Raises
    ------
    BuildError
        If there is no built book, something of it would be cut off or is not typeset, or the PDF is larger than it may be.
    """
    last_build(layout)  # refused before a browser is started
    with launched(program) as browser:
        printed = paper(layout, parts(layout), browser, track)
    if len(printed) > LARGEST:
        sizes = f"{len(printed) / 1e6:.0f} MB, at most {LARGEST / 1e6:.0f} are allowed"
        raise BuildError(f"the PDF has {sizes}; make figures smaller.")
    target = layout.products / "demod.pdf"
    with atomic_path(target) as temporary:
        temporary.write_bytes(printed)
    return target


def paper(layout: Layout, book: Sequence[Part], browser: "Browser", track: Track = iter) -> bytes:
    """Return the parts of the built book as one PDF, with a title page and the contents before them."""
    about, root = _about(layout, last_build(layout)), f"{layout.html.as_uri()}/"
    paths = [path for part in book for path in part.pages]
    pages = [print_page(browser, layout.html, path, paths) for (path,) in track([(path,) for path in paths])]
    titles, sheets = {page.path: page.title for page in pages}, [len(page.sheets) for page in pages]

    style = (layout.html / "_static/paper.css").read_text(encoding="utf-8")

    def front(first: Mapping[str, int]) -> Printed:
        return Printed.of_text(FRONT, print_text(browser, _front(about, book, titles, first, root), style))

    before = len(front(dict.fromkeys(paths, 0)).sheets)
    whole = [front({path: 1 + before + sum(sheets[:k]) for k, path in enumerate(paths)}), *pages]
    running = print_text(browser, _running([page.title for page in whole for _ in page.sheets]), style)
    information = {"/Title": about.title, "/Author": about.author, "/Subject": about.made}
    return join(whole, _bookmarks(book, pages), running, root=root, information=information)


def _about(layout: Layout, card: Mapping[str, Any]) -> About:
    config = yaml.safe_load((layout.root / "_config.yml").read_text(encoding="utf-8-sig"))
    made = ""
    if card["chapters"]:
        record = read_json(layout.numbers / f"{card['chapters'][0]}.json")
        version, commit = record["versions"]["demod"], short_commit(record["commit"])
        made = f"Version {version}, {commit}; profile {card['profile']}, seed {card['seed']}, {record['device']}."
    return About(str(config.get("title", "")), str(config.get("author", "")), made)


def _bookmarks(book: Sequence[Part], pages: Sequence[Printed]) -> list[Bookmark]:
    """Return a bookmark for each part, below it its pages, below them their sections."""
    printed = {page.path: page for page in pages}
    found = [Bookmark("Title and contents", FRONT)]
    for part in book:
        below = [_page_bookmark(printed[path]) for path in part.pages]
        found += [Bookmark(part.caption, below[0].place, tuple(below))] if part.caption else below
    return found


def _page_bookmark(page: Printed) -> Bookmark:
    sections = (Bookmark(section.title, place_name(page.path, section.name)) for section in page.sections)
    return Bookmark(page.title, place_name(page.path), tuple(sections))


def _front(about: About, book: Sequence[Part], titles: Mapping[str, str], first: Mapping[str, int], root: str) -> str:
    """Return the title page and the contents in HTML; `first` has the number of the first sheet of each page."""
    title, _, subtitle = about.title.partition(": ")
    lines = []
    for part in book:
        lines += [f"<h3>{escape(part.caption)}</h3>"] if part.caption else []
        for path in part.pages:
            words = f"<span>{escape(titles[path])}</span><b></b><span>{first[path]}</span>"
            lines.append(f'<a class="line" href="{escape(root + path)}">{words}</a>')
    head = f"<h1>{escape(title)}</h1><p>{escape(subtitle)}</p><p>{escape(about.author)}</p>"
    page = f'<div class="title">{head}<p class="facts">{escape(about.made)}</p></div>'
    return "".join([page, "<h2>Contents</h2>", *lines])


def _running(heads: Sequence[str]) -> str:
    """Return a sheet in HTML for each of `heads`, with that title at the top and its number at the foot, the first bare."""
    sheets = [
        f'<div class="sheet"><span>{escape(head)}</span><b>{number if number > 1 else ""}</b></div>'
        for number, head in enumerate(heads, 1)
    ]
    return "".join(sheets)
