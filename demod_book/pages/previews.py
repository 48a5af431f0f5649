"""What a link shows before it is followed: each page carries the previews of its own links, cut from the pages they lead to.

They are made from the finished HTML, stand in `<template>` elements, which a browser does not show, and hold no links and
no ids; `assets/previews.js` shows them. So they need neither a network nor another file, and work from file://, too.
"""

import copy
import re
from functools import cache
from html import escape
from os.path import relpath
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag

END = "</body>"
NEEDLESS = "script, style, button, iframe, .headerlink, .demod-banner, .backrefs, .viewcode-link, mjx-container"
FORGOTTEN = ("id", "name", "tabindex", "role", "loading", "aria-label", "aria-describedby", "open", "style")
LISTING = ("_static", "_modules")
LONGEST = 6000  # characters of a preview: more would be a page


def add_previews(folder: Path) -> None:
    """Write into each page of the book in `folder` the previews of the links in its text."""
    pages = [path for path in sorted(folder.rglob("*.html")) if not set(LISTING) & set(path.parts)]
    excerpts = Excerpts()
    for path in pages:
        found = {link: excerpts.show(path, link) for link in _links(excerpts.article(path))}
        made = [f'<template data-preview="{escape(link)}">{shown}</template>' for link, shown in found.items() if shown]
        if made:
            content = path.read_text(encoding="utf-8")
            before, end, after = content.rpartition(END)
            path.write_text("\n".join([before, *made, end + after]), encoding="utf-8")


def _links(article: Tag | None) -> list[str]:
    """Return the addresses, each once, that the links in an article give and that stay in the book."""
    tags = article.select("a[href]:not(.headerlink):not([download])") if article else []
    shown = [str(tag["href"]) for tag in tags if tag.get_text(strip=True) and not tag.find_parent(class_="toctree-wrapper")]
    return [link for link in dict.fromkeys(shown) if not (urlsplit(link).scheme or urlsplit(link).netloc)]


class Excerpts:
    """The pages of a book, parsed once each, and what a preview takes from them."""

    def __init__(self) -> None:
        """Begin with no page read."""
        self.article = cache(_article)

    def show(self, page: Path, link: str) -> str:
        """Return the preview of `link` on `page`, in HTML; empty if there is nothing to show."""
        parts = urlsplit(link)
        path = (page.parent / unquote(parts.path)).resolve() if parts.path else page.resolve()
        if path.suffix != ".html" or not path.is_file() or not (article := self.article(path)):
            return ""
        anchor = unquote(parts.fragment)
        target = article.find(id=anchor) if anchor else article.find("h1")
        excerpt = _excerpt(target) if isinstance(target, Tag) else []
        shown = "".join(str(_bare(part, path, page)) for part in excerpt)
        return shown if len(shown) <= LONGEST else ""


def _article(path: Path) -> Tag | None:
    content = path.read_text(encoding="utf-8")
    return BeautifulSoup(content, "html.parser").select_one("article")


def _excerpt(target: Tag) -> list[Tag]:
    """Return what shows the place `target`: a statement, a figure, a claim, a work, a name; else how its section begins."""
    classes = target.get_attribute_list("class")
    if whole := target if target.name == "figure" else target.find_parent("figure"):
        return [whole]
    if statement := target.find_parent(class_="proof") if target.name == "p" else None:
        return [statement]
    if {"proof", "demod-equation", "citation"} & set(classes):
        return [target]
    if "demod-claim" in classes:
        return list(target.find_all("p", limit=2))  # the verdict, the statement
    if target.name == "dt":
        said = target.find_next_sibling("dd")
        return [target, *(said.find_all("p", limit=1) if said else [])]
    section = target if target.name == "section" else target.find_parent("section")
    if not section:
        return []
    heading = section.find(re.compile(r"^h[1-6]$"))
    paragraph = next((p for p in section.find_all("p") if not p.find_parent(class_="admonition")), None)
    return [part for part in (heading, paragraph) if isinstance(part, Tag)]


def _bare(part: Tag, path: Path, page: Path) -> Tag:
    """Return a copy of `part` of `path` without what cannot be used twice or reached in a preview, for use on `page`."""
    bare = copy.copy(part)
    for tag in bare.select(NEEDLESS):
        tag.decompose()
    for tag in [bare, *bare.find_all(True)]:
        for name in FORGOTTEN:
            tag.attrs.pop(name, None)
        if tag.name in ("a", "summary", "details") or re.fullmatch(r"h\d", tag.name):
            tag.name = {"a": "span"}.get(tag.name, "p" if tag.name.startswith("h") else "div")
            tag.attrs = {"class": "demod-preview-title"} if tag.name == "p" else {}
        if "src" in tag.attrs and not urlsplit(str(tag["src"])).scheme:
            tag["src"] = relpath((path.parent / str(tag["src"])).resolve(), page.resolve().parent)
    return bare
