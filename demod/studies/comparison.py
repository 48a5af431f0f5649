"""Comparison: Algorithm 1 and the methods of the related work, each on random problems of its own class.

    subspaces     y = B h0 ⊙ C m0, B and C Gaussian (ℓ, n): lifted, bilinear_gradient, and phasemax for B h0 = C m0
    sparsity      the same with B and C Gaussian (ℓ, N), h0 and m0 with n nonzero entries: power_factorization, which is told
                  n, and branchhull with P = ‖·‖₁, which is told the signs of B h0
    generators    y = G1(h0) ⊙ G2(m0), networks n → 10 n → ℓ as in Theorem 2: algorithm_1 and asim, and the special cases
                  inversion and csgm, where G2(m0) is known, and phase_retrieval, where G1(h0) = G2(m0)

The codes, or their nonzero entries, are Gaussian where nothing else is said, and n = p everywhere. One problem is solved at
a time. A method that depends on its start gets as many as the task says, its own first and then random ones, until one of
them fits y; otherwise that of least residual counts. Lifting, BranchHull and PhaseMax are convex: one start is all.
"""

import math
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, cast

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
from demod.descent import Solution, code_scale, descend, outer_product_error
from demod.generators import ReLUGenerator
from demod.studies.sweeps import Result, Task

Solve = Callable[[], Estimate | Solution]
Codes = Literal["gaussian", "flat", "peaky"]

SUBSPACES = ("lifted", "bilinear_gradient", "phasemax")
SPARSITY = ("power_factorization", "branchhull")
GENERATORS = ("algorithm_1", "asim", "inversion", "csgm", "phase_retrieval")
EXPANSION = 10  # the ambient dimension N of sparse codes, and the inner width of the networks, over n
ITERATIONS, TOLERANCE = 2000, 1e-6  # of the methods that are Algorithm 1 or parts of it, where the task has no others
PENALTY = 1e-5  # of asim, the part γ Ĥ0/‖y‖² by which it shrinks the product; 1e-4 is large enough to spoil recoveries
PEAK = 4.0  # of a peaky code: its largest entry in units of the norm of the others


@dataclass(frozen=True)
class Plan:
    """What a task says: which method solves which problem, and how.

    n, ell : the dimension of the codes, or the number of their nonzero entries, and that of y.
    starts : of methods that depend on them.
    random : whether bilinear_gradient starts in a random direction only.
    ambient : N, of sparse codes; None is 10 n.
    codes : "gaussian"; "flat", nonzero entries ±1; "peaky", Gaussian but for one entry of four times the norm of the others.
    angle : between the anchor of phasemax and m0, in degrees; None is the spectral anchor.
    penalty : of asim, γ = λ in units of ‖y‖²/Ĥ0.
    iterations : of Algorithm 1 and its parts, and of asim where it is given.
    """

    method: str
    n: int
    ell: int
    starts: int = 1
    random: bool = False
    ambient: int | None = None
    codes: Codes = "gaussian"
    angle: float | None = None
    penalty: float = PENALTY
    iterations: int | None = None


def run_method(task: Task, rng: torch.Generator) -> Result:
    """Run a method on fresh problems.

    Parameters
    ----------
    task : mapping
        The fields of `Plan`, and trials.
    rng : torch.Generator
        On the CPU.

    Returns
    -------
    dict
        error, the outer-product error, shape (trials,); that of h alone where the method is given m0. imbalance,
        |log ‖h‖/‖m‖| of the codes that the method returns.
    """
    plan = Plan(**{name: value for name, value in task.items() if name != "trials"})
    found = [_solved(plan, rng) for _ in range(task["trials"])]
    return {name: torch.stack([result[name] for result in found]) for name in found[0]}


def _solved(plan: Plan, rng: torch.Generator) -> Result:
    solve, h0, m0 = plant_plan(plan, rng)
    estimate = solve()
    h = cast(Tensor, estimate.h)  # all methods that are compared return codes
    m = m0 if estimate.m is None else estimate.m
    return {"error": outer_product_error(h, m, h0, m0), "imbalance": (h.norm() / m.norm()).log().abs()}


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
    return plant_plan(Plan(method, n, ell), rng)


def plant_plan(plan: Plan, rng: torch.Generator) -> tuple[Solve, Tensor, Tensor]:
    """Return a random problem of a plan: the call that solves it, and the codes h0 and m0.

    Raises
    ------
    ValueError
        If there is no such method.
    """
    if plan.method in GENERATORS:
        return _plant_generators(plan, rng)
    if plan.method in SPARSITY:
        return _plant_matrices(plan, plan.ambient or EXPANSION * plan.n, rng)
    if plan.method in SUBSPACES:
        return _plant_matrices(plan, plan.n, rng)
    raise ValueError(f"method is {plan.method!r}; required is one of {', '.join(SUBSPACES + SPARSITY + GENERATORS)}.")


