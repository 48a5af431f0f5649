"""The built book, served on the loopback, and a Chromium that reads it."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from demod_book.paper.browser import REMEDY, find, launched

HTML = Path(__file__).parents[2] / "_build/html"


@pytest.fixture(scope="session")
def html() -> Path:
    """The folder of the built book."""
    if not (HTML / "build.json").is_file():
        pytest.fail("There is no book in _build/html: run `make book` first.")
    return HTML


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def address(html: Path) -> Iterator[str]:
    """The book's address on the loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=html)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A Chromium of this machine; `make test` brings one."""
    program = find() or pytest.fail(f"The tests read the book in Chromium: {REMEDY}")
    with launched(program) as browser:
        yield browser
