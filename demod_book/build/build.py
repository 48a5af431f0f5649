"""The whole build, in order; every step refuses to pass on what it cannot vouch for."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from joblib import cpu_count
from rich.console import Console
from rich.markup import escape

from demod.artifacts import read_json, sha256, write_json
from demod.data import mnist_available
from demod_book.build.cache import BOOK, chapter_ingredients
from demod_book.build.folders import BuildError, Layout, explained, only_build, remedy, replace_folder, steady_sources
from demod_book.build.launch import check_install_cell, read_repository
from demod_book.build.notebooks import COLOURS, check_source, read_notebook
from demod_book.build.prose import check_prose
from demod_book.build.run import Job, execute
from demod_book.build.schedule import Terminal, run_all
from demod_book.build.texts import check_texts
from demod_book.build.worker import MODULE, environment, lifeline
from demod_book.expected.numbers import corrected, read_numbers, results_block
from demod_book.pages.html import check_html, drop_unread, mend_roles, share_images
from demod_book.pages.previews import add_previews
from demod_book.pages.stage import stage

SEED = 2019
CARD = "build.json"  # inside the book: what it was made from, so that an unchanged book is not made again
JUPYTER_BOOK = (sys.executable, "-m", MODULE, "jupyter_book.cli.main:main")
COMPLAINT = re.compile(r"WARNING|ERROR|Error")


def build(
    root: Path,
    *,
    profile: str,
    device: str,
    jobs: int | None,
    console: Console,
    limit: float | None = None,
    only: str | None = None,
) -> Path:
    """Build the book whose sources lie in `root` and return the folder of its HTML.

    Parameters
    ----------
    root : Path
        The folder of _config.yml and _toc.yml. Products go to `root`/_build.
    profile, device : str
        As for `demod_book.chapter.begin`.
    jobs : int, optional
        How many chapters run at once; by default one per core. On a GPU they run one by one.
    console : Console
        Where the progress is shown.
    limit : float, optional
        Seconds after which a chapter is stopped; by default half an hour for `quick`, a day for `full`.
    only : str, optional
        The slug of a chapter: it is executed and checked, and the book is left as it is.

    Raises
    ------
    BuildError
        If anything is amiss; the last good book is as it was.
    """
    start, layout = time.monotonic(), Layout(root.resolve())
    try:
        with only_build(layout):
            with steady_sources(layout.root):
                chapters = plan(layout, profile, device)
                run_chapters(layout, chapters, jobs, console, limit, only)
            if only is not None:
                folder = escape(str(_relative(layout.figures / only)))
                console.print(f"Its figures are in {folder}; `demod build` puts it into the book.", soft_wrap=True)
                return layout.html
            check_readme(layout, chapters, console)
            rendered = render(layout, chapters)
    except OSError as error:
        raise BuildError(explained(error)) from error
    console.print("  [green]✓[/] the book is rendered and checked" if rendered else "  [dim]= the book is unchanged[/]")
    index = escape(str(_relative(layout.html / "index.html")))
    console.print(f"{len(chapters)} chapters in {time.monotonic() - start:.0f} s. Read them: open {index}", soft_wrap=True)
    return layout.html


def last_build(layout: Layout) -> dict[str, Any]:
    """Return the card of the book that is there: its profile, its chapters, whether MNIST was at hand.

    Raises
    ------
    BuildError
        If there is no book.
    """
    card = layout.html / CARD
    if not card.is_file():
        raise BuildError("there is no finished book yet; run `demod build` until it ends without an error.")
    return read_json(card)


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def plan(layout: Layout, profile: str, device: str) -> list[Job]:
    """Return the chapters of the book with their parameters and ingredients, once their sources are found sound."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    parameters = {"profile": profile, "device": device, "seed": SEED}
    mnist = cache(mnist_available)
    repository = read_repository(layout.root)
    chapters, problems = [], []
    for slug, path in layout.notebooks().items():
        notebook = read_notebook(path)
        if found := check_source(notebook, parameters) or check_texts(notebook) + check_install_cell(notebook, repository):
            problems += [f"{slug}: {problem}." for problem in found]
        else:
            try:
                ingredients = chapter_ingredients(notebook, parameters, layout.root, mnist=mnist)
            except ValueError as error:  # a damaged file of MNIST, with its name and what to do
                raise BuildError(str(error)) from error
            chapters.append(Job(slug, path, parameters, ingredients))
    if problems:
        raise BuildError("\n".join(problems))
    return chapters


