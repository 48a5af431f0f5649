"""(2) as nonlinear least squares: damped Gauss–Newton steps between the sign check and the balancing of Algorithm 1.

    for i = 1, 2, …:
        (h_i, m_i) ← the one of (±h_i, ±m_i) with the least f                                          line 3
        (h, m) ← (h_i, m_i) - δ,   (JᵀJ + λ D + a aᵀ) δ = Jᵀr,   J = [diag(x) Λ_h, diag(w) Λ_m]           the step
        c ← √(‖h‖/‖m‖),   h ← h/c,   m ← c m                                                           line 5
        (h_{i+1}, m_{i+1}) ← (h, m) if one of (±h, ±m) has a lower f, and λ falls; else (h_i, m_i), and λ rises

with w = G1(h_i), x = G2(m_i), r = w ⊙ x - y; `damping` has D, a and λ. On one linear piece of both networks (2) is bilinear
least squares, whose minimum is zero without noise: there the steps converge with order two across the hyperbola.

A whole batch of problems runs at once, and all starts of each, every one with its own damping, signs and fate.
"""

import torch
from torch import Tensor

from demod.arguments import check_counts, check_generator, check_tensors, told
from demod.descent import Solution, code_scale
from demod.descent.blocks import blocks
from demod.descent.problem import check_problem
from demod.descent.starts import is_gaussian, starting_code
from demod.descent.units import code_unit
from demod.gauss_newton.product import LinearisedProduct
from demod.gauss_newton.progress import Progress
from demod.gauss_newton.rule import StepRule
from demod.generators import Generator, networks
from demod.objective import check_observation
from demod.torch_state import in_full_precision


@in_full_precision
def solve(
    G1: Generator,
    G2: Generator,
    y: Tensor,
    *,
    h: Tensor | None = None,
    m: Tensor | None = None,
    starts: int = 1,
    iterations: int = 50,
    tolerance: float = 1e-12,
    mask: Tensor | None = None,
    rng: torch.Generator | None = None,
    linearise_every: int = 1,
    dampings: int = 1,
    jacobians_of: tuple[Generator, Generator] | None = None,
) -> Solution:
    """Run damped Gauss–Newton steps on a batch of observations.

    Parameters
    ----------
    G1, G2 : Generator
        The priors of signal and modulator, onto R^ℓ. Of a `ReLUGenerator` only the active rows of Λ are computed; any other
        generator gives its own Jacobian or is differentiated in forward mode, see `demod.generators.jacobian`.
    y : Tensor
        Observations, shape (*B, ℓ), B possibly empty, in single or double precision.
    h, m : Tensor, optional
        Starting codes, (*B, n) and (*B, p); for several starts (starts, *B, n) and (starts, *B, p). Where None, drawn from
        `rng` as `demod.descent.descend` draws them, for one start the same.
    starts : int
        How often each problem is tried. Of its starts the one with the least residual is returned, and as soon as one has
        converged the others stop.
    iterations : int
        Maximum number of iterations: one step is tried in each, and taken if it lowers the objective.
    tolerance : float
        A problem is done when √(2f)/‖y‖ is at most this. It also ends where no step lowers f any more to within rounding: at
        another minimum, with noise, or in single precision, where 1e-6 can be asked for. Then it has not converged.
    mask : Tensor, optional
        Which entries were observed, Boolean, (ℓ,) or (*B, ℓ). The others count for nothing, whatever y has there.
    rng : torch.Generator, optional
        On the CPU; needed where h or m is None.
    linearise_every : int
        After how many iterations J is computed anew. In between JᵀJ stays as it is, and only Jᵀr is computed, by pulling
        back: where a Jacobian costs as much as many values, that is quicker. Lines 3 and 5 come with each new J.
    dampings : int
        How many steps are tried in each iteration, with several λ around the last one; the best of them is taken.
    jacobians_of : tuple of Generator, optional
        Two networks near G1 and G2, as the same ones in half precision, whose Jacobians are cheaper and make JᵀJ. Where they
        point makes no difference to what is found, only to how fast, for Jᵀr and f are those of G1 and G2.

    Returns
    -------
    Solution
        As of `descend`. The objective is over the observed entries, and never rises. `diverged` are problems whose objective
        is not finite at the start, where they stay.

    Raises
    ------
    ValueError
        If y, h or m is not finite or does not fit, y is zero where it is observed, or, where a generator is not homogeneous,
        so small or large that its squares are no numbers, the mask does not fit, a homogeneous generator is to start from
        zero, or a setting is out of its range.
    TypeError
        If G1 or G2 is no generator, y, h, m or mask no tensor, rng no `torch.Generator`, or a setting of the wrong type.
    """
    check_counts(starts=starts)
    check_generator(G1=G1, G2=G2)
    homogeneous = bool(G1.homogeneous and G2.homogeneous)
    rule = StepRule(
        iterations=iterations,
        tolerance=tolerance,
        balance=homogeneous,
        linearise_every=linearise_every,
        dampings=dampings,
    )
    _check_near(G1, G2, jacobians_of)
    observed = None if mask is None else _observed(G1, G2, y, mask)
    y = y if observed is None else torch.where(observed, y, 0.0)
    check_problem(G1, G2, y)
    unit = code_unit(y) if homogeneous else torch.ones_like(y[..., :1])
    y, starts = y.detach() / unit / unit, int(starts)
    _check_starts(starts, y, h=h, m=m)
    h, m = _starting_codes(G1, G2, y.expand(starts, *y.shape) if starts > 1 else y, unit, observed, h, m, rng)
    h, m, history, fate = _in_blocks(G1, G2, y.expand(starts, *y.shape), h, m, observed, rule, jacobians_of)
    h, m, history, (converged, diverged, spent) = _best(h, m, history, fate)
    h, m, history = h * unit, m * unit, history * unit[..., 0] * unit[..., 0] * unit[..., 0] * unit[..., 0]
    return Solution(h, m, G1(h).detach(), G2(m).detach(), history, converged > 0, diverged > 0, spent)


