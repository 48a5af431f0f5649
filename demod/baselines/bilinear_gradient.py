"""Regularised gradient descent in h and m from a spectral start [Li, Ling, Strohmer and Wei, 2016], a Wirtinger flow.

With the columns of B scaled to unit length and the entries of C to unit variance, on average, the program is

    F(h, m) = ½ ‖B h ⊙ C m - y‖² + ½ d² [ q(‖h‖²/(2 d)) + q(‖m‖²/(2 d)) + Σ_i q(ℓ (b_iᵀ h)²/(8 d μ²)) ],
    q(t) = max(t - 1, 0)²,

d the leading singular value of Bᵀ diag(y) C, which is h0 m0ᵀ in expectation for Gaussian C. The first penalties keep both
norms near √d; the last, which is left out where no μ is given, keeps w = B h incoherent, no entry far above μ times its root
mean square. The start is √d times the leading singular vectors, that of h projected onto {|b_iᵀ h| ≤ 2 μ √(d/ℓ) for all i}.
Both codes then step at once, as far as a backtracking line search allows. For partial Fourier B and Gaussian C this recovers
h mᵀ for ℓ of the order of n + p, up to logarithms and to the coherence of w.

References
----------
X. Li, S. Ling, T. Strohmer, K. Wei. Rapid, robust, and reliable blind deconvolution via nonconvex optimization. 2016.
E. J. Candès, X. Li, M. Soltanolkotabi. Phase retrieval via Wirtinger flow: theory and algorithms. IEEE Transactions on
Information Theory 61(4), 2015.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

from demod.arguments import check_stream
from demod.baselines.estimate import Estimate, check_subspaces, check_values, subspace_estimate
from demod.baselines.starts import check_budget
from demod.torch_state import in_full_precision

DECREASE = 0.1  # a step must lower F by this part of what the gradient promises
GROW, SHRINK = 2.0, 0.5  # the step size between iterations, and after a step that was too long
SMALLEST = 1e-20  # the step size, relative to the first, at which the descent ends


@in_full_precision
def solve(
    B: Tensor,
    C: Tensor,
    y: Tensor,
    *,
    incoherence: float | None = None,
    start: tuple[Tensor, Tensor] | None = None,
    iterations: int = 2000,
    tolerance: float = 1e-10,
) -> Estimate:
    """Recover h and m, up to scaling, from y = B h ⊙ C m.

    Parameters
    ----------
    B, C, y : Tensor
        Shapes (ℓ, n), (ℓ, p), (ℓ,).
    incoherence : float, optional
        μ > 0; None leaves out its penalty and the projection.
    start : (Tensor, Tensor), optional
        h and m to start from, shapes (n,) and (p,), as `random_start` draws them; None is the spectral start.
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
    if incoherence is not None and not incoherence > 0:
        raise ValueError(f"incoherence is {incoherence}; required is μ > 0, or None for no penalty.")
    if start is not None:
        _check_start(B, C, start)
    B, C = B.detach(), C.detach()
    program = normalised(B, C, y.detach(), incoherence)
    h, m = spectral_start(program) if start is None else (code.detach() for code in start)
    w, x = program.B @ h, program.C @ m
    step = first = 1 / sum(torch.linalg.matrix_norm(A, 2).square() for A in (x[:, None] * program.B, w[:, None] * program.C))
    F, g_h, g_m = program.gradient(h, m)
    for spent in range(iterations + 1):
        converged = bool(program.residual(h, m).norm() <= tolerance * program.y.norm())
        if converged or spent == iterations or step < SMALLEST * first:
            break
        there = program.gradient(h - step * g_h, m - step * g_m)
        if there[0] <= F - DECREASE * step * (g_h.square().sum() + g_m.square().sum()):
            h, m = h - step * g_h, m - step * g_m
            (F, g_h, g_m), step = there, GROW * step
        else:
            step = SHRINK * step
    return subspace_estimate(B, C, h, m, objective=F.item(), converged=converged, iterations=spent)


