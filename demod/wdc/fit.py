"""The α that fits a matrix best: the minimiser over α of the constant of the WDC.

For each pair of codes the residual ‖A - α Q‖ of (5) is convex in α, so its supremum ε(α) over all pairs is convex as
well. Cutting planes find the minimum: the maximum over the pairs met so far lies below ε, its minimiser is the next
α, and the pair that is the worst there joins them. ε(0) ≤ ‖W‖² and ε(α) ≥ α/2 - ‖W‖² confine α to [0, 4‖W‖²].
"""

from dataclasses import dataclass

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from demod.arguments import check_counts, check_not_negative, check_stream
from demod.expectation import expected_gram
from demod.torch_state import in_full_precision
from demod.wdc.exact import supremum
from demod.wdc.residuals import WDCBound, check_matrix, spectral_norm, wdc_matrix
from demod.wdc.search import search


@dataclass(frozen=True)
class AlphaFit:
    """The best-fitting α.

    alpha : the minimiser; it may exceed 1, as the scale of a matrix is arbitrary
    bound : the residual there and its pair; for two columns the supremum, else a lower bound on it
    floor : no α has a smaller constant than this, as the pairs met show
    """

    alpha: float
    bound: WDCBound
    floor: float


@in_full_precision
@torch.no_grad()
def fit_alpha(W: Tensor, rng: torch.Generator, *, tolerance: float = 1e-3, searches: int = 20) -> AlphaFit:
    """Return the α with the smallest constant of the WDC: exactly for two columns, by the search for more.

    Parameters
    ----------
    W : Tensor
        Shape (ℓ, n).
    rng : torch.Generator
        On the CPU; for the search, unused for two columns.
    tolerance : float
        Stop when the worst pair at the new α is at most so much, relatively, above what the earlier pairs show.
    searches : int
        Maximum number of cutting planes.

    Raises
    ------
    ValueError
        If W is not a matrix, or zero: then α = 0 fits; or if `searches` is not positive.
    """
    check_matrix("W", W)
    check_stream(rng)
    check_not_negative(tolerance=tolerance)
    check_counts(searches=searches)
    largest = torch.linalg.matrix_norm(W, 2).square().item()
    if not largest:
        raise ValueError("W is zero, so α = 0 fits; give a matrix with a nonzero row.")
    alpha, best, floor = 1.0, 1.0, 0.0
    bound = WDCBound(float("inf"), W[0], W[0])
    x, y = W.new_zeros(2, 0, W.shape[-1])
    for _ in range(searches):
        worst = supremum(W, alpha) if W.shape[-1] == 2 else search(W, rng, alpha)
        x, y = torch.cat([x, worst.x[None]]), torch.cat([y, worst.y[None]])
        A, Q = wdc_matrix(W, x, y, 0.0), expected_gram(x, y)
        values = spectral_norm(A - alpha * Q)
        k = values.argmax()  # an earlier pair, where the search missed the worst one
        if values[k] < bound.value:
            best, bound = alpha, WDCBound(values[k].item(), x[k], y[k])
        least = minimize_scalar(_maximum, None, (0, 4 * largest), (A, Q), "bounded", options={"xatol": 1e-9})
        alpha, floor = float(least.x), float(least.fun)
        if bound.value <= (1 + tolerance) * floor:
            break
    return AlphaFit(best, bound, floor)


def _maximum(alpha: float, A: Tensor, Q: Tensor) -> float:
    return spectral_norm(A - alpha * Q).max().item()
