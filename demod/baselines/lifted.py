"""Lifting: nuclear norm minimisation over all matrices, of which h mᵀ is one [Ahmed, Recht and Romberg, 2014].

y is linear in X = h mᵀ, and of all matrices with the same y the one of least nuclear norm is taken,

    minimise ‖X‖_*    subject to  b_iᵀ X c_i = y_i,  i = 1, …, ℓ,        or  ‖(b_iᵀ X c_i)_i - y‖ ≤ δ,

a semidefinite program in n p unknowns with a matrix of order n + p. Its leading singular pair gives h and m. For partial
Fourier B and Gaussian C it recovers h mᵀ once ℓ is of the order of n + p, up to logarithms.

The program has something to choose only where the matrices b_i c_iᵀ do not span all others, as for ℓ < n p. From n p generic
observations on they determine X, which is computed directly. Where no X has the given y, as with noise and ℓ > n p, equality
is asked for the part of y that some X has: the constraint becomes least squares.

References
----------
A. Ahmed, B. Recht, J. Romberg. Blind deconvolution using convex programming. IEEE Transactions on Information Theory 60(3),
2014.
"""

from math import inf

import torch
from torch import Tensor

from demod.arguments import check_numbers
from demod.baselines.convex import SOLVERS, cp, minimise, unit_scale
from demod.baselines.estimate import Estimate, check_subspaces, subspace_estimate
from demod.torch_state import in_full_precision

INTERIOR_POINT = 20  # the most columns for which CLARABEL, the more exact one, is affordable
DEPENDENT = 1e-10  # a singular value, relative to the largest, below which observations count as dependent
CONSISTENT = 1e-9  # the relative residual up to which y has an exact X


@in_full_precision
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
        If the shapes do not fit, an entry is not finite, y is zero, δ is negative, the solver is not known, or no X comes
        as close to y as δ.
    """
    check_subspaces(B, C, y)
    check_numbers(noise=noise)
    B, C, y = B.detach(), C.detach(), y.detach()
    if not 0 <= noise < inf:
        raise ValueError(f"noise is {noise}; required is a bound on ‖noise‖, 0 for equality.")
    if solver is None:
        solver = "CLARABEL" if max(B.shape[1], C.shape[1]) <= INTERIOR_POINT else "SCS"
    if solver not in SOLVERS:
        raise ValueError(f"solver is {solver!r}; required is one of {', '.join(SOLVERS)}, or None for the one that fits.")
    A = (B[:, :, None] * C[:, None, :]).flatten(1)  # A vec(X) = y
    X, converged, iterations = _within(A, y, noise, B.shape[1], solver) if noise else _exactly(A, y, B.shape[1], solver)
    U, sigma, Vh = torch.linalg.svd(X)
    h, m = sigma[0].sqrt() * U[:, 0], sigma[0].sqrt() * Vh[0]
    return subspace_estimate(B, C, h, m, objective=sigma.sum().item(), converged=converged, iterations=iterations)


def _exactly(A: Tensor, y: Tensor, n: int, solver: str) -> tuple[Tensor, bool, int]:
    """Return the minimiser under A vec(X) = y, (n, p), whether it is exact and the solver converged, and its iterations.

    The solver sees independent observations: the rows of Vᵀ in A = U S Vᵀ. Where they span all matrices, none is needed.
    """
    U, S, Vh = torch.linalg.svd(A, full_matrices=False)
    rank = (DEPENDENT * S[0] < S).sum()
    U, S, Vh = U[:, :rank], S[:rank], Vh[:rank]
    coordinates = U.mT @ y
    exact = bool((U @ coordinates - y).norm() <= CONSISTENT * y.norm())
    if rank == A.shape[1]:
        return (Vh.mT @ (coordinates / S)).reshape(n, -1), exact, 0
    target, scale = unit_scale(coordinates / S)
    X = cp.Variable((n, A.shape[1] // n))
    constraint = Vh.numpy(force=True) @ cp.vec(X, order="C") == target
    converged, iterations = minimise(cp.Problem(cp.Minimize(cp.normNuc(X)), [constraint]), solver)
    return scale * torch.from_numpy(X.value).to(y), converged and exact, iterations


def _within(A: Tensor, y: Tensor, noise: float, n: int, solver: str) -> tuple[Tensor, bool, int]:
    """Return the minimiser under ‖A vec(X) - y‖ ≤ δ, (n, p), whether the solver converged, and its iterations."""
    (A_, a), (y_, scale) = unit_scale(A), unit_scale(y)
    X = cp.Variable((n, A.shape[1] // n))
    constraint = cp.norm(A_ @ cp.vec(X, order="C") - y_) <= noise / scale
    converged, iterations = minimise(cp.Problem(cp.Minimize(cp.normNuc(X)), [constraint]), solver)
    return scale / a * torch.from_numpy(X.value).to(y), converged, iterations
