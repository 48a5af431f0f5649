"""Where the browser comes from: `python -m demod_book.paper.browser` prints the path of a Chromium that starts.

In this order: the one that CHROMIUM names; one on the path; one in playwright's cache; one that playwright downloads there,
which needs no root; one that apt-get installs, where root runs it. Nothing asks a question, and nothing waits without end.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC = ("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome", "/Applications/Chromium.app/Contents/MacOS/Chromium")
CACHED = ("chrome", "Chromium", "Google Chrome for Testing", "chrome-headless-shell", "headless_shell")
START_LIMIT, DOWNLOAD_LIMIT, INSTALL_LIMIT = 30, 240, 480  # seconds
# No sandbox in containers, a software renderer for WebGL, and no traffic of the browser's own.
FLAGS = "--no-sandbox --disable-gpu --enable-unsafe-swiftshader --disable-quic --no-first-run"
QUIET = "--disable-background-networking --disable-component-update --disable-sync --disable-default-apps"
REMEDY = "run 'apt-get install chromium' as root, or name a Chromium or Chrome with CHROMIUM=<path>."


class NoBrowser(Exception):
    """No Chromium can be had; the message says what to do."""


def starts(program: str | Path) -> bool:
    """Whether a browser tells its version: some programs of that name only say where the real one is to be had."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, timeout=START_LIMIT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def on_the_path() -> Iterator[str]:
    """Yield the browsers that the shell finds, and those of macOS, which it does not."""
    yield from filter(None, map(shutil.which, (*NAMES, *MAC)))


def cache() -> Path:
    """Return the folder into which playwright downloads browsers."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        expected = Path(playwright.chromium.executable_path)
    return next(folder.parent for folder in expected.parents if folder.name.startswith("chromium"))


def in_the_cache() -> Iterator[Path]:
    """Yield the browsers that playwright downloaded, the newest first."""
    folders = sorted(cache().glob("chromium*-*"), key=lambda folder: int(folder.name.rpartition("-")[2]), reverse=True)
    for folder in folders:
        yield from (path for path in sorted(folder.rglob("*")) if path.name in CACHED and path.is_file())


@contextmanager
def launched(program: str) -> Iterator["Browser"]:
    """Yield the browser `program`, started; it ends with the block."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[*FLAGS.split(), *QUIET.split()])
        try:
            yield browser
        finally:
            browser.close()


def find() -> str | None:
    """Return a browser that is on this machine, if there is one.

    Raises
    ------
    NoBrowser
        If the program that CHROMIUM names does not start.
    """
    if named := os.environ.get("CHROMIUM"):
        program = shutil.which(named)
        if program is None or not starts(program):
            raise NoBrowser(f"CHROMIUM names {named}, which does not start: {REMEDY}")
        return program
    return next((str(program) for place in (on_the_path, in_the_cache) for program in place() if starts(program)), None)


def attempt(command: list[str], limit: float, **environment: str) -> bool:
    """Run a command that asks nothing, and stop it with all that it started after `limit` seconds."""
    process = subprocess.Popen(
        command,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return process.wait(limit) == 0
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return False


def download() -> None:
    """Let playwright download its own Chromium into the user's cache."""
    print("Downloading Chromium into playwright's cache", file=sys.stderr)
    patience = os.environ.get("PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT", "10000")  # milliseconds
    command = [sys.executable, "-m", "playwright", "install", "--no-shell", "chromium"]
    attempt(command, DOWNLOAD_LIMIT, PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT=patience)


def install() -> None:
    """Let apt-get install Chromium, where it is there and root may."""
    if not shutil.which("apt-get") or os.geteuid() != 0:
        return
    print("Installing chromium with apt-get", file=sys.stderr)
    options = "-qq -o Acquire::http::Timeout=20 -o Acquire::Retries=1 -o DPkg::Lock::Timeout=60"
    for step in ("update", "install --yes --no-install-recommends chromium"):
        attempt(["apt-get", *options.split(), *step.split()], INSTALL_LIMIT, DEBIAN_FRONTEND="noninteractive")


def bring() -> str:
    """Return a browser that starts, from this machine or from elsewhere.

    Raises
    ------
    NoBrowser
        If there is none to be had.
    """
    steps: tuple[Callable[[], None], ...] = (lambda: None, download, install)
    for step in steps:
        step()
        if program := find():
            return program
    raise NoBrowser(f"The book is read and printed by Chromium, which could be neither found nor brought: {REMEDY}")


if __name__ == "__main__":
    try:
        print(bring())
    except NoBrowser as error:
        print(error)
        sys.exit(1)
