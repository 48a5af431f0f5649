"""The arrays behind the figures: the same to the bit in two builds, near the accepted ones on every machine."""

import shutil

import numpy as np
import pytest
from fixture_book import code, notebook, run, write_book
from typer.testing import CliRunner

from demod.artifacts import read_json, save_arrays
from demod_book.build import build as module
from demod_book.build.folders import Layout
from demod_book.cli import app
from demod_book.expected.arrays import (
    accept_figures,
    agreement,
    compare_figures,
    differences,
    read_builds,
    read_figures,
    statistics,
)

ARRAYS = {
    "landscape/figure-1b/f": np.linspace(-1, 3, 60).reshape(6, 10),
    "landscape/figure-1b/hits": np.array([0, 3, 16]),
    "related/methods/names": np.array(["lifted", "csgm"]),
    "population/rho/empty": np.zeros((0, 3)),
    "population/rho/gaps": np.array([1.0, np.nan, np.inf]),
}


def changed(name: str, array: np.ndarray) -> dict[str, np.ndarray]:
    return ARRAYS | {name: array}


# Accepted statistics


def test_what_was_accepted_passes():
    assert compare_figures(ARRAYS, accept_figures(ARRAYS, {})) == []


def test_statistics_are_those_of_the_finite_entries():
    found = statistics(ARRAYS["population/rho/gaps"])
    assert found == {"shape": [3], "finite": 1, "mean": 1.0, "root_mean_square": 1.0, "least": 1.0, "greatest": 1.0}
    assert statistics(ARRAYS["population/rho/empty"]) == {"shape": [0, 3], "finite": 0}
    root = statistics(np.array([3.0, -4.0]))["root_mean_square"]
    assert root == pytest.approx(12.5**0.5)


F = ARRAYS["landscape/figure-1b/f"]


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (F + 0.2, "mean is 1.2, accepted is 1 (tolerance 0.05)"),
        (F.clip(max=2), "greatest is 2, accepted is 3 (tolerance 0.05)"),
        (np.where(F < 0, 0, F), "least is 0, accepted is -1 (tolerance 0.05)"),
        (F[:5], "shape is [5, 10], accepted is [6, 10]"),
        (np.where(F > 2.9, np.nan, F), "finite is 58, accepted is 60"),
    ],
)
def test_a_drift_is_told_with_figure_array_got_and_accepted(array, told):
    problems = compare_figures(changed("landscape/figure-1b/f", array), accept_figures(ARRAYS, {}))
    assert f"landscape/figure-1b/f: its {told}" in problems
    assert all(problem.startswith("landscape/figure-1b/f: ") for problem in problems)


@pytest.mark.parametrize("array", [F * 1.01, F + 0.05, F[::-1], F.astype(np.float32)])
def test_what_machines_differ_in_is_not_a_drift(array):
    assert compare_figures(changed("landscape/figure-1b/f", array), accept_figures(ARRAYS, {})) == []


def test_missing_surplus_and_renamed_entries_are_told():
    expected = accept_figures(ARRAYS, {})
    one = {name: array for name, array in ARRAYS.items() if name != "landscape/figure-1b/hits"}
    assert compare_figures(one, expected) == ["landscape/figure-1b/hits is accepted, but no figure has it"]
    surplus = compare_figures(ARRAYS | {"x/y/z": F}, expected)
    assert surplus == ["x/y/z is behind a figure, but was never accepted"]
    (told,) = compare_figures(changed("related/methods/names", np.array(["lifted", "asim"])), expected)
    assert told.startswith("related/methods/names: its s")  # its shape or sha256


def test_accepting_keeps_the_tolerances_that_are_there():
    expected = accept_figures(ARRAYS, {"landscape/figure-1b/f": {"rtol": 0.25}})
    assert expected["landscape/figure-1b/f"]["rtol"] == 0.25
    assert expected["landscape/figure-1b/hits"]["rtol"] == 0.05
    assert compare_figures(changed("landscape/figure-1b/f", F * 1.2), expected) == []


