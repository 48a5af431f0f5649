"""What a build does when the machine, a chapter or a person fails it. The books are those of `fixture_book`."""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from fixture_book import CLAIM, DRAWN, FIGURE, PARAMETERS, ROOT, TEXT, arrays, code, contents, notebook, run, write_book

from demod import data as data_module
from demod.artifacts import read_json, write_json
from demod_book.build import build as build_module
from demod_book.build import folders as layout_module
from demod_book.build import run as run_module
from demod_book.build.build import CARD
from demod_book.build.folders import BuildError, Layout, sources, steady_sources
from demod_book.build.notebooks import PRINTED, check_run
from demod_book.build.run import Job, _refuse_unless_sound
from demod_book.build.texts import expressions
from demod_book.build.worker import MODULE
from demod_book.pages.html import check_html

BUILD = "from demod_book.cli import app; app()"
PATIENCE = 300  # seconds for what takes a few, on a machine that does other things as well


def start(root: Path, *, before: str = "") -> subprocess.Popen:
    """Start `demod build` in a process group of its own; `before` is Python that it runs first."""
    command = [sys.executable, "-c", f"{before}\n{BUILD}", "build", "--device", "cpu", "--root", str(root)]
    return subprocess.Popen(
        command, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen) -> tuple[int, str]:
    """Return the exit status of a build and what it said on stderr, on one line."""
    _, said = process.communicate(timeout=PATIENCE)
    return process.returncode, " ".join(said.split())


def assert_same(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> None:
    assert left.keys() == right.keys()
    for name in left:
        assert left[name].tobytes() == right[name].tobytes(), name


# Killed builds


def edition(number: int) -> list[dict]:
    """The chapters with a comment that makes them stale; their figures stay the same."""
    mark = code(f"# edition {number}")
    return [notebook("steady", FIGURE, TEXT, CLAIM, mark), notebook("other", DRAWN, mark)]


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.nightly)])
def test_killed_builds_tear_no_book_and_change_no_array(tmp_path, kills):
    root = write_book(tmp_path, *edition(0))
    began = time.monotonic()
    assert finish(start(root)) == (0, "")
    seconds, first = time.monotonic() - began, arrays(root)
    names, last, html = contents(root / "_build/html").keys(), contents(root / "_build/html"), root / "_build/html"
    moments, killed, number = random.Random(2019), 0, 0
    while killed < kills:
        if killed % 3 == 0:  # the builds in between go on where the killed one stopped
            number += 1
            write_book(root, *edition(number))
        process = start(root)
        try:
            process.communicate(timeout=moments.uniform(0, seconds))
            killed += process.returncode != 0
            write_book(root, *edition(number := number + 1))
        except subprocess.TimeoutExpired:
            killed += 1
            kill = os.killpg if killed % 2 else os.kill  # the build with all it started, or the build alone
            kill(process.pid, signal.SIGKILL)
            process.communicate()
        book = html if html.exists() else html.with_name("html.previous")  # killed between two renames
        now = contents(book)
        if now != last:
            assert now.keys() == names
            assert now[CARD] != last[CARD]
            assert check_html(book) == []
            last = now
        if killed % 10 == kills % 10:
            assert finish(start(root)) == (0, "")
            assert_same(arrays(root), first)
            last = contents(html)
    assert contents(html).keys() == names
    left = {path.name for path in (root / "_build").iterdir()} - {"running"}  # there only if the last build ran a chapter
    assert left == {"html", "executed", "figures", "numbers", "stage", "copies", "lock"}
    assert list((root / "_build").glob("running/*")) == []


HANGS = """from pathlib import Path
import os, time
Path(os.environ["DEMOD_FIGURES"], "pid").write_text(str(os.getpid()))
time.sleep(600)"""


def wait_for(found, what: str):
    """Return what `found` returns once it is true."""
    end = time.monotonic() + PATIENCE
    while not (result := found()):
        assert time.monotonic() < end, f"there is no {what}"
        time.sleep(0.1)
    return result


def test_a_second_build_is_refused_and_a_killed_one_leaves_no_chapter_at_work(tmp_path):
    root = write_book(tmp_path, notebook("slow", code(HANGS)))
    process = start(root)
    pid = wait_for(lambda: next(root.glob("_build/running/*/figures/pid"), None), "running chapter")
    kernel = psutil.Process(int(wait_for(pid.read_text, "process number")))
    status, said = finish(start(root))
    assert status == 1
    assert f"Another build of {root} is running; wait for it, or stop it." in said
    process.kill()
    process.communicate()
    wait_for(lambda: not kernel.is_running() or kernel.status() == psutil.STATUS_ZOMBIE, "end of the kernel")
    assert (root / "_build/lock").exists()  # a stale lock file locks nothing
    write_book(root, notebook("slow", DRAWN))
    run(root)
    assert arrays(root).keys() == {"drawn/x", "drawn/y"}


