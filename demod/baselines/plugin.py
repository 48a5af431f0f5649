"""Inversion by a pullback without masks, PLUGIn [Joshi, Li, Plan and Yilmaz, 2021], and what it gives for demodulation.

Gradient descent on ½ ‖G(h) - y‖² sends the residual back through the units that are on at h, Λ_hᵀ. PLUGIn sends it back
through all units,

    h ← h - η W_1ᵀ W_2ᵀ ⋯ W_dᵀ (G(h) - y),        η = β 2^d/α,

with one matrix, however the iterates move. It is no gradient. For Gaussian weights E[Wᵀ relu(W z)] = z/2, so that in a wide
network h - h0 is multiplied by 1 - β, wherever h lies. For β < 4/3 it converges geometrically if n_i ≳ 5^i n, up to
logarithms, and n_i may be less than n_{i-1} for i > 1. (There β is called θ; α is for the rows that Theorem 2 truncates.)

`demodulate` does the same with (2), which that paper does not treat. With x = G2(m), independent of the weights of G1,

    E[x_i²] = α₂ ‖m‖²/(2^s ℓ),        E[x_i x0_i] = α₂ ‖m‖ ‖m0‖ cos θ_s/(2^s ℓ),

θ_s the angle between the outputs of wide networks, so that with η = β 2^{d+s} ℓ/(α ‖m‖²)

    h ← h - η W_1ᵀ ⋯ W_dᵀ (x ⊙ (w ⊙ x - y))   is, in expectation,   h ← (1 - β) h + β cos θ_s (‖m0‖/‖m‖) h0,

and likewise for m. For s ≥ 2 the cosine is at least ρ_s > 0: every step adds a positive multiple of h0, whatever the signs
of h and m. So the angles fall to zero, the three spurious curves are not fixed, and the size of the start does not matter.

References
----------
B. Joshi, X. Li, Y. Plan, O. Yilmaz. PLUGIn: a simple algorithm for inverting generative models with recovery guarantees.
NeurIPS 2021.
"""

from collections.abc import Callable
from functools import reduce

import torch
from torch import Tensor

from demod.arguments import check_counts, check_positive, told
from demod.baselines.estimate import Estimate, check_batch
from demod.baselines.starts import check_budget
from demod.descent.balancing import balanced
from demod.descent.problem import check_networks, check_problem
from demod.descent.starts import starting_code
from demod.generators import ReLUGenerator
from demod.torch_state import in_full_precision

Step = Callable[[], Tensor]  # takes one step, returns ‖residual‖ before it


@in_full_precision
@torch.no_grad()
def solve(
    G: ReLUGenerator,
    y: Tensor,
    *,
    h: Tensor | None = None,
    relaxation: float = 0.5,
    iterations: int = 500,
    tolerance: float = 1e-12,
    rng: torch.Generator | None = None,
) -> Estimate:
    """Recover h from y = G(h); a whole batch of problems at once.

    Parameters
    ----------
    G : ReLUGenerator
        Drawn by ReLUGenerator.gaussian, onto R^ℓ.
    y : Tensor
        Shape (*B, ℓ).
    h : Tensor, optional
        Starting codes, (*B, n); None: N(0, I), drawn from `rng`.
    relaxation : float
        β, in (0, 4/3) for the guarantee.
    iterations, tolerance, rng
        As in `demod.descent.descend`; the tolerance bounds ‖G(h) - y‖/‖y‖.

    Returns
    -------
    Estimate
        h and signal = G(h); modulator is one everywhere.

    Raises
    ------
    ValueError, TypeError
        If G was not drawn by ReLUGenerator.gaussian, the shapes or types do not fit, y is zero for some problem, or a
        setting is out of range.
    """
    _check_settings(relaxation, iterations, tolerance, G=G)
    _check_observation(G, y)
    back, eta = _linear_map(G), relaxation * 2 ** len(G.weights) / _alpha(G)
    code = starting_code("h", G, h, y, y.new_ones(()), None, rng)

    def step() -> Tensor:
        residual = G(code) - y
        code.sub_(eta * _pulled(back, residual))
        return residual.norm(dim=-1)

    spent = _iterated(step, y, iterations, tolerance)
    value = G(code)
    return _estimate(value, torch.ones_like(y), y, code, None, spent, tolerance)


