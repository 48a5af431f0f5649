import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from demod import data as data_module
from demod.artifacts import read_json, write_json
from demod.data import MNISTUnavailableError
from demod.studies import images as image_study
from demod.training import adversarial, autoencoder
from demod_book import cli
from demod_book.build import build as build_module
from demod_book.build.folders import BuildError
from demod_book.claims.ledger import LEDGER
from demod_book.cli import app

SPLITS = {"train": 6, "test": 4}


def demod(*arguments: str):
    return CliRunner().invoke(app, arguments)


@pytest.fixture
def mnist(monkeypatch):
    """Ten images in place of MNIST."""

    def load(split):
        return np.full((SPLITS[split], 28, 28), 255, np.uint8), np.zeros(SPLITS[split], np.uint8)

    monkeypatch.setattr(data_module, "load_mnist", load)
    monkeypatch.setattr(adversarial, "load_mnist", load)


@pytest.fixture
def no_mnist(monkeypatch):
    def load(split):
        raise MNISTUnavailableError("MNIST was not found; set DEMOD_DATA_DIR.")

    monkeypatch.setattr(data_module, "load_mnist", load)
    monkeypatch.setattr(adversarial, "load_mnist", load)


@pytest.mark.parametrize("arguments", [[], ["build"], ["claims"], ["data"], ["train"]])
def test_help_is_shown_and_succeeds(arguments):
    shown = demod(*arguments, "--help")
    assert shown.exit_code == 0
    assert "Usage: " in shown.output


def test_help_does_not_wait_for_torch():
    code = "import sys; from demod_book.cli import app; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["bake"],
        ["build", "--profile", "fast"],
        ["build", "--jobs", "0"],
        ["build", "--device", "tpu"],
        ["claims", "--group", "X"],
        ["train", "faces"],
    ],
)
def test_a_wrong_command_line_exits_with_2(arguments):
    assert demod(*arguments).exit_code == 2


def test_build_passes_its_options_on(monkeypatch, tmp_path):
    asked = {}
    monkeypatch.setattr(build_module, "build", lambda root, **settings: asked.update(root=root, **settings))
    shown = demod("build", "--profile", "full", "--jobs", "3", "--device", "cpu", "--root", str(tmp_path))
    assert shown.exit_code == 0
    del asked["console"]
    assert asked == {"root": tmp_path, "profile": "full", "jobs": 3, "device": "cpu", "limit": None, "only": None}


def test_a_refused_build_exits_with_1_and_says_why_on_stderr(monkeypatch):
    def refuse(root, **settings):
        raise BuildError("landscape: cell 4 raised ValueError: [no] such thing.")

    monkeypatch.setattr(build_module, "build", refuse)
    shown = demod("build")
    assert shown.exit_code == 1
    assert "cell 4 raised ValueError: [no] such thing." in shown.stderr
    assert shown.stdout == ""


def test_data_reports_both_splits(mnist):
    shown = demod("data")
    assert shown.exit_code == 0
    assert "train: 6 images of 28 × 28 pixels" in shown.stdout
    assert "test: 4 images" in shown.stdout


def test_data_without_mnist_exits_with_1_and_says_what_to_do(no_mnist):
    shown = demod("data")
    assert shown.exit_code == 1
    assert "set DEMOD_DATA_DIR" in shown.stderr


@pytest.mark.parametrize(("name", "pixel"), [("digits", 0.0), ("distortions", None)])
def test_train_trains_and_ships_with_held_out_images(mnist, monkeypatch, tmp_path, name, pixel):
    asked = {}

    def train(images, settings, folder, *, device, compiled):
        asked.update(images=images, settings=settings, folder=folder, device=device, compiled=compiled)
        return "run"

    def ship(name, run, held_out):
        asked.update(name=name, run=run, held_out=held_out)
        return {"representation_error": {"median": 1e-3}}

    monkeypatch.setattr(adversarial, "train", train)
    monkeypatch.setattr(adversarial, "ship", ship)
    assert demod("train", name, "--folder", str(tmp_path), "--device", "cpu").exit_code == 0
    assert asked["settings"] == adversarial.SETTINGS[name]
    assert not asked["compiled"]
    assert asked["folder"] == tmp_path / name
    assert (asked["name"], asked["run"], asked["device"]) == (name, "run", torch.device("cpu"))
    held_out = asked["held_out"]
    assert held_out.shape[1:] == (64, 64)
    assert held_out.min() >= 0
    assert held_out.max() <= 1
    if pixel is not None:  # a digit is inverted: ink 255 becomes black
        assert held_out.unique().tolist() == [pixel]


