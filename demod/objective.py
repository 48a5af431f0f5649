"""The objective (2) and its gradient, by hand.

    f(h, m) = 1/2 ‖G1(h) ⊙ G2(m) - y‖²

The generators are piecewise linear, G1(h) = Λ_h h and G2(m) = Λ_m m. With w = Λ_h h, x = Λ_m m and r = w ⊙ x - y,

    ∇_h f = Λ_hᵀ (x ⊙ r),        ∇_m f = Λ_mᵀ (w ⊙ r).

These are the paper's g̃₁ and g̃₂, where diag(Λ_{s,+,m})² reads diag(Λ_{s,+,m} m)². f is a sum over the ℓ entries, not a
mean. At a kink (a ReLU input exactly zero) the unit counts as switched off, as in diag(Wh > 0).
"""

from torch import Tensor

from demod.generators import Generator


def half_squared_norm(r: Tensor) -> Tensor:
    """Return 1/2 ‖r‖², shape (*B,), of residuals (*B, ℓ)."""
    return r.square().sum(-1) / 2


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
        If y does not have the ℓ entries that both generators produce.
    """
    check_observation(G1, G2, y)
    return half_squared_norm(G1(h) * G2(m) - y)


def gradient(G1: Generator, G2: Generator, h: Tensor, m: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return (∇_h f, ∇_m f), the paper's g̃₁ and g̃₂, shapes (*B, n) and (*B, p); arguments as in `objective`."""
    check_observation(G1, G2, y)
    w, pull_h = G1.vjp(h)
    x, pull_m = G2.vjp(m)
    r = w * x - y
    return pull_h(x * r), pull_m(w * r)


def check_observation(G1: Generator, G2: Generator, y: Tensor) -> None:
    """Raise ValueError unless y (*B, ℓ) fits what both generators produce."""
    for name, G in (("G1", G1), ("G2", G2)):
        if y.shape[-1:] != G.widths[-1:]:
            raise ValueError(
                f"y has shape {tuple(y.shape)} but {name} produces {G.widths[-1]} entries; flatten images: y.flatten(-2)."
            )
