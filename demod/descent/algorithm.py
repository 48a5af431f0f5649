"""Algorithm 1: alternating descent for (2) with a sign check and norm balancing.

    for i = 1, 2, …:
        (h_i, m_i) ← the one of (±h_i, ±m_i) with the least f                       line 3
        h_{i+1} ← h_i - η ∇_h f(h_i, m_i),   m_{i+1} ← m_i - η ∇_m f(h_{i+1}, m_i)    line 4
        c ← √(‖h_{i+1}‖/‖m_{i+1}‖),   h_{i+1} ← h_{i+1}/c,   m_{i+1} ← c m_{i+1}      line 5

A whole batch of problems runs at once, each with its own signs, step size and fate. With momentum μ the steps are
v ← μ v + ∇f, z ← z - η v; a reflection negates a code and its v together, balancing scales both alike.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from demod.arguments import check_counts, check_finite, check_stream
from demod.descent.factors import factors_at
from demod.generators import Generator, ReLUGenerator
from demod.objective import check_observation, half_squared_norm

THETA = 0.25
WORKING_SET = {"cpu": 2**23, "cuda": 2**32}  # bytes that a block of problems works on


@dataclass(frozen=True)
class Solution:
    """What a method of recovery returns.

    h, m : latent codes, (*B, n) and (*B, p)
    signal, modulator : G1(h) and G2(m), (*B, ℓ)
    objective : f at the start and after each iteration, (iterations + 1, *B), constant once a problem is done
    converged : whether √(2f)/‖y‖ reached the tolerance, (*B,)
    diverged : whether an iterate was no longer finite; such a problem returns its last finite iterate, (*B,)
    iterations : iterations spent on each problem, (*B,)
    """

    h: Tensor
    m: Tensor
    signal: Tensor
    modulator: Tensor
    objective: Tensor
    converged: Tensor
    diverged: Tensor
    iterations: Tensor


class Descent:
    """The lines of Algorithm 1 on B problems that share their networks, or have one each.

    y : observations, (B, ℓ)
    residual : G1(h) ⊙ G2(m) - y at the current codes, (B, ℓ)
    """

    def __init__(self, G1: Generator, G2: Generator, y: Tensor, h: Tensor, m: Tensor) -> None:
        self.first, self.second = factors_at(G1, G2, h, m)
        self._observe(y)

    def _observe(self, y: Tensor) -> None:
        self.y, self.minus_y, self.residual, self.cotangent = y, -y, torch.empty_like(y), torch.empty_like(y)
        self.products = y.new_empty(3, 2, *y.shape)
        self._update()

    def _update(self) -> None:
        torch.addcmul(self.minus_y, self.first.value, self.second.value, out=self.residual)

    def objective(self) -> Tensor:
        """Return f, shape (B,)."""
        return half_squared_norm(self.residual)

    def four_objectives(self) -> Tensor:
        """Return f - 1/2 ‖y‖² at (h, m), (h, -m), (-h, m), (-h, -m), shape (B, 4).

        It is -⟨w, x ⊙ y⟩ + 1/2 ⟨w², x²⟩: two products of 2 × ℓ with ℓ × 2 matrices for each problem.
        """
        w, x = self.first.mirrored(), self.second.mirrored()
        xy, xx, ww = self.products
        torch.mul(x, self.y, out=xy)
        torch.mul(x, x, out=xx)
        torch.mul(w, w, out=ww)
        linear = torch.bmm(w.transpose(0, 1), xy.permute(1, 2, 0))
        return torch.baddbmm(linear, ww.transpose(0, 1), xx.permute(1, 2, 0), beta=-1, alpha=0.5).flatten(1)

    def reflect(self) -> None:
        """Line 3: move to the one of (±h, ±m) with the least objective; a tie keeps the current signs."""
        f = self.four_objectives()
        best = torch.where(f.isnan(), torch.inf, f).argmin(1)
        if best.any():
            self.first.reflect(best >= 2)
            self.second.reflect(best % 2 == 1)
            self._update()

    def step(self, step_size: Tensor, momentum: float, *, simultaneous: bool, mirror: bool) -> None:
        """Line 4: one step in h, then one in m that sees the new h (or, if simultaneous, the old one).

        mirror says that line 3 comes next.
        """
        settings: dict[str, Any] = {"step_size": step_size, "momentum": momentum, "mirror": mirror}
        if simultaneous:
            late = self.first.value * self.residual
            self.first.step(torch.mul(self.second.value, self.residual, out=self.cotangent), **settings)
            self.second.step(late, **settings)
        else:
            self.first.step(torch.mul(self.second.value, self.residual, out=self.cotangent), **settings)
            self._update()
            self.second.step(torch.mul(self.first.value, self.residual, out=self.cotangent), **settings)
        self._update()

    def balance(self) -> None:
        """Line 5: divide h by c = √(‖h‖/‖m‖) and multiply m by it, so that their norms agree; a zero code is left alone."""
        h_norm, m_norm = (factor.z.norm(dim=-1, keepdim=True) for factor in (self.first, self.second))
        c = torch.where((h_norm > 0) & (m_norm > 0), (h_norm / m_norm).sqrt(), 1.0)
        self.first.scale(1 / c)
        self.second.scale(c)
        if not (self.first.homogeneous and self.second.homogeneous):
            self._update()

    def keep(self, rows: Tensor) -> None:
        """Go on with the problems where `rows` (B,) is true."""
        self.first.keep(rows)
        self.second.keep(rows)
        self._observe(self.y[rows])


def code_scale(G1: Generator, G2: Generator, y: Tensor) -> Tensor:
    """Return Ĥ0 = √(ℓ 2^{d+s}/α) ‖y‖, shape (*B,): an estimate of ‖h0‖‖m0‖ from the data alone, for Gaussian networks."""
    return (y.shape[-1] * _gain(G1, G2)) ** 0.5 * y.norm(dim=-1)


def default_step_size(G1: Generator, G2: Generator, y: Tensor) -> Tensor:
    """Return η = θ ℓ (2^{d+s}/α) / Ĥ0, shape (*B,), with θ = 1/4: a step that the curvature on the hyperbola allows."""
    return THETA * y.shape[-1] * _gain(G1, G2) / code_scale(G1, G2, y)


def _gain(G1: Generator, G2: Generator) -> float:
    """Return 2^{d+s}/α, the inverse of what two Gaussian networks do to the squared norms of their codes."""
    depth = len(G1.widths) + len(G2.widths) - 2
    return 2**depth / (_alpha("G1", G1) * _alpha("G2", G2))


def _alpha(name: str, G: Generator) -> float:
    if not isinstance(G, ReLUGenerator) or G.alpha is None:
        raise ValueError(
            f"step_size is None, but its rule holds for networks drawn by ReLUGenerator.gaussian, and {name} is none: "
            "give step_size (it multiplies the gradient of the sum (2)), and h and m or rng."
        )
    return G.alpha


def _is_gaussian(G: Generator) -> bool:
    return isinstance(G, ReLUGenerator) and G.alpha is not None


def _step_sizes(step_size: float | Tensor, y: Tensor) -> Tensor:
    if not isinstance(step_size, Real | Tensor):
        raise TypeError(f"step_size is {step_size!r}, but a positive number or a tensor of them is required; or None.")
    eta = torch.as_tensor(step_size, dtype=y.dtype, device=y.device)
    if eta.shape not in (torch.Size(), y.shape[:-1]) or not ((eta > 0) & eta.isfinite()).all():
        raise ValueError(
            f"step_size is {step_size}; required is a positive number, or a tensor of them, shape {tuple(y.shape[:-1])}: "
            "one for each problem."
        )
    return eta.expand(y.shape[:-1])


def _start(name: str, G: Generator, z: Tensor | None, y: Tensor, norm: Tensor | None, rng: torch.Generator | None) -> Tensor:
    """Return the starting code: the one given, or a random direction of the given norm, or N(0, I) if no norm is known."""
    shape = (*y.shape[:-1], G.widths[0])
    if z is not None:
        check_finite(**{name: z})
        if z.shape != shape or z.dtype != y.dtype:
            raise ValueError(
                f"{name} is {z.dtype} {tuple(z.shape)}, but y asks for {y.dtype} {shape}: one code for each problem."
            )
        if G.homogeneous and not z.any(-1).all():
            raise ValueError(f"{name} is zero for some problem, where no descent begins: G(0) = 0 stays; start elsewhere.")
        return z.detach().clone()
    if rng is None:
        raise ValueError(f"{name} is None and so is rng; give a starting code, or a torch.Generator to draw one.")
    check_stream(rng)
    z = torch.randn(shape, generator=rng, dtype=torch.float64).to(y)
    return z if norm is None else z * (norm[..., None] / z.norm(dim=-1, keepdim=True))


def descend(
    G1: Generator,
    G2: Generator,
    y: Tensor,
    *,
    h: Tensor | None = None,
    m: Tensor | None = None,
    step_size: float | Tensor | None = None,
    momentum: float = 0.0,
    iterations: int = 500,
    tolerance: float = 1e-12,
    reflect_every: int = 1,
    balance: bool | None = None,
    simultaneous: bool = False,
    rng: torch.Generator | None = None,
) -> Solution:
    """Run Algorithm 1 on a batch of observations.

    Parameters
    ----------
    G1, G2 : Generator
        The priors of signal and modulator, onto R^ℓ.
    y : Tensor
        Observations, shape (*B, ℓ), B possibly empty.
    h, m : Tensor, optional
        Starting codes, (*B, n) and (*B, p). Where None, drawn from `rng`: uniform directions with ‖h‖ = ‖m‖ = √Ĥ0 for
        Gaussian networks, N(0, I) for any others.
    step_size : float or Tensor (*B,), optional
        η, multiplying ∇f of (2), the sum over ℓ entries. None is the rule of `default_step_size`.
    momentum : float
        μ in [0, 1); 0 is the algorithm as printed.
    iterations : int
        At most so many.
    tolerance : float
        A problem is done when √(2f)/‖y‖ is at most this; 0 runs all iterations.
    reflect_every : int
        Line 3 runs at iterations 0, k, 2k, …; 0 never.
    balance : bool, optional
        Whether line 5 runs. None: exactly when both generators are homogeneous, as otherwise it changes the images.
    simultaneous : bool
        Whether both steps of line 4 start from (h_i, m_i); False is the algorithm as printed.
    rng : torch.Generator, optional
        On the CPU; needed where h or m is None.

    Raises
    ------
    ValueError
        If y, h or m is not finite or does not fit, y is zero, a homogeneous generator is to start from zero, a setting is
        out of its range, step_size does not fit, or it is None and a network is not Gaussian.
    TypeError
        If y, h or m is no tensor, rng no `torch.Generator`, or a count not a whole number.
    """
    check_observation(G1, G2, y)
    check_finite(y=y)
    y_norm = y.norm(dim=-1)
    if not (y_norm > 0).all():
        raise ValueError("y is zero for some problem; nothing can be recovered from a product that vanishes: leave it out.")
    check_counts(0, iterations=iterations, reflect_every=reflect_every)
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum is {momentum}, but it must be in [0, 1), or the iterates run away; 0 is as printed.")
    if not tolerance >= 0:
        raise ValueError(f"tolerance is {tolerance}, but it bounds a norm and must be ≥ 0; 0 runs all iterations.")
    for name, G in (("G1", G1), ("G2", G2)):
        if isinstance(G, ReLUGenerator) and (G.weights[0].dtype, G.weights[0].device) != (y.dtype, y.device):
            W = G.weights[0]
            raise ValueError(
                f"y is {y.dtype} on {y.device}, but {name} is {W.dtype} on {W.device}; convert one with .to(…)."
            )
    norm = code_scale(G1, G2, y).sqrt() if _is_gaussian(G1) and _is_gaussian(G2) else None
    eta = (default_step_size(G1, G2, y) if step_size is None else _step_sizes(step_size, y))[..., None]
    h, m = _start("h", G1, h, y, norm, rng), _start("m", G2, m, y, norm, rng)
    balance = G1.homogeneous and G2.homogeneous if balance is None else balance

    shape = y.shape[:-1]
    history = y.new_empty(iterations + 1, shape.numel())
    fate = torch.empty(3, shape.numel(), dtype=torch.long, device=y.device)
    y, h, m, eta = (tensor.reshape(-1, tensor.shape[-1]) for tensor in (y, h, m, eta))
    rule: dict[str, Any] = {"momentum": momentum, "tolerance": tolerance, "reflect_every": reflect_every}
    rule |= {"balance": balance, "simultaneous": simultaneous}
    for rows, A, B in _blocks(G1, G2, shape, y):
        h[rows], m[rows], history[:, rows], fate[:, rows] = _run(
            A, B, y[rows], h[rows], m[rows], eta[rows], iterations, **rule
        )
    h, m = (tensor.view(*shape, tensor.shape[-1]) for tensor in (h, m))
    converged, diverged, spent = fate.view(3, *shape)
    return Solution(h, m, G1(h), G2(m), history.view(iterations + 1, *shape), converged > 0, diverged > 0, spent)


def _blocks(G1: Generator, G2: Generator, batch: torch.Size, y: Tensor) -> Iterator[tuple[Tensor, Generator, Generator]]:
    """Split the problems into blocks whose vectors fit into the cache: rows of the flattened batch, and their networks.

    Problems with the same two networks go together, and so do problems that have networks of their own.
    """
    numbers = torch.stack([_network_numbers(G, batch) for G in (G1, G2)])
    pairs, group = numbers.unique(dim=1, return_inverse=True)
    own = pairs.shape[1] == numbers.shape[1] > 1
    item = y.element_size() * y.shape[-1]
    size = 14 * item + (sum(_network_bytes(G) for G in (G1, G2)) if own else 0)
    limit = max(1, WORKING_SET[y.device.type] // size)
    for k in range(1 if own else pairs.shape[1]):
        members = torch.arange(numbers.shape[1]) if own else (group == k).nonzero()[:, 0]
        for rows in members.split(limit):
            chosen = numbers[:, rows if own else rows[0]]
            yield rows.to(y.device), *(_pick(G, index) for G, index in zip((G1, G2), chosen, strict=True))


def _run(
    G1: Generator,
    G2: Generator,
    y: Tensor,
    h: Tensor,
    m: Tensor,
    eta: Tensor,
    iterations: int,
    *,
    momentum: float,
    tolerance: float,
    reflect_every: int,
    balance: bool,
    simultaneous: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return (h, m, history, (converged, diverged, iterations)) of one block of problems.

    Problems that are done leave the computation as soon as they are a tenth of it.
    """
    y_norm, live = y.norm(dim=-1), torch.arange(len(y), device=y.device)
    history, fate = y.new_empty(iterations + 1, len(y)), torch.zeros(3, len(y), dtype=torch.long, device=y.device)
    converged, diverged, spent = fate
    descent = Descent(G1, G2, y, h, m)
    history[:] = f = descent.objective()
    converged += (tolerance > 0) & (_relative(f, y_norm) <= tolerance)
    going = converged == 0
    changed = True
    for i in range(iterations):
        if changed:
            if not (count := int(going.sum())):
                break
            if count <= 0.9 * len(live):
                descent.keep(going)
                live, eta, y_norm, f, going = (tensor[going] for tensor in (live, eta, y_norm, f, going))
        before = descent.first.z, descent.second.z
        if reflect_every and i % reflect_every == 0:
            descent.reflect()
        mirror = reflect_every > 0 and (i + 1) % reflect_every == 0
        descent.step(eta, momentum, simultaneous=simultaneous, mirror=mirror)
        if balance:
            descent.balance()
        new, after = descent.objective(), (descent.first.z, descent.second.z)
        finite = (new + after[0].sum(-1) + after[1].sum(-1)).isfinite()
        f = torch.where(going & finite, new, f)
        history[i + 1, live] = f
        ended = going & ~(finite & ~((tolerance > 0) & (_relative(f, y_norm) <= tolerance)))
        if changed := bool(ended.any()):
            rows = live[ended]
            for codes, old, new in zip((h, m), before, after, strict=True):
                codes[rows] = torch.where(finite[:, None], new, old)[ended]
            converged[rows], diverged[rows], spent[rows] = finite[ended].long(), (~finite)[ended].long(), i + 1
            history[i + 2 :, rows] = f[ended]
            going = going & ~ended
    h[live[going]], m[live[going]], spent[live[going]] = descent.first.z[going], descent.second.z[going], iterations
    return h, m, history, fate


