"""The numbers in the prose: {eval}`expression`, MyST's role, which JupyterLab evaluates in the kernel.

The build evaluates the expressions where they stand: it puts a cell that tells their texts after each cell of prose that has
some, runs the notebook so, and writes the texts into the page in their place.

JupyterLab runs them late, often after all code: an expression must not use a name that a later cell assigns again.
"""

import ast
import builtins
import re

from nbformat.v4 import new_code_cell

from demod_book.build.notebooks import TEXTS, Cell, Notebook, cell_code, code_cells, imported_as, tags

EVAL = re.compile(r"\{eval\}`([^`]+)`")
CAPTION = "caption"  # the tag of a cell of prose that is the caption of the figure above it


def expressions(cell: Cell) -> list[str]:
    """Return the expressions in a cell of prose."""
    return EVAL.findall(cell["source"]) if cell["cell_type"] == "markdown" else []


def with_texts(notebook: Notebook) -> Notebook:
    """Put a cell that tells the texts of its expressions after each cell of prose that has some; return the notebook."""
    cells = []
    for cell in notebook["cells"]:
        cells.append(cell)
        if found := expressions(cell):
            code = f"from demod_book.chapter import tell\n\ntell(*{found!r})"
            cells.append(new_code_cell(code, id=f"{cell['id'][:50]}-{TEXTS}", metadata={"tags": [TEXTS]}))
    notebook["cells"] = cells
    return notebook


def insert_texts(notebook: Notebook, executed: Notebook) -> None:
    """Write the texts that `executed`, run with `with_texts`, told into the prose of `notebook`."""
    told = (cell["outputs"][0]["data"] for cell in executed["cells"] if TEXTS in tags(cell))
    for cell in notebook["cells"]:
        if expressions(cell):
            (texts,) = next(told).values()
            between = EVAL.split(cell["source"])[::2]  # the prose around the expressions
            cell["source"] = "".join(part for pair in zip(between, [*texts, ""], strict=True) for part in pair)


def with_captions(notebook: Notebook) -> Notebook:
    """Move the captions of figures from the cells below them to where MyST-NB looks for them; return the notebook."""
    cells: list[Cell] = []
    for cell in notebook["cells"]:
        if CAPTION in tags(cell) and cells:
            cells[-1]["metadata"].setdefault("mystnb", {}).setdefault("figure", {})["caption"] = cell["source"]
        else:
            cells.append(cell)
    notebook["cells"] = cells
    return notebook


def check_texts(notebook: Notebook) -> list[str]:
    """Return what is wrong with the expressions in the prose, and with captions, before anything runs."""
    bound = {number: _names(ast.parse(cell_code(cell)), ast.Store) for number, cell in code_cells(notebook)}
    assigned = {name: number for number, names in bound.items() for name in names}  # last, loops included
    problems, known = [], set(dir(builtins))
    for number, cell in enumerate(notebook["cells"], 1):
        known |= bound.get(number, set())
        found = expressions(cell)
        if found and CAPTION in tags(cell):
            problems.append(f"cell {number} is a caption and shows numbers; show them in the prose")
        for expression in found:
            try:
                used = _names(ast.parse(expression, mode="eval"), ast.Load)
            except SyntaxError as error:
                problems.append(f"cell {number}: {{eval}}`{expression}` is not Python: {error.msg}")
                continue
            problems += [
                f"cell {number}: {{eval}}`{expression}` uses {name}, which no cell above has; compute it there"
                for name in sorted(used - known)
            ]
            problems += [
                f"cell {number}: {{eval}}`{expression}` uses {name}, which cell {assigned[name]} assigns again: JupyterLab "
                "may run that first; give one of them another name"
                for name in sorted(used) if assigned.get(name, 0) > number
            ]  # fmt: skip
    return problems


def _names(tree: ast.AST, context: type[ast.expr_context]) -> set[str]:
    """Return the names that `tree` uses, comprehensions' own left out, or binds."""
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    own = {node.id for node in names if isinstance(node.ctx, ast.Store)} if context is ast.Load else set()
    imported = imported_as(tree) if context is ast.Store else {}
    return {node.id for node in names if isinstance(node.ctx, context)} - own | imported.keys()
