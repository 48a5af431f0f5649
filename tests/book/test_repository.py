"""The repository keeps those of its rules that no tool knows: thin chapters, a complete lock, whole weights, habits of make.

Style, types, layers and imports are the business of ruff, mypy, import-linter and deptry (`make check`).
"""

import ast
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import time
import tomllib
import zipfile
from fnmatch import fnmatch
from importlib.metadata import requires, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pybtex.database import parse_file

import demod
from demod_book.build.launch import install_cell, read_repository
from demod_book.pages.page import purposes

ROOT = Path(__file__).parents[2]
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
PAGES = [TOC["root"], *re.findall(r"'file': '([^']+)'", str(TOC))]
CHAPTERS = sorted(path for page in PAGES if (path := ROOT / f"{page}.ipynb").is_file())
TEMPLATE = ROOT / "templates" / "chapter.ipynb"
MODULES = sorted(path for package in ("demod", "demod_book") for path in (ROOT / package).rglob("*.py"))
CARDS = sorted((ROOT / "demod" / "weights").glob("*.json"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
DECLARED = [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)]
LOCK = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line and not line.startswith("#")]
PINNED = {canonicalize_name(Requirement(line).name) for line in LOCK}


def name(path: Path) -> str:
    """The path as it is written in the repository, to name a parametrised test."""
    return path.relative_to(ROOT).as_posix()


def repository_files() -> list[Path]:
    """The files that git tracks; where there is no git, all but those that it would ignore (by plain patterns)."""
    tracked = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    if (ROOT / ".git").exists():
        listed = subprocess.run(tracked, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
        return sorted(path for file in listed if file and (path := ROOT / file).exists())
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text().split()]
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
    chapters = [path for path in repository_files() if path.parent == ROOT / "chapters" and path.name != ".ruff.toml"]
    assert {name(path.with_suffix("")) for path in chapters} <= set(PAGES)
    assert [page for page in PAGES if not any((ROOT / f"{page}{suffix}").is_file() for suffix in (".ipynb", ".md"))] == []


@pytest.mark.parametrize("notebook", [*CHAPTERS, TEMPLATE], ids=name)
def test_a_chapter_is_committed_without_outputs_and_names_its_kernel_as_jupyterlab_does(notebook):
    for cell in code_cells(notebook):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    assert json.loads(notebook.read_text())["metadata"] == {"kernelspec": kernel, "language_info": {"name": "python"}}


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
    shown = [cell for cell in cells if not purposes(cell)]
    assert len(shown) <= 22
    assert all(len(cell.strip().split("\n")) <= (22 if purposes(cell) else 17) for cell in cells)
    assert not re.search(r"^\s*(async def|def|class) |\bplt\.", "\n".join(cells), re.MULTILINE)


@pytest.mark.parametrize("notebook", [*CHAPTERS, TEMPLATE], ids=name)
def test_what_a_chapter_shows_open_only_computes_and_fits_its_column(notebook):
    cells = [source(cell) for cell in code_cells(notebook)]
    assert max(len(line) for cell in cells for line in cell.split("\n")) <= 88
    for statements in (ast.parse(cell).body for cell in cells[3:]):
        records = [
            isinstance(s, ast.Expr | ast.For) and set(map(ast.unparse, _called(s))) == {"number.record"} for s in statements
        ]
        assert not all(records)  # no cell only hands numbers over: they are recorded in the prose, or where they are drawn


def _called(statement):
    """The functions that are called as statements in `statement`."""
    return [n.value.func for n in ast.walk(statement) if isinstance(n, ast.Expr) and isinstance(n.value, ast.Call)]


@pytest.mark.parametrize("notebook", CHAPTERS, ids=name)
def test_every_work_that_a_chapter_cites_is_in_the_bibliography(notebook):
    known = set(parse_file(ROOT / "references.bib").entries)
    assert set(re.findall(r"references\.md#([\w:-]+)", notebook.read_text())) <= known
    assert "{cite" not in notebook.read_text()  # JupyterLab shows a link, and no role


