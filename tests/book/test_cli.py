import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import pytest
import torch
from typer.main import get_command
from typer.testing import CliRunner

from demod import data as data_module
from demod import photo
from demod.arguments import SEEDS
from demod.artifacts import read_json, write_json
from demod.data import MNISTUnavailableError
from demod.studies import blocks as image_blocks
from demod.studies import images as image_study
from demod.training import loop, recipes
from demod_book import cli
from demod_book.build import build as build_module
from demod_book.build.folders import BuildError
from demod_book.claims.ledger import LEDGER
from demod_book.cli import app
from demod_book.terminal import KEPT

COMMANDS = get_command(app).commands
SPLITS = {"train": 6, "test": 4}


def demod(*arguments: str):
    return CliRunner().invoke(app, arguments)


@pytest.fixture
def mnist(monkeypatch):
    """Ten images in place of MNIST."""

    def load(split):
        return np.full((SPLITS[split], 28, 28), 255, np.uint8), np.zeros(SPLITS[split], np.uint8)

    monkeypatch.setattr(data_module, "load_mnist", load)
    monkeypatch.setattr(recipes, "load_mnist", load)


@pytest.fixture
def no_mnist(monkeypatch):
    def load(split):
        raise MNISTUnavailableError("MNIST was not found; set DEMOD_DATA_DIR.")

    monkeypatch.setattr(data_module, "load_mnist", load)
    monkeypatch.setattr(recipes, "load_mnist", load)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_command_has_a_help_that_explains_all_it_takes(command):
    shown = demod(*command.split(), "--help")
    assert shown.exit_code == 0
    assert "Usage: " in shown.output
    described = COMMANDS[command] if command else get_command(app)
    assert len(described.help) > 40
    assert [parameter.name for parameter in described.params if not parameter.help] == []


def bracketed(command):
    """The words in square brackets in all that a command explains."""
    texts = [command.help, *(parameter.help for parameter in command.params)]
    return [found for text in texts if text for found in re.findall(r"\w*\[[^\]]*\]", " ".join(text.split()))]


def test_every_bracket_of_every_help_text_is_shown(monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")
    everything = [found for command in COMMANDS.values() for found in bracketed(command)]
    assert {"[default: one per core]", "[default: NAME-recovered]", "demod[rivals]"} <= set(everything)
    for name, command in COMMANDS.items():
        shown = " ".join(demod(name, "--help").output.split())
        assert [found for found in bracketed(command) if found not in shown] == []


def test_without_a_command_the_help_is_shown_and_the_status_is_2():
    shown = demod()
    assert (shown.exit_code, "Usage: demod" in shown.stdout or "Usage: " in shown.stdout) == (2, True)


def test_the_version_is_that_of_the_package():
    assert (shown := demod("--version")).exit_code == 0
    assert shown.stdout == f"demod {version('demod')}\n"


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
        ["study", "--blocks", "0"],
        ["train"],
        ["recover"],
        ["recover", "a.png", "--iterations", "0"],
        ["recover", "a.png", "--seed", "-1"],
        ["recover", "a.png", "--seed", "9223372036854775808"],
        ["recover", "a.png", "--seed", "99999999999999999999"],
        ["recover", "a.png", "--seed", "1.5"],
        ["claims", "--root", "no such folder"],
        ["compare", "one"],
        ["--verbose"],
    ],
)
def test_a_wrong_command_line_exits_with_2_and_one_line_on_stderr(arguments):
    shown = demod(*arguments)
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert shown.stderr.startswith("demod: ")
    assert shown.stderr.count("\n") == 1
    assert "--help` lists what there is." in shown.stderr


def standing_in(folder, monkeypatch, status=0):
    """Have CHROMIUM name a program that starts, or does not."""
    program = folder / "browser"
    program.write_text(f"#!/bin/sh\nexit {status}\n")
    program.chmod(0o755)
    monkeypatch.setenv("CHROMIUM", str(program))
    return program


