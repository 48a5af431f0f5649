"""One chapter: run by papermill in a process of its own, checked, and only then accepted.

Everything a run writes goes to a folder of its own. An accepted run is moved to its places, the card last: a chapter
counts as done when its card says what it was made from. A refused run leaves its notebook as <slug>.failed.ipynb.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from demod.artifacts import read_json, sha256, write_json
from demod_book.build.cache import changed, unanswered
from demod_book.build.folders import BuildError, Layout, remedy, replace_folder
from demod_book.build.notebooks import check_run, read_notebook, unfinished
from demod_book.build.texts import with_texts
from demod_book.build.worker import MODULE, environment, stop

PAPERMILL = (sys.executable, "-m", MODULE, "papermill.cli:papermill")
PLOTLY = "../plotly.min.js"  # as seen from a page under chapters/
DEAD_KERNEL = 138  # papermill's exit status for it
PORT_TAKEN = re.compile("Address already in use.*Kernel died before replying", re.DOTALL)  # papermill issue 511
STARTS = 3  # of a kernel: its ports are chosen before they are bound, and another process may take one in between
THREADS = [f"{library}_NUM_THREADS" for library in ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB", "BLIS")]
LIMIT = {"quick": 30 * 60.0, "full": 24 * 3600.0}  # seconds for one chapter: one that hangs must not hang the build


@dataclass(frozen=True)
class Job:
    """A chapter to be run: its notebook, the parameters of the run, and what it depends on."""

    slug: str
    notebook: Path
    parameters: dict[str, Any]
    ingredients: dict[str, str]

    def card(self, layout: Layout) -> dict[str, Any]:
        """Return the card of the last accepted run; empty if there is none that can be read."""
        try:
            return read_json(layout.executed / f"{self.slug}.json")
        except (FileNotFoundError, ValueError):
            return {}

    def reasons(self, layout: Layout) -> list[str]:
        """Return why the chapter must run: the names of changed ingredients; nothing if its last run still holds."""
        kept = [layout.executed / f"{self.slug}.ipynb", layout.numbers / f"{self.slug}.json", layout.figures / self.slug]
        if not all(path.exists() for path in kept):
            return ["its first run"]
        card = self.card(layout)
        foreign = ["figures or numbers that another run left"] if card.get("products") != self.products(layout) else []
        if found := changed(card.get("ingredients", {}), self.ingredients) or foreign:
            return found
        return unanswered(read_json(layout.numbers / f"{self.slug}.json")["claims"])

    def products(self, layout: Layout) -> str:
        """Return a hash of the figures and numbers that are there: papermill, called by hand, writes to the same places."""
        files = [layout.numbers / f"{self.slug}.json", *sorted((layout.figures / self.slug).glob("*"))]
        return sha256("".join(f"{path.name} {sha256(path)}\n" for path in files).encode())


def execute(job: Job, layout: Layout, threads: int, stdin: int, *, limit: float | None = None) -> None:
    """Run a chapter with `threads` threads, in an empty folder of its own, and accept its notebook, figures and numbers.

    It is stopped when its standard input ends, and after `limit` seconds, by default those of `LIMIT`.

    Raises
    ------
    BuildError
        If the run is not to be believed; nothing of the last accepted run is touched.
    """
    layout.running.mkdir(parents=True, exist_ok=True)
    run = Path(tempfile.mkdtemp(prefix=f"{job.slug}-", dir=layout.running))  # never that of a build that was killed
    for folder in (run / "work", run / "figures" / job.slug):
        folder.mkdir(parents=True)
    start = time.monotonic()
    for _ in range(STARTS):
        status = _papermill(job, run, layout, threads, stdin, limit or LIMIT[job.parameters["profile"]])
        if status == 0 or not PORT_TAKEN.search(_log(run)):
            break
    seconds = round(time.monotonic() - start, 1)
    _refuse_unless_sound(job, layout, run, status)
    _accept(job, layout, run, seconds)


def _papermill(job: Job, run: Path, layout: Layout, threads: int, stdin: int, limit: float) -> int | str:
    """Execute the notebook into `run`; return papermill's exit status, or why it was stopped."""
    nbformat.write(with_texts(read_notebook(job.notebook)), run / "source.ipynb")  # in a dialect that papermill reads
    settings = [word for name, value in job.parameters.items() for word in ("-p", name, str(value))]
    command = [*PAPERMILL, "source.ipynb", "notebook.ipynb", *settings]  # it takes braces in a path for a pattern
    command += ["--kernel", "python3", "--language", "python", "--cwd", "work", "--no-progress-bar"]
    places = {"DEMOD_FIGURES": str(run / "figures"), "DEMOD_NUMBERS": str(run / "numbers"), "DEMOD_PLOTLY": PLOTLY}
    places |= {"DEMOD_SWEEPS": str(layout.sweeps)}  # tasks outlive a run that is cut off
    own = environment(run / "settings") | places | {name: str(threads) for name in THREADS}
    with (
        (run / "papermill.log").open("wb") as log,
        subprocess.Popen(command, cwd=run, env=own, stdin=stdin, stdout=log, stderr=subprocess.STDOUT) as process,
    ):
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            stop(process.pid)
            return f"was stopped after {limit:g} s; make it shorter, or allow more with `demod build --limit MINUTES`"


