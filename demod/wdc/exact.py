"""The constant of the WDC for two columns, exactly.

In R² write x at the angle φ, y at ψ, θ = ∠(x, y) and k = α/(2π). A symmetric 2 × 2 matrix is a I + [[p, q], [q, -p]],
its spectral norm |a| + |v| with v = p + iq. Row i, at the angle β_i, has a = ‖w_i‖²/2 and v = a e^{2iβ_i}; Q has v =
sin θ e^{i(φ+ψ)}/(2π). The residual of (5) is therefore, for a and v of the rows that are active at x and at y,

    F(φ, ψ) = |a - k (π - θ)| + |v - k z|,        z = sin θ e^{i(φ+ψ)} = (e^{2iψ} - e^{2iφ})/(2i)  where ψ - φ = θ.

A row switches where x or y is orthogonal to it: at two opposite angles. Between these angles, on a cell (an arc of x
times an arc of y), a and v are constant.

**The supremum of F over a cell is its limit at a corner.** Fix ψ and let φ move away from it. Then θ rises at the
rate 1, and the first term, convex in θ, changes at the rate -k before its kink and +k after it. k z moves on a circle
of radius k/2 at the angular speed 2, so at the speed k, and the second term changes at most at the rate k. Hence F
does not rise before the kink and does not fall after it: F is quasi-convex in φ, and by symmetry in ψ, as long as θ
keeps away from 0 and π. So its supremum over a cell is at a corner. Only a cell of an arc with itself holds θ = 0;
there F = |a - α/2| + |v| on the whole diagonal, which ends in corners too. Only a cell of opposite arcs holds θ = π;
no row is active there, F = k (π - θ + sin θ) falls to 0.

Hence finitely many corners have to be compared, and no numerics happens inside a cell. With the rows sorted by angle,
those active in a cell are an interval: a and v are differences of cumulative sums.
"""

import torch
from torch import Tensor

from demod.arguments import check_alpha
from demod.torch_state import in_full_precision
from demod.wdc.residuals import BLOCK, WDCBound, check_matrix

MERGE = 1e-12  # radians: switching angles closer than this count as one
INSIDE = 1e-9  # radians: how far inside its cell a witness lies


@in_full_precision
@torch.no_grad()
def exact_wdc(W: Tensor, alpha: float = 1.0) -> WDCBound:
    """Return the supremum of (5) over all x and y for a matrix with two columns, up to rounding, in O(ℓ²) time.

    The supremum is a one-sided limit at a corner of a cell. The witness lies 1e-9 radians inside, so that its
    residual agrees with the value to about 1e-9. The temporary arrays hold about 45 · 2²¹ numbers, 0.8 GB, for any ℓ.

    Parameters
    ----------
    W : Tensor
        Shape (ℓ, 2). Zero rows (those that Theorem 2 truncates) are never active.
    alpha : float
        α, the multiple of Q.

    Raises
    ------
    ValueError
        If W does not have two columns, or α is not in (0, 1].
    """
    return supremum(W, check_alpha(alpha))