def test_train_does_not_ship_unless_asked(mnist, monkeypatch, tmp_path):
    monkeypatch.setattr(adversarial, "train", lambda *_, **__: "run")
    monkeypatch.delattr(adversarial, "ship")
    monkeypatch.setattr(adversarial, "ship", None, raising=False)
    assert demod("train", "distortions", "--folder", str(tmp_path), "--no-ship").exit_code == 0


def test_train_takes_other_settings_but_does_not_ship_them(monkeypatch, tmp_path):
    asked = {}

    def train(images, settings, folder, *, device, compiled):
        asked.update(settings=settings, compiled=compiled)

    monkeypatch.setattr(adversarial, "train", train)
    other = ["--base-width", "8", "--steps", "3", "--batch-size", "16", "--seed", "5"]
    refused = demod("train", "distortions", "--folder", str(tmp_path), *other)
    assert refused.exit_code == 1
    assert "add --no-ship" in refused.stderr
    assert asked == {}
    assert demod("train", "distortions", "--folder", str(tmp_path), "--no-ship", "--compile", *other).exit_code == 0
    assert asked["compiled"]
    assert asked["settings"] == replace(adversarial.SETTINGS["distortions"], base_width=8, steps=3, batch_size=16, seed=5)


def test_autoencode_trains_and_ships_with_held_out_images(monkeypatch, tmp_path):
    small = replace(autoencoder.SETTINGS["relu-edge"], widths=(4, 8), steps=3, encoder=8, batch_size=4)
    monkeypatch.setitem(autoencoder.SETTINGS, "relu-edge", small)
    seen = {}

    def ship(name, run, held_out):
        seen.update(name=name, steps=run.step, held_out=held_out.shape)
        return {"representation_error": {"median": 0.25}}

    monkeypatch.setattr(autoencoder, "ship", ship)
    shown = demod("autoencode", "relu-edge", "--folder", str(tmp_path), "--device", "cpu")
    assert shown.exit_code == 0
    assert "relu-edge shipped: median representation error 2.50e-01" in shown.stdout
    assert seen == {"name": "relu-edge", "steps": 3, "held_out": (500, 64, 64)}


def test_an_unknown_prior_is_refused_with_the_known_ones():
    shown = demod("autoencode", "relu-faces")
    assert shown.exit_code == 2
    assert "the priors are digits-tuned, relu-digits, relu-bump" in " ".join(shown.stderr.split())


def test_study_stores_its_cells_with_the_command_that_made_them(monkeypatch, tmp_path):
    cell = {"method": "constant", "family": "edge", "number": 0, "count": 2}
    monkeypatch.setattr(image_study, "study_cells", lambda blocks: [cell])
    output = tmp_path / "study.npz"
    folder = ("--folder", str(tmp_path / "cells"), "--output", str(output), "--jobs", "1")
    assert demod("study", "--blocks", "3", *folder).exit_code == 0
    assert image_study.Study.load(output).cells == [cell]
    assert read_json(output.with_suffix(".json"))["command"] == "demod study --blocks 3"


def test_train_without_mnist_exits_with_1(no_mnist, tmp_path):
    assert demod("train", "digits", "--folder", str(tmp_path)).exit_code == 1


def test_train_on_cuda_is_refused_where_there_is_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    shown = demod("train", "distortions", "--device", "cuda")
    assert shown.exit_code == 1
    assert "use auto or cpu" in shown.stderr


