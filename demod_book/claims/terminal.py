"""The claims on a terminal, their TeX in Unicode."""

import re
from collections.abc import Mapping

from pylatexenc.latex2text import LatexNodes2Text
from rich.table import Table
from rich.text import Text

from demod_book.claims.box import claim_lines
from demod_book.claims.judge import Judged, Verdict
from demod_book.claims.ledger import LEDGER

COLOURS = {
    Verdict.REPRODUCED: "green",
    Verdict.FALSIFIED: "red",
    Verdict.VACUOUS: "yellow",
    Verdict.MEASURED: "cyan",
    Verdict.NOT_TESTED: "dim",
}
UNICODE = LatexNodes2Text(strict_latex_spaces="based-on-source", keep_braced_groups=True, keep_braced_groups_minlen=1)
FENCE = re.compile(r"(\\l(?:[Vv]ert|angle))\s+|\s+(?=\\r(?:[Vv]ert|angle))")
INDEX = re.compile(r"([_^])(?:\{([-()\d]+)\}|(\d))")
SMALL = {"_": str.maketrans("-()0123456789", "₋₍₎₀₁₂₃₄₅₆₇₈₉"), "^": str.maketrans("-()0123456789", "⁻⁽⁾⁰¹²³⁴⁵⁶⁷⁸⁹")}


def verdict_list(judged: Mapping[str, Judged], groups: str) -> Table:
    """Return the claims whose letter is in `groups` as a table."""
    shown = Table(show_lines=True)
    shown.add_column("claim")
    shown.add_column("what the paper says, and what was measured", ratio=1)
    shown.add_column("verdict")
    for claim in LEDGER.values():
        if claim.id[0] in groups:
            judgement = judged[claim.id].judgement if claim.id in judged else None
            verdict = judgement.verdict if judgement else Verdict.NOT_TESTED
            text = "\n· ".join([claim.statement, *claim_lines(claim, judgement)])
            shown.add_row(claim.id, Text(plain(text)), Text(verdict.value, COLOURS[verdict]))
    return shown


def plain(text: str) -> str:
    r"""Return Markdown with $TeX$ as a terminal can show it: "$\rho_2 \ge 0$" is "ρ₂ ≥ 0"."""
    return re.sub(r"\$([^$]*)\$", lambda found: _plain_math(found[1]), text)


def _plain_math(tex: str) -> str:
    spaced = FENCE.sub(r"\1{}", tex).replace(" \\", "~\\")  # a space that TeX would drop after a name
    shown = " ".join(UNICODE.latex_to_text(spaced).split())
    return INDEX.sub(lambda found: (found[2] or found[3]).translate(SMALL[found[1]]), shown)