def supremum(W: Tensor, alpha: float) -> WDCBound:
    """Return what `exact_wdc` does, for any multiple α of Q."""
    check_matrix("W", W)
    if W.shape[-1] != 2:
        raise ValueError(f"W has {W.shape[-1]} columns, but cells are arcs only for 2; use estimate_wdc and bound_wdc.")
    arcs, sums = _arcs(W.double())
    best, where = -torch.inf, (0, 0, 0, 0)
    count = len(arcs) // 2
    for start in range(0, 2 * count, step := max(1, BLOCK // (count + 1))):
        i = torch.arange(start, min(start + step, 2 * count), device=W.device)
        F = _corners(arcs, sums, i, alpha)
        if F.max() > best:
            best = F.max().item()
            corner, row, offset = (int(k) for k in torch.unravel_index(F.argmax(), F.shape))
            where = (int(i[row]), (int(i[row]) + offset) % (2 * count), corner // 2, corner % 2)
    x, y = _inside(arcs, where[0], where[2]), _inside(arcs, where[1], where[3])
    return WDCBound(best, x.to(W), y.to(W))


def _arcs(W: Tensor) -> tuple[Tensor, Tensor]:
    """Return where the arcs of the circle begin, (2K,) ascending in [0, 2π), and sums over the active rows of each.

    sums (2K + 1, 6) holds cumulative sums of (a, Re v, Im v) over the rows sorted by angle, twice: those that end
    with the last row active on the arc, and those that end before the first one.
    """
    W = W[W.norm(dim=-1) > 0]
    beta = torch.atan2(W[:, 1], W[:, 0]) % (2 * torch.pi)
    beta, order = beta.sort()
    switch = ((beta + torch.pi / 2) % torch.pi).sort().values
    switch = switch[switch.diff(prepend=switch[-1:] - torch.pi) > MERGE] if len(W) else beta.new_zeros(1)
    arcs = torch.cat([switch, switch + torch.pi])
    a = W[order].square().sum(-1) / 2
    rows = torch.stack([a, a * (2 * beta).cos(), a * (2 * beta).sin()], -1)
    prefix = torch.cat([rows.new_zeros(1, 3), rows.repeat(4, 1).cumsum(0)])
    turns = torch.cat([beta + 2 * torch.pi * k for k in (-1, 0, 1, 2)])
    middle = (arcs + torch.cat([arcs[1:], arcs[:1] + 2 * torch.pi])) / 2
    ends = [prefix[torch.searchsorted(turns, middle + side * torch.pi / 2)] for side in (1, -1)]
    return arcs, torch.cat(ends, -1)


def _corners(arcs: Tensor, sums: Tensor, i: Tensor, alpha: float) -> Tensor:
    """Return F at the corners of the cells (i, i … i + K), shape (4, len(i), K + 1): first index 2 (end of x) + end of y."""
    count, k = len(arcs) // 2, alpha / (2 * torch.pi)
    unrolled = torch.cat([arcs, arcs + 2 * torch.pi])
    double = torch.stack([(2 * arcs).sin(), -(2 * arcs).cos()]) / 2  # e^{2iφ}/(2i)
    j = i[:, None] + torch.arange(count + 1, device=i.device)
    wrapped = j % (2 * count)
    turn = (j >= 2 * count)[..., None] * sums.new_tensor(1.0)
    total = (sums[0, :3] - sums[0, 3:]) + (sums[count, :3] - sums[count, 3:])  # each row is active on one of opposite arcs
    # y lies ahead of x: its first active row comes later, and the last row of x is the last of both
    gram = sums[i, None, :3] - sums[wrapped, 3:] - turn * total
    gram[:, -1] = 0  # opposite arcs
    a, p, q = gram.unbind(-1)
    F = []
    for r in (0, 1):
        for c in (0, 1):
            d = unrolled[j + c] - unrolled[i + r, None]
            theta = torch.pi - (torch.pi - d.abs()).abs()
            sign = torch.where((d >= 0) & (d <= torch.pi), torch.ones_like(d), -1.0)
            z = sign * (double[:, (j + c) % (2 * count)] - double[:, (i + r) % (2 * count), None])
            F.append((a - k * (torch.pi - theta)).abs() + torch.hypot(p - k * z[0], q - k * z[1]))
    return torch.stack(F)


def _inside(arcs: Tensor, i: int, end: int) -> Tensor:
    """Return the unit code INSIDE of the beginning (end = 0) or the end (1) of arc i, or in its middle if it is short."""
    low, high = arcs[i].item(), (arcs[i + 1].item() if i + 1 < len(arcs) else arcs[0].item() + 2 * torch.pi)
    step = min(INSIDE, (high - low) / 2)
    angle = torch.tensor(high - step if end else low + step, dtype=arcs.dtype, device=arcs.device)
    return torch.stack([angle.cos(), angle.sin()])
