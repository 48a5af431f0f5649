"""How a claim is shown: the box where it is judged, and the lines of its criteria in a list of all claims.

The cell that measures shows its contents in JupyterLab, as plain Markdown; the pages of the book show the box, folded, as
the ledger of their day has it.
"""

from demod_book.claims.judge import Claim, Judgement
from demod_book.markdown import fold, table

WORDS = {True: "holds", False: "**fails**", None: "no bound"}
DECISIVE = (False, True, None)  # what decides a verdict: a criterion that fails, else one that holds, else any


def claim_blocks(claim: Claim, judgement: Judgement) -> tuple[str, str, str]:
    """Return a line with the verdict and what decides it, the statement with its place, and a table of all criteria."""
    rows = []
    for result in judgement.results:
        bounds = "" if result.holds is None else f"{result.criterion.required}: "
        rows.append((result.criterion.text, result.shown, f"{bounds}{WORDS[result.holds]}"))
    decisive = min(judgement.results, key=lambda result: DECISIVE.index(result.holds))
    bound = "" if decisive.holds is None else f" ({decisive.criterion.required})"
    verdict = f"**Claim {claim.id}: {judgement.verdict}.** {decisive.criterion.text}: {decisive.shown}{bound}"
    return verdict, f"{claim.statement} *({claim.place})*", table(("criterion", "measured", "required"), rows)


def claim_box(claim: Claim, judgement: Judgement) -> str:
    """Return the box of a claim, in MyST: a line that unfolds to all that was measured; the claim's anchor leads here."""
    verdict, *details = claim_blocks(claim, judgement)
    return fold(f"demod-claim demod-{judgement.verdict.css}", verdict, *details, name=claim.anchor)


def claim_lines(claim: Claim, judgement: Judgement | None, *, bold: str = "") -> list[str]:
    """Return a line for each criterion: its text, the value, if any, between two `bold` marks, what is required of it."""
    lines = []
    for number, criterion in enumerate(claim.criteria):
        result = judgement.results[number] if judgement else None
        value = f": {bold}{result.shown}{bold}" if result else ""
        failed = f": {bold}fails{bold}" if result and result.holds is False else ""
        bounds = "" if criterion.required == "–" else f" (required {criterion.required}{failed})"
        lines.append(f"{criterion.text}{value}{bounds}")
    return lines
