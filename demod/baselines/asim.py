"""Alternating gradient descent over both latent codes with a penalty on their norms [Asim, Shamshad and Ahmed, 2018].

    minimise ‖y - G1(h) ⊙ G2(m)‖² + γ ‖h‖² + λ ‖m‖²    over h and m

by Adam, a step in h and then one in m that sees the new h, from several starts of which the one with the least residual is
kept. The paper of 2018 treats blind deconvolution; this is its program for products. Where Algorithm 1 balances the norms
and checks the signs, it has a penalty and restarts: of all (c h, m/c), which give the same product where both generators are
homogeneous, the penalty is least at γ ‖h‖² = λ ‖m‖². It also shrinks the product, at ‖h‖ = ‖m‖ and γ = λ by the part
γ ‖h‖‖m‖/‖y‖². There is no guarantee of recovery.

References
----------
M. Asim, F. Shamshad, A. Ahmed. Solving bilinear inverse problems using deep generative priors. 2018.
"""

import torch
from torch import Tensor

from demod.arguments import check_generator
from demod.baselines.estimate import Estimate, check_batch
from demod.baselines.starts import AdamCode, best_length, check_starts, draw_starts, least
from demod.descent.problem import check_networks
from demod.generators import Generator
from demod.objective import check_observation
from demod.torch_state import in_full_precision


@in_full_precision
def solve(
    G1: Generator,
    G2: Generator,
    y: Tensor,
    *,
    weights: tuple[float, float] = (0.0, 0.0),
    step_size: float = 0.1,
    iterations: int = 500,
    restarts: int = 5,
    rng: torch.Generator,
) -> Estimate:
    """Recover h and m from y = G1(h) ⊙ G2(m); a whole batch of problems at once.

    Parameters
    ----------
    G1, G2 : Generator
        Onto R^ℓ.
    y : Tensor
        Shape (*B, ℓ).
    weights : (float, float)
        (γ, λ), not negative. Where both generators are homogeneous, a penalty also shrinks the product.
    step_size, iterations, restarts : float, int, int
        Of Adam, as in `AdamCode`; the number of starts for each problem.
    rng : torch.Generator
        On the CPU, for the starts.

    Returns
    -------
    Estimate
        Of the start that was kept, as the descent left it: nothing balances the norms but the penalty.

    Raises
    ------
    ValueError
        If the shapes do not fit, an entry is not finite, y is zero for some problem, or a setting is out of range.
    """
    check_generator(G1=G1, G2=G2)
    check_observation(G1, G2, y)
    check_batch(y)
    check_networks(y, G1=G1, G2=G2)
    if not isinstance(weights, tuple | list) or len(weights) != 2:
        raise ValueError(f"weights is {weights!r}, but two numbers (γ, λ) are required, (0, 0) for no penalty.")
    check_starts(restarts, iterations, step_size, *weights)
    (gamma, lambda_), y = weights, y.detach()
    energy = y.square().sum(-1, keepdim=True)
    first, second = (AdamCode(z, step_size, iterations) for z in _starts(G1, G2, y, rng, restarts))
    (w, pull_h), (x, pull_m) = G1.vjp(first.z), G2.vjp(second.z)
    for _ in range(iterations):
        first.step(2 * (pull_h(x * (w * x - y)) + gamma * first.z) / energy)
        w, pull_h = G1.vjp(first.z)
        second.step(2 * (pull_m(w * (w * x - y)) + lambda_ * second.z) / energy)
        x, pull_m = G2.vjp(second.z)
    h, m, residual = first.z, second.z, (w * x - y).detach().square().sum(-1)
    objective = residual + gamma * h.square().sum(-1) + lambda_ * m.square().sum(-1)
    h, m, objective = least(residual, h, m, objective)
    spent = torch.full(y.shape[:-1], iterations, device=y.device)
    return Estimate(G1(h).detach(), G2(m).detach(), h, m, objective=objective.detach(), iterations=spent)


def _starts(G1: Generator, G2: Generator, y: Tensor, rng: torch.Generator, restarts: int) -> tuple[Tensor, Tensor]:
    """Return the starting codes, (restarts, *B, n) and (restarts, *B, p), of the best length where that can be chosen."""
    h, m = draw_starts(y, rng, restarts, G1, G2)
    c = best_length(G1(h) * G2(m), y) ** (1 / max(G1.homogeneous + G2.homogeneous, 1))
    return h * c if G1.homogeneous else h, m * c if G2.homogeneous else m
