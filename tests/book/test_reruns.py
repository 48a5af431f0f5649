"""An edit reruns, and rewrites among the accepted results, what it touches, and nothing else."""

import threading
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from demod_book.build import cache
from demod_book.build.cache import PACKAGES, chapter_ingredients, unanswered
from demod_book.build.folders import BuildError, Layout, sources
from demod_book.build.launch import set_address
from demod_book.build.schedule import Terminal, run_all
from demod_book.claims.judge import Criterion
from demod_book.claims.ledger import LEDGER
from demod_book.expected.arrays import accept_figures, compare_figures
from demod_book.expected.numbers import accept, compare, out_of_reach

L6 = {"L6": {"measured": {"slope": [-0.5, 0.02]}}}


# Claims


def test_a_chapter_that_measured_what_the_ledger_asks_for_does_not_run_again():
    assert unanswered(L6) == []


@pytest.mark.parametrize("record", [{}, {"measured": {}}, {"verdict": "reproduced", "criteria": {"slope": {"value": 1}}}])
def test_a_claim_without_a_measurement_is_asked_for(record):
    assert unanswered({"L6": record}) == ["claim L6 asks for slope"]


def test_a_new_and_a_dropped_criterion_are_named(monkeypatch):
    criteria = (Criterion("slope", "slope"), Criterion("depth", "depth"), Criterion("width", "width"))
    monkeypatch.setitem(cache.LEDGER, "L6", replace(LEDGER["L6"], criteria=criteria))
    assert unanswered(L6) == ["claim L6 asks for depth, width"]
    monkeypatch.setitem(cache.LEDGER, "L6", replace(LEDGER["L6"], criteria=criteria[1:2]))
    assert unanswered(L6) == ["claim L6 asks for depth", "claim L6 asks no longer for slope"]
    monkeypatch.delitem(cache.LEDGER, "L6")
    assert unanswered(L6) == ["claim L6 asks no longer for slope"]


def test_a_new_bound_a_new_wording_and_a_new_claim_rerun_nothing(monkeypatch):
    other = replace(LEDGER["L6"], statement="Another.", criteria=(replace(LEDGER["L6"].criteria[0], low=-9.0),))
    monkeypatch.setitem(cache.LEDGER, "L6", other)
    monkeypatch.setitem(cache.LEDGER, "L99", replace(other, id="L99"))
    assert unanswered(L6) == []


def test_the_ledger_is_no_ingredient_of_a_chapter():
    cell = {"cell_type": "code", "metadata": {}, "source": "from demod_book.chapter import begin"}
    found = chapter_ingredients({"cells": [cell]}, {}, Path(), mnist=lambda: False, packages=PACKAGES)
    assert "demod_book.chapter" in found
    assert "demod_book.claims.ledger" not in found


# Accepted results

NUMBERS = {"a": {"x": {"value": 1.0, "text": "1"}}, "b": {"y": {"value": 2.0, "text": "2"}, "n": {"value": 8, "text": "8"}}}


def test_accepting_rewrites_only_the_numbers_that_left_their_tolerance():
    before = accept(NUMBERS, {})
    now = {"a": {"x": {"value": 1.0 + 1e-9}}, "b": {"y": {"value": 3.0}, "n": {"value": 8}, "new": {"value": 0.5}}}
    found = accept(now, before)
    assert found["a"] == before["a"]
    assert found["b"] == {"n": {"value": 8}, "new": {"value": 0.5, "rtol": 0.05}, "y": {"value": 3.0, "rtol": 0.05}}
    assert compare(now, found) == []
    assert accept({"b": NUMBERS["b"]}, before).keys() == {"b"}  # what is recorded no more goes


def test_accepting_rewrites_only_the_arrays_that_left_their_tolerance():
    arrays = {"a/f/x": np.linspace(0, 1, 9), "b/f/y": np.arange(4.0), "b/f/name": np.array(["one"])}
    before = accept_figures(arrays, {})
    now = arrays | {"a/f/x": arrays["a/f/x"] * (1 + 1e-9), "b/f/y": arrays["b/f/y"] + 1, "b/f/name": np.array(["two"])}
    found = accept_figures(now, before)
    assert found["a/f/x"] == before["a/f/x"]
    assert found["b/f/y"] != before["b/f/y"]
    assert compare_figures(now, found) == []


