"""The build, on small books of its own. A chapter that runs costs seconds, so the books that run are shared."""

import os
import shutil
from io import StringIO
from pathlib import Path

import pytest
from fixture_book import CLAIM, FIGURE, PARAMETERS, ROOT, TEXT, code, contents, notebook, prose, run, write_book
from nbformat.v4 import to_notebook
from rich.console import Console
from typer.testing import CliRunner

from demod.artifacts import load_arrays, read_json, write_json
from demod.sources import reached_modules
from demod_book.build import build as module
from demod_book.build.build import CARD
from demod_book.build.cache import PACKAGES, changed, chapter_ingredients
from demod_book.build.folders import BuildError, Layout, only_build, recover_folder, replace_folder
from demod_book.build.notebooks import check_run, check_source, read_notebook
from demod_book.build.schedule import Terminal
from demod_book.cli import app
from demod_book.expected.numbers import accept, compare, corrected, results_block

CONSOLE = Console(file=StringIO())


# A whole build


def test_figure_files_numbers_and_provenance_are_complete(book):
    files = {path.name for path in (book / "_build/figures/steady").iterdir()}
    assert files == {f"figure-1b.{ending}" for ending in ("svg", "png", "npz", "json")}
    assert {path.name for path in (book / "_build/html/figures/steady").iterdir()} == files
    arrays, card = load_arrays(book / "_build/figures/steady/figure-1b.npz")
    assert arrays["f"].tolist() == [1, 2]
    assert (card["chapter"], card["profile"], card["seed"], card["data"]) == ("steady", "quick", 2019, ["made-up data"])
    assert read_json(book / "_build/numbers/steady.json")["numbers"]["answer"] == {"value": 42, "text": "42"}


@pytest.mark.parametrize("folder", ["executed", "figures", "numbers"])
def test_products_can_be_read_by_whom_the_umask_lets(book, folder):
    os.umask(umask := os.umask(0o022))
    paths = [book / "_build" / folder, *(book / "_build" / folder).rglob("*")]
    wrong = [path for path in paths if path.stat().st_mode & 0o777 != (0o777 if path.is_dir() else 0o666) & ~umask]
    assert wrong == []


def test_nothing_changed_nothing_runs(book):
    before = contents(book / "_build")
    shown = run(book)
    assert "steady unchanged" in shown
    assert "other unchanged" in shown
    assert "the book is unchanged" in shown
    now = contents(book / "_build")
    assert {name: now[name] for name in before} == before


BROKEN = {
    "raises": ("raise RuntimeError('no such thing')", "cell 4 raised RuntimeError: no such thing"),
    "exits": ("import sys\nsys.exit(0)", "cell 4 raised SystemExit: 0"),
    "dies": ("import os\nos.kill(os.getpid(), 9)", "its kernel died"),
    "prints": (
        "from traceback import print_exc\ntry:\n    1 / 0\nexcept ArithmeticError:\n    print_exc()",
        "printed a traceback",
    ),
    "warns": ("import warnings\nwarnings.warn('beware')", "UserWarning: beware"),
}


@pytest.fixture(scope="module")
def refusal(book):
    """What the build says to a book with five broken chapters, and the good book before and after."""
    shutil.copytree(book, root := book.with_name("broken"))
    before = contents(root / "_build/html")
    broken = [notebook(slug, code(source)) for slug, (source, _) in BROKEN.items()]
    write_book(root, notebook("steady", FIGURE, TEXT, CLAIM), notebook("other"), *broken)
    with pytest.raises(BuildError) as error:
        run(root)
    return str(error.value), before, root


@pytest.mark.parametrize("slug", BROKEN)
def test_a_broken_chapter_is_refused_with_the_reason_and_the_notebook(refusal, slug):
    message, _, root = refusal
    line = next(line for line in message.split("\n") if line.startswith(f"{slug}: "))
    assert BROKEN[slug][1] in line
    assert f"_build/executed/{slug}.failed.ipynb" in line
    assert (root / f"_build/executed/{slug}.failed.ipynb").is_file()
    assert not (root / f"_build/executed/{slug}.ipynb").exists()
    assert not (root / f"_build/figures/{slug}").exists()


def test_a_refused_build_leaves_the_good_book_to_the_byte(refusal):
    _, before, root = refusal
    assert contents(root / "_build/html") == before


