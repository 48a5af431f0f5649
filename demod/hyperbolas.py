"""The four hyperbolic curves of Theorem 1, and the neighbourhoods (3) of them.

A base point (h̃, m̃) spans the curve {(c h̃, m̃/c) | c > 0}. Its neighbourhood A_ε of (3) holds the points whose distance

    r(h, m) = min over c > 0 of ‖(h, m) - (c h̃, m̃/c)‖ / ‖(c h̃, m̃/c)‖

is at most ε. Scale the base point to ‖h̃‖ = ‖m̃‖ and take this norm for the unit of length. With b = hᵀh̃, e = mᵀm̃ and
S = ‖h‖² + ‖m‖² then

    r(c)² = 1 + (S c² - 2b c³ - 2e c)/(c⁴ + 1),

which tends to 1 at both ends of the curve and is stationary exactly at the positive roots of the sextic

    b c⁶ - S c⁵ + 3e c⁴ - 3b c² + S c - e = 0.

Its first and last coefficients may vanish, so the roots are not computed as eigenvalues. Between neighbouring roots of its
derivative a polynomial is monotone: bisection, from the fifth derivative down to the sextic itself, misses none.

Where b ≤ 0 and e ≤ 0 no c reaches the limit 1: then r(h, m) is an infimum, and A_1 does not hold the point, though every A_ε
with ε > 1 does.

f is the same at all points (c h, m/c), c > 0, of the orbit of (h, m), so that one that is stationary has an orbit of
stationary points. r is not: it is least at some c, greatest at another. Where both codes turn far enough away, that is at an
end of the orbit, where only one code is left.
"""

from numbers import Real

import torch
from torch import Tensor

from demod.arguments import check_alike, check_finite, check_pair, told
from demod.expectation import angle, contraction

REACH = 1e18  # where c or 1/c exceeds REACH max(1, |b|, |e|), r(c) differs from 1 by less than rounding
BISECTIONS = 64  # enough for a bracket of c from 1e-40 to 1e40 to shrink to rounding
ORBIT = 4.0  # how far from the balanced point, in log c, an orbit is looked at: ends differ by e^-16 from its limit
PLACES = 13  # where, at once
REFINEMENTS = 3  # each between the neighbours of the best place before


def hyperbola_distance(h: Tensor, m: Tensor, h0: Tensor, m0: Tensor) -> Tensor:
    """Return r(h, m) for the curve through (h0, m0), shape (*B,), dimensionless, at most 1: the infimum of the ε of (3).

    It is computed in float64. It depends on where (h, m) stands on its own orbit: compare points with ‖h‖ = ‖m‖, or whole
    orbits by `orbit_distance`.

    Parameters
    ----------
    h, m, h0, m0 : Tensor
        Shapes (*B, n), (*B, p), (*B, n), (*B, p), broadcast against each other.

    Raises
    ------
    ValueError
        If h0 or m0 is zero somewhere, where they span no hyperbola, or codes are not finite or do not fit together.
    """
    check_finite(h=h, m=m, h0=h0, m0=m0)
    check_pair("h", h, "h0", h0)
    check_pair("m", m, "m0", m0)
    check_alike(h=h, m=m, h0=h0, m0=m0)
    h_norm, m_norm = (z.double().norm(dim=-1, keepdim=True) for z in (h0, m0))
    if not ((h_norm > 0) & (m_norm > 0)).all():
        raise ValueError("h0 or m0 is zero somewhere; a hyperbola needs a base point of two nonzero codes.")
    unit = h_norm.sqrt() * m_norm.sqrt()
    h, m, base_h, base_m = h / unit, m / unit, h0 / h_norm, m0 / m_norm
    c = _stationary(h, m, base_h, base_m)[..., None]
    off_h, off_m = h[..., None, :] - c * base_h[..., None, :], m[..., None, :] - base_m[..., None, :] / c
    squares = (off_h.square().sum(-1) + off_m.square().sum(-1)) / (c.square() + c**-2).squeeze(-1)
    return squares.amin(-1).sqrt().clamp(max=1)


