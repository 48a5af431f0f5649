"""How a measurement is judged: a criterion asks that a number lie between two bounds, both included.

judge(LEDGER["L6"], {"slope": (-0.49, 0.02)}).verdict

A number that is exact, a count or the largest of all that was looked at, is compared as it is. Of one that was estimated the
95 % interval decides: inside the bounds the criterion holds, outside it fails, and where it straddles a bound nothing is
decided.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import floor, inf, isfinite, log10

Measured = float | tuple[float, float] | tuple[float, float, float]
WITHIN = 1.959964  # standard errors on either side of an estimate: its 95 % interval


class Kind(StrEnum):
    """Whose sentence a claim is."""

    PAPER = "what the paper claims"
    OURS = "what we ask in addition"
    IDENTITY = "identities that verify the code"


class Verdict(StrEnum):
    """What became of a claim: three pairs of words, by its kind, and those that every kind shares."""

    REPRODUCED = "reproduced"
    FALSIFIED = "falsified"
    MET = "met"
    MISSED = "missed"
    HOLDS = "holds"
    FAILS = "fails"
    UNDECIDED = "undecided"
    VACUOUS = "vacuous"
    MEASURED = "measured"
    NOT_TESTED = "not tested"

    @property
    def css(self) -> str:
        """The word as the end of the name of a class in assets/demod.css."""
        return self.value.replace(" ", "-")


WORDS = {
    Kind.PAPER: (Verdict.REPRODUCED, Verdict.FALSIFIED),
    Kind.OURS: (Verdict.MET, Verdict.MISSED),
    Kind.IDENTITY: (Verdict.HOLDS, Verdict.FAILS),
}


class Outcome(StrEnum):
    """What became of a criterion."""

    FAILS = "fails"
    UNDECIDED = "undecided"
    HOLDS = "holds"
    UNBOUNDED = "no bound"


@dataclass(frozen=True)
class Criterion:
    """What a measured number, called `name` and described by `text`, must satisfy: low ≤ value ≤ high; None is no bound."""

    name: str
    text: str
    low: float | None = None
    high: float | None = None

    def outcome(self, low: float, high: float) -> Outcome:
        """Return what becomes of the criterion if the measured number lies somewhere from `low` to `high`."""
        if self.low is None and self.high is None:
            return Outcome.UNBOUNDED
        least, most = -inf if self.low is None else self.low, inf if self.high is None else self.high
        if least <= low and high <= most:
            return Outcome.HOLDS
        return Outcome.FAILS if high < least or most < low else Outcome.UNDECIDED

    @property
    def required(self) -> str:
        """The bounds in words: "≥ 0.9", "-0.65 to -0.35", "0"; a dash where there are none."""
        low, high = (None if bound is None else f"{bound:g}" for bound in (self.low, self.high))
        if low is None:
            return "–" if high is None else f"≤ {high}"
        if high is None:
            return f"≥ {low}"
        return low if low == high else f"{low} to {high}"


@dataclass(frozen=True)
class Claim:
    """A claim: where it stands in the paper, what it says, what is asked of the measurement.

    kind : whose sentence it is; the place of one of ours is what of the paper it asks more of.
    vacuous_if_held : the criteria ask whether the claim says nothing at sizes that run: if they hold, it is vacuous.
    """

    id: str
    place: str
    statement: str
    criteria: tuple[Criterion, ...]
    kind: Kind = Kind.PAPER
    vacuous_if_held: bool = False

    @property
    def anchor(self) -> str:
        """The id of the place on a page where the claim is judged."""
        return f"claim-{self.id.lower()}"


@dataclass(frozen=True)
class Result:
    """A criterion with its measured value, a standard error or a 95 % interval if there is one, and what becomes of it."""

    criterion: Criterion
    value: float
    error: float | None
    interval: tuple[float, float] | None

    @property
    def outcome(self) -> Outcome:
        """What becomes of the criterion."""
        spread = WITHIN * (self.error or 0.0)
        return self.criterion.outcome(*(self.interval or (self.value - spread, self.value + spread)))

    @property
    def shown(self) -> str:
        """The value, with its interval, "1 (95 %: 0.81 to 1)", or its error, "-0.49 ± 0.02".

        The error has two digits, the value as many places.
        """
        if self.interval:
            low, high = self.interval
            return f"{self.value:.3g} (95 %: {low:.3g} to {high:.3g})"
        if not self.error:
            return f"{self.value:d}" if isinstance(self.value, int) else _rounded(self.value)
        places = 1 - floor(log10(self.error))
        if not 0 <= places <= 6:
            return f"{self.value:.2e} ± {self.error:.1e}"
        return f"{self.value:.{places}f} ± {self.error:.{places}f}"


def _rounded(value: float) -> str:
    """Return three digits of a number; more of one just below 1, which is not 1."""
    return f"{value:.3g}" if value >= 1 or f"{value:.3g}" != "1" else f"{value:.6g}"


@dataclass(frozen=True)
class Judgement:
    """The verdict on a claim, and the result of each of its criteria in their order."""

    verdict: Verdict
    results: tuple[Result, ...]


def judge(claim: Claim, measured: Mapping[str, Measured]) -> Judgement:
    """Return the verdict on `claim`.

    One criterion that fails decides, then one that is undecided: a claim of the paper is falsified if a bounded criterion
    fails, undecided if an interval straddles a bound, reproduced if all hold; of ours the words are missed and met, of an
    identity fails and holds. Without any bound it is measured. A claim with `vacuous_if_held` is vacuous if they hold, and
    measured if one fails: that a theorem has content does not prove it.

    Parameters
    ----------
    claim : Claim
        One of `LEDGER`.
    measured : mapping of str to float, (float, float) or (float, float, float)
        For each criterion, by name, its value, which is then exact, (value, standard error), or (value, low, high) with the
        ends of a 95 % interval.

    Raises
    ------
    ValueError
        If a criterion has no measured value, a value has no criterion, or a value is not finite.
    """
    names = [criterion.name for criterion in claim.criteria]
    if missing := [name for name in names if name not in measured]:
        raise ValueError(f"{claim.id} was given no {', '.join(missing)}; its criteria are {', '.join(names)}: measure all.")
    if surplus := [name for name in measured if name not in names]:
        raise ValueError(f"{claim.id} has no criterion {', '.join(surplus)}; its criteria are {', '.join(names)}.")
    results = tuple(_result(claim, criterion, measured[criterion.name]) for criterion in claim.criteria)
    return Judgement(_verdict(claim, {result.outcome for result in results}), results)


def _verdict(claim: Claim, outcomes: set[Outcome]) -> Verdict:
    held, failed = (Verdict.VACUOUS, Verdict.MEASURED) if claim.vacuous_if_held else WORDS[claim.kind]
    words = {Outcome.FAILS: failed, Outcome.UNDECIDED: Verdict.UNDECIDED, Outcome.HOLDS: held}
    return next((word for outcome, word in words.items() if outcome in outcomes), Verdict.MEASURED)


def _result(claim: Claim, criterion: Criterion, measured: Measured) -> Result:
    value, *spread = measured if isinstance(measured, tuple) else (measured,)
    error, interval = spread[0] if len(spread) == 1 else None, (spread[0], spread[1]) if len(spread) == 2 else None
    inside = interval is None or interval[0] <= value <= interval[1]
    if not all(isfinite(number) for number in (value, *spread)) or not inside or (error is not None and error < 0):
        raise ValueError(
            f"{claim.id}: {criterion.name} is {measured}; required is a finite value, (value, standard error ≥ 0), or "
            "(value, low, high) with the value between: look at what produced it."
        )
    return Result(criterion, value, error, interval)
