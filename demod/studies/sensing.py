"""Compressed sensing of digits from few Gaussian measurements: CSGM with a trained prior, and the lasso.

    y = A x,        A (k, 4096) with independent entries N(0, 1/k), x an inverted digit

All digits of a task share A. Both are scored by the mean squared error of the image. CSGM fits the code of the shipped ReLU
prior by damped Gauss–Newton steps and keeps, of its starts, the one of least residual; the lasso is given for each digit the best of its weights, which takes the truth to know.
"""

import torch
from torch import Tensor

from demod.baselines import lasso
from demod.baselines.bases import basis
from demod.gauss_newton import solve
from demod.generators import Constant, Measured
from demod.priors.image import draw_codes
from demod.priors.relu import load_prior
from demod.studies.same_signal import factors
from demod.studies.sweeps import Result, Task


def sense(task: Task, rng: torch.Generator) -> Result:
    """Recover digits from Gaussian measurements.

    Parameters
    ----------
    task : mapping
        measurements, k, and digits; starts and iterations of CSGM, or basis, of `demod.baselines.bases.BASES`, of the lasso.
    rng : torch.Generator
        On the CPU.

    Returns
    -------
    dict
        error, the mean squared error, shape (digits,).
    """
    x, _ = factors(task["digits"], 0)
    A = torch.randn(task["measurements"], x[0].numel(), generator=rng, device="cpu") / task["measurements"] ** 0.5
    y = x.flatten(1) @ A.mT
    if "basis" in task:
        images = lasso.solve(A, y, basis(task["basis"]))
        return {"error": (images - x).square().mean((-2, -1)).amin(0)}
    return {"error": (_csgm(task, A, y, rng).reshape(x.shape) - x).square().mean((-2, -1))}


def _csgm(task: Task, A: Tensor, y: Tensor, rng: torch.Generator) -> Tensor:
    """Return G(h), (digits, 4096), of the codes that fit y best."""
    G, starts = load_prior("digits"), task["starts"]
    h = draw_codes(G, (starts, len(y)), rng)
    rule = {"starts": starts, "iterations": task["iterations"], "tolerance": 0.0, "linearise_every": 4, "dampings": 3}
    found = solve(Measured(G, A), Constant(torch.ones_like(y[0])), y, h=h, m=torch.zeros_like(h[..., :1]), **rule)
    return G(found.h).detach()