def test_without_a_browser_the_book_is_not_printed_and_the_remedy_is_told(tmp_path, monkeypatch):
    program = standing_in(tmp_path, monkeypatch, status=1)
    shown = demod("pdf", "--root", str(tmp_path))
    assert (shown.exit_code, shown.stdout) == (1, "")
    assert shown.stderr.startswith(f"demod: CHROMIUM names {program}, which does not start: run 'apt-get install chromium'")


def test_a_book_that_is_not_built_is_not_printed(tmp_path, monkeypatch):
    standing_in(tmp_path, monkeypatch)
    shown = demod("pdf", "--root", str(tmp_path))
    assert (shown.exit_code, shown.stdout) == (1, "")
    assert shown.stderr == "demod: there is no finished book yet; run `demod build` until it ends without an error.\n"


def test_the_command_takes_the_seeds_that_the_package_takes():
    assert cli.LAST_SEED == SEEDS - 1


def test_a_command_that_is_stopped_says_what_is_kept(monkeypatch, tmp_path):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(build_module, "build", stop)
    monkeypatch.setattr(photo, "recover_picture", stop)
    monkeypatch.setattr(data_module, "load_mnist", stop)
    for arguments, kept in (
        (["build"], "the last good book is as it was"),
        (["recover", str(tmp_path / "a.png")], "nothing was written"),
        (["data"], "files that came whole are kept"),
    ):
        shown = demod(*arguments)
        assert shown.exit_code == 130
        assert shown.stderr.startswith(f"demod: {arguments[0]} was stopped: {kept}")
        assert shown.stderr.count("\n") == 1


def test_of_every_command_it_is_said_what_is_kept():
    assert KEPT.keys() == COMMANDS.keys()


def test_what_the_system_refuses_is_one_line(monkeypatch):
    def refuse(split):
        raise PermissionError(13, "Permission denied", "/precious")

    monkeypatch.setattr(data_module, "load_mnist", refuse)
    shown = demod("data")
    assert (shown.exit_code, shown.stdout) == (1, "")
    assert shown.stderr == "demod: [Errno 13] Permission denied: '/precious'.\n"


@pytest.mark.parametrize("chapter", ["landscape", "landscape.ipynb", "chapters/landscape.ipynb", "./chapters/landscape"])
def test_a_chapter_is_named_by_its_slug_or_its_file(monkeypatch, chapter):
    asked = {}
    monkeypatch.setattr(build_module, "build", lambda root, **settings: asked.update(settings))
    assert demod("build", "--chapter", chapter).exit_code == 0
    assert asked["only"] == "landscape"


# The command as a process


def process(*arguments, stdin=None, **environment):
    """Run the command as its users do, in an environment of its own."""
    kept = {name: value for name, value in os.environ.items() if name not in environment}
    given = {name: value for name, value in environment.items() if value is not None}
    command = [sys.executable, "-m", "demod_book", *arguments]
    return subprocess.run(command, capture_output=True, check=False, env=kept | given, cwd=environment.get("PWD"))


ASCII = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize("arguments", [["--help"], ["recover", "--help"], ["claims", "--root", "."]])
def test_on_a_terminal_of_ascii_other_characters_are_replaced(built, arguments):
    done = process(*arguments, **ASCII, PWD=str(built))
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode("ascii")
    assert "recover" not in arguments or b"64 ? 64 pixels" in b" ".join(done.stdout.split())