def _log(run: Path) -> str:
    """Return what papermill and the kernel have said."""
    return (run / "papermill.log").read_text(encoding="utf-8", errors="replace")


def _refuse_unless_sound(job: Job, layout: Layout, run: Path, status: int | str) -> None:
    """Raise what is wrong with a run, if anything, and keep its notebook for the reader."""
    notebook, failed = run / "notebook.ipynb", layout.executed / f"{job.slug}.failed.ipynb"
    failed.unlink(missing_ok=True)
    said = _log(run)
    log = said.strip()[-2000:]
    if not notebook.is_file() or not notebook.stat().st_size:
        raise BuildError(f"{job.slug}: papermill ended with status {status} before it began:\n{log}\n{remedy(log)}".rstrip())
    try:
        content = read_notebook(notebook)
        problems = check_run(content)
    except BuildError as error:
        content, problems = nbformat.v4.new_notebook(), [str(error)]
    if not (run / "numbers" / f"{job.slug}.json").is_file():
        problems.append(f'begin("{job.slug}", …) was not called')
    if isinstance(status, str):
        problems.insert(0, f"cell {unfinished(content)} {status}")
    elif status == DEAD_KERNEL:
        problems.insert(0, f"its kernel died in cell {unfinished(content)}, perhaps for want of memory")
    elif status != 0 and PORT_TAKEN.search(said):
        problems.insert(0, f"its kernel did not start in {STARTS} attempts: other programs took its ports; build again")
    elif status != 0:
        problems.append(f"papermill ended with status {status}")
    if problems:
        layout.executed.mkdir(parents=True, exist_ok=True)
        notebook.replace(failed)
        where, hint = failed.relative_to(layout.root), remedy(f"{problems[0]}\n{log}")
        raise BuildError(f"{job.slug}: {problems[0].rstrip('.')}.{hint} The notebook as far as it came is {where}.")


def _accept(job: Job, layout: Layout, run: Path, seconds: float) -> None:
    """Move what a run made to its places; without a card the chapter does not count, so it goes first and comes last."""
    card = layout.executed / f"{job.slug}.json"
    card.unlink(missing_ok=True)
    for folder in (layout.executed, layout.numbers):
        folder.mkdir(parents=True, exist_ok=True)
    replace_folder(run / "figures" / job.slug, layout.figures / job.slug)
    (run / "numbers" / f"{job.slug}.json").replace(layout.numbers / f"{job.slug}.json")
    (run / "notebook.ipynb").replace(layout.executed / f"{job.slug}.ipynb")
    made = {"chapter": job.slug, "seconds": seconds, **job.parameters, "ingredients": job.ingredients}
    write_json(card, made | {"products": job.products(layout)})
    shutil.rmtree(run)
