"""Compressed sensing of digits from few Gaussian measurements: CSGM with a trained prior, and the lasso.

    y = A x,        A (k, 4096) with independent entries N(0, 1/k), x an inverted digit

All digits of a task share A. Both are scored by the mean squared error of the image. CSGM fits the code of a shipped prior
by damped Gauss–Newton steps and keeps, of its starts, the one of least residual; the lasso is given for each digit the best
of its weights, which takes the truth to know.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from demod.baselines import lasso
from demod.baselines.bases import basis
from demod.dcgan import load_generator
from demod.demodulation import image_problems
from demod.gauss_newton import solve
from demod.generators import Constant, Measured
from demod.priors.image import draw_codes
from demod.priors.relu import load_prior
from demod.studies.blocks import FIRST_DIGIT
from demod.studies.sweeps import Result, Task


def sense(task: Task, rng: torch.Generator) -> Result:
    """Recover digits from Gaussian measurements.

    Parameters
    ----------
    task : mapping
        measurements, k, and digits; for CSGM prior, "relu" or "dcgan", starts and iterations; for the lasso basis, of
        `demod.baselines.bases.BASES`.
    rng : torch.Generator
        On the CPU.

    Returns
    -------
    dict
        error, the mean squared error, shape (digits,).
    """
    x, _, _ = image_problems(FIRST_DIGIT, task["digits"])
    A = torch.randn(task["measurements"], x[0].numel(), generator=rng, device="cpu") / task["measurements"] ** 0.5
    y = x.flatten(1) @ A.mT
    if "basis" in task:
        images = lasso.solve(A, y, basis(task["basis"]))
        return {"error": (images - x).square().mean((-2, -1)).amin(0)}
    return {"error": (_csgm(task, A, y, rng).reshape(x.shape) - x).square().mean((-2, -1))}


def saving(counts: Sequence[int], lasso_errors: np.ndarray, csgm_errors: np.ndarray, measurements: int) -> np.ndarray:
    """Return, for each digit, the lasso's measurements over those of CSGM at the same error, shape (digits,).

    log error is interpolated linearly in log k; where not even the largest k reaches the error, that k counts: the ratio is
    then at least the one that is returned.

    Parameters
    ----------
    counts : sequence of int
        k, ascending, of the lasso.
    lasso_errors, csgm_errors : array
        Shapes (counts, digits) and (digits,).
    measurements : int
        Of CSGM.
    """
    k = np.log(np.asarray(counts, float))
    columns = np.minimum.accumulate(np.log(lasso_errors), axis=0).T  # interpolation needs what never rises
    found = [np.interp(-e, -column, k) for e, column in zip(np.log(csgm_errors), columns, strict=True)]
    return np.exp(found) / measurements


def _csgm(task: Task, A: Tensor, y: Tensor, rng: torch.Generator) -> Tensor:
    """Return G(h), (digits, 4096), of the codes that fit y best."""
    G = load_prior("digits") if task["prior"] == "relu" else load_generator("digits-tuned")
    starts = task["starts"]
    h = draw_codes(G, (starts, len(y)) if starts > 1 else (len(y),), rng)
    rule = {"starts": starts, "iterations": task["iterations"], "tolerance": 0.0, "linearise_every": 4, "dampings": 3}
    found = solve(Measured(G, A), Constant(torch.ones_like(y[0])), y, h=h, m=torch.zeros_like(h[..., :1]), **rule)
    return G(found.h).detach()
