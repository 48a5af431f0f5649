"""The residuals of (5), (6) and (7) for given codes.

All three are a weighted Gram matrix of rows minus a multiple of Q. With the rows w_i of W, and b_i, c_i of B and C,

    (5)   Σ_i 1{w_i·x > 0} 1{w_i·y > 0} w_i w_iᵀ  -  α Q_{x,y}
    (6)   Σ_i 1{b_i·h > 0} 1{b_i·x > 0} ω_i b_i b_iᵀ  -  α E(m, y) Q_{h,x},     ω_i = ℓ relu(c_i·m̂) relu(c_i·ŷ),

where m̂ = m/‖m‖ and E(m, y) = m̂ᵀ Q_{m,y} ŷ; (6) is multiplied by ℓ/(‖m‖‖y‖), so that its right-hand side is ε as
well. (7) is (6) with B, h, x and C, m, y exchanged. A row at which w_i·x is exactly zero counts as switched off.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from demod.arguments import EXACT, check_alike, check_alpha, check_floats
from demod.expectation import angle, expected_cosine, expected_gram
from demod.generators import ReLUGenerator
from demod.torch_state import in_full_precision

BLOCK = 2**21  # entries of the largest temporary array
FEW = 16  # with fewer Gram matrices than this the products w_i w_iᵀ are not worth forming


@dataclass(frozen=True)
class WDCBound:
    """A value that the residual of (5) takes, and where: a certified lower bound on the ε of the WDC.

    value : the spectral norm, a float
    x, y : the pair of unit codes, (n,) each
    """

    value: float
    x: Tensor
    y: Tensor


@in_full_precision
@torch.no_grad()
def wdc_residual(W: Tensor, x: Tensor, y: Tensor, alpha: float = 1.0) -> Tensor:
    """Return the spectral norm of (5), shape (*B,): dimensionless, what the WDC bounds by ε for all x and y.

    Parameters
    ----------
    W : Tensor
        Shape (ℓ, n); nothing is divided by ℓ, the scale of the paper is w_i ~ N(0, I/ℓ).
    x, y : Tensor
        Nonzero codes, shapes (*B, n), broadcast against each other; only their directions count.
    alpha : float
        α, the multiple of Q.

    Raises
    ------
    ValueError
        If W is not a matrix, a code does not fit it, a code is zero, or α is not in (0, 1].
    """
    check_matrix("W", W)
    check_codes(W, x=x, y=y)
    return spectral_norm(wdc_matrix(W, x, y, check_alpha(alpha)))


@in_full_precision
@torch.no_grad()
def seen_wdc_residual(W: Tensor, G: ReLUGenerator, a: Tensor, b: Tensor, alpha: float = 1.0) -> Tensor:
    """Return the norm of (5) at x = G(a), y = G(b) on the span of the pieces of G at a and b, shape (*B,).

    W is the layer after G. A gradient meets the matrix of (5) only between outputs of G near a and near b: in the columns of
    the active maps Λ_a and Λ_b. Where W narrows, the norm on all of R^{n_1} says little about these 2n directions.

    Parameters
    ----------
    W : Tensor
        Shape (ℓ, n_1).
    G : ReLUGenerator
        One network onto R^{n_1}.
    a, b : Tensor
        Codes (*B, n) whose outputs are not zero.
    alpha : float
        α, the multiple of Q.

    Raises
    ------
    ValueError
        As `wdc_residual`, and if G does not produce what W takes.
    """
    check_matrix("W", W)
    if G.widths[-1] != W.shape[-1]:
        raise ValueError(f"W takes {W.shape[-1]} entries but G produces {G.widths[-1]}; W is the layer after G.")
    x, y = G(a), G(b)
    check_codes(W, x=x, y=y)
    P = torch.linalg.qr(torch.cat(torch.broadcast_tensors(G.active_map(a), G.active_map(b)), -1)).Q
    return spectral_norm(P.mT @ wdc_matrix(W, x, y, check_alpha(alpha)) @ P)


@in_full_precision
@torch.no_grad()
def joint_wdc_residual(
    B: Tensor, C: Tensor, h: Tensor, x: Tensor, m: Tensor, y: Tensor, alpha: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Return the spectral norms of (6) times ℓ/(‖m‖‖y‖) and of (7) times ℓ/(‖h‖‖x‖), shapes (*B,).

    Parameters
    ----------
    B, C : Tensor
        Shapes (ℓ, n) and (ℓ, p); the scale of the paper is rows N(0, I/ℓ) in both.
    h, x : Tensor
        Nonzero codes, shapes (*B, n).
    m, y : Tensor
        Nonzero codes, shapes (*B, p); all four are broadcast against each other, and only their directions count.
    alpha : float
        α = α₁α₂, the multiple of the expectation.

    Raises
    ------
    ValueError
        If B or C is not a matrix, they differ in ℓ, a code does not fit, a code is zero, or α is not in (0, 1].
    """
    alpha = check_alpha(alpha)
    check_last_layers(B, C)
    check_codes(B, h=h, x=x)
    check_codes(C, m=m, y=y)
    check_alike(h=h, x=x, m=m, y=y)
    sixth = spectral_norm(joint_matrix(B, C, h, x, m, y, alpha))
    return sixth, spectral_norm(joint_matrix(C, B, m, y, h, x, alpha))