def nearest_point(h: Tensor, m: Tensor, h0: Tensor, m0: Tensor) -> tuple[Tensor, Tensor]:
    """Return the point (c h0, m0/c) of a hyperbola that is nearest to (h, m), shapes (*B, n) and (*B, p); c > 0.

    For ‖h0‖ = ‖m0‖ = 1, b = hᵀh0 and e = mᵀm0 the distance is stationary in c where c⁴ - b c³ + e c - 1 = 0.
    """
    check_finite(h=h, m=m, h0=h0, m0=m0)
    check_pair("h", h, "h0", h0)
    check_pair("m", m, "m0", m0)
    unit = (h0.norm(dim=-1, keepdim=True) * m0.norm(dim=-1, keepdim=True)).sqrt()
    base_h, base_m = h0 / h0.norm(dim=-1, keepdim=True), m0 / m0.norm(dim=-1, keepdim=True)
    b, e = (h * base_h).sum(-1) / unit[..., 0], (m * base_m).sum(-1) / unit[..., 0]
    one, zero = torch.ones_like(b), torch.zeros_like(b)
    high = 2 * torch.stack([b.abs(), e.abs(), one]).amax(0)[..., None]
    c = _sign_changes(torch.stack([-one, e, zero, -b, one], -1), 1 / high, high)
    c = c.gather(-1, (c.square() - 2 * c * b[..., None] + c**-2 - 2 / c * e[..., None]).argmin(-1, keepdim=True))
    return c * unit * base_h, unit / c * base_m


def in_neighbourhood(h: Tensor, m: Tensor, h0: Tensor, m0: Tensor, epsilon: float) -> Tensor:
    """Return whether (h, m) is in A_{ε,(h0, m0)} of (3), boolean of shape (*B,); arguments as in `hyperbola_distance`."""
    if not isinstance(epsilon, Real) or isinstance(epsilon, bool):
        raise TypeError(f"epsilon is {told(epsilon)}, but a number is required; use float(…).")
    if not epsilon >= 0:
        raise ValueError(f"epsilon is {told(epsilon)}, but it bounds a distance and must be ≥ 0; see (3).")
    distance = hyperbola_distance(h, m, h0, m0)
    ahead = ((h * h0).sum(-1) > 0) | ((m * m0).sum(-1) > 0)
    at_origin = ~(h.any(-1) | m.any(-1))
    return (distance <= epsilon) & (ahead | at_origin | (epsilon > 1))


def curves(h0: Tensor, m0: Tensor, *, d: int, s: int) -> tuple[Tensor, Tensor]:
    """Return base points of the four curves as Theorem 1 writes them, shapes (*B, 4, n) and (*B, 4, p).

    They are (h0, m0), (-ρ_d h0, m0), (h0, -ρ_s m0) and (-ρ_d h0, -ρ_s m0) for networks of d and s layers.
    """
    rho_d, rho_s = contraction(d), contraction(s)
    check_alike(h0=h0, m0=m0)
    return _multiples(h0, (1, -rho_d, 1, -rho_d)), _multiples(m0, (1, 1, -rho_s, -rho_s))


def curves_of_theorem_3(h0: Tensor, m0: Tensor, *, d: int, s: int) -> tuple[Tensor, Tensor]:
    """Return base points of the same curves as Theorems 2 and 3 write them: (ρ_s h0, -m0) and (-ρ_d ρ_s h0, -m0) last."""
    rho_d, rho_s = contraction(d), contraction(s)
    check_alike(h0=h0, m0=m0)
    return _multiples(h0, (1, -rho_d, rho_s, -rho_d * rho_s)), _multiples(m0, (1, 1, -1, -1))