@pytest.mark.parametrize("environment", [{"HOME": None}, {"HOME": "/dev/null"}, {"TERM": "dumb"}, {"NO_COLOR": "1"}])
def test_help_needs_nothing_of_its_surroundings(environment):
    done = process("recover", "--help", COLUMNS="30", **environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\x1b" not in done.stdout
    assert max(map(len, done.stdout.decode().split("\n"))) <= 80


@pytest.mark.parametrize("arguments", ["--help", "claims --root .", "claims --help"])
def test_a_reader_that_goes_away_is_no_error(built, arguments):
    command = f'"{sys.executable}" -m demod_book {arguments} | head -n 1 | cut -c 1'
    done = subprocess.run(command, shell=True, capture_output=True, check=False, cwd=built)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_stream_that_is_closed_is_no_error(built, closed):
    command = f'"{sys.executable}" -m demod_book claims --root . {closed}'
    done = subprocess.run(command, shell=True, capture_output=True, check=False, cwd=built)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("name", ["my book", "Bücher", "a#b%20c", "[red]x[/red]"])
def test_folders_of_any_name_are_taken_and_shown_as_they_are(built, tmp_path_factory, name):
    root = tmp_path_factory.mktemp("odd") / name
    shutil.copytree(built, root)
    assert demod("claims", "--root", str(root)).exit_code == 0
    assert demod("accept", "--root", str(root)).exit_code == 0
    output = root.parent / f"{name}.json"
    (root / "_build/figures/landscape").mkdir(parents=True, exist_ok=True)
    refused = demod("compare", str(root), str(root / "nowhere"), "--output", str(output))
    assert refused.exit_code == 2
    assert name in refused.stderr


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


@pytest.fixture
def trained(monkeypatch):
    """What `demod train` asks of the loop and ships, in place of hours of training."""
    asked = {}

    def train(run, folder):
        asked.update(run=run, settings=run.settings, folder=folder, device=run.device)
        return run

    def ship(name, run, held_out):
        assert run is asked["run"]
        asked.update(name=name, held_out=held_out)
        return {"representation_error": {"median": 0.25}}

    monkeypatch.setattr(loop, "train", train)
    monkeypatch.setattr(recipes, "ship", ship)
    return asked


@pytest.mark.parametrize(
    ("name", "held_out", "pixels"),
    [("digits", 4, [0.0]), ("distortions", 64, None), ("digits-tuned", 4, [0.0]), ("relu-digits", 4, [0.0]),
     ("relu-edge", 500, None)],
)  # fmt: skip
def test_train_trains_and_ships_with_held_out_images(mnist, trained, tmp_path, name, held_out, pixels):
    shown = demod("train", name, "--folder", str(tmp_path), "--device", "cpu")
    assert shown.exit_code == 0
    assert f"{name} shipped: median representation error 2.50e-01" in shown.stdout
    assert trained["settings"] == recipes.RECIPES[name].settings
    assert trained["folder"] == tmp_path / name
    assert (trained["name"], trained["device"]) == (name, torch.device("cpu"))
    assert trained["held_out"].shape == (held_out, 64, 64)
    assert 0 <= trained["held_out"].min() <= trained["held_out"].max() <= 1
    if pixels is not None:  # a digit is inverted: ink 255 becomes black
        assert trained["held_out"].unique().tolist() == pixels


def test_train_ships_an_encoder_with_signals_and_modulators_that_it_never_saw(mnist, trained, tmp_path, monkeypatch):
    pairs = torch.rand(2, 128, 64, 64)
    asked = []
    monkeypatch.setattr(recipes, "mnist_problems", lambda *numbers: asked.append(numbers) or tuple(pairs))
    monkeypatch.setattr(recipes, "shipped_as", lambda card: "as it is")
    shown = demod("train", "relu-encoder", "--folder", str(tmp_path), "--device", "cpu")
    assert shown.exit_code == 0
    assert "relu-encoder shipped: as it is" in shown.stdout
    assert trained["settings"] == recipes.RECIPES["relu-encoder"].settings
    assert asked == [(5000, 128)]
    assert torch.equal(trained["held_out"], pairs)


def test_train_does_not_ship_unless_asked(trained, tmp_path):
    assert demod("train", "distortions", "--folder", str(tmp_path), "--no-ship").exit_code == 0
    assert "name" not in trained


def test_train_takes_other_settings_but_does_not_ship_them(trained, tmp_path, monkeypatch):
    other = ["--base-width", "8", "--steps", "3", "--batch-size", "16", "--seed", "5"]
    refused = demod("train", "distortions", "--folder", str(tmp_path), *other)
    assert refused.exit_code == 1
    assert "add --no-ship" in refused.stderr
    assert trained == {}
    assert demod("train", "distortions", "--folder", str(tmp_path), "--no-ship", *other).exit_code == 0
    standard = recipes.RECIPES["distortions"].settings
    assert trained["settings"] == replace(standard, base_width=8, steps=3, batch_size=16, seed=5)


def test_train_compiles_where_it_is_asked_to(trained, tmp_path, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda network: compiled.append(network))
    assert demod("train", "distortions", "--folder", str(tmp_path), "--no-ship", "--compile").exit_code == 0
    assert compiled == [trained["run"].G, trained["run"].D]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["relu-faces"], "the priors that can be trained are digits, distortions, digits-tuned, relu-digits, relu-bump"),
        (["distortions", "--seed", "99999999999999999999"], "seed is 99999999999999999999, but it must be less than 2**63"),
        (["distortions", "--seed", "-1"], "seed is -1, but it must be at least 0"),
        (["relu-edge", "--base-width", "8"], "base_width: only the training of a DCGAN has this setting"),
    ],
)
def test_what_cannot_be_trained_is_refused_with_what_can(trained, arguments, message):
    shown = demod("train", *arguments)
    assert shown.exit_code == 2
    assert message in " ".join(shown.stderr.split())
    assert trained == {}


