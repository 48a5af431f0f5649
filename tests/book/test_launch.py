import re
import shutil
from pathlib import Path

import pytest
import yaml
from IPython.core.inputtransformer2 import TransformerManager

from demod_book.build.folders import BuildError, Layout
from demod_book.build.launch import (
    check_install_cell,
    copied_install_cell,
    install_cell,
    read_repository,
    set_address,
    with_buttons,
    with_copied_install,
)
from demod_book.build.notebooks import INSTALL, check_source, read_notebook, title

ROOT = Path(__file__).parents[2]
URL = "https://github.com/someone/companion"
PARAMETERS = {"profile": "quick", "device": "cpu", "seed": 2019}


@pytest.fixture
def layout(tmp_path):
    """The sources of the book of this repository, to be written to."""
    for name in ("_config.yml", "_toc.yml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    for folder in ("chapters", "templates"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    set_address(Layout(tmp_path), "")
    return Layout(tmp_path)


def contents(layout):
    return {path: path.read_bytes() for path in layout.root.rglob("*") if path.is_file()}


def test_the_address_comes_into_the_configuration_and_into_every_chapter(layout):
    changed = set_address(layout, URL)
    assert set(changed) == {
        layout.root / "_config.yml",
        layout.root / "templates/chapter.ipynb",
        *layout.notebooks().values(),
    }
    repository = read_repository(layout.root)
    assert repository == {"url": URL, "branch": "main"}
    for path in layout.notebooks().values():
        assert f'%pip install --quiet --no-deps "demod @ git+{URL}@main"' in path.read_text().replace('\\"', '"')
        assert check_install_cell(read_notebook(path), repository) == []
        assert check_source(read_notebook(path), PARAMETERS) == []  # its %pip is not taken for a shell


def test_without_the_address_again_every_file_is_what_it_was(layout):
    before = contents(layout)
    set_address(layout, URL)
    assert contents(layout) != before
    set_address(layout, "")
    assert contents(layout) == before
    assert set_address(layout, "") == []


def test_a_chapter_that_installs_from_elsewhere_is_refused(layout):
    notebook = read_notebook(next(iter(layout.notebooks().values())))
    assert title(notebook)
    problems = check_install_cell(notebook, {"url": URL})
    assert problems == ["cell 3 installs demod from elsewhere than _config.yml says; `make address URL=<url>` sets both"]


@pytest.mark.parametrize("url", ["someone/companion", "http://github.com/a/b", "https://github.com/a", f"{URL}/tree/main"])
def test_an_address_that_colab_cannot_open_is_refused_and_nothing_written(layout, url):
    before = contents(layout)
    with pytest.raises(BuildError, match=r"it must be like https://github.com/owner/name, or empty"):
        set_address(layout, url)
    assert contents(layout) == before


def test_a_configuration_without_a_line_for_the_address_is_refused(layout):
    config = layout.root / "_config.yml"
    config.write_text(config.read_text().replace("  url: ", "  address: "))
    with pytest.raises(BuildError, match=r'has 0 lines `  url: "…"`; keep the one under `repository:`'):
        set_address(layout, URL)


@pytest.mark.parametrize("url", ["", URL])
def test_launch_and_repository_buttons_appear_only_with_the_address(url):
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    found = with_buttons(config | {"repository": {"url": url, "branch": "main"}})
    assert ("launch_buttons" in found) is bool(url)
    assert ("use_repository_button" in found["html"]) is bool(url)


def test_the_cell_installs_from_the_clone_around_the_notebook_while_there_is_no_address():
    assert '    %pip install --quiet --no-deps ".."\n' in install_cell({"url": ""})


@pytest.mark.parametrize("url", ["", URL])
@pytest.mark.parametrize("make", [install_cell, copied_install_cell])
def test_installing_changes_no_package_that_is_there(url, make):
    cell = make({"url": url})
    first, second = re.findall(r"%pip install --quiet (.*)", cell)
    assert first.startswith("--no-deps ")
    assert second == "{needed}"  # with constraints that keep what is there, see test_wheel
    compile(TransformerManager().transform_cell(cell), "cell", "exec")


@pytest.mark.parametrize("url", ["", URL])
def test_a_copy_installs_the_wheel_beside_it_or_from_the_address_and_only_what_is_missing(url):
    cell = copied_install_cell({"url": url})
    assert 'install --quiet --no-deps "{wheel}"' in cell
    assert (f"demod @ git+{URL}@main" in cell) is bool(url)


def test_only_the_cell_that_installs_differs_in_a_copy(layout):
    notebook = read_notebook(next(iter(layout.notebooks().values())))
    copied = with_copied_install(notebook, {"url": URL})
    changed = [
        cell["metadata"]["tags"]
        for before, cell in zip(notebook["cells"], copied["cells"], strict=True)
        if before["source"] != cell["source"]
    ]
    assert [INSTALL in tags for tags in changed] == [True]
    assert check_source(copied, PARAMETERS) == []
