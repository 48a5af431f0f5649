"""Algorithm 1: alternating descent for (2) with a sign check and norm balancing.

    for i = 1, 2, …:
        (h_i, m_i) ← the one of (±h_i, ±m_i) with the least f                       line 3
        h_{i+1} ← h_i - η ∇_h f(h_i, m_i),   m_{i+1} ← m_i - η ∇_m f(h_{i+1}, m_i)    line 4
        c ← √(‖h_{i+1}‖/‖m_{i+1}‖),   h_{i+1} ← h_{i+1}/c,   m_{i+1} ← c m_{i+1}      line 5

A whole batch of problems runs at once, each with its own signs, step size and fate. With momentum μ the steps are
v ← μ v + ∇f, z ← z - η v; a reflection negates a code and its v together, balancing scales both alike.
"""

from dataclasses import dataclass, fields
from numbers import Real

import torch
from torch import Tensor

from demod.arguments import check_alike, check_finite, check_generator, check_pair, check_precision, check_stream
from demod.descent.balancing import imbalance
from demod.descent.blocks import blocks, networks
from demod.descent.factors import factors_at
from demod.descent.rule import Rule
from demod.descent.units import code_unit, has_squares, norm, unit_of
from demod.generators import Generator, ReLUGenerator
from demod.objective import check_observation, half_squared_norm

THETA = 0.25
ROUNDED = {torch.float32: 1e-4, torch.float64: 1e-14}  # below it a tolerance is checked on values that are computed anew