@pytest.mark.parametrize("page", [path for path in repository_files() if path.parent == ROOT / "chapters"], ids=name)
def test_no_formula_has_its_backslashes_doubled(page):
    prose = page.read_text()
    if page.suffix == ".ipynb":
        cells = json.loads(prose)["cells"]
        prose = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    assert re.findall(r".*\\\\[A-Za-z|,].*", prose) == []


# The package


PUBLIC = {  # names that stay, with all that they ask for
    *("descent.algorithm.descend", "gauss_newton.algorithm.solve", "demodulation.recover", "cli.train"),
    *("baselines.inversion.solve", "baselines.pca_als.solve", "baselines.phase_retrieval.solve"),
}


def functions(path: Path) -> dict[str, ast.FunctionDef]:
    """The functions and methods of a module, by their names below its package."""
    module = path.relative_to(ROOT).with_suffix("").parts[1:]
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
    return {".".join((*module, node.name)): node for node in nodes}


def test_no_function_has_more_than_60_lines_below_its_docstring_or_8_arguments():
    long, greedy = [], []
    for function, node in (found for path in MODULES for found in functions(path).items() if found[0] not in PUBLIC):
        body = node.body[1:] if ast.get_docstring(node) else node.body
        arguments = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        long += [function] if body and (body[-1].end_lineno or 0) - body[0].lineno >= 60 else []
        greedy += [function] if len([a for a in arguments if a not in ("self", "cls")]) > 8 else []
    assert (long, greedy) == ([], [])


WITHOUT_EXTRAS = """
import sys
from importlib import import_module
for module in {absent}:
    sys.modules[module] = None
for module in {modules}:
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        print(module, error)
"""


def test_the_science_and_the_command_work_without_the_extras_and_a_method_that_needs_one_names_it():
    absent = ["cvxpy", "SimpleITK", "distributed", "matplotlib", "plotly"]
    absent += ["filelock", "IPython", "nbformat", "papermill", "psutil", "yaml"]
    inside = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in MODULES if path.stem != "__main__"]
    modules = [module for module in inside if module.startswith("demod.")] + ["demod_book.cli"]
    script = WITHOUT_EXTRAS.format(absent=absent, modules=modules)
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    extras = {module: re.findall(r"pip install 'demod\[(\w+)\]'\.$", text) for module, text in said.items()}
    assert {extra for named in extras.values() for extra in named} == {"convex", "rivals"}
    assert [
        module for module, named in extras.items() if not named or module.split(".")[1] not in ("baselines", "studies")
    ] == []


def test_no_array_is_read_as_pickle():
    assert [name(path) for path in (*MODULES, *CHAPTERS) if "allow_pickle=True" in path.read_text()] == []


def test_every_address_is_that_of_an_encrypted_connection():
    plain = {name(path): re.findall(r"\bhttp://[^\s\"'`)>\]}\\]+", path.read_text()) for path in (*MODULES, *CHAPTERS)}
    assert {file: addresses for file, addresses in plain.items() if addresses} == {}


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


def test_no_file_is_a_link():
    assert [name(path) for path in repository_files() if path.is_symlink()] == []


def test_every_checkout_has_the_line_ends_of_unix_and_whole_binary_files(tmp_path):
    shutil.copyfile(ROOT / ".gitattributes", tmp_path / ".gitattributes")
    script, weights = b"#!/bin/sh\nexit 0\n", b"\0\r\n\n"
    (tmp_path / "run").write_bytes(script)
    (tmp_path / "w.safetensors").write_bytes(weights)
    git = ["git", "-c", "core.autocrlf=true", "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (
        "init --quiet",
        "add --all",
        "commit --quiet --message one",
        "rm --quiet -r .",
        "checkout --quiet HEAD -- .",
    ):
        subprocess.run([*git, *command.split()], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "run").read_bytes() == script
    assert (tmp_path / "w.safetensors").read_bytes() == weights


