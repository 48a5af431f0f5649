"""The repository keeps its own rules: thin chapters, layers, a complete lock, whole weights, no traces of one machine."""

import ast
import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from importlib.metadata import packages_distributions, requires, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pybtex.database import parse_file

from demod_book.build.launch import install_cell, read_repository

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted((ROOT / "chapters").glob("*.ipynb"))
TEMPLATE = ROOT / "templates" / "chapter.ipynb"
MODULES = sorted((ROOT / "demod").rglob("*.py"))
CARDS = sorted((ROOT / "demod" / "weights").glob("*.json"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
DECLARED = [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)]
LOCK = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line and not line.startswith("#")]
PINNED = {canonicalize_name(Requirement(line).name) for line in LOCK}

# Each module imports only from those before it.
LAYERS = (
    *("arguments", "artifacts", "checkpoints", "shipped", "processes", "generators"),
    *("objective", "expectation", "wdc", "hyperbolas"),
    *("factors", "descent", "landscape", "baselines"),
    *("data", "image_generator", "dcgan", "demodulation", "autoencoder", "photo"),
    *("sweeps", "comparison", "image_study", "intervals", "claims"),
    "figures",
    *("chapter", "book"),
    *("cli", "__main__"),
)


def name(path: Path) -> str:
    """The path as it is written in the repository, to name a parametrised test."""
    return path.relative_to(ROOT).as_posix()


def repository_files() -> list[Path]:
    """All files of the working tree but those that git ignores (by the plain patterns of .gitignore)."""
    ignored = [".git", *(line.strip("/") for line in (ROOT / ".gitignore").read_text().split())]
    files = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [f for f in folders if not any(fnmatch(f, pattern) for pattern in ignored)]
        files += [Path(folder, n) for n in names if not any(fnmatch(n, pattern) for pattern in ignored)]
    return sorted(files)


def code_cells(notebook: Path) -> list[dict]:
    return [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]


def source(cell: dict) -> str:
    return "".join(cell["source"])


# Chapters


def test_every_chapter_is_in_the_table_of_contents():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    listed = {toc["root"], *re.findall(r"'file': '([^']+)'", str(toc))}
    present = {name(path.with_suffix("")) for path in (ROOT / "chapters").iterdir() if path.suffix in {".ipynb", ".md"}}
    assert listed == present


@pytest.mark.parametrize("notebook", [*CHAPTERS, TEMPLATE], ids=name)
def test_a_chapter_is_committed_without_outputs(notebook):
    for cell in code_cells(notebook):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None


@pytest.mark.parametrize("notebook", [*CHAPTERS, TEMPLATE], ids=name)
def test_a_chapter_begins_with_the_three_parameters(notebook):
    first = code_cells(notebook)[0]
    assert first["metadata"]["tags"] == ["parameters"]
    lines = source(first).split("\n")
    assert [line.split("  # ")[0] for line in lines] == ['profile = "quick"', 'device = "auto"', "seed = 2019"]
    assert all("  # " in line for line in lines)  # papermill --help-notebook shows these explanations
    assert not any("parameters" in cell["metadata"].get("tags", []) for cell in code_cells(notebook)[1:])


@pytest.mark.parametrize("notebook", [*CHAPTERS, TEMPLATE], ids=name)
def test_a_chapter_then_installs_demod_where_it_is_missing(notebook):
    second = code_cells(notebook)[1]
    assert second["metadata"]["tags"] == ["install", "remove-cell"]
    assert source(second) == install_cell(read_repository(ROOT))


@pytest.mark.parametrize("notebook", CHAPTERS, ids=name)
def test_a_chapter_opens_itself_under_its_own_name(notebook):
    assert f'begin("{notebook.stem}", profile=profile, device=device, seed=seed)' in source(code_cells(notebook)[2])


@pytest.mark.parametrize("notebook", [*CHAPTERS, TEMPLATE], ids=name)
def test_a_chapter_is_thin(notebook):
    cells = [source(cell) for cell in code_cells(notebook)[3:]]  # after the parameters, the installation and the settings
    assert 3 <= len(cells) <= 15
    for cell in cells:
        assert len(cell.strip().split("\n")) <= 12, cell
        assert not re.search(r"^\s*(async def|def|class) |\bplt\.", cell, re.MULTILINE), cell


@pytest.mark.parametrize("notebook", CHAPTERS, ids=name)
def test_every_work_that_a_chapter_cites_is_in_the_bibliography(notebook):
    known = set(parse_file(ROOT / "references.bib").entries)
    groups = re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", notebook.read_text())
    assert {key.strip() for group in groups for key in group.split(",")} <= known


@pytest.mark.parametrize("page", sorted((ROOT / "chapters").iterdir()), ids=name)
def test_no_formula_has_its_backslashes_doubled(page):
    prose = page.read_text()
    if page.suffix == ".ipynb":
        cells = json.loads(prose)["cells"]
        prose = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    assert re.findall(r".*\\\\[A-Za-z|,].*", prose) == []


