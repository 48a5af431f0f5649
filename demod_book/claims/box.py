"""The box of a claim: verdict, statement, place, and a row for each criterion.

The cell that measures shows it in JupyterLab; the build replaces it by the box of the ledger as it is today.
"""

from demod_book.claims.judge import Claim, Judgement
from demod_book.markdown import box, table

WORDS = {True: "holds", False: "**fails**", None: "no bound"}


def claim_box(claim: Claim, judgement: Judgement) -> str:
    """Return the box of `claim`, in Markdown, which a link to its anchor leads to."""
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