@pytest.mark.parametrize(("mnist", "told"), [(False, "quick-mnist-figures.json, quick-mnist.json"), (True, "")])
def test_without_mnist_the_files_out_of_reach_are_named_with_the_remedy(tmp_path, mnist, told):
    (tmp_path / "tests/expected").mkdir(parents=True)
    for name in ("quick-mnist.json", "quick-mnist-figures.json", "quick-drawn.json", "full-mnist.json"):
        (tmp_path / "tests/expected" / name).touch()
    found = out_of_reach(tmp_path, {"profile": "quick", "mnist": mnist})
    assert (f"without MNIST: {told} in" in found) if told else found == ""
    assert "quick-drawn" not in found
    assert "full-mnist" not in found
    assert ("`demod data`" in found) is not mnist


# The schedule


def terminal(console: Console, *slugs: str) -> Terminal:
    return Terminal(console, dict.fromkeys(slugs), workers=2)


def test_every_chapter_is_tried_and_all_failures_are_collected():
    shown = Console(file=StringIO(), width=200)
    tried = []

    def run(slug, processes):
        tried.append(slug)
        if slug != "b":
            raise BuildError(f"{slug}: no")

    reasons = {"a": ["code"], "b": ["never run"], "c": ["one", "two", "three", "four"]}
    assert run_all(reasons, run, terminal(shown, *reasons), workers=1) == ["a: no", "c: no"]
    assert tried == ["a", "b", "c"]
    text = shown.file.getvalue()
    assert "… a: code" in text
    assert "… c: one, two, three …" in text
    assert "✗ a 0 s" in text
    assert "✓ b 0 s" in text


def test_workers_share_the_chapters():
    together = threading.Barrier(2, timeout=20)  # broken unless two are at work at once
    assert (
        run_all(
            {"a": ["x"], "b": ["x"]}, lambda *_: together.wait() and None, terminal(Console(file=StringIO()), "a", "b"), 2
        )
        == []
    )


def test_an_interruption_stops_what_runs_and_begins_nothing_more(monkeypatch):
    begun = []

    def run(slug, processes):
        begun.append(slug)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_all({"a": ["x"], "b": ["x"], "c": ["x"]}, run, terminal(Console(file=StringIO()), "a", "b", "c"), 1)
    assert len(begun) <= 2


# Folders


def test_what_jupyterlab_and_editors_leave_is_no_source_and_stops_nothing(tmp_path):
    (tmp_path / "chapters").mkdir()
    for name in ("_config.yml", "_toc.yml"):
        (tmp_path / name).write_text((Path(__file__).parents[2] / name).read_text(encoding="utf-8"), encoding="utf-8")
    for page in Layout(Path(__file__).parents[2]).pages():
        (tmp_path / f"{page}.md").write_text("# x")
    before = sources(tmp_path)
    for name in ("chapters/_build/figures/x/a.svg", "chapters/.ipynb_checkpoints/x-checkpoint.ipynb", "chapters/.#x.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "chapters/landscape.md~").symlink_to("nowhere")
    assert sources(tmp_path).keys() - before.keys() <= {"chapters/landscape.md~"}
    assert Layout(tmp_path).pages()
    assert set_address(Layout(tmp_path), "") == []


def test_a_package_named_like_the_folder_of_checkpoints_is_a_source(tmp_path):
    for name in ("training/digits/run.safetensors", "data/t10k.gz", "demod/training/loop.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert sources(tmp_path).keys() == {"demod/training/loop.py"}


@pytest.mark.parametrize(
    "content", ["root: [", "\t- x", "root: \x00", "", "chapters: []", "format: jb-book\nroot: x\nchapters:\n- file: x"]
)
def test_a_table_of_contents_that_cannot_be_read_is_refused_by_name(tmp_path, content):
    (tmp_path / "_toc.yml").write_text(content)
    with pytest.raises(BuildError, match=r"_toc\.yml cannot be read .*; correct it"):
        Layout(tmp_path).pages()
