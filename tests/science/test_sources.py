"""Which commit stands under a figure: demod's own, or why it is not known."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from demod.sources import commit

IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *IDENTITY, "-C", str(folder), *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def clone(tmp_path):
    """A repository whose path is hard to quote, with one commit of the package demod; the folder of the package."""
    root = tmp_path / "my bök #1 %20 'x'"
    (root / "demod").mkdir(parents=True)
    for name in ("demod/__init__.py", "pyproject.toml"):
        (root / name).write_text("")
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "one")
    return root / "demod"


def test_the_commit_is_that_of_the_repository_and_says_if_files_differ_from_it(clone):
    head = git(clone, "rev-parse", "HEAD")
    assert commit(clone) == head
    (clone / "__init__.py").write_text("x = 1")
    assert commit(clone) == f"{head}-dirty"


def test_a_worktree_and_a_shallow_clone_have_their_commit(clone, tmp_path):
    head = git(clone, "rev-parse", "HEAD")
    git(clone, "worktree", "add", "--quiet", str(tmp_path / "tree"))
    subprocess.run(["git", "clone", "--quiet", "--depth=1", clone.parent.as_uri(), tmp_path / "shallow"], check=True)
    assert commit(tmp_path / "tree/demod") == commit(tmp_path / "shallow/demod") == head


def test_a_copy_installed_inside_another_repository_has_no_commit(clone):
    installed = clone.parent / ".venv/lib/python3.11/site-packages/demod"
    shutil.copytree(clone, installed)
    assert commit(installed) is None
    (clone.parent / ".gitignore").write_text(".venv")
    assert commit(installed) is None


def test_a_copy_installed_where_git_refuses_or_is_missing_has_no_commit(clone, monkeypatch):
    installed = clone.parent / ".venv/lib/python3.11/site-packages/demod"
    shutil.copytree(clone, installed)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert commit(installed) is None
    monkeypatch.setenv("PATH", "")
    assert commit(installed) is None


def test_a_copy_outside_of_every_repository_is_installed_or_exported(clone, tmp_path):
    shutil.copytree(clone, tmp_path / "lib/demod")
    assert commit(tmp_path / "lib/demod") is None
    shutil.copytree(clone.parent, tmp_path / "export", ignore=shutil.ignore_patterns(".git"))
    assert commit(tmp_path / "export/demod") == "unknown: this is a copy of the sources without their repository; clone it"


def test_where_git_refuses_its_reason_and_remedy_are_named(clone, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    found = commit(clone)
    assert found.startswith("unknown: git says fatal: detected dubious ownership")
    assert "git config --global --add safe.directory" in found
    assert "\n" not in found


def test_without_git_the_commit_is_unknown(clone, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert commit(clone).startswith("unknown: git cannot be run")


@pytest.mark.parametrize("damage", ["empty", "head", "file", "bare"])
def test_in_a_broken_repository_the_commit_is_unknown(clone, damage):
    folder = clone.parent / ".git"
    if damage == "bare":
        git(clone, "config", "core.bare", "true")
    elif damage == "head":
        (folder / "HEAD").unlink()
    else:
        shutil.rmtree(folder)
        folder.mkdir() if damage == "empty" else folder.write_text("gitdir: /nowhere")
    assert commit(clone).startswith("unknown: git says ")


@pytest.mark.parametrize("variable", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_CEILING_DIRECTORIES"])
def test_the_variables_of_a_hook_of_another_repository_do_not_mislead(clone, tmp_path, monkeypatch, variable):
    head = git(clone, "rev-parse", "HEAD")
    (tmp_path / "other").mkdir()
    git(tmp_path / "other", "init", "--quiet")
    values = {"GIT_DIR": "other/.git", "GIT_INDEX_FILE": "other/.git/index", "GIT_WORK_TREE": "other"}
    value = tmp_path / values[variable] if variable in values else f"{clone}{os.pathsep}{clone.parent}"
    monkeypatch.setenv(variable, str(value))
    assert commit(clone) == head
