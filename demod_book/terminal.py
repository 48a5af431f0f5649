"""How the command speaks: plain help, errors of one line on stderr, and an exit status that scripts can use.

Help is printed as it is written: no bracket of it is taken for markup. Where a stream's encoding lacks a character, a
question mark stands for it. An error is "demod: " and what to do; Ctrl-C says what of the work is kept.
"""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text
from typer.core import TyperGroup

T = TypeVar("T")
WrongCommandLine: Any = typer.BadParameter.__base__  # click's UsageError, wherever this typer has it from
INTERRUPTED = 130  # as shells count: 128 and the number of the signal
KEPT = {
    "build": "the last good book is as it was, and chapters that are done need not run again",
    "claims": "nothing was to be written",
    "data": "files that came whole are kept",
    "train": "the same command goes on from the last checkpoint",
    "autoencode": "the same command goes on from the last checkpoint",
    "study": "finished cells are kept, and the same command goes on from them",
    "recover": "nothing was written",
    "bench": "comparisons that are done have stored their results",
    "accept": "each file in tests/expected is as it was or as it is to be; the same command does the rest",
    "address": "each file is as it was or as it is to be; the same command does the rest",
    "compare": "nothing was written",
}


class Commands(TyperGroup):
    """The commands, with their errors said in one line each."""

    def main(self, *args: Any, **settings: Any) -> NoReturn:
        """Run the command line and exit with its status."""
        mend_streams()
        try:
            status = super().main(*args, **settings | {"standalone_mode": False})
        except WrongCommandLine as error:
            place = error.ctx.command_path if error.ctx else "demod"
            message = " ".join(error.format_message().split()).rstrip(".")
            say_error(f"{message}. `{place} --help` lists what there is.")
            status = 2
        sys.exit(status if isinstance(status, int) else 0)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; being stopped, and what the system refuses, are no bugs and need no traceback."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            say_error(f"{ctx.invoked_subcommand} was stopped: {KEPT[ctx.invoked_subcommand or 'build']}.")
            raise typer.Exit(INTERRUPTED) from error
        except BrokenPipeError:
            raise
        except OSError as error:
            say_error(f"{error}.")
            raise typer.Exit(1) from error


def mend_streams() -> None:
    """Have stdout and stderr take every character, and be there."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the caller
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 # open to the end
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def say(*lines: object) -> None:
    """Print lines on stdout as they are: nothing in them is markup, and none is broken."""
    console = Console(highlight=False, soft_wrap=True)
    for line in lines:
        console.print(Text(str(line)))


def say_error(message: str, style: str = "red") -> None:
    """Print "demod: " and a message on stderr."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(Text.assemble(("demod: ", style), message))


def tracked(parts: Sequence[T], weight: Callable[[T], int], what: str) -> Iterable[T]:
    """Yield the parts, and show on stderr how many of the things in them are done, and the time left."""
    console = Console(stderr=True, highlight=False)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=sum(map(weight, parts)))
        for part in parts:
            yield part
            progress.advance(task, weight(part))
            if not console.is_terminal and (row := progress.tasks[0]).remaining:
                left = "" if row.time_remaining is None else f", about {row.time_remaining:.0f} s left"
                console.print(f"{what}: {row.completed:.0f} of {row.total:.0f}{left}", soft_wrap=True)
