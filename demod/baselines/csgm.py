"""Inversion of a generator when the modulator is known, as in CSGM [Bora, Jalal, Price and Dimakis, 2017].

    minimise ‖y - G1(h) ⊙ x0‖² + λ ‖h‖²    over h

by Adam from several starts, of which the one with the least residual is kept. Nothing is blind here: it shows what the prior
G1 can do at best. For Gaussian measurements of an L-Lipschitz generator the minimiser is near-optimal once their number is
of the order of n log L; that the descent finds it is observed, not proved.

References
----------
A. Bora, A. Jalal, E. Price, A. G. Dimakis. Compressed sensing using generative models. ICML 2017.
"""

import torch
from torch import Tensor

from demod.baselines.estimate import Estimate, check_factor
from demod.baselines.starts import AdamCode, best_length, check_starts, draw_starts, least
from demod.generators import Generator
from demod.torch_state import in_full_precision


@in_full_precision
def solve(
    G1: Generator,
    modulator: Tensor,
    y: Tensor,
    *,
    weight: float = 0.0,
    step_size: float = 0.1,
    iterations: int = 500,
    restarts: int = 5,
    rng: torch.Generator,
) -> Estimate:
    """Recover h from y = G1(h) ⊙ x0 with the modulator x0 known; a whole batch of problems at once.

    Parameters
    ----------
    G1 : Generator
        Onto R^ℓ.
    modulator, y : Tensor
        x0 and y, shapes (*B, ℓ).
    weight : float
        λ ≥ 0.
    step_size, iterations, restarts : float, int, int
        Of Adam, as in `AdamCode`; the number of starts for each problem.
    rng : torch.Generator
        On the CPU, for the starts.

    Returns
    -------
    Estimate
        h of the start that was kept; modulator is the one given, objective that of the program.

    Raises
    ------
    ValueError
        If the shapes or types do not fit, an entry is not finite, y is zero for some problem, or a setting is out of range.
    """
    check_factor(G1, "modulator", modulator, y)
    check_starts(restarts, iterations, step_size, weight)
    y, modulator = y.detach(), modulator.detach()
    (z,), energy = draw_starts(y, rng, restarts, G1), y.square().sum(-1, keepdim=True)
    code = AdamCode(best_length(G1(z) * modulator, y) * z if G1.homogeneous else z, step_size, iterations)
    for _ in range(iterations):
        w, pull = G1.vjp(code.z)
        code.step(2 * (pull(modulator * (modulator * w - y)) + weight * code.z) / energy)
    w = G1(code.z).detach()
    residual = (w * modulator - y).square().sum(-1)
    objective = residual + weight * code.z.square().sum(-1)
    h, w, objective = least(residual, code.z, w, objective)
    return Estimate(w, modulator, h=h, objective=objective, iterations=torch.full(y.shape[:-1], iterations, device=y.device))