# The package


def imported(path: Path) -> list[str]:
    """Absolute names of the modules that a file imports, anywhere in it."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return plain + ["." * node.level + (node.module or "") for node in nodes if isinstance(node, ast.ImportFrom)]


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_imports_only_from_layers_below_it(path):
    layer = path.relative_to(ROOT / "demod").with_suffix("").parts[0]
    for module in imported(path):
        top, _, inner = module.partition(".")
        assert top, f"{module}: relative imports are not used"
        if top == "demod":
            below = inner.split(".")[0]
            assert below in LAYERS, f"{module}: the form is `from demod.x import y`"
            assert below == layer or (layer != "figures" and LAYERS.index(below) < LAYERS.index(layer)), module


def test_every_module_has_its_layer():
    present = {path.relative_to(ROOT / "demod").with_suffix("").parts[0] for path in MODULES}
    assert present <= {*LAYERS, "__init__"}


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_every_import_is_a_declared_dependency(path):
    layer = path.relative_to(ROOT / "demod").with_suffix("").parts[0]
    extra = (
        EXTRAS["book"] + EXTRAS["chapters"]
        if layer in LAYERS[-5:]
        else EXTRAS["rivals"]
        if path.stem == "bias_field"
        else []
    )
    declared = PROJECT["dependencies"] + extra
    allowed = {canonicalize_name(Requirement(line).name) for line in declared}
    tops = {module.partition(".")[0] for module in imported(path)} - {"demod"} - sys.stdlib_module_names
    for top in tops:
        assert {canonicalize_name(d) for d in packages_distributions()[top]} & allowed, f"{top} is not declared"


def test_no_module_is_a_drawer_for_odds_and_ends():
    words = {word for path in MODULES for part in path.relative_to(ROOT).with_suffix("").parts for word in part.split("_")}
    assert words.isdisjoint({"utils", "util", "helpers", "helper", "common", "misc"})


@pytest.mark.parametrize("card", CARDS, ids=name)
def test_the_weights_are_those_that_their_card_describes(card):
    weights = card.with_suffix(".safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == json.loads(card.read_text())["sha256"]


def test_every_weights_file_has_a_card():
    weights = {path.stem for path in (ROOT / "demod" / "weights").glob("*.safetensors")}
    assert weights == {card.stem for card in CARDS}


# Files


def test_no_file_is_larger_than_16_megabytes():
    assert {name(path): path.stat().st_size for path in repository_files() if path.stat().st_size > 16e6} == {}


def test_no_file_names_a_folder_of_one_machine():
    folder = re.compile(rb"(?<![\w.-])/(work|root|home)/")
    text = [path for path in repository_files() if b"\0" not in path.read_bytes()]
    assert [name(path) for path in text if folder.search(path.read_bytes())] == []


# Environment


def test_the_lock_pins_every_package_and_leaves_torch_to_the_makefile():
    assert [line for line in LOCK if not re.fullmatch(r'[\w.-]+==[\w.]+( ; [\w.]+ == "[\w.]+")?', line)] == []
    assert [package for package in PINNED if re.match(r"torch|triton|nvidia|cuda", package)] == []


@pytest.mark.parametrize("line", DECLARED)
def test_the_lock_satisfies_every_declared_dependency(line):
    needed = Requirement(line)
    pins = {canonicalize_name(r.name): next(iter(r.specifier)).version for r in map(Requirement, LOCK)}
    pins |= {"torch": version("torch"), "demod": PROJECT["version"]}  # neither stands in the lock
    assert needed.specifier.contains(pins[canonicalize_name(needed.name)], prereleases=True)


def test_the_lock_is_complete():
    """Every requirement of every locked package, and of torch but for CUDA, is locked; extras count when asked for."""
    waiting = [Requirement(line) for line in DECLARED if not line.startswith("demod[")]
    seen, missing = set(), set()
    while waiting:
        needed = waiting.pop()
        package = canonicalize_name(needed.name)
        if (package, extras := frozenset(needed.extras)) in seen:
            continue
        seen.add((package, extras))
        if package not in PINNED | {"torch"}:
            missing.add(package)
            continue
        for line in map(Requirement, requires(package) or []):
            wanted = line.marker is None or any(line.marker.evaluate({"extra": extra}) for extra in {"", *extras})
            if wanted and not re.match(r"triton|nvidia|cuda", line.name):
                waiting.append(line)
    assert missing == set()


# Commands and forms


WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize(
    ("schema", "file"),
    [*(("vendor.github-workflows", name(path)) for path in WORKFLOWS), ("vendor.citation-file-format", "CITATION.cff")],
)
def test_a_file_follows_its_public_schema(schema, file):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, file]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def called(workflow: Path) -> list[str]:
    """What the jobs of a workflow run, each entry of their matrices spelled out."""
    commands = []
    for job in yaml.safe_load(workflow.read_text())["jobs"].values():
        targets = job.get("strategy", {}).get("matrix", {}).get("target", [""])
        steps = [step["run"] for step in job["steps"] if "run" in step]
        commands += [step.replace("${{ matrix.target }}", target) for step in steps for target in targets]
    return commands


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=name)
def test_a_workflow_calls_only_make(workflow):
    commands = called(workflow)
    assert commands != []
    assert {command.removeprefix("make ") for command in commands} <= make_targets()


def test_the_workflows_check_test_watch_and_release():
    commands = {command for workflow in WORKFLOWS for command in called(workflow)}
    wanted = ("check", "book", "test", "links", "canary", "audit", "determinism", "release")
    assert {f"make {target}" for target in wanted} <= commands


def test_without_chromium_make_says_how_to_get_it():
    command = ["make", "chromium", "CHROMIUM="]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "run 'apt-get install chromium' as root, or name a Chromium or Chrome with CHROMIUM=<path>" in done.stderr


PICKLE = re.compile(r"\b(cloud)?pickle\b|torch\.(load|save)\b|allow_pickle=True|joblib\.(load|dump)\b|\.read_pickle")


@pytest.mark.parametrize("path", [*MODULES, *CHAPTERS, *sorted((ROOT / "benchmarks").glob("*.py"))], ids=name)
def test_nothing_is_stored_as_pickle(path):
    code = path.read_text()
    if path.suffix == ".py":  # prose may say that pickle is not used
        tree = ast.parse(code)
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
                node.body[0] = ast.Pass()
        code = ast.unparse(tree)
    assert [line for line in code.split("\n") if PICKLE.search(line)] == []


@pytest.mark.parametrize("path", [*MODULES, *CHAPTERS], ids=name)
def test_nothing_is_downloaded_but_by_https_and_never_beside_pooch(path):
    code = path.read_text()
    addresses = re.findall(r"\bhttps?://[^\s\"'`)>\]}\\]+", code)
    assert [address for address in addresses if address.startswith("http://")] == []
    assert not re.search(r"urlretrieve|urlopen|requests\.get|httpx|wget|hf_hub_download|torch\.hub", code)


@pytest.mark.parametrize("file", ["README.md", "CONTRIBUTING.md"])
def test_every_make_command_of_the_documentation_exists(file):
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", (ROOT / file).read_text(), re.MULTILINE))
    assert {"book", "test"} <= named <= make_targets()


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    releases = re.findall(r"^## \[(\d[^]]*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert citation["version"] == releases[0] == PROJECT["version"]


FAKE_PYTHON = """#!/bin/sh
# Stands in for python3 and for .venv/bin/python: `-m venv` makes .venv, every pip call is noted and may fail.
case "$2" in
  venv) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
  pip) echo "$*" >> calls; case "$*" in *"$FAIL_AT"*) exit 1 ;; esac ;;
