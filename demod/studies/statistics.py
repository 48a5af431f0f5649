"""Intervals of 95 % and fits, for what a sweep counts or measures: a share, the difference of two shares, a median, a slope.

An interval from the standard error alone has no width where all problems succeed, or none: there it says too much. Those
for counts keep theirs. With z the 97.5 % point of the normal law, a share p̂ = k/N has Wilson's interval, the p with

    |p̂ - p| ≤ z √(p (1 - p)/N),

a difference of shares Newcombe's, from the distances of both shares to the ends of their own intervals, also for paired
problems, and a median the
interval between two order statistics, which hold it with 95 % for any law. What a fit estimates with a standard error has
the interval of the normal law, on a logarithmic scale where the error is that of a logarithm.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import expit, log_expit
from scipy.stats import binomtest, quantile_test
from torch import Tensor

Interval = tuple[float, float, float]

LEVEL = 0.95
FEWEST = 6  # values whose least and largest hold the median with 95 %: 1 - 2 · 2⁻⁶ > .95 > 1 - 2 · 2⁻⁵
NORMAL_POINT = 1.96  # z to the two decimals that are customary, and not 1.959964: the numbers of the book were made with it


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


def share_intervals(successes: ArrayLike, trials: int) -> np.ndarray:
    """Return `share_interval` of each count, shape (*B, 3): the share and the ends of its interval."""
    counts = np.asarray(successes)
    return np.array([share_interval(int(count), trials) for count in counts.flat]).reshape(*counts.shape, 3)


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


def paired_difference_interval(first: ArrayLike, second: ArrayLike, *, of: float = 1.0) -> Interval:
    """Return the share of problems in which `first` succeeds minus that of `second`, on the same problems, and its interval.

    Where the two succeed on much the same problems it is shorter than `difference_interval`.

    Parameters
    ----------
    first, second : arrays of Boolean
        Whether each method succeeds, shape (N,), the same problems in the same order.
    of : float
        1 for shares, 100 for percentage points.

    References
    ----------
    Newcombe, Improved confidence intervals for the difference between binomial proportions based on paired data, Statistics
    in Medicine 17, 1998, method 10.

    Raises
    ------
    ValueError
        If the two are not as many.
    """
    won, other = np.asarray(first, bool), np.asarray(second, bool)
    if won.ndim != 1 or won.shape != other.shape:
        raise ValueError(f"first has shape {won.shape} and second {other.shape}; required is (N,) for both: pair them.")
    trials = len(won)
    (p, p_low, p_high), (q, q_low, q_high) = (share_interval(int(k.sum()), trials, of=of) for k in (won, other))
    both, neither = int((won & other).sum()), int((~won & ~other).sum())
    excess = both * neither - int((won & ~other).sum()) * int((~won & other).sum())
    margins = math.prod(int(part.sum()) for part in (won, ~won, other, ~other))
    phi = (max(excess - trials / 2, 0.0) if excess > 0 else excess) / math.sqrt(margins) if margins else 0.0
    down, up = (
        math.sqrt(max(a * a - 2 * phi * a * b + b * b, 0.0)) for a, b in ((p - p_low, q_high - q), (p_high - p, q - q_low))
    )
    return p - q, p - q - down, p - q + up


def median_interval(values: Sequence[float]) -> Interval:
    """Return the median of independent values and an interval that holds that of their law with 95 % or more.

    Raises
    ------
    ValueError
        If there are fewer than 6 values, of which no two hold the median with 95 %.
    """
    measured = np.asarray(values, float)
    if len(measured) < FEWEST:
        raise ValueError(
            f"values has {len(measured)} entries, but an interval of 95 % for a median takes {FEWEST}: measure more."
        )
    ends = quantile_test(measured, p=0.5).confidence_interval(LEVEL)
    return float(np.median(measured)), float(ends.low), float(ends.high)


def normal_interval(value: float, error: float) -> Interval:
    """Return a value and the ends of its interval, error its standard error."""
    return value, value - NORMAL_POINT * error, value + NORMAL_POINT * error


def log_interval(value: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Return positive values (*B,) and the ends of their intervals, shape (3, *B), error the standard error of log value."""
    return np.stack([value, value * np.exp(-NORMAL_POINT * error), value * np.exp(NORMAL_POINT * error)])


