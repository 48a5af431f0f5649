"""The notebooks that the book gives away: they run from an empty folder, without a network.

One chapter is run so; by night, all.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted(path.stem for path in (ROOT / "chapters").glob("*.ipynb"))
DAILY = ("generators",)
MYST = re.compile(r"\{[a-z]+(?::[a-z]+)?\}`|^\s*(?::::|```\{)|<!--", re.MULTILINE)
CUT_OFF = ("unshare", "--map-root-user", "--net")  # a namespace with no network but a loopback that is down


def cut_off() -> list[str]:
    """The command that takes the network away, where the system has it and lets us."""
    able = shutil.which(CUT_OFF[0]) and subprocess.run([*CUT_OFF, "true"], capture_output=True, check=False).returncode == 0
    return [*CUT_OFF, "sh", "-c", 'ip link set lo up 2>/dev/null; exec "$@"', "sh"] if able and shutil.which("ip") else []


@pytest.mark.parametrize("slug", [s if s in DAILY else pytest.param(s, marks=pytest.mark.nightly) for s in CHAPTERS])
def test_a_copy_runs_from_an_empty_folder_without_a_network(html, tmp_path, slug):
    shutil.copyfile(html / f"notebooks/{slug}.ipynb", tmp_path / "taken.ipynb")
    command = [
        *cut_off(),
        sys.executable,
        "-m",
        "papermill",
        "taken.ipynb",
        "run.ipynb",
        "--no-progress-bar",
        "-k",
        "python3",
    ]
    own = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    own |= {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}  # nobody answers there
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DEMOD_")} | own
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=1800)
    assert done.returncode == 0, done.stderr[-2000:]
    cells = nbformat.read(tmp_path / "run.ipynb", as_version=4).cells
    assert all(cell.execution_count for cell in cells if cell.cell_type == "code")


@pytest.mark.parametrize("place", ["notebooks", "_sources/chapters"])
def test_no_copy_holds_what_only_myst_knows(html, place):
    copies = sorted((html / place).glob("*.ipynb"))
    assert [path.stem for path in copies] == CHAPTERS
    for path in copies:
        cells = nbformat.read(path, as_version=4).cells
        prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        shown = "\n".join(o.data.get("text/markdown", "") for cell in cells for o in cell.get("outputs", []) if "data" in o)
        assert MYST.findall(f"{prose}\n{shown}") == [], path.stem
