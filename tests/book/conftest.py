"""A small book that is built once, for all modules and for all processes that run tests."""

import os
import shutil
from pathlib import Path

import pytest
from filelock import FileLock
from fixture_book import CLAIM, FIGURE, TEXT, notebook, run, write_book


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Path:
    """The book, of two chapters; nobody changes it."""
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder  # that all processes share
    root = folder / "built"
    with FileLock(folder / "built.lock"):
        if not (root / "_build/html/build.json").is_file():
            run(write_book(root, notebook("steady", FIGURE, TEXT, CLAIM), notebook("other")))
    return root


@pytest.fixture(scope="module")
def book(built, tmp_path_factory) -> Path:
    """A copy of the book. Tests that change it put it back or copy it again."""
    return shutil.copytree(built, tmp_path_factory.mktemp("book") / "book")
