"""How prose refers to the paper and to the ledger, in plain text, and what each mention means.

    (2), (10) and (11)             equations of the paper
    Theorem 1, Theorems 2 and 3    its theorems; likewise Algorithm 1, Figure 1a, Figures 1a and 1b
    A1, A2, A1–A3                  its assumptions
    L6, W4, A5                     claims of the ledger
    claim A2, claims A1 and A3     those that share their names with an assumption

A number of one or two digits between parentheses can mean nothing else. After a letter or a digit, as in f(2) or 64(3), it
is no mention, nor is a name in a longer word, as in A2-like.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from demod_book.claims.ledger import GROUPS, LEDGER

NUMBER = r"\d+[a-z]?"
LISTED = rf"{NUMBER}(?:(?:,?\s+(?:and|or|to)\s+|,\s*|\s*[–-]\s*){NUMBER}\b(?!\)))*"
KINDS = "Theorem|Lemma|Proposition|Definition|Algorithm|Figure"
MENTION = re.compile(
    rf"\b(?P<kind>{KINDS})(?:s\s+(?P<several>{LISTED})|\s+(?P<one>{NUMBER}))\b"
    r"|(?<![\w)\]}])\((?P<equation>\d{1,2})\)(?!\w)"
    rf"|(?<![\w.#‑-])(?P<name>[{''.join(GROUPS)}]\d{{1,2}})(?![\w‑-])"
)
CLAIMS = re.compile(r"\b[Cc]laims?\s+(?:[A-Z]\d+(?:\s*,\s*|\s+and\s+|\s+or\s+|\s+to\s+|\s*–\s*))*$")

STATEMENTS = {f"equation {number}": f"equation-{number}" for number in (1, 2, 3, 4, 5, 6, 7, 10, 11)}
STATEMENTS |= {f"Theorem {number}": f"theorem-{number}" for number in (1, 2, 3)} | {"Algorithm 1": "algorithm-1"}
STATEMENTS |= {f"assumption A{number}": f"assumption-a{number}" for number in (1, 2, 3)}
FIGURES = ("Figure 1", "Figure 1a", "Figure 1b", "Figure 2")
CLAIM = "claim "


@dataclass(frozen=True)
class Mention:
    """What the characters from `start` to `end` of a text mean: "equation 2", "Theorem 1", "assumption A1", "claim L6"."""

    start: int
    end: int
    name: str

    @property
    def problem(self) -> str | None:
        """Why there is nothing of that name, with what to do; None if there is."""
        if self.name in STATEMENTS or self.name in FIGURES or self.name.removeprefix(CLAIM) in LEDGER:
            return None
        owner = "ledger has no" if self.name.startswith(CLAIM) else "paper states no"
        return f"the {owner} {self.name}; correct the number, or write it so that it does not look like one."


def mentions(text: str) -> Iterator[Mention]:
    """Yield the mentions in `text`, in order; the first number of several includes the word before them."""
    for found in MENTION.finditer(text):
        if found["equation"]:
            yield Mention(*found.span(), f"equation {found['equation']}")
        elif name := found["name"]:
            assumption = f"assumption {name}"
            is_claim = assumption not in STATEMENTS or CLAIMS.search(text, 0, found.start())
            yield Mention(*found.span(), f"{CLAIM}{name}" if is_claim else assumption)
        else:
            group = "several" if found["several"] else "one"
            numbers = list(re.finditer(NUMBER, found[group]))
            for number in numbers:
                start = found.start() if number is numbers[0] else found.start(group) + number.start()
                yield Mention(start, found.start(group) + number.end(), f"{found['kind']} {number[0]}")
