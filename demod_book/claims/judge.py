"""How a measurement is judged: a criterion asks that a number lie between two bounds, both included.

judge(LEDGER["L6"], {"slope": (-0.49, 0.02)}).verdict
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import floor, isfinite, log10

Measured = float | tuple[float, float] | tuple[float, float, float]


class Verdict(StrEnum):
    """What became of a claim."""

    REPRODUCED = "reproduced"
    FALSIFIED = "falsified"
    VACUOUS = "vacuous"
    MEASURED = "measured"
    NOT_TESTED = "not tested"

    @property
    def css(self) -> str:
        """The word as the end of the name of a class in assets/demod.css."""
        return self.value.replace(" ", "-")


@dataclass(frozen=True)
class Criterion:
    """What a measured number, called `name` and described by `text`, must satisfy: low ≤ value ≤ high; None is no bound."""

    name: str
    text: str
    low: float | None = None
    high: float | None = None

    def holds(self, value: float) -> bool | None:
        """Return whether `value` lies within the bounds, both included; None where there is no bound."""
        if self.low is None and self.high is None:
            return None
        return (self.low is None or self.low <= value) and (self.high is None or value <= self.high)

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
    """A claim of the paper: where it stands, what it says, what is asked of the measurement.

    vacuous_if_held : the criteria ask whether the claim says nothing at sizes that run: if they hold, it is vacuous.
    """

    id: str
    place: str
    statement: str
    criteria: tuple[Criterion, ...]
    vacuous_if_held: bool = False

    @property
    def anchor(self) -> str:
        """The id of the place on a page where the claim is judged."""
        return f"claim-{self.id.lower()}"


@dataclass(frozen=True)
class Result:
    """A criterion with its measured value, a standard error or a 95 % interval if there is one, and whether it holds."""

    criterion: Criterion
    value: float
    error: float | None
    interval: tuple[float, float] | None
    holds: bool | None

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


@dataclass(frozen=True)
class Judged:
    """The judgement of a claim, and the slug of the chapter that measured it."""

    chapter: str
    judgement: Judgement


def judge(claim: Claim, measured: Mapping[str, Measured]) -> Judgement:
    """Return the verdict on `claim`.

    It is falsified if a bounded criterion fails, reproduced if all of them hold, measured if none is bounded. A claim with
    `vacuous_if_held` is vacuous if they hold, and measured otherwise: that a theorem has content does not prove it.

    Parameters
    ----------
    claim : Claim
        One of `LEDGER`.
    measured : mapping of str to float, (float, float) or (float, float, float)
        For each criterion, by name, its value, (value, standard error), or (value, low, high) with the ends of a 95 %
        interval. The value alone decides.

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
    bounded = [result.holds for result in results if result.holds is not None]
    return Judgement(_verdict(claim, bounded), results)


def _verdict(claim: Claim, bounded: list[bool]) -> Verdict:
    if claim.vacuous_if_held:
        return Verdict.VACUOUS if bounded and all(bounded) else Verdict.MEASURED
    if not bounded:
        return Verdict.MEASURED
    return Verdict.REPRODUCED if all(bounded) else Verdict.FALSIFIED


def _result(claim: Claim, criterion: Criterion, measured: Measured) -> Result:
    value, *spread = measured if isinstance(measured, tuple) else (measured,)
    error, interval = spread[0] if len(spread) == 1 else None, (spread[0], spread[1]) if len(spread) == 2 else None
    inside = interval is None or interval[0] <= value <= interval[1]
    if not all(isfinite(number) for number in (value, *spread)) or not inside or (error is not None and error < 0):
        raise ValueError(
            f"{claim.id}: {criterion.name} is {measured}; required is a finite value, (value, standard error ≥ 0), or "
            "(value, low, high) with the value between: look at what produced it."
        )
    return Result(criterion, value, error, interval, criterion.holds(value))
