"""The objective (2) and its gradient, by hand.

    f(h, m) = 1/2 ‖G1(h) ⊙ G2(m) - y‖²

The generators are piecewise linear, G1(h) = Λ_h h and G2(m) = Λ_m m. With w = Λ_h h, x = Λ_m m and r = w ⊙ x - y,

    ∇_h f = Λ_hᵀ (x ⊙ r),        ∇_m f = Λ_mᵀ (w ⊙ r).

These are the paper's g̃₁ and g̃₂, where diag(Λ_{s,+,m})² reads diag(Λ_{s,+,m} m)². f is a sum over the ℓ entries, not a
mean. At a kink (a ReLU input exactly zero) the unit counts as switched off, as in diag(Wh > 0).

f is differentiable at (h, m) + δv for almost every direction v and all small δ > 0: for those that do not run along a kink.
The limits of these gradients are the directions of (4) (where v is called w),

    g₁ = lim ∇_h f((h, m) + δv),        g₂ = lim ∇_m f((h, m) + δv)        for δ → 0+.

Along a kink its unit counts as switched off, too. Away from kinks they are ∇_h f and ∇_m f for every v. The one-sided
derivative D_v f needs the limit along v itself: D_v f = ⟨lim ∇f((h, m) + δv), v⟩. So D_{-g} f is -‖g‖² away from kinks, and
-⟨g′, g⟩ at one, g′ being the limit along -g.
"""

import torch
from torch import Tensor

from demod.arguments import check_alike, check_floats, check_generator, told
from demod.generators import Generator, Pullback, ReLUGenerator


def half_squared_norm(r: Tensor) -> Tensor:
    """Return 1/2 ‖r‖², shape (*B,), of residuals (*B, ℓ)."""
    check_floats(r=r)
    return torch.linalg.vector_norm(r, dim=-1).square() / 2  # one pass over r


def objective(G1: Generator, G2: Generator, h: Tensor, m: Tensor, y: Tensor) -> Tensor:
    """Return f(h, m) of (2), shape (*B,).

    Parameters
    ----------
    G1, G2 : Generator
        Onto R^ℓ.
    h, m, y : Tensor
        Shapes (*B, n), (*B, p), (*B, ℓ), broadcast against each other.

    Raises
    ------
    ValueError
        If y does not have the ℓ entries that both generators produce, or codes, networks and y do not fit together.
    """
    check_observation(G1, G2, y)
    w, x = G1(h), G2(m)
    check_alike(w=w, x=x, y=y)
    return half_squared_norm(w * x - y)


def gradient(G1: Generator, G2: Generator, h: Tensor, m: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return (∇_h f, ∇_m f), the paper's g̃₁ and g̃₂, shapes (*B, n) and (*B, p); arguments as in `objective`."""
    check_observation(G1, G2, y)
    w, pull_h = G1.vjp(h)
    x, pull_m = G2.vjp(m)
    return _pull_back(w, pull_h, x, pull_m, y)


def one_sided_gradient(
    G1: Generator, G2: Generator, h: Tensor, m: Tensor, y: Tensor, direction: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the nonzero parts of g₁ and g₂ of (4), shapes (*B, n) and (*B, p): lim ∇f((h, m) + δv) for δ → 0+, exactly.

    Parameters
    ----------
    G1, G2 : Generator
        ReLU networks onto R^ℓ.
    h, m, y : Tensor
        As in `objective`.
    direction : Tensor
        v, which the paper calls w: (*B, n + p), first the part of h, then that of m.

    Raises
    ------
    ValueError
        If y or the direction does not fit, or a generator is no `ReLUGenerator`: only of those are the pieces known.
    """
    G1, G2 = piecewise("G1", G1), piecewise("G2", G2)
    check_observation(G1, G2, y)
    along_h, along_m = _split(G1, G2, direction)
    w, pull_h = G1.one_sided_vjp(h, along_h)
    x, pull_m = G2.one_sided_vjp(m, along_m)
    return _pull_back(w, pull_h, x, pull_m, y)


def directional_derivative(G1: Generator, G2: Generator, h: Tensor, m: Tensor, y: Tensor, direction: Tensor) -> Tensor:
    """Return D_v f(h, m) = lim (f((h, m) + t v) - f(h, m))/t for t → 0+, shape (*B,), not divided by ‖v‖.

    Arguments as in `one_sided_gradient`.
    """
    grad_h, grad_m = one_sided_gradient(G1, G2, h, m, y, direction)
    along_h, along_m = _split(G1, G2, direction)
    return (grad_h * along_h).sum(-1) + (grad_m * along_m).sum(-1)


def piecewise(name: str, G: Generator) -> ReLUGenerator:
    """Return G; raise unless it is a `ReLUGenerator`: only of those are the linear pieces known."""
    if not isinstance(G, ReLUGenerator):
        raise ValueError(
            f"{name} is {told(G)}, whose pieces are not known; a ReLUGenerator is required: give the weights of one."
        )
    return G


def _pull_back(w: Tensor, pull_h: Pullback, x: Tensor, pull_m: Pullback, y: Tensor) -> tuple[Tensor, Tensor]:
    check_alike(w=w, x=x, y=y)
    r = w * x - y
    return pull_h(x * r), pull_m(w * r)


def _split(G1: Generator, G2: Generator, direction: Tensor) -> tuple[Tensor, Tensor]:
    """Return the parts of a direction (*B, n + p) that belong to h and to m."""
    check_floats(direction=direction)
    n, p = G1.widths[0], G2.widths[0]
    if direction.shape[-1:] != (n + p,):
        raise ValueError(
            f"direction has shape {tuple(direction.shape)} but needs n + p = {n + p} entries: torch.cat([of_h, of_m], -1)."
        )
    return direction[..., :n], direction[..., n:]


def check_observation(G1: Generator, G2: Generator, y: Tensor) -> None:
    """Raise unless G1 and G2 are generators, and y (*B, ℓ) fits what both produce."""
    check_generator(G1=G1, G2=G2)
    check_floats(y=y)
    for name, G in (("G1", G1), ("G2", G2)):
        if y.shape[-1:] != G.widths[-1:]:
            raise ValueError(
                f"y has shape {tuple(y.shape)} but {name} produces {G.widths[-1]} entries; flatten images: y.flatten(-2)."
            )