def half_point(sizes: Sequence[float], successes: Sequence[int], trials: int) -> tuple[float, float]:
    """Return the size at which half of the problems succeed, and the standard error of its logarithm.

    The success probability is modelled as 1/(1 + (size_50/size)^a), and size_50 and a maximise the likelihood; the error is
    that of the inverse Fisher information. A weak prior on a, log-normal around 8, decides where success jumps from none to
    all between two sizes.

    Raises
    ------
    ValueError
        If the sizes do not bracket one half.
    """
    x, k = np.log(np.asarray(sizes, float)), np.asarray(successes, float)
    if len(x) == len(k) and not ((k >= 0) & (k <= trials)).all():
        raise ValueError(f"successes is {list(successes)}, but each is a count from 0 to trials = {trials}; count again.")
    if len(x) != len(k) or not k.min() < trials / 2 < k.max():
        raise ValueError(f"{list(successes)} of {trials} at {list(sizes)}: some sizes must give less than half, some more.")

    def cost(theta: np.ndarray) -> float:
        odds = math.exp(theta[1]) * (x - theta[0])
        return -(k * log_expit(odds) + (trials - k) * log_expit(-odds)).sum() + (theta[1] - math.log(8)) ** 2 / 2

    start = np.interp(trials / 2, np.maximum.accumulate(k) + 1e-9 * np.arange(len(k)), x)
    log_half, log_a = minimize(cost, [start, math.log(8)], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10}).x
    a, p = math.exp(log_a), expit(math.exp(log_a) * (x - log_half))
    weight = trials * p * (1 - p)
    slopes = np.stack([-a * np.ones_like(x), a * (x - log_half)])  # of the log-odds in (log size_50, log a)
    information = (slopes * weight) @ slopes.T + np.diag([0.0, 1.0])
    return math.exp(log_half), float(np.linalg.inv(information)[0, 0] ** 0.5)


def exponent(sizes: Sequence[float], values: Sequence[float], errors: Sequence[float]) -> tuple[float, float]:
    """Return the slope of log values in log sizes, and its standard error, for independent errors of log values."""
    if not len(sizes) == len(values) == len(errors) > 1 or not all(min(part) > 0 for part in (sizes, values, errors)):
        raise ValueError(
            f"sizes, values and errors have {len(sizes)}, {len(values)} and {len(errors)} entries; required are as many of "
            "each, two or more, all positive: leave out what failed."
        )
    x, y, weight = np.log(np.asarray(sizes, float)), np.log(np.asarray(values, float)), np.asarray(errors, float) ** -2.0
    centre = (weight * x).sum() / weight.sum()
    spread = (weight * (x - centre) ** 2).sum()
    return float((weight * (x - centre) * y).sum() / spread), float(spread**-0.5)


def ratio_of_means(above: Sequence[float], below: Sequence[float]) -> tuple[float, float]:
    """Return the mean of `above` over that of `below`, and the standard error of the logarithm of this ratio.

    Raises
    ------
    ValueError
        If there are fewer than two pairs, or a mean is not positive.
    """
    a, b = np.asarray(above, float), np.asarray(below, float)
    if not len(a) == len(b) > 1 or not min(a.mean(), b.mean()) > 0:
        raise ValueError(
            f"above and below have {len(a)} and {len(b)} entries; required are as many of both, two or more, with positive "
            "means: measure more."
        )
    spread = (a / a.mean() - b / b.mean()).std(ddof=1)
    return float(a.mean() / b.mean()), float(spread / len(a) ** 0.5)


def limit(sizes: Sequence[float], values: Sequence[float], errors: Sequence[float]) -> tuple[float, float, float]:
    """Return the limit and the slope of values that are linear in 1/size, and the standard error of the limit.

    Each value is weighted by the inverse of its standard error.
    """
    if not len(sizes) == len(values) == len(errors) > 1 or not min(errors) > 0:
        raise ValueError(
            f"sizes, values and errors have {len(sizes)}, {len(values)} and {len(errors)} entries; required are as many of "
            "each, two or more, and positive errors."
        )
    x, weights = 1 / np.asarray(sizes, float), 1 / np.asarray(errors, float)
    (slope, value), covariance = np.polyfit(x, np.asarray(values, float), 1, w=weights, cov="unscaled")
    return float(value), float(slope), float(covariance[1, 1] ** 0.5)


def bootstrap(values: Tensor, rng: torch.Generator, *, draws: int = 2000) -> tuple[float, float, float]:
    """Return the median of values (N,) and the ends of its 95 % bootstrap interval."""
    drawn = values[torch.randint(len(values), (draws, len(values)), generator=rng)].quantile(0.5, dim=1)
    low, high = drawn.quantile(torch.tensor([0.025, 0.975], dtype=values.dtype))
    return values.quantile(0.5).item(), low.item(), high.item()


def _check(trials: int, successes: int) -> None:
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"{successes} of {trials} succeed; required are 0 ≤ successes ≤ trials and a trial: count again.")