def wdc_matrix(W: Tensor, x: Tensor, y: Tensor, alpha: float) -> Tensor:
    """Return the matrix of (5), shape (*B, n, n)."""
    return weighted_gram(W, active_rows(W, x) * active_rows(W, y)) - alpha * expected_gram(x, y)


def joint_matrix(B: Tensor, C: Tensor, h: Tensor, x: Tensor, m: Tensor, y: Tensor, alpha: float) -> Tensor:
    """Return the matrix of (6) times ℓ/(‖m‖‖y‖), shape (*B, n, n)."""
    weights = active_rows(B, h) * active_rows(B, x) * joint_weights(C, m, y)
    return weighted_gram(B, weights) - alpha * expected_energy(m, y)[..., None, None] * expected_gram(h, x)


def active_rows(W: Tensor, x: Tensor) -> Tensor:
    """Return 1{w_i·x > 0} as numbers, shape (*B, ℓ)."""
    return (x @ W.mT > 0).to(W.dtype)


def joint_weights(C: Tensor, m: Tensor, y: Tensor) -> Tensor:
    """Return ω_i of (6), shape (*B, ℓ)."""
    m, y = (z / z.norm(dim=-1, keepdim=True) for z in (m, y))
    return len(C) * (m @ C.mT).relu() * (y @ C.mT).relu()


def expected_energy(m: Tensor, y: Tensor) -> Tensor:
    """Return E(m, y) = m̂ᵀ Q_{m,y} ŷ = ((π - θ) cos θ + sin θ)/(2π), shape (*B,): half the cosine after one wide layer."""
    return expected_cosine(angle(m, y), 1) / 2


def weighted_gram(W: Tensor, weights: Tensor) -> Tensor:
    """Return Σ_i weights_i w_i w_iᵀ, shape (*B, n, n), for weights (*B, ℓ)."""
    n, W = W.shape[-1], W.detach()  # matmul sums in another order for numbers that learn
    if weights.numel() < FEW * len(W):
        return (weights[..., None] * W).mT @ W
    rows = max(1, BLOCK // n**2)
    parts = zip(W.split(rows), weights.split(rows, -1), strict=True)
    gram = sum(part @ (V[:, :, None] * V[:, None, :]).flatten(1) for V, part in parts)
    return gram.unflatten(-1, (n, n))


def spectral_norm(E: Tensor) -> Tensor:
    """Return the largest absolute eigenvalue, shape (*B,), of symmetric matrices (*B, n, n)."""
    return torch.linalg.eigvalsh(E).abs().amax(-1)


def check_matrix(name: str, W: Tensor) -> None:
    """Raise unless W is a finite matrix with rows and columns, in a type that has eigenvalues."""
    check_floats(**{name: W})
    if W.ndim != 2 or not W.numel() or W.dtype not in EXACT or not W.isfinite().all():
        raise ValueError(
            f"{name} is {W.dtype} of shape {tuple(W.shape)}; required is one finite matrix (l, n), float64 or float32: "
            "give one layer of one network, such as weights[0]."
        )


def check_last_layers(B: Tensor, C: Tensor) -> None:
    """Raise unless B and C are matrices with the same number of rows, of one type and on one device."""
    check_matrix("B", B)
    check_matrix("C", C)
    if len(B) != len(C):
        raise ValueError(f"B has {len(B)} rows and C {len(C)}, but both are last layers onto the same R^l.")
    check_alike(B=B[0], C=C[0])


def check_codes(W: Tensor, **codes: Tensor) -> None:
    """Raise unless all codes have the columns of W, its type and its device; that they are nonzero Q checks."""
    check_floats(**codes)
    for name, z in codes.items():
        if z.shape[-1:] != W.shape[-1:] or (z.dtype, z.device) != (W.dtype, W.device):
            raise ValueError(
                f"{name} is {z.dtype} of shape {tuple(z.shape)} on {z.device}, but the matrix takes {W.dtype} codes of "
                f"{W.shape[-1]} entries, (*B, n), on {W.device}."
            )
    check_alike(**codes)
