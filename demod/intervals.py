"""Intervals of 95 % for what a sweep counts: a share, the difference of two shares, a median.

An interval from the standard error alone has no width where all problems succeed, or none: there it says too much. Those
below keep theirs. With z the 97.5 % point of the normal law, a share p̂ = k/N has Wilson's interval, the p with

    |p̂ - p| ≤ z √(p (1 - p)/N),

a difference of shares Newcombe's, from the distances of both shares to the ends of their own intervals, and a median the
interval between two order statistics, which hold it with 95 % for any law.
"""

from collections.abc import Sequence

from scipy.stats import binom, binomtest

Interval = tuple[float, float, float]

LEVEL = 0.95


def share_interval(successes: int, trials: int, *, of: float = 1.0) -> Interval:
    """Return the share of successes and the ends of its interval, in units in which all is `of`: 1, or 100 for per cent.

    Raises
    ------
    ValueError
        If there are no trials, or not 0 ≤ successes ≤ trials.
    """
    _check(trials, successes)
    ends = binomtest(successes, trials).proportion_ci(LEVEL, method="wilson")
    return of * successes / trials, of * float(ends.low), of * float(ends.high)


def difference_interval(first: int, second: int, trials: int, *, of: float = 1.0) -> Interval:
    """Return the share of `first` minus that of `second` successes in as many independent trials, and its interval.

    References
    ----------
    Newcombe, Interval estimation for the difference between independent proportions, Statistics in Medicine 17, 1998,
    method 10.

    Raises
    ------
    ValueError
        If there are no trials, or not 0 ≤ successes ≤ trials.
    """
    (p, p_low, p_high), (q, q_low, q_high) = (share_interval(k, trials, of=of) for k in (first, second))
    down, up = ((p - p_low) ** 2 + (q_high - q) ** 2) ** 0.5, ((p_high - p) ** 2 + (q - q_low) ** 2) ** 0.5
    return p - q, p - q - down, p - q + up


def median_interval(values: Sequence[float]) -> Interval:
    """Return the median of independent values and an interval that holds that of their law with 95 % or more.

    Raises
    ------
    ValueError
        If there are fewer than 6 values, of which no two hold the median with 95 %.
    """
    ordered, count = sorted(float(value) for value in values), len(values)
    below = int(binom.ppf((1 - LEVEL) / 2, count, 0.5))  # the most values so that so few lie below the median with 2.5 %
    if below < 1:
        raise ValueError(f"values has {count} entries, but an interval of 95 % for a median takes 6: measure more.")
    middle = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
    return middle, ordered[below - 1], ordered[count - below]


def _check(trials: int, successes: int) -> None:
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"{successes} of {trials} succeed; required are 0 ≤ successes ≤ trials and a trial: count again.")
