"""Lifting: nuclear norm minimisation over all matrices, of which h mᵀ is one [Ahmed, Recht and Romberg, 2014].

y is linear in X = h mᵀ, and of all matrices with the same y the one of least nuclear norm is taken,

    minimise ‖X‖_*    subject to  b_iᵀ X c_i = y_i,  i = 1, …, ℓ,        or  ‖(b_iᵀ X c_i)_i - y‖ ≤ δ,

a semidefinite program in n p unknowns with a matrix of order n + p. Its leading singular pair gives h and m. For partial
Fourier B and Gaussian C it recovers h mᵀ once ℓ is of the order of n + p, up to logarithms.

The program has something to choose only for ℓ < n p. From there on, the rows b_i c_iᵀ of a generic problem determine X, and
without noise the answer of the program, if it has one, is that of least squares, which is computed instead.

References
----------
A. Ahmed, B. Recht, J. Romberg. Blind deconvolution using convex programming. IEEE Transactions on Information Theory 60(3),
2014.
"""

import cvxpy as cp
import torch
from torch import Tensor

from demod.baselines.convex import SOLVERS, minimise, unit_scale
from demod.baselines.estimate import Estimate, check_subspaces, subspace_estimate

INTERIOR_POINT = 20  # up to so many columns CLARABEL, which is the more exact one, is affordable
CONSISTENT = 1e-9  # the relative residual of least squares below which y has an exact X


def solve(B: Tensor, C: Tensor, y: Tensor, *, noise: float = 0.0, solver: str | None = None) -> Estimate:
    """Recover h and m, up to scaling, from y = B h ⊙ C m.

    Parameters
    ----------
    B, C, y : Tensor
        Shapes (ℓ, n), (ℓ, p), (ℓ,).
    noise : float
        δ, a bound on the Euclidean norm of the noise in y; 0 asks for equality.
    solver : "CLARABEL" or "SCS", optional
        An interior-point or a first-order method. None is CLARABEL for n, p ≤ 20 and SCS above.

    Returns
    -------
    Estimate
        objective is ‖X‖_*; converged says whether the solver reached its tolerance and, without noise, y has an exact X.

    Raises
    ------
    ValueError
        If the shapes do not fit, an entry is not finite, y is zero, δ is negative, the solver is not known, or no X
        satisfies the constraints.
    """
    check_subspaces(B, C, y)
    if noise < 0:
        raise ValueError(f"noise is {noise}; required is a bound on ‖noise‖, 0 for equality.")
    if solver is None:
        solver = "CLARABEL" if max(B.shape[1], C.shape[1]) <= INTERIOR_POINT else "SCS"
    if solver not in SOLVERS:
        raise ValueError(f"solver is {solver!r}; required is one of {', '.join(SOLVERS)}, or None for the one that fits.")
    determined = _least_squares(B, C, y) if noise == 0 and len(y) >= B.shape[1] * C.shape[1] else None
    X, converged, iterations = determined or _nuclear_norm(B, C, y, noise, solver)
    U, sigma, Vh = torch.linalg.svd(X)
    h, m = sigma[0].sqrt() * U[:, 0], sigma[0].sqrt() * Vh[0]
    return subspace_estimate(B, C, h, m, objective=sigma.sum().item(), converged=converged, iterations=iterations)


def _least_squares(B: Tensor, C: Tensor, y: Tensor) -> tuple[Tensor, bool, int] | None:
    """Return the X that ℓ ≥ n p equations determine, whether it satisfies them, and no iterations; or None."""
    A = (B[:, :, None] * C[:, None, :]).flatten(1)
    X, _, rank, _ = torch.linalg.lstsq(A, y[:, None], driver="gelsd")
    if rank < A.shape[1]:
        return None
    exact = (A @ X).squeeze(-1).sub(y).norm() <= CONSISTENT * y.norm()
    return X.reshape(B.shape[1], C.shape[1]), bool(exact), 0


def _nuclear_norm(B: Tensor, C: Tensor, y: Tensor, noise: float, solver: str) -> tuple[Tensor, bool, int]:
    """Return the minimiser, whether the solver reached its tolerance, and its iterations; it sees entries of order one."""
    (B_, b), (C_, c), (y_, scale) = (unit_scale(value) for value in (B, C, y))
    X = cp.Variable((B.shape[1], C.shape[1]))
    misfit = cp.sum(cp.multiply(B_ @ X, C_), axis=1) - y_
    constraint = misfit == 0 if noise == 0 else cp.norm(misfit) <= noise / scale
    converged, iterations = minimise(cp.Problem(cp.Minimize(cp.normNuc(X)), [constraint]), solver)
    return scale / (b * c) * torch.from_numpy(X.value).to(y), converged, iterations
