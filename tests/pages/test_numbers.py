"""The numbers and the verdicts of the last build, against the accepted ones."""

from pathlib import Path

from demod.artifacts import read_json
from demod_book.build.build import CARD
from demod_book.expected.arrays import compare_figures, figures_path, read_figures
from demod_book.expected.numbers import MARKED, compare, expected_path, out_of_reach, read_numbers, results_block
from demod_book.expected.verdicts import compare_verdicts, verdicts_path
from demod_book.pages.verdicts import read_verdicts

ROOT = Path(__file__).parents[2]


def test_every_number_of_the_book_is_an_accepted_one(html):
    card = read_json(html / CARD)
    path = expected_path(ROOT, card)
    assert path.is_file(), f"{path.name} is not there; look at the numbers of the book and run `demod accept`"
    assert compare(read_numbers(ROOT / "_build/numbers", card["chapters"]), read_json(path)) == [], out_of_reach(ROOT, card)


def test_every_array_behind_a_figure_is_an_accepted_one(html):
    card = read_json(html / CARD)
    path = figures_path(ROOT, card)
    assert path.is_file(), f"{path.name} is not there; look at the figures of the book and run `demod accept`"
    assert compare_figures(read_figures(ROOT / "_build/figures", card["chapters"]), read_json(path)) == [], out_of_reach(
        ROOT, card
    )


def test_every_verdict_of_the_book_is_an_accepted_one(html):
    card = read_json(html / CARD)
    path = verdicts_path(ROOT, card)
    assert path.is_file(), f"{path.name} is not there; look at the verdicts of the book and run `demod accept`"
    assert compare_verdicts(read_verdicts(ROOT / "_build/numbers", card["chapters"]), read_json(path)) == [], out_of_reach(
        ROOT, card
    )


def test_the_readme_quotes_numbers_of_the_book():
    block = results_block((ROOT / "README.md").read_text(encoding="utf-8"))
    assert block is not None
    assert len(MARKED.findall(block)) >= 5
