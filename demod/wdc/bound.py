"""An upper bound on the constant of the WDC for any number of columns, with guarantee, by branch and bound.

(5) depends on directions only, so x and y may run over the faces of the cube [-1, 1]ⁿ. On a box with centre c and
half-widths r the product w·x lies in the interval w·c ± Σ_j |w_j| r_j. So a row is certainly active, certainly not,
or possibly active. For x and y in a pair of boxes, with A_lo the Gram matrix of the rows that are certainly active in
both and A_hi of those that possibly are,

    A_lo ⪯ Σ_i 1{w_i·x > 0} 1{w_i·y > 0} w_i w_iᵀ ⪯ A_hi,        ‖Q_{x,y} - Q_{c,c'}‖ ≤ (δ + δ')/π,

if δ and δ' bound the angles between the centres c, c' and the points of their boxes. Hence the norm of (5) is at most

    max( λ_max(A_hi - α Q_{c,c'}), -λ_min(A_lo - α Q_{c,c'}) ) + α (δ + δ')/π.

**Q is Lipschitz with the constant 1/π in the angle of either argument, and no smaller one.** Let y = cos θ x + sin θ
e with unit vectors x ⟂ e. From the closed form sin θ M = [xyᵀ + yxᵀ - cos θ (xxᵀ + yyᵀ)]/sin θ, moving x towards a
unit vector τ ⟂ x changes Q at the rate

    2π Q' = (τ·e) (I - xxᵀ - eeᵀ) + τeᵀ + eτᵀ.

With τ = cos ω e + sin ω z, z ⟂ x, e, its eigenvalues are 0, cos ω (n - 3 times) and those of [[2 cos ω, sin ω], [sin
ω, cos ω]] on span(e, z), (3 cos ω ± √(4 - 3 cos² ω))/2: none exceeds 2 in size, and 2 is attained for τ = e, where x
moves straight towards y.

Pairs whose bound is close to the best known value are closed, the others split, those with the largest bounds first.
At any time the largest bound of all open and closed pairs is a guarantee; as the boxes shrink only true cells remain,
and it falls to the supremum.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from demod.arguments import check_alpha, check_counts, check_positive, check_stream
from demod.expectation import expected_gram
from demod.torch_state import in_full_precision
from demod.wdc.residuals import BLOCK, WDCBound, check_matrix, weighted_gram
from demod.wdc.search import estimate_wdc

SLACK = 1e-12  # relative: covers the rounding of interval and eigenvalues


@dataclass(frozen=True)
class WDCBracket:
    """Two numbers between which the constant of the WDC lies.

    lower : the best value met, with its witness
    upper : no pair of codes has a larger residual
    evaluations : pairs of boxes that were bounded
    """

    lower: WDCBound
    upper: float
    evaluations: int


@dataclass(frozen=True)
class Pairs:
    """Pairs of boxes, with an upper bound on (5) for each.

    x, y : lowest and highest corners, (N, 2, n) each
    twin : whether both are the same box, (N,)
    bound : (N,)
    """

    x: Tensor
    y: Tensor
    twin: Tensor
    bound: Tensor

    def __len__(self) -> int:
        """Return N."""
        return len(self.bound)

    def __getitem__(self, k: Tensor) -> "Pairs":
        """Return the pairs of a mask or of indices."""
        return Pairs(self.x[k], self.y[k], self.twin[k], self.bound[k])

    def join(self, other: "Pairs") -> "Pairs":
        """Return both lists as one."""
        parts = ((self.x, other.x), (self.y, other.y), (self.twin, other.twin), (self.bound, other.bound))
        return Pairs(*(torch.cat(part) for part in parts))


@in_full_precision
@torch.no_grad()
def bound_wdc(
    W: Tensor,
    rng: torch.Generator,
    *,
    alpha: float = 1.0,
    gap: float = 0.1,
    evaluations: int = 200_000,
) -> WDCBracket:
    """Return an interval that certainly holds the smallest ε with which W satisfies (5).

    The work for a given gap grows exponentially with n; when it is cut off the upper bound is still valid, only less
    sharp.

    Parameters
    ----------
    W : Tensor
        Shape (ℓ, n), n ≥ 2.
    rng : torch.Generator
        On the CPU; for the search that finds the lower bound. The upper bound draws nothing.
    alpha : float
        α, the multiple of Q.
    gap : float
        Stop when upper ≤ (1 + gap) · lower.
    evaluations : int
        Stop after about so many pairs of boxes; each costs O(ℓ n² + n³).

    Raises
    ------
    ValueError
        If W is not a matrix with two columns or more, α is not in (0, 1], the gap is not positive or there are no
        evaluations.
    """
    check_matrix("W", W)
    if W.shape[-1] < 2:
        raise ValueError(
            f"W has {W.shape[-1]} columns, but two or more are required; with one, codes are ±1: see wdc_residual."
        )
    check_stream(rng)
    alpha = check_alpha(alpha)
    check_positive(gap=gap)
    check_counts(evaluations=evaluations)
    lower = estimate_wdc(W, rng, alpha=alpha)
    target = (1 + gap) * lower.value
    open_pairs = _bounded(W, _faces(W), alpha)
    spent, closed = len(open_pairs), lower.value
    while len(open_pairs) and spent < evaluations:
        split = torch.zeros_like(open_pairs.twin)
        split[open_pairs.bound.topk(min(len(open_pairs), max(1024, len(open_pairs) // 4))).indices] = True
        children = _bounded(W, _split(open_pairs[split]), alpha)
        spent += len(children)
        done = children.bound <= target
        closed = max(closed, children.bound[done].max().item() if done.any() else 0.0)
        open_pairs = open_pairs[~split].join(children[~done])
    upper = max(closed, open_pairs.bound.max().item() if len(open_pairs) else 0.0)
    return WDCBracket(lower, upper, spent)


def _faces(W: Tensor) -> Pairs:
    """Return all pairs of faces of the cube, (x, y) and (y, x) once."""
    n = W.shape[-1]
    faces = W.new_tensor([-1.0, 1.0])[:, None].repeat(2 * n, 1, n)
    for k in range(2 * n):
        faces[k, :, k // 2] = 2.0 * (k % 2) - 1
    i, j = torch.triu_indices(2 * n, 2 * n, device=W.device)
    return Pairs(faces[i], faces[j], i == j, W.new_full((len(i),), torch.inf))


def _split(pairs: Pairs) -> Pairs:
    """Return the pairs with the wider box of each cut in two; a twin becomes (a, a), (a, b) and (b, b)."""
    swap = ~pairs.twin & (_radius(pairs.y) > _radius(pairs.x))
    x = torch.where(swap[:, None, None], pairs.y, pairs.x)
    y = torch.where(swap[:, None, None], pairs.x, pairs.y)
    edge = (x[:, 1] - x[:, 0]).argmax(-1)
    rows, middle = torch.arange(len(x), device=x.device), x.mean(1)
    a, b = x.clone(), x.clone()
    a[rows, 1, edge] = b[rows, 0, edge] = middle[rows, edge]
    twin, one = pairs.twin, ~pairs.twin
    first = torch.cat([a[one], b[one], a[twin], a[twin], b[twin]])
    second = torch.cat([y[one], y[one], a[twin], b[twin], b[twin]])
    lone, pair = torch.zeros_like(twin[one]), torch.ones_like(twin[twin])
    bound = pairs.bound
    return Pairs(
        first,
        second,
        torch.cat([lone, lone, pair, ~pair, pair]),
        torch.cat([bound[one], bound[one], bound[twin], bound[twin], bound[twin]]),
    )


def _bounded(W: Tensor, pairs: Pairs, alpha: float) -> Pairs:
    """Return the pairs with their upper bounds; those of the pairs they come from hold as well."""
    blocks = torch.arange(len(pairs), device=W.device).split(max(1, BLOCK // (4 * len(W))))
    bound = torch.cat([_upper(W, pairs.x[block], pairs.y[block], alpha) for block in blocks])
    return replace(pairs, bound=bound.minimum(pairs.bound))


def _upper(W: Tensor, x: Tensor, y: Tensor, alpha: float) -> Tensor:
    """Return an upper bound on the norm of (5) over each pair of boxes, shape (N,)."""
    surely_x, maybe_x = _activity(W, x)
    surely_y, maybe_y = _activity(W, y)
    Q = alpha * expected_gram(x.mean(1), y.mean(1))
    highest = torch.linalg.eigvalsh(weighted_gram(W, maybe_x * maybe_y) - Q)[:, -1]
    lowest = torch.linalg.eigvalsh(weighted_gram(W, surely_x * surely_y) - Q)[:, 0]
    slack = SLACK * (alpha + W.square().sum())
    return highest.maximum(-lowest) + alpha / torch.pi * (_radius(x) + _radius(y)) + slack


def _activity(W: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
    """Return as numbers which rows are active on the whole box and which possibly somewhere, shapes (N, ℓ)."""
    centre, reach = box.mean(1) @ W.mT, (box[:, 1] - box[:, 0]) / 2 @ W.abs().mT
    reach = reach + SLACK * W.abs().sum(-1)
    return (centre > reach).to(W), (centre > -reach).to(W)


def _radius(box: Tensor) -> Tensor:
    """Return a bound on the angle between the centre and any point of a box on a face of the cube, shape (N,).

    The line through a point u of the box passes the centre c at the distance ‖c‖ sin ∠(u, c) ≤ ‖u - c‖; on a face the
    angle is below π/2.
    """
    centre, half = box.mean(1), (box[:, 1] - box[:, 0]) / 2
    return (half.norm(dim=-1) / centre.norm(dim=-1)).clamp(max=1).arcsin()
