"""The constants of the assumptions: α of a truncated last layer, the expansion A2, the measurements A3."""

from collections.abc import Sequence
from itertools import pairwise
from math import log

from scipy.special import chdtr

from demod.arguments import check_counts, check_widths


def truncation_constant(columns: int) -> float:
    """Return α = P(χ²_{n+2} ≤ 9n), the WDC constant of a truncated last layer with n columns.

    A truncated row keeps E[w wᵀ 1{‖w‖² ≤ 9n/ℓ}] = α I/ℓ, and E[‖g‖² 1{‖g‖² ≤ 9n}]/n = P(χ²_{n+2} ≤ 9n).
    """
    check_counts(columns=columns)
    return float(chdtr(columns + 2, 9 * columns))  # the law of χ²_{n+2}


def expansion_constants(widths: Sequence[int]) -> tuple[float, ...]:
    """Return, for each inner layer, the largest c with n_i ≥ c n_{i-1} log n_{i-1} (assumption A2).

    It is infinite where n_{i-1} = 1: log 1 = 0 makes A2 vacuous.
    """
    check_widths(widths=widths)
    return tuple(n_i / (n * log(n)) if n > 1 else float("inf") for n, n_i in pairwise(widths[:-1]))


def measurement_constant(widths1: Sequence[int], widths2: Sequence[int]) -> float:
    """Return the largest c with ℓ ≥ c ((n_{d-1} log n_{d-1})² + (p_{s-1} log p_{s-1})²) (assumption A3).

    Raises
    ------
    ValueError
        If the two networks do not end in the same ℓ.
    """
    check_widths(widths1=widths1, widths2=widths2)
    if widths1[-1] != widths2[-1]:
        raise ValueError(f"G1 produces {widths1[-1]} entries and G2 {widths2[-1]}, but both factors of y have the same l.")
    need = sum((n * log(n)) ** 2 for n in (widths1[-2], widths2[-2]))
    return widths1[-1] / need if need else float("inf")