def curve_distances(h: Tensor, m: Tensor, h0: Tensor, m0: Tensor, *, d: int, s: int) -> Tensor:
    """Return the distances of (h, m) from the four curves, in the order of Theorem 1, shape (*B, 4)."""
    check_pair("h", h, "h0", h0)
    check_pair("m", m, "m0", m0)
    return hyperbola_distance(h[..., None, :], m[..., None, :], *curves(h0, m0, d=d, s=s))


def orbit_distance(h: Tensor, m: Tensor, h0: Tensor, m0: Tensor, *, d: int, s: int) -> Tensor:
    """Return the least ε for which the four A_ε together hold all of {(c h, m/c) | c > 0}, shape (*B,), at most 1.

    It is the supremum over c of the distance from the nearest curve, found on a grid of log c that is refined
    around its best point; at the ends of the orbit it is the sine of the angle between h, or m, and the line of the planted
    code. Arguments as in `curve_distances`; h and m are not zero.
    """
    check_pair("h", h, "h0", h0)
    check_pair("m", m, "m0", m0)
    largest = torch.maximum(angle(h, h0).sin(), angle(m, m0).sin())
    centre, reach = (m.norm(dim=-1) / h.norm(dim=-1)).log() / 2, ORBIT  # begin where the norms of c h and m/c agree
    for _ in range(REFINEMENTS):
        places = centre + reach * torch.linspace(-1, 1, PLACES, dtype=h.dtype, device=h.device).view(-1, *[1] * centre.ndim)
        c = places.exp()[..., None]
        nearest = curve_distances(c * h, m / c, h0, m0, d=d, s=s).amin(-1)
        value, best = nearest.max(0)
        centre, reach = places.expand_as(nearest).take_along_dim(best[None], 0)[0], 2 * reach / (PLACES - 1)
        largest = torch.maximum(largest, value)
    return largest


def _multiples(z: Tensor, factors: tuple[float, ...]) -> Tensor:
    return torch.stack([factor * z for factor in factors], -2)


@torch.no_grad()  # r is stationary in c, so that a slope of r needs none of c
def _stationary(h: Tensor, m: Tensor, base_h: Tensor, base_m: Tensor) -> Tensor:
    """Return candidates for the best c, all stationary ones among them, shape (*B, 6); the base point has unit norms."""
    b, e = (h * base_h).sum(-1), (m * base_m).sum(-1)
    S = h.square().sum(-1) + m.square().sum(-1)
    sextic = torch.stack(torch.broadcast_tensors(-e, S, -3 * b, torch.zeros_like(S), 3 * e, -S, b), -1)
    high = REACH * sextic[..., [0, 6]].abs().amax(-1, keepdim=True).clamp(min=1)
    return _sign_changes(sextic, 1 / high, high)


def _sign_changes(coefficients: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return where in [low, high] a polynomial changes its sign, ascending, shape (*B, degree), padded with other points.

    coefficients: (*B, degree + 1), the constant one first; low and high: (*B, 1), positive.
    """
    powers = torch.arange(1, coefficients.shape[-1], dtype=coefficients.dtype, device=coefficients.device)
    if not len(powers):
        return low[..., :0]
    turns = _sign_changes(coefficients[..., 1:] * powers, low, high)
    ends = torch.cat([low, turns, high], -1)
    left, right = ends[..., :-1], ends[..., 1:]
    sign = _evaluate(coefficients, left).sign()
    for _ in range(BISECTIONS):
        middle = left.sqrt() * right.sqrt()  # brackets shrink in ratio
        same = _evaluate(coefficients, middle).sign() == sign
        left, right = torch.where(same, middle, left), torch.where(same, right, middle)
    return left


def _evaluate(coefficients: Tensor, c: Tensor) -> Tensor:
    """Return the polynomial at the points c (*B, k) by Horner's scheme, shape (*B, k)."""
    value = torch.zeros_like(c)
    for coefficient in coefficients.flip(-1).unbind(-1):
        value = value * c + coefficient[..., None]
    return value