def test_a_worker_ends_with_the_build_that_holds_its_input():
    command = [sys.executable, "-m", MODULE, "time:sleep"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as worker:
        worker.stdin.close()
        assert worker.wait(PATIENCE) != 0


def test_a_build_stopped_by_sigterm_stops_its_chapters(tmp_path):
    root = write_book(tmp_path, notebook("slow", code(HANGS)))
    process = start(root)
    pid = wait_for(lambda: next(root.glob("_build/running/*/figures/pid"), None), "running chapter")
    kernel = psutil.Process(int(wait_for(pid.read_text, "process number")))
    process.terminate()
    process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    wait_for(lambda: not kernel.is_running() or kernel.status() == psutil.STATUS_ZOMBIE, "end of the kernel")


# Chapters that misbehave


def test_a_chapter_that_hangs_is_stopped_with_the_cell_and_the_remedy(tmp_path):
    root = write_book(tmp_path, notebook("slow", DRAWN, code(HANGS)))
    with pytest.raises(BuildError, match=r"slow: cell 5 was stopped after 20 s; .*--limit MINUTES`\. .*slow\.failed\.ipynb"):
        run(root, limit=20)
    assert list(root.glob("_build/executed/*.ipynb")) == [root / "_build/executed/slow.failed.ipynb"]


TAKEN = "zmq.error.ZMQError: Address already in use\nRuntimeError: Kernel died before replying to kernel_info"
UNLUCKY = f"""import os, pathlib, sys
starts = pathlib.Path(os.environ["STARTS"])
starts.write_text(starts.read_text() + "x")
if len(starts.read_text()) <= int(os.environ["UNLUCKY"]):
    pathlib.Path("notebook.ipynb").write_bytes(pathlib.Path("source.ipynb").read_bytes())
    sys.exit({TAKEN!r})
os.execv(sys.executable, [sys.executable, "-m", "{MODULE}", "papermill.cli:papermill", *sys.argv[1:]])
"""


@pytest.fixture
def unlucky(tmp_path, monkeypatch):
    """A function that builds a book whose kernel finds its ports taken so often, and returns how often it was started."""
    (tmp_path / "unlucky.py").write_text(UNLUCKY)
    starts = tmp_path / "starts"
    monkeypatch.setattr(run_module, "PAPERMILL", (sys.executable, str(tmp_path / "unlucky.py")))
    monkeypatch.setenv("STARTS", str(starts))

    def build(times: int) -> int:
        starts.write_text("")
        monkeypatch.setenv("UNLUCKY", str(times))
        run(write_book(tmp_path / "book", notebook("other", DRAWN)))
        return len(starts.read_text())

    return build


def test_a_kernel_whose_ports_were_taken_is_started_again(unlucky):
    assert unlucky(1) == 2


def test_a_kernel_whose_ports_are_always_taken_is_given_up(unlucky):
    with pytest.raises(BuildError, match=r"other: its kernel did not start in 3 attempts: other programs took its ports"):
        unlucky(99)


def test_a_chapter_that_prints_megabytes_is_refused():
    cell = code("…", papermill={"status": "completed"}) | {"execution_count": 1}
    printed = [{"output_type": "stream", "name": "stdout", "text": "x" * PRINTED}]
    figure = [{"output_type": "display_data", "data": {"text/html": "x" * 3 * PRINTED}}]
    assert check_run({"cells": [cell | {"outputs": printed + figure}]}) == []
    (problem,) = check_run({"cells": [cell | {"outputs": printed * 30}]})
    assert problem == "cell 1 printed 3.0 million characters, more than a page can show; print less, or draw a figure"


WRITES = """from pathlib import Path
Path("beside.csv").write_text("1,2")
Path({root!r}, "chapters/stray.csv").write_text("1,2")"""


def test_a_chapter_writes_into_a_folder_of_its_own_and_nothing_among_the_sources(tmp_path):
    root = write_book(tmp_path, notebook("other", code(WRITES.format(root=str(tmp_path)))))
    with pytest.raises(BuildError, match=r"^chapters/stray\.csv changed while the chapters ran\. .*chapter\.figure"):
        run(root)
    assert not list(root.rglob("beside.csv"))  # it went with the folder of the run
    assert not (root / "_build/html").exists()
    run(root)  # the file is there now, and nothing writes it


def test_a_chapter_that_prints_without_end_is_refused_by_name_and_its_page_not_made(tmp_path):
    root = write_book(tmp_path, notebook("loud", code('print("x" * 5_000_000)')))
    with pytest.raises(BuildError, match=r"loud: cell 4 printed 5\.0 million characters"):
        run(root)


def test_sources_are_compared_by_time_and_size_but_products_hidden_files_and_what_is_no_part_of_the_book_are_not(tmp_path):
    beside = ("tests/x.py", "benchmarks/x.py", "binder/x.yml", "dist/x.whl", "build/lib/x.py")
    for name in ("chapters/a.ipynb", "_build/html/index.html", "demod/__pycache__/x.pyc", ".git/index", ".swp", *beside):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("one")
    assert sources(tmp_path).keys() == {"chapters/a.ipynb"}
    told = r"chapters/a\.ipynb changed while the chapters ran\. If you did it, build again"
    with pytest.raises(BuildError, match=told), steady_sources(tmp_path):
        (tmp_path / "chapters/a.ipynb").write_text("three")


@pytest.mark.parametrize("content", ["", '{"cells": [', "[]"])
def test_a_source_that_is_no_whole_notebook_is_refused_by_name(tmp_path, content):
    root = write_book(tmp_path, notebook("torn"))
    (root / "chapters/torn.ipynb").write_text(content)
    with pytest.raises(BuildError, match=r"torn\.ipynb is (not complete|not a notebook of format 4)"):
        run(root)


@pytest.fixture
def ended(tmp_path):
    """A function that says how the build refuses a run of which these files are left."""
    layout = Layout(tmp_path)
    chapter = Job("steady", tmp_path / "chapters/steady.ipynb", PARAMETERS, {})

    def refusal(left: str, log: str, status: int = 1) -> str:
        (layout.running / "steady-x").mkdir(parents=True)
        (layout.running / "steady-x/notebook.ipynb").write_text(left)
        (layout.running / "steady-x/papermill.log").write_text(log)
        with pytest.raises(BuildError) as error:
            _refuse_unless_sound(chapter, layout, layout.running / "steady-x", status)
        return str(error.value)

    return refusal


@pytest.mark.parametrize("left", ["", '{"cells": ['])
def test_a_run_whose_notebook_was_cut_off_by_a_full_disk_says_so(ended, left):
    message = ended(left, "OSError: [Errno 28] No space left on device: 'notebook.ipynb'")
    assert message.startswith("steady: ")
    assert "There is no space to write to: free some" in message


@pytest.mark.parametrize("content", ["", '{"ingredients": {', "{}"])
def test_a_card_that_is_not_whole_makes_its_chapter_run_again(book, content):
    layout = Layout(book)
    ingredients = read_json(layout.executed / "steady.json")["ingredients"]
    chapter = Job("steady", book / "chapters/steady.ipynb", PARAMETERS, ingredients)
    assert chapter.reasons(layout) == []
    card = layout.executed / "steady.json"
    kept = card.read_bytes()
    try:
        card.write_text(content)
        assert chapter.reasons(layout) != []
    finally:
        card.write_bytes(kept)


# Disks and folders

CALLS = {"lock": (layout_module, "FileLock"), "stage": (build_module, "stage"), "swap": (build_module, "replace_folder")}


@pytest.mark.parametrize(
    ("number", "hint", "place"),
    [
        (errno.ENOSPC, "There is no space to write to: free some", "swap"),
        (errno.ENOSPC, "There is no space to write to: free some", "stage"),
        (errno.EDQUOT, "There is no space to write to: free some", "lock"),
        (errno.EROFS, "make that folder writable", "lock"),
        (errno.EACCES, "make that folder writable", "stage"),
        (errno.EIO, "The last good book, if there is one, is as it was", "lock"),
    ],
)
def test_what_the_system_refuses_is_told_with_a_remedy_and_leaves_the_good_book(book, monkeypatch, place, number, hint):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number), "_build/x")

    before = contents(book / "_build/html")
    if place == "swap":  # a book that is to be rendered anew
        stamp = book / "_build/html" / CARD
        kept = stamp.read_bytes()
        write_json(stamp, read_json(stamp) | {"key": "another"})
    monkeypatch.setattr(*CALLS[place], refuse)
    try:
        with pytest.raises(BuildError, match=f"{os.strerror(number)}.*{hint}"):
            run(book)
    finally:
        if place == "swap":
            stamp.write_bytes(kept)
    assert contents(book / "_build/html") == before


