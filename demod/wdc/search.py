"""A lower bound on the constant of the WDC for any number of columns, by a search over great circles.

The active rows change only where a code is orthogonal to a row, so gradients say nothing. But along a great circle
x(t) = cos t x + sin t z everything is known. Let u be a unit vector and σ = ±1. The Rayleigh quotient of the residual
E of (5),

    σ uᵀE u = σ [ Σ_i 1{w_i·x(t) > 0} g_i - α uᵀQ u ],        g_i = 1{w_i·y > 0} (w_i·u)²,

is a lower bound on ‖E‖, and row i is active on a half circle: sorting ℓ angles and one cumulative sum give the
Rayleigh quotient at both one-sided limits of all 2ℓ switches of rows. With a = u·x, b = u·y and θ = ∠(x, y),

    uᵀQ u = (π - θ)/(2π) + [(a + b)² tan(θ/2) - (a - b)² cot(θ/2)]/(4π).

The switches of the second half of the circle are opposite to those of the first, and Q_{x,y} + Q_{-x,y} = I/2, so
half of the circle is enough. The search moves x to the best switch of several circles, takes the leading eigenvector
of the new E as u, and proceeds with y; ‖E‖ rises monotonically. Many starts run at once, and the better half goes on,
again and again.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from demod.arguments import check_alpha, check_counts, check_stream
from demod.torch_state import in_full_precision
from demod.wdc.residuals import BLOCK, WDCBound, active_rows, check_matrix, wdc_matrix

INSIDE = 1e-9  # radians: how far beyond a switch a code is put
SCREENED = 32  # a start is the best of so many random ones: one costs less than a tenth of a circle
MERGE = 1e-12  # radians: between switches closer than this no code is put


@in_full_precision
@torch.no_grad()
def estimate_wdc(
    W: Tensor,
    rng: torch.Generator,
    *,
    alpha: float = 1.0,
    starts: int = 64,
    circles: int = 4,
    rounds: int = 12,
) -> WDCBound:
    """Return a lower bound on the smallest ε with which W satisfies (5), with the pair that attains it.

    The temporary arrays hold at most about 45 · min(starts · circles · ℓ, 2²¹ + circles · ℓ) numbers, 0.8 GB for any ℓ below
    50,000.

    Parameters
    ----------
    W : Tensor
        Shape (ℓ, n).
    rng : torch.Generator
        On the CPU; draws starts and circles.
    alpha : float
        α, the multiple of Q.
    starts : int
        Pairs to start from, each the best of 32 random ones; half of them have x = y.
    circles : int
        Great circles through a code at each move.
    rounds : int
        Moves of x and of y before the worse half of the starts is dropped; the last one makes four times as many.

    Raises
    ------
    ValueError
        If W is not a matrix, α is not in (0, 1], or a count is not positive.
    """
    return search(W, rng, check_alpha(alpha), starts=starts, circles=circles, rounds=rounds)


def search(
    W: Tensor, rng: torch.Generator, alpha: float, *, starts: int = 64, circles: int = 4, rounds: int = 12
) -> WDCBound:
    """Return what `estimate_wdc` does, for any multiple α of Q."""
    check_matrix("W", W)
    check_stream(rng)
    check_counts(starts=starts, circles=circles, rounds=rounds)

    def draw() -> tuple[Tensor, ...]:
        x, y = random_codes(W, rng, 2, starts)
        y[::2] = x[::2]
        return x, y

    def move(k: int, codes: tuple[Tensor, ...], u: Tensor, sigma: Tensor) -> Tensor:
        moving, fixed = codes[k], codes[1 - k]
        z = directions(moving, (u, fixed), circles, rng)
        return move_mask(W, moving, z, fixed, active_rows(W, fixed), u, sigma, alpha)

    value, (x, y) = climb(draw, lambda x, y: wdc_matrix(W, x, y, alpha), move, rounds)
    return WDCBound(value, x, y)


def climb(
    draw: Callable[[], tuple[Tensor, ...]],
    matrix: Callable[..., Tensor],
    move: Callable[[int, tuple[Tensor, ...], Tensor, Tensor], Tensor],
    rounds: int,
) -> tuple[float, tuple[Tensor, ...]]:
    """Return the largest spectral norm of matrix(*codes) that was met, and the codes there.

    draw() returns random codes, (S, n) each, one row per start; matrix(*codes) is (S, N, N); move(k, codes, u, σ) proposes
    another k-th code for the leading eigenvectors u (S, N) and the signs σ (S,) of the eigenvalues.
    """
    state = _evaluated(matrix, draw())
    for _ in range(SCREENED - 1):
        state = _better(state, _evaluated(matrix, draw()))
    while True:
        starts = len(state[0])
        for _ in range(rounds if starts > 1 else 4 * rounds):
            for k in range(len(state) - 3):
                _, u, sigma, *codes = state
                moved = (*codes[:k], move(k, tuple(codes), u, sigma), *codes[k + 1 :])
                state = _better(state, _evaluated(matrix, moved))
        if starts == 1:
            return state[0].item(), tuple(z[0] for z in state[3:])
        best = state[0].topk(starts // 2).indices
        state = tuple(part[best] for part in state)


def move_mask(
    W: Tensor, x: Tensor, z: Tensor, y: Tensor, weights: Tensor, u: Tensor, sigma: Tensor, alpha: float | Tensor
) -> Tensor:
    """Return x (S, n) moved to where σ [Σ_i 1{w_i·x > 0} weights_i (w_i·u)² - α uᵀQ_{x,y}u] is largest on the circles.

    These go through x and z (S, circles, n). weights (S, ℓ) are those of the rows, zero where y switches them off; alpha is
    a float or (S,).
    """
    alpha = torch.as_tensor(alpha, dtype=x.dtype, device=x.device).expand(len(x))
    g = weights * (u @ W.mT).square()
    return in_blocks(_best_mask, W, z.shape[1], x, z, y, g, u, sigma, alpha)


def _best_mask(W: Tensor, x: Tensor, z: Tensor, y: Tensor, g: Tensor, u: Tensor, sigma: Tensor, alpha: Tensor) -> Tensor:
    """Return x (S, n) at the best switch of the circles through x and z (S, circles, n)."""
    p, q = (x @ W.mT)[:, None], z @ W.mT
    tau, order = switches(p, q)
    enters = torch.where(p > 0, -g[:, None], g[:, None]).expand_as(order).gather(-1, order)
    after = (g * (p[:, 0] > 0)).sum(-1)[:, None, None] + enters.cumsum(-1)
    before, total = after - enters, g.sum(-1)[:, None, None]
    form = quadratic_form(inner(x, z, y, tau), inner(x, z, u, tau), (u * y).sum(-1)[:, None, None])
    alpha, sigma = alpha[:, None, None], sigma[:, None, None]
    near, far = alpha * form, alpha * (0.5 - form)
    values = torch.stack([after - near, before - near, total - after - far, total - before - far], 1)
    forwards, backwards = gaps(tau)
    steps = torch.stack([_step(forwards), -_step(backwards)] * 2, 1)
    return go_to(sigma[:, None] * values, tau[:, None] + steps, x, z)


def _step(gap: Tensor) -> Tensor:
    """Return how far to go into an arc of length `gap`, NaN where it is too short."""
    return torch.where(gap > MERGE, (gap / 2).clamp(max=INSIDE), torch.nan)


def quadratic_form(cosine: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Return uᵀQ_{x,y}u of a unit vector u from cos ∠(x, y), a = u·x̂ and b = u·ŷ, broadcast against each other."""
    sine2, cosine2 = (1 - cosine).clamp(min=1e-32), (1 + cosine).clamp(min=1e-32)  # 2 sin² and 2 cos² of θ/2
    tangent = (sine2 / cosine2).sqrt()
    mirrored = ((a + b).square() * tangent - (a - b).square() / tangent) / 2
    return (torch.pi - 2 * tangent.atan() + mirrored) / (2 * torch.pi)


