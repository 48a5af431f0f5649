"""A lower bound on the constant of the joint-WDC, by the same search over great circles.

In (6) the codes h and x switch rows on and off, as in (5), with the weights ω_i. The codes m and y enter the weights:
with a unit vector u and r_i = ℓ 1{b_i·h > 0} 1{b_i·x > 0} (b_i·u)² relu(c_i·ŷ) the Rayleigh quotient along a great
circle m(t) is

    σ [ Σ_i r_i relu(c_i·m(t)) - α E(m(t), y) uᵀQ_{h,x}u ],

where relu(c_i·m(t)) is a sinusoid on a half circle and zero on the other: two cumulative sums give the Rayleigh
quotient at all switches and between them. On opposite codes E(-m, y) = E(m, y) - cos ∠(m, y)/2. (7) is (6) with the
roles exchanged.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from demod.arguments import check_alpha, check_counts, check_stream
from demod.expectation import expected_cosine, expected_gram
from demod.torch_state import in_full_precision
from demod.wdc.residuals import active_rows, check_last_layers, expected_energy, joint_matrix, joint_weights
from demod.wdc.search import climb, directions, gaps, go_to, in_blocks, inner, move_mask, random_codes, switches


@dataclass(frozen=True)
class JointWDCBound:
    """A value that a residual of the joint-WDC takes, and where: a certified lower bound on its ε.

    value : the spectral norm of (6) times ℓ/(‖m‖‖y‖) or of (7) times ℓ/(‖h‖‖x‖), a float
    equation : 6 or 7
    h, x : unit codes, (n,) each
    m, y : unit codes, (p,) each
    """

    value: float
    equation: int
    h: Tensor
    x: Tensor
    m: Tensor
    y: Tensor


@in_full_precision
@torch.no_grad()
def estimate_joint_wdc(
    B: Tensor,
    C: Tensor,
    rng: torch.Generator,
    *,
    alpha: float = 1.0,
    starts: int = 32,
    circles: int = 4,
    rounds: int = 12,
) -> JointWDCBound:
    """Return a lower bound on the smallest ε with which B and C satisfy (6) and (7), with the codes that attain it.

    Parameters
    ----------
    B, C : Tensor
        Shapes (ℓ, n) and (ℓ, p).
    rng : torch.Generator
        On the CPU; draws starts and circles.
    alpha : float
        α = α₁α₂, the multiple of the expectation.
    starts : int
        Quadruples to start from, for each equation, each the best of 32 random ones; half of them have h = x and m = y.
    circles, rounds : int
        As in `estimate_wdc`, with moves of all four codes.

    Raises
    ------
    ValueError
        If B or C is not a matrix, they differ in ℓ, α is not in (0, 1], or a count is not positive.
    """
    alpha = check_alpha(alpha)
    check_last_layers(B, C)
    check_stream(rng)
    check_counts(starts=starts, circles=circles, rounds=rounds)
    sixth, (h, x, m, y) = _climb(B, C, rng, alpha=alpha, starts=starts, circles=circles, rounds=rounds)
    seventh, (m7, y7, h7, x7) = _climb(C, B, rng, alpha=alpha, starts=starts, circles=circles, rounds=rounds)
    return JointWDCBound(sixth, 6, h, x, m, y) if sixth >= seventh else JointWDCBound(seventh, 7, h7, x7, m7, y7)


def _climb(
    B: Tensor, C: Tensor, rng: torch.Generator, *, alpha: float, starts: int, circles: int, rounds: int
) -> tuple[float, tuple[Tensor, ...]]:
    """Return the largest value of (6) that the search meets, with (h, x, m, y)."""

    def draw() -> tuple[Tensor, ...]:
        h, x = random_codes(B, rng, 2, starts)
        m, y = random_codes(C, rng, 2, starts)
        x[::2], y[::2] = h[::2], m[::2]
        return h, x, m, y

    def move(k: int, codes: tuple[Tensor, ...], u: Tensor, sigma: Tensor) -> Tensor:
        h, x, m, y = codes
        if k < 2:
            weights = active_rows(B, codes[1 - k]) * joint_weights(C, m, y)
            z = directions(codes[k], (u, codes[1 - k]), circles, rng)
            return move_mask(B, codes[k], z, codes[1 - k], weights, u, sigma, alpha * expected_energy(m, y))
        weights = len(B) * active_rows(B, h) * active_rows(B, x) * (u @ B.mT).square()
        form = ((expected_gram(h, x) @ u[..., None]).squeeze(-1) * u).sum(-1)
        z = directions(codes[k], (codes[5 - k],), circles, rng)
        return _move_weight(C, codes[k], z, codes[5 - k], weights, sigma, alpha * form)

    return climb(draw, lambda h, x, m, y: joint_matrix(B, C, h, x, m, y, alpha), move, rounds)


def _move_weight(C: Tensor, m: Tensor, z: Tensor, y: Tensor, weights: Tensor, sigma: Tensor, scale: Tensor) -> Tensor:
    """Return m (S, p) moved to where σ [Σ_i weights_i relu(c_i·m) relu(c_i·y) - scale · E(m, y)] is largest.

    The circles go through m and z (S, circles, p).
    """
    return in_blocks(_best_weight, C, z.shape[1], m, z, y, weights * (y @ C.mT).relu(), sigma, scale)


def _best_weight(C: Tensor, m: Tensor, z: Tensor, y: Tensor, r: Tensor, sigma: Tensor, scale: Tensor) -> Tensor:
    """Return m (S, p) at the best switch of the circles through m and z (S, circles, p), or in the middle of an arc."""
    p, q = (m @ C.mT)[:, None], z @ C.mT
    tau, order = switches(p, q)
    enters = torch.where(p > 0, -r[:, None], r[:, None])
    active = r[:, None] * (p > 0)
    P = (active * p).sum(-1, keepdim=True) + (enters * p).expand_as(order).gather(-1, order).cumsum(-1)
    R = (active * q).sum(-1, keepdim=True) + (enters * q).gather(-1, order).cumsum(-1)
    P_all, R_all = (r[:, None] * p).sum(-1, keepdim=True), (r[:, None] * q).sum(-1, keepdim=True)
    t = torch.stack([tau, tau + gaps(tau)[0] / 2], 1)
    near = P[:, None] * t.cos() + R[:, None] * t.sin()
    far = near - P_all[:, None] * t.cos() - R_all[:, None] * t.sin()
    cosine = torch.stack([inner(m, z, y, angles) for angles in t.unbind(1)], 1).clamp(-1, 1)
    energy = expected_cosine(cosine.arccos(), 1) / 2
    sigma, scale = sigma[:, None, None, None], scale[:, None, None, None]
    values = torch.cat([sigma * (near - scale * energy), sigma * (far - scale * (energy - cosine / 2))], 1)
    return go_to(values, torch.cat([t, t], 1), m, z)
