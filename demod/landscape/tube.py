"""The tube around the global hyperbola, where the gradient of f points home: the paper's convexity-like property.

Line 5 keeps Algorithm 1 at balanced points z = (h, m), ‖h‖ = ‖m‖, and the global hyperbola has one of them: home, z* =
(h0, m0) with ‖h0‖ = ‖m0‖ = √H0. In units of L = α H0/(2^{d+s} ℓ), the curvature across the hyperbola, z points home with the
strength

    c(z) = ⟨∇f(z), z - z*⟩ / (L ‖z - z*‖²),        at the distance        r(z) = ‖z - z*‖/‖z*‖,

and with the steepness M(z) = ‖∇f(z)‖/(L ‖z - z*‖). In infinitely wide networks they depend on three numbers, x = ‖h‖/√H0 and
the angles ϑ = ∠(h, h0), φ = ∠(m, m0). With a = Π_{i<d} (π - ϑ_i)/π, the weight of h0 in h̃, and κ = cos ϑ_d cos φ_s,

    ⟨t, z - z*⟩/(L H0) = x [ (x² - κ)(2x - cos ϑ - cos φ) + a(ϑ) cos φ_s sin² ϑ + a(φ) cos ϑ_d sin² φ ],
    ‖z - z*‖²/H0 = 2x² - 2x (cos ϑ + cos φ) + 2.

The chapter on the convergence derives this, and from it that, for d, s ≥ 2 and k = max(d, s),

    c(z) ≥ (1 - r) [ (1 - arcsin(√2 r)/π)^k √(1 - 2r²) / (1 + r²/(4 - 4r²)) - r ]        for r(z) ≤ r ≤ 1/2

as long as the bracket is positive. Farther out `certified_strength` bounds c(z) from below by intervals.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from demod.arguments import check_alike, check_counts, check_floats, check_stream
from demod.descent import THETA, default_step_size
from demod.descent.balancing import balanced
from demod.expectation import expected_cosine, planted_weight
from demod.generators import ReLUGenerator
from demod.hyperbolas import nearest_point
from demod.landscape.pieces import check_pieces
from demod.objective import gradient
from demod.torch_state import in_full_precision

STRIDES = (0.3, 0.01)  # of a search, first and last, on the unit sphere of directions
MARGIN = 1e-9  # by which a bound must hold: above all rounding
BOXES = 200_000  # at most so many at a time
HALVINGS = 8  # of the interval from -1 to 1 in which a certified strength is searched


@dataclass(frozen=True)
class OnePoint:
    """How a point z sees home, shapes (*B,): c(z), M(z) and r(z) of the module."""

    strength: Tensor
    steepness: Tensor
    distance: Tensor


@in_full_precision
@torch.no_grad()
def one_point(
    G1: ReLUGenerator, G2: ReLUGenerator, h: Tensor, m: Tensor, h0: Tensor, m0: Tensor, *, nearest: bool = False
) -> OnePoint:
    """Return how the points (h, m), once balanced, see home in networks that run.

    Parameters
    ----------
    G1, G2 : ReLUGenerator
        Drawn by `ReLUGenerator.gaussian`, whose curvature L is known.
    h, m, h0, m0 : Tensor
        Shapes (*B, n), (*B, p), (*B, n), (*B, p), broadcast against each other; nonzero.
    nearest : bool
        Whether home is the nearest point of the hyperbola instead of the balanced one.

    Raises
    ------
    ValueError
        If a network is not Gaussian, or codes and networks do not fit together.
    """
    h, m, h0, m0 = *balanced(h, m), *balanced(h0, m0)
    y0 = G1(h0) * G2(m0)
    check_pieces(G1, G2, h, m, y0)
    home = nearest_point(h, m, h0, m0) if nearest else (h0, m0)
    return _seen(gradient(G1, G2, h, m, y0), (h, m), home, curvature(G1, G2, y0, h0, m0))


def curvature(G1: ReLUGenerator, G2: ReLUGenerator, y0: Tensor, h0: Tensor, m0: Tensor) -> Tensor:
    """Return L = α ‖h0‖‖m0‖/(2^{d+s} ℓ), shape (*B,), of two networks drawn by `ReLUGenerator.gaussian`."""
    return h0.norm(dim=-1) * m0.norm(dim=-1) * THETA / default_step_size(G1, G2, y0, relative=True)


def _seen(slope: tuple[Tensor, Tensor], z: tuple[Tensor, Tensor], home: tuple[Tensor, Tensor], L: Tensor) -> OnePoint:
    g, off = torch.cat(slope, -1), torch.cat([z[0] - home[0], z[1] - home[1]], -1)
    away = off.norm(dim=-1)
    length = (home[0].square().sum(-1) + home[1].square().sum(-1)).sqrt()
    return OnePoint((g * off).sum(-1) / (L * away.square()), g.norm(dim=-1) / (L * away), away / length)


def expected_one_point(x: Tensor, theta_h: Tensor, theta_m: Tensor, *, d: int, s: int) -> OnePoint:
    """Return how the points with these three numbers see home in infinitely wide networks.

    Parameters
    ----------
    x, theta_h, theta_m : Tensor
        ‖h‖/√H0 = ‖m‖/√H0, positive, ∠(h, h0) and ∠(m, m0) in radians, broadcast against each other.
    d, s : int
        Layers of G1 and of G2.
    """
    check_floats(x=x, theta_h=theta_h, theta_m=theta_m)
    p, q = expected_cosine(theta_h, d), expected_cosine(theta_m, s)
    of_h, across_h = _slope(x, theta_h, d, q)
    of_m, across_m = _slope(x, theta_m, s, p)
    cosines = theta_h.cos() + theta_m.cos()
    inner = x * ((x * x - p * q) * (2 * x - cosines) + across_h + across_m)
    square = 2 * x * x - 2 * x * cosines + 2
    return OnePoint(inner / square, ((of_h + of_m) / square).sqrt(), (square / 2).sqrt())


def _slope(x: Tensor, theta: Tensor, depth: int, other: Tensor) -> tuple[Tensor, Tensor]:
    """Return ‖t⁽¹⁾‖² in units of L² H0, and a cos φ_s sin² ϑ; `other` is cos φ_s."""
    a = planted_weight(theta, depth)
    along = x * x - other * (expected_cosine(theta, depth) - a * theta.cos())  # of ĥ in t⁽¹⁾/x, beside -a cos φ_s of ĥ0
    square = x * x * (along.square() + (other * a).square() - 2 * along * other * a * theta.cos())
    return square, a * other * theta.sin().square()


def around(h0: Tensor, m0: Tensor, distance: Tensor | float, directions: Tensor) -> tuple[Tensor, Tensor]:
    """Return the points at a distance r from home in some directions (*B, n + p), then balanced, (*B, n) and (*B, p).

    Line 5 moves them along their hyperbolas, so that their distances are no longer exactly the one asked for.
    """
    check_alike(h0=h0, m0=m0, directions=directions)
    h0, m0 = balanced(h0, m0)
    length = (h0.square().sum(-1) + m0.square().sum(-1)).sqrt()[..., None]
    steps = distance * length * directions / directions.norm(dim=-1, keepdim=True)
    return balanced(h0 + steps[..., : h0.shape[-1]], m0 + steps[..., h0.shape[-1] :])


@in_full_precision
def weakest(
    G1: ReLUGenerator, G2: ReLUGenerator, h0: Tensor, m0: Tensor, distance: float, directions: Tensor, *, steps: int
) -> Tensor:
    """Search for the direction in which a pair of networks points home most weakly, at about one distance.

    From each direction the strength descends along its gradient on the piece, in strides of falling length over the sphere.

    Parameters
    ----------
    G1, G2 : ReLUGenerator
        One network each, drawn by `ReLUGenerator.gaussian`.
    h0, m0 : Tensor
        Home, (n,) and (p,).
    distance : float
        r, before the points are balanced.
    directions : Tensor
        Where the searches begin, (K, n + p).
    steps : int
        Of each search; 0 only looks at the beginnings.

    Returns
    -------
    Tensor
        The strengths that each search met, (steps + 1, K).
    """
    check_counts(0, steps=steps)
    v = torch.nn.functional.normalize(directions.detach(), dim=-1)
    met = [one_point(G1, G2, *around(h0, m0, distance, v), h0, m0).strength]
    for k in range(steps):
        slope = _strength_slope(G1, G2, h0, m0, distance, v)
        stride = STRIDES[0] * (STRIDES[1] / STRIDES[0]) ** (k / max(1, steps - 1))
        v = torch.nn.functional.normalize(v - stride * torch.nn.functional.normalize(slope, dim=-1), dim=-1)
        met.append(one_point(G1, G2, *around(h0, m0, distance, v), h0, m0).strength)
    return torch.stack(met)


@torch.enable_grad()
def _strength_slope(G1: ReLUGenerator, G2: ReLUGenerator, h0: Tensor, m0: Tensor, distance: float, v: Tensor) -> Tensor:
    """Return the gradient of c(z), times L, in the directions v (K, n + p), the masks of both networks held fixed."""
    v = v.clone().requires_grad_()
    h, m = around(h0, m0, distance, v)
    h0, m0 = balanced(h0, m0)
    w, x = G1(h), G2(m)
    off_w, off_x = (value - _carried(G, z, z0) for value, G, z, z0 in ((w, G1, h, h0), (x, G2, m, m0)))
    inner = ((w * x - G1(h0) * G2(m0)) * (x * off_w + w * off_x)).sum(-1)
    square = (h - h0).square().sum(-1) + (m - m0).square().sum(-1)
    return torch.autograd.grad((inner / square).sum(), v)[0]


@torch.no_grad()
def _carried(G: ReLUGenerator, z: Tensor, z0: Tensor) -> Tensor:
    """Return Λ_z z0, (K, ℓ), whose slope on the piece of z (K, n) is zero."""
    for W in G.weights:
        z, z0 = z @ W.mT, z0 @ W.mT
        z, z0 = z.relu(), z0 * (z > 0)
    return z0


def proved_strength(distance: float, depth: int) -> float:
    """Return the lower bound of c(z) for r(z) ≤ distance and max(d, s) = depth of the module; 0 where it says nothing."""
    check_counts(2, depth=depth)
    r = float(distance)
    if not 0 <= r <= 0.5:
        return 0.0
    weight = (1 - math.asin(2**0.5 * r) / math.pi) ** depth * (1 - 2 * r * r) ** 0.5
    return max(0.0, (1 - r) * (weight / (1 + r * r / (4 - 4 * r * r)) - r))


def certified_strength(inner: float, outer: float, *, d: int, s: int) -> float:
    """Return a c such that c(z) ≥ c in infinitely wide networks wherever inner ≤ r(z) ≤ outer < 1; the largest but .01.

    Boxes of (x, ϑ, φ) cover these points. All that c(z) is made of is monotone in each of the three, or least at an end, so
    that the ends of a box bound it, up to rounding, which MARGIN covers; a box that does not show the claim is halved.

    Raises
    ------
    ValueError
        If not 0 < inner < outer < 1, or a depth is less than 2, at which cosines may vanish.
    """
    if not 0 < inner < outer < 1 or min(d, s) < 2:
        raise ValueError(f"inner, outer, d, s are {inner}, {outer}, {d}, {s}; required are 0 < inner < outer < 1, d, s ≥ 2.")
    low, high = -1.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _certifies(middle, inner, outer, d, s) else (low, middle)
    return low


def _certifies(strength: float, inner: float, outer: float, d: int, s: int) -> bool:
    """Return whether boxes show that c(z) ≥ strength wherever inner ≤ r(z) ≤ outer."""
    widest = math.acos(2 * (1 - outer * outer) ** 0.5 - 1)  # cos ϑ + cos φ ≥ 2 √(1 - r²)
    low = torch.tensor([[1 - outer, 0, 0]], dtype=torch.float64, device="cpu")
    high = torch.tensor([[1 + outer, widest, widest]], dtype=torch.float64, device="cpu")
    while len(low):
        product, least, most = _bounds(low, high, d, s)
        there = (most >= 2 * inner**2) & (least <= 2 * outer**2)
        square = most.clamp(max=2 * outer**2) if strength > 0 else least.clamp(min=2 * inner**2)
        rest = there & (product - strength * square < MARGIN)
        low, high = low[rest], high[rest]
        middle = (low + high) / 2
        seen = expected_one_point(*middle.unbind(-1), d=d, s=s)
        within = (seen.distance >= inner) & (seen.distance <= outer)
        if len(low) > BOXES or (within & (seen.strength < strength)).any():
            return False
        longest = torch.nn.functional.one_hot((high - low).argmax(-1), 3).bool()
        low, high = (
            torch.cat([low, torch.where(longest, middle, low)]),
            torch.cat([torch.where(longest, middle, high), high]),
        )
    return True


def _bounds(low: Tensor, high: Tensor, d: int, s: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return lower bounds of ⟨t, z - z*⟩/(L H0), and bounds of ‖z - z*‖²/H0, on boxes of (x, ϑ, φ), (K, 3)."""
    (x, theta, phi), (X, Theta, Phi) = low.unbind(-1), high.unbind(-1)  # capitals: the upper ends, where cosines are least
    kappa, Kappa = expected_cosine(theta, d) * expected_cosine(phi, s), expected_cosine(Theta, d) * expected_cosine(Phi, s)
    cosines, Cosines = theta.cos() + phi.cos(), Theta.cos() + Phi.cos()
    radial = [
        excess * (2 * end - both) for excess in (x * x - kappa, X * X - Kappa) for end, both in ((x, cosines), (X, Cosines))
    ]
    of_h = planted_weight(Theta, d) * expected_cosine(Phi, s) * torch.minimum(theta.sin(), Theta.sin()).square()
    of_m = planted_weight(Phi, s) * expected_cosine(Theta, d) * torch.minimum(phi.sin(), Phi.sin()).square()
    bracket = torch.stack(radial).amin(0) + of_h + of_m
    product = torch.minimum(x * bracket, X * bracket)
    best = torch.minimum(torch.maximum(cosines / 2, x), X)
    least = 2 * best * best - 2 * best * cosines + 2
    most = torch.maximum(2 * x * x - 2 * x * Cosines, 2 * X * X - 2 * X * Cosines) + 2
    return product, least, most


def random_directions(count: int, h0: Tensor, m0: Tensor, rng: torch.Generator) -> Tensor:
    """Return random unit directions (count, n + p)."""
    check_counts(count=count)
    check_stream(rng)
    size = h0.shape[-1] + m0.shape[-1]
    v = torch.randn(count, size, generator=rng, dtype=torch.float64, device="cpu").to(h0)
    return torch.nn.functional.normalize(v, dim=-1)