@pytest.fixture
def built(tmp_path):
    """A folder with what the last build left of one chapter: a number, a verdict that holds and one that does not."""
    claims = {
        "F3": {"measured": {"rho_error": 1e-15, "limit": 4e-5, "close_to_one": 0.3183}},
        "L6": {"measured": {"slope": [-0.5, 0.02]}},
    }
    write_json(tmp_path / "_build/html/build.json", {"profile": "quick", "mnist": False, "chapters": ["landscape"]})
    record = {"numbers": {"rho": {"value": 0.5, "text": "0.5"}}, "claims": claims}
    write_json(tmp_path / "_build/numbers/landscape.json", record)
    return tmp_path


def test_claims_shows_what_was_measured_and_the_verdict(built, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")  # so wide that no line is broken
    shown = demod("claims", "--root", str(built))
    assert shown.exit_code == 0
    words = " ".join(shown.stdout.split())
    assert all(f"│ {name} │" in words for name in LEDGER)
    assert "-0.500 ± 0.020 (required -0.65 to -0.35)" in words
    assert "0.318 (required ≥ 0.9: fails)" in words
    assert all(words.count(f" {word} ") >= 1 for word in ("reproduced", "falsified", "not tested"))


def test_claims_shows_one_group(built):
    shown = demod("claims", "--group", "F", "--root", str(built)).stdout
    assert "│ F3 " in shown
    assert "│ L6 " not in shown


def test_claims_of_two_chapters_under_one_id_are_refused(built):
    write_json(built / "_build/html/build.json", {"chapters": ["landscape", "geometry"]})
    shutil.copyfile(built / "_build/numbers/landscape.json", built / "_build/numbers/geometry.json")
    shown = demod("claims", "--root", str(built))
    assert shown.exit_code == 1
    assert "F3 is recorded by landscape and by geometry" in shown.stderr


def test_accept_writes_the_numbers_and_the_verdicts_of_the_last_build(built):
    assert demod("accept", "--root", str(built)).exit_code == 0
    expected = built / "tests/expected"
    assert read_json(expected / "quick-drawn.json") == {"landscape": {"rho": {"value": 0.5, "rtol": 0.05}}}
    assert read_json(expected / "quick-drawn-verdicts.json") == {"F3": "falsified", "L6": "reproduced"}


@pytest.mark.parametrize("command", ["accept", "claims"])
def test_without_a_book_there_is_nothing_to_read(tmp_path, command):
    shown = demod(command, "--root", str(tmp_path))
    assert shown.exit_code == 1
    assert "run `demod build` first" in shown.stderr


@pytest.fixture
def benchmarks(tmp_path, monkeypatch):
    """Two comparisons: one leaves a file, one fails."""
    monkeypatch.setattr(cli, "BENCHMARKS", tmp_path)
    (tmp_path / "fast.py").write_text("from pathlib import Path\nPath(__file__).with_suffix('.json').write_text('{}')\n")
    (tmp_path / "broken.py").write_text("raise SystemExit(3)\n")
    return tmp_path


def test_a_comparison_is_run_by_its_name(benchmarks):
    assert demod("bench", "fast").exit_code == 0
    assert (benchmarks / "fast.json").is_file()


def test_a_comparison_that_fails_fails_the_command(benchmarks):
    shown = demod("bench")
    assert shown.exit_code == 1
    assert "broken ended with status 3" in shown.stderr


def test_a_comparison_that_is_not_there_is_refused_with_those_that_are(benchmarks, tmp_path, monkeypatch):
    shown = demod("bench", "slow")
    assert (shown.exit_code, "there is no comparison slow; there are broken, fast." in shown.stderr) == (2, True)
    monkeypatch.setattr(cli, "BENCHMARKS", tmp_path / "nowhere")
    shown = demod("bench")
    assert (shown.exit_code, "demod is installed without its repository" in shown.stderr) == (1, True)


def test_the_package_is_the_command():
    done = subprocess.run([sys.executable, "-m", "demod", "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "Usage: demod [OPTIONS] COMMAND" in done.stdout
