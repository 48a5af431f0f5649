"""A chapter and its page are the same wherever the book lies and whatever the user's environment holds."""

import json
import os
import re
import sys
from pathlib import Path

import pytest
import yaml
from fixture_book import DRAWN, arrays, code, notebook, run, write_book

from demod.artifacts import read_json
from demod_book.build.worker import IMPORTED, environment

OF_OTHERS = {
    "PYTHONWARNINGS": "error",
    "PYTHONHASHSEED": "7",
    "PYTHONOPTIMIZE": "2",
    "PYTHONUTF8": "0",
    "PYTHONIOENCODING": "ascii",
    "MPLBACKEND": "svg",
    "PLOTLY_RENDERER": "json",
    "OMP_NUM_THREADS": "7",
    "MKL_DYNAMIC": "TRUE",
    "LC_ALL": "C",
    "LANG": "de_DE.ISO-8859-1",
    "TZ": "Pacific/Kiritimati",
    "NO_COLOR": "1",
    "COLUMNS": "20",
    "DISPLAY": ":9",
    "DEMOD_FIGURES": "/nowhere",
    "DEMOD_NUMBERS": "/nowhere",
    "DEMOD_SWEEPS": "/nowhere",
    "JUPYTER_CONFIG_PATH": "/nowhere",
    "SOURCE_DATE_EPOCH": "315532800",
}
NAMES = [name for name in OF_OTHERS if not name.startswith("DEMOD_")]
SEES = code(
    f"NAMES = {NAMES}"
    + """
import locale, os, sys, time, warnings
import matplotlib, demod
print(sys.flags.optimize, sys.flags.utf8_mode, hash("demod") % 1000, warnings.filters[0][0])
print(matplotlib.get_backend(), matplotlib.rcParams["savefig.dpi"], matplotlib.rcParams["lines.linewidth"])
print(time.tzname, locale.getpreferredencoding(), sys.executable, demod.__file__)
print(sorted((name, value) for name, value in os.environ.items() if name in NAMES))
print("started" in globals(), os.environ.get("DEMOD_FIGURES", "").endswith("figures"))"""
)


@pytest.mark.parametrize("name", OF_OTHERS)
def test_what_changes_a_chapter_does_not_come_in_from_outside(tmp_path, monkeypatch, name):
    monkeypatch.delenv(name, raising=False)
    clean = environment(tmp_path)
    monkeypatch.setenv(name, OF_OTHERS[name])
    assert environment(tmp_path) == clean


def test_a_chapter_imports_the_package_that_builds_before_any_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["other", "", str(tmp_path / "third")]))
    found = environment(tmp_path)["PYTHONPATH"].split(os.pathsep)
    assert found == [str(IMPORTED), str(tmp_path / "other"), str(tmp_path / "third")]


def test_where_data_and_programs_lie_comes_in_from_outside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, value in {"DEMOD_DATA_DIR": "mnist", "CUDA_VISIBLE_DEVICES": "1", "PATH": os.environ["PATH"]}.items():
        monkeypatch.setenv(name, value)
    found = environment(tmp_path)
    assert (found["DEMOD_DATA_DIR"], found["CUDA_VISIBLE_DEVICES"]) == (str(tmp_path / "mnist"), "1")
    assert found["PATH"] == os.environ["PATH"]


def hostile(home: Path) -> dict[str, str]:
    """The variables of a user whose own profiles, styles, kernels and packages would change a chapter."""
    (home / "ipython/profile_default/startup").mkdir(parents=True)
    (home / "ipython/profile_default/startup/00.py").write_text("started = True")
    (home / "ipython/profile_default/ipython_config.py").write_text(
        "get_config().InteractiveShellApp.exec_lines = ['1 / 0']"
    )
    (home / "startup.py").write_text("started = True")
    (home / "mpl").mkdir()
    (home / "mpl/matplotlibrc").write_text("lines.linewidth: 17\nsavefig.dpi: 17\n")
    (home / "kernels/python3").mkdir(parents=True)
    kernel = {"argv": ["false"], "display_name": "Python 3", "language": "python"}
    (home / "kernels/python3/kernel.json").write_text(json.dumps(kernel))
    (home / "other/demod").mkdir(parents=True)
    (home / "other/demod/__init__.py").write_text("raise ImportError('another demod')")
    own = {"IPYTHONDIR": home / "ipython", "PYTHONSTARTUP": home / "startup.py", "MPLCONFIGDIR": home / "mpl"}
    own |= {"JUPYTER_PATH": home, "JUPYTER_DATA_DIR": home, "PYTHONPATH": home / "other", "HOME": home / "nowhere"}
    return OF_OTHERS | {name: str(path) for name, path in own.items()}


def test_a_book_is_the_same_in_any_folder_and_under_any_profile_of_its_user(tmp_path, monkeypatch):
    chapter = notebook("seen", SEES, DRAWN)
    plain = write_book(tmp_path / "plain", chapter)
    odd = write_book(tmp_path / "my bök #1 %20 {x} 'q' & [b](y)", chapter)
    run(plain, only="seen")
    for name, value in hostile(tmp_path).items():
        monkeypatch.setenv(name, value)
    assert f"open {odd}/_build/html/index.html" in run(odd)
    shown = []
    for root in (plain, odd):
        cells = read_json(root / "_build/executed/seen.ipynb")["cells"]
        shown.append("".join(text for cell in cells for o in cell.get("outputs", ()) for text in o.get("text", ())))
    assert shown[0] == shown[1]
    assert "False True" in shown[0]
    assert sys.executable in shown[0]
    first, second = arrays(plain), arrays(odd)
    assert {name: array.tobytes() for name, array in first.items()} == {name: a.tobytes() for name, a in second.items()}
    pictures = [(root / "_build/figures/seen/drawn.png").read_bytes() for root in (plain, odd)]
    assert pictures[0] == pictures[1]
    page = (odd / "_build/html/chapters/seen.html").read_text(encoding="utf-8")
    year = yaml.safe_load((odd / "_config.yml").read_text(encoding="utf-8"))["copyright"]
    assert re.search(rf"Copyright\W+{year}", page)  # not that of SOURCE_DATE_EPOCH
