"""How a claim is shown: the box where it is judged, and the lines of its criteria in a list of all claims.

The cell that measures shows the box in JupyterLab; the pages of the book show it as the ledger of their day has it.
"""

from demod_book.claims.judge import Claim, Judgement
from demod_book.markdown import box, table

WORDS = {True: "holds", False: "**fails**", None: "no bound"}


def claim_box(claim: Claim, judgement: Judgement) -> str:
    """Return verdict, statement, place and a row for each criterion, in Markdown; the claim's anchor leads here."""
    rows = []
    for result in judgement.results:
        bounds = "" if result.holds is None else f"{result.criterion.required}: "
        rows.append((result.criterion.text, result.shown, f"{bounds}{WORDS[result.holds]}"))
    return box(
        f"demod-claim demod-{judgement.verdict.css}",
        f"**Claim {claim.id}: {judgement.verdict}.** {claim.statement} *({claim.place})*",
        table(("criterion", "measured", "required"), rows),
        name=claim.anchor,
    )


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