def test_an_edited_chapter_runs_alone_and_edited_prose_runs_nothing(book):
    root = shutil.copytree(book, book.with_name("edited"))
    write_book(root, notebook("steady", FIGURE, TEXT, CLAIM, prose("More prose.")), notebook("other", code("1 + 1")))
    shown = run(root)
    assert "steady unchanged" in shown
    assert "… other: code" in shown
    assert "More prose." in (root / "_build/html/chapters/steady.html").read_text()


def test_a_warning_of_jupyter_book_fails_the_build_and_leaves_the_good_book(book):
    root = shutil.copytree(book, book.with_name("warned"))
    before = contents(root / "_build/html")
    write_book(root, notebook("steady", FIGURE, TEXT, CLAIM, prose("See {ref}`question`.")), notebook("other"))
    with pytest.raises(BuildError, match=r"chapters/steady.ipynb.*question"):
        run(root)
    assert contents(root / "_build/html") == before


# Before a notebook runs


@pytest.mark.parametrize("line", ["!false", "status = !false", "%%bash\nfalse", "%%sh\nfalse"])
def test_a_call_of_the_shell_is_refused_before_anything_runs(tmp_path, line):
    root = write_book(tmp_path, notebook("shell", code(line)))
    with pytest.raises(BuildError, match=r"shell: cell 4 calls the shell"):
        run(root)
    assert not (tmp_path / "_build/executed").exists()


def test_an_unknown_parameter_is_refused_before_anything_runs(tmp_path):
    content = notebook("parameters")
    content["cells"][1]["source"] = 'profile = "quick"\nseed = 2019'
    with pytest.raises(BuildError, match=r"parameters: device is not assigned in the cell tagged"):
        run(write_book(tmp_path, content))


@pytest.mark.parametrize("tags", [[[], []], [["parameters"], ["parameters"]]])
def test_one_cell_and_only_one_is_tagged_parameters(tags):
    cells = [code("profile = device = seed = 0", tags=tag) for tag in tags]
    assert "cells are tagged" in check_source({"cells": cells}, PARAMETERS)[0]


def test_a_cell_that_is_not_python_is_refused():
    assert "cell 4 is not Python" in check_source(notebook("x", code("for x in:")), PARAMETERS)[0]


def test_a_sound_source_is_not_refused():
    assert check_source(notebook("x", code("%precision 3\nx = 1  # not !false")), PARAMETERS) == []


# After it ran


def ran(**changes) -> dict:
    cell = code("1 + 1", papermill={"status": "completed"}) | {"execution_count": 1} | changes
    return to_notebook({"cells": [cell], "metadata": {}})


def stream(name: str, *lines: str) -> list[dict]:
    return [{"output_type": "stream", "name": name, "text": list(lines)}]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"execution_count": None}, "did not run"),
        ({"metadata": {"papermill": {"status": "pending"}}}, "ended with status 'pending'"),
        ({"metadata": {}}, "ended with status None"),
        ({"outputs": [{"output_type": "error", "ename": "KeyError", "evalue": "'x'"}]}, "raised KeyError: 'x'"),
        ({"outputs": stream("stdout", "\x1b[31mTraceback\x1b[39m (most recent", " call last)")}, "printed a traceback"),
        (
            {"outputs": stream("stderr", "x.py:3: UserWarning: beware\n", "  x = 1")},
            "warned: x.py:3: UserWarning: beware",
        ),
        (
            {"outputs": [{"output_type": "display_data", "data": {"text/html": "Traceback (most recent call last)"}}]},
            "printed a traceback",
        ),
    ],
)
def test_an_unsound_run_is_recognised(changes, problem):
    assert check_run(ran(**changes)) == [f"cell 1 {problem}"]


def test_a_sound_run_with_a_progress_bar_is_accepted():
    assert check_run(ran(outputs=stream("stderr", "100%|███| 500/500"))) == []


# The cache


