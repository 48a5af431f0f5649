"""Algorithm 1: alternating descent for (2) with a sign check and norm balancing.

    for i = 1, 2, …:
        (h_i, m_i) ← the one of (±h_i, ±m_i) with the least f                       line 3
        h_{i+1} ← h_i - η ∇_h f(h_i, m_i),   m_{i+1} ← m_i - η ∇_m f(h_{i+1}, m_i)    line 4
        c ← √(‖h_{i+1}‖/‖m_{i+1}‖),   h_{i+1} ← h_{i+1}/c,   m_{i+1} ← c m_{i+1}      line 5

A whole batch of problems runs at once, each with its own signs, step size and fate. With momentum μ the steps are
v ← μ v + ∇f, z ← z - η v; a reflection negates a code and its v together, balancing scales both alike.

Relative steps divide η by the squared norm of the other code: η/‖m_i‖² for h, η/‖h_{i+1}‖² for m. As f is quadratic in h
with a curvature in proportion to ‖m‖², and vice versa, one η then serves starts of any norm.
"""

import torch
from torch import Tensor

from demod.descent.blocks import blocks
from demod.descent.lines import Descent
from demod.descent.problem import check_problem
from demod.descent.progress import Progress
from demod.descent.rule import Rule
from demod.descent.solution import Solution
from demod.descent.starts import code_scale, default_step_size, is_gaussian, starting_code, step_sizes
from demod.descent.units import code_unit
from demod.generators import Generator
from demod.torch_state import in_full_precision


@in_full_precision
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
    relative_steps: bool = False,
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
        η, multiplying ∇f of (2), the sum over ℓ entries. None is the rule of `default_step_size`. With relative steps it is
        in units of a squared norm of a code.
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
    relative_steps : bool
        Whether η is divided by ‖m‖² where h moves, and by ‖h‖² where m does; False is the algorithm as printed. Then a start
        may have any norm, where a constant η asks for one below about 2 √Ĥ0. For homogeneous generators.

    Raises
    ------
    ValueError
        If y, h or m is not finite or does not fit, y is zero, or, where a generator is not homogeneous, so small or large
        that its squares are no numbers, a homogeneous generator is to start from zero, a setting is out of its range,
        step_size does not fit, or it is None and a network is not Gaussian.
    TypeError
        If G1 or G2 is no generator, y, h or m no tensor, rng no `torch.Generator`, or a setting of the wrong type.
    """
    check_problem(G1, G2, y)
    homogeneous = G1.homogeneous and G2.homogeneous
    balance = homogeneous if balance is None else balance
    rule = Rule(momentum, iterations, tolerance, reflect_every, balance, simultaneous, relative_steps)
    if relative_steps and not homogeneous:
        raise ValueError("relative_steps is True, but G1 or G2 is not homogeneous, and slopes do not grow with codes.")
    eta = None if step_size is None else step_sizes(step_size, y)[..., None]
    unit = code_unit(y) if homogeneous else torch.ones_like(y[..., :1])
    y = y.detach() / unit / unit
    scale = code_scale(G1, G2, y) if is_gaussian(G1) and is_gaussian(G2) else None
    if eta is None:
        eta = default_step_size(G1, G2, y, relative=relative_steps)[..., None]
    elif not relative_steps:
        eta = eta * unit * unit
    h, m = starting_code("h", G1, h, y, unit, scale, rng), starting_code("m", G2, m, y, unit, scale, rng)
    h, m, history, fate = _in_blocks(G1, G2, y, h, m, eta, rule)
    h, m, history = h * unit, m * unit, history * unit[..., 0] * unit[..., 0] * unit[..., 0] * unit[..., 0]
    converged, diverged, spent = fate
    return Solution(h, m, G1(h).detach(), G2(m).detach(), history, converged > 0, diverged > 0, spent)


def _in_blocks(
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
    """Return (h, m, history, (converged, diverged, iterations)) of one block of problems y (B, ℓ)."""
    descent = Descent(G1, G2, y, h, m)
    progress = Progress(descent, h, m, eta, rule)
    for i in range(rule.iterations):
        if not progress.goes_on():
            break
        if rule.reflects_at(i):
            descent.reflect()  # line 3
        descent.step(progress.eta, rule, mirror=rule.reflects_at(i + 1))  # line 4
        if rule.balance:
            descent.balance()  # line 5
        progress.note(i + 1)
    return progress.outcome()