def _observed(G1: Generator, G2: Generator, y: Tensor, mask: Tensor) -> Tensor:
    """Return the mask, having checked it against y."""
    check_observation(G1, G2, y)
    check_tensors(mask=mask)
    if mask.dtype != torch.bool or mask.shape not in (y.shape[-1:], y.shape) or mask.device != y.device:
        raise ValueError(
            f"mask is {mask.dtype} {tuple(mask.shape)} on {mask.device}, but torch.bool {tuple(y.shape[-1:])} or "
            f"{tuple(y.shape)} on {y.device} is required: true where y was observed; use .bool() or expand it."
        )
    if not mask.any(-1).all():
        raise ValueError("mask observes no entry of some problem, of which nothing is known; leave that problem out.")
    return mask.detach()


def _check_near(G1: Generator, G2: Generator, near: tuple[Generator, Generator] | None) -> None:
    """Raise unless the networks `near` can stand in for G1 and G2."""
    if near is None:
        return
    if not (isinstance(near, tuple) and len(near) == 2):
        raise TypeError(f"jacobians_of is {told(near)}, but two generators are required; give (C1, C2).")
    for name, G, C in zip(("jacobians_of[0]", "jacobians_of[1]"), (G1, G2), near, strict=True):
        check_generator(**{name: C})
        if (C.widths[0], C.widths[-1]) != (G.widths[0], G.widths[-1]) or networks(C) or networks(G):
            shapes = tuple(f"{K.widths[0]} → {K.widths[-1]}" for K in (C, G))
            raise ValueError(
                f"{name} is {shapes[0]} and what it stands in for {shapes[1]}, but single networks with codes and values "
                "alike are required; give the same network in another precision."
            )


def _check_starts(starts: int, y: Tensor, **codes: Tensor | None) -> None:
    for name, z in codes.items():
        if starts > 1 and isinstance(z, Tensor) and z.shape[:-1] == y.shape[:-1]:
            raise ValueError(
                f"{name} is {tuple(z.shape)}, one code for each problem, but starts is {starts}: give codes for all starts, "
                f"({starts}, …), or none."
            )


def _starting_codes(
    G1: Generator,
    G2: Generator,
    y: Tensor,
    unit: Tensor,
    observed: Tensor | None,
    h: Tensor | None,
    m: Tensor | None,
    rng: torch.Generator | None,
) -> tuple[Tensor, Tensor]:
    """Return starting codes for y (*B, ℓ), or (K, *B, ℓ) of several starts, as `descend` would begin."""
    scale = code_scale(G1, G2, y) if is_gaussian(G1) and is_gaussian(G2) else None
    if scale is not None and observed is not None:
        scale = scale / observed.to(y.dtype).mean(-1).sqrt()  # ‖y‖² as if all of y had been observed
    return starting_code("h", G1, h, y, unit, scale, rng), starting_code("m", G2, m, y, unit, scale, rng)


def _in_blocks(
    G1: Generator,
    G2: Generator,
    y: Tensor,
    h: Tensor,
    m: Tensor,
    observed: Tensor | None,
    rule: StepRule,
    near: tuple[Generator, Generator] | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return (h, m, history, (converged, diverged, iterations)) of the starts y (K, *B, ℓ), block by block."""
    batch = y.shape[:-1]
    history = y.new_full((rule.iterations + 1, batch.numel()), torch.inf)
    fate = torch.zeros(3, batch.numel(), dtype=torch.long, device=y.device)
    y, h, m = (tensor.reshape(-1, tensor.shape[-1]) for tensor in (y, h, m))
    observed = None if observed is None else observed.expand(*batch, -1).reshape(y.shape)
    owner = torch.arange(len(y), device=y.device) % max(1, batch[1:].numel())
    solved = torch.zeros(batch[1:].numel(), dtype=torch.bool, device=y.device)
    for rows, A, B in blocks(G1, G2, batch, y):
        if batch[0] > 1:  # then networks are shared
            rows = rows[~solved[owner[rows]]]
        seen = None if observed is None else observed[rows]
        product = LinearisedProduct(A, B, y[rows], h[rows], m[rows], seen, near)
        progress = Progress(product, h[rows], m[rows], rule, owner[rows], solved)
        h[rows], m[rows], history[:, rows], fate[:, rows] = _run(progress)
    h, m = (tensor.view(*batch, tensor.shape[-1]) for tensor in (h, m))
    return h, m, history.view(len(history), *batch), fate.view(3, *batch)


def _run(progress: Progress) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return (h, m, history, (converged, diverged, iterations)) of one block of problems."""
    if progress.rule.iterations and progress.going.any():
        progress.begin()
    for i in range(progress.rule.iterations):
        if not progress.goes_on():
            break
        progress.advance(i + 1)
    return progress.outcome()


def _best(h: Tensor, m: Tensor, history: Tensor, fate: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return of the starts (K, *B, …) the one with the least objective for each problem, (*B, …)."""
    best = torch.where(history[-1].isnan(), torch.inf, history[-1]).argmin(0)[None]
    h, m = (z.take_along_dim(best[..., None], 0)[0] for z in (h, m))
    history, fate = (values.take_along_dim(best[None], 1)[:, 0] for values in (history, fate))
    return h, m, history, fate
