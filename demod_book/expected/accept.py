"""Take what the last build found for what builds are compared with from now on."""

from pathlib import Path

from demod.artifacts import atomic_path, read_json, write_json
from demod_book.build.build import last_build
from demod_book.build.folders import Layout
from demod_book.expected.arrays import accept_figures, figures_path, read_figures
from demod_book.expected.numbers import Numbers, corrected, expected_path, read_numbers, results_block
from demod_book.expected.numbers import accept as accept_numbers
from demod_book.expected.verdicts import accepted_verdicts, verdicts_path
from demod_book.pages.verdicts import read_verdicts

QUOTED = ("quick", True)  # profile and MNIST of the build whose numbers README.md quotes


def accept(layout: Layout) -> list[Path]:
    """Write numbers, verdicts and arrays of the last build to tests/expected, and its numbers into README.md's table.

    Returns
    -------
    list of Path
        The files that were written.

    Raises
    ------
    BuildError
        If there is no build.
    """
    card = last_build(layout)
    numbers = read_numbers(layout.numbers, card["chapters"])
    path, figures = expected_path(layout.root, card), figures_path(layout.root, card)
    contents = {
        path: accept_numbers(numbers, _accepted(path)),
        verdicts_path(layout.root, card): accepted_verdicts(read_verdicts(layout.numbers, card["chapters"])),
        figures: accept_figures(read_figures(layout.figures, card["chapters"]), _accepted(figures)),
    }
    for file, content in contents.items():
        write_json(file, content)
    quoted = (card["profile"], card["mnist"]) == QUOTED
    return [*contents, *(_quote(layout.root / "README.md", numbers) if quoted else ())]


def _accepted(path: Path) -> dict:
    return read_json(path) if path.is_file() else {}


def _quote(readme: Path, numbers: Numbers) -> list[Path]:
    """Write the numbers into the table of README.md, where it has one."""
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    block = results_block(text)
    if not block:
        return []
    with atomic_path(readme) as temporary:
        temporary.write_text(text.replace(block, corrected(block, numbers, exactly=True)), encoding="utf-8")
    return [readme]
