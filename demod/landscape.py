"""The landscape of (2): f on grids and its branches for scalar codes, Hessians, and where descents end.

For n = p = 1 the objective sees only signs and the product t = |h m|: in each quadrant, with w = G1(±1) and x = G2(±1),

    f = 1/2 ‖y‖² - t ⟨y, w ⊙ x⟩ + t²/2 ‖w ⊙ x‖²,

a parabola in t. Its minimum is a hyperbolic branch |h m| = ⟨y, w ⊙ x⟩ / ‖w ⊙ x‖² of constant value. For wide networks of
depth d and s the theory puts the branches at |h0 m0| times 1, ρ_d, ρ_s and ρ_d ρ_s, with values 1/2 ‖y‖² times 0,
1 - ρ_d², 1 - ρ_s² and 1 - ρ_d² ρ_s².

For any n and p, f is a polynomial on each of its pieces, where G1(h) = Λ_h h and G2(m) = Λ_m m with fixed Λ. Its Hessian is

    [ Λ_hᵀ diag(x²) Λ_h           Λ_hᵀ diag(2 w ⊙ x - y) Λ_m ]
    [ Λ_mᵀ diag(2 w ⊙ x - y) Λ_h           Λ_mᵀ diag(w²) Λ_m ].

In h alone, and in m alone, f is convex on every piece: what bends it downwards are the kinks between them. A minimiser lies
inside a piece or on some of its walls, the kinks; then f is smooth along these and does not fall across them.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from demod.descent import default_step_size, descend
from demod.expectation import contraction
from demod.generators import Generator, ReLUGenerator
from demod.hyperbolas import curve_distances
from demod.objective import check_observation, gradient, half_squared_norm, objective

QUADRANTS = ((1, 1), (-1, 1), (1, -1), (-1, -1))
VANISHING = 1e-6  # what f, in units of its value on K, differs from 0 or 1 at most by where it counts as that
STATIONARY = 1e-9  # the scaled gradient at which a point is polished enough
STEPS, ROUNDS = 30, 20  # Newton steps before walls are looked at, and how often that is done
NEAR = 1e-4  # how near the wall is, relative to ‖z‖, at which a search counts as blocked
PROBE, SIDES, ROUNDING = 1e-6, 16, 1e-14  # how far off a wall f is compared, relative to ‖z‖; where; beyond which error


@dataclass(frozen=True)
class Branches:
    """The four branches, in the order of QUADRANTS (signs of h and m), last dimension 4.

    product : |h m| on the branch, in units of |h0 m0|
    value : f on the branch, in units of 1/2 ‖y‖², the value on the axes
    """

    product: Tensor
    value: Tensor


@dataclass(frozen=True)
class Endpoints:
    """Where descents end: points (h, m) with ‖h‖ = ‖m‖, and what is known of each, shapes (*B,) unless said.

    h, m : latent codes, (*B, n) and (*B, p)
    objective : f, in units of 1/2 ‖y‖², its value on K
    gradient : `scaled_gradient` along the kinks the point stands on
    kinks : how many those are; 0 inside a piece
    distances : from the four curves, (*B, 4), in the order of QUADRANTS
    distance_to_K : √(‖h‖‖m‖/(‖h0‖‖m0‖)), the norm of (h, m) in units of the global curve's at ‖h‖ = ‖m‖
    """

    h: Tensor
    m: Tensor
    objective: Tensor
    gradient: Tensor
    kinks: Tensor
    distances: Tensor
    distance_to_K: Tensor

    @property
    def spurious(self) -> Tensor:
        """Whether f does not vanish: all endpoints but those on the global curve."""
        return self.objective > VANISHING

    @property
    def distance(self) -> Tensor:
        """The distance from the nearest of the four curves, or from K where f has its value on K."""
        return torch.where(self.objective > 1 - VANISHING, self.distance_to_K, self.distances.amin(-1))


def objective_grid(G1: Generator, G2: Generator, h: Tensor, m: Tensor, y: Tensor) -> Tensor:
    """Return f on the grid h × m for n = p = 1, shape (len(m), len(h)): rows run along m, as matplotlib draws them.

    Raises
    ------
    ValueError
        If a generator takes codes of more than one entry.
    """
    _check_scalar(G1, G2)
    check_observation(G1, G2, y)
    w, x = G1(h[:, None]), G2(m[:, None])
    return torch.stack([half_squared_norm(w * x_k - y) for x_k in x])


def valley_grid(G1: Generator, G2: Generator, h: Tensor, m: Tensor, y: Tensor) -> Tensor:
    """Return the least f over all multiples of (h_j, m_k), in units of 1/2 ‖y‖², shape (len(m), len(h)).

    With w = G1(h_j) and x = G2(m_k) it is 1 - max(⟨y, w ⊙ x⟩, 0)²/(‖y‖² ‖w ⊙ x‖²): only the directions of the codes count.

    Parameters
    ----------
    G1, G2 : Generator
        Homogeneous ones onto R^ℓ.
    h, m, y : Tensor
        Shapes (J, n), (K, p), (ℓ,).
    """
    check_observation(G1, G2, y)
    w, x = G1(h), G2(m)
    overlap = ((y * x) @ w.T).clamp(min=0)
    return 1 - overlap.square() / (x.square() @ w.square().T * y.square().sum())


def branches(G1: Generator, G2: Generator, y: Tensor) -> Branches:
    """Return the exact branches of f for n = p = 1 and h0 m0 = 1; batched over networks where the generators are.

    Raises
    ------
    ValueError
        If a generator takes codes of more than one entry.
    """
    _check_scalar(G1, G2)
    ones = torch.ones(*y.shape[:-1], 1, dtype=y.dtype, device=y.device)
    products = [G1(sign_h * ones) * G2(sign_m * ones) for sign_h, sign_m in QUADRANTS]
    t = torch.stack([(y * z).sum(-1) / z.square().sum(-1) for z in products], -1)
    f = torch.stack([half_squared_norm(y - t[..., k, None] * z) for k, z in enumerate(products)], -1)
    return Branches(t, f / half_squared_norm(y)[..., None])


def expected_branches(d: int, s: int) -> Branches:
    """Return where the theory of infinitely wide networks of depths d and s puts the branches, and their values."""
    rho = torch.tensor([1.0, contraction(d), contraction(s), contraction(d) * contraction(s)], dtype=torch.float64)
    return Branches(rho, 1 - rho**2)


def hessian(G1: Generator, G2: Generator, h: Tensor, m: Tensor, y: Tensor) -> Tensor:
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
    check_observation(G1, G2, y)
    Lambda_h, Lambda_m = G1.active_map(h), G2.active_map(m)
    w, x = Lambda_h @ h[..., None], Lambda_m @ m[..., None]
    across = Lambda_h.mT @ ((2 * w * x - y[..., None]) * Lambda_m)
    over_h, over_m = (x * Lambda_h).mT @ (x * Lambda_h), (w * Lambda_m).mT @ (w * Lambda_m)
    return torch.cat([torch.cat([over_h, across], -1), torch.cat([across.mT, over_m], -1)], -2)


def survey(
    G1: ReLUGenerator, G2: ReLUGenerator, h0: Tensor, m0: Tensor, *, starts: int, iterations: int, rng: torch.Generator
) -> Endpoints:
    """Find out where descents without the sign check end, from random starts: Algorithm 1 less line 3, then `polish`.

    The starts have uniform directions and ‖h‖ = ‖m‖ = √Ĥ0. The step is half the default one: with the whole one, descents
    on narrow networks diverge.

    Parameters
    ----------
    G1, G2 : ReLUGenerator
        One pair of networks drawn by `gaussian`.
    h0, m0 : Tensor
        The planted codes, shapes (n,) and (p,).
    starts : int
        Number of descents.
    iterations : int
        Of Algorithm 1, before the polish.
    rng : torch.Generator
        For the starts.
    """
    y = (G1(h0) * G2(m0)).expand(starts, -1)
    step = default_step_size(G1, G2, y) / 2
    run = descend(G1, G2, y, step_size=step, iterations=iterations, tolerance=STATIONARY, reflect_every=0, rng=rng)
    h, m, along = polish(G1, G2, run.h, run.m, y, rng)
    return Endpoints(
        *(h, m),
        objective=objective(G1, G2, h, m, y) / half_squared_norm(y),
        gradient=scaled_gradient(G1, G2, h, m, y, along),
        kinks=(1 - along.diagonal(dim1=-2, dim2=-1)).sum(-1).round().long(),
        distances=curve_distances(h, m, h0, m0, d=len(G1.weights), s=len(G2.weights)),
        distance_to_K=(h.norm(dim=-1) * m.norm(dim=-1) / (h0.norm() * m0.norm())).sqrt(),
    )


def scaled_gradient(G1: ReLUGenerator, G2: ReLUGenerator, h: Tensor, m: Tensor, y: Tensor, along: Tensor) -> Tensor:
    """Return ‖P ∇f‖ ‖(h, m)‖/‖y‖², shape (*B,), dimensionless, with P = `along` (*B, n + p, n + p) as in `polish`."""
    slope = along @ torch.cat(gradient(G1, G2, h, m, y), -1)[..., None]
    return slope.squeeze(-1).norm(dim=-1) * torch.cat([h, m], -1).norm(dim=-1) / y.square().sum(-1)


def polish(
    G1: ReLUGenerator, G2: ReLUGenerator, h: Tensor, m: Tensor, y: Tensor, rng: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Follow f downhill to a local minimiser inside a piece or on a kink.

    Newton's method, damped so that f never rises, moves within the walls the point stands on, at first none. Where it
    stops short of a zero gradient, a wall is in its way, and the point is put on the nearest. Where the gradient along the
    walls is zero but f falls across them, the point leaves them on the lower side.

    Parameters
    ----------
    G1, G2 : ReLUGenerator
        Unbatched networks onto R^ℓ.
    h, m, y : Tensor
        Shapes (B, n), (B, p), (B, ℓ).
    rng : torch.Generator
        For the directions across walls that are tried.

    Returns
    -------
    h, m : Tensor
        The points, with ‖h‖ = ‖m‖.
    along : Tensor
        The orthogonal projections onto the directions along the kinks each point stands on, (B, n + p, n + p).
    """
    z = torch.cat(_balanced(h, m), -1)
    eye = torch.eye(z.shape[-1], dtype=y.dtype, device=y.device)
    along = eye.repeat(len(y), 1, 1)
    moving = torch.arange(len(y), device=y.device)
    for _ in range(ROUNDS):
        z[moving], slope = _newton(G1, G2, z[moving], y[moving], along[moving])
        below, lower = _across(G1, G2, z[moving], y[moving], eye - along[moving], rng)
        normal, near = _blocking_wall(G1, G2, z[moving], y[moving], along[moving])
        creased, leaving = (slope > STATIONARY) & near, (slope <= STATIONARY) & lower
        i, j = moving[creased], moving[leaving]
        along[i] -= normal[creased, :, None] * normal[creased, None, :]
        z[i] = _apply(along[i], z[i])
        along[j], z[j] = eye, below[leaving]
        moving = moving[(slope > STATIONARY) | lower]
        if not len(moving):
            break
    return *_balanced(*_codes(G1, z)), along


