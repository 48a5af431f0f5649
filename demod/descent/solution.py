"""What a descent returns, and how far it is from the truth and from the observation."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from demod.arguments import check_alike, check_pair, check_precision
from demod.descent.problem import check_not_zero
from demod.descent.units import code_unit, norm, unit_of


@dataclass(frozen=True)
class Solution:
    """What a method of recovery returns.

    h, m : latent codes, (*B, n) and (*B, p)
    signal, modulator : G1(h) and G2(m), (*B, ℓ)
    objective : f at the start and after each iteration, (iterations + 1, *B), constant once a problem is done; 0 or infinite
        where the type of y has no number so small or so large, although the descent itself knew better
    converged : whether √(2f)/‖y‖ reached the tolerance, (*B,)
    diverged : whether an iterate was no longer finite; such a problem returns its last finite iterate, (*B,)
    iterations : iterations spent on each problem, (*B,)

    To store one, write `demod.artifacts.save_tensors(path, solution.tensors(), {})`; `Solution(**tensors)` makes it again
    from what `load_tensors` reads.
    """

    h: Tensor
    m: Tensor
    signal: Tensor
    modulator: Tensor
    objective: Tensor
    converged: Tensor
    diverged: Tensor
    iterations: Tensor

    def tensors(self) -> dict[str, Tensor]:
        """Return the fields by their names."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def outer_product_error(h: Tensor, m: Tensor, h0: Tensor, m0: Tensor) -> Tensor:
    """Return ‖h mᵀ - h0 m0ᵀ‖ / ‖h0 m0ᵀ‖ (Frobenius), shape (*B,): zero exactly on the hyperbola of global minimisers."""
    check_pair("h", h, "h0", h0)
    check_pair("m", m, "m0", m0)
    check_alike(h=h, m=m)
    check_precision(h0=h0, m0=m0)
    if not (h0.any(-1).all() and m0.any(-1).all()):
        raise ValueError("h0 or m0 is zero for some problem, where no error is relative to it; leave such codes out.")
    of_h, of_m = unit_of(h0), unit_of(m0)
    h, h0, m, m0 = h / of_h, h0 / of_h, m / of_m, m0 / of_m
    planted = h0.norm(dim=-1) * m0.norm(dim=-1)
    difference = h[..., :, None] * m[..., None, :] - h0[..., :, None] * m0[..., None, :]
    return torch.linalg.matrix_norm(difference) / planted


def relative_residual(solution: Solution, y: Tensor) -> Tensor:
    """Return ‖signal ⊙ modulator - y‖ / ‖y‖, shape (*B,)."""
    check_pair("signal", solution.signal, "y", y)
    check_precision(y=y)
    check_not_zero(y)
    unit = code_unit(y)
    return norm((solution.signal / unit) * (solution.modulator / unit) - y / unit / unit) / norm(y / unit / unit)
