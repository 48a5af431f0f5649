"""The chapters as a reader has them in JupyterLab: every number of the prose is visible there, and follows the seed.

Two chapters are run so; by night, all.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[2]
SHOWN = re.compile(r'\{eval\}`number(?:\.|\(\\")(\w+)')  # in a notebook's file; others are recorded for other pages
CHAPTERS = sorted(path.stem for path in (ROOT / "chapters").glob("*.ipynb"))
DAILY = ("generators", "landscape")
NOTHING_DRAWN = ("reproducing",)  # and "study" draws only starts
RAW = re.compile(r"\{[a-z]+(?::[a-z]+)?\}`|^:::|^```|<!--|\w+Error: |number[.(]", re.MULTILINE)
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # every cell is in the page, seen or not
    "apputils-extension/notification": {"fetchNews": "false"},
}
PROSE = """() => [...document.querySelectorAll(".jp-MarkdownCell")].map((cell) => {
  const seen = cell.cloneNode(true);
  seen.querySelectorAll(".jp-Editor, .jp-Toolbar").forEach((part) => part.remove());
  return seen.textContent;
})"""
SECONDS = 600.0  # for one chapter; most take less than one minute on an idle core


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """The chapters in a folder of their own: JupyterLab and the chapters write beside them."""
    found = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "chapters", found / "chapters", ignore=shutil.ignore_patterns("_build", ".ipynb_checkpoints"))
    for name, content in SETTINGS.items():
        path = found / f"settings/@jupyterlab/{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    return found


@pytest.fixture(scope="session")
def lab(folder: Path) -> Iterator[str]:
    """A JupyterLab as `make` installs it, with the settings it comes with but for those above."""
    port, own = (
        free_port(),
        {name: str(folder / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")},
    )
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}", "--ip=127.0.0.1"]
    command += ["--IdentityProvider.token=", f"--ServerApp.root_dir={folder}"]
    environment = os.environ | own | {"JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"), "OMP_NUM_THREADS": "1"}
    log = (folder / "lab.log").open("wb")
    with log, subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT) as server:
        try:
            until(lambda: answers(port), 60)
            yield f"http://127.0.0.1:{port}/lab"
        finally:
            server.terminate()


def until(holds, seconds: float) -> None:
    """Wait until `holds()`; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"still waiting after {seconds:g} s"
        time.sleep(0.5)


def run_all(page: Page, address: str, name: str) -> tuple[str, dict[str, str]]:
    """Open a chapter, run all its cells, and return its prose as it is then seen, and the texts of its numbers."""
    page.goto(f"{address}/tree/chapters/{name}.ipynb?reset", timeout=120_000)
    page.wait_for_selector(".jp-Notebook .jp-MarkdownCell", timeout=120_000)
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=60_000)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    prompts = "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(prompt => prompt.textContent)"
    until(lambda: all(re.fullmatch(r"\[\d+\]:", prompt) for prompt in page.evaluate(prompts)), SECONDS)
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=60_000)
    page.wait_for_timeout(3000)  # the prose follows the kernel
    prose = "\n".join(page.evaluate(PROSE))
    slug = name.removesuffix("-other")
    found = json.loads((page.folder / f"chapters/_build/numbers/{slug}.json").read_text())["numbers"]
    return prose, {key: number["text"] for key, number in found.items() if not number.get("timing")}


@pytest.fixture
def page(browser: Browser, folder: Path) -> Iterator[Page]:
    page = browser.new_context(viewport={"width": 1400, "height": 900}).new_page()
    page.folder = folder
    yield page
    page.context.close()


@pytest.mark.parametrize("slug", [s if s in DAILY else pytest.param(s, marks=pytest.mark.nightly) for s in CHAPTERS])
def test_every_number_is_seen_in_jupyterlab_nothing_is_raw_and_another_seed_gives_others(page, folder, lab, slug):
    prose, numbers = run_all(page, lab, slug)
    assert RAW.findall(prose) == []
    notebook = (folder / f"chapters/{slug}.ipynb").read_text()
    shown = set(re.findall(SHOWN, notebook))
    assert {name: text for name, text in numbers.items() if name in shown and text not in prose} == {}
    assert page.locator(".jp-OutputArea-output[data-mime-type$='.error']").count() == 0
    if slug in NOTHING_DRAWN:
        return
    (folder / f"chapters/{slug}-other.ipynb").write_text(notebook.replace("seed = 2019 ", "seed = 7 "))
    assert run_all(page, lab, f"{slug}-other")[1] != numbers
