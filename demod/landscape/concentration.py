"""How far networks of finite width are from infinitely wide ones: f, its gradient, and G1(h0) brought back."""

from dataclasses import dataclass

import torch
from torch import Tensor

from demod.expectation import expected_gradient, expected_pullback, population_objective
from demod.generators import ReLUGenerator
from demod.landscape.pieces import check_pieces
from demod.objective import gradient, objective
from demod.torch_state import in_full_precision


@dataclass(frozen=True)
class Deviations:
    """Deviations at points (h, m), for planted codes (h0, m0), shape (*B,) each, dimensionless.

    gradient : ‖∇f - t‖/‖t‖, with t of (10) and (11)
    scaled : ‖∇f - t‖ in units of α/(2^{d+s} ℓ): those in which ∇f of unit codes is of the order 1, also where t vanishes
    pullback : ‖Λ_hᵀ G1(h0) - h̃‖/‖h̃‖
    objective : |f - f̄|/f̄
    """

    gradient: Tensor
    scaled: Tensor
    pullback: Tensor
    objective: Tensor


@in_full_precision
@torch.no_grad()
def deviations(G1: ReLUGenerator, G2: ReLUGenerator, h: Tensor, m: Tensor, h0: Tensor, m0: Tensor) -> Deviations:
    """Return how far f, ∇f and Λ_hᵀ G1(h0) are from their limits.

    Parameters
    ----------
    G1, G2 : ReLUGenerator
        Drawn by `gaussian`.
    h, m, h0, m0 : Tensor
        Nonzero codes, shapes (*B, n), (*B, p), (*B, n), (*B, p).

    Raises
    ------
    ValueError
        If a network has no α, because it was not drawn by `gaussian`: then it has no limit.
    """
    y0 = G1(h0) * G2(m0)
    check_pieces(G1, G2, h, m, y0)
    if G1.alpha is None or G2.alpha is None:
        raise ValueError("G1 or G2 has no alpha, so that no limit is known; draw them by gaussian, or give alpha=1.0.")
    d, s, ell, alpha = len(G1.weights), len(G2.weights), G1.widths[-1], G1.alpha * G2.alpha
    t = torch.cat(expected_gradient(h, m, h0, m0, d=d, s=s, ell=ell, alpha=alpha), -1)
    off = (torch.cat(gradient(G1, G2, h, m, y0), -1) - t).norm(dim=-1)
    f, f_bar = objective(G1, G2, h, m, y0), population_objective(h, m, h0, m0, d=d, s=s, ell=ell, alpha=alpha)
    back, h_tilde = G1.vjp(h)[1](G1(h0)), expected_pullback(h, h0, d)
    return Deviations(
        gradient=off / t.norm(dim=-1),
        scaled=off * 2 ** (d + s) * ell / alpha,
        pullback=(back - h_tilde).norm(dim=-1) / h_tilde.norm(dim=-1),
        objective=(f - f_bar).abs() / f_bar,
    )
