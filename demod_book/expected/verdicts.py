"""The verdicts of the ledger, against the accepted ones.

They lie in tests/expected/<profile>-<mnist|drawn>-verdicts.json, claim to verdict, and are compared by the tests.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from demod_book.claims.judge import Verdict
from demod_book.claims.ledger import LEDGER
from demod_book.claims.stored import Judged
from demod_book.expected.numbers import expected_path


def verdicts_path(root: Path, card: Mapping[str, Any]) -> Path:
    """Return the file of the accepted verdicts for the book with this card, beside that of its accepted numbers."""
    path = expected_path(root, card)
    return path.with_name(f"{path.stem}-verdicts.json")


def accepted_verdicts(judged: Mapping[str, Judged]) -> dict[str, str]:
    """Return the verdicts as they are stored, in the order of the ledger."""
    return {name: judged[name].judgement.verdict.value for name in LEDGER if name in judged}


def compare_verdicts(judged: Mapping[str, Judged], expected: Mapping[str, str]) -> list[str]:
    """Return where the verdicts differ from the accepted ones: missing, surplus or changed."""
    now, nothing = accepted_verdicts(judged), Verdict.NOT_TESTED.value
    pairs = {name: (now.get(name, nothing), expected.get(name, nothing)) for name in sorted(now.keys() | expected.keys())}
    return [f"{name} is {verdict}, accepted is {wanted}" for name, (verdict, wanted) in pairs.items() if verdict != wanted]
