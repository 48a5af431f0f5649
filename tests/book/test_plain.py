"""The copies of chapters that are taken from the book: plain Markdown, with every number in its place."""

import re

import pytest
from fixture_book import ROOT, code, notebook, prose
from nbformat.v4 import new_output, to_notebook

from demod_book.build.notebooks import read_notebook
from demod_book.build.texts import expressions, with_texts
from demod_book.pages.plain import addresses, plain_copy, plain_text

MYST = re.compile(r"\{[a-z]+(?::[a-z]+)?\}`|^\s*(:::|```\{)|<!--|^\([\w-]+\)=", re.MULTILINE)
WORKS = addresses(ROOT / "references.bib")
CHAPTERS = sorted((ROOT / "chapters").glob("*.ipynb"))


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("See [Hand (2019)](references.md#hand2019global).", f"See [Hand (2019)]({WORKS['hand2019global']})."),
        ("See [figures](figures.md) and [one](one.ipynb).", "See figures and [one](one.ipynb)."),
        (
            ":::{admonition} Solution\n:class: dropdown tip\n$x$ is\n\n1.\n:::\n\nMore.",
            "<details>\n<summary>Solution</summary>\n\n$x$ is\n\n1.\n\n</details>\n\nMore.",
        ),
    ],
)
def test_each_construct_of_the_chapters_has_its_plain_form(text, plain):
    assert plain_text(text, WORKS) == plain


def test_numbers_and_outputs_are_those_of_the_run():
    source = to_notebook(notebook("x", code("f()"), prose("It is {eval}`a` and {eval}`b`.")))
    executed = with_texts(to_notebook(notebook("x", code("f()"), prose("It is {eval}`a` and {eval}`b`."))))
    executed["cells"][3]["outputs"] = [new_output("stream", name="stderr", text="12%"), new_output("stream", text="done")]
    executed["cells"][5]["outputs"] = [new_output("display_data", {"application/vnd.demod.texts+json": ["1", "2.0"]})]
    bare, full = (plain_copy(source, executed, WORKS, outputs=outputs) for outputs in (False, True))
    assert bare["cells"][4]["source"] == full["cells"][4]["source"] == "It is 1 and 2.0."
    assert bare["cells"][3]["outputs"] == []
    assert [output["text"] for output in full["cells"][3]["outputs"]] == ["done"]
    assert source["cells"][4]["source"] == "It is {eval}`a` and {eval}`b`."


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_nothing_of_myst_is_left_in_a_copy(path):
    executed = with_texts(read_notebook(path))
    told = [expressions(cell) for cell in executed["cells"] if expressions(cell)]
    for cell, shown in zip((c for c in executed["cells"] if "texts" in c["metadata"].get("tags", [])), told, strict=True):
        cell["outputs"] = [new_output("display_data", {"application/vnd.demod.texts+json": ["1"] * len(shown)})]
    plain = plain_copy(read_notebook(path), executed, WORKS, outputs=False)
    text = "\n".join(cell["source"] for cell in plain["cells"] if cell["cell_type"] == "markdown")
    assert MYST.findall(text) == []
    assert ".md" not in text
