"""PhaseMax: phase retrieval as a linear program [Bahmani and Romberg, 2016; Goldstein and Studer, 2016].

It is the self-modulated case w = x = C m of demodulation, y = (C m)². The slabs |c_iᵀ m| ≤ √y_i hold m0 and -m0; they are
relaxed from equality, and of all points in them the one that reaches farthest along an anchor φ is taken,

    maximise ⟨φ, m⟩    subject to  |c_iᵀ m| ≤ √y_i,  i = 1, …, ℓ.

The anchor must already make an acute angle with m0. For Gaussian C, m0 is recovered once ℓ exceeds p by a factor that grows
as that angle approaches π/2. Of ±m the answer has ⟨φ, m⟩ ≥ 0.

References
----------
S. Bahmani, J. Romberg. Phase retrieval meets statistical learning theory: a flexible convex relaxation. 2016.
T. Goldstein, C. Studer. PhaseMax: convex phase retrieval via basis pursuit. 2016.
"""

import numpy as np
import torch
from scipy.optimize import linprog
from torch import Tensor

from demod.baselines.estimate import Estimate, check_subspaces, check_values, scalars
from demod.torch_state import in_full_precision

UNBOUNDED = 3  # the status of linprog


@in_full_precision
def spectral_anchor(C: Tensor, y: Tensor) -> Tensor:
    """Return the leading eigenvector of Cᵀ diag(y) C, shape (p,), unit length: an anchor from the data alone."""
    return torch.linalg.eigh((C * y[:, None]).mT @ C).eigenvectors[:, -1]


@in_full_precision
def solve(C: Tensor, y: Tensor, anchor: Tensor) -> Estimate:
    """Recover m, up to its sign, from y = (C m)².

    Parameters
    ----------
    C, y : Tensor
        Shapes (ℓ, p) and (ℓ,), y not negative.
    anchor : Tensor
        φ, shape (p,); `spectral_anchor` makes one.

    Returns
    -------
    Estimate
        signal and modulator are both C m, h and m both m; objective is ⟨φ, m⟩.

    Raises
    ------
    ValueError
        If the shapes do not fit, an entry is not finite, y is zero or has negative entries, or the slabs do not bound
        ⟨φ, m⟩, as for ℓ < p.
    """
    check_subspaces(C, C, y)
    check_values(anchor=anchor, y=y)
    if anchor.shape != C.shape[1:]:
        raise ValueError(
            f"anchor has shape {tuple(anchor.shape)}; required is ({C.shape[1]},), a guess of m: use spectral_anchor(C, y)."
        )
    if (y < 0).any():
        raise ValueError(
            f"y has {int((y < 0).sum())} negative entries, but a square (C m)² has none; clip noise with y.clamp(min=0), "
            "and use another method where the two factors differ."
        )
    C, y = C.detach(), y.detach()
    C_, b, phi = (value.numpy(force=True) for value in (C, y.sqrt(), anchor))
    result = linprog(-phi, A_ub=np.vstack([C_, -C_]), b_ub=np.concatenate([b, b]), bounds=(None, None), method="highs")
    if result.status == UNBOUNDED:
        raise ValueError(
            f"The {len(y)} slabs do not bound ⟨anchor, m⟩ in R^{C.shape[1]}; give ℓ ≥ p observations with independent rows."
        )
    m = torch.from_numpy(result.x).to(y)
    return Estimate(C @ m, C @ m, m, m, **scalars(y, -result.fun, result.success, result.nit))
