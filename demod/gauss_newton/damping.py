"""The damped Gauss–Newton step, and how the damping of each problem follows from what its last step achieved.

    (JᵀJ + λ D + d̄ u uᵀ) δ = Jᵀr,        λ = μ · 2f/‖y‖²

D holds d̄_h, the mean of the diagonal of JᵀJ over h, n times, and then d̄_m p times. u is the unit vector along (h, -m), where
both generators are homogeneous, else zero: along the hyperbola the product is constant, J u = 0 = uᵀJᵀr, so that its term
makes the matrix regular and does not touch the step. λ vanishes with f, so that the steps near a solution are those of
Newton. After a step that lowers f, μ ← μ/4; after another one μ ← ν μ and ν ← 2ν, from ν = 4 on.
"""

import torch
from torch import Tensor

MU = 1.0
EASED, RAISED = 4.0, 4.0


class Damping:
    """The factors μ and ν of B problems."""

    def __init__(self, f: Tensor) -> None:
        self.mu, self.nu = torch.full_like(f, MU), torch.full_like(f, RAISED)

    def note(self, better: Tensor) -> None:
        """Take note of which steps lowered f, (B,)."""
        self.mu = torch.where(better, self.mu / EASED, self.mu * self.nu)
        self.nu = torch.where(better, RAISED, 2 * self.nu)

    def keep(self, rows: Tensor) -> None:
        """Go on with the problems where `rows` (B,) is true."""
        self.mu, self.nu = self.mu[rows], self.nu[rows]


def step(gram: Tensor, slope: Tensor, lam: Tensor, z: Tensor, n: int, *, gauge: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Return δ (B, n + p), by how much the linear model falls along it (B,), and whether the matrix was regular (B,).

    gram : JᵀJ, (B, n + p, n + p)
    slope : Jᵀr, (B, n + p)
    lam : λ, (B,)
    z : (h, m), (B, n + p), h with n entries
    """
    diagonal = gram.diagonal(dim1=-2, dim2=-1)
    means = [part.mean(-1, keepdim=True).expand_as(part) for part in (diagonal[:, :n], diagonal[:, n:])]
    D = torch.cat(means, 1)
    D = torch.where(D > 0, D, 1.0)
    floor = 8 * torch.finfo(z.dtype).eps
    damping = lam.clamp(min=floor)[:, None] * D
    matrix = gram + torch.diag_embed(damping)
    if gauge:
        u = torch.cat([z[:, :n], -z[:, n:]], 1)
        u = torch.nn.functional.normalize(u, dim=1) * D.mean(1, keepdim=True).sqrt()
        matrix.baddbmm_(u[:, :, None], u[:, None])
    factor, failed = torch.linalg.cholesky_ex(matrix)
    delta = torch.cholesky_solve(slope[..., None], factor)[..., 0]
    regular = (failed == 0) & delta.isfinite().all(1)
    delta = torch.where(regular[:, None], delta, 0.0)
    return delta, (delta * (damping * delta + slope)).sum(1) / 2, regular