# Two builds


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.nextafter(F, 9), "landscape/figure-1b/f differs: 60 of 60 entries, by up to "),
        (F.astype(np.float32), "landscape/figure-1b/f differs: float64 (6, 10) and float32 (6, 10)"),
    ],
)
def test_one_bit_is_a_difference_between_two_builds(array, told):
    (found,) = differences(ARRAYS, changed("landscape/figure-1b/f", array))
    assert found.startswith(told)
    assert differences(ARRAYS, {name: array.copy() for name, array in ARRAYS.items()}) == []


def test_a_figure_of_one_build_only_is_a_difference():
    assert differences(ARRAYS, {}) == [f"{name} is in one of the two builds only" for name in sorted(ARRAYS)]


def test_agreement_is_the_relative_distance_of_each_array_that_is_not_the_same():
    F, gaps = ARRAYS["landscape/figure-1b/f"], np.array([2.0, np.nan, np.nan])
    other = changed("landscape/figure-1b/f", 1.25 * F) | {"population/rho/gaps": gaps, "related/methods/names": np.zeros(2)}
    found = agreement(ARRAYS, other)
    assert (found["arrays"], found["identical"], found["reshaped"]) == (5, 2, 1)
    assert found["relative"] == {"population/rho/gaps": 1.0, "landscape/figure-1b/f": pytest.approx(0.25)}
    assert agreement(ARRAYS, {})["reshaped"] == 5


def test_times_are_neither_read_nor_compared(tmp_path):
    save_arrays(tmp_path / "x/cost.npz", {"n": np.arange(3), "lifted": np.arange(3.0)}, {"timing": ["lifted"]})
    assert read_figures(tmp_path, ["x"]).keys() == {"x/cost/n"}


HEAVY = code(
    """import torch
from demod_book.figures.style import canvas
fig, ax = canvas()
A, B = (torch.randn(700, 700, generator=chapter.rng(k)) for k in range(2))
words = list({"some", "words", "in", "no", "order"})
chapter.figure(fig, "products", product=A @ B, singular=torch.linalg.svdvals(A), words=words)
chapter.figure(fig, "cost", timing=["seconds"], seconds=[chapter._lap()])"""
)


def test_two_builds_leave_the_same_arrays_and_the_commands_say_so(tmp_path):
    roots = [write_book(tmp_path / name, notebook("heavy", HEAVY)) for name in ("first", "second")]
    for root in roots:
        run(root)
    assert differences(*read_builds(*roots)) == []
    found = read_figures(Layout(roots[0]).figures, ["heavy"])
    assert found.keys() == {f"heavy/products/{name}" for name in ("product", "singular", "words")}
    shown = CliRunner().invoke(app, ["compare", *map(str, roots)])
    assert (shown.exit_code, shown.stdout.strip()) == (0, "All arrays behind the figures are the same to the bit.")
    assert CliRunner().invoke(app, ["accept", "--root", str(roots[0])]).exit_code == 0
    accepted = read_json(roots[0] / "tests/expected/quick-drawn-figures.json")
    assert accepted["heavy/products/product"]["shape"] == [700, 700]
    assert compare_figures(found, accepted) == []
    shutil.rmtree(roots[1] / "_build/figures/heavy")
    output = tmp_path / "agreement.json"
    shown = CliRunner().invoke(app, ["compare", *map(str, roots), "--output", str(output)])
    assert shown.exit_code == 1
    assert {"arrays": 3, "identical": 0, "reshaped": 3}.items() <= read_json(output).items()
    assert "heavy/products/product is in one of the two builds only" in shown.stderr


@pytest.mark.parametrize("stale", [["one"], ["one", "two", "three"]])
def test_threads_do_not_depend_on_how_much_of_the_book_is_stale(tmp_path, monkeypatch, stale):
    root = write_book(tmp_path, *(notebook(slug) for slug in ("one", "two", "three")))
    layout, used = Layout(root), {}
    monkeypatch.setattr(module, "cpu_count", lambda: 8)
    monkeypatch.setattr(module, "check_prose", lambda *_: [])
    monkeypatch.setattr(module, "execute", lambda job, *rest, **_: used.update({job.slug: rest[1]}))
    monkeypatch.setattr(module.Job, "reasons", lambda self, _: ["code"] if self.slug in stale else [])
    layout.products.mkdir()
    module.run_chapters(layout, module.plan(layout, "quick", "cpu"), None, module.Console(quiet=True))
    assert used == dict.fromkeys(stale, 8 // 3)
