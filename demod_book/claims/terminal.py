"""The claims on a terminal, their TeX in Unicode."""

import re
from collections.abc import Mapping

from pylatexenc.latex2text import LatexNodes2Text
from rich.table import Table
from rich.text import Text

from demod_book.claims.box import claim_lines
from demod_book.claims.judge import Verdict
from demod_book.claims.ledger import LEDGER
from demod_book.claims.stored import Judged

COLOURS = {
    "green": (Verdict.REPRODUCED, Verdict.MET, Verdict.HOLDS),
    "red": (Verdict.FALSIFIED, Verdict.MISSED, Verdict.FAILS),
    "yellow": (Verdict.VACUOUS, Verdict.UNDECIDED),
    "cyan": (Verdict.MEASURED,),
    "dim": (Verdict.NOT_TESTED,),
}
COLOUR = {verdict: colour for colour, verdicts in COLOURS.items() for verdict in verdicts}
UNICODE = LatexNodes2Text(strict_latex_spaces="based-on-source", keep_braced_groups=True, keep_braced_groups_minlen=1)
FENCE = re.compile(r"(\\l(?:[Vv]ert|angle))\s+|\s+(?=\\r(?:[Vv]ert|angle))")
INDEX = re.compile(r"([_^])(?:\{([-()\d]+)\}|(\d))")
SMALL = {"_": str.maketrans("-()0123456789", "₋₍₎₀₁₂₃₄₅₆₇₈₉"), "^": str.maketrans("-()0123456789", "⁻⁽⁾⁰¹²³⁴⁵⁶⁷⁸⁹")}


def verdict_list(judged: Mapping[str, Judged], groups: str) -> Table:
    """Return the claims whose letter is in `groups` as a table."""
    shown = Table(show_lines=True)
    shown.add_column("claim")
    shown.add_column("the claim, whose it is, and what was measured", ratio=1)
    shown.add_column("verdict")
    for claim in LEDGER.values():
        if claim.id[0] in groups:
            found = judged.get(claim.id)
            verdict = found.judgement.verdict if found else Verdict.NOT_TESTED
            text = "\n· ".join([f"{claim.statement} [{claim.kind}]", *claim_lines(claim, found)])
            shown.add_row(claim.id, Text(plain(text)), Text(verdict.value, COLOUR[verdict]))
    return shown


def plain(text: str) -> str:
    r"""Return Markdown with $TeX$ as a terminal can show it: "$\rho_2 \ge 0$" is "ρ₂ ≥ 0"."""
    return re.sub(r"\$([^$]*)\$", lambda found: _plain_math(found[1]), text)


def _plain_math(tex: str) -> str:
    spaced = FENCE.sub(r"\1{}", tex).replace(" \\", "~\\")  # a space that TeX would drop after a name
    shown = " ".join(UNICODE.latex_to_text(spaced).split())
    return INDEX.sub(lambda found: (found[2] or found[3]).translate(SMALL[found[1]]), shown)
