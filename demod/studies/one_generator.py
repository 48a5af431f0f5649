"""One generator: inversion and phase retrieval from few Gaussian measurements, and where plain descent ends.

    y = A G(h0)  or  y = (A G(h0))²,        A Gaussian (ℓ, N),  d layers, G: n → 10 n → … → N as in Theorem 2

The problems of a task have networks and codes of their own; A is drawn anew for every eight of them.
"""

import math
from typing import cast

import torch
from torch import Tensor

from demod.baselines import inversion, phase_retrieval
from demod.expectation import contraction
from demod.generators import Measured, ReLUGenerator
from demod.studies.sweeps import Result, Task

TOGETHER = 8  # problems that share A
OUTPUTS = 400  # N, and the expansion of the inner layers, where the task has no others
EXPANSION = 10


def invert_measured(task: Task, rng: torch.Generator) -> Result:
    """Invert, or retrieve the phase of, fresh generators from random starts.

    Parameters
    ----------
    task : mapping
        squared, whether y = (A G(h0))² is observed; n, depth, ell, trials and iterations; optionally outputs, N, and
        expansion, and reflect_every as in `descend`.
    rng : torch.Generator
        On the CPU.

    Returns
    -------
    dict
        error, ‖h - h0‖/‖h0‖, and mirrored, ‖h + ρ_d h0‖/‖h0‖, of the end of the descent, shape (trials,).
    """
    parts = [_invert_some(task, rng) for _ in range(math.ceil(task["trials"] / TOGETHER))]
    return {name: torch.cat([part[name] for part in parts])[: task["trials"]] for name in parts[0]}


def _invert_some(task: Task, rng: torch.Generator) -> Result:
    n, depth, ell = task["n"], task["depth"], task["ell"]
    outputs, inner = task.get("outputs", OUTPUTS), task.get("expansion", EXPANSION) * n
    widths = (n, *(inner for _ in range(depth - 1)), outputs)
    G = ReLUGenerator.gaussian(widths, rng, batch=(TOGETHER,))
    A = torch.randn(ell, outputs, generator=rng, dtype=torch.float64, device="cpu")
    h0 = torch.randn(TOGETHER, n, generator=rng, dtype=torch.float64, device="cpu")
    rule = {"iterations": task["iterations"], "tolerance": 1e-6, "reflect_every": task.get("reflect_every", 1), "rng": rng}
    z = G(h0) @ A.mT
    if task["squared"]:
        estimate = phase_retrieval.solve(G, z.square(), A=A, **rule)
    else:
        step_size = inversion.inversion_step_size(G, A.norm(dim=0))  # in expectation A acts like the norms of its columns
        estimate = inversion.solve(Measured(G, A), torch.ones_like(z), z, step_size=step_size, **rule)
    h = cast(Tensor, estimate.h)  # an inversion returns its code
    rho, length = contraction(depth), h0.norm(dim=-1)
    return {"error": (h - h0).norm(dim=-1) / length, "mirrored": (h + rho * h0).norm(dim=-1) / length}