@pytest.fixture(scope="module")
def archives(tmp_path_factory) -> tuple[Path, Path]:
    """The source archive, made from the files that git tracks, and the wheel, made from the source archive."""
    room = tmp_path_factory.mktemp("archives")
    for path in repository_files():
        (room / "tree" / name(path)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, room / "tree" / name(path))
    make = f"import setuptools.build_meta as b; print(b.build_sdist({str(room)!r}))"
    subprocess.run([sys.executable, "-c", make], cwd=room / "tree", check=True, capture_output=True)
    (archive,) = room.glob("*.tar.gz")
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(room), str(archive)]
    subprocess.run([sys.executable, *build], cwd=room, check=True, capture_output=True)
    return archive, next(room.glob("*.whl"))


@pytest.mark.nightly
def test_the_archives_hold_every_file_of_the_packages(archives):
    wanted = {name(path) for path in repository_files() if name(path).startswith(("demod/", "demod_book/"))}
    with tarfile.open(archives[0]) as sources, zipfile.ZipFile(archives[1]) as wheel:
        assert wanted <= {member.split("/", 1)[-1] for member in sources.getnames()}
        assert {member for member in wheel.namelist() if ".dist-info/" not in member} == wanted


def test_every_data_file_of_the_packages_is_declared():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    files = [path.relative_to(ROOT) for path in repository_files() if path.suffix != ".py"]
    inside = [path for path in files if path.parts[0] in declared]
    found = [any(fnmatch("/".join(path.parts[1:]), pattern) for pattern in declared[path.parts[0]]) for path in inside]
    assert inside != []
    assert [str(path) for path, hit in zip(inside, found, strict=True) if not hit] == []


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
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
SCHEMAS = {
    **{path: "vendor.github-workflows" for path in WORKFLOWS},
    **{path: "vendor.github-issue-forms" for path in FORMS},
    ROOT / ".github/dependabot.yml": "vendor.dependabot",
    ROOT / "CITATION.cff": "vendor.citation-file-format",
}


@pytest.mark.parametrize(("file", "schema"), [(name(path), schema) for path, schema in SCHEMAS.items()])
def test_a_file_follows_its_public_schema(file, schema):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, file]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def called(workflow: Path) -> list[str]:
    """What the jobs of a workflow run, each entry of their matrices spelled out."""
    commands = []
    for job in yaml.safe_load(workflow.read_text())["jobs"].values():
        entries = job.get("strategy", {}).get("matrix", {}).get("include", [{}])
        steps = [step["run"] for step in job["steps"] if "run" in step]
        commands += [step.replace("${{ matrix.target }}", entry.get("target", "")) for step in steps for entry in entries]
    return commands


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=name)
def test_a_workflow_calls_only_make(workflow):
    commands = called(workflow)
    assert commands != []
    assert {command.removeprefix("make ") for command in commands} <= make_targets()


def test_the_workflows_check_test_watch_and_release():
    commands = {command for workflow in WORKFLOWS for command in called(workflow)}
    wanted = ("test-fast", "book", "test", "nightly", "links", "canary", "audit", "determinism", "release")
    assert {f"make {target}" for target in wanted} <= commands


def test_continuous_integration_installs_nothing_by_itself():
    lines = (ROOT / ".ci/run").read_text().splitlines()
    assert [line for line in lines if line.startswith("make ")] == ["make book", "make test"]
    assert not re.search(r"\b(apt|apt-get|pip|sudo|curl)\b", "\n".join(lines))


