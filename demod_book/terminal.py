"""How the command speaks: plain help, errors of one line on stderr, and an exit status that scripts can use.

Help is printed as it is written: no bracket of it is taken for markup. Where a stream's encoding lacks a character, a
question mark stands for it. An error is "demod: " and what to do; Ctrl-C says what of the work is kept.
"""

import os
import sys
import time
from collections.abc import Iterable, Sequence, Sized
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text
from typer.core import TyperCommand, TyperGroup

T = TypeVar("T", bound=Sized)
WrongCommandLine: Any = typer.BadParameter.__base__  # click's UsageError, wherever this typer has it from
INTERRUPTED = 130  # as shells count: 128 and the number of the signal
KEPT = {
    "build": "the last good book is as it was, and chapters that are done need not run again",
    "pdf": "the last PDF is as it was",
    "claims": "nothing was to be written",
    "data": "files that came whole are kept",
    "train": "the same command goes on from the last checkpoint",
    "study": "finished tasks are kept, and the same command goes on from them",
    "recover": "nothing was written",
    "bench": "comparisons that are done have stored their results",
    "accept": "each file in tests/expected is as it was or as it is to be; the same command does the rest",
    "address": "each file is as it was or as it is to be; the same command does the rest",
    "store": "each file in results is as it was or as it is to be; the same command does the rest",
    "bounds": "the file is as it was",
    "compare": "nothing was written",
}


class Plain:
    """Help in the characters that stdout has."""

    def get_help(self, ctx: Any) -> str:
        """Return the help."""
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"  # click would write UTF-8 to a terminal of ASCII
        return super().get_help(ctx).encode(encoding, "replace").decode(encoding)  # type: ignore[misc] # of the other base


class PlainCommand(Plain, TyperCommand):
    """A command."""


class App(typer.Typer):
    """An application whose commands speak as the module says."""

    def __init__(self) -> None:
        """Hold no commands yet."""
        super().__init__(cls=Commands, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

    def command(self, *args: Any, **settings: Any) -> Any:
        """Register a function as a command."""
        return super().command(*args, **{"cls": PlainCommand} | settings)


class Commands(Plain, TyperGroup):
    """The commands, with their errors said in one line each."""

    def main(self, *args: Any, **settings: Any) -> NoReturn:
        """Run the command line and exit with its status."""
        mend_streams()
        try:
            status = super().main(*args, **settings | {"standalone_mode": False})
        except WrongCommandLine as error:
            place = error.ctx.command_path if error.ctx else "demod"
            message = " ".join(error.format_message().split())
            stop = "" if message.endswith((".", "?")) else "."
            say_error(f"{message}{stop} `{place} --help` lists what there is.")
            status = 2
        sys.exit(status if isinstance(status, int) else 0)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; being stopped, and what the system refuses, are no bugs and need no traceback."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            command = ctx.invoked_subcommand or ctx.info_name
            say_error(f"{command} was stopped: {KEPT.get(command, 'nothing was begun')}.")
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


def tracked(parts: Sequence[T], what: str) -> Iterable[T]:
    """Yield the parts, and show on stderr how many of the things in them are done, and the time left; of one, nothing."""
    console, sizes = Console(stderr=True, highlight=False, soft_wrap=True), [len(part) for part in parts]
    total, begun = sum(sizes), time.monotonic()
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=total == 1 or not console.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=total)
        for k, part in enumerate(parts):
            if total > 1 and not console.is_terminal:
                done = sum(sizes[:k])
                left = f", about {(total - done) * (time.monotonic() - begun) / done:.0f} s left" if done else ""
                console.print(f"{what}: {done} of {total}{left}")
            yield part
            bar.advance(task, sizes[k])
