"""What infinitely wide random networks do: Q, the angle map, ρ, the expected gradient and the population landscape.

A random ReLU layer turns the angle θ between two codes into the angle g(θ) between its outputs, in expectation,

    g(θ) = arccos( ((π - θ) cos θ + sin θ) / π ).

With θ_0 = ∠(h, h0) and θ_i = g(θ_{i-1}), d layers map h0 to G(h0) and Λ_hᵀ brings it back as

    h̃ = 2^{-d} [ Π_{i<d} (π - θ_i)/π · h0  +  Σ_{i<d} (sin θ_i/π) Π_{j=i+1}^{d-1} (π - θ_j)/π · (‖h0‖/‖h‖) h ],

so that hᵀh̃ = 2^{-d} ‖h‖ ‖h0‖ cos θ_d. Two networks that share the last dimension ℓ have the expected gradient (10), (11)

    t⁽¹⁾ = (α/ℓ) [2^{-(d+s)} ‖m‖² h - (mᵀm̃) h̃],        t⁽²⁾ = (α/ℓ) [2^{-(d+s)} ‖h‖² m - (hᵀh̃) m̃],

and with H = ‖h‖‖m‖, H0 = ‖h0‖‖m0‖ and κ = cos θ_d cos θ_s, θ of h and of m, the expected objective

    f̄ = α/(2^{d+s+1} ℓ) · [(H - κ H0)² + H0² (1 - κ²)].

(10) and (11) stand in the paper's supplement, of which no copy was at hand; they are reconstructed, and f̄ derived, in the
book's chapter on the population landscape.
"""

import torch
from torch import Tensor

from demod.arguments import check_alike, check_alpha, check_counts, check_floats, check_pair


def angle(x: Tensor, y: Tensor) -> Tensor:
    """Return ∠(x, y) in radians, shape (*B,), of nonzero vectors (*B, n); exact also near 0 and π."""
    check_pair("x", x, "y", y)
    x, y = _unit("x", x), _unit("y", y)
    return 2 * torch.atan2((x - y).norm(dim=-1), (x + y).norm(dim=-1))


def expected_gram(x: Tensor, y: Tensor) -> Tensor:
    """Return Q_{x,y} of (5), shape (*B, n, n): E Σ_i 1{w_i·x > 0} 1{w_i·y > 0} w_i w_iᵀ for rows w_i ~ N(0, I/ℓ).

        Q = (π - θ)/(2π) I + sin θ/(2π) M,        M = u uᵀ - v vᵀ,

    where θ = ∠(x, y) and u, v are the unit vectors along x̂ + ŷ and x̂ - ŷ, which M keeps and reverses: it swaps x̂ and ŷ.

    Parameters
    ----------
    x, y : Tensor
        Shapes (*B, n), broadcast against each other; only their directions count.

    Raises
    ------
    ValueError
        If one of them is zero or not finite somewhere, or their lengths or types differ.
    """
    check_pair("x", x, "y", y)
    x, y = torch.broadcast_tensors(_unit("x", x), _unit("y", y))
    theta = angle(x, y)[..., None, None]
    M = _projection(x + y) - _projection(x - y)
    eye = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
    return ((torch.pi - theta) * eye + theta.sin() * M) / (2 * torch.pi)


def angle_map(theta: Tensor) -> Tensor:
    """Return g(θ), same shape; angles in radians, in [0, π]."""
    check_floats(theta=theta)
    if not ((theta >= 0) & (theta <= torch.pi * (1 + 4 * torch.finfo(theta.dtype).eps))).all():
        raise ValueError("theta has entries outside [0, π], but angles between vectors are required; convert to radians.")
    return torch.arccos((((torch.pi - theta) * theta.cos() + theta.sin()) / torch.pi).clamp(-1, 1))


def expected_cosine(theta: Tensor, depth: int) -> Tensor:
    """Return cos θ_d for θ_0 = θ, same shape: the cosine of the angle between the outputs of `depth` wide layers.

    It is ρ_d at θ = π. Computed as Π (π - θ_i)/π · cos θ + Σ (sin θ_i/π) Π (π - θ_j)/π, which keeps its digits near 1.
    """
    product, rest = _unrolled(theta, depth)
    return product * theta.cos() + rest


def planted_weight(theta: Tensor, depth: int) -> Tensor:
    """Return Π_{i<d} (π - θ_i)/π for θ_0 = θ, same shape: the weight of h0 in 2^d h̃, 1 at θ = 0 and 0 at π."""
    return _unrolled(theta, depth)[0]


def contraction(depth: int) -> float:
    """Return ρ_d of Theorem 3 for a network of `depth` layers: 0 at d = 1, 1/π at d = 2, towards 1 with depth.

    Let θ̌_0 = π and θ̌_i = g(θ̌_{i-1}). Then ρ_d = Σ_{i<d} (sin θ̌_i/π) Π_{j=i+1}^{d-1} (π - θ̌_j)/π = cos θ̌_d.

    Raises
    ------
    ValueError
        If `depth` is less than 1.
    """
    return _unrolled(torch.tensor(torch.pi, dtype=torch.float64, device="cpu"), depth)[1].item()