esac
"""


@pytest.fixture
def checkout(tmp_path):
    for file in ("Makefile", "requirements.lock", "pyproject.toml"):
        (tmp_path / file).write_bytes((ROOT / file).read_bytes())
    (tmp_path / "python").write_text(FAKE_PYTHON)
    (tmp_path / "python").chmod(0o755)
    return tmp_path


def make_environment(checkout: Path, fail_at: str = "nothing") -> int:
    """Ask make for the environment with the stand-in interpreter; return make's exit status."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MAKE") and key != "MFLAGS"}
    command = ["make", ".venv/.ready", f"PYTHON={checkout / 'python'}"]
    environment = clean | {"FAIL_AT": fail_at}
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, check=False).returncode


def test_a_finished_environment_is_not_installed_again(checkout):
    assert make_environment(checkout) == 0
    before = (checkout / "calls").read_text()
    assert make_environment(checkout) == 0
    assert (checkout / "calls").read_text() == before


@pytest.mark.parametrize("step", ["torch==", "--requirement", "--editable"])
def test_a_cut_installation_is_taken_up_again(checkout, step):
    assert make_environment(checkout, fail_at=step) != 0
    assert not (checkout / ".venv/.ready").exists()
    (checkout / "calls").unlink()
    assert make_environment(checkout) == 0
    assert step in (checkout / "calls").read_text()


@pytest.mark.parametrize(("file", "step"), [("requirements.lock", "--requirement"), ("pyproject.toml", "--editable")])
def test_a_stale_environment_is_brought_up_to_date(checkout, file, step):
    assert make_environment(checkout) == 0
    (checkout / "calls").unlink()
    after = (checkout / ".venv/.ready").stat().st_mtime + 10
    os.utime(checkout / file, (after, after))
    assert make_environment(checkout) == 0
    assert step in (checkout / "calls").read_text()