def _normal(rng: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=rng, dtype=torch.float64, device="cpu")


def _sparse_code(plan: Plan, ambient: int, rng: torch.Generator) -> Tensor:
    """Return a code of `ambient` entries, n of which are not zero."""
    values, code = _normal(rng, plan.n), torch.zeros(ambient, dtype=torch.float64, device="cpu")
    if plan.codes == "flat":
        values = values.sign()
    if plan.codes == "peaky":
        values[0] = PEAK * values[1:].norm() if plan.n > 1 else values[0]
    code[torch.randperm(ambient, generator=rng, device="cpu")[: plan.n]] = values
    return code


def _best(attempts: Iterable[Estimate | Solution], y: Tensor) -> Estimate | Solution:
    """Return the first attempt that fits y, and the one of least residual where none does."""
    found: list[tuple[float, Estimate | Solution]] = []
    for attempt in attempts:
        found.append((((attempt.signal * attempt.modulator - y).norm() / y.norm()).item(), attempt))
        if found[-1][0] <= TOLERANCE:
            break
    return min(found, key=lambda pair: pair[0])[1]


def _plant_matrices(plan: Plan, ambient: int, rng: torch.Generator) -> tuple[Solve, Tensor, Tensor]:
    """Plant n nonzero entries in each code of `ambient` ones."""
    B, C = (_normal(rng, plan.ell, ambient) for _ in range(2))
    h0, m0 = (_sparse_code(plan, ambient, rng) for _ in range(2))
    w, y, n = B @ h0, B @ h0 * (C @ m0), plan.n
    match plan.method:
        case "lifted":
            from demod.baselines import lifted  # cvxpy is an extra

            return lambda: lifted.solve(B, C, y, solver="CLARABEL"), h0, m0
        case "bilinear_gradient":
            mu = math.sqrt(2 * math.log(plan.ell))  # the largest of ℓ Gaussian numbers, nearly
            own = [] if plan.random else [None]
            starts = [*own, *(bilinear_gradient.random_start(B, C, y, rng) for _ in range(plan.starts - len(own)))]
            return lambda: _best((bilinear_gradient.solve(B, C, y, incoherence=mu, start=s) for s in starts), y), h0, m0
        case "power_factorization":
            first = [None, *(_sparse_code(plan, ambient, rng) for _ in range(plan.starts - 1))]
            return lambda: _best((power_factorization.solve(B, C, y, (n, n), m=m) for m in first), y), h0, m0
        case "branchhull":
            from demod.baselines import branchhull  # cvxpy is an extra

            return lambda: branchhull.solve(B, C, y, w.sign(), "l1"), h0, m0
    square = w.square()
    anchor = phasemax.spectral_anchor(B, square) if plan.angle is None else _at_angle(h0, plan.angle, rng)
    return lambda: phasemax.solve(B, square, anchor), h0, h0


def _at_angle(code: Tensor, degrees: float, rng: torch.Generator) -> Tensor:
    """Return a unit vector at this angle from a code, in a random direction."""
    axis, other = code / code.norm(), _normal(rng, len(code))
    other = other - (other @ axis) * axis
    return math.cos(math.radians(degrees)) * axis + math.sin(math.radians(degrees)) * other / other.norm()


def _plant_generators(plan: Plan, rng: torch.Generator) -> tuple[Solve, Tensor, Tensor]:
    n, starts = plan.n, range(plan.starts)
    G1, G2 = (ReLUGenerator.gaussian((n, EXPANSION * n, plan.ell), rng) for _ in range(2))
    h0, m0 = _normal(rng, 2, n)
    w, x = G1(h0), G2(m0)
    y, iterations = w * x, plan.iterations or ITERATIONS
    match plan.method:
        case "algorithm_1":
            return (
                lambda: _best((descend(G1, G2, y, rng=rng, iterations=iterations, tolerance=TOLERANCE) for _ in starts), y),
                h0,
                m0,
            )
        case "asim":
            weight = plan.penalty * (y.square().sum() / code_scale(G1, G2, y)).item()
            spend = {} if plan.iterations is None else {"iterations": plan.iterations}
            return lambda: asim.solve(G1, G2, y, weights=(weight, weight), restarts=plan.starts, rng=rng, **spend), h0, m0
        case "inversion":
            return (
                lambda: _best(
                    (inversion.solve(G1, x, y, rng=rng, iterations=iterations, tolerance=TOLERANCE) for _ in starts), y
                ),
                h0,
                m0,
            )
        case "csgm":
            return lambda: csgm.solve(G1, x, y, restarts=plan.starts, rng=rng), h0, m0
    y = w.square()
    return (
        lambda: _best(
            (phase_retrieval.solve(G1, y, rng=rng, iterations=iterations, tolerance=TOLERANCE) for _ in starts), y
        ),
        h0,
        h0,
    )
