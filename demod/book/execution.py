"""One chapter: run by papermill in a process of its own, checked, and only then accepted.

Everything a run writes goes to a folder of its own. An accepted run is moved to its places, the card last: a chapter
counts as done when its card says what it was made from. A refused run leaves its notebook as <slug>.failed.ipynb.
"""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demod.artifacts import read_json, write_json
from demod.book.ingredients import changed
from demod.book.layout import BuildError, Layout, fresh_folder, replace_folder
from demod.book.notebooks import check_run, read_notebook

PLOTLY = "../plotly.min.js"  # as seen from a page under chapters/
DEAD_KERNEL = 138  # papermill's exit status for it
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True)
class Chapter:
    """A chapter to be built: its notebook, the parameters of the run, and what it depends on."""

    slug: str
    notebook: Path
    parameters: dict[str, Any]
    ingredients: dict[str, str]

    def card(self, layout: Layout) -> dict[str, Any]:
        """Return the card of the last accepted run; empty if there is none."""
        path = layout.executed / f"{self.slug}.json"
        return read_json(path) if path.is_file() else {}

    def reasons(self, layout: Layout) -> list[str]:
        """Return why the chapter must run: the names of changed ingredients; nothing if its last run still holds."""
        kept = [layout.executed / f"{self.slug}.ipynb", layout.numbers / f"{self.slug}.json", layout.figures / self.slug]
        if not all(path.exists() for path in kept):
            return ["never run"]
        return changed(self.card(layout).get("ingredients", {}), self.ingredients)


def execute(chapter: Chapter, layout: Layout, threads: int, processes: list[subprocess.Popen]) -> None:
    """Run a chapter with `threads` threads and accept its notebook, figures and numbers.

    Its process is appended to `processes`, so that a build that is stopped can stop it.

    Raises
    ------
    BuildError
        If the run is not to be believed; nothing of the last accepted run is touched.
    """
    run = fresh_folder(layout.products / "running" / chapter.slug)
    (run / "figures" / chapter.slug).mkdir(parents=True)
    start = time.monotonic()
    status = _papermill(chapter, run, layout, threads, processes)
    seconds = round(time.monotonic() - start, 1)
    _refuse_unless_sound(chapter, layout, run, status)
    _accept(chapter, layout, run, seconds)


def _papermill(chapter: Chapter, run: Path, layout: Layout, threads: int, processes: list[subprocess.Popen]) -> int:
    """Execute the notebook into `run`; return papermill's exit status."""
    settings = [word for name, value in chapter.parameters.items() for word in ("-p", name, str(value))]
    command = [sys.executable, "-m", "papermill", str(chapter.notebook), str(run / "notebook.ipynb"), *settings]
    command += ["--kernel", "python3", "--cwd", str(chapter.notebook.parent), "--no-progress-bar"]
    environment = os.environ | {name: str(threads) for name in THREADS}
    environment |= {"DEMOD_FIGURES": str(run / "figures"), "DEMOD_NUMBERS": str(run / "numbers"), "DEMOD_PLOTLY": PLOTLY}
    environment |= {"DEMOD_SWEEPS": str(layout.sweeps)}  # cells outlive a run that is cut off
    environment |= {"JUPYTER_PREFER_ENV_PATH": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    with (run / "papermill.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        processes.append(process)
        return process.wait()


def _refuse_unless_sound(chapter: Chapter, layout: Layout, run: Path, status: int) -> None:
    """Raise what is wrong with a run, if anything, and keep its notebook for the reader."""
    notebook, failed = run / "notebook.ipynb", layout.executed / f"{chapter.slug}.failed.ipynb"
    failed.unlink(missing_ok=True)
    if not notebook.is_file():
        log = (run / "papermill.log").read_text(encoding="utf-8", errors="replace")
        raise BuildError(f"{chapter.slug}: papermill ended with status {status} before it began:\n{log.strip()[-2000:]}")
    problems = check_run(read_notebook(notebook))
    if not (run / "numbers" / f"{chapter.slug}.json").is_file():
        problems.append(f'begin("{chapter.slug}", …) was not called')
    if status == DEAD_KERNEL:
        problems.insert(0, "its kernel died, perhaps for want of memory")
    elif status != 0:
        problems.append(f"papermill ended with status {status}")
    if problems:
        layout.executed.mkdir(parents=True, exist_ok=True)
        notebook.replace(failed)
        where = failed.relative_to(layout.root)
        raise BuildError(f"{chapter.slug}: {problems[0].rstrip('.')}. The notebook as far as it came is {where}.")


def _accept(chapter: Chapter, layout: Layout, run: Path, seconds: float) -> None:
    """Move what a run made to its places; without a card the chapter does not count, so it goes first and comes last."""
    card = layout.executed / f"{chapter.slug}.json"
    card.unlink(missing_ok=True)
    for folder in (layout.executed, layout.numbers):
        folder.mkdir(parents=True, exist_ok=True)
    replace_folder(run / "figures" / chapter.slug, layout.figures / chapter.slug)
    (run / "numbers" / f"{chapter.slug}.json").replace(layout.numbers / f"{chapter.slug}.json")
    (run / "notebook.ipynb").replace(layout.executed / f"{chapter.slug}.ipynb")
    made = {"chapter": chapter.slug, "seconds": seconds, **chapter.parameters, "ingredients": chapter.ingredients}
    write_json(card, made)
    shutil.rmtree(run)
