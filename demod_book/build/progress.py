"""What the terminal shows while chapters run: who runs, who is done, how long it will take."""

import time

from doit.exceptions import BaseFail, TaskFailed
from doit.task import Task
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

UNKNOWN_SECONDS = 60.0  # the first guess for a chapter that never ran; then it is the mean of those that are done


class Terminal:
    """A reporter for doit. It keeps the failures, one message a chapter, in `failures`."""

    def __init__(self, console: Console, expected: dict[str, float | None], workers: int) -> None:
        """Show on `console` the chapters of `expected`: slug to seconds of its last run, None where it never ran."""
        self.console, self.workers = console, workers
        self.waiting = {slug: UNKNOWN_SECONDS if seconds is None else seconds for slug, seconds in expected.items()}
        self.unknown = {slug for slug, seconds in expected.items() if seconds is None}
        self.started: dict[str, float] = {}
        self.taken: list[float] = []
        self.failures: list[str] = []
        self.bars = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console, transient=True
        )
        self.rows: dict[str, TaskID] = {}

    def remaining(self) -> float:
        """Return about how many seconds are left: the longest chapter, or all of them shared by the workers."""
        now = time.monotonic()
        left = [max(seconds - (now - self.started.get(slug, now)), 0) for slug, seconds in self.waiting.items()]
        return max([sum(left) / self.workers, *left], default=0)

    def initialize(self, tasks: dict[str, Task], selected_tasks: list[str]) -> None:
        """Begin."""
        self.bars.start()

    def get_status(self, task: Task) -> None:
        """Take no notice that a chapter is looked up in the cache."""

    def execute_task(self, task: Task) -> None:
        """Show that a chapter runs."""
        slug = task.name
        self.started[slug] = time.monotonic()
        self.rows[slug] = self.bars.add_task(f"{slug}: {task.doc}")
        if not self.console.is_terminal:
            self.console.print(f"  … {slug}: {task.doc}")

    def _finish(self, task: Task) -> tuple[str, float]:
        slug = task.name
        self.waiting.pop(slug, None)
        if slug in self.rows:
            self.bars.remove_task(self.rows.pop(slug))
        return slug, time.monotonic() - self.started.get(slug, time.monotonic())

    def add_success(self, task: Task) -> None:
        """Show that a chapter is done."""
        slug, seconds = self._finish(task)
        self.taken.append(seconds)
        typical = max(UNKNOWN_SECONDS, sum(self.taken) / len(self.taken))
        self.waiting |= {name: typical for name in self.unknown & self.waiting.keys()}
        left = self.remaining()
        self.console.print(f"  [green]✓[/] {slug} {seconds:.0f} s" + (f" [dim](about {left:.0f} s left)[/]" if left else ""))

    def add_failure(self, task: Task, fail: BaseFail) -> None:
        """Show that a chapter failed, and keep the reason."""
        slug, seconds = self._finish(task)
        self.failures.append(fail.message if isinstance(fail, TaskFailed) else fail.get_msg())
        self.console.print(f"  [red]✗[/] {slug} {seconds:.0f} s")

    def skip_uptodate(self, task: Task) -> None:
        """Show that a chapter need not run."""
        slug, _ = self._finish(task)
        self.console.print(f"  [dim]= {slug} unchanged[/]")

    def skip_ignore(self, task: Task) -> None:
        """Take no notice of a task that doit ignores; there are none."""

    def cleanup_error(self, exception: BaseFail) -> None:
        """Keep an error of doit's own."""
        self.failures.append(str(exception))

    def runtime_error(self, message: str) -> None:
        """Keep an error of doit's own."""
        self.failures.append(message)

    def teardown_task(self, task: Task) -> None:
        """Take no notice of teardowns; there are none."""

    def complete_run(self) -> None:
        """End."""
        self.bars.stop()
