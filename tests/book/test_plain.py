"""Chapters in plain Markdown: what each construct of MyST becomes, and that none is left in any chapter."""

import re
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pybtex.database import parse_file, parse_string

from demod_book.build.notebooks import read_notebook
from demod_book.pages.plain import Book, Position, plain_notebook, plain_text

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted([*ROOT.glob("chapters/*.ipynb"), *ROOT.glob("templates/*.ipynb")])
PAGES = sorted(ROOT.glob("chapters/*.md"))
MYST = re.compile(r"\{[\w:.+-]+\}`|^\s*(?::{3,}|`{3,}\{)|^\(\S+\)=$|<!--|^:[\w-]+: ", re.MULTILINE)
WORKS = parse_string(
    r"""@article{hand2019, author = {Hand, Paul and Joshi, Babhru}, year = {2019}, eprint = {1905.12576}, url = {u}}
    @article{li2016, author = {Li, X and Ling, S and M{\"u}ller, T}, year = {2016}, doi = {10.1/x}, eprint = {1}}
    @misc{anon, title = {A Page}, year = {2020}, url = {https://example.org}}
    @book{lost, author = {de la Cruz, Ana}, year = {1999}}""",
    "bibtex",
)


def number(content: str, position: Position) -> str:
    return f"[{content} {position.cell}.{position.number}]"


BOOK = Book(number, WORKS, {"<!-- figures -->": "many"}, {"eq-2": "(2)"})


@pytest.mark.parametrize(
    ("myst", "plain"),
    [
        ("Plain `code`, $x_1$ and {braces}.", "Plain `code`, $x_1$ and {braces}."),
        ("{cite:t}`hand2019` say", "[Hand and Joshi (2019)](https://arxiv.org/abs/1905.12576) say"),
        ("said {cite:p}`li2016`.", "said ([Li et al., 2016](https://doi.org/10.1/x))."),
        ("{cite}`anon, lost`", "[A Page (2020)](https://example.org); de la Cruz (1999)"),
        ("{glue:text}`rho` and {eval}`f'{x:.2f}'`", "[rho 0.0] and [f'{x:.2f}' 0.1]"),
        ("{glue:text}`a\nb`", "[a b 0.0]"),
        ("{py:obj}`~demod.objective.gradient`", "`gradient`"),
        ("{py:obj}`demod.objective`", "`demod.objective`"),
        ("{py:func}`its gradient <demod.objective.gradient>`", "`its gradient`"),
        ("{math}`x^2`", "$x^2$"),
        ("by {eq}`eq-2`, {ref}`the figure <fig>`", "by (2), the figure"),
        ("<!-- figures --><!-- unknown -->", "many"),
        ("`<!-- name -->` and ``{glue:text}`x` ``", "`<!-- name -->` and ``{glue:text}`x` ``"),
        ("[here](landscape.ipynb#claim-f1)", "[here](landscape.ipynb#claim-f1)"),
        ("[all](figures.md) [all](https://example.org/x.md)", "all [all](https://example.org/x.md)"),
        ("(place)=\n## Title", '<a id="place"></a>\n## Title'),
        ("$$ x $$ (eq-2)", "$$ x $$"),
        ("$$\nx\n$$ (eq-2)", "$$\nx\n$$"),
        ("```python\n{glue:text}`x`\n:::{note}\n```", "```python\n{glue:text}`x`\n:::{note}\n```"),
        ("```{code-block} bash\nmake\n```", "```bash\nmake\n```"),
        ("```{math}\n:label: a\nx\n```", "$$\nx\n$$"),
        (":::{bibliography}\n:::", ""),
        (":::{note}\nThis {math}`x`.\n\nThat.\n:::", "> **Note**\n>\n> This $x$.\n>\n> That."),
        (":::{admonition} A *title*\n:class: tip\nThis.\n:::", "> **A *title***\n>\n> This."),
        (":::{prf:theorem} Uniqueness\n:label: t\nIt is.\n:::", "> **Theorem (Uniqueness)**\n>\n> It is."),
        ("```{image} a.png\n:alt: A curve\n```", "![A curve](a.png)"),
        ("::::{grid} 1 2\n:::{grid-item-card} One\nFirst.\n:::\n::::", "**One**\n\nFirst."),
        (
            "**1.** Why?\n\n:::{admonition} Solution\n:class: dropdown tip\nBecause of {glue:text}`x`.\n:::\nNext.",
            "**1.** Why?\n\n<details>\n<summary>Solution</summary>\n\nBecause of [x 0.0].\n\n</details>\nNext.",
        ),
        (
            ":::{dropdown} More\n```text\n:::\n```\n:::",
            "<details>\n<summary>More</summary>\n\n```text\n:::\n```\n\n</details>",
        ),
    ],
)
def test_what_a_reader_of_the_page_sees_of_a_construct_is_left(myst, plain):
    assert plain_text(myst, BOOK) == plain


def test_a_link_to_a_page_that_is_no_notebook_leads_to_where_the_book_is_read():
    book = Book(number, address="https://example.org/book/")
    assert plain_text("[all](figures.md#x)", book) == "[all](https://example.org/book/chapters/figures.html#x)"


def test_a_work_that_the_bibliography_lacks_is_refused_by_name():
    with pytest.raises(
        ValueError, match=r"^nobody2020 is cited, but the bibliography has no such work; its keys are hand2019"
    ):
        plain_text("{cite:t}`nobody2020`", BOOK)


def test_a_caption_stands_below_its_figure_and_numbers_know_their_cells():
    figure = new_code_cell("plot()", id="fig", metadata={"mystnb": {"figure": {"caption": "The *law*,\n{eval}`n` times."}}})
    claim = new_code_cell("claim()", outputs=[new_output("display_data", {"text/markdown": "{cite:t}`hand2019`"})])
    notebook = new_notebook(cells=[new_markdown_cell("{eval}`a` {eval}`b`"), figure, claim])
    before = str(notebook)
    plain = plain_notebook(notebook, BOOK)
    assert [cell["source"] for cell in plain["cells"]] == [
        "[a 0.0] [b 0.1]",
        "plot()",
        "*The law, [n 1.0] times.*",
        "claim()",
    ]
    assert plain["cells"][2]["id"] == "fig-caption"
    assert plain["cells"][3]["outputs"][0]["data"]["text/markdown"].startswith("[Hand and Joshi (2019)]")
    assert str(notebook) == before


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_construct_is_left_in_a_chapter_and_its_code_is_as_it_was(path):
    notebook = read_notebook(path)
    plain = plain_notebook(notebook, Book(lambda *_: "1", parse_file(ROOT / "references.bib")))
    prose = "\n\n".join(cell["source"] for cell in plain["cells"] if cell["cell_type"] == "markdown")
    assert MYST.findall(prose) == []
    captions = [cell["metadata"].get("mystnb", {}).get("figure", {}).get("caption") for cell in notebook["cells"]]
    assert len(plain["cells"]) == len(notebook["cells"]) + sum(caption is not None for caption in captions)
    code = [[cell["source"] for cell in book["cells"] if cell["cell_type"] == "code"] for book in (notebook, plain)]
    assert code[0] == code[1]
    assert prose.count("<details>") == str(notebook).count("class: dropdown")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_no_construct_is_left_in_a_page(path):
    plain = plain_text(path.read_text(), Book(lambda *_: "1", parse_file(ROOT / "references.bib")))
    assert MYST.findall(plain) == []
