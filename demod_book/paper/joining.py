"""The printed pages as one PDF: bookmarks, named places, and links that lead to them.

A place is named as in the book: "chapters/landscape" is the beginning of a page, "chapters/landscape#figure-1" the element
with that id. Chromium notes the places of the elements of each page, and links to other pages as addresses of files; here
both become places of the whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from urllib.parse import unquote, urldefrag

from pypdf import PdfReader, PdfWriter
from pypdf.generic import (
    ArrayObject,
    DictionaryObject,
    Fit,
    FloatObject,
    IndirectObject,
    NameObject,
    NullObject,
    PdfObject,
    TextStringObject,
)

from demod_book.paper.printing import Printed


@dataclass(frozen=True)
class Bookmark:
    """An entry of the PDF's table of contents: its title, the name of its place, the entries below it."""

    title: str
    place: str
    below: tuple["Bookmark", ...] = ()


@dataclass(frozen=True)
class Place:
    """Where in the PDF something lies: the page, counted from 0, and the distance from its lower edge in points."""

    page: int
    top: float


def place_name(path: str, fragment: str = "") -> str:
    """Return the name of the place of the page `path`, as in "chapters/landscape.html", or of an element on it."""
    page = path.removesuffix(".html")
    return f"{page}#{fragment}" if fragment else page


def join(
    pages: Sequence[Printed],
    bookmarks: Sequence[Bookmark],
    running: bytes,
    *,
    root: str,
    information: Mapping[str, str],
) -> bytes:
    """Return the printed `pages` as one PDF.

    Parameters
    ----------
    pages : sequence of Printed
        In reading order.
    bookmarks : sequence of Bookmark
        Their places are those of `pages`.
    running : bytes
        A PDF of as many pages as the whole has, drawn over them: titles and page numbers.
    root : str
        The address under which the pages lie, with the slash at its end.
    information : mapping
        What the PDF says of itself: "/Title", "/Author", …
    """
    writer, places = PdfWriter(), dict[str, Place]()
    for printed in pages:
        places |= _append(writer, printed)
    owners = [page.path for page in pages for _ in page.sheets]
    for number, path in enumerate(owners):
        _lead(writer, number, path, root, places)
    for number, over in enumerate(PdfReader(BytesIO(running)).pages):
        writer.pages[number].merge_page(over)
        writer.pages[number].compress_content_streams()
    _name(writer, places)
    for bookmark in bookmarks:
        _bookmark(writer, bookmark, places)
    writer.add_metadata(dict(information))
    writer.root_object[NameObject("/Lang")] = TextStringObject("en")
    writer.root_object[NameObject("/PageMode")] = NameObject("/UseOutlines")
    writer.compress_identical_objects()
    joined = BytesIO()
    writer.write(joined)
    return joined.getvalue()


def _append(writer: PdfWriter, printed: Printed) -> dict[str, Place]:
    """Add the sheets of a page, and return its places by name."""
    before = len(writer.pages)
    for sheet in printed.sheets:
        writer.add_page(sheet)
    found = {place_name(printed.path): Place(before, float(printed.sheets[0].mediabox.top))}
    for key, destination in printed.reader.named_destinations.items():
        name, number = unquote(key.removeprefix("/")), printed.reader.get_destination_page_number(destination)
        if name in printed.names and number is not None:
            found[place_name(printed.path, name)] = Place(before + number, float(destination.top or 0))
    return found


def _lead(writer: PdfWriter, number: int, path: str, root: str, places: Mapping[str, Place]) -> None:
    """Have the links of the sheet `number`, of the page `path`, that lead into the book lead to the `places` of the PDF.

    One that leads to an element that is not printed leads to the beginning of its page.
    """
    for entry in writer.pages[number].get("/Annots", []):
        link = entry.get_object()
        address, fragment = urldefrag(str(link["/A"].get_object().get("/URI", "")) if "/A" in link else "")
        if "/Dest" in link:
            name = place_name(path, unquote(str(link.pop("/Dest")).removeprefix("/")))
        elif address.startswith(root):
            name = place_name(unquote(address.removeprefix(root)), unquote(fragment))
            del link["/A"]
        else:
            continue
        link[NameObject("/Dest")] = TextStringObject(name if name in places else name.partition("#")[0])


def _target(writer: PdfWriter, place: Place) -> ArrayObject:
    sheet = writer.pages[place.page].indirect_reference or NullObject()
    return ArrayObject([sheet, NameObject("/XYZ"), NullObject(), FloatObject(place.top), NullObject()])


def _name(writer: PdfWriter, places: Mapping[str, Place]) -> None:
    """Write the places into the tree of names, which is sorted."""
    entries: list[PdfObject] = []
    for name in sorted(places, key=lambda name: TextStringObject(name).get_encoded_bytes()):
        entries += [TextStringObject(name), _target(writer, places[name])]
    tree = DictionaryObject({NameObject("/Names"): ArrayObject(entries)})
    writer.root_object[NameObject("/Names")] = DictionaryObject({NameObject("/Dests"): writer._add_object(tree)})


def _bookmark(
    writer: PdfWriter, bookmark: Bookmark, places: Mapping[str, Place], parent: IndirectObject | None = None, depth: int = 0
) -> None:
    place = places.get(bookmark.place) or places[bookmark.place.partition("#")[0]]
    item = writer.add_outline_item(
        title=bookmark.title,
        page_number=place.page,
        parent=parent,
        fit=Fit.xyz(top=place.top),
        is_open=depth == 0,
    )
    for below in bookmark.below:
        _bookmark(writer, below, places, item, depth + 1)
