"""f on its pieces: Hessians, and which way is down, at a kink and off K too.

f is a polynomial as long as the masks of G1(h) = Λ_h h and G2(m) = Λ_m m stay. With w = Λ_h h and x = Λ_m m its Hessian is

    [ Λ_hᵀ diag(x²) Λ_h           Λ_hᵀ diag(2 w ⊙ x - y) Λ_m ]
    [ Λ_mᵀ diag(2 w ⊙ x - y) Λ_h           Λ_mᵀ diag(w²) Λ_m ].

In h alone, and in m alone, f is convex on every piece: what bends it downwards are the kinks between them.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from demod.arguments import check_alike
from demod.generators import ReLUGenerator
from demod.objective import check_observation, directional_derivative, one_sided_gradient, piecewise
from demod.torch_state import in_full_precision

STEP = 1e-7  # of difference quotients, relative to the norm of the code that moves


@dataclass(frozen=True)
class Slopes:
    """One-sided derivatives of f along -g₁ and -g₂ of (4), first dimension 2, shapes (2, *B).

    exact : D_{-g} f, that is -⟨g′, g⟩ with the limit g′ of the gradient along -g
    quotient : the limit of difference quotients of f along -g, extrapolated from two steps
    square : ‖g‖², so that `exact` is -`square` where f is differentiable
    """

    exact: Tensor
    quotient: Tensor
    square: Tensor


@in_full_precision
@torch.no_grad()
def hessian(G1: ReLUGenerator, G2: ReLUGenerator, h: Tensor, m: Tensor, y: Tensor) -> Tensor:
    """Return the Hessian of f on the piece that contains (h, m), shape (*B, n + p, n + p).

    Parameters
    ----------
    G1, G2 : ReLUGenerator
        Onto R^ℓ; of other generators the pieces are not known.
    h, m, y : Tensor
        Shapes (*B, n), (*B, p), (*B, ℓ), broadcast against each other.

    Raises
    ------
    ValueError
        If y does not have the ℓ entries that both generators produce.
    """
    check_pieces(G1, G2, h, m, y)
    Lambda_h, Lambda_m = G1.active_map(h), G2.active_map(m)
    w, x = Lambda_h @ h[..., None], Lambda_m @ m[..., None]
    across = Lambda_h.mT @ ((2 * w * x - y[..., None]) * Lambda_m)
    over_h, over_m = (x * Lambda_h).mT @ (x * Lambda_h), (w * Lambda_m).mT @ (w * Lambda_m)
    return torch.cat([torch.cat([over_h, across], -1), torch.cat([across.mT, over_m], -1)], -2)


@in_full_precision
@torch.no_grad()
def linear_rate(G1: ReLUGenerator, G2: ReLUGenerator, h: Tensor, m: Tensor, y: Tensor, step_size: Tensor) -> Tensor:
    """Return the factor by which an iteration of Algorithm 1 shrinks small deviations from a minimiser (h, m), shape (*B,).

    With the blocks A, B, C of the Hessian at (h, m), line 4 maps a deviation (a, b) to

        a′ = a - η (A a + B b),        b′ = b - η (Bᵀ a′ + C b),

    and line 5 removes its component along (h, -m), the direction of the hyperbola. The factor is the spectral radius of the
    product; the residual shrinks by it, f by its square.

    Parameters
    ----------
    G1, G2 : ReLUGenerator
        Onto R^ℓ.
    h, m, y : Tensor
        A minimiser with ‖h‖ = ‖m‖, and y = G1(h) ⊙ G2(m): shapes (*B, n), (*B, p), (*B, ℓ).
    step_size : Tensor
        η, shape (*B,).

    Raises
    ------
    ValueError
        If ‖h‖ and ‖m‖ differ: line 5 would move the codes.
    """
    check_pieces(G1, G2, h, m, y)
    check_alike(h=h, step_size=step_size[..., None] if isinstance(step_size, Tensor) else step_size)
    if not torch.allclose(h.norm(dim=-1), m.norm(dim=-1)):
        raise ValueError("the norms of h and m differ; give a balanced minimiser: h / c and c m with c = √(‖h‖/‖m‖).")
    n, H, eta = h.shape[-1], hessian(G1, G2, h, m, y), step_size[..., None, None]
    eye = torch.eye(H.shape[-1], dtype=H.dtype, device=H.device)
    first, second = eye.expand_as(H).clone(), eye.expand_as(H).clone()
    first[..., :n, :] -= eta * H[..., :n, :]
    second[..., n:, :] -= eta * H[..., n:, :]
    along = torch.cat([h, -m], -1)[..., None]
    across = eye - along @ along.mT / along.square().sum(-2, keepdim=True)
    return torch.linalg.eigvals(across @ second @ first).abs().amax(-1)


@in_full_precision
@torch.no_grad()
def slopes_down(G1: ReLUGenerator, G2: ReLUGenerator, h: Tensor, m: Tensor, y: Tensor, w: Tensor) -> Slopes:
    """Return the slopes of f along the paper's directions -g₁ and -g₂, where w, (*B, n + p), is its w in (4).

    Other arguments as in `hessian`.

    Raises
    ------
    ValueError
        If g₁ or g₂ vanishes somewhere: then it is no direction.
    """
    down = _ways_down(G1, G2, h, m, y, w)
    if not down.any(-1).all():
        raise ValueError("g1 or g2 is zero at some point, so that no way down is given; leave stationary points out.")
    n, here = h.shape[-1], G1(h) * G2(m)
    t = STEP * torch.stack([h.norm(dim=-1), m.norm(dim=-1)]) / down.norm(dim=-1)
    quotients = []
    for step in (t[..., None], t[..., None] / 2):
        change = G1(h + step * down[..., :n]) * G2(m + step * down[..., n:]) - here
        quotients.append((change * (here - y + change / 2)).sum(-1) / step[..., 0])  # f there less f here, digits kept
    whole, half = quotients
    return Slopes(directional_derivative(G1, G2, h, m, y, down), 2 * half - whole, down.square().sum(-1))


@in_full_precision
@torch.no_grad()
def without_way_down(G1: ReLUGenerator, G2: ReLUGenerator, h: Tensor, m: Tensor, y: Tensor, w: Tensor) -> Tensor:
    """Return where neither of -g₁ and -g₂ leads down, D_{-g} f ≥ 0 for both, Boolean of shape (*B,); as in `slopes_down`.

    Theorems 2 and 3 say that outside of the four neighbourhoods and of K there is no such point.
    """
    return (directional_derivative(G1, G2, h, m, y, _ways_down(G1, G2, h, m, y, w)) >= 0).all(0)


@in_full_precision
@torch.no_grad()
def without_fall_off_K(G1: ReLUGenerator, G2: ReLUGenerator, h: Tensor, m: Tensor, y: Tensor) -> Tensor:
    """Return where f does not fall at first order on the way from (h, 0) to (h, m), Boolean of shape (*B,).

    The slope is -⟨y, w ⊙ x⟩, and the same on the way from (0, m). Where w ⊙ x = 0, f stays as it is; that does not count.
    """
    check_pieces(G1, G2, h, m, y)
    product = G1(h) * G2(m)
    return ((y * product).sum(-1) <= 0) & product.any(-1)


def _ways_down(G1: ReLUGenerator, G2: ReLUGenerator, h: Tensor, m: Tensor, y: Tensor, w: Tensor) -> Tensor:
    """Return -g₁ and -g₂ of (4), shape (2, *B, n + p)."""
    g1, g2 = one_sided_gradient(G1, G2, h, m, y, w)
    return -torch.stack([torch.cat([g1, torch.zeros_like(g2)], -1), torch.cat([torch.zeros_like(g1), g2], -1)])


def check_pieces(G1: ReLUGenerator, G2: ReLUGenerator, h: Tensor, m: Tensor, y: Tensor) -> None:
    """Raise unless G1 and G2 are ReLU networks, whose pieces are known, and codes and y fit them and each other."""
    piecewise("G1", G1), piecewise("G2", G2)
    check_observation(G1, G2, y)
    check_alike(h=h, m=m, y=y)


@in_full_precision
@torch.no_grad()
def noise_gain(G1: ReLUGenerator, G2: ReLUGenerator, h0: Tensor, m0: Tensor) -> Tensor:
    """Return the root mean square error of h mᵀ that Gaussian noise in y0 leaves, over the noise, both relative, (*B,).

    To first order e moves the minimiser by H⁺ Jᵀ e, where JᵀJ = H is the Hessian at the planted codes. So noise of
    covariance σ² I moves h mᵀ by √(σ² tr(B H⁺)) in the root mean square, B being the square of (a, b) ↦ a m0ᵀ + h0 bᵀ. Both
    are relative: to ‖h0 m0ᵀ‖, and to ‖y0‖.

    Parameters
    ----------
    G1, G2 : ReLUGenerator
        Onto R^ℓ.
    h0, m0 : Tensor
        The planted codes, (*B, n) and (*B, p).
    """
    y0 = G1(h0) * G2(m0)
    check_pieces(G1, G2, h0, m0, y0)
    h_square, m_square = h0.square().sum(-1), m0.square().sum(-1)
    across = h0[..., :, None] * m0[..., None, :]
    eyes = [torch.eye(z.shape[-1], dtype=z.dtype, device=z.device) for z in (h0, m0)]
    top = torch.cat([m_square[..., None, None] * eyes[0], across], -1)
    B = torch.cat([top, torch.cat([across.mT, h_square[..., None, None] * eyes[1]], -1)], -2)
    spread = (B * torch.linalg.pinv(hessian(G1, G2, h0, m0, y0), hermitian=True)).sum((-2, -1))
    return (spread * y0.square().sum(-1) / y0.shape[-1] / (h_square * m_square)).sqrt()