def run_chapters(
    layout: Layout,
    chapters: list[Job],
    jobs: int | None,
    console: Console,
    limit: float | None = None,
    only: str | None = None,
) -> None:
    """Run the chapters that are not in the cache, the longest first, workers × threads = cores; check their prose.

    The number of threads depends on the book, not on how much of it is stale: sums over more threads round otherwise.
    """
    chosen = {chapter.slug: chapter for chapter in chapters if only in (None, chapter.slug)}
    if not chosen:
        listed = ", ".join(chapter.slug for chapter in chapters)
        raise BuildError(f"There is no chapter {only}; _toc.yml lists {listed}. Add `- file: chapters/{only}` to it.")
    reasons = {slug: chapter.reasons(layout) for slug, chapter in chosen.items()}
    for slug in [slug for slug, why in reasons.items() if not why]:
        console.print(f"  [dim]= {slug} unchanged[/]")
    last = {slug: chosen[slug].card(layout).get("seconds") for slug, why in reasons.items() if why}
    order = sorted(reversed(last), key=lambda slug: -(last[slug] or 0))  # of those that never ran, the later are longer
    on_gpu = any(chosen[slug].parameters["device"] == "cuda" for slug in order)
    cores = cpu_count()
    workers = 1 if on_gpu else max(min(jobs or cores, cores, len(chapters)), 1)

    def run(slug: str, stdin: int) -> None:
        execute(chosen[slug], layout, cores // workers, stdin, limit=limit)

    problems = run_all({slug: reasons[slug] for slug in order}, run, Terminal(console, last, workers), workers)
    if problems := problems or check_prose(layout, list(chosen)):
        raise BuildError("\n".join(problems))


def check_readme(layout: Layout, chapters: list[Job], console: Console) -> None:
    """Compare the numbers that README.md quotes with those of this build, if both mean the same run: quick, with MNIST."""
    readme = layout.root / "README.md"
    block = results_block(readme.read_text(encoding="utf-8")) if readme.is_file() else None
    if block is None:
        return
    if any(c.parameters["profile"] != "quick" or c.ingredients.get("MNIST") == "absent" for c in chapters):
        console.print("  [dim]the table of README.md is not compared: it shows the quick profile with MNIST[/]")
        return
    try:
        right = corrected(block, read_numbers(layout.numbers, layout.notebooks()))
    except ValueError as error:
        raise BuildError(str(error)) from error
    if right != block:
        table = layout.products / "readme-table.md"
        table.write_text(right, encoding="utf-8")
        raise BuildError(f"The results in README.md are not those of this build; put {_relative(table)} in their place.")


def render(layout: Layout, chapters: list[Job]) -> bool:
    """Make the HTML, check it and swap it in; return False if the book that is there was made from the same things."""
    key = _fingerprint(stage(layout))
    card = layout.html / CARD
    if card.is_file() and read_json(card)["key"] == key:
        return False
    site = Path(tempfile.mkdtemp(prefix="site-", dir=layout.products))  # never that of a build that was killed
    command = [*JUPYTER_BOOK, "build", str(layout.stage), "--path-output", str(site), "-W", "--keep-going", "--quiet"]
    with lifeline() as (stdin, _):
        done = subprocess.run(command, env=environment(site / "settings"), stdin=stdin, capture_output=True, check=False)
    html = site / "_build" / "html"
    if done.returncode != 0 or not (html / "index.html").is_file():
        log = (done.stdout + done.stderr).decode("utf-8", "replace")
        said = _complaints(log, layout) or f"it ended with status {done.returncode} and wrote nothing."
        raise BuildError(f"jupyter-book refuses the book:\n{said}\n{remedy(log)}".rstrip())
    shutil.copytree(layout.copies, html / "_sources/chapters", dirs_exist_ok=True)
    drop_unread(html)
    mend_roles(html)
    share_images(html)
    add_previews(html)
    if problems := check_html(html):
        raise BuildError("The HTML is not as it should be:\n" + "\n".join(problems))
    parameters = chapters[0].parameters if chapters else {}
    mnist = any(chapter.ingredients.get("MNIST") == "at hand" for chapter in chapters)
    write_json(html / CARD, {"key": key, **parameters, "mnist": mnist, "chapters": [chapter.slug for chapter in chapters]})
    replace_folder(html, layout.html)
    shutil.rmtree(site)
    return True


def _fingerprint(folder: Path) -> str:
    """Return a hash of all files in `folder`, of the code of the build and of what renders the book."""
    staged = {path.relative_to(folder).as_posix(): sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    code = {path.relative_to(BOOK).as_posix(): sha256(path) for path in sorted(BOOK.rglob("*.py"))}
    tools = {name: version(name) for name in ("jupyter-book", "sphinx", "sphinx-book-theme", "sphinx-proof", "myst-nb")}
    return sha256(json.dumps([staged, code, tools]).encode())


def _complaints(log: str, layout: Layout) -> str:
    """Return the warnings and errors of jupyter-book's output, or its end, with the names of the sources."""
    lines = COLOURS.sub("", log).replace(f"{layout.stage}/", "").strip().split("\n")
    return "\n".join([line for line in lines if COMPLAINT.search(line)] or lines[-20:])
