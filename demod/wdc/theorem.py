"""The numbers of Theorem 2: the ε that its hypothesis requires, and the probability that it then guarantees.

    K₁ (d⁷s² + d²s⁷) ε^{1/4} < 1,

    1 - Σ_{i≤d} c̃ n_i e^{-γ n_{i-1}} - Σ_{i≤s} c̃ p_i e^{-γ p_{i-1}} - c̃ e^{-γ ℓ/(n_{d-1} log n_{d-1} + p_{s-1} log p_{s-1})}.

The paper does not print K₁, c̃ and γ; γ⁻¹ grows polynomially in ε⁻¹, so that γ = 1 flatters the theorem.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import exp, log

from demod.arguments import check_counts, check_positive, check_widths


def required_epsilon(d: int, s: int, *, K1: float = 1.0) -> float:
    """Return the supremum of the ε that Theorem 2 admits for networks of depths d, s ≥ 2 and the constant K₁.

    Raises
    ------
    ValueError
        If a depth is less than 2, where the theorem says nothing, or K₁ is not positive.
    """
    check_counts(d=d, s=s)
    check_positive(K1=K1)
    if min(d, s) < 2:
        raise ValueError(f"d = {d}, s = {s}; Theorem 2 requires d ≥ 2 and s ≥ 2: add a layer.")
    return (K1 * (d**7 * s**2 + d**2 * s**7)) ** -4


def guaranteed_probability(
    widths1: Sequence[int], widths2: Sequence[int], *, factor: float = 1.0, rate: float = 1.0
) -> float:
    """Return the lower bound of Theorem 2 on the probability, c̃ = `factor` and γ = `rate`; below 0 it says nothing.

    Raises
    ------
    ValueError
        If the two networks do not end in the same ℓ, or a last layer has one column: log 1 = 0.
    """
    check_widths(widths1=widths1, widths2=widths2)
    check_positive(factor=factor, rate=rate)
    if widths1[-1] != widths2[-1]:
        raise ValueError(f"G1 produces {widths1[-1]} entries and G2 {widths2[-1]}, but both factors of y have the same l.")
    spread = sum(widths[-2] * log(widths[-2]) for widths in (widths1, widths2))
    if not spread:
        raise ValueError("both last layers have one column, where the exponent of Theorem 2 divides by log 1 = 0.")
    layers = sum(rows * exp(-rate * columns) for widths in (widths1, widths2) for columns, rows in pairwise(widths))
    return 1 - factor * (layers + exp(-rate * widths1[-1] / spread))
