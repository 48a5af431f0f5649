"""The verdicts of all chapters: read, compared with the accepted ones, and shown on a page and on the terminal.

A chapter records its verdicts in _build/numbers/<slug>.json. The accepted ones lie in
tests/expected/<profile>-<mnist|drawn>-verdicts.json, claim to verdict, and are compared by the tests.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from demod.artifacts import read_json
from demod_book.build.folders import BuildError
from demod_book.claims.judge import Claim, Verdict
from demod_book.claims.ledger import GROUPS, LEDGER
from demod_book.expected.numbers import expected_path

HEAD = "| claim | what the paper says | measured |\n| --- | --- | --- |"
COLOURS = {
    Verdict.REPRODUCED: "green",
    Verdict.FALSIFIED: "red",
    Verdict.VACUOUS: "yellow",
    Verdict.MEASURED: "cyan",
    Verdict.NOT_TESTED: "dim",
}
EXCEPTIONS = (Verdict.FALSIFIED, Verdict.VACUOUS)
WORDS = {"rho": "ρ", "epsilon": "ε", "ell": "ℓ", "alpha": "α", "theta": "θ", "pi": "π", "kappa": "κ", "chi": "χ"}
WORDS |= {"gamma": "γ", "sigma": "σ", "Omega": "Ω", "nabla": "∇", "sqrt": "√", "odot": "⊙", "cup": "∪", "ldots": "…"}
WORDS |= {"ge": "≥", "le": "≤", "cos": "cos ", "log": "log", ",": " ", "{": "{", "}": "}"}
BRACKETS = {"lVert": "‖", "rVert": "‖", "lvert": "|", "rvert": "|", "langle": "⟨", "rangle": "⟩"}
ACCENTS = {"hat": "\N{COMBINING CIRCUMFLEX ACCENT}", "check": "\N{COMBINING CARON}", "tilde": "\N{COMBINING TILDE}"}
LOWERED, RAISED = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"), str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Recorded:
    """The verdict on a claim as a chapter recorded it; criteria maps name to value, error, holds and shown."""

    chapter: str
    verdict: Verdict
    criteria: Mapping[str, Mapping[str, Any]]


def read_verdicts(folder: Path, chapters: list[str]) -> dict[str, Recorded]:
    """Return the verdicts that `chapters` recorded in `folder`, claim to record.

    Raises
    ------
    BuildError
        If two chapters record the same claim.
    """
    found: dict[str, Recorded] = {}
    for slug in chapters:
        for name, record in read_json(folder / f"{slug}.json").get("claims", {}).items():
            if name in found:
                raise BuildError(f"The claim {name} is recorded by {found[name].chapter} and by {slug}; record it once.")
            found[name] = Recorded(slug, Verdict(record["verdict"]), record["criteria"])
    return found


# The accepted verdicts


def verdicts_path(root: Path, stamp: Mapping[str, Any]) -> Path:
    """Return the file of the accepted verdicts for the build with this stamp, beside that of its accepted numbers."""
    path = expected_path(root, stamp)
    return path.with_name(f"{path.stem}-verdicts.json")


def accepted_verdicts(recorded: Mapping[str, Recorded]) -> dict[str, str]:
    """Return the verdicts as they are stored, in the order of the ledger."""
    return {name: recorded[name].verdict.value for name in LEDGER if name in recorded}


def compare_verdicts(recorded: Mapping[str, Recorded], expected: Mapping[str, str]) -> list[str]:
    """Return where the verdicts differ from the accepted ones: missing, surplus or changed."""
    now, nothing = accepted_verdicts(recorded), Verdict.NOT_TESTED.value
    pairs = {name: (now.get(name, nothing), expected.get(name, nothing)) for name in sorted(now.keys() | expected.keys())}
    return [
        f"{name} is {verdict}, accepted is {accepted}" for name, (verdict, accepted) in pairs.items() if verdict != accepted
    ]


# The page


def verdict_tables(recorded: Mapping[str, Recorded], pages: Mapping[str, Path]) -> str:
    """Return the counts of the verdicts and a table a group, in MyST; pages maps the slug of a chapter to its notebook.

    The links are those of a page that lies beside the chapters.
    """
    counts = ", ".join(f"**{count} {verdict}**" for verdict, count in _counts(recorded).items())
    parts = [f"Of {len(LEDGER)} claims: {counts}."]
    for letter, title in GROUPS.items():
        rows = [_row(claim, recorded.get(claim.id), pages) for claim in LEDGER.values() if claim.id.startswith(letter)]
        parts += [f"## {title}", "\n".join(['<div class="demod-verdicts">', "", HEAD, *rows, "", "</div>"])]
    return "\n\n".join(parts)


def verdict_counts(recorded: Mapping[str, Recorded]) -> str:
    """Return a row with the number of each verdict that occurs, linked to the page of the verdicts, in HTML."""
    shown = [
        f'<li class="demod-count demod-{_css(verdict)}"><a href="verdicts.html"><b>{count}</b> {verdict}</a></li>'
        for verdict, count in _counts(recorded).items() if count
    ]  # fmt: skip
    return "\n".join([f'<ul class="demod-counts" aria-label="Verdicts on {len(LEDGER)} claims">', *shown, "</ul>"])


def exceptions(recorded: Mapping[str, Recorded], pages: Mapping[str, Path]) -> str:
    """Return the list of the claims that were found false or empty, in MyST, each with its place in the book."""
    named = [claim for claim in LEDGER.values() if claim.id in recorded and recorded[claim.id].verdict in EXCEPTIONS]
    lines = []
    for claim in named:
        link, verdict = _shown(claim, recorded[claim.id], pages)
        lines.append(f"- **{link}** {verdict}: {claim.statement}{_failed(claim, recorded[claim.id])}")
    return "\n".join(lines) or "Nothing: every claim with a bound met it."


def _failed(claim: Claim, recorded: Recorded) -> str:
    """Return which criteria of a claim were not met, in brackets after its statement."""
    failed = [criterion for criterion in claim.criteria if recorded.criteria[criterion.name]["holds"] is False]
    shown = (f"{part.text}: {recorded.criteria[part.name]['shown']}, required {part.required}" for part in failed)
    return "".join(f" ({words})" for words in shown)


def _counts(recorded: Mapping[str, Recorded]) -> dict[Verdict, int]:
    verdicts = [recorded[name].verdict if name in recorded else Verdict.NOT_TESTED for name in LEDGER]
    return {verdict: verdicts.count(verdict) for verdict in Verdict}


def _css(verdict: Verdict) -> str:
    return verdict.replace(" ", "-")


def claim_links(recorded: Mapping[str, Recorded], pages: Mapping[str, Path]) -> dict[str, str]:
    """Return for the mark of each claim in the prose, `<!-- claim L4 -->`, what it stands for: the link and the verdict."""
    shown = {claim.id: _shown(claim, recorded.get(claim.id), pages) for claim in LEDGER.values()}
    return {f"<!-- claim {name} -->": f"claim {link} ({verdict})" for name, (link, verdict) in shown.items()}


def _row(claim: Claim, record: Recorded | None, pages: Mapping[str, Path]) -> str:
    name, verdict = _shown(claim, record, pages)
    measured = "<br>".join(f"• {line}" for line in _lines(claim, record, bold="**"))
    return f"| **{name}**<br>{verdict} | {claim.statement} *{claim.place}.* | {measured} |"


def _shown(claim: Claim, record: Recorded | None, pages: Mapping[str, Path]) -> tuple[str, str]:
    """Return the id of a claim, linked to where it is judged, and its verdict, both in HTML."""
    verdict = record.verdict if record else Verdict.NOT_TESTED
    name = f'<a href="{pages[record.chapter].stem}.html#{claim.anchor}">{claim.id}</a>' if record else claim.id
    return name, f'<span class="demod-verdict demod-{_css(verdict)}">{verdict}</span>'


def _lines(claim: Claim, record: Recorded | None, *, bold: str = "") -> list[str]:
    """Return a line for each criterion: its text, the value between two `bold` marks, what is required of it."""
    lines = []
    for criterion in claim.criteria:
        found = record.criteria[criterion.name] if record else None
        value = f": {bold}{found['shown']}{bold}" if found else ""
        failed = f": {bold}fails{bold}" if found and found["holds"] is False else ""
        bounds = "" if criterion.required == "–" else f" (required {criterion.required}{failed})"
        lines.append(f"{criterion.text}{value}{bounds}")
    return lines


# The terminal


def verdict_list(recorded: Mapping[str, Recorded], groups: str) -> Table:
    """Return the claims whose letter is in `groups` as a table for the terminal."""
    table = Table(show_lines=True)
    table.add_column("claim")
    table.add_column("what the paper says, and what was measured", ratio=1)
    table.add_column("verdict")
    for claim in LEDGER.values():
        if claim.id[0] in groups:
            record = recorded.get(claim.id)
            text = "\n· ".join([claim.statement, *_lines(claim, record)])
            verdict = record.verdict if record else Verdict.NOT_TESTED
            table.add_row(claim.id, Text(plain(text)), Text(verdict.value, COLOURS[verdict]))
    return table


def plain(text: str) -> str:
    r"""Return Markdown with $TeX$ as a terminal can show it: "$\rho_2 \ge 0$" is "ρ₂ ≥ 0"."""
    return re.sub(r"\$([^$]*)\$", lambda found: _plain_math(found[1]), text)


def _plain_math(tex: str) -> str:
    tex = re.sub(r"\\frac(\w)\s*(\w)", r"\1/\2", tex.replace(r"\frac12", "½"))
    tex = re.sub(r"\\math\w+\{(\w)\}", r"\1", tex)
    tex = re.sub(r"\\(hat|check|tilde)\s*(\\[a-z]+|\w)", lambda found: found[2] + ACCENTS[found[1]], tex)
    tex = re.sub(r"\\(l[Vv]ert|langle)\s*|\s*\\(r[Vv]ert|rangle)", lambda found: BRACKETS[found[1] or found[2]], tex)
    tex = re.sub(r"\\([A-Za-z]+|[{},])", lambda found: WORDS[found[1]], tex)
    tex = re.sub(r"_(?:(\d)|\{(\d+)\})", lambda found: (found[1] or found[2]).translate(LOWERED), tex)
    tex = re.sub(r"\^(?:(\d)|\{(-?\d+)\})", lambda found: (found[1] or found[2]).translate(RAISED), tex)
    return re.sub(r"\s+", " ", tex)
