"""Comparison: Algorithm 1 and the methods of the related work, each on random problems of its own class.

    subspaces     y = B h0 ⊙ C m0, B and C Gaussian (ℓ, n): lifted, bilinear_gradient, and phasemax for B h0 = C m0
    sparsity      the same with B and C Gaussian (ℓ, N), h0 and m0 with n nonzero entries: power_factorization, which is told
                  n, and branchhull with P = ‖·‖₁, which is told the signs of B h0
    generators    y = G1(h0) ⊙ G2(m0), networks n → 10 n → ℓ as in Theorem 2: algorithm_1 and asim, and the special cases
                  inversion and csgm, where G2(m0) is known, and phase_retrieval, where G1(h0) = G2(m0)

The codes, or their nonzero entries, are Gaussian, and n = p everywhere. One problem is solved at a time.
"""

import statistics
import time
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from demod.baselines import (
    Estimate,
    asim,
    bilinear_gradient,
    csgm,
    inversion,
    phase_retrieval,
    phasemax,
    power_factorization,
)
from demod.descent import Solution, descend, outer_product_error
from demod.generators import ReLUGenerator
from demod.studies.sweeps import Result, Task

Solve = Callable[[], Estimate | Solution]

SUBSPACES = ("lifted", "bilinear_gradient", "phasemax")
SPARSITY = ("power_factorization", "branchhull")
GENERATORS = ("algorithm_1", "asim", "inversion", "csgm", "phase_retrieval")
EXPANSION = 10  # the ambient dimension N of sparse codes, and the inner width of the networks, over n
ITERATIONS, TOLERANCE = 2000, 1e-6  # of the methods that are Algorithm 1 or parts of it


def run_method(task: Task, rng: torch.Generator) -> Result:
    """Run a method on fresh problems.

    Parameters
    ----------
    task : mapping
        method, a name of the lists above, n, ell and trials.
    rng : torch.Generator
        On the CPU.

    Returns
    -------
    dict
        error, the outer-product error, shape (trials,); that of h alone where the method is given m0.
    """
    errors = []
    for _ in range(task["trials"]):
        solve, h0, m0 = plant(task["method"], task["n"], task["ell"], rng)
        estimate = solve()
        h = cast(Tensor, estimate.h)  # all methods that are compared return codes
        errors.append(outer_product_error(h, m0 if estimate.m is None else estimate.m, h0, m0))
    return {"error": torch.stack(errors)}


def method_seconds(method: str, n: int, ell: int, rng: torch.Generator, *, problems: int = 3) -> float:
    """Return the median time of a solution, in seconds, over fresh problems, after one that warms up."""
    seconds = []
    for _ in range(problems + 1):
        solve, _, _ = plant(method, n, ell, rng)
        start = time.perf_counter()
        solve()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def nonzero_share(n: int, ell: int, rng: torch.Generator, *, problems: int = 200) -> float:
    """Return the share of entries of y = G1(h0) ⊙ G2(m0) that are not zero, over fresh problems of the class above."""
    G1, G2 = (ReLUGenerator.gaussian((n, EXPANSION * n, ell), rng, batch=(problems,)) for _ in range(2))
    h0, m0 = _normal(rng, 2, problems, n)
    return (G1(h0) * G2(m0) != 0).double().mean().item()


def plant(method: str, n: int, ell: int, rng: torch.Generator) -> tuple[Solve, Tensor, Tensor]:
    """Return a random problem of the method's class: the call that solves it, and the codes h0 and m0.

    Raises
    ------
    ValueError
        If there is no such method.
    """
    if method in GENERATORS:
        return _plant_generators(method, n, ell, rng)
    if method in SPARSITY:
        return _plant_matrices(method, n, EXPANSION * n, ell, rng)
    if method in SUBSPACES:
        return _plant_matrices(method, n, n, ell, rng)
    raise ValueError(f"method is {method!r}; required is one of {', '.join(SUBSPACES + SPARSITY + GENERATORS)}.")


def _normal(rng: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=rng, dtype=torch.float64, device="cpu")


def _plant_matrices(method: str, n: int, ambient: int, ell: int, rng: torch.Generator) -> tuple[Solve, Tensor, Tensor]:
    """Plant n nonzero entries in each code of `ambient` ones."""
    B, C = (_normal(rng, ell, ambient) for _ in range(2))
    h0, m0 = torch.zeros(2, ambient, dtype=torch.float64, device="cpu")
    for code in (h0, m0):
        code[torch.randperm(ambient, generator=rng, device="cpu")[:n]] = _normal(rng, n)
    w, y = B @ h0, B @ h0 * (C @ m0)
    match method:
        case "lifted":
            from demod.baselines import lifted  # cvxpy is an extra

            return lambda: lifted.solve(B, C, y, solver="CLARABEL"), h0, m0
        case "bilinear_gradient":
            return lambda: bilinear_gradient.solve(B, C, y), h0, m0
        case "power_factorization":
            return lambda: power_factorization.solve(B, C, y, (n, n)), h0, m0
        case "branchhull":
            from demod.baselines import branchhull  # cvxpy is an extra

            return lambda: branchhull.solve(B, C, y, w.sign(), "l1"), h0, m0
    square = w.square()
    return lambda: phasemax.solve(B, square, phasemax.spectral_anchor(B, square)), h0, h0


def _plant_generators(method: str, n: int, ell: int, rng: torch.Generator) -> tuple[Solve, Tensor, Tensor]:
    G1, G2 = (ReLUGenerator.gaussian((n, EXPANSION * n, ell), rng) for _ in range(2))
    h0, m0 = _normal(rng, 2, n)
    w, x = G1(h0), G2(m0)
    match method:
        case "algorithm_1":
            return lambda: descend(G1, G2, w * x, rng=rng, iterations=ITERATIONS, tolerance=TOLERANCE), h0, m0
        case "asim":
            return lambda: asim.solve(G1, G2, w * x, rng=rng), h0, m0
        case "inversion":
            return lambda: inversion.solve(G1, x, w * x, rng=rng, iterations=ITERATIONS, tolerance=TOLERANCE), h0, m0
        case "csgm":
            return lambda: csgm.solve(G1, x, w * x, rng=rng), h0, m0
    return lambda: phase_retrieval.solve(G1, w.square(), rng=rng, iterations=ITERATIONS, tolerance=TOLERANCE), h0, h0
