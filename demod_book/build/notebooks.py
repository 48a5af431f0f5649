"""What a chapter's notebook must look like, before it runs and after.

Editors write many dialects of the notebook format; `read_notebook` brings them to one, with nbformat, or says what is wrong.
papermill alone accepts too much: it exits 0 after `sys.exit(0)` and after `!false`, it leaves the cells after a killed
kernel marked as completed, and it passes over parameters that the notebook does not declare.
"""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode
from nbformat.v4 import to_notebook
from papermill.translators import PythonTranslator

from demod_book.build.folders import BuildError

Notebook = NotebookNode
Cell = dict[str, Any]

INSTALL = "install"  # the tag of the cell that installs demod where it is not, as on Colab
SHELL = {"os.system", "os.popen", "subprocess.call", "subprocess.getoutput", "subprocess.getstatusoutput"}
SHELL |= {"subprocess.Popen", "get_ipython().system", "get_ipython().getoutput"}
MAGIC_CALL = re.compile(r"get_ipython\(\)\.(run_(line|cell)_)?magic")
SHELL_MAGICS = {"bash", "sh", "script", "system", "sx", "!", "!!"}
MAGICS = {"precision", "matplotlib", "config"}  # what they do is seen, and they hide no code
ELSEWHERE = re.compile(r"ir|xr|julia|bash|octave|matlab|scala|xcpp|evcxr|deno|iruby|\.net")  # if no language is named
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
TEXTS = "texts"  # the tag of a cell that tells what the prose above it shows
INSERTED = {"injected-parameters", "papermill-error-cell-tag", TEXTS}  # by papermill and by the build, not by the author
PRINTED = 100_000  # characters of text that a cell may print; HTML, a figure's, is not counted
TRACEBACK = "Traceback (most recent call last)"
WARNING = re.compile(r"^.*\S:\d+: [\w.]*Warning: .*$|^.*(?:\.py|>):\d+: [A-Za-z_][\w.]*: .*$", re.MULTILINE)