@pytest.mark.parametrize("file", ["README.md", "CONTRIBUTING.md"])
def test_every_make_command_of_the_documentation_exists(file):
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", (ROOT / file).read_text(), re.MULTILINE))
    assert {"book", "test"} <= named <= make_targets()


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    releases = re.findall(r"^## \[(\d[^]]*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert citation["version"] == releases[0] == PROJECT["version"] == demod.__version__


FAKE_PYTHON = """#!/bin/sh
# Stands in for python3 and for .venv/bin/python: `-m venv` makes .venv, every call of pip is noted and may fail.
case "$1 $2" in
  "-m venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
  "-m pip") echo "$*" >> calls; case "$*" in *"$FAIL_AT"*) echo broken; exit 1 ;; esac ;;
  *urlopen*) echo "$*" >> probes; exit "${INDEX:-1}" ;;
esac
"""
FAKE_UNAME = "#!/bin/sh\necho ${SYSTEM:-Linux x86_64}\n"


@pytest.fixture
def checkout(tmp_path):
    for file in ("Makefile", "requirements.lock", "pyproject.toml"):
        (tmp_path / file).write_bytes((ROOT / file).read_bytes())
    for stub, text in (("python", FAKE_PYTHON), ("bin/uname", FAKE_UNAME)):
        (tmp_path / stub).parent.mkdir(exist_ok=True)
        (tmp_path / stub).write_text(text)
        (tmp_path / stub).chmod(0o755)
    return tmp_path


def make(checkout: Path, target: str, *settings: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Ask make for a target, on what looks like a Linux machine without an NVIDIA GPU."""
    left_out = {"MFLAGS", "TORCH_INDEX_URL", "CHROMIUM"}
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MAKE") and key not in left_out}
    command = ["make", "--no-print-directory", target, f"PYTHON={checkout / 'python'}", "NVIDIA=", *settings]
    environment = clean | {"PATH": f"{checkout / 'bin'}:{clean['PATH']}", "FAIL_AT": "nothing"} | environment
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)


def make_environment(checkout: Path, fail_at: str = "nothing") -> int:
    """Ask make for the environment with the stand-in interpreter; return make's exit status."""
    return make(checkout, ".venv/.ready", FAIL_AT=fail_at).returncode


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


def test_packages_that_do_not_go_together_are_named(checkout):
    done = make(checkout, ".venv/.ready", FAIL_AT=" check")
    assert done.returncode != 0
    assert "broken" in done.stderr


# Where torch comes from


CPU_BUILDS = "--extra-index-url https://download.pytorch.org/whl/cpu "


def torch_call(checkout: Path) -> str:
    (call,) = [line for line in (checkout / "calls").read_text().splitlines() if "torch==" in line]
    return call


@pytest.mark.parametrize(("answers", "preferred"), [("0", True), ("1", False)])
def test_without_a_gpu_the_build_of_torch_for_the_cpu_is_preferred_if_its_index_answers(checkout, answers, preferred):
    assert make(checkout, ".venv/.ready", INDEX=answers).returncode == 0
    assert (CPU_BUILDS in torch_call(checkout)) is preferred


@pytest.mark.parametrize(
    "settings", [{"SYSTEM": "Darwin arm64"}, {"SYSTEM": "Linux aarch64"}, {"make": "NVIDIA=/dev/nvidia0"}]
)
def test_with_a_gpu_or_on_another_system_no_index_is_asked(checkout, settings):
    arguments = [settings.pop("make")] if "make" in settings else []
    assert make(checkout, ".venv/.ready", *arguments, INDEX="0", **settings).returncode == 0
    assert CPU_BUILDS not in torch_call(checkout)
    assert not (checkout / "probes").exists()


@pytest.mark.parametrize("url", ["https://mirror.example/cpu", ""])
@pytest.mark.parametrize("place", ["command", "environment"])
def test_the_index_that_is_named_is_taken_and_none_if_the_name_is_empty(checkout, url, place):
    settings = [f"TORCH_INDEX_URL={url}"] if place == "command" else []
    environment = {"TORCH_INDEX_URL": url} if place == "environment" else {}
    assert make(checkout, ".venv/.ready", *settings, INDEX="0", **environment).returncode == 0
    assert re.findall(r"--extra-index-url (\S+)", torch_call(checkout)) == ([url] if url else [])
    assert not (checkout / "probes").exists()


def test_an_index_that_never_answers_is_given_up_after_seconds():
    probe = re.search(r"^ANSWERS := (.*?)\n(?!  )", (ROOT / "Makefile").read_text(), re.MULTILINE | re.DOTALL)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        here = f"http://127.0.0.1:{silent.getsockname()[1]}"
        code = probe[1].replace("\\\n", " ").replace("$(CPU_BUILDS)", here)
        began = time.monotonic()
        assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode != 0
        assert 3 < time.monotonic() - began < 10


# The tests, and what formats a chapter


@pytest.fixture
def environment(checkout):
    """A finished environment whose programs note how they are called; its Python has no browser."""
    assert make_environment(checkout) == 0
    for tool in ("ruff", "mypy", "lint-imports", "deptry", "demod"):
        (checkout / ".venv/bin" / tool).write_text(f'#!/bin/sh\necho "{tool} $*" >> calls\n')
    browser = (
        'if [ "$2" = demod_book.paper.browser ]; then echo "${BROWSER:-no browser: the remedy}"; test "$BROWSER"; exit; fi'
    )
    noted = 'echo "$* $CHROMIUM" >> calls; exit ${STATUS:-0}'
    (checkout / ".venv/bin/python").write_text(f"#!/bin/sh\n{browser}\n{noted}\n")
    for tool in (checkout / ".venv/bin").iterdir():
        tool.chmod(0o755)
    (checkout / "calls").unlink()
    return checkout


@pytest.mark.parametrize("target", ["test", "nightly"])
def test_without_a_browser_all_else_runs_and_the_last_line_is_the_remedy(environment, target):
    done = make(environment, target)
    calls = (environment / "calls").read_text()
    for call in ("ruff check", "mypy", "lint-imports", "deptry", "demod build --profile quick"):
        assert call in calls
    assert re.search(r"^-m pytest .*--ignore tests/pages", calls, re.MULTILINE)
    assert done.returncode != 0
    assert done.stderr.splitlines()[0] == "no browser: the remedy"


@pytest.mark.parametrize("status", [0, 1])
def test_with_a_browser_the_tests_decide(environment, status):
    done = make(environment, "test", BROWSER="/a/browser", STATUS=str(status))
    assert (done.returncode == 0) is (status == 0)
    last = (environment / "calls").read_text().splitlines()[-1]
    assert "--ignore" not in last
    assert last.endswith(" /a/browser")


def test_format_leaves_nothing_that_jupyterlab_adds_to_a_chapter(environment):
    shutil.copytree(ROOT / "templates", environment / "templates")
    (environment / "chapters").mkdir()
    opened, clean = environment / "chapters/opened.ipynb", CHAPTERS[0].read_bytes()
    notebook = json.loads(clean)
    notebook["metadata"]["language_info"] |= {
        "codemirror_mode": {"name": "ipython", "version": 3},
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "nbconvert_exporter": "python",
        "pygments_lexer": "ipython3",
        "version": "3.13.0",
    }
    cell = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    cell |= {"execution_count": 3, "outputs": [{"name": "stdout", "output_type": "stream", "text": ["x"]}]}
    cell["metadata"] |= {"editable": True, "slideshow": {"slide_type": ""}, "jupyter": {"outputs_hidden": False}}
    cell["metadata"] |= {"collapsed": False, "scrolled": True, "ExecuteTime": {}, "execution": {}, "trusted": True}
    opened.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")
    (environment / ".venv/bin/nbstripout").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m nbstripout "$@"\n')
    (environment / ".venv/bin/nbstripout").chmod(0o755)
    assert make(environment, "format").returncode == 0
    assert opened.read_bytes() == clean


def test_every_version_of_python_that_is_named_is_tested_and_the_next_one_watched():
    jobs = {name: job for workflow in WORKFLOWS for name, job in yaml.safe_load(workflow.read_text())["jobs"].items()}
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert jobs["test"]["strategy"]["matrix"]["python"] == named
    assert PROJECT["requires-python"] == f">={named[0]}"
    watched = {entry["target"]: entry["python"] for entry in jobs["watch"]["strategy"]["matrix"]["include"]}
    assert watched["canary"] == f"3.{int(named[-1].split('.')[1]) + 1}"
