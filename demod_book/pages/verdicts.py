"""The verdicts on all claims: what the chapters measured, judged by today's ledger, for the pages and for the terminal.

A chapter records what it measured in _build/numbers/<slug>.json, and no verdict: an edit of the ledger changes pages and runs
no chapter. The accepted verdicts lie in tests/expected/<profile>-<mnist|drawn>-verdicts.json and are compared by the tests.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pylatexenc.latex2text import LatexNodes2Text
from rich.table import Table
from rich.text import Text

from demod.artifacts import read_json
from demod_book.build.folders import BuildError
from demod_book.claims.box import claim_box
from demod_book.claims.judge import Claim, Judgement, Verdict, judge
from demod_book.claims.ledger import GROUPS, LEDGER
from demod_book.expected.numbers import expected_path
from demod_book.markdown import box, table

HEAD = ("claim", "what the paper says", "measured")
COLOURS = {
    Verdict.REPRODUCED: "green",
    Verdict.FALSIFIED: "red",
    Verdict.VACUOUS: "yellow",
    Verdict.MEASURED: "cyan",
    Verdict.NOT_TESTED: "dim",
}
EXCEPTIONS = (Verdict.FALSIFIED, Verdict.VACUOUS)
UNICODE = LatexNodes2Text(strict_latex_spaces="based-on-source", keep_braced_groups=True, keep_braced_groups_minlen=1)
FENCE = re.compile(r"(\\l(?:[Vv]ert|angle))\s+|\s+(?=\\r(?:[Vv]ert|angle))")
INDEX = re.compile(r"([_^])(?:\{([-()\d]+)\}|(\d))")
SMALL = {"_": str.maketrans("-()0123456789", "₋₍₎₀₁₂₃₄₅₆₇₈₉"), "^": str.maketrans("-()0123456789", "⁻⁽⁾⁰¹²³⁴⁵⁶⁷⁸⁹")}


@dataclass(frozen=True)
class Judged:
    """A claim that a chapter measured, and what today's ledger makes of it."""

    chapter: str
    judgement: Judgement


def read_verdicts(folder: Path, chapters: list[str]) -> dict[str, Judged]:
    """Return what the ledger makes of what `chapters` measured, according to their records in `folder`, by claim.

    Raises
    ------
    BuildError
        If two chapters measure the same claim, or the ledger cannot judge what one measured.
    """
    found: dict[str, Judged] = {}
    for slug in chapters:
        for name, record in read_json(folder / f"{slug}.json").get("claims", {}).items():
            if name in found:
                raise BuildError(f"The claim {name} is recorded by {found[name].chapter} and by {slug}; record it once.")
            found[name] = Judged(slug, _judge(name, record, slug))
    return found


def _judge(name: str, record: Mapping[str, Any], slug: str) -> Judgement:
    try:
        measured = record["measured"]
        return judge(LEDGER[name], {key: tuple(v) if isinstance(v, list) else v for key, v in measured.items()})
    except KeyError as error:
        lacking = "its record is of an older demod" if name in LEDGER else f"the ledger has no claim {name}"
        raise BuildError(f"{slug}: {lacking}; build the book again, and see what the chapter claims.") from error
    except ValueError as error:
        raise BuildError(f"{slug}: {error} Then build the book again.") from error


# The accepted verdicts


def verdicts_path(root: Path, card: Mapping[str, Any]) -> Path:
    """Return the file of the accepted verdicts for the book with this card, beside that of its accepted numbers."""
    path = expected_path(root, card)
    return path.with_name(f"{path.stem}-verdicts.json")


def accepted_verdicts(judged: Mapping[str, Judged]) -> dict[str, str]:
    """Return the verdicts as they are stored, in the order of the ledger."""
    return {name: judged[name].judgement.verdict.value for name in LEDGER if name in judged}


def compare_verdicts(judged: Mapping[str, Judged], expected: Mapping[str, str]) -> list[str]:
    """Return where the verdicts differ from the accepted ones: missing, surplus or changed."""
    now, nothing = accepted_verdicts(judged), Verdict.NOT_TESTED.value
    pairs = {name: (now.get(name, nothing), expected.get(name, nothing)) for name in sorted(now.keys() | expected.keys())}
    return [f"{name} is {verdict}, accepted is {wanted}" for name, (verdict, wanted) in pairs.items() if verdict != wanted]


# The pages; links are those of a page that lies beside the chapters, and `pages` maps the slug of a chapter to its notebook


def verdict_tables(judged: Mapping[str, Judged], pages: Mapping[str, Path]) -> str:
    """Return the counts of the verdicts and a table for each group of claims, in MyST."""
    counts = ", ".join(f"**{count} {verdict}**" for verdict, count in _counts(judged).items())
    parts = [f"Of {len(LEDGER)} claims: {counts}."]
    for letter, title in GROUPS.items():
        rows = [_row(claim, judged.get(claim.id), pages) for claim in LEDGER.values() if claim.id.startswith(letter)]
        parts += [f"## {title}", box("demod-verdicts", table(HEAD, rows))]
    return "\n\n".join(parts)


