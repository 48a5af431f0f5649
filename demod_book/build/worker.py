"""A tool of the build in a process of its own, which ends with the build, however the build ends.

    python -m demod_book.build.worker papermill.cli:papermill …

The standard input is a pipe whose other end the build holds and never writes to. When the build ends, even by SIGKILL, the
system closes that end; the worker reads the end of its input and stops with all that it started. So no chapter of a build
that was killed is at work, or writes, beside those of the next one.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pkgutil import resolve_name

import psutil

MODULE = "demod_book.build.worker"


@contextmanager
def lifeline() -> Iterator[int]:
    """Yield the standard input of a process that is to end with this one, or with the block."""
    read, write = os.pipe()
    try:
        yield read
    finally:
        os.close(write)
        os.close(read)


def stop(process: int) -> None:
    """Kill the process of this number and all that it started; do nothing if it is gone."""
    try:
        family = [psutil.Process(process), *psutil.Process(process).children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue


def _end_with_the_build() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    stop(os.getpid())


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_build, daemon=True).start()
    sys.argv = sys.argv[1:]
    resolve_name(sys.argv[0])()