@pytest.fixture
def one_task(monkeypatch):
    """A study of a single trivial task, on digits in place of MNIST's."""
    task = image_study.ImageTask("constant", "edge", 0, 2)
    monkeypatch.setattr(image_study, "study_tasks", lambda blocks: [task])
    monkeypatch.setattr(image_blocks, "mnist_available", lambda: True)
    for module in (image_blocks, image_study):
        monkeypatch.setattr(module, "load_mnist", lambda split: (np.full((10_000, 28, 28), 9, np.uint8), None))
    return task


def study(tmp_path, *arguments):
    return demod("study", "--folder", str(tmp_path / "tasks"), "--output", str(tmp_path / "study.npz"), *arguments)


def test_study_stores_its_tasks_with_the_command_that_made_them_and_its_data(one_task, tmp_path):
    assert study(tmp_path, "--blocks", "3", "--jobs", "1").exit_code == 0
    assert image_study.Study.load(tmp_path / "study.npz").tasks == [one_task]
    card = read_json(tmp_path / "study.json")
    assert card["command"] == "demod study --blocks 3"
    assert list(card["data"]) == ["MNIST test digits"]


def test_study_without_mnist_is_refused_and_leaves_the_stored_one(one_task, tmp_path, monkeypatch):
    def load(split):
        raise MNISTUnavailableError("MNIST was not found; set DEMOD_DATA_DIR.")

    monkeypatch.setattr(image_study, "load_mnist", load)
    (tmp_path / "study.npz").write_bytes(b"stored")
    shown = study(tmp_path)
    assert shown.exit_code == 1
    assert "set DEMOD_DATA_DIR" in shown.stderr
    assert (tmp_path / "study.npz").read_bytes() == b"stored"


def test_study_with_no_jobs_is_refused(one_task, tmp_path):
    shown = study(tmp_path, "--jobs", "0")
    assert shown.exit_code == 2
    assert "jobs is 0, but at least one task must run at a time" in " ".join(shown.stderr.split())


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
        "F3": {"measured": {"close_to_one": 0.3183}},
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
    assert "-0.500 ± 0.020 (required ≤ 0)" in words
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
    assert "run `demod build` until it ends" in shown.stderr


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
