"""How a claim is shown: the box where it is judged, and the lines of its criteria in a list of all claims.

The cell that measures shows its contents in JupyterLab, as plain Markdown; the pages of the book show the box, folded, as
the ledger of their day has it.
"""

from demod_book.claims.judge import Claim, Kind, Outcome, Result
from demod_book.claims.stored import Judged
from demod_book.markdown import fold, table

DECISIVE = (Outcome.FAILS, Outcome.UNDECIDED, Outcome.HOLDS, Outcome.UNBOUNDED)  # what decides a verdict comes first
BOLD = (Outcome.FAILS, Outcome.UNDECIDED)
TITLES = {Kind.PAPER: "Claim", Kind.OURS: "Asked in addition,", Kind.IDENTITY: "Identity"}


def claim_blocks(claim: Claim, judged: Judged) -> tuple[str, str, str]:
    """Return a line with the verdict and what decides it, the statement with its place, and a table of all criteria."""
    decisive = min(judged.judgement.results, key=lambda result: DECISIVE.index(result.outcome))
    bound = "" if decisive.outcome is Outcome.UNBOUNDED else f" ({decisive.criterion.required})"
    run = " in the stored full run" if judged.stored else ""
    head = f"**{TITLES[claim.kind]} {claim.id}: {judged.judgement.verdict}.**"
    verdict = f"{head} {decisive.criterion.text}: {decisive.shown}{bound}{run}"
    return verdict, f"{claim.statement} *({claim.place})*", _criteria(judged)


def _criteria(judged: Judged) -> str:
    """Return the table of the criteria; where a longer run is stored, it stands first and decides."""
    if judged.stored is None:
        rows = [(result.criterion.text, result.shown, _required(result)) for result in judged.here.results]
        return table(("criterion", "measured", "required"), rows)
    pairs = zip(judged.stored.results, judged.here.results, strict=True)
    both = [(kept.criterion.text, kept.shown, f"{here.shown}{_word(here)}", _required(kept)) for kept, here in pairs]
    kept_run = f"stored full run, commit {(judged.commit or 'unknown')[:7]}"
    return table(("criterion", kept_run, "this run", "required of the stored run"), both)


def _required(result: Result) -> str:
    bounds = "" if result.outcome is Outcome.UNBOUNDED else f"{result.criterion.required}: "
    return f"{bounds}**{result.outcome}**" if result.outcome in BOLD else f"{bounds}{result.outcome}"


def _word(result: Result) -> str:
    return "" if result.outcome is Outcome.UNBOUNDED else f": {result.outcome}"


def claim_box(claim: Claim, judged: Judged) -> str:
    """Return the box of a claim, in MyST: a line that unfolds to all that was measured; the claim's anchor leads here."""
    verdict, *details = claim_blocks(claim, judged)
    return fold(f"demod-claim demod-{judged.judgement.verdict.css}", verdict, *details, name=claim.anchor)


def claim_lines(claim: Claim, judged: Judged | None, *, bold: str = "") -> list[str]:
    """Return a line for each criterion: its text, the value, if any, between two `bold` marks, what is required of it."""
    lines = []
    for number, criterion in enumerate(claim.criteria):
        result = judged.judgement.results[number] if judged else None
        value = f": {bold}{result.shown}{bold}" if result else ""
        word = f": {bold}{result.outcome}{bold}" if result and result.outcome in BOLD else ""
        bounds = "" if criterion.required == "–" else f" (required {criterion.required}{word})"
        lines.append(f"{criterion.text}{value}{bounds}")
    return lines
