"""The wheel that the book carries: it installs without a network, it is whole, and it is the same each time."""

import hashlib
import re
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from zipfile import ZipFile

import pytest

from demod_book import needs
from demod_book.build.folders import BuildError
from demod_book.pages import wheel as wheels
from demod_book.pages.wheel import write_wheel

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(
    path.relative_to(ROOT).as_posix()
    for package in ("demod", "demod_book")
    for pattern in ("*.py", "py.typed", "weights/*", "results/*")
    for path in (ROOT / package).rglob(pattern)
    if path.is_file() and not path.match("weights/*encoder*")  # no chapter loads them, and the book is carried about
)
USES = """
from pathlib import Path
import demod, demod_book.chapter
from demod.dcgan import load_generator
assert Path(demod.__file__).is_relative_to(Path.cwd()), demod.__file__
load_generator("digits")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return write_wheel(tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_every_module_result_and_prior_and_nothing_else(wheel):
    with ZipFile(wheel) as archive:
        names = archive.namelist()
    information = f"demod-{distribution('demod').version}.dist-info"
    assert sorted(name for name in names if not name.startswith(information)) == SHIPPED
    assert {name.rpartition("/")[2] for name in names if name.startswith(information)} == {
        *("METADATA", "WHEEL", "RECORD", "entry_points.txt"),
    }


def test_the_same_package_gives_the_same_bytes(wheel, tmp_path):
    assert wheel.read_bytes() == write_wheel(tmp_path).read_bytes()


def test_pip_installs_the_wheel_without_a_network_and_it_runs_from_there(wheel, tmp_path):
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", tmp_path / "there"]
    done = subprocess.run([*pip, wheel], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in SHIPPED:
        digests = [hashlib.sha256((root / name).read_bytes()).digest() for root in (ROOT, tmp_path / "there")]
        assert digests[0] == digests[1], name
    subprocess.run([sys.executable, "-c", USES], cwd=tmp_path / "there", env={"PYTHONPATH": "."}, check=True)


def test_a_package_that_was_not_installed_is_refused_with_what_to_do(tmp_path, monkeypatch):
    def unknown(name):
        raise wheels.PackageNotFoundError(name)

    monkeypatch.setattr(wheels, "distribution", unknown)
    with pytest.raises(BuildError, match=r"demod is not installed, .* run `pip install -e \.`"):
        write_wheel(tmp_path)


# What a chapter installs beside it


REQUIRED = [
    "numpy>=2.0",
    "scikit_image>=0.25",
    'cvxpy>=1.9; extra == "convex"',
    "matplotlib>=3.10; extra == 'chapters'",
    'demod[convex]; extra == "chapters"',
    'ruff>=0.14; extra == "test"',
]


class Found:
    def __init__(self, name: str, version: str) -> None:
        self.name, self.version = name, version


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine that has numpy and scikit-image."""
    monkeypatch.setattr(needs, "requires", lambda _: REQUIRED)
    monkeypatch.setattr(needs, "distributions", lambda: [Found("numpy", "1.26+local"), Found("scikit-image", "0.20")])
    monkeypatch.setattr(needs.tempfile, "mkdtemp", lambda **_: str(tmp_path))


def test_only_what_is_missing_is_installed_and_all_that_is_there_is_kept(machine):
    arguments = needs.missing()
    assert arguments.endswith(" cvxpy matplotlib")
    constraints = Path(re.match(r'--constraint "(.+)" ', arguments)[1])
    assert constraints.read_text() == "numpy==1.26+local\nscikit-image==0.20\n"


def test_where_nothing_is_missing_nothing_is_installed(machine, monkeypatch):
    monkeypatch.setattr(needs, "requires", lambda _: REQUIRED[:2])
    assert needs.missing() == ""


def test_this_machine_has_what_its_chapters_need():
    assert needs.missing() == ""
    assert {"torch", "matplotlib", "plotly", "cvxpy"} <= set(needs.needed_names(distribution("demod").requires))


def test_what_tells_the_needs_imports_nothing_that_may_be_missing():
    code = "import sys; import demod_book.needs; print([name for name in sys.modules if name.split('.')[0] in FOREIGN])"
    foreign = "FOREIGN = ('numpy', 'torch', 'yaml', 'nbformat', 'IPython', 'demod'); "
    done = subprocess.run([sys.executable, "-c", foreign + code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
