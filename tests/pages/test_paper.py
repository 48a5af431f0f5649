"""The book on paper: one PDF with bookmarks, links that lead somewhere, nothing beyond the edge and no formula left as TeX.

Three pages are printed in every run, all of them by night.
"""

import re
from io import BytesIO
from pathlib import Path

import pytest
from pypdf import PageObject, PdfReader

from demod_book.build.folders import BuildError, Layout
from demod_book.paper.book import LARGEST, Part, paper, parts
from demod_book.paper.printing import print_page

ROOT = Path(__file__).parents[2]
LAYOUT = Layout(ROOT)
FEW = [
    Part("", ("chapters/intro.html",)),
    Part("The theory", ("chapters/landscape.html",)),
    Part("This book", ("chapters/verdicts.html",)),
]
POINTS = 72 / 25.4  # in a millimetre
MARGIN = 17 * POINTS  # assets/print.css
RAW = re.compile(r"\\[()\[\]]|\$[^$\n]+\$|\\(?:frac|rho|theta|mathbb|tfrac)\b")


@pytest.fixture(scope="module", params=["few", pytest.param("all", marks=pytest.mark.nightly)])
def printed(request, html, browser) -> tuple[list[Part], bytes]:
    book = FEW if request.param == "few" else parts(LAYOUT)
    return book, paper(LAYOUT, book, browser)


@pytest.fixture(scope="module")
def reader(printed) -> PdfReader:
    return PdfReader(BytesIO(printed[1]))


def words(sheet: PageObject, *, code: bool = True) -> list[tuple[float, float, str]]:
    """Return the pieces of text of a sheet, each with where it begins, with or without those in the type of code."""
    found = []

    def visit(text, matrix, text_matrix, font, size):
        mono = re.search("Mono|Courier|Consol|Menlo", str((font or {}).get("/BaseFont", "")))
        if text.strip() and (code or not mono):
            x, y = text_matrix[4] * matrix[0] + matrix[4], text_matrix[5] * matrix[3] + matrix[5]
            found.append((x, y, text.strip()))

    sheet.extract_text(visitor_text=visit)
    return found


def bookmarks(reader: PdfReader, outline: list | None = None, depth: int = 0) -> list[tuple[int, str, int]]:
    """Return the bookmarks in order, each with its depth, its title and the sheet that it leads to."""
    found = []
    for entry in reader.outline if outline is None else outline:
        if isinstance(entry, list):
            found += bookmarks(reader, entry, depth + 1)
        else:
            found.append((depth, entry.title, reader.get_destination_page_number(entry)))
    return found


def test_every_part_and_every_page_has_a_bookmark_that_leads_to_its_title(printed, reader):
    book, _ = printed
    marks = bookmarks(reader)
    captions = [part.caption for part in book if part.caption]
    assert [title for depth, title, _ in marks if depth == 0][-len(captions) :] == captions
    for depth, path in [(bool(part.caption), path) for part in book for path in part.pages]:
        sheet = reader.get_destination_page_number(reader.named_destinations[path.removesuffix(".html")])
        (title,) = [title for at, title, there in marks if (at, there) == (depth, sheet) and title not in captions]
        text = " ".join(reader.pages[sheet].extract_text().split())
        assert title.split()[-1] in text[: 2 * len(title) + 40]


def test_every_link_leads_to_a_place_in_the_pdf_or_to_another_host(reader):
    inside = []
    for sheet in reader.pages:
        for link in (entry.get_object() for entry in sheet.get("/Annots", [])):
            if "/A" in link:
                assert link["/A"]["/URI"].startswith(("http://", "https://", "mailto:"))
            else:
                inside.append(link["/Dest"])
    assert [name for name in inside if name not in reader.named_destinations] == []
    assert "chapters/landscape#claim-f1" in inside  # from the verdicts
    assert "chapters/landscape" in inside  # from the contents


def test_a_link_to_an_element_leads_to_the_sheet_that_shows_it(reader):
    place = reader.named_destinations["chapters/landscape#claim-f1"]
    assert "Claim F1" in reader.pages[reader.get_destination_page_number(place)].extract_text()


def test_no_text_begins_beyond_the_margins(reader):
    for number, sheet in enumerate(reader.pages, 1):
        right = float(sheet.mediabox.width) - MARGIN
        assert [text for x, _, text in words(sheet) if not MARGIN - 2 < x < right] == [], number