@dataclass(frozen=True)
class Program:
    """The program of the module: B (ℓ, n), C (ℓ, p) and y (ℓ,) in its units, d, and 4 μ² d/ℓ or None."""

    B: Tensor
    C: Tensor
    y: Tensor
    d: Tensor
    peak: Tensor | None

    def residual(self, h: Tensor, m: Tensor) -> Tensor:
        """Return B h ⊙ C m - y, shape (ℓ,)."""
        return self.B @ h * (self.C @ m) - self.y

    def gradient(self, h: Tensor, m: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return F, ∇_h F and ∇_m F, shapes (), (n,) and (p,)."""
        w, r = self.B @ h, self.residual(h, m)
        over = [(code.square().sum() / (2 * self.d) - 1).clamp(min=0) for code in (h, m)]
        peaks = torch.zeros_like(w) if self.peak is None else (w.square() / (2 * self.peak) - 1).clamp(min=0)
        penalty = over[0].square() + over[1].square() + peaks.square().sum()
        pull = self.C @ m * r if self.peak is None else self.C @ m * r + self.d.square() / self.peak * peaks * w
        g_h = self.B.mT @ pull + self.d * over[0] * h
        g_m = self.C.mT @ (w * r) + self.d * over[1] * m
        return (r.square().sum() + self.d.square() * penalty) / 2, g_h, g_m


def normalised(B: Tensor, C: Tensor, y: Tensor, incoherence: float | None = None) -> Program:
    """Return the program for y = B h ⊙ C m with the columns of B of unit length and C of unit variance, on average."""
    b, c = B.square().sum(0).mean().sqrt(), C.square().mean().sqrt()
    B, C, y = B / b, C / c, y / (b * c)
    d = torch.linalg.matrix_norm((B * y[:, None]).mT @ C, 2)
    return Program(B, C, y, d, None if incoherence is None else 4 * incoherence**2 * d / len(y))


def spectral_start(program: Program) -> tuple[Tensor, Tensor]:
    """Return √d times the leading singular vectors of Bᵀ diag(y) C, shapes (n,) and (p,), that of h projected."""
    U, d, Vh = torch.linalg.svd((program.B * program.y[:, None]).mT @ program.C, full_matrices=False)
    h = d[0].sqrt() * U[:, 0]
    return h if program.peak is None else projected(h, program.B, program.peak.sqrt()), d[0].sqrt() * Vh[0]


@in_full_precision
def random_start(B: Tensor, C: Tensor, y: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return codes of the length of the spectral start, shapes (n,) and (p,), in random directions."""
    check_subspaces(B, C, y)
    check_stream(rng)
    length = normalised(B, C, y).d.sqrt()
    codes = (torch.randn(A.shape[1], generator=rng, dtype=torch.float64, device="cpu").to(y) for A in (B, C))
    h, m = (length * code / code.norm() for code in codes)
    return h, m


def projected(h: Tensor, B: Tensor, peak: Tensor) -> Tensor:
    """Return the point closest to h (n,) at which no |b_iᵀ h| exceeds `peak`, a least distance by Lawson and Hanson."""
    w = (B @ h / peak).numpy(force=True)
    if (abs(w) <= 1).all():
        return h
    A = (B / peak).numpy(force=True)
    # least ‖u‖ with G u ≥ g for G = (-A, A) and g = (w - 1, -w - 1): from the least squares residual of (Gᵀ; gᵀ) v ≈ (0; 1)
    system = np.vstack([np.hstack([-A.T, A.T]), np.hstack([w - 1, -w - 1])])
    target = np.eye(len(system))[-1]
    residual = system @ nnls(system, target)[0] - target
    return h - torch.from_numpy(residual[:-1] / residual[-1]).to(h)


def _check_start(B: Tensor, C: Tensor, start: tuple[Tensor, Tensor]) -> None:
    for name, code, matrix in (("start[0]", start[0], B), ("start[1]", start[1], C)):
        check_values(**{name: code, "B": B})
        if code.shape != matrix.shape[1:] or not code.any():
            raise ValueError(
                f"{name} has shape {tuple(code.shape)}; required are ({matrix.shape[1]},) entries that are not all zero: "
                "random_start draws a start, None is the spectral one."
            )
