"""The verdicts on all claims: what the chapters measured, judged by today's ledger.

A page takes from _build/numbers/<slug>.json what the chapter measured, and no verdict: an edit of the ledger changes pages
and runs no chapter. Links are those of a page beside the chapters; `pages` maps slug to notebook.
"""

from collections.abc import Mapping
from pathlib import Path

from demod.artifacts import read_json
from demod_book.build.folders import BuildError
from demod_book.claims.box import claim_box, claim_lines
from demod_book.claims.judge import Claim, Judged, Verdict, judge
from demod_book.claims.ledger import GROUPS, LEDGER
from demod_book.markdown import box, table

HEAD = ("claim", "what the paper says", "measured")
EXCEPTIONS = (Verdict.FALSIFIED, Verdict.VACUOUS)


def read_verdicts(folder: Path, chapters: list[str]) -> dict[str, Judged]:
    """Return by claim what the ledger makes of the records of `chapters` in `folder`.

    It is a BuildError if two of them measured the same claim, or the ledger cannot judge what one measured.
    """
    found: dict[str, Judged] = {}
    for slug in chapters:
        for name, claim in read_json(folder / f"{slug}.json").get("claims", {}).items():
            if name in found:
                raise BuildError(f"The claim {name} is recorded by {found[name].chapter} and by {slug}; record it once.")
            if name not in LEDGER or "measured" not in claim:
                raise BuildError(f"{slug} recorded {name} for another ledger; run `demod build` to measure it again.")
            measured = {key: tuple(value) if isinstance(value, list) else value for key, value in claim["measured"].items()}
            try:
                found[name] = Judged(slug, judge(LEDGER[name], measured))
            except ValueError as error:
                raise BuildError(f"{slug}: {error}") from error
    return found


def verdict_marks(judged: Mapping[str, Judged], pages: Mapping[str, Path]) -> dict[str, str]:
    """Return what the marks in the prose that concern claims stand for: tables, counts, exceptions, a link to each claim."""
    shown = {name: _shown(name, judged.get(name), pages) for name in LEDGER}
    links = {f"claim {name}": f"claim {link} ({verdict})" for name, (link, verdict) in shown.items()}
    pieces = {"verdicts": verdict_tables(judged, pages), "verdict counts": verdict_counts(judged)}
    return pieces | {"exceptions": exceptions(judged, pages)} | links


def claim_boxes(judged: Mapping[str, Judged]) -> dict[str, str]:
    """Return the box of each claim that was measured, in MyST."""
    return {name: claim_box(LEDGER[name], found.judgement) for name, found in judged.items()}


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
            link, verdict = _shown(claim.id, found, pages)
            failed = [result for result in found.judgement.results if result.holds is False]
            why = (f" ({r.criterion.text}: {r.shown}, required {r.criterion.required})" for r in failed)
            lines.append(f"- **{link}** {verdict}: {claim.statement}{''.join(why)}")
    return "\n".join(lines) or "Nothing: every claim with a bound met it."


def _counts(judged: Mapping[str, Judged]) -> dict[Verdict, int]:
    verdicts = [judged[name].judgement.verdict if name in judged else Verdict.NOT_TESTED for name in LEDGER]
    return {verdict: verdicts.count(verdict) for verdict in Verdict}


def _row(claim: Claim, found: Judged | None, pages: Mapping[str, Path]) -> tuple[str, str, str]:
    link, verdict = _shown(claim.id, found, pages)
    lines = claim_lines(claim, found.judgement if found else None, bold="**")
    return f"**{link}**<br>{verdict}", f"{claim.statement} *{claim.place}.*", "<br>".join(f"• {line}" for line in lines)


def _shown(name: str, found: Judged | None, pages: Mapping[str, Path]) -> tuple[str, str]:
    """Return the id of a claim, linked to where it is judged, and its verdict, both in HTML."""
    verdict = found.judgement.verdict if found else Verdict.NOT_TESTED
    link = f'<a href="{pages[found.chapter].stem}.html#{LEDGER[name].anchor}">{name}</a>' if found else name
    return link, f'<span class="demod-verdict demod-{verdict.css}">{verdict}</span>'