def test_no_formula_is_left_as_tex(reader):
    prose = " ".join(text for sheet in reader.pages for _, _, text in words(sheet, code=False))
    assert RAW.findall(prose) == []


def test_every_sheet_after_the_title_has_its_number_at_the_foot(reader):
    for number, sheet in enumerate(reader.pages[1:], 2):
        foot = [text for _, y, text in words(sheet) if y < 15 * POINTS]
        assert foot[-1] == str(number)


def test_what_is_folded_on_a_page_is_open_on_paper(reader):
    text = " ".join(word for sheet in reader.pages for word in sheet.extract_text().split())
    assert "One wrong sign gives" in text  # a solution
    assert "requirements.lock" in text  # the provenance of the page


def test_a_figure_that_turns_is_on_paper_as_an_image(reader):
    text = " ".join(word for sheet in reader.pages for word in sheet.extract_text().split())
    assert "this figure can be turned" in text
    first = reader.get_destination_page_number(reader.named_destinations["chapters/landscape"])
    last = reader.get_destination_page_number(reader.named_destinations["chapters/landscape#exercises"])
    assert (
        sum(len(sheet.images) for sheet in reader.pages[first : last + 1]) == 5
    )  # Figures 1a and 1b, the surface, two more


def test_the_pdf_is_small_and_says_what_it_is(printed, reader):
    assert len(printed[1]) <= LARGEST
    assert reader.metadata.title.startswith("Global Guarantees for Blind Demodulation")
    assert reader.root_object["/Lang"] == "en"


# One page


@pytest.fixture(scope="module")
def loose(tmp_path_factory) -> Path:
    """A folder for pages that are written by hand, with what makes them ready."""
    folder = tmp_path_factory.mktemp("loose")
    (folder / "_static").mkdir()
    for name in ("print.js", "print.css"):
        (folder / "_static" / name).write_bytes((ROOT / "assets" / name).read_bytes())
    return folder


def print_body(folder: Path, browser, body: str) -> str:
    """Print a page and return its text."""
    style = '<link rel="stylesheet" href="_static/print.css">'
    (folder / "page.html").write_text(f"<html>{style}<article class='bd-article'><h1>T</h1>{body}</article></html>")
    return "".join(sheet.extract_text() for sheet in print_page(browser, folder, "page.html", ["page.html"]).sheets)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (f"<p style='white-space: nowrap'>{'wide ' * 60}</p>", '"wide wide .*" is wider than the paper'),
        ("<p>the angle \\(\\theta\\)</p>", r"\\\( is not typeset"),
        ("<p>costs $x$</p>", r"\$x\$ is not typeset"),
    ],
)
def test_what_would_be_cut_off_or_is_not_typeset_is_refused_by_name(loose, browser, body, fault):
    with pytest.raises(BuildError, match=f"page.html: {fault}"):
        print_body(loose, browser, body)


def test_a_wide_table_is_shrunk_and_a_long_line_of_code_goes_on_in_the_next(loose, browser):
    cells = "".join(f"<td style='white-space: nowrap'>column {k} is wide</td>" for k in range(9))
    text = print_body(loose, browser, f"<table><tr>{cells}</tr></table><pre>{'word ' * 60}END</pre>")
    assert "column 8 is wide" in text
    assert "END" in text


def test_a_link_to_a_page_that_is_not_printed_leaves_its_words(loose, browser):
    body = "<p><a href='other.html'>other words</a> <a href='https://example.org'>elsewhere</a></p>"
    assert "other words" in print_body(loose, browser, body)
    (sheet,) = print_page(browser, loose, "page.html", ["page.html"]).sheets
    assert [entry.get_object()["/A"]["/URI"] for entry in sheet["/Annots"]] == ["https://example.org/"]


def test_a_reader_who_prints_a_page_by_night_gets_it_white_and_unfolded_and_has_it_back(html, browser):
    page = browser.new_context(color_scheme="dark").new_page()
    page.goto((html / "chapters/landscape.html").as_uri())
    page.evaluate("() => { document.documentElement.dataset.theme = 'dark' }")
    folded = "() => document.querySelectorAll('article details:not([open])').length"
    before = page.evaluate(folded)
    page.emulate_media(media="print")
    page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("() => document.documentElement.dataset.theme") == "light"
    assert page.evaluate(folded) == 0 < before
    page.evaluate("() => dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("() => document.documentElement.dataset.theme") == "dark"
    assert page.evaluate(folded) == before
    page.context.close()