def verdict_counts(judged: Mapping[str, Judged]) -> str:
    """Return a row with the number of each verdict that occurs, linked to the page of the verdicts, in HTML."""
    shown = [
        f'<li class="demod-count demod-{verdict.css}"><a href="verdicts.html"><b>{count}</b> {verdict}</a></li>'
        for verdict, count in _counts(judged).items() if count
    ]  # fmt: skip
    return "\n".join([f'<ul class="demod-counts" aria-label="Verdicts on {len(LEDGER)} claims">', *shown, "</ul>"])


def exceptions(judged: Mapping[str, Judged], pages: Mapping[str, Path]) -> str:
    """Return the list of the claims that were found false or empty, in MyST, each with its place in the book."""
    lines = []
    for claim in LEDGER.values():
        if (found := judged.get(claim.id)) and found.judgement.verdict in EXCEPTIONS:
            link, verdict = _shown(claim, found, pages)
            failed = [result for result in found.judgement.results if result.holds is False]
            why = (f" ({r.criterion.text}: {r.shown}, required {r.criterion.required})" for r in failed)
            lines.append(f"- **{link}** {verdict}: {claim.statement}{''.join(why)}")
    return "\n".join(lines) or "Nothing: every claim with a bound met it."


def claim_boxes(judged: Mapping[str, Judged]) -> dict[str, str]:
    """Return the box of each claim that was measured, in MyST."""
    return {name: claim_box(LEDGER[name], found.judgement) for name, found in judged.items()}


def claim_links(judged: Mapping[str, Judged], pages: Mapping[str, Path]) -> dict[str, str]:
    """Return for the mark of each claim in the prose, `<!-- claim L4 -->`, what it stands for: the link and the verdict."""
    shown = {claim.id: _shown(claim, judged.get(claim.id), pages) for claim in LEDGER.values()}
    return {f"<!-- claim {name} -->": f"claim {link} ({verdict})" for name, (link, verdict) in shown.items()}


def _counts(judged: Mapping[str, Judged]) -> dict[Verdict, int]:
    verdicts = [_verdict(judged.get(name)) for name in LEDGER]
    return {verdict: verdicts.count(verdict) for verdict in Verdict}


def _verdict(found: Judged | None) -> Verdict:
    return found.judgement.verdict if found else Verdict.NOT_TESTED


def _row(claim: Claim, found: Judged | None, pages: Mapping[str, Path]) -> tuple[str, str, str]:
    name, verdict = _shown(claim, found, pages)
    measured = "<br>".join(f"• {line}" for line in _lines(claim, found, bold="**"))
    return f"**{name}**<br>{verdict}", f"{claim.statement} *{claim.place}.*", measured


def _shown(claim: Claim, found: Judged | None, pages: Mapping[str, Path]) -> tuple[str, str]:
    """Return the id of a claim, linked to where it is judged, and its verdict, both in HTML."""
    verdict = _verdict(found)
    name = f'<a href="{pages[found.chapter].stem}.html#{claim.anchor}">{claim.id}</a>' if found else claim.id
    return name, f'<span class="demod-verdict demod-{verdict.css}">{verdict}</span>'


def _lines(claim: Claim, found: Judged | None, *, bold: str = "") -> list[str]:
    """Return a line for each criterion: its text, the value between two `bold` marks, what is required of it."""
    lines = []
    for number, criterion in enumerate(claim.criteria):
        result = found.judgement.results[number] if found else None
        value = f": {bold}{result.shown}{bold}" if result else ""
        failed = f": {bold}fails{bold}" if result and result.holds is False else ""
        bounds = "" if criterion.required == "–" else f" (required {criterion.required}{failed})"
        lines.append(f"{criterion.text}{value}{bounds}")
    return lines


# The terminal


def verdict_list(judged: Mapping[str, Judged], groups: str) -> Table:
    """Return the claims whose letter is in `groups` as a table for the terminal."""
    shown = Table(show_lines=True)
    shown.add_column("claim")
    shown.add_column("what the paper says, and what was measured", ratio=1)
    shown.add_column("verdict")
    for claim in LEDGER.values():
        if claim.id[0] in groups:
            found = judged.get(claim.id)
            text = "\n· ".join([claim.statement, *_lines(claim, found)])
            verdict = _verdict(found)
            shown.add_row(claim.id, Text(plain(text)), Text(verdict.value, COLOURS[verdict]))
    return shown


def plain(text: str) -> str:
    r"""Return Markdown with $TeX$ as a terminal can show it: "$\rho_2 \ge 0$" is "ρ₂ ≥ 0"."""
    return re.sub(r"\$([^$]*)\$", lambda found: _plain_math(found[1]), text)


def _plain_math(tex: str) -> str:
    spaced = FENCE.sub(r"\1{}", tex).replace(" \\", "~\\")  # a space that TeX would drop after a name
    shown = " ".join(UNICODE.latex_to_text(spaced).split())
    return INDEX.sub(lambda found: (found[2] or found[3]).translate(SMALL[found[1]]), shown)
