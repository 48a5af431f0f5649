"""A Sphinx extension that turns the docstrings of `demod` into reStructuredText.

The docstrings are written to be read in an editor: formulas in Unicode, set off by indentation, names between single
backticks, fields of a class as lines `name : description`. In reStructuredText an indented formula would be a quotation
and run together, `(*B, n)` the start of an emphasis and `|h|` that of a substitution. napoleon, which runs next, reads the
sections of the NumPy style.
"""

import re
from itertools import groupby
from typing import Any

SECTIONS = ("Parameters", "Returns", "Yields", "Raises", "References", "Notes", "Examples", "Attributes", "See Also")
CODE = re.compile(r"(`+)(.+?)\1", re.DOTALL)
MATH = re.compile(r"\$([^$\n]+)\$")
SPECIAL = re.compile(r"[\\*|]|_(?!\w)")
FIELD = re.compile(r"^([\w*]+(?:, [\w*]+)*) : (.*)$")


def setup(app: Any) -> dict[str, Any]:
    """Register the extension; keep the year of the copyright, for which Sphinx takes that of SOURCE_DATE_EPOCH."""
    written = app.config.copyright
    app.connect("config-inited", lambda _, config: setattr(config, "copyright", written), priority=801)  # Sphinx has 800
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", _process, priority=400)  # napoleon has 500
    return {"version": "1", "parallel_read_safe": True}


def _process(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = to_restructured_text(lines)


def to_restructured_text(lines: list[str]) -> list[str]:
    """Return the lines of a docstring, its common indentation removed, as reStructuredText in the NumPy style."""
    written: list[str] = []
    section = False
    for block in _blocks(lines):
        underlined = len(block) > 1 and block[0].strip() in SECTIONS and set(block[1].strip()) == {"-"}
        section = section or underlined
        if underlined:
            written += [*block[:2], *_escaped(block[2:]), ""]
        elif _indented(block) and not section:
            written += ["::", "", *block, ""]
        elif FIELD.match(block[0]) and not section:
            written += [*_fields(block), ""]
        else:
            written += [*_escaped(block), ""]
    return written


def _escaped(block: list[str]) -> list[str]:
    return escape("\n".join(block)).split("\n") if block else []


def escape(prose: str) -> str:
    """Return prose with its code between double backticks and nothing else that reStructuredText would read."""
    parts, end = [], 0
    for found in CODE.finditer(prose):
        glued = "\\ " if prose[found.end() : found.end() + 1].isalnum() else ""  # as in `Generator`s
        parts += [_plain(prose[end : found.start()]), f"``{found[2]}``{glued}"]
        end = found.end()
    return "".join([*parts, _plain(prose[end:])])


def _plain(text: str) -> str:
    """Return prose without code, its TeX between dollars as math."""
    parts = MATH.split(text)
    escaped = [SPECIAL.sub(lambda found: f"\\{found[0]}", part) for part in parts[::2]]
    return "".join(a + (f":math:`{b}`" if b else "") for a, b in zip(escaped, [*parts[1::2], ""], strict=True))


def _fields(block: list[str]) -> list[str]:
    """Return lines `name : description` as a list, what follows a line up to the next name with it."""
    written = []
    for line in block:
        if found := FIELD.match(line):
            written.append(f"- **{_plain(found[1])}** : {escape(found[2])}")
        else:
            written.append(f"  {escape(line.strip())}")
    return written


def _blocks(lines: list[str]) -> list[list[str]]:
    """Return the paragraphs of a docstring; indented ones with nothing but blank lines between them are one."""
    blocks: list[list[str]] = []
    for blank, group in groupby(lines, key=lambda line: not line.strip()):
        block = list(group)
        if blank:
            continue
        if blocks and _indented(blocks[-1]) and _indented(block):
            blocks[-1] += ["", *block]
        else:
            blocks.append(block)
    return blocks


def _indented(block: list[str]) -> bool:
    return all(line.startswith("    ") or not line for line in block)