def expected_pullback(h: Tensor, h0: Tensor, depth: int) -> Tensor:
    """Return h̃, shape (*B, n): the limit of Λ_hᵀ G(h0) for a network of `depth` layers; h, h0 (*B, n) are nonzero."""
    theta = angle(h, h0)[..., None]
    product, rest = _unrolled(theta, depth)
    return (product * h0 + rest * h0.norm(dim=-1, keepdim=True) * _unit("h", h)) / 2**depth


def expected_gradient(
    h: Tensor, m: Tensor, h0: Tensor, m0: Tensor, *, d: int, s: int, ell: int, alpha: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Return (t⁽¹⁾, t⁽²⁾) of (10) and (11), shapes (*B, n) and (*B, p): what the gradient of (2), a sum over ℓ, is near to.

    Parameters
    ----------
    h, m, h0, m0 : Tensor
        Nonzero codes, shapes (*B, n), (*B, p), (*B, n), (*B, p), broadcast against each other.
    d, s : int
        Layers of G1 and of G2.
    ell : int
        ℓ, the number of entries of y0.
    alpha : float
        α = α₁α₂ of the truncated last layers; 1 without truncation.

    Raises
    ------
    ValueError
        If a code is zero, a depth is less than 1, ℓ is less than 1 or α not in (0, 1].
    """
    alpha = _check_problem(h, m, h0, m0, ell, alpha)
    h_tilde, m_tilde = expected_pullback(h, h0, d), expected_pullback(m, m0, s)
    gain = 2.0 ** -(d + s)
    t1 = gain * m.square().sum(-1, keepdim=True) * h - (m * m_tilde).sum(-1, keepdim=True) * h_tilde
    t2 = gain * h.square().sum(-1, keepdim=True) * m - (h * h_tilde).sum(-1, keepdim=True) * m_tilde
    return alpha / ell * t1, alpha / ell * t2


def population_objective(
    h: Tensor, m: Tensor, h0: Tensor, m0: Tensor, *, d: int, s: int, ell: int, alpha: float = 1.0
) -> Tensor:
    """Return f̄(h, m), shape (*B,): the limit of (2) for infinitely wide networks; arguments as in `expected_gradient`."""
    alpha = _check_problem(h, m, h0, m0, ell, alpha)
    H0 = h0.norm(dim=-1) * m0.norm(dim=-1)
    H = h.norm(dim=-1) * m.norm(dim=-1)
    shape = population_profile(H / H0, angle(h, h0), angle(m, m0), d=d, s=s)
    return alpha / (2.0 ** (d + s + 1) * ell) * H0.square() * shape


def population_profile(product: Tensor, theta_h: Tensor, theta_m: Tensor, *, d: int, s: int) -> Tensor:
    """Return f̄ in units of its value on K, from the three numbers that decide it: (t - κ)² + 1 - κ², same shape.

    product is t = ‖h‖‖m‖/(‖h0‖‖m0‖), theta_h and theta_m are ∠(h, h0) and ∠(m, m0) in radians.
    """
    check_floats(product=product, theta_h=theta_h, theta_m=theta_m)
    kappa = expected_cosine(theta_h, d) * expected_cosine(theta_m, s)
    return (product - kappa).square() + 1 - kappa.square()


def _unrolled(theta: Tensor, depth: int) -> tuple[Tensor, Tensor]:
    """Return Π_{i<d} (π - θ_i)/π and Σ_{i<d} (sin θ_i/π) Π_{j=i+1}^{d-1} (π - θ_j)/π for θ_0 = θ, the sum by Horner."""
    check_floats(theta=theta)
    check_counts(depth=depth)
    product, rest = torch.ones_like(theta), torch.zeros_like(theta)
    for _ in range(depth):
        keep = (torch.pi - theta) / torch.pi
        product, rest = product * keep, rest * keep + theta.sin() / torch.pi
        theta = angle_map(theta)
    return product, rest


def _unit(name: str, x: Tensor) -> Tensor:
    norm = x.norm(dim=-1, keepdim=True)
    if not ((norm > 0) & norm.isfinite()).all():
        raise ValueError(f"{name} is zero somewhere, or not finite, where it has no direction; leave such codes out.")
    return x / norm


def _projection(x: Tensor) -> Tensor:
    """Return x xᵀ/‖x‖², shape (*B, n, n), and zero where x is zero."""
    square = x.square().sum(-1)[..., None, None]
    return x[..., :, None] * x[..., None, :] / torch.where(square > 0, square, 1.0)


def _check_problem(h: Tensor, m: Tensor, h0: Tensor, m0: Tensor, ell: int, alpha: float) -> float:
    """Return α; raise unless the codes, ℓ and α describe one problem."""
    check_pair("h", h, "h0", h0)
    check_pair("m", m, "m0", m0)
    check_alike(h=h, m=m, h0=h0, m0=m0)
    check_counts(ell=ell)
    return check_alpha(alpha)
