"""What the rendered book must look like: whole, described, and at home on a machine without a network.

jupyter-book -W says nothing about tracebacks inside executed notebooks, about images in raw HTML, or about other hosts.
"""

import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from demod.artifacts import sha256
from demod_book.build.notebooks import TRACEBACK

CITATIONS = '<div role="list" class="citation-list">'
LARGEST = 60e6  # bytes of the whole book: it is carried about, and opened without a network
UNREAD = ("*.map", "*.ttf")  # under _static
ICONS = "fontawesome.js"
USED_ICON = re.compile(r"\bfa-([\w-]+)")
ICON = re.compile(r""""?([\w-]+)"?:\[\d+,\d+,\[[^\]]*\],"[0-9a-f]+",(?:"[^"]*"|\[[^\]]*\])\],?""")
IMAGE = re.compile(r"\b_images/[\w.-]+\.png")
CSS_URL = re.compile(r"""(?:url\(|@import)\s*["']?(?:https?:)?//[^"')]+""")


class Page(HTMLParser):
    """What a page links or loads from the book, which targets it has, and what is wrong with it on its own."""

    def __init__(self, path: Path) -> None:
        """Parse the file `path`."""
        super().__init__()
        self.path, self.targets = path, set[str]()
        self.links, self.problems = list[str](), list[str]()
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag loads, links or names."""
        values = {name: (value or "").strip() for name, value in attrs}
        self.targets |= {values[name] for name in ("id", "name") if name in values}
        if tag == "img" and not values.get("alt"):
            self.problems.append(f"the image {values.get('src', '')} has no alternative text")
        if "demod-interactive" in values.get("class", "").split() and not values.get("aria-label"):
            self.problems.append("an interactive figure has no alternative text: give its cell one under mystnb.image.alt")
        for address in filter(None, (values.get("href"), values.get("src"))):
            parts = urlsplit(address)
            if not (parts.scheme or parts.netloc):
                self.links.append(address)
            elif tag != "a" and parts.scheme != "data":
                self.problems.append(f"{address} is loaded from another host")

    def handle_data(self, data: str) -> None:
        """Look for tracebacks in the text."""
        if TRACEBACK in data:
            self.problems.append("there is a traceback in the text")


def drop_unread(folder: Path) -> None:
    """Remove what no browser reads of the theme: source maps, fonts that are there as woff2, too, translations, icons."""
    static = folder / "_static"
    for path in (path for pattern in UNREAD for path in static.rglob(pattern)):
        path.unlink()
    shutil.rmtree(static / "locales", ignore_errors=True)
    pages = [*folder.rglob("*.html"), *(path for path in static.rglob("*.js") if path.name != ICONS)]
    used = {name for path in pages for name in USED_ICON.findall(path.read_text(encoding="utf-8"))}
    for path in static.rglob(ICONS):  # two thousand icons, of which the pages show some twenty
        script = path.read_text(encoding="utf-8")
        path.write_text(ICON.sub(lambda found: found[0] if found[1] in used else "", script), encoding="utf-8")


def share_images(folder: Path) -> None:
    """Lead the pages to the files of the figures where `_images` has copies of them, megabytes, and remove the copies."""
    figures = {sha256(path): path.relative_to(folder).as_posix() for path in (folder / "figures").rglob("*.png")}
    copies = {f"_images/{path.name}": figures.get(sha256(path)) for path in (folder / "_images").glob("*.png")}
    instead = {copy: figure for copy, figure in copies.items() if figure}
    _rewrite(folder, lambda content: IMAGE.sub(lambda found: instead.get(found[0], found[0]), content))
    for copy in instead:
        (folder / copy).unlink()


def mend_roles(folder: Path) -> None:
    """Drop the role of a list from lists of citations, whose entries have another role than those of a list."""
    _rewrite(folder, lambda content: content.replace(CITATIONS, CITATIONS.replace(' role="list"', "")))


def _rewrite(folder: Path, change: Callable[[str], str]) -> None:
    for path in folder.rglob("*.html"):
        content = path.read_text(encoding="utf-8")
        if (changed := change(content)) != content:
            path.write_text(changed, encoding="utf-8")


def check_html(folder: Path, *, largest: float = LARGEST) -> list[str]:
    """Return what is wrong with the book in `folder`, one line a defect; it may have `largest` bytes."""
    written = (path for path in sorted(folder.rglob("*.html")) if "_static" not in path.parts)  # the theme's templates
    pages = {path.resolve(): Page(path) for path in written}
    found = [(page.path, problem) for page in pages.values() for problem in page.problems]
    found += [
        (page.path, problem) for page in pages.values() for link in page.links for problem in _check(link, page, pages)
    ]
    sheets = {path: CSS_URL.findall(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.css"))}
    found += [(path, f"{url} is loaded from another host") for path, urls in sheets.items() for url in urls]
    problems = [f"{path.relative_to(folder)}: {problem}" for path, problem in found]
    if (size := sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())) > largest:
        problems.append(f"the book has {size / 1e6:.0f} MB, at most {largest / 1e6:.0f} are allowed; make figures smaller.")
    return problems


def _check(link: str, page: Page, pages: dict[Path, Page]) -> list[str]:
    """Return what is wrong with a link inside the book."""
    parts = urlsplit(link)
    path = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path.resolve()
    path = path / "index.html" if path.is_dir() else path
    if not path.is_file():
        return [f"{link} leads to no file"]
    fragment = unquote(parts.fragment)
    lost = fragment and path in pages and fragment not in pages[path].targets
    return [f"{link} leads to no place on its page"] if lost else []