def _newton(G1: ReLUGenerator, G2: ReLUGenerator, z: Tensor, y: Tensor, along: Tensor) -> tuple[Tensor, Tensor]:
    """Return the points z = (h, m) after some damped Newton steps for f along the walls, and the scaled gradients there."""
    z = z.clone()
    damping, slope = torch.full_like(z[:, 0], 1e-2), torch.full_like(z[:, 0], torch.inf)
    moving = torch.arange(len(z), device=z.device)
    for _ in range(STEPS):
        h, m = _balanced(*_codes(G1, z[moving]))
        slope[moving] = scaled_gradient(G1, G2, h, m, y[moving], along[moving])
        rest = slope[moving] > STATIONARY
        moving, h, m = moving[rest], h[rest], m[rest]
        if not len(moving):
            break
        P, y_moving = along[moving], y[moving]
        curvature, axes = torch.linalg.eigh(P @ hessian(G1, G2, h, m, y_moving) @ P)
        stiffness = curvature.abs() + damping[moving, None] * curvature.abs().amax(-1, keepdim=True)
        downhill = -_apply(axes.mT, torch.cat(gradient(G1, G2, h, m, y_moving), -1)) / stiffness
        here = torch.cat([h, m], -1)
        there = here + _apply(P @ axes, downhill)
        better = objective(G1, G2, *_codes(G1, there), y_moving) <= objective(G1, G2, h, m, y_moving)
        z[moving] = torch.where(better[:, None], there, here)
        damping[moving] = (damping[moving] * torch.where(better, 0.2, 4.0)).clamp(1e-13, 1e13)
    return z, slope