SMALL_FILES = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))"
LARGE = code("""import torch
from demod_book.figures.style import canvas
fig, ax = canvas()
chapter.figure(fig, "large", x=torch.randn(200_000, generator=chapter.rng(), dtype=torch.float64))""")


@pytest.mark.parametrize(
    ("cell", "where"), [(LARGE, "other: cell 4 raised OSError: [Errno 27] File too large"), (DRAWN, "File too large")]
)
def test_a_real_limit_of_the_system_stops_a_chapter_or_the_staging_and_the_next_build_succeeds(tmp_path, cell, where):
    root = write_book(tmp_path, notebook("other", cell))
    status, said = finish(start(root, before=SMALL_FILES))
    assert status == 1
    assert where in said
    assert "There is no space to write to: free some" in said
    assert "Traceback" not in said
    assert not (root / "_build/html").exists()
    assert finish(start(root)) == (0, "")


def test_a_product_folder_that_is_a_file_is_refused_by_name(tmp_path):
    root = write_book(tmp_path, notebook("steady"))
    (root / "_build").write_text("not a folder")
    with pytest.raises(BuildError, match="_build"):
        run(root)


# Data


@pytest.mark.parametrize("damage", [b"<html>not found</html>", b"\x1f\x8b\x08\x00"])
def test_a_damaged_file_of_mnist_stops_the_build_before_anything_runs(tmp_path, monkeypatch, damage):
    folder = tmp_path / "mnist"
    folder.mkdir()
    for name in data_module.MNIST_SHA256:
        (folder / f"{name}.gz").write_bytes(damage)
    monkeypatch.setenv("DEMOD_DATA_DIR", str(folder))
    root = write_book(tmp_path / "book", notebook("images", code("from demod.data import load_mnist")))
    with pytest.raises(BuildError, match=r"mnist/t10k.*\.gz is not a complete gzip file .*; delete it, and it is down"):
        run(root)
    assert not (root / "_build/executed").exists()


