"""The verdicts on all claims: what the chapters measured, judged by today's ledger.

A page takes from _build/numbers/<slug>.json what the chapter measured, and no verdict: an edit of the ledger changes pages
and runs no chapter. Links are those of a page beside the chapters; `pages` maps slug to notebook.
"""

from collections.abc import Mapping
from pathlib import Path

from demod.artifacts import read_json
from demod_book.build.folders import BuildError
from demod_book.claims.box import claim_box, claim_lines
from demod_book.claims.history import bounds_set, dated
from demod_book.claims.judge import Claim, Kind, Outcome, Verdict
from demod_book.claims.ledger import GROUPS, LEDGER
from demod_book.claims.stored import Judged, judge_runs
from demod_book.markdown import box, table

HEADS = {
    Kind.PAPER: ("claim", "what the paper says", "measured"),
    Kind.OURS: ("line", "what we ask", "measured"),
    Kind.IDENTITY: ("line", "what must hold of the code", "measured"),
}
EXCEPTIONS = (Verdict.FALSIFIED, Verdict.VACUOUS, Verdict.UNDECIDED, Verdict.MISSED, Verdict.FAILS)


def read_verdicts(folder: Path, chapters: list[str]) -> dict[str, Judged]:
    """Return by claim what the ledger makes of the records of `chapters` in `folder`, and of their stored full runs.

    It is a BuildError if two of them measured the same claim, or the ledger cannot judge what one measured.
    """
    found: dict[str, Judged] = {}
    for slug in chapters:
        record = read_json(folder / f"{slug}.json")
        for name, claim in record.get("claims", {}).items():
            if name in found:
                raise BuildError(f"The claim {name} is recorded by {found[name].chapter} and by {slug}; record it once.")
            if name not in LEDGER or "measured" not in claim:
                raise BuildError(f"{slug} recorded {name} for another ledger; run `demod build` to measure it again.")
            try:
                found[name] = judge_runs(LEDGER[name], slug, record.get("profile", ""), claim["measured"])
            except ValueError as error:
                raise BuildError(f"{slug}: {error}") from error
    return found


def verdict_marks(judged: Mapping[str, Judged], pages: Mapping[str, Path]) -> dict[str, str]:
    """Return what the marks in the prose that concern claims stand for: tables, counts, exceptions, a link to each claim."""
    shown = {name: _shown(name, judged.get(name), pages) for name in LEDGER}
    links = {f"claim {name}": f"claim {link} ({verdict})" for name, (link, verdict) in shown.items()}
    pieces = {"verdicts": verdict_tables(judged, pages), "bounds": bounds_table()}
    for name, kind in (("paper", Kind.PAPER), ("our", Kind.OURS)):
        pieces |= {
            f"{name} verdict counts": verdict_counts(judged, kind),
            f"{name} exceptions": exceptions(judged, pages, kind),
        }
    return pieces | links


def claim_boxes(judged: Mapping[str, Judged]) -> dict[str, str]:
    """Return the box of each claim that was measured, in MyST."""
    return {name: claim_box(LEDGER[name], found) for name, found in judged.items()}


def verdict_tables(judged: Mapping[str, Judged], pages: Mapping[str, Path]) -> str:
    """Return for each kind of claims the counts of the verdicts and a table for each group, in MyST."""
    parts = []
    for kind in Kind:
        claims = _of(kind)
        counts = ", ".join(f"**{count} {verdict}**" for verdict, count in _counts(judged, kind).items() if count)
        parts += [f"## {kind.capitalize()}", f"Of {len(claims)}: {counts}."]
        for letter, title in GROUPS.items():
            if rows := [_row(claim, judged.get(claim.id), pages) for claim in claims if claim.id.startswith(letter)]:
                parts += [f"### {title}", box("demod-verdicts", table(HEADS[kind], rows))]
    return "\n\n".join(parts)


def verdict_counts(judged: Mapping[str, Judged], kind: Kind) -> str:
    """Return a row with the number of each verdict that occurs, linked to the page of the verdicts, in HTML."""
    shown = [
        f'<li class="demod-count demod-{verdict.css}"><a href="verdicts.html"><b>{count}</b> {verdict}</a></li>'
        for verdict, count in _counts(judged, kind).items() if count
    ]  # fmt: skip
    label = f"Verdicts on {len(_of(kind))} lines: {kind}"
    return "\n".join([f'<ul class="demod-counts" aria-label="{label}">', *shown, "</ul>"])


def exceptions(judged: Mapping[str, Judged], pages: Mapping[str, Path], kind: Kind) -> str:
    """Return the list of the claims that do not hold, say nothing or stay undecided, in MyST, each with its place here."""
    lines = []
    for claim in _of(kind):
        if (found := judged.get(claim.id)) and found.judgement.verdict in EXCEPTIONS:
            link, verdict = _shown(claim.id, found, pages)
            open_ = [result for result in found.judgement.results if result.outcome in (Outcome.FAILS, Outcome.UNDECIDED)]
            why = (f" ({r.criterion.text}: {r.shown}, required {r.criterion.required})" for r in open_)
            lines.append(f"- **{link}** {verdict}: {claim.statement}{''.join(why)}")
    return "\n".join(lines) or "Nothing: every one with a bound met it."


def bounds_table() -> str:
    """Return when the bound of each criterion was set and when it was first measured, in MyST, wrong orders first."""
    known = bounds_set()
    rows = [
        (claim.id, criterion.text, criterion.required, *dated(known, claim.id, criterion).cells)
        for claim in LEDGER.values()
        for criterion in claim.criteria
        if criterion.required != "–"
    ]
    late = [row for row in rows if row[-1].startswith("**")]
    told = f"Of {len(rows)} bounds, {len(late)} were set or moved in the commit that first measured the number, or later."
    head = ("line", "criterion", "bound", "set in", "first measured in", "order")
    return f"{told}\n\n{table(head, [*late, *(row for row in rows if row not in late)])}"


def _of(kind: Kind) -> list[Claim]:
    return [claim for claim in LEDGER.values() if claim.kind is kind]


def _counts(judged: Mapping[str, Judged], kind: Kind) -> dict[Verdict, int]:
    names = [claim.id for claim in _of(kind)]
    verdicts = [judged[name].judgement.verdict if name in judged else Verdict.NOT_TESTED for name in names]
    return {verdict: verdicts.count(verdict) for verdict in Verdict}


def _row(claim: Claim, found: Judged | None, pages: Mapping[str, Path]) -> tuple[str, str, str]:
    link, verdict = _shown(claim.id, found, pages)
    lines = claim_lines(claim, found, bold="**")
    return f"**{link}**<br>{verdict}", f"{claim.statement} *{claim.place}.*", "<br>".join(f"• {line}" for line in lines)


def _shown(name: str, found: Judged | None, pages: Mapping[str, Path]) -> tuple[str, str]:
    """Return the id of a claim, linked to where it is judged, and its verdict, both in HTML."""
    verdict = found.judgement.verdict if found else Verdict.NOT_TESTED
    link = f'<a href="{pages[found.chapter].stem}.html#{LEDGER[name].anchor}">{name}</a>' if found else name
    return link, f'<span class="demod-verdict demod-{verdict.css}">{verdict}</span>'
