"""The reference made from the docstrings, and the table of symbols that leads into it."""

import ast
import inspect
import re
import warnings
from dataclasses import fields, is_dataclass
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from docutils.core import publish_doctree
from sphinx.ext.napoleon import Config
from sphinx.ext.napoleon.docstring import NumpyDocstring

from demod.sources import imported_names
from demod_book.pages.reference import LAYERS, module_table, reference_modules, reference_page, with_reference
from demod_book.pages.sphinx import escape, to_restructured_text

ROOT = Path(__file__).parents[2]
SYMBOLS = (ROOT / "chapters/symbols.md").read_text(encoding="utf-8")
NAMES = re.findall(r"\{py:obj\}`~([\w.]+)`", SYMBOLS)
PARTS = re.findall(r"`(\w+)` of \{py:obj\}`~([\w.]+)`", SYMBOLS)
MODULES = [path for paths in reference_modules().values() for path in paths]


def find(name: str) -> Any:
    """Return the object of this dotted name."""
    module, _, rest = name.rpartition(".")
    try:
        return getattr(import_module(module), rest)
    except ModuleNotFoundError:
        return getattr(find(module), rest)


def parts_of(thing: Any) -> set[str]:
    """The parameters of a function or class, and the fields and public attributes of a class."""
    inner = {field.name for field in fields(thing)} | set(dir(thing)) if is_dataclass(thing) else set(dir(thing))
    return set(inspect.signature(thing).parameters) | (inner if inspect.isclass(thing) else set())


def documented(path: Path) -> list[str]:
    nodes = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
    ]
    return [text for node in nodes if (text := ast.get_docstring(node))]


# Symbols


@pytest.mark.parametrize("name", sorted(set(NAMES)))
def test_every_name_of_the_table_of_symbols_exists(name):
    assert (find(name).__doc__ or "").strip() != ""


@pytest.mark.parametrize(("part", "name"), sorted(set(PARTS)))
def test_every_parameter_of_the_table_of_symbols_exists(part, name):
    assert part in parts_of(find(name))


def test_every_row_of_the_table_of_symbols_names_code_and_a_chapter():
    rows = [line for line in SYMBOLS.split("\n") if line.startswith("| ") and not line.startswith(("| symbol", "| ---"))]
    assert len(rows) >= 30
    for row in rows:
        assert "{py:obj}" in row, row
        chapters = re.findall(r"\]\((\w+)\.ipynb\)", row)
        assert chapters, row
        assert all((ROOT / f"chapters/{chapter}.ipynb").is_file() for chapter in chapters), row


# Docstrings


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_docstring_is_sound_restructured_text(path):
    for docstring in documented(path):
        text = "\n".join(to_restructured_text(docstring.split("\n")))
        text = str(NumpyDocstring(text, Config(napoleon_use_param=False, napoleon_use_rtype=False)))
        complaints = StringIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # docutils warns of its own future
            publish_doctree(text, settings_overrides={"warning_stream": complaints, "report_level": 2})
        assert complaints.getvalue() == "", text


def test_a_formula_keeps_its_lines_and_a_paragraph_after_it_is_prose():
    lines = ["The map is", "", "    a = b,", "", "    c = d.", "", "So it is."]
    assert to_restructured_text(lines) == ["The map is", "", "::", "", "    a = b,", "", "    c = d.", "", "So it is.", ""]


def test_fields_of_a_class_become_a_list_with_the_lines_that_go_on():
    lines = to_restructured_text(["h, m : codes, (*B, n),", "and more", "y : the observation"])
    assert lines == ["- **h, m** : codes, (\\*B, n),", "  and more", "- **y** : the observation", ""]


def test_sections_are_left_to_napoleon_with_their_text_escaped():
    lines = ["Parameters", "----------", "x : Tensor", "    Shape (*B, n)."]
    assert to_restructured_text(lines) == ["Parameters", "----------", "x : Tensor", "    Shape (\\*B, n).", ""]


@pytest.mark.parametrize(
    ("prose", "shown"),
    [
        ("of |h m| and *B", r"of \|h m\| and \*B"),
        ("`f(*x)` is `|x|`", "``f(*x)`` is ``|x|``"),
        ("two `Generator`s", r"two ``Generator``\ s"),
        ("a `name\nbroken`", "a ``name\nbroken``"),
        ("G_ and h_i", r"G\_ and h_i"),
    ],
)
def test_only_code_is_marked_up(prose, shown):
    assert escape(prose) == shown


# Pages


def test_every_module_has_a_layer_a_page_and_a_row_in_the_list():
    inside = {path.relative_to(ROOT / "demod").with_suffix("").parts[0] for path in (ROOT / "demod").rglob("*.py")}
    assert set(reference_modules()) == inside - {"__init__", "__main__"} | {"figures"}
    assert all(f"../package/{name}.md" in module_table() for name in reference_modules())


def test_the_list_has_the_modules_in_the_order_of_their_layers():
    listed = re.findall(r"package/(\w+)\.md|^\| \*\*(.*?)\*\*", module_table(), re.MULTILINE)
    wanted = [part for layer, names in LAYERS.items() for part in (layer, *(n for n in names if n in reference_modules()))]
    assert [name or layer for name, layer in listed] == wanted


@pytest.mark.parametrize("name", reference_modules())
def test_a_module_imports_only_from_its_own_layer_and_from_those_above_it(name):
    layers = list(LAYERS.values())
    own = next(number for number, layer in enumerate(layers) if name in layer)
    above = {module for layer in layers[: own + 1] for module in layer}
    imported = {found for path in reference_modules()[name] for found in imported_names(path.read_text(), ("demod",))}
    assert {found.split(".")[1] for found in imported if "." in found} <= above


def test_what_a_package_offers_is_shown_once_and_what_it_does_not_has_a_section():
    page = reference_page("wdc", reference_modules()["wdc"])
    shown = re.findall(r"automodule:: ([\w.]+)", page)
    assert shown == ["demod.wdc", "demod.wdc.ensembles", "demod.wdc.theorem"]


def test_a_changed_docstring_changes_the_page(tmp_path):
    file = tmp_path / "wdc.py"
    pages = []
    for text in ('"""One."""', '"""Two."""'):
        file.write_text(text)
        pages.append(reference_page("wdc", [file]))
    assert pages[0] != pages[1]


def test_the_pages_stand_below_the_one_that_introduces_them():
    toc = {
        "root": "chapters/intro",
        "parts": [{"chapters": [{"file": "chapters/package"}, {"file": "chapters/references"}]}],
    }
    listed = with_reference(toc, ["wdc"])["parts"][0]["chapters"]
    assert listed == [{"file": "chapters/package", "sections": [{"file": "package/wdc"}]}, {"file": "chapters/references"}]


def test_tex_between_dollars_becomes_math_and_other_prose_is_escaped():
    assert escape("norms $\\lVert x \\rVert$ of |x| and *B") == r"norms :math:`\lVert x \rVert` of \|x\| and \*B"