@in_full_precision
@torch.no_grad()
def demodulate(
    G1: ReLUGenerator,
    G2: ReLUGenerator,
    y: Tensor,
    *,
    h: Tensor,
    m: Tensor,
    relaxation: float = 0.5,
    iterations: int = 500,
    tolerance: float = 1e-12,
) -> Estimate:
    """Recover h and m from y = G1(h) ⊙ G2(m), by turns and balanced as in Algorithm 1, and without a sign check.

    Parameters
    ----------
    G1, G2 : ReLUGenerator
        Drawn by ReLUGenerator.gaussian, onto R^ℓ.
    y : Tensor
        Shape (*B, ℓ).
    h, m : Tensor
        Starting codes, (*B, n) and (*B, p), of any length.
    relaxation : float
        β; 1 is the step that is right in expectation, less of it averages over what finite networks add.
    iterations, tolerance
        As in `demod.descent.descend`.

    Raises
    ------
    ValueError, TypeError
        As `solve`, for both networks.
    """
    _check_settings(relaxation, iterations, tolerance, G1=G1, G2=G2)
    check_problem(G1, G2, y)
    back1, back2 = _linear_map(G1), _linear_map(G2)
    unit = relaxation * 2 ** (len(G1.weights) + len(G2.weights)) * y.shape[-1] / (_alpha(G1) * _alpha(G2))
    one = y.new_ones(())
    codes = balanced(starting_code("h", G1, h, y, one, None, None), starting_code("m", G2, m, y, one, None, None))

    def step() -> Tensor:
        nonlocal codes
        h, m = codes
        x = G2(m)
        residual = G1(h) * x - y
        h = h - unit / m.square().sum(-1, keepdim=True) * _pulled(back1, x * residual)
        w = G1(h)
        m = m - unit / h.square().sum(-1, keepdim=True) * _pulled(back2, w * (w * x - y))
        codes = balanced(h, m)
        return residual.norm(dim=-1)

    spent = _iterated(step, y, iterations, tolerance)
    return _estimate(G1(codes[0]), G2(codes[1]), y, *codes, spent, tolerance)


def _iterated(step: Step, y: Tensor, iterations: int, tolerance: float) -> int:
    """Take steps until every problem has converged or is lost, and return how many."""
    bound = tolerance * y.norm(dim=-1)
    for k in range(iterations):
        residual = step()
        if ((residual <= bound) | ~residual.isfinite()).all():
            return k + 1
    return iterations


def _linear_map(G: ReLUGenerator) -> Tensor:
    """Return W_d ⋯ W_1, shape (*N, ℓ, n)."""
    return reduce(lambda product, W: W @ product, G.weights)


def _pulled(back: Tensor, residual: Tensor) -> Tensor:
    """Return W_1ᵀ ⋯ W_dᵀ r for residuals r (*B, ℓ), shape (*B, n)."""
    return (residual[..., None, :] @ back).squeeze(-2)


def _estimate(
    signal: Tensor, modulator: Tensor, y: Tensor, h: Tensor, m: Tensor | None, spent: int, tolerance: float
) -> Estimate:
    residual = (signal * modulator - y).norm(dim=-1)
    return Estimate(
        *(signal, modulator, h, m),
        objective=residual.square() / 2,
        converged=residual <= tolerance * y.norm(dim=-1),
        iterations=torch.full(y.shape[:-1], spent, device=y.device),
    )


def _alpha(G: ReLUGenerator) -> float:
    if G.alpha is None:
        raise ValueError(
            "G has no α, but the step is that of networks drawn by ReLUGenerator.gaussian, whose weights make up for the "
            "masks on average: use demod.baselines.inversion or demod.descent for others."
        )
    return G.alpha


def _check_settings(relaxation: float, iterations: int, tolerance: float, **generators: ReLUGenerator) -> None:
    check_positive(relaxation=relaxation)
    check_counts(0, iterations=iterations)
    check_budget(iterations, tolerance)
    for name, G in generators.items():
        if not isinstance(G, ReLUGenerator):
            raise TypeError(f"{name} is {told(G)}, but PLUGIn needs the weights of a ReLUGenerator drawn by gaussian.")
        _alpha(G)


def _check_observation(G: ReLUGenerator, y: Tensor) -> None:
    check_batch(y)
    if y.shape[-1:] != G.widths[-1:]:
        raise ValueError(f"y has shape {tuple(y.shape)}, but G produces {G.widths[-1]} entries; give (*B, {G.widths[-1]}).")
    check_networks(y, G=G)
