"""The numbers and the verdicts of the last build, against the accepted ones."""

from collections.abc import Callable
from pathlib import Path

from demod.artifacts import read_json
from demod_book.build.build import CARD
from demod_book.expected.arrays import compare_figures, figures_path, read_figures
from demod_book.expected.numbers import MARKED, compare, expected_path, out_of_reach, read_numbers, results_block
from demod_book.expected.verdicts import compare_verdicts, verdicts_path
from demod_book.pages.verdicts import read_verdicts

ROOT = Path(__file__).parents[2]


def assert_accepted(html: Path, what: str, path_of: Callable, read: Callable, folder: str, differences: Callable) -> None:
    """Assert that what the chapters left in `folder` agrees with the accepted ones of such a build."""
    card = read_json(html / CARD)
    path = path_of(ROOT, card)
    assert path.is_file(), f"{path.name} is not there; look at the {what} of the book and run `demod accept`"
    assert differences(read(ROOT / folder, card["chapters"]), read_json(path)) == [], out_of_reach(ROOT, card)


def test_every_number_of_the_book_is_an_accepted_one(html):
    assert_accepted(html, "numbers", expected_path, read_numbers, "_build/numbers", compare)


def test_every_array_behind_a_figure_is_an_accepted_one(html):
    assert_accepted(html, "figures", figures_path, read_figures, "_build/figures", compare_figures)


def test_every_verdict_of_the_book_is_an_accepted_one(html):
    assert_accepted(html, "verdicts", verdicts_path, read_verdicts, "_build/numbers", compare_verdicts)


def test_the_readme_quotes_numbers_of_the_book():
    block = results_block((ROOT / "README.md").read_text(encoding="utf-8"))
    assert block is not None
    assert len(MARKED.findall(block)) >= 5
