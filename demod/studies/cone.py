"""How many measurements lifting should need: the statistical dimension of a descent cone [Amelunxen et al., 2014].

For Gaussian measurements of a rank-one matrix X, nuclear norm minimisation passes from failure to success where their number
is the statistical dimension of the cone of directions in which the norm does not grow. It is, up to terms of order one,

    δ = inf over τ ≥ 0 of  E dist²(Z, τ ∂‖X‖_*) = n + p - 1 + τ² + E Σ_k max(σ_k(Z') - τ, 0)²,

Z' a Gaussian matrix (n - 1, p - 1) with the singular values σ_k. For large n = p it tends to 3 (n + p). The measurements of
demodulation are rank-one matrices b_i c_iᵀ and not Gaussian ones, so that δ is a prediction and no theorem.

References
----------
D. Amelunxen, M. Lotz, M. B. McCoy, J. A. Tropp. Living on the edge: phase transitions in convex programs with random data.
Information and Inference 3(3), 2014.
"""

import torch
from scipy.optimize import minimize_scalar

from demod.arguments import check_counts, check_stream

DRAWS = 400  # of Z'


def statistical_dimension(n: int, p: int, rng: torch.Generator) -> float:
    """Return δ for a rank-one matrix (n, p), the expectation from 400 draws.

    Raises
    ------
    ValueError
        If n or p is less than 2.
    """
    check_counts(2, n=n, p=p)
    check_stream(rng)
    sigma = torch.linalg.svdvals(torch.randn(DRAWS, n - 1, p - 1, generator=rng, dtype=torch.float64, device="cpu"))

    def squared_distance(tau: float) -> float:
        return tau**2 + (sigma - tau).clamp(min=0).square().sum(-1).mean().item()

    least = minimize_scalar(squared_distance, bounds=(0, sigma.max().item()), method="bounded").fun
    return n + p - 1 + float(least)