@pytest.fixture
def package(tmp_path):
    """A small package named demod: chapters import solver, which imports base; face is for itself."""
    folder = tmp_path / "demod"
    (folder / "figures").mkdir(parents=True)
    (folder / "weights").mkdir()
    (folder / "priors").mkdir()
    files = {
        "__init__.py": "",
        "base.py": "ONE = 1",
        "solver.py": "def solve():\n    from demod.base import ONE\n    return ONE",
        "priors/weights.py": "from demod.base import ONE",
        "data.py": "",
        "face.py": "from demod.solver import solve",
        "figures/__init__.py": "",
        "figures/style.py": "RED = 1",
        "figures/plot.py": "from demod.figures.style import RED",
        "weights/digits.safetensors": "weights",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def ingredients(package: Path, source: str, mnist: bool = True) -> dict[str, str]:
    return chapter_ingredients(
        notebook("x", code(source)),
        PARAMETERS,
        package.parent,
        mnist=lambda: mnist,
        packages={"demod": package, "demod_book": package.parent},
    )


def test_modules_are_reached_through_others_and_inside_functions(package):
    reached = reached_modules("from demod.solver import solve\nfrom demod.figures.plot import draw", {"demod": package})
    assert set(reached) == {
        "demod",
        "demod.solver",
        "demod.base",
        "demod.figures",
        "demod.figures.plot",
        "demod.figures.style",
    }


@pytest.mark.parametrize(
    ("edited", "stale"),
    [("base.py", True), ("solver.py", True), ("__init__.py", True), ("face.py", False), ("figures/style.py", False)],
)
def test_an_edited_module_makes_exactly_those_chapters_stale_that_reach_it(package, edited, stale):
    before = ingredients(package, "from demod.solver import solve")
    (package / edited).write_text("CHANGED = True")
    assert bool(changed(before, ingredients(package, "from demod.solver import solve"))) is stale


COMMAND = {"cli", "__main__"}


def test_no_chapter_reaches_the_build_or_the_command_line():
    names = [path.stem for path in PACKAGES["demod"].iterdir() if path.stem not in COMMAND]
    code = "\n".join(f"from demod.{name} import x" for name in names) + "\nfrom demod_book.chapter import begin"
    reached = reached_modules(code, PACKAGES)
    assert {"demod.descent.algorithm", "demod_book.chapter"} <= reached.keys()
    assert not [name for name in reached if name.startswith(("demod_book.build", "demod_book.pages", "demod_book.cli"))]


def test_weights_count_for_those_who_reach_the_networks(package):
    users = {name: ingredients(package, f"from demod.{name} import ONE") for name in ("priors.weights", "base")}
    (package / "weights/digits.safetensors").write_text("other weights")
    now = {name: ingredients(package, f"from demod.{name} import ONE") for name in users}
    assert changed(users["priors.weights"], now["priors.weights"]) == ["weights/digits.safetensors"]
    assert changed(users["base"], now["base"]) == []


def test_mnist_is_looked_for_only_if_a_chapter_reaches_the_data(package):
    assert changed(*(ingredients(package, "import demod.data", mnist=mnist) for mnist in (True, False))) == ["MNIST"]
    assert changed(*(ingredients(package, "import demod.base", mnist=mnist) for mnist in (True, False))) == []


@pytest.mark.parametrize("name", ["results/sweep.npz", "results/sweeps"])
def test_a_result_file_counts_for_the_chapter_that_names_it(package, name):
    path = package.parent / name if name.endswith("npz") else package.parent / name / "one.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    source = f'load_arrays("../{name}")'
    states = []
    for content in (None, "one", "two"):
        if content:
            path.write_text(content)
        states.append(ingredients(package, source))
    assert changed(states[0], states[1]) != []
    assert changed(states[1], states[2]) == [path.relative_to(package.parent).as_posix()]
    assert changed(ingredients(package, "1"), ingredients(package, "1")) == []


def test_code_tags_parameters_and_the_lock_count_but_prose_and_outputs_do_not(package):
    def of(content, parameters=PARAMETERS):
        return chapter_ingredients(
            content,
            parameters,
            package.parent,
            mnist=lambda: True,
            packages={"demod": package, "demod_book": package.parent},
        )

    before = of(notebook("x", code("1")))
    assert changed(before, of(notebook("x", prose("text"), code("1") | {"execution_count": 3}))) == []
    assert changed(before, of(notebook("x", code("2")))) == ["code"]
    assert changed(before, of(notebook("x", code("1", tags=["hide-input"])))) == ["code"]
    assert changed(before, of(notebook("x", code("1")), PARAMETERS | {"profile": "full"})) == ["parameters"]
    (package.parent / "requirements.lock").write_text("numpy==2.4.6")
    assert changed(before, of(notebook("x", code("1")))) == ["requirements.lock"]


# Folders


@pytest.fixture
def folders(tmp_path):
    for name in ("new", "html"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.html").write_text(name)
    return tmp_path / "new", tmp_path / "html"


def test_a_folder_is_replaced_whole(folders):
    new, html = folders
    replace_folder(new, html)
    assert (html / "index.html").read_text() == "new"
    assert [path.name for path in html.parent.iterdir()] == ["html"]


@pytest.mark.parametrize(("renames", "book"), [(1, "html"), (2, "new")])
def test_a_swap_killed_between_its_steps_is_recovered(folders, monkeypatch, renames, book):
    new, html = folders
    rename, done = Path.rename, []

    def mortal(path, target):
        if len(done) == renames:
            raise KeyboardInterrupt
        done.append(target)
        return rename(path, target)

    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", mortal)
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            replace_folder(new, html)
    recover_folder(html)
    assert (html / "index.html").read_text() == book
    assert not html.with_name("html.previous").exists()


def test_one_build_at_a_time(tmp_path):
    layout = Layout(write_book(tmp_path))
    with only_build(layout), pytest.raises(BuildError, match="Another build"), only_build(layout):
        pass
    with only_build(layout):  # the lock is free again
        pass


def test_a_folder_without_a_book_is_refused(tmp_path):
    with pytest.raises(BuildError, match=r"no _config.yml in"):
        run(tmp_path)


def test_a_page_that_is_not_there_is_refused(tmp_path):
    root = write_book(tmp_path, notebook("here"))
    (root / "chapters/here.ipynb").unlink()
    with pytest.raises(BuildError, match="lists chapters/here"):
        run(root)


# Numbers

NUMBERS = {"demodulation": {"psnr": {"value": 26.31, "text": "26.3"}, "count": {"value": 8, "text": "8"}}}


def test_numbers_inside_the_tolerance_pass():
    expected = {"demodulation": {"psnr": {"value": 26.0, "rtol": 0.05}, "count": {"value": 8}}}
    assert compare(NUMBERS, expected) == []


@pytest.mark.parametrize(
    ("expected", "problem"),
    [
        ({"psnr": {"value": 26.0, "atol": 0.1}, "count": {"value": 8}}, "demodulation.psnr is 26.31, accepted is 26"),
        ({"psnr": {"value": 26.0, "rtol": 0.05}, "count": {"value": 9}}, "demodulation.count is 8, accepted is 9"),
        ({"psnr": {"value": 26.0, "rtol": 0.05}}, "demodulation.count is recorded, but was never accepted"),
        ({"psnr": {"value": 26.31}, "count": {"value": 8}, "old": {"value": 1}}, "demodulation.old is accepted, but"),
    ],
)
def test_a_drifted_missing_or_surplus_number_is_found(expected, problem):
    (found,) = compare(NUMBERS, {"demodulation": expected})
    assert found.startswith(problem)


def test_accepting_keeps_the_tolerances_that_are_there():
    expected = accept(NUMBERS, {"demodulation": {"psnr": {"value": 1.0, "atol": 0.5}}})
    assert expected == {"demodulation": {"count": {"value": 8}, "psnr": {"value": 26.31, "atol": 0.5}}}
    assert compare(NUMBERS, expected) == []


def test_times_are_neither_accepted_nor_compared():
    numbers = {"x": {"seconds": {"value": 12.0, "text": "12", "timing": True}, "count": {"value": 8, "text": "8"}}}
    assert accept(numbers, {}) == {"x": {"count": {"value": 8}}}
    assert compare(numbers, {"x": {"count": {"value": 8}}}) == []


@pytest.mark.parametrize("value", [26.31, 8, 1e-15, 0.0])
def test_what_was_accepted_passes(value):
    numbers = {"x": {"y": {"value": value, "text": ""}}}
    assert compare(numbers, accept(numbers, {})) == []


README = "# T\n<!-- results:begin -->\n| PSNR | **{}**<!-- demodulation.psnr --> dB |\n<!-- results:end -->\n"


@pytest.mark.parametrize("shown", ["26.3", "26.2", "25.1"])
def test_a_number_of_the_readme_may_be_off_by_what_machines_differ_in(shown):
    block = results_block(README.format(shown))
    assert corrected(block, NUMBERS) == block


@pytest.mark.parametrize("shown", ["24.9", "27.7", "26", "26.31", "many"])
def test_a_wrong_number_of_the_readme_is_corrected(shown):
    assert corrected(results_block(README.format(shown)), NUMBERS) == "| PSNR | **26.3**<!-- demodulation.psnr --> dB |\n"


def test_a_number_is_corrected_exactly_when_asked():
    block = "| 26.4<!-- demodulation.psnr --> dB |"
    assert corrected(block, NUMBERS) == block
    assert corrected(block, NUMBERS, exactly=True) == "| 26.3<!-- demodulation.psnr --> dB |"


@pytest.mark.parametrize(("mnist", "shown"), [(True, "42"), (False, "41")])
def test_accepting_a_build_with_mnist_brings_its_numbers_into_the_readme(book, mnist, shown):
    root = shutil.copytree(book, book.with_name(f"accepted-{mnist}"))
    (root / "README.md").write_text("<!-- results:begin -->\n| 41<!-- steady.answer --> |\n<!-- results:end -->\nMore.\n")
    stamp = root / "_build/html" / CARD
    write_json(stamp, read_json(stamp) | {"mnist": mnist})
    assert CliRunner().invoke(app, ["accept", "--root", str(root)]).exit_code == 0
    assert f"\n| {shown}<!-- steady.answer --> |\n" in (root / "README.md").read_text()


@pytest.mark.parametrize(("shown", "same"), [("1.0e-03", True), ("1.1e-03", True), ("1.2e-03", False), ("1.0e-04", False)])
def test_the_last_digit_of_a_power_of_ten_is_that_of_its_mantissa(shown, same):
    numbers = {"x": {"residual": {"value": 1.02e-3, "text": "1.0e-03"}}}
    block = f"{shown}<!-- x.residual -->"
    assert (corrected(block, numbers) == block) is same


def test_a_mark_that_names_no_number_is_refused():
    with pytest.raises(ValueError, match=r"quotes demodulation.ssim"):
        corrected("0.9<!-- demodulation.ssim -->", NUMBERS)


@pytest.mark.parametrize("foreign", ["figures/steady/figure-1b.json", "numbers/steady.json"])
def test_what_papermill_leaves_by_hand_in_the_same_place_is_made_again(book, foreign):
    root = shutil.copytree(book, book.with_name(f"foreign-{foreign.split('/')[0]}"))
    path = root / "_build" / foreign
    mine = read_json(path)
    write_json(path, mine | {"seed": 7})
    assert "steady: figures or numbers that another run left" in run(root)
    assert read_json(path)["seed"] == 2019
    assert "steady unchanged" in run(root)


def test_a_readme_with_an_old_number_fails_the_build_which_writes_the_right_table(book):
    root = shutil.copytree(book, book.with_name("readme"))
    (root / "README.md").write_text("<!-- results:begin -->\n| 41<!-- steady.answer --> |\n<!-- results:end -->\n")
    run(root)
    (root / "README.md").write_text("<!-- results:begin -->\n| 17<!-- steady.answer --> |\n<!-- results:end -->\n")
    before = contents(root / "_build/html")
    with pytest.raises(BuildError, match=r"readme-table.md"):
        run(root)
    assert (root / "_build/readme-table.md").read_text() == "| 42<!-- steady.answer --> |\n"
    assert contents(root / "_build/html") == before


# The terminal


def test_the_time_left_is_shared_by_the_workers_but_not_less_than_the_longest_chapter():
    assert Terminal(CONSOLE, {"a": 10.0, "b": 20.0, "c": 30.0}, workers=2).remaining() == 30
    assert Terminal(CONSOLE, {"a": 20.0, "b": 20.0, "c": 20.0}, workers=2).remaining() == 30
    assert Terminal(CONSOLE, {"a": None}, workers=1).remaining() > 0
    assert Terminal(CONSOLE, {}, workers=1).remaining() == 0


def test_a_defect_of_the_build_itself_is_not_taken_for_a_failed_chapter(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "execute", lambda *_, **__: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        run(write_book(tmp_path, notebook("x")))


def test_the_real_book_is_found_sound_before_it_runs():
    notebooks = Layout(ROOT).notebooks()
    assert len(notebooks) >= 7
    for path in notebooks.values():
        assert check_source(read_notebook(path), PARAMETERS) == []
        assert os.access(path, os.R_OK)
