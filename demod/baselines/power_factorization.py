"""Sparse power factorisation: alternating sparse regressions from a thresholded spectral start [Lee, Wu and Bresler, 2018].

With one code fixed, y = B h ⊙ C m is a sparse linear regression for the other,

    y = F h,  F = diag(C m) B,  ‖h‖₀ ≤ k₁        and        y = G m,  G = diag(B h) C,  ‖m‖₀ ≤ k₂.

Each is solved by hard thresholding pursuit: from u, take a gradient step, keep the k largest entries, and solve least
squares on them, until the support stays. The start looks at M = Bᵀ diag(y) C, which is h0 m0ᵀ in expectation up to a factor:
it keeps the k₁ rows whose k₂ largest entries have the greatest norm, then the k₂ columns of greatest norm, and takes the
leading right singular vector of what is left. For dense codes, k₁ = n and k₂ = p, the method is alternating least squares.

For codes with one dominant entry each (peaky ones) it succeeds with a number of observations of the order of k₁ + k₂, up to
logarithms; for all others the guarantee asks for the order of k₁ k₂.

References
----------
K. Lee, Y. Wu, Y. Bresler. Near optimal compressed sensing of a class of sparse low-rank matrices via sparse power
factorization. IEEE Transactions on Information Theory 64(3), 2018.
"""

import torch
from torch import Tensor

from demod.arguments import check_numbers, check_whole
from demod.baselines.estimate import Estimate, check_subspaces, check_values, subspace_estimate
from demod.descent.balancing import balanced
from demod.torch_state import in_full_precision

PURSUIT = 50  # the most supports that are tried in one regression
STALLED = 1e-9  # relative change of the residual below which an iteration has gained nothing


@in_full_precision
def solve(
    B: Tensor,
    C: Tensor,
    y: Tensor,
    sparsity: tuple[int, int],
    *,
    m: Tensor | None = None,
    iterations: int = 200,
    tolerance: float = 1e-10,
) -> Estimate:
    """Recover sparse h and m, up to scaling, from y = B h ⊙ C m.

    Parameters
    ----------
    B, C, y : Tensor
        Shapes (ℓ, n), (ℓ, p), (ℓ,).
    sparsity : (int, int)
        (k₁, k₂), the numbers of nonzero entries of h and m.
    m : Tensor, optional
        The code to start from, shape (p,); None is the thresholded spectral start.
    iterations : int
        Maximum number of pairs of regressions.
    tolerance : float
        Converged when ‖B h ⊙ C m - y‖/‖y‖ is at most this.

    Returns
    -------
    Estimate
        objective is ‖B h ⊙ C m - y‖².

    Raises
    ------
    ValueError
        If the shapes do not fit, an entry is not finite, y is zero, not 1 ≤ k₁ ≤ n and 1 ≤ k₂ ≤ p, or there are no
        iterations.
    """
    check_subspaces(B, C, y)
    B, C, y = B.detach(), C.detach(), y.detach()
    if not isinstance(sparsity, tuple | list) or len(sparsity) != 2:
        raise ValueError(f"sparsity is {sparsity!r}, but two counts (k₁, k₂) are required; (n, p) for dense codes.")
    k1, k2 = sparsity
    check_whole(iterations=iterations, k1=k1, k2=k2)
    check_numbers(tolerance=tolerance)
    if iterations < 1 or not (1 <= k1 <= B.shape[1] and 1 <= k2 <= C.shape[1]):
        raise ValueError(
            f"sparsity is {tuple(sparsity)}, but h has {B.shape[1]} entries and m has {C.shape[1]}; "
            "required are 1 ≤ k₁ ≤ n and 1 ≤ k₂ ≤ p, and (n, p) for codes that are not sparse; "
            f"iterations is {iterations}, and required is at least 1."
        )
    m = thresholded_start((B * y[:, None]).mT @ C, k1, k2) if m is None else _checked(C, m)
    residuals = [torch.inf]
    for _ in range(iterations):
        h = hard_thresholding_pursuit((C @ m)[:, None] * B, y, k1)
        m = hard_thresholding_pursuit((B @ h)[:, None] * C, y, k2)
        h, m = balanced(h, m)
        residuals.append(((B @ h * (C @ m) - y).norm() / y.norm()).item())
        if residuals[-1] <= tolerance or abs(residuals[-2] - residuals[-1]) <= STALLED * residuals[-1]:
            break
    return subspace_estimate(
        *(B, C, h, m),
        objective=(residuals[-1] * y.norm().item()) ** 2,
        converged=residuals[-1] <= tolerance,
        iterations=len(residuals) - 1,
    )


def thresholded_start(M: Tensor, k1: int, k2: int) -> Tensor:
    """Return the leading right singular vector, (p,), of M (n, p) on its k₁ strongest rows and, in them, k₂ columns."""
    rows = _largest(M.square().topk(k2, dim=1).values.sum(1), k1)
    columns = _largest(M[rows].square().sum(0), k2)
    start = torch.zeros_like(M[0])
    start[columns] = torch.linalg.svd(M[rows][:, columns], full_matrices=False)[2][0]
    return start


def _checked(C: Tensor, m: Tensor) -> Tensor:
    """Return the code to start from, (p,), checked.

    Raises
    ------
    ValueError
        If it does not fit C (ℓ, p) or is zero.
    """
    check_values(m=m, C=C)
    if m.shape != C.shape[1:] or not m.any():
        raise ValueError(
            f"m has shape {tuple(m.shape)}; required are ({C.shape[1]},) entries that are not all zero, or None for the "
            "spectral start."
        )
    return m.detach()


def hard_thresholding_pursuit(F: Tensor, y: Tensor, k: int) -> Tensor:
    """Return u (n,) with at most k nonzero entries and small ‖y - F u‖, F (ℓ, n), with the step of steepest descent."""
    u, support = torch.zeros_like(F[0]), None
    for _ in range(PURSUIT):
        g = F.mT @ (y - F @ u)
        on = _largest(g.abs(), k) if support is None else support
        energy = (F[:, on] @ g[on]).square().sum()
        step = g[on].square().sum() / energy if energy > 0 else 0.0
        before, support = support, _largest((u + step * g).abs(), k)
        if before is not None and torch.equal(before, support):
            break
        u = torch.zeros_like(u)
        u[support] = torch.linalg.lstsq(F[:, support], y[:, None], driver="gelsd").solution.squeeze(-1)
    return u


def _largest(values: Tensor, k: int) -> Tensor:
    """Return the indices of the k largest values, in ascending order."""
    return values.topk(k).indices.sort().values