def _relative(f: Tensor, y_norm: Tensor) -> Tensor:
    return (2 * f).sqrt() / y_norm


def _network_numbers(G: Generator, batch: torch.Size) -> Tensor:
    """Return, for each problem of the flattened batch, the number of its network in the flattened batch of networks."""
    networks = getattr(G, "batch", torch.Size())
    return torch.arange(networks.numel()).view(networks).expand(batch).reshape(-1)


def _network_bytes(G: Generator) -> int:
    return sum(W.shape[-1] * W.shape[-2] * W.element_size() for W in G.weights) if isinstance(G, ReLUGenerator) else 0


def _pick(G: Generator, numbers: Tensor) -> Generator:
    return G.pick(numbers) if hasattr(G, "pick") else G


def outer_product_error(h: Tensor, m: Tensor, h0: Tensor, m0: Tensor) -> Tensor:
    """Return ‖h mᵀ - h0 m0ᵀ‖ / ‖h0 m0ᵀ‖ (Frobenius), shape (*B,): zero exactly on the hyperbola of global minimisers."""
    planted = h0.norm(dim=-1) * m0.norm(dim=-1)
    difference = h[..., :, None] * m[..., None, :] - h0[..., :, None] * m0[..., None, :]
    return torch.linalg.matrix_norm(difference) / planted


def relative_residual(solution: Solution, y: Tensor) -> Tensor:
    """Return ‖signal ⊙ modulator - y‖ / ‖y‖, shape (*B,)."""
    return (solution.signal * solution.modulator - y).norm(dim=-1) / y.norm(dim=-1)
