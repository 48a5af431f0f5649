"""A page of the built book on paper: Chromium prints it, once assets/print.js has made it ready."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pypdf import PageObject, PdfReader

from demod_book.build.folders import BuildError

if TYPE_CHECKING:
    from playwright.sync_api import Browser

WIDTH, HEIGHT = 665, 971  # of the text on A4 within the margins of assets/print.css, in pixels of 1/96 inch
PATIENCE = 180_000  # milliseconds: a surface drawn by software on two busy cores takes a minute
DRAWN = "() => !document.querySelector('.plotly-graph-div:not(:has(.main-svg))')"


@dataclass(frozen=True)
class Section:
    """A section of a page: its title and the name of its place."""

    title: str
    name: str


@dataclass(frozen=True)
class Printed:
    """A page on paper: its path in the book, its title, its sections, the names of its places, and the PDF."""

    path: str
    title: str
    sections: tuple[Section, ...]
    names: frozenset[str]
    pdf: bytes

    @classmethod
    def of_text(cls, path: str, pdf: bytes) -> "Printed":
        """Return what was printed for the book on paper alone, under a name of its own."""
        return cls(path, "", (), frozenset(), pdf)

    @cached_property
    def reader(self) -> PdfReader:
        """What reads the PDF."""
        return PdfReader(BytesIO(self.pdf))

    @property
    def sheets(self) -> Sequence[PageObject]:
        """The sheets of paper, in order."""
        return self.reader.pages


def print_page(browser: "Browser", html: Path, path: str, printed: Sequence[str]) -> Printed:
    """Print the page `path` of the book in `html`; its links to the pages `printed` stay links.

    Raises
    ------
    BuildError
        If something of the page would be cut off, or a formula is not typeset.
    """
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light", reduced_motion="reduce")
    try:
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.emulate_media(media="print")
        page.goto((html / path).as_uri())
        page.wait_for_function(DRAWN)
        page.add_script_tag(path=html / "_static/print.js")
        found = page.evaluate("pages => prepare(pages)", {"root": f"{html.as_uri()}/", "printed": list(printed)})
        if found["faults"]:
            problems = "\n".join(f"{path}: {fault}." for fault in found["faults"][:10])
            raise BuildError(f"the book cannot be printed; correct this and build it again:\n{problems}")
        pdf = page.pdf(prefer_css_page_size=True, print_background=True)
    finally:
        context.close()
    sections = tuple(Section(**section) for section in found["sections"])
    return Printed(path, found["title"], sections, frozenset(found["names"]), pdf)


def print_text(browser: "Browser", body: str, style: str) -> bytes:
    """Return what is written for the book on paper alone, in HTML and CSS, as a PDF."""
    page: Any = browser.new_page()
    try:
        page.set_content(f'<!doctype html><html lang="en"><style>{style}</style><body>{body}</body></html>')
        return page.pdf(prefer_css_page_size=True, print_background=True)
    finally:
        page.close()