def _blocking_wall(G1: ReLUGenerator, G2: ReLUGenerator, z: Tensor, y: Tensor, along: Tensor) -> tuple[Tensor, Tensor]:
    """Return the unit normals, (B, n + p), of the walls met first on the way downhill, and whether they are near."""
    downhill = -_apply(along, torch.cat(gradient(G1, G2, *_codes(G1, z), y), -1))
    (t_h, normal_h), (t_m, normal_m) = (
        G.next_kink(code, v) for G, code, v in zip((G1, G2), _codes(G1, z), _codes(G1, downhill), strict=True)
    )
    of_h = (t_h < t_m)[:, None]
    normal = _apply(along, torch.cat([torch.where(of_h, normal_h, 0.0), torch.where(of_h, 0.0, normal_m)], -1))
    near = torch.minimum(t_h, t_m) * downhill.norm(dim=-1) < NEAR * z.norm(dim=-1)
    return normal / normal.norm(dim=-1, keepdim=True), near


def _across(
    G1: ReLUGenerator, G2: ReLUGenerator, z: Tensor, y: Tensor, across: Tensor, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return the lowest of some points just off the walls z stands on, (B, n + p), and whether f is less there than at z."""
    u = torch.randn(SIDES, *z.shape, generator=rng, dtype=torch.float64).to(z)
    points = z + PROBE * z.norm(dim=-1, keepdim=True) * _apply(across, u)
    f, best = objective(G1, G2, *_codes(G1, points), y).min(0)
    lowest = points.take_along_dim(best[None, :, None], 0).squeeze(0)
    return lowest, f < objective(G1, G2, *_codes(G1, z), y) - ROUNDING * y.square().sum(-1)


def _codes(G1: ReLUGenerator, z: Tensor) -> tuple[Tensor, Tensor]:
    n = G1.widths[0]
    return z[..., :n], z[..., n:]


def _balanced(h: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
    c = (h.norm(dim=-1, keepdim=True) / m.norm(dim=-1, keepdim=True)).sqrt()
    return h / c, c * m


def _apply(matrix: Tensor, vector: Tensor) -> Tensor:
    return (matrix @ vector[..., None]).squeeze(-1)


def _check_scalar(G1: Generator, G2: Generator) -> None:
    if (G1.widths[0], G2.widths[0]) != (1, 1):
        raise ValueError(f"G1 and G2 take codes of {G1.widths[0]} and {G2.widths[0]} entries, but a grid needs n = p = 1.")
