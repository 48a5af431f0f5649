"""BranchHull: the signs of one factor turn the product into a convex constraint [Aghasi, Ahmed and Hand, 2019].

With t = sign(w) known and s = sign(y), each observation puts (u_i, v_i) = (t_i w_i, s_i t_i x_i) on one branch of the
hyperbola u_i v_i = |y_i|, in the quadrant u_i, v_i ≥ 0. The convex hull of the branch is a second-order cone constraint,

    u_i v_i ≥ |y_i|, u_i, v_i ≥ 0        ⟺        ‖(2 √|y_i|, u_i - v_i)‖ ≤ u_i + v_i,

and of all (h, m) in the hulls of all observations the smallest one is taken,

    minimise P(h) + P(m)    subject to  u = t ⊙ B h,  v = s ⊙ t ⊙ C m  in the hulls,

with P(z) = ‖z‖² for vectors in subspaces and P(z) = ‖z‖₁ for sparse ones. For Gaussian B and C it recovers vectors in
subspaces with ℓ of the order of n + p, and sparse ones, of comparable effective sparsity and with k₁ and k₂ nonzero entries,
with ℓ of the order of (k₁ + k₂) log²(n + p).
Against outliers the constraint may be bent by a slack, v = s ⊙ t ⊙ (C m + ξ), at the cost λ‖ξ‖₁.

References
----------
A. Aghasi, A. Ahmed, P. Hand. BranchHull: convex bilinear inversion from the entrywise product of signals with known signs.
Applied and Computational Harmonic Analysis, 2019. A. Aghasi, A. Ahmed, P. Hand, B. Joshi. A convex program for bilinear
inversion of sparse vectors. NeurIPS 2018.
"""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from demod.baselines.convex import cp, minimise, unit_scale
from demod.baselines.estimate import Estimate, check_subspaces, check_values, subspace_estimate
from demod.torch_state import in_full_precision

PENALTIES = {"l2": cp.sum_squares, "l1": cp.norm1}
DEGREE = {"l2": 2, "l1": 1}  # P(c z) = c^degree P(z)


@in_full_precision
def solve(
    B: Tensor,
    C: Tensor,
    y: Tensor,
    signs: Tensor,
    penalty: Literal["l2", "l1"] = "l2",
    *,
    slack_weight: float | None = None,
) -> Estimate:
    """Recover h and m, up to scaling, from y = B h ⊙ C m and the signs of B h.

    Parameters
    ----------
    B, C, y : Tensor
        Shapes (ℓ, n), (ℓ, p), (ℓ,).
    signs : Tensor
        t, entries ±1, shape (ℓ,).
    penalty : "l2" or "l1"
        P: squared Euclidean norms, or ℓ1 norms for sparse h and m.
    slack_weight : float, optional
        λ > 0; None allows no slack.

    Returns
    -------
    Estimate
        objective is P(h) + P(m) (+ λ‖ξ‖₁) before h and m are scaled to ‖h‖ = ‖m‖.

    Raises
    ------
    ValueError
        If the shapes do not fit, an entry is not finite, y is zero, signs are not ±1, the penalty is not known, λ is not
        positive, or no (h, m) satisfies the constraints.
    """
    check_subspaces(B, C, y)
    check_values(signs=signs, y=y)
    B, C, y = B.detach(), C.detach(), y.detach()
    if signs.shape != y.shape or not (signs.abs() == 1).all():
        raise ValueError(
            f"signs has shape {tuple(signs.shape)}; required are {tuple(y.shape)} entries ±1, the signs of B h: "
            "BranchHull needs them. Where they are not known, use lifted, power_factorization or bilinear_gradient."
        )
    if penalty not in PENALTIES:
        raise ValueError(f"penalty is {penalty!r}; required is one of {', '.join(PENALTIES)}.")
    if slack_weight is not None and not slack_weight > 0:
        raise ValueError(f"slack_weight is {slack_weight}; required is λ > 0, or None for constraints without slack.")
    P = PENALTIES[penalty]
    (B_, b), (C_, c), (y_, scale) = (unit_scale(value) for value in (B, C, y))
    t, unit = signs.numpy(force=True), (scale / (b * c)) ** 0.5  # h and m are counted in this unit
    h, m, xi = cp.Variable(B.shape[1]), cp.Variable(C.shape[1]), cp.Variable(len(y))
    cost, x = P(h) + P(m), C_ @ m
    if slack_weight is not None:
        cost, x = cost + slack_weight * c * unit ** (1 - DEGREE[penalty]) * cp.norm1(xi), x + xi
    u, v = cp.multiply(t, B_ @ h), cp.multiply(np.where(y_ < 0, -t, t), x)
    problem = cp.Problem(cp.Minimize(cost), [cp.SOC(u + v, cp.vstack([2 * np.sqrt(abs(y_)), u - v]))])
    converged, iterations = minimise(problem, "CLARABEL")
    codes = (unit * torch.from_numpy(z.value).to(y) for z in (h, m))
    objective = unit ** DEGREE[penalty] * problem.value
    return subspace_estimate(B, C, *codes, objective=objective, converged=converged, iterations=iterations, signs_known=True)
