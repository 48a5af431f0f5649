"""The numbers of the chapters, against the accepted ones and against the table of README.md.

Accepted numbers lie in tests/expected/<profile>-<mnist|drawn>.json, by chapter and name, each with its tolerance, and are
compared by the tests. In README.md, between two marks, every number is followed by a comment that names it,
`26.3<!-- demodulation.psnr_digit -->`, and is compared with the text that the page shows, by the build.
"""

import math
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from demod.artifacts import read_json

BLOCK = re.compile(r"(?<=<!-- results:begin -->\n).*?(?=<!-- results:end -->)", re.DOTALL)
MARKED = re.compile(r"(?P<shown>[^\s|*`]+)(?P<mark>[*`]*\s*<!--\s*(?P<chapter>[\w-]+)\.(?P<name>[\w-]+)\s*-->)")
RELATIVE_TOLERANCE = 0.05  # of a newly accepted number: machines and thread counts sum in different orders
SMALL = 1e-6  # below this only the size of a number is accepted, because it is rounding or a stopping rule

Numbers = dict[str, dict[str, dict[str, Any]]]


def expected_path(root: Path, card: Mapping[str, Any]) -> Path:
    """Return the file of the accepted numbers for the book with this card: they depend on profile and data."""
    return root / "tests" / "expected" / f"{card['profile']}-{'mnist' if card['mnist'] else 'drawn'}.json"


def out_of_reach(root: Path, card: Mapping[str, Any]) -> str:
    """Return which accepted files a build without MNIST can neither compare nor accept, and what to do; else ""."""
    there = sorted(path.name for path in (root / "tests" / "expected").glob(f"{card['profile']}-mnist*.json"))
    if card["mnist"] or not there:
        return ""
    return (
        f"Out of reach without MNIST: {', '.join(there)} in tests/expected. `demod data` gets MNIST or says where to put "
        "it; then build, look and accept again."
    )


def read_numbers(folder: Path, chapters: Iterable[str]) -> Numbers:
    """Return the recorded numbers of `chapters`: chapter, name, {"value": …, "text": …}."""
    return {slug: read_json(folder / f"{slug}.json")["numbers"] for slug in chapters}


def compare(numbers: Numbers, expected: Numbers) -> list[str]:
    """Return where `numbers`, times apart, differ from the accepted ones: missing, surplus, or outside the tolerance."""
    flat, wanted = _flatten(_without_times(numbers)), _flatten(expected)
    problems = [f"{name} is accepted, but no chapter records it" for name in wanted.keys() - flat.keys()]
    problems += [f"{name} is recorded, but was never accepted" for name in flat.keys() - wanted.keys()]
    for name in flat.keys() & wanted.keys():
        value, accepted = flat[name]["value"], wanted[name]["value"]
        rtol, atol = wanted[name].get("rtol", 0.0), wanted[name].get("atol", 0.0)
        if not _agrees(value, wanted[name]):
            problems.append(f"{name} is {value:g}, accepted is {accepted:g} (rtol {rtol:g}, atol {atol:g})")
    return sorted(problems)


def accept(numbers: Numbers, expected: Numbers) -> Numbers:
    """Return the accepted numbers: those of `expected` that `numbers` agree with, the others as they are now.

    So the last digits of what did not change stay. Tolerances that `expected` has are kept.
    """
    return {
        slug: {name: _accepted(number["value"], expected.get(slug, {}).get(name, {}))
               for name, number in sorted(chapter.items())}
        for slug, chapter in _without_times(numbers).items() if chapter
    }  # fmt: skip


def _accepted(value: float, before: Mapping[str, float]) -> dict[str, float]:
    if before and _agrees(value, before):
        return dict(before)
    return {"value": value, **_tolerance(value, before)}


def _agrees(value: float, accepted: Mapping[str, float]) -> bool:
    rtol, atol = accepted.get("rtol", 0.0), accepted.get("atol", 0.0)
    return math.isclose(value, accepted["value"], rel_tol=rtol, abs_tol=atol)


def _without_times(numbers: Numbers) -> Numbers:
    return {
        slug: {name: number for name, number in chapter.items() if not number.get("timing")}
        for slug, chapter in numbers.items()
    }


def _tolerance(value: float, accepted: Mapping[str, float]) -> dict[str, float]:
    kept = {key: accepted[key] for key in ("rtol", "atol") if key in accepted}
    if kept or isinstance(value, int):
        return kept
    return {"atol": SMALL} if abs(value) < SMALL else {"rtol": RELATIVE_TOLERANCE}


def _flatten(numbers: Numbers) -> dict[str, dict[str, Any]]:
    return {f"{slug}.{name}": number for slug, chapter in numbers.items() for name, number in chapter.items()}


def results_block(readme: str) -> str | None:
    """Return what README.md has between `<!-- results:begin -->` and `<!-- results:end -->`; None without the marks."""
    found = BLOCK.search(readme)
    return found.group() if found else None


def corrected(block: str, numbers: Numbers, *, exactly: bool = False) -> str:
    """Return `block` with every marked number as its page shows it; what machines differ in is left alone, unless exactly.

    Raises
    ------
    ValueError
        If a mark names a number that no chapter of `numbers` records.
    """
    flat = _flatten(numbers)

    def replace(found: re.Match[str]) -> str:
        name = f"{found['chapter']}.{found['name']}"
        if name not in flat:
            raise ValueError(
                f"README.md quotes {name}, but no chapter records it; the numbers are: {', '.join(sorted(flat))}."
            )
        shown, text = found["shown"], flat[name]["text"]
        return found.group() if not exactly and _same(shown, text) else text + found["mark"]

    return MARKED.sub(replace, block)


def _same(shown: str, text: str) -> bool:
    """Return whether two displayed numbers have as many digits and agree up to one unit of the last, or up to 5 %.

    Integers count something, and only the unit is left to them.
    """
    try:
        left, right = Decimal(shown), Decimal(text)
    except InvalidOperation:
        return shown == text
    if not (left.is_finite() and right.is_finite()):
        return shown == text
    unit = Decimal(1).scaleb(int(right.as_tuple().exponent))
    share = Decimal(str(RELATIVE_TOLERANCE)) if unit < 1 else 0
    return left.as_tuple().exponent == right.as_tuple().exponent and abs(left - right) <= max(unit, share * abs(right))