@dataclass(frozen=True)
class Solution:
    """What a method of recovery returns.

    h, m : latent codes, (*B, n) and (*B, p)
    signal, modulator : G1(h) and G2(m), (*B, ℓ)
    objective : f at the start and after each iteration, (iterations + 1, *B), constant once a problem is done; 0 or infinite
        where the type of y has no number so small or so large, although the descent itself knew better
    converged : whether √(2f)/‖y‖ reached the tolerance, (*B,)
    diverged : whether an iterate was no longer finite; such a problem returns its last finite iterate, (*B,)
    iterations : iterations spent on each problem, (*B,)

    To store one, write `demod.artifacts.save_tensors(path, solution.tensors(), {})`; `Solution(**tensors)` makes it again
    from what `load_tensors` reads.
    """

    h: Tensor
    m: Tensor
    signal: Tensor
    modulator: Tensor
    objective: Tensor
    converged: Tensor
    diverged: Tensor
    iterations: Tensor

    def tensors(self) -> dict[str, Tensor]:
        """Return the fields by their names."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


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

    def step(self, step_size: Tensor, rule: Rule, *, mirror: bool) -> None:
        """Line 4: one step in h, then one in m that sees the new h (or, if the rule is simultaneous, the old one).

        mirror says that line 3 comes next.
        """
        of_m = self.first.value * self.residual if rule.simultaneous else None
        of_h = torch.mul(self.second.value, self.residual, out=self.cotangent)
        self.first.step(of_h, step_size, rule.momentum, mirror=mirror)
        if of_m is None:
            self._update()
            of_m = torch.mul(self.first.value, self.residual, out=self.cotangent)
        self.second.step(of_m, step_size, rule.momentum, mirror=mirror)
        self._update()

    def balance(self) -> None:
        """Line 5: divide h by c = √(‖h‖/‖m‖) and multiply m by it, so that their norms agree; a zero code is left alone."""
        c = imbalance(self.first.z, self.second.z)
        self.first.scale(1 / c)
        self.second.scale(c)
        if not (self.first.homogeneous and self.second.homogeneous):
            self._update()

    def is_stale(self, rule: Rule, claims: Tensor, y_norm: Tensor) -> Tensor:
        """Return which of the claims (B,) to be done fail at values computed anew from the codes; then go on from these.

        The values of balanced codes are scaled, not evaluated, and lose a rounding in each iteration.
        """
        if rule.tolerance >= ROUNDED[self.y.dtype] or not claims.any():
            return torch.zeros_like(claims)
        anew = half_squared_norm(self.first.evaluated() * self.second.evaluated() - self.y)
        if (stale := claims & ~_is_done(anew, y_norm, rule)).any():
            self.first.rebase()
            self.second.rebase()
            self._update()
        return stale

    def keep(self, rows: Tensor) -> None:
        """Go on with the problems where `rows` (B,) is true."""
        self.first.keep(rows)
        self.second.keep(rows)
        self._observe(self.y[rows])


def code_scale(G1: Generator, G2: Generator, y: Tensor) -> Tensor:
    """Return Ĥ0 = √(ℓ 2^{d+s}/α) ‖y‖, shape (*B,): an estimate of ‖h0‖‖m0‖ from the data alone, for Gaussian networks."""
    check_generator(G1=G1, G2=G2)
    gain = _gain(G1, G2)
    check_observation(G1, G2, y)
    check_precision(y=y)
    return (y.shape[-1] * gain) ** 0.5 * norm(y)


def default_step_size(G1: Generator, G2: Generator, y: Tensor) -> Tensor:
    """Return η = θ ℓ (2^{d+s}/α) / Ĥ0, shape (*B,), with θ = 1/4: a step that the curvature on the hyperbola allows."""
    scale = code_scale(G1, G2, y)
    _check_not_zero(y)
    step_size = THETA * y.shape[-1] * _gain(G1, G2) / scale
    if not step_size.isfinite().all():
        raise ValueError(f"y is so small for some problem that its step size is no {y.dtype}; multiply y by a power of two.")
    return step_size


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
    if isinstance(step_size, bool) or not isinstance(step_size, Real | Tensor):
        raise TypeError(f"step_size is {step_size!r}, but a positive number or a tensor of them is required; or None.")
    if isinstance(step_size, Tensor) and (step_size.is_complex() or step_size.is_meta):
        raise ValueError(f"step_size is {step_size.dtype} on {step_size.device}, but real numbers with values are required.")
    eta = torch.as_tensor(step_size, dtype=y.dtype, device=y.device)
    if eta.shape not in (torch.Size(), y.shape[:-1]) or not ((eta > 0) & eta.isfinite()).all():
        shown = step_size if eta.ndim == 0 else f"a tensor {tuple(eta.shape)}"
        raise ValueError(
            f"step_size is {shown}; required is a positive number, or a tensor of them, shape {tuple(y.shape[:-1])}: "
            "one for each problem."
        )
    return eta.detach().expand(y.shape[:-1])


def _check_not_zero(y: Tensor) -> None:
    if not y.any(-1).all():
        raise ValueError("y is zero for some problem; nothing can be recovered from a product that vanishes: leave it out.")


def _check_problem(G1: Generator, G2: Generator, y: Tensor) -> None:
    """Raise unless G1, G2 and y make a problem whose objective can be computed."""
    check_generator(G1=G1, G2=G2)
    check_observation(G1, G2, y)
    check_precision(y=y)
    _check_not_zero(y)
    for name, G in (("G1", G1), ("G2", G2)):
        _check_network(name, G, y)
    if not (G1.homogeneous and G2.homogeneous) and not has_squares(y).all():
        raise ValueError(
            f"y has its largest entries at {y.abs().amax(-1).min():.3g} to {y.abs().amax():.3g}, whose squares {y.dtype} "
            "cannot hold, and y has its own scale where G1 or G2 is not homogeneous: use .double(), or scale y and G2 alike."
        )


def _check_network(name: str, G: Generator, y: Tensor) -> None:
    if isinstance(G, ReLUGenerator) and (G.weights[0].dtype, G.weights[0].device) != (y.dtype, y.device):
        W = G.weights[0]
        raise ValueError(f"y is {y.dtype} on {y.device}, but {name} is {W.dtype} on {W.device}; convert one with .to(…).")
    batch = networks(G)
    try:
        fits = torch.broadcast_shapes(batch, y.shape[:-1]) == y.shape[:-1]
    except RuntimeError:
        fits = False
    if not fits:
        raise ValueError(
            f"{name} is a batch {tuple(batch)} of networks, but y has the batch {tuple(y.shape[:-1])}; "
            "give one observation for each network, or expand y."
        )


def _check_values(name: str, G: Generator, z: Tensor, y: Tensor) -> None:
    """Raise unless a generator of unknown kind maps a code of y's type to values of y's type."""
    if isinstance(G, ReLUGenerator) or networks(G) or not z.numel():
        return
    try:
        value = G(z.flatten(0, -2)[0] if z.ndim > 1 else z)
    except RuntimeError as error:
        reason = str(error).split("\n")[0][:120]
        raise ValueError(
            f"{name} does not take a code of shape ({z.shape[-1]},), {z.dtype} on {z.device} like y ({reason}); "
            "convert the generator or y with .to(…)."
        ) from error
    if (value.dtype, value.device, value.shape) != (y.dtype, y.device, y.shape[-1:]):
        raise ValueError(
            f"y is {y.dtype} on {y.device}, but {name} maps a code to {value.dtype} {tuple(value.shape)} on {value.device}, "
            f"and ({y.shape[-1]},) of y's type are required; convert one with .to(…)."
        )


def _start(
    name: str, G: Generator, z: Tensor | None, y: Tensor, unit: Tensor, scale: Tensor | None, rng: torch.Generator | None
) -> Tensor:
    """Return the starting code in its unit: the one given, or of norm √scale, or N(0, I) without a scale."""
    shape = (*y.shape[:-1], G.widths[0])
    if z is not None:
        check_finite(**{name: z})
        if z.shape != shape or z.dtype != y.dtype or z.device != y.device:
            raise ValueError(
                f"{name} is {z.dtype} {tuple(z.shape)}, but y asks for {y.dtype} {shape}: "
                f"one code for each problem, on {y.device}."
            )
        if G.homogeneous and not z.any(-1).all():
            raise ValueError(f"{name} is zero for some problem, where no descent begins: G(0) = 0 stays; start elsewhere.")
        return z.detach() / unit
    if rng is None:
        raise ValueError(f"{name} is None and so is rng; give a starting code, or a torch.Generator to draw one.")
    check_stream(rng)
    z = torch.randn(shape, generator=rng, dtype=torch.float64, device="cpu").to(y)
    return z / unit if scale is None else z * (scale.sqrt()[..., None] / z.norm(dim=-1, keepdim=True))


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
        Observations, shape (*B, ℓ), B possibly empty, in single or double precision. Entries that were not observed are left
        out by `demod.generators.restrict`: set them to zero and give `restrict(G1, observed)`.
    h, m : Tensor, optional
        Starting codes, (*B, n) and (*B, p). Where None, drawn from `rng`: uniform directions with ‖h‖ = ‖m‖ = √Ĥ0 for
        Gaussian networks, N(0, I) for any others. They are drawn for the whole batch at once, so that a problem alone starts
        elsewhere than in a batch; give the codes to repeat one.
    step_size : float or Tensor (*B,), optional
        η, multiplying ∇f of (2), the sum over ℓ entries. None is the rule of `default_step_size`.
    momentum : float
        μ in [0, 1); 0 is the algorithm as printed.
    iterations : int
        Maximum number of iterations.
    tolerance : float
        A problem is done when √(2f)/‖y‖ is at most this; 0 runs all iterations. Rounding keeps it above about 1e-16 in
        double and 1e-7 in single precision: there the default is not reached, so ask for 1e-6.
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
        If y, h or m is not finite or does not fit, y is zero, or, where a generator is not homogeneous, so small or large
        that its squares are no numbers, a homogeneous generator is to start from zero, a setting is out of its range,
        step_size does not fit, or it is None and a network is not Gaussian.
    TypeError
        If G1 or G2 is no generator, y, h or m no tensor, rng no `torch.Generator`, or a setting of the wrong type.
    """
    _check_problem(G1, G2, y)
    homogeneous = G1.homogeneous and G2.homogeneous
    rule = Rule(momentum, iterations, tolerance, reflect_every, homogeneous if balance is None else balance, simultaneous)
    eta = None if step_size is None else _step_sizes(step_size, y)[..., None]
    unit = code_unit(y) if homogeneous else torch.ones_like(y[..., :1])
    observed, y = y, y.detach() / unit / unit
    scale = code_scale(G1, G2, y) if _is_gaussian(G1) and _is_gaussian(G2) else None
    eta = default_step_size(G1, G2, y)[..., None] if eta is None else eta * unit * unit
    h, m = _start("h", G1, h, y, unit, scale, rng), _start("m", G2, m, y, unit, scale, rng)
    for name, G, z in (("G1", G1, h), ("G2", G2, m)):
        _check_values(name, G, z, observed)
    h, m, history, fate = _descend(G1, G2, y, h, m, eta, rule)
    h, m, history = h * unit, m * unit, history * unit[..., 0] * unit[..., 0] * unit[..., 0] * unit[..., 0]
    converged, diverged, spent = fate
    return Solution(h, m, G1(h).detach(), G2(m).detach(), history, converged > 0, diverged > 0, spent)