def trial(root: Path) -> dict:
    """The template, begun as the chapter `trial` by `make chapter`."""
    shutil.copytree(ROOT / "templates", root / "templates")
    (root / "chapters").mkdir()
    for file in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copyfile(ROOT / file, root / file)
    make = ["make", "--no-print-directory", "chapter", "NAME=trial"]
    done = subprocess.run(make, cwd=root, capture_output=True, text=True, check=True)
    assert "'.venv/bin/demod build --chapter trial' runs it alone" in done.stdout
    assert subprocess.run(make, cwd=root, capture_output=True, check=False).returncode != 0  # never over a chapter
    assert subprocess.run([*make[:-1], "NAME=../x"], cwd=root, capture_output=True, check=False).returncode != 0
    return json.loads((root / "chapters/trial.ipynb").read_text())


def test_a_chapter_begun_from_the_template_runs_alone_and_under_plain_papermill(tmp_path):
    chapter = trial(tmp_path)
    chapter["cells"][0]["source"] = "# The chapter trial"
    other = notebook("other", code("raise RuntimeError('not asked for')"))
    root = write_book(tmp_path, chapter, other)
    with pytest.raises(BuildError, match=r'trial\.ipynb: "Say what is drawn and why .*" is what the template says'):
        run(root, only="trial")
    for cell in chapter["cells"][1:]:
        cell["metadata"].pop("mystnb", None)
        if cell["cell_type"] == "markdown":
            cell["source"] = "".join(cell["source"])
            cell["source"] = " of ".join(f"{{eval}}`{expression}`" for expression in expressions(cell))
    write_book(root, chapter, other)
    assert "trial unchanged" in run(root, only="trial")  # new prose runs nothing
    assert {path.name for path in (root / "_build/executed").iterdir()} == {"trial.ipynb", "trial.json"}
    assert arrays(root)["residuals/residual"].shape == (1001, 20)
    assert not (root / "_build/html").exists()
    with pytest.raises(BuildError, match=r"There is no chapter trail; _toc\.yml lists trial, other"):
        run(root, only="trail")
    plain = [sys.executable, "-m", "papermill", "chapters/trial.ipynb", "out.ipynb", "-p"]
    subprocess.run([*plain, "seed", "7"], cwd=root, capture_output=True, check=True)
    refused = subprocess.run([*plain, "profil", "full"], cwd=root, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "papermill was given profil, but the notebook's parameters are profile, device, seed;" in refused.stderr
    record = read_json(root / "_build/numbers/trial.json")
    assert (record["seed"], record["profile"]) == (7, "quick")


def test_without_mnist_the_book_is_built_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(build_module, "mnist_available", lambda: False)
    root = write_book(tmp_path, notebook("images", code("from demod.data import load_mnist")))
    run(root)
    assert read_json(root / "_build/html" / CARD)["mnist"] is False
