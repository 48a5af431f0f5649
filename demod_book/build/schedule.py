"""Which chapter runs when, the longest first, and what the terminal shows meanwhile."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from demod_book.build.folders import BuildError, explained
from demod_book.build.worker import lifeline

UNKNOWN_SECONDS = 60.0  # the first guess for a chapter that never ran; then it is the mean of those that are done


class Terminal:
    """Who runs, who is done, and how long it will take."""

    def __init__(self, console: Console, expected: Mapping[str, float | None], workers: int) -> None:
        """Show on `console` the chapters of `expected`: slug to seconds of its last run, None where it never ran."""
        self.console, self.workers = console, workers
        self.waiting = {slug: UNKNOWN_SECONDS if seconds is None else seconds for slug, seconds in expected.items()}
        self.unknown = {slug for slug, seconds in expected.items() if seconds is None}
        self.started: dict[str, float] = {}
        self.taken: list[float] = []
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self.bars, self.rows = Progress(*columns, console=console, transient=True), dict[str, TaskID]()

    def remaining(self) -> float:
        """Return about how many seconds are left: the longest chapter, or all of them shared by the workers."""
        now = time.monotonic()
        left = [max(seconds - (now - self.started.get(slug, now)), 0) for slug, seconds in self.waiting.items()]
        return max([sum(left) / self.workers, *left], default=0)

    def begin(self, slug: str, reasons: list[str]) -> None:
        """Show that a chapter runs, and why."""
        shown = escape(f"{slug}: {', '.join(reasons[:3])}{' …' if len(reasons) > 3 else ''}")
        self.started[slug], self.rows[slug] = time.monotonic(), self.bars.add_task(shown)
        if not self.console.is_terminal:
            self.console.print(f"  … {shown}")

    def end(self, slug: str, *, sound: bool) -> None:
        """Show that a chapter is done or failed, and how long the others will take."""
        self.waiting.pop(slug)
        self.bars.remove_task(self.rows.pop(slug))
        seconds = time.monotonic() - self.started[slug]
        if not sound:
            self.console.print(f"  [red]✗[/] {slug} {seconds:.0f} s")
            return
        self.taken.append(seconds)
        typical = max(UNKNOWN_SECONDS, sum(self.taken) / len(self.taken))
        self.waiting |= {name: typical for name in self.unknown & self.waiting.keys()}
        left = self.remaining()
        self.console.print(f"  [green]✓[/] {slug} {seconds:.0f} s" + (f" [dim](about {left:.0f} s left)[/]" if left else ""))


def run_all(
    reasons: Mapping[str, list[str]], run: Callable[[str, int], None], terminal: Terminal, workers: int
) -> list[str]:
    """Call `run` for every slug of `reasons`, in this order, `workers` at once; return what failed, one message each.

    `run` is given a standard input for its process: where the build is stopped, that ends, and the process with it.
    """

    def attempt(slug: str, stdin: int) -> str:
        terminal.begin(slug, reasons[slug])
        problem = ""
        try:
            run(slug, stdin)
        except BuildError as error:
            problem = str(error)
        except OSError as error:
            problem = f"{slug}: {explained(error)}"
        terminal.end(slug, sound=not problem)
        return problem

    with terminal.bars, lifeline() as (stdin, cut), ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(attempt, slug, stdin) for slug in reasons]
        try:
            return [problem for future in futures if (problem := future.result())]
        except BaseException:  # Ctrl-C, `kill`, or a defect of the build
            pool.shutdown(wait=False, cancel_futures=True)
            cut()
            raise
