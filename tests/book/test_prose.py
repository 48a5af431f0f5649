"""What the prose of a chapter refers to is there, and none of it is the template's; found before the book is rendered."""

import json
import shutil

import pytest
from fixture_book import ROOT, notebook, prose, write_book

from demod.artifacts import write_json
from demod_book.build.folders import Layout
from demod_book.build.prose import check_prose

TEMPLATE = json.loads((ROOT / "templates/chapter.ipynb").read_text(encoding="utf-8"))


def problems(root, *cells: dict, others: tuple[dict, ...] = ()) -> list[str]:
    """What is found in a chapter of these cells that recorded one number, beside `others`, which have not run."""
    write_book(root, notebook("x", *cells), *others)
    (root / "references.bib").write_text(
        "@article{hand2019global,\n title={A}}\n@book{ chow_1999 , title={B}}\n", encoding="utf-8"
    )
    shutil.copytree(ROOT / "templates", root / "templates")
    layout = Layout(root)
    write_json(layout.numbers / "x.json", {"numbers": {"answer": {"value": 42, "text": "42"}}, "claims": {}})
    return check_prose(layout, ["x"])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("See {cite:t}`hand2019`.", "hand2019 is cited, but references.bib has no such work."),
        ("See [Hand (2019)](references.md#hand2019).", "hand2019 is cited, but references.bib has no such work."),
        ("See {cite:p}`hand2019global, chow_1998`.", "chow_1998 is cited, but references.bib has no such work."),
        (
            "See <!-- claim L66 -->.",
            "<!-- claim L66 --> stands for nothing; correct it, or record that number in its chapter.",
        ),
        (
            "It is <!-- x.answr -->.",
            "<!-- x.answr --> stands for nothing; correct it, or record that number in its chapter.",
        ),
        ("<!-- figuers -->", "<!-- figuers --> stands for nothing; correct it, or record that number in its chapter."),
    ],
)
def test_what_the_prose_names_and_is_not_there_is_told_by_name(tmp_path, text, told):
    assert problems(tmp_path, prose(text)) == [f"chapters/x.ipynb: {told}"]


def test_what_is_there_is_not_told(tmp_path):
    text = "It is <!-- x.answer -->. See {cite:t}`hand2019global,chow_1999`, [Hand](references.md#hand2019global)."
    assert problems(tmp_path, prose(f"{text} <!-- figures --> <!-- claim L6 -->")) == []


def test_a_number_of_a_chapter_that_has_not_run_may_be_quoted(tmp_path):
    assert problems(tmp_path, prose("It is <!-- later.rho -->."), others=(notebook("later"),)) == []


def test_every_text_of_the_template_is_found_where_it_was_left(tmp_path):
    found = "\n".join(problems(tmp_path, *TEMPLATE["cells"]))
    begins = (
        "say here what it is about",
        "which statement or figure of the paper",
        "Say what is drawn",
        "**What is asked here.**",
    )
    ends = (
        "What the figure shows, with units.",
        "What somebody who cannot see the figure",
        "or two sentences, also if the answer is no",
    )
    assert [words for words in begins + ends if words not in found] == []


@pytest.mark.parametrize("path", sorted((ROOT / "chapters").glob("*.ipynb")), ids=lambda path: path.stem)
def test_no_chapter_of_the_book_is_taken_for_the_template(tmp_path, path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    told = problems(tmp_path, *(cell for cell in cells if cell["cell_type"] == "markdown"))
    assert [problem for problem in told if "template" in problem] == []
