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
FIELD = re.compile(r"^([\w*]+(?:, [\w*]+)*) : (.*)$")
CODE = r"(?P<ticks>`+)(?P<code>.+?)(?P=ticks)(?P<glued>(?=[^\W_]))?"  # glued as in `Generator`s
MARKUP = re.compile(rf"{CODE}|\$(?P<math>[^$\n]+)\$|(?P<special>[\\*|]|_(?!\w))", re.DOTALL)


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
        heading = block[:2] if len(block) > 1 and block[0].strip() in SECTIONS and set(block[1].strip()) == {"-"} else []
        section = section or bool(heading)
        if section:
            written += [*heading, *_prose(block[len(heading) :])]
        elif _indented(block):
            written += ["::", "", *block]
        else:
            written += _fields(block) if FIELD.match(block[0]) else _prose(block)
        written.append("")
    return written


def escape(prose: str) -> str:
    """Return prose with its code between double backticks, its $TeX$ as math, and nothing else that would be read so."""
    return MARKUP.sub(_marked, prose)


def _marked(found: re.Match[str]) -> str:
    if found["code"]:
        return f"``{found['code']}``" + ("" if found["glued"] is None else "\\ ")
    return f":math:`{found['math']}`" if found["math"] else f"\\{found['special']}"


def _prose(block: list[str]) -> list[str]:
    return escape("\n".join(block)).split("\n") if block else []


def _fields(block: list[str]) -> list[str]:
    """Return lines `name : description` as a list, what follows a line up to the next name with it."""
    found = [(FIELD.match(line), line) for line in block]
    return [f"- **{escape(f[1])}** : {escape(f[2])}" if f else f"  {escape(line.strip())}" for f, line in found]


def _blocks(lines: list[str]) -> list[list[str]]:
    """Return the paragraphs of a docstring; indented ones with nothing but blank lines between them are one."""
    blocks: list[list[str]] = []
    for blank, group in groupby(lines, key=lambda line: not line.strip()):
        block = list(group)
        if not blank and blocks and _indented(blocks[-1]) and _indented(block):
            blocks[-1] += ["", *block]
        elif not blank:
            blocks.append(block)
    return blocks


def _indented(block: list[str]) -> bool:
    return all(line.startswith("    ") or not line for line in block)
