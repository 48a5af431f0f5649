"""Where descents end: local minimisers inside pieces and on kinks, and how near to the four curves they are.

A minimiser of f lies inside a piece, or on some of its walls, the kinks; then f is smooth along these and does not fall
across them. The gradient vanishes only in the first case. `polish` finds both kinds to machine accuracy.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from numbers import Real

import torch
from torch import Tensor

from demod.arguments import (
    check_alike,
    check_counts,
    check_finite,
    check_generator,
    check_place,
    check_stream,
    check_widths,
    told,
)
from demod.descent import default_step_size, descend
from demod.descent.balancing import balanced
from demod.generators import ReLUGenerator
from demod.hyperbolas import curve_distances, orbit_distance
from demod.landscape.pieces import check_pieces, hessian
from demod.objective import gradient, half_squared_norm, objective
from demod.torch_state import in_full_precision

VANISHING = 1e-6  # f, in units of its value on K, counts as 0 below this, and as 1 above 1 less this
STATIONARY = 1e-9  # the scaled gradient at which a point is polished enough
STEPS = 30  # of Newton's method, before walls are looked at
ROUNDS = 20  # how often that is done
NEAR = 1e-4  # how near the next wall must be, relative to ‖z‖, to be what stops a search
PROBE = 1e-6  # how far off its walls a point looks for lower ones, relative to ‖z‖
SIDES = 16  # in how many directions
EASED, STIFFENED = 0.20000000298023224, 4.0  # the damping after a step that was taken, 0.2 in single precision, and one not
ROUNDING = 1e-14  # of f, in units of ‖y‖²


@dataclass(frozen=True)
class Endpoints:
    """Where descents end: points (h, m) with ‖h‖ = ‖m‖, and what is known of each, shapes (*B,) unless said.

    h, m : latent codes, (*B, n) and (*B, p)
    objective : f, in units of 1/2 ‖y‖², its value on K
    gradient : `scaled_gradient` along the kinks the point stands on
    kinks : how many those are; 0 inside a piece
    distances : from the four curves, (*B, 4), in the order of QUADRANTS
    orbit : `orbit_distance`, that of all (c h, m/c) from the four curves; where f vanishes, that of (h, m) alone
    distance_to_K : √(‖h‖‖m‖/(‖h0‖‖m0‖)), the norm of (h, m) in units of the global curve's at ‖h‖ = ‖m‖
    """

    h: Tensor
    m: Tensor
    objective: Tensor
    gradient: Tensor
    kinks: Tensor
    distances: Tensor
    orbit: Tensor
    distance_to_K: Tensor

    @property
    def spurious(self) -> Tensor:
        """Whether f does not vanish: all endpoints but those on the global curve."""
        return self.objective > VANISHING

    @property
    def distance(self) -> Tensor:
        """The distance of the whole orbit from the four curves, or that from K where f has its value on K."""
        return torch.where(self.objective > 1 - VANISHING, self.distance_to_K, self.orbit)

    def pick(self, networks: Tensor) -> "Endpoints":
        """Return the endpoints of these networks, indices of the first dimension of *B."""
        return Endpoints(*(getattr(self, field.name)[networks] for field in fields(self)))


@in_full_precision
@torch.no_grad()
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
        For the starts, and for `polish`.
    """
    check_stream(rng)
    check_counts(starts=starts, iterations=iterations)
    check_generator(G1=G1, G2=G2)
    check_finite(h0=h0, m0=m0)
    check_pieces(G1, G2, h0, m0, y0 := G1(h0) * G2(m0))
    if y0.ndim != 1:
        raise ValueError(f"h0 and m0 make {tuple(y0.shape)} observations, but one is required: give codes (n,) and (p,).")
    y = y0.expand(starts, -1)
    step = default_step_size(G1, G2, y) / 2
    run = descend(G1, G2, y, step_size=step, iterations=iterations, tolerance=STATIONARY, reflect_every=0, rng=rng)
    (h, m, along), depths = polish(G1, G2, run.h, run.m, y, rng), {"d": len(G1.weights), "s": len(G2.weights)}
    f, distances = objective(G1, G2, h, m, y) / half_squared_norm(y), curve_distances(h, m, h0, m0, **depths)
    orbit, spurious = distances.amin(-1), f > VANISHING
    orbit[spurious] = orbit_distance(h[spurious], m[spurious], h0, m0, **depths)
    return Endpoints(
        *(h, m),
        objective=f,
        gradient=scaled_gradient(G1, G2, h, m, y, along),
        kinks=(1 - along.diagonal(dim1=-2, dim2=-1)).sum(-1).round().long(),
        distances=distances,
        orbit=orbit,
        distance_to_K=(h.norm(dim=-1) * m.norm(dim=-1) / (h0.norm() * m0.norm())).sqrt(),
    )


