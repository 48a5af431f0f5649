"""The numbers in the prose: evaluated where they stand, written into the page, and refused where JupyterLab would differ."""

import pytest
from fixture_book import code, notebook, prose
from nbformat.v4 import new_output, to_notebook

from demod_book.build.notebooks import TEXTS, check_run, code_cells, tags
from demod_book.build.texts import check_texts, insert_texts, with_captions, with_texts

TWO = "It is {eval}`number.a`, as {eval}`f'{x:.1f}'` says; `{eval}` is a role."


def book(*cells):
    return to_notebook(notebook("x", *cells))


def texts_cells(found):
    return [cell for cell in found["cells"] if TEXTS in tags(cell)]


def executed(found, *texts):
    """The notebook as a run leaves it whose cells of texts told `texts`, a list each."""
    for cell, told in zip(texts_cells(found), texts, strict=True):
        cell["outputs"] = [new_output("display_data", {"application/vnd.demod.texts+json": told})]
    return found


def test_expressions_are_told_after_their_cell_and_are_no_cells_of_the_author():
    found = with_texts(book(code("x = 1"), prose(TWO), code("y = x")))
    kinds = [cell["source"].split("\n")[-1] for cell in found["cells"]][3:]
    assert kinds == ["x = 1", TWO, """tell(*['number.a', "f'{x:.1f}'"])""", "y = x"]
    assert [number for number, _ in code_cells(found)] == [2, 3, 4, 6]  # as the author counts


def test_texts_are_written_where_their_expressions_stand():
    page = book(prose(TWO), prose("Nothing."), prose("{eval}`b`"))
    insert_texts(page, executed(with_texts(book(prose(TWO), prose("Nothing."), prose("{eval}`b`"))), ["1", "2.0"], ["3"]))
    assert [cell["source"] for cell in page["cells"][3:]] == ["It is 1, as 2.0 says; `{eval}` is a role.", "Nothing.", "3"]


def test_an_expression_that_fails_is_told_with_its_cell():
    found = with_texts(book(prose("{eval}`nope`")))
    for _, cell in code_cells(found):
        cell["execution_count"], cell["metadata"]["papermill"] = 1, {"status": "completed"}
    (cell,) = texts_cells(found)
    cell["outputs"] = [new_output("error", ename="NameError", evalue="name 'nope' is not defined")]
    assert check_run(found) == ["cell 4 raised NameError: name 'nope' is not defined"]


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ([prose("{eval}`1 +`")], "cell 4: {eval}`1 +` is not Python: invalid syntax"),
        (
            [code("x = 1"), prose("{eval}`x`"), code("for x in range(3): pass")],
            "cell 5: {eval}`x` uses x, which cell 6 assigns",
        ),
        (
            [code("x = 1"), prose("{eval}`str(x)`"), code("x, y = 1, 2")],
            "cell 5: {eval}`str(x)` uses x, which cell 6 assigns",
        ),
        (
            [prose("{eval}`nope`")],
            "cell 4: {eval}`nope` uses nope, which no cell above has",
        ),
        ([prose("{eval}`chapter.slug`"), code("chapter = 2")], "cell 4: {eval}`chapter.slug` uses chapter, which cell 5"),
    ],
)
def test_what_jupyterlab_would_show_otherwise_is_refused(cells, told):
    (problem,) = check_texts(book(*cells))
    assert problem.startswith(told)


@pytest.mark.parametrize(
    "cells",
    [
        [code("x = 1"), code("x = 2"), prose("{eval}`x`")],
        [prose("{eval}`sum(k for k in [1])`"), code("k = 2")],
        [prose("{eval}`chapter.y`"), code("y = 2")],
    ],
)
def test_names_that_nothing_binds_later_are_allowed(cells):
    assert check_texts(book(*cells)) == []


def test_a_caption_below_a_figure_becomes_that_of_myst_and_shows_no_numbers():
    caption = prose("What it *shows*.") | {"metadata": {"tags": ["caption"]}}
    found = with_captions(book(code("f()", mystnb={"figure": {"name": "fig-f"}}), caption, prose("More.")))
    assert found["cells"][3]["metadata"]["mystnb"]["figure"] == {"name": "fig-f", "caption": "What it *shows*."}
    assert [cell["source"] for cell in found["cells"][4:]] == ["More."]
    (problem,) = check_texts(book(code("f()"), caption | {"source": "{eval}`1`"}))
    assert problem == "cell 5 is a caption and shows numbers; show them in the prose"
