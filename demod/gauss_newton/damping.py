"""The damped Gauss–Newton step, and how the damping of each problem follows from what its last step achieved.

    (JᵀJ + λ D + a aᵀ) δ = Jᵀr,        λ = μ · 2f/‖y‖²,        a = D u / √(uᵀD u)

D is diagonal: over h it is the mean of the diagonal of JᵀJ there, and so over m. Thus a step does not depend on how the norm
of the product is shared between h and m.

Where both generators are homogeneous, the product is constant along u = (h, -m), the direction of the hyperbola, and JᵀJ is
singular: J u = 0. As uᵀJᵀr = 0, too, the step without a aᵀ is orthogonal to D u; so a aᵀ makes the matrix regular and leaves
the step as it is. For other generators u = 0.

λ vanishes with f, so that near a solution the steps become those of Newton, and the order of convergence is two. A step that
lowers f is taken, and μ ← μ/2; after another one μ ← ν μ and ν ← 2ν, from ν = 4 on.

Where a Jacobian costs far more than a value, several steps are tried with it, of 4^k μ for k = -1, 0, 1, say. The one with
the least f is taken, if it lowers f, and its 4^k μ is the next μ; otherwise the largest is multiplied by ν.
"""

import torch
from torch import Tensor

MU, NU = 0.3, 4.0  # at the start
EASED = 2.0  # what μ is divided by after a step that lowers f
SPREAD = 4.0  # between the μ that are tried beside each other


class Damping:
    """μ and ν of B problems, and the multiples of μ that are tried beside each other, as many as `tries`."""

    def __init__(self, f: Tensor, tries: int) -> None:
        self.mu, self.nu = torch.full_like(f, MU), torch.full_like(f, NU)
        self.multiples = [SPREAD ** (k - (tries - 1) / 2) for k in range(tries)]
        self.eased = EASED if tries == 1 else 1.0

    def note(self, better: Tensor, multiple: Tensor) -> None:
        """Note which steps lowered f, (B,), and of which multiple of μ the best of them was."""
        self.mu = torch.where(better, self.mu * multiple / self.eased, self.mu * (self.multiples[-1] * self.nu))
        self.nu = torch.where(better, NU, 2 * self.nu)

    def keep(self, rows: Tensor) -> None:
        """Go on with the problems where `rows` (B,) is true."""
        self.mu, self.nu = self.mu[rows], self.nu[rows]


def step(gram: Tensor, slope: Tensor, damping: Tensor, u: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Return δ (B, n + p), and by how much the linear model of the residual lowers f along it, (B,).

    Parameters
    ----------
    gram, slope : Tensor
        JᵀJ, (B, n + p, n + p), and Jᵀr, (B, n + p).
    damping : Tensor
        λ, (B,).
    u : Tensor
        The direction along which the product is constant, (B, n + p); or zero.
    n : int
        How many of the entries are those of h.

    Where the matrix is singular to within rounding all the same, δ is zero and the model falls by infinity: a larger λ is to
    be tried.
    """
    diagonal = gram.diagonal(dim1=-2, dim2=-1)
    D = torch.cat([part.mean(1, keepdim=True).expand_as(part) for part in (diagonal[:, :n], diagonal[:, n:])], 1)
    D = torch.where(D > 0, D, 1.0)  # a code that nothing depends on stays where it is
    damped = damping.clamp(min=8 * torch.finfo(gram.dtype).eps)[:, None] * D
    length = (D.sqrt() * u).norm(dim=1, keepdim=True)
    a = D * u / torch.where(length > 0, length, 1.0)
    factor, failed = torch.linalg.cholesky_ex((gram + torch.diag_embed(damped)).baddbmm_(a[:, :, None], a[:, None]))
    delta = torch.cholesky_solve(slope[..., None], factor)[..., 0]
    regular = (failed == 0) & delta.isfinite().all(1)
    delta = torch.where(regular[:, None], delta, 0.0)
    return delta, torch.where(regular, (delta * (damped * delta + slope)).sum(1) / 2, torch.inf)