@torch.no_grad()
def survey_networks(
    widths: Sequence[int],
    rng: torch.Generator,
    *,
    networks: int,
    starts: int,
    iterations: int,
    modulator_widths: Sequence[int] | None = None,
    device: torch.device | str | None = None,
) -> Endpoints:
    """Survey pairs of fresh Gaussian networks of these widths, each with its own Gaussian codes; *B = (networks, starts).

    Those of G2 are `modulator_widths` where they differ. A G2 that takes a scalar code makes a modulator that is known up to
    its scale, if the code has the right sign. The networks live on `device`; what is returned is on the CPU.
    """
    both = widths, widths if modulator_widths is None else modulator_widths
    check_widths(widths=widths, modulator_widths=both[1])
    check_stream(rng)
    check_counts(networks=networks, starts=starts, iterations=iterations)
    check_place(device=device)
    ends = []
    for _ in range(networks):
        G1, G2 = (ReLUGenerator.gaussian(some, rng, device=device) for some in both)
        h0, m0 = (torch.randn(some[0], generator=rng, dtype=torch.float64, device="cpu").to(device) for some in both)
        ends.append(survey(G1, G2, h0, m0, starts=starts, iterations=iterations, rng=rng))
    return Endpoints(*(torch.stack([getattr(end, field.name) for end in ends]).cpu() for field in fields(Endpoints)))


def spurious_share(ends: Endpoints) -> Tensor:
    """Return the share of endpoints that are not on the global curve, a scalar."""
    _check_ends(ends)
    return ends.spurious.double().mean()


def radius(ends: Endpoints, *, share: float = 0.95, curve: int | None = None) -> Tensor:
    """Return r, the least distance from the four curves and K that `share` of the spurious endpoints keep, a scalar.

    With `curve`, a number in the order of QUADRANTS, only endpoints count whose nearest curve it is.
    """
    _check_ends(ends)
    if isinstance(share, bool) or not isinstance(share, Real) or not 0 <= share <= 1:
        raise ValueError(f"share is {told(share)}, but it must be a number in [0, 1]; 0.95 is the default.")
    if curve is not None and (isinstance(curve, bool) or not isinstance(curve, int) or curve not in range(4)):
        raise ValueError(f"curve is {told(curve)}, but the four curves have the numbers 0 to 3; None takes all.")
    counted = ends.spurious if curve is None else ends.spurious & (ends.distances.argmin(-1) == curve)
    if not counted.any():
        raise ValueError("ends holds no spurious endpoint, so that no share of them has a radius; survey more networks.")
    return ends.distance[counted].quantile(share)


def over_networks(
    statistic: Callable[[Endpoints], Tensor], ends: Endpoints, rng: torch.Generator, *, resamples: int = 400
) -> tuple[Tensor, Tensor]:
    """Return a statistic of the endpoints, and its values (resamples,) for networks drawn again with replacement."""
    _check_ends(ends)
    check_stream(rng)
    check_counts(resamples=resamples)
    count = len(ends.objective)
    again = torch.randint(count, (resamples, count), generator=rng, device="cpu")
    return statistic(ends), torch.stack([statistic(ends.pick(networks)) for networks in again])


