"""The address of the repository: the book's buttons that open a chapter elsewhere, and the cell that installs demod there.

_config.yml alone names the address, and may leave it empty. Colab brings a notebook and nothing around it, so the second
cell of every chapter, tagged "install", installs demod where the kernel does not have it: from the address, or, while
there is none, from the clone that the notebook lies in. No package that is there changes: it may be loaded. `set_address`
writes both; the build refuses a chapter whose cell installs from elsewhere.
"""

import copy
import re
from pathlib import Path
from typing import Any

import nbformat
import yaml

from demod.artifacts import atomic_path
from demod_book.build.folders import BuildError, Layout
from demod_book.build.notebooks import INSTALL, Cell, Notebook, code_cells, read_notebook, tags

ADDRESS = re.compile(r"https://github\.com/[\w.-]+/[\w.-]+")
URL_LINE = re.compile(r'^(  url: )"[^"]*"', re.MULTILINE)
NEEDS = """
    from demod_book.needs import missing

    if needed := missing():
        %pip install --quiet {needed}"""
CODE = """\
# Where the kernel has no demod, as on Colab, this installs it,
# and of what it needs only what is missing: no package that is there changes.
from importlib.util import find_spec

if find_spec("demod") is None:
    %pip install --quiet --no-deps "{requirement}\""""
COPIED = """\
# Where the kernel has no demod, this installs it, from the wheel that lies beside this notebook{otherwise},
# and of what it needs only what is missing: no package that is there changes.
from importlib.util import find_spec
from pathlib import Path

if find_spec("demod") is None:
    wheel = next(Path().glob("demod-*.whl"), "{source}")
    %pip install --quiet --no-deps "{{wheel}}\""""
NOWHERE = "put demod-*.whl, from the book's folder notebooks, beside this notebook"  # no requirement: pip quotes it


def copied_install_cell(repository: dict[str, Any]) -> str:
    """Return the code of the cell that installs demod, in a copy of a chapter that was taken from the book.

    `repository` is the entry of _config.yml. The copy has no clone around it; the book has a wheel of demod beside it.
    """
    url = repository.get("url")
    address = f"demod @ git+{url}@{repository.get('branch', 'main')}"
    return COPIED.format(otherwise=" or from its address" if url else "", source=address if url else NOWHERE) + NEEDS


def with_copied_install(notebook: Notebook, repository: dict[str, Any]) -> Notebook:
    """Return a copy of `notebook` whose cell tagged "install" is that of a copy."""
    copied = copy.deepcopy(notebook)
    for _, cell in _install_cells(copied):
        cell["source"] = copied_install_cell(repository)
    return copied


def _install_cells(notebook: Notebook) -> list[tuple[int, Cell]]:
    """Return the cells tagged "install" with their numbers."""
    return [(number, cell) for number, cell in code_cells(notebook) if INSTALL in tags(cell)]


def install_cell(repository: dict[str, Any]) -> str:
    """Return the code of the cell that installs demod, for the entry `repository` of _config.yml."""
    url = repository.get("url")
    return CODE.format(requirement=f"demod @ git+{url}@{repository.get('branch', 'main')}" if url else "..") + NEEDS


def check_install_cell(notebook: Notebook, repository: dict[str, Any]) -> list[str]:
    """Return what is wrong with the cell tagged "install", if the notebook has one."""
    return [
        f"cell {number} installs demod from elsewhere than _config.yml says; `make address URL=<url>` sets both"
        for number, cell in _install_cells(notebook)
        if cell["source"] != install_cell(repository)
    ]


def read_repository(root: Path) -> dict[str, Any]:
    """Return the entry `repository` of _config.yml: url, perhaps empty, and branch."""
    try:
        config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8-sig")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BuildError(f"_config.yml cannot be read ({' '.join(str(error).split())}); correct it.") from error
    return config.get("repository") or {}


def with_buttons(config: dict[str, Any]) -> dict[str, Any]:
    """Return the content of _config.yml with buttons to the repository, to Binder and to Colab, if it names an address."""
    if not config.get("repository", {}).get("url"):
        return config
    launch = {
        "notebook_interface": "jupyterlab",
        "binderhub_url": "https://mybinder.org",
        "colab_url": "https://colab.research.google.com",
    }
    html = config["html"] | {"use_repository_button": True, "use_issues_button": True}
    return config | {"html": html, "launch_buttons": launch}


def set_address(layout: Layout, url: str) -> list[Path]:
    """Write `url`, which may be empty, into _config.yml, and the cell that goes with it into every chapter that has one.

    Returns
    -------
    list[Path]
        The files that changed.

    Raises
    ------
    BuildError
        If `url` is no address on GitHub, from which alone Colab opens notebooks, or _config.yml has no line for it.
    """
    if url and not ADDRESS.fullmatch(url):
        raise BuildError(f"URL is {url!r}; it must be like https://github.com/owner/name, or empty for no buttons.")
    config = layout.root / "_config.yml"
    written, found = URL_LINE.subn(rf'\g<1>"{url}"', config.read_text(encoding="utf-8"))
    if found != 1:
        raise BuildError(f'{config} has {found} lines `  url: "…"`; keep the one under `repository:`.')
    repository = yaml.safe_load(written)["repository"]
    contents = {config: written}
    for path in (*layout.notebooks().values(), *layout.root.glob("templates/*.ipynb")):
        notebook = read_notebook(path)
        stale = _install_cells(notebook)
        for _, cell in stale:
            cell["source"] = install_cell(repository)
        if stale:
            contents[path] = nbformat.writes(notebook) + "\n"
    changed = [path for path, content in contents.items() if path.read_text(encoding="utf-8") != content]
    for path in changed:
        with atomic_path(path) as temporary:
            temporary.write_text(contents[path], encoding="utf-8")
    return changed