def _descend(
    G1: Generator, G2: Generator, y: Tensor, h: Tensor, m: Tensor, eta: Tensor, rule: Rule
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return (h, m, history, (converged, diverged, iterations)) of problems y (*B, ℓ), block by block."""
    batch = y.shape[:-1]
    history = y.new_empty(rule.iterations + 1, batch.numel())
    fate = torch.empty(3, batch.numel(), dtype=torch.long, device=y.device)
    y, h, m, eta = (tensor.reshape(-1, tensor.shape[-1]) for tensor in (y, h, m, eta))
    for rows, A, B in blocks(G1, G2, batch, y):
        h[rows], m[rows], history[:, rows], fate[:, rows] = _run(A, B, y[rows], h[rows], m[rows], eta[rows], rule)
    h, m = (tensor.view(*batch, tensor.shape[-1]) for tensor in (h, m))
    return h, m, history.view(len(history), *batch), fate.view(3, *batch)


def _run(
    G1: Generator, G2: Generator, y: Tensor, h: Tensor, m: Tensor, eta: Tensor, rule: Rule
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return (h, m, history, (converged, diverged, iterations)) of one block of problems y (B, ℓ).

    Problems that are done leave the computation as soon as they are a tenth of it.
    """
    y_norm, live = y.norm(dim=-1), torch.arange(len(y), device=y.device)
    history = y.new_empty(rule.iterations + 1, len(y))
    fate = torch.zeros(3, len(y), dtype=torch.long, device=y.device)
    converged, diverged, spent = fate
    descent = Descent(G1, G2, y, h, m)
    history[:] = f = descent.objective()
    converged += _is_done(f, y_norm, rule)
    going = converged == 0
    changed = True
    for i in range(rule.iterations):
        if changed:
            if not (count := int(going.sum())):
                break
            if count <= 0.9 * len(live):
                descent.keep(going)
                live, eta, y_norm, f, going = (tensor[going] for tensor in (live, eta, y_norm, f, going))
        before = descent.first.z, descent.second.z
        if rule.reflects_at(i):
            descent.reflect()
        descent.step(eta, rule, mirror=rule.reflects_at(i + 1))
        if rule.balance:
            descent.balance()
        new, after = descent.objective(), (descent.first.z, descent.second.z)
        finite = (new + after[0].sum(-1) + after[1].sum(-1)).isfinite()
        f = torch.where(going & finite, new, f)
        history[i + 1, live] = f
        done = going & finite & _is_done(f, y_norm, rule)
        ended = going & ~finite | done & ~descent.is_stale(rule, done, y_norm)
        if changed := bool(ended.any()):
            rows = live[ended]
            for codes, old, new in zip((h, m), before, after, strict=True):
                codes[rows] = torch.where(finite[:, None], new, old)[ended]
            converged[rows], diverged[rows], spent[rows] = finite[ended].long(), (~finite)[ended].long(), i + 1
            history[i + 2 :, rows] = f[ended]
            going = going & ~ended
    h[live[going]], m[live[going]], spent[live[going]] = descent.first.z[going], descent.second.z[going], rule.iterations
    return h, m, history, fate


def _is_done(f: Tensor, y_norm: Tensor, rule: Rule) -> Tensor:
    """Return whether √(2f)/‖y‖ is at most the tolerance, which 0 never is, shape (B,)."""
    return (rule.tolerance > 0) & ((2 * f).sqrt() / y_norm <= rule.tolerance)


def outer_product_error(h: Tensor, m: Tensor, h0: Tensor, m0: Tensor) -> Tensor:
    """Return ‖h mᵀ - h0 m0ᵀ‖ / ‖h0 m0ᵀ‖ (Frobenius), shape (*B,): zero exactly on the hyperbola of global minimisers."""
    check_pair("h", h, "h0", h0)
    check_pair("m", m, "m0", m0)
    check_alike(h=h, m=m)
    check_precision(h0=h0, m0=m0)
    if not (h0.any(-1).all() and m0.any(-1).all()):
        raise ValueError("h0 or m0 is zero for some problem, where no error is relative to it; leave such codes out.")
    of_h, of_m = unit_of(h0), unit_of(m0)
    h, h0, m, m0 = h / of_h, h0 / of_h, m / of_m, m0 / of_m
    planted = h0.norm(dim=-1) * m0.norm(dim=-1)
    difference = h[..., :, None] * m[..., None, :] - h0[..., :, None] * m0[..., None, :]
    return torch.linalg.matrix_norm(difference) / planted


def relative_residual(solution: Solution, y: Tensor) -> Tensor:
    """Return ‖signal ⊙ modulator - y‖ / ‖y‖, shape (*B,)."""
    check_pair("signal", solution.signal, "y", y)
    check_precision(y=y)
    _check_not_zero(y)
    unit = code_unit(y)
    return norm((solution.signal / unit) * (solution.modulator / unit) - y / unit / unit) / norm(y / unit / unit)