@in_full_precision
@torch.no_grad()
def scaled_gradient(G1: ReLUGenerator, G2: ReLUGenerator, h: Tensor, m: Tensor, y: Tensor, along: Tensor) -> Tensor:
    """Return ‖P ∇f‖ ‖(h, m)‖/‖y‖², shape (*B,), dimensionless, with P = `along` (*B, n + p, n + p) as in `polish`."""
    slope = torch.cat(gradient(G1, G2, h, m, y), -1)
    check_alike(h=h, along=along[..., 0] if isinstance(along, Tensor) and along.ndim > 1 else along)
    if along.shape[-2:] != (k := slope.shape[-1], k):
        raise ValueError(f"along has shape {tuple(along.shape)}, but projections (*B, {k}, {k}) are required; see polish.")
    slope = along @ slope[..., None]
    return slope.squeeze(-1).norm(dim=-1) * torch.cat([h, m], -1).norm(dim=-1) / y.square().sum(-1)


@in_full_precision
@torch.no_grad()
def polish(
    G1: ReLUGenerator, G2: ReLUGenerator, h: Tensor, m: Tensor, y: Tensor, rng: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Follow f downhill to a local minimiser inside a piece or on a kink.

    Newton's method, damped so that f never rises, moves within the walls the point stands on, at first none. Where it
    stops short of a zero gradient, the wall next on the way downhill is what stops it, and the point is put on that wall.
    Where the gradient along the walls is zero but f falls across them, the point leaves them on the lower side.

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
    check_stream(rng)
    check_pieces(G1, G2, h, m, y)
    if not h.ndim == m.ndim == y.ndim == 2:
        shapes = ", ".join(str(tuple(value.shape)) for value in (h, m, y))
        raise ValueError(f"h, m, y have shapes {shapes}, but (B, n), (B, p), (B, l) are required; use .reshape or [None].")
    z = torch.cat(balanced(h, m), -1)
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
    return *balanced(*_codes(G1, z)), along


def _check_ends(ends: Endpoints) -> None:
    if not isinstance(ends, Endpoints):
        raise TypeError(f"ends is {told(ends)}, but Endpoints are required, as survey and survey_networks return them.")


def _newton(G1: ReLUGenerator, G2: ReLUGenerator, z: Tensor, y: Tensor, along: Tensor) -> tuple[Tensor, Tensor]:
    """Return the points z = (h, m) after some damped Newton steps for f along the walls, and the scaled gradients there."""
    z = z.clone()
    damping, slope = torch.full_like(z[:, 0], 1e-2), torch.full_like(z[:, 0], torch.inf)
    moving = torch.arange(len(z), device=z.device)
    for _ in range(STEPS):
        h, m = balanced(*_codes(G1, z[moving]))
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
        damping[moving] = torch.where(better, EASED * damping[moving], STIFFENED * damping[moving]).clamp(1e-13, 1e13)
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
    u = torch.randn(SIDES, *z.shape, generator=rng, dtype=torch.float64, device="cpu").to(z)
    points = z + PROBE * z.norm(dim=-1, keepdim=True) * _apply(across, u)
    f, best = objective(G1, G2, *_codes(G1, points), y).min(0)
    lowest = points.take_along_dim(best[None, :, None], 0).squeeze(0)
    return lowest, f < objective(G1, G2, *_codes(G1, z), y) - ROUNDING * y.square().sum(-1)


def _codes(G1: ReLUGenerator, z: Tensor) -> tuple[Tensor, Tensor]:
    n = G1.widths[0]
    return z[..., :n], z[..., n:]


def _apply(matrix: Tensor, vector: Tensor) -> Tensor:
    return (matrix @ vector[..., None]).squeeze(-1)