def read_notebook(path: Path) -> Notebook:
    """Read a notebook of format 4, in whatever dialect an editor wrote it; each source is one string, each id unique."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise BuildError(f"{path} is not complete ({error}); restore it from the repository.") from error
    if not isinstance(raw, dict) or raw.get("nbformat") != 4 or not isinstance(raw.get("cells"), list):
        raise BuildError(f"{path} is not a notebook of format 4; save it again with JupyterLab.")
    try:
        notebook = to_notebook(_complete(raw))
        for cell in notebook.cells:
            cell.source = cell.source.replace("\r\n", "\n").replace("\r", "\n")
        nbformat.validate(notebook)
    except (nbformat.ValidationError, AttributeError, KeyError, TypeError) as error:
        reason = str(error).split("\n")[0][:200]
        raise BuildError(f"{path} is not a valid notebook ({reason}); save it again with JupyterLab.") from error
    return notebook


def _complete(raw: dict[str, Any]) -> dict[str, Any]:
    """Add what nbformat asks for and some editors leave out, as nbformat would, but the same at each reading."""
    raw["metadata"] = raw.get("metadata") or {}
    raw["nbformat_minor"] = 5
    seen: set[str] = set()
    for number, cell in enumerate(raw["cells"]):
        cell.setdefault("metadata", {})
        cell.setdefault("source", "")
        for name, empty in (("outputs", []), ("execution_count", None)):
            if cell["cell_type"] == "code":
                cell.setdefault(name, empty)
            else:
                cell.pop(name, None)
        if not re.fullmatch(r"[\w-]{1,64}", str(cell.get("id", "")), re.ASCII) or cell["id"] in seen:
            cell["id"] = f"unnamed-{number}"
        seen.add(cell["id"])
    return raw


def code_cells(notebook: Notebook) -> Iterator[tuple[int, Cell]]:
    """Yield the code cells that are not blank, numbered from 1 among all cells but the inserted ones."""
    return ((number, cell) for number, cell in _numbered(notebook) if _is_code(cell))


def _numbered(notebook: Notebook) -> Iterator[tuple[int, Cell]]:
    """Yield all cells with their numbers among those of the author; one that was inserted has that of the cell before."""
    number = 0
    for cell in notebook["cells"]:
        number += INSERTED.isdisjoint(tags(cell))
        yield number, cell


def _is_code(cell: Cell) -> bool:
    return cell["cell_type"] == "code" and INSERTED.isdisjoint(tags(cell)) and bool(cell["source"].strip())


def tags(cell: Cell) -> list[str]:
    """Return the tags of a cell."""
    return cell.get("metadata", {}).get("tags", [])


def give_outputs(notebook: Notebook, executed: Notebook) -> None:
    """Give the code cells of `notebook` the outputs of those of `executed`, without stderr: progress bars; warnings fail."""
    for (_, cell), (_, done) in zip(code_cells(notebook), code_cells(executed), strict=True):
        cell["outputs"] = [output for output in done["outputs"] if output.get("name") != "stderr"]
        cell["execution_count"] = done["execution_count"]


def title(notebook: Notebook) -> str:
    """Return the title of a notebook, the first line of its Markdown that begins with "# "; empty if there is none."""
    prose = "\n".join(cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "markdown")
    return next((line.removeprefix("# ").strip() for line in prose.split("\n") if line.startswith("# ")), "")


def cell_code(cell: Cell) -> str:
    """Return the code of a cell as Python, magics and shell escapes spelled out as calls."""
    return TransformerManager().transform_cell(cell["source"])


def python_code(notebook: Notebook) -> str:
    """Return all code of a notebook as one Python program."""
    return "\n".join(cell_code(cell) for _, cell in code_cells(notebook))


def check_source(notebook: Notebook, parameters: Mapping[str, Any]) -> list[str]:
    """Return why a notebook cannot be run with `parameters`; nothing if it can."""
    if language := _other_language(notebook.get("metadata", {})):
        return [f"it is written for {language}, but chapters run in Python; choose a Python kernel and save it"]
    problems, parsed = [], []
    for number, cell in code_cells(notebook):
        try:
            parsed.append((number, cell, ast.parse(cell_code(cell))))
        except SyntaxError as error:
            problems.append(f"cell {number} is not Python: {error}")
    names = imported_as(*(tree for _, _, tree in parsed))
    for number, cell, tree in parsed:
        allowed = MAGICS | {"pip"} if INSTALL in tags(cell) else MAGICS
        problems += [f"cell {number} {problem}" for problem in dict.fromkeys(_unseen(tree, names, allowed))]
    return problems or _check_parameters(notebook, parameters)


def _other_language(metadata: Mapping[str, Any]) -> str | None:
    """Return the language that the metadata of a notebook name, by their kernel if need be; None for Python."""
    kernel = metadata.get("kernelspec", {})
    named = kernel.get("language") or metadata.get("language_info", {}).get("name")
    if named is None and ELSEWHERE.fullmatch(kernel.get("name", "").split("-")[0].lower()):
        named = f"the kernel {kernel['name']}"
    return None if named is None or "python" in named.lower() else named


def imported_as(*trees: ast.AST) -> dict[str, str]:
    """Return what the imports in `trees` bind: the name, and the dotted name that it stands for."""
    found: dict[str, str] = {}
    for node in (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)):
        module = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
        found |= {alias.asname or alias.name: f"{module}{alias.name}" for alias in node.names}
    return found


def _unseen(tree: ast.AST, names: Mapping[str, str], allowed: set[str]) -> Iterator[str]:
    """Yield what is wrong with the calls in `tree` that hide code, output or a failure from the build."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        first, dot, rest = ast.unparse(call.func).partition(".")
        name = names.get(first, first) + dot + rest
        words = [word.value for word in call.args if isinstance(word, ast.Constant)]
        magic = str(words[0]) if words and MAGIC_CALL.fullmatch(name) else None
        unchecked = name == "subprocess.run" and "check" not in [keyword.arg for keyword in call.keywords]
        if name in SHELL or magic in SHELL_MAGICS or unchecked:
            yield "calls the shell, whose failure would go unseen; call Python instead"
        elif magic is not None and magic.split()[0] not in allowed:
            sign = "%%" if name.endswith("cell_magic") else "%"
            yield f"uses {sign}{magic}, which hides code, output or a failure from the build; write it in Python"


def _check_parameters(notebook: Notebook, parameters: Mapping[str, Any]) -> list[str]:
    cells = [cell for _, cell in code_cells(notebook) if "parameters" in tags(cell)]
    if len(cells) != 1:
        return [f'{len(cells)} cells are tagged "parameters"; tag the one that assigns {", ".join(parameters)}']
    declared = {parameter.name for parameter in PythonTranslator.inspect(cells[0])}
    told = 'is not assigned in the cell tagged "parameters", so that setting it would do nothing; assign it there'
    return [f"{name} {told}" for name in parameters if name not in declared]


def check_run(notebook: Notebook) -> list[str]:
    """Return why an executed notebook is not to be believed; nothing if every cell ran to its end without an error."""
    cells = ((number, cell) for number, cell in _numbered(notebook) if TEXTS in tags(cell) or _is_code(cell))
    return [f"cell {number} {problem}" for number, cell in cells if (problem := _check_cell(cell))]


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
    size = sum(len(_written(output)) for output in cell["outputs"] if "text/html" not in output.get("data", {}))
    if size > PRINTED:
        return f"printed {size / 1e6:.1f} million characters, more than a page can show; print less, or draw a figure"
    if cell["execution_count"] is None:
        return "did not run"
    status = cell["metadata"].get("papermill", {}).get("status")
    return None if status == "completed" else f"ended with status {status!r}"


def _written(output: Mapping[str, Any]) -> str:
    """Return what a reader would see of an output as text."""
    data = output.get("data", {})
    return output.get("text", "") + "".join(data.get(kind, "") for kind in ("text/plain", "text/html", "text/markdown"))