def switches(p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    """Return the angles in [0, π), ascending, where p cos t + q sin t changes its sign, and the rows that change it."""
    return ((torch.atan2(q, p) + torch.pi / 2) % torch.pi).sort(-1)


def inner(x: Tensor, z: Tensor, v: Tensor, t: Tensor) -> Tensor:
    """Return x(t)·v along circles, shape (S, circles, …), for x and v (S, n), z (S, circles, n) and t (S, circles, …)."""
    return (x * v).sum(-1)[:, None, None] * t.cos() + (z @ v[..., None]) * t.sin()


def gaps(tau: Tensor) -> tuple[Tensor, Tensor]:
    """Return the arcs from each switch of a half circle to the next one and to the one before, same shape."""
    forwards = torch.cat([tau, tau[..., :1] + torch.pi], -1).diff()
    return forwards, forwards.roll(1, -1)


def go_to(values: Tensor, t: Tensor, x: Tensor, z: Tensor) -> Tensor:
    """Return x (S, n) moved to the t with the largest value, of t and values (S, 4, circles, ℓ); NaN is no place to go.

    The last two of the four stand for the opposite codes, at t + π.
    """
    best = values.masked_fill(t.isnan(), -torch.inf).flatten(1).argmax(-1, keepdim=True)
    circle = best // t.shape[3] % t.shape[2]
    t = t.flatten(1).gather(-1, best) + torch.pi * (best >= t[0].numel() // 2).to(t)
    moved = t.cos() * x + t.sin() * z.take_along_dim(circle[..., None], 1).squeeze(1)
    return torch.where(t.isnan(), x, moved / moved.norm(dim=-1, keepdim=True))


def in_blocks(best: Callable[..., Tensor], W: Tensor, circles: int, *arguments: Tensor) -> Tensor:
    """Return best(W, *arguments) computed for so many starts at once as memory allows."""
    blocks = torch.arange(len(arguments[0]), device=W.device).split(max(1, BLOCK // (circles * len(W))))
    return torch.cat([best(W, *(argument[block] for argument in arguments)) for block in blocks])


def directions(x: Tensor, towards: tuple[Tensor, ...], circles: int, rng: torch.Generator) -> Tensor:
    """Return unit vectors orthogonal to x (S, n), shape (S, circles, n): first towards the given ones, the others random."""
    z = torch.randn(len(x), circles, x.shape[-1], generator=rng, dtype=torch.float64, device="cpu").to(x)
    for k, v in enumerate(towards[: circles - 1]):
        z[:, k] = v + 1e-6 * z[:, k]  # random where v is along x
    for _ in range(2):  # once more, as the first difference may cancel
        z = z - (z @ x[..., None]) * x[:, None]
    return z / z.norm(dim=-1, keepdim=True)


def leading(E: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the spectral norms (S,) of symmetric matrices, leading eigenvectors (S, n), signs of eigenvalues (S,)."""
    eigenvalues, vectors = torch.linalg.eigh(E)
    last = eigenvalues[:, -1] >= -eigenvalues[:, 0]
    value = torch.where(last, eigenvalues[:, -1], -eigenvalues[:, 0])
    return (
        value,
        torch.where(last[:, None], vectors[..., -1], vectors[..., 0]),
        2 * last.to(E) - 1,
    )


def _evaluated(matrix: Callable[..., Tensor], codes: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return (value, u, σ, *codes) for the matrices of the codes."""
    return *leading(matrix(*codes)), *codes


def _better(old: tuple[Tensor, ...], new: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Return, start by start, the state with the larger value, which stands first."""
    better = new[0] > old[0]
    return tuple(torch.where(better if a.ndim == 1 else better[:, None], b, a) for a, b in zip(old, new, strict=True))


def random_codes(W: Tensor, rng: torch.Generator, *shape: int) -> Tensor:
    """Return uniform unit codes for W, shape (*shape, n)."""
    z = torch.randn(*shape, W.shape[-1], generator=rng, dtype=torch.float64, device="cpu").to(W)
    return z / z.norm(dim=-1, keepdim=True)
