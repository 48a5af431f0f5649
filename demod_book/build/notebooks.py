"""What a chapter's notebook must look like, before it runs and after.

papermill alone accepts too much: it exits 0 after `sys.exit(0)` and after `!false`, it leaves the cells after a killed
kernel marked as completed, and it passes over parameters that the notebook does not declare.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from IPython.core.inputtransformer2 import TransformerManager

from demod.artifacts import read_json
from demod_book.build.folders import BuildError

Notebook = dict[str, Any]
Cell = dict[str, Any]

SHELL = re.compile(r"get_ipython\(\)\.(system|getoutput)\(|run_cell_magic\('(bash|sh|script|system|!)'")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
PAPERMILL = {"injected-parameters", "papermill-error-cell-tag"}  # the tags of the cells that papermill inserts
PRINTED = 100_000  # characters of text that a cell may print; HTML, a figure's, is not counted
TRACEBACK = "Traceback (most recent call last)"
WARNING = re.compile(r"^\S+:\d+: \w*Warning: .*$", re.MULTILINE)


def read_notebook(path: Path) -> Notebook:
    """Read a notebook of format 4."""
    try:
        notebook = read_json(path)
    except ValueError as error:
        raise BuildError(f"{path} is not whole ({error}); restore it from the repository.") from error
    if not isinstance(notebook, dict) or notebook.get("nbformat") != 4:
        raise BuildError(f"{path} is not a notebook of format 4; save it again with JupyterLab.")
    return notebook


def text(cell: Cell, key: str = "source") -> str:
    """Return the source of a cell (or another field of it, or of an output) as one string."""
    content = cell.get(key, "")
    return content if isinstance(content, str) else "".join(content)


def code_cells(notebook: Notebook) -> Iterator[tuple[int, Cell]]:
    """Yield the code cells that are not blank, numbered from 1 among all cells but papermill's own."""
    own = [cell for cell in notebook["cells"] if PAPERMILL.isdisjoint(tags(cell))]
    for number, cell in enumerate(own, 1):
        if cell["cell_type"] == "code" and text(cell).strip():
            yield number, cell


def tags(cell: Cell) -> list[str]:
    """Return the tags of a cell."""
    return cell.get("metadata", {}).get("tags", [])


def title(notebook: Notebook) -> str:
    """Return the title of a notebook, the first line of its Markdown that begins with "# "; empty if there is none."""
    prose = "\n".join(text(cell) for cell in notebook["cells"] if cell["cell_type"] == "markdown")
    return next((line.removeprefix("# ").strip() for line in prose.split("\n") if line.startswith("# ")), "")


def cell_code(cell: Cell) -> str:
    """Return the code of a cell as Python, magics and shell escapes spelled out as calls."""
    return TransformerManager().transform_cell(text(cell))


def python_code(notebook: Notebook) -> str:
    """Return all code of a notebook as one Python program."""
    return "\n".join(cell_code(cell) for _, cell in code_cells(notebook))


def check_source(notebook: Notebook, parameters: Mapping[str, Any]) -> list[str]:
    """Return why a notebook cannot be run with `parameters`; nothing if it can."""
    problems = []
    for number, cell in code_cells(notebook):
        code = cell_code(cell)
        if SHELL.search(code):
            problems.append(f"cell {number} calls the shell, whose failure would go unseen; call Python instead")
        try:
            ast.parse(code)
        except SyntaxError as error:
            problems.append(f"cell {number} is not Python: {error}")
    return problems or _check_parameters(notebook, parameters)


def _check_parameters(notebook: Notebook, parameters: Mapping[str, Any]) -> list[str]:
    cells = [cell for _, cell in code_cells(notebook) if "parameters" in tags(cell)]
    if len(cells) != 1:
        return [f'{len(cells)} cells are tagged "parameters"; tag the one that assigns {", ".join(parameters)}']
    targets = [target for node in ast.parse(text(cells[0])).body if isinstance(node, ast.Assign) for target in node.targets]
    declared = {target.id for target in targets if isinstance(target, ast.Name)}
    return [
        f'{name} is not assigned in the cell tagged "parameters", so that setting it would do nothing; assign it there'
        for name in parameters
        if name not in declared
    ]


def check_run(notebook: Notebook) -> list[str]:
    """Return why an executed notebook is not to be believed; nothing if every cell ran to its end without an error."""
    return [f"cell {number} {problem}" for number, cell in code_cells(notebook) if (problem := _check_cell(cell))]


def unfinished(notebook: Notebook) -> int | str:
    """Return the number of the first cell of an executed notebook that did not run to its end."""
    cells = ((number, cell["metadata"].get("papermill", {}).get("status")) for number, cell in code_cells(notebook))
    return next((number for number, status in cells if status != "completed"), "?")


def _check_cell(cell: Cell) -> str | None:
    for output in cell["outputs"]:
        if output["output_type"] == "error":
            return f"raised {output['ename']}: {COLOURS.sub('', output['evalue'])}"
        written = COLOURS.sub("", _written(output))
        if TRACEBACK in written:
            return "printed a traceback"
        if output.get("name") == "stderr" and (warning := WARNING.search(written)):
            return f"warned: {warning.group()}"
    if (
        size := sum(len(_written(output)) for output in cell["outputs"] if "text/html" not in output.get("data", {}))
    ) > PRINTED:
        return f"printed {size / 1e6:.1f} million characters, more than a page can show; print less, or draw a figure"
    if cell["execution_count"] is None:
        return "did not run"
    status = cell["metadata"].get("papermill", {}).get("status")
    return None if status == "completed" else f"ended with status {status!r}"


def _written(output: dict[str, Any]) -> str:
    """Return what a reader would see of an output as text."""
    data = output.get("data", {})
    return text(output, "text") + "".join(text(data, kind) for kind in ("text/plain", "text/html", "text/markdown"))
