"""Algorithm 1: alternating descent for (2) with a sign check and norm balancing.

    for i = 1, 2, …:
        (h_i, m_i) ← the one of (±h_i, ±m_i) with the least f                       line 3
        h_{i+1} ← h_i - η ∇_h f(h_i, m_i),   m_{i+1} ← m_i - η ∇_m f(h_{i+1}, m_i)    line 4
        c ← √(‖h_{i+1}‖/‖m_{i+1}‖),   h_{i+1} ← h_{i+1}/c,   m_{i+1} ← c m_{i+1}      line 5

A whole batch of problems runs at once, each with its own signs, step size and fate. With momentum μ the steps are
v ← μ v + ∇f, z ← z - η v; a reflection negates a code and its v together, balancing scales both alike.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from demod.generators import Generator, Pullback, ReLUGenerator
from demod.objective import check_observation, half_squared_norm

THETA = 0.25


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


@dataclass(frozen=True)
class Factor:
    """One of the two factors during the descent: its code z, its velocity v, and G(z) with the pullback there."""

    G: Generator
    z: Tensor
    v: Tensor
    value: Tensor
    pullback: Pullback

    @classmethod
    def at(cls, G: Generator, z: Tensor, v: Tensor) -> "Factor":
        """Evaluate G at z."""
        return cls(G, z, v, *G.vjp(z))

    def step(self, cotangent: Tensor, step_size: Tensor, momentum: float, active: Tensor) -> "Factor":
        """Return the factor after one descent step; problems that are not active stay where they are."""
        v = torch.where(active, momentum * self.v + self.pullback(cotangent), self.v)
        return Factor.at(self.G, torch.where(active, self.z - step_size * v, self.z), v)

    def reflect(self, sign: Tensor) -> "Factor":
        """Return the factor at sign · z, sign ±1 of shape (*B, 1)."""
        return Factor.at(self.G, sign * self.z, sign * self.v) if (sign < 0).any() else self

    def scale(self, c: Tensor) -> "Factor":
        """Return the factor at c · z, c > 0 of shape (*B, 1); where G is homogeneous no pass through it is needed."""
        if self.G.homogeneous:
            return replace(self, z=c * self.z, v=c * self.v, value=c * self.value)
        return Factor.at(self.G, c * self.z, c * self.v)


def reflect(first: Factor, second: Factor, y: Tensor, active: Tensor) -> tuple[Factor, Factor]:
    """Line 3: move to the one of (±h, ±m) with the least objective; a tie keeps the current signs."""
    signals, modulators = (first.value, first.G(-first.z)), (second.value, second.G(-second.z))
    f = torch.stack([half_squared_norm(w * x - y) for w in signals for x in modulators])
    best = torch.where(active, torch.where(f.isnan(), torch.inf, f).argmin(0)[..., None], 0)
    return first.reflect(1 - 2 * (best // 2).to(y.dtype)), second.reflect(1 - 2 * (best % 2).to(y.dtype))


def balance_norms(first: Factor, second: Factor, active: Tensor) -> tuple[Factor, Factor]:
    """Line 5: divide h by c = √(‖h‖/‖m‖) and multiply m by it, so that their norms agree; a zero code is left alone."""
    h_norm, m_norm = first.z.norm(dim=-1, keepdim=True), second.z.norm(dim=-1, keepdim=True)
    c = torch.where(active & (h_norm > 0) & (m_norm > 0), (h_norm / m_norm).sqrt(), 1.0)
    return first.scale(1 / c), second.scale(c)


def iterate(
    first: Factor, second: Factor, y: Tensor, step_size: Tensor, momentum: float, active: Tensor, *, simultaneous: bool
) -> tuple[Factor, Factor]:
    """Line 4: one step in h, then one in m that sees the new h (or, if simultaneous, the old one)."""
    w, x = first.value, second.value
    first = first.step(x * (w * x - y), step_size, momentum, active)
    w = w if simultaneous else first.value
    return first, second.step(w * (w * x - y), step_size, momentum, active)


def code_scale(G1: Generator, G2: Generator, y: Tensor) -> Tensor:
    """Return Ĥ0 = √(ℓ 2^{d+s}/α) ‖y‖, shape (*B,): an estimate of ‖h0‖‖m0‖ from the data alone, for Gaussian networks."""
    return (y.shape[-1] * _gain(G1, G2)) ** 0.5 * y.norm(dim=-1)


def default_step_size(G1: Generator, G2: Generator, y: Tensor) -> Tensor:
    """Return η = θ ℓ (2^{d+s}/α) / Ĥ0, shape (*B,), with θ = 1/4: a step that the curvature on the hyperbola allows."""
    return THETA * y.shape[-1] * _gain(G1, G2) / code_scale(G1, G2, y)


def _gain(G1: Generator, G2: Generator) -> float:
    """Return 2^{d+s}/α, the inverse of what two Gaussian networks do to the squared norms of their codes."""
    for name, G in (("G1", G1), ("G2", G2)):
        if not _is_gaussian(G):
            raise ValueError(
                f"step_size is None, but its rule holds for networks drawn by ReLUGenerator.gaussian, and {name} is none: "
                "give step_size (it multiplies the gradient of the sum (2)), and h and m or rng."
            )
    depth = len(G1.widths) + len(G2.widths) - 2
    return 2**depth / (G1.alpha * G2.alpha)


def _is_gaussian(G: Generator) -> bool:
    return isinstance(G, ReLUGenerator) and G.alpha is not None


def _check_finite(name: str, value: Tensor) -> None:
    if not torch.is_floating_point(value) or not value.isfinite().all():
        raise ValueError(
            f"{name} must be floating point and finite; it is {value.dtype} with NaN or infinite entries or integers."
        )


def _step_sizes(step_size: float | Tensor, y: Tensor) -> Tensor:
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
        _check_finite(name, z)
        if z.shape != shape or z.dtype != y.dtype:
            raise ValueError(
                f"{name} is {z.dtype} {tuple(z.shape)}, but y asks for {y.dtype} {shape}: one code for each problem."
            )
        return z.detach().clone()
    if rng is None:
        raise ValueError(f"{name} is None and so is rng; give a starting code, or a torch.Generator to draw one.")
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
        If y, h or m is not finite or does not fit, y is zero, step_size is not positive or does not fit, or it is None
        and a network is not Gaussian.
    """
    check_observation(G1, G2, y)
    _check_finite("y", y)
    y_norm = y.norm(dim=-1)
    if not (y_norm > 0).all():
        raise ValueError("y is zero for some problem; nothing can be recovered from a product that vanishes: leave it out.")
    if not 0 <= momentum < 1 or iterations < 0 or reflect_every < 0:
        raise ValueError(
            f"momentum = {momentum}, iterations = {iterations}, reflect_every = {reflect_every}; "
            "required are 0 ≤ momentum < 1 and counts that are not negative."
        )
    norm = code_scale(G1, G2, y).sqrt() if _is_gaussian(G1) and _is_gaussian(G2) else None
    eta = (default_step_size(G1, G2, y) if step_size is None else _step_sizes(step_size, y))[..., None]
    h, m = _start("h", G1, h, y, norm, rng), _start("m", G2, m, y, norm, rng)
    balance = G1.homogeneous and G2.homogeneous if balance is None else balance

    first, second = Factor.at(G1, h, torch.zeros_like(h)), Factor.at(G2, m, torch.zeros_like(m))
    diverged = torch.zeros_like(y_norm, dtype=torch.bool)
    spent = torch.zeros_like(y_norm, dtype=torch.long)
    history = y_norm.new_empty(iterations + 1, *y_norm.shape)
    history[0] = half_squared_norm(first.value * second.value - y)
    converged = _relative(history[0], y_norm) <= tolerance if tolerance > 0 else torch.zeros_like(diverged)
    for i in range(iterations):
        active = ~(converged | diverged)
        if not active.any():
            history[i + 1 :] = history[i]
            break
        before = first, second
        if reflect_every and i % reflect_every == 0:
            first, second = reflect(first, second, y, active[..., None])
        first, second = iterate(first, second, y, eta, momentum, active[..., None], simultaneous=simultaneous)
        if balance:
            first, second = balance_norms(first, second, active[..., None])
        f = half_squared_norm(first.value * second.value - y)
        lost = active & ~(f.isfinite() & first.z.isfinite().all(-1) & second.z.isfinite().all(-1))
        if lost.any():
            first, second = (_restore(new, old, lost[..., None]) for new, old in zip((first, second), before, strict=True))
            diverged = diverged | lost
        history[i + 1] = torch.where(active & ~lost, f, history[i])
        spent += active
        if tolerance > 0:
            converged = converged | (active & ~lost & (_relative(f, y_norm) <= tolerance))
    return Solution(first.z, second.z, first.value, second.value, history, converged, diverged, spent)


def _relative(f: Tensor, y_norm: Tensor) -> Tensor:
    return (2 * f).sqrt() / y_norm


def _restore(new: Factor, old: Factor, lost: Tensor) -> Factor:
    """Return `new` with the lost problems put back to where they were, at rest."""
    return Factor.at(new.G, torch.where(lost, old.z, new.z), torch.where(lost, 0.0, new.v))


def outer_product_error(h: Tensor, m: Tensor, h0: Tensor, m0: Tensor) -> Tensor:
    """Return ‖h mᵀ - h0 m0ᵀ‖ / ‖h0 m0ᵀ‖ (Frobenius), shape (*B,): zero exactly on the hyperbola of global minimisers."""
    planted = h0.norm(dim=-1) * m0.norm(dim=-1)
    difference = h[..., :, None] * m[..., None, :] - h0[..., :, None] * m0[..., None, :]
    return torch.linalg.matrix_norm(difference) / planted


def relative_residual(solution: Solution, y: Tensor) -> Tensor:
    """Return ‖signal ⊙ modulator - y‖ / ‖y‖, shape (*B,)."""
    return (solution.signal * solution.modulator - y).norm(dim=-1) / y.norm(dim=-1)
