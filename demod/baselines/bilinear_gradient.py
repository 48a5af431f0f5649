"""Gradient descent in h and m from a spectral start [Li, Ling, Strohmer and Wei, 2016], a Wirtinger flow.

    F(h, m) = ½ ‖B h ⊙ C m - y‖² + ½ ‖y‖² Σ_i max( ℓ w_i²/(8 μ² E) - 1, 0 )²,        w = B h,

the second sum only where μ is given: it keeps w incoherent, no entry far above μ times its root mean square, E being ‖w‖² at
the start. The start is the leading singular pair of Bᵀ diag(y) C, which for independent Gaussian B and C is h0 m0ᵀ in
expectation up to a factor; it gets the length that fits y best. Both codes then step at once, as far as a backtracking line
search allows, and are balanced to ‖h‖ = ‖m‖. For partial Fourier B and Gaussian C this recovers h mᵀ for ℓ of the order of
n + p, up to logarithms and to the coherence of w.

Of the published method two details are left out: the start is not projected onto the incoherent vectors, and the norms are
balanced in place of being penalised.

References
----------
X. Li, S. Ling, T. Strohmer, K. Wei. Rapid, robust, and reliable blind deconvolution via nonconvex optimization. 2016.
E. J. Candès, X. Li, M. Soltanolkotabi. Phase retrieval via Wirtinger flow: theory and algorithms. IEEE Transactions on
Information Theory 61(4), 2015.
"""

import torch
from torch import Tensor

from demod.baselines.estimate import Estimate, check_subspaces, subspace_estimate
from demod.baselines.starts import check_budget
from demod.descent.balancing import balanced
from demod.torch_state import in_full_precision

DECREASE = 0.1  # a step must lower F by this part of what the gradient promises
GROW, SHRINK = 2.0, 0.5  # the step size between iterations, and after a step that was too long
SMALLEST = 1e-20  # the step size, relative to the first, at which the descent ends


@in_full_precision
def solve(
    B: Tensor, C: Tensor, y: Tensor, *, incoherence: float | None = None, iterations: int = 2000, tolerance: float = 1e-10
) -> Estimate:
    """Recover h and m, up to scaling, from y = B h ⊙ C m.

    Parameters
    ----------
    B, C, y : Tensor
        Shapes (ℓ, n), (ℓ, p), (ℓ,).
    incoherence : float, optional
        μ > 0; None leaves the penalty out.
    iterations : int
        Maximum number of iterations.
    tolerance : float
        Converged when ‖B h ⊙ C m - y‖/‖y‖ is at most this.

    Returns
    -------
    Estimate
        objective is F.

    Raises
    ------
    ValueError
        If the shapes do not fit, an entry is not finite, y is zero, or μ is not positive.
    """
    check_subspaces(B, C, y)
    check_budget(iterations, tolerance)
    B, C, y = B.detach(), C.detach(), y.detach()
    if incoherence is not None and not incoherence > 0:
        raise ValueError(f"incoherence is {incoherence}; required is μ > 0, or None for no penalty.")
    h, m = spectral_start(B, C, y)
    w, x = B @ h, C @ m
    limit = None if incoherence is None else 8 * incoherence**2 * w.square().mean()
    step = first = 1 / sum(torch.linalg.matrix_norm(A, 2).square() for A in (x[:, None] * B, w[:, None] * C))
    F, g_h, g_m = penalised_objective(B, C, y, h, m, limit)
    for spent in range(iterations + 1):
        converged = bool((B @ h * (C @ m) - y).norm() <= tolerance * y.norm())
        if converged or spent == iterations or step < SMALLEST * first:
            break
        slope = g_h.square().sum() + g_m.square().sum()
        there = penalised_objective(B, C, y, *balanced(h - step * g_h, m - step * g_m), limit)
        if there[0] <= F - DECREASE * step * slope:
            h, m = balanced(h - step * g_h, m - step * g_m)
            (F, g_h, g_m), step = there, GROW * step
        else:
            step = SHRINK * step
    return subspace_estimate(B, C, h, m, objective=F.item(), converged=converged, iterations=spent)


def spectral_start(B: Tensor, C: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the leading singular pair of Bᵀ diag(y) C, (n,) and (p,), both of the length at which B h ⊙ C m fits y best."""
    U, _, Vh = torch.linalg.svd((B * y[:, None]).mT @ C, full_matrices=False)
    z = B @ U[:, 0] * (C @ Vh[0])
    length = ((y * z).sum() / z.square().sum()).sqrt()
    return length * U[:, 0], length * Vh[0]


def penalised_objective(
    B: Tensor, C: Tensor, y: Tensor, h: Tensor, m: Tensor, limit: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return F, ∇_h F and ∇_m F, shapes (), (n,) and (p,); limit is 8 μ² E/ℓ, the square at which the penalty sets in."""
    w, x = B @ h, C @ m
    r = w * x - y
    over = torch.zeros_like(w) if limit is None else (w.square() / limit - 1).clamp(min=0)
    energy = y.square().sum()
    pull = x * r if limit is None else x * r + 2 * energy / limit * over * w
    return (r.square().sum() + energy * over.square().sum()) / 2, B.mT @ pull, C.mT @ (w * r)
