"""Handing a convex program to its solver, which either reaches its tolerance, or stops early, or finds no feasible point."""

import warnings

import numpy as np
from torch import Tensor

try:
    import cvxpy as cp
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("Convex programs need cvxpy, which is not installed: pip install 'demod[convex]'.") from error

SOLVERS = {
    "CLARABEL": {"tol_gap_abs": 1e-7, "tol_gap_rel": 1e-7, "tol_feas": 1e-7},  # it often stalls before its own 1e-8
    "SCS": {"eps_abs": 1e-6, "eps_rel": 1e-6},  # its own 1e-4 is hardly less than what counts as success
}


def unit_scale(value: Tensor) -> tuple[np.ndarray, float]:
    """Return the entries divided by their root mean square, and that: solvers' tolerances are made for order one."""
    scale = value.square().mean().sqrt().item()
    return (value / scale).numpy(force=True), scale


def minimise(problem: cp.Problem, solver: str) -> tuple[bool, int]:
    """Solve the program in place; return whether the solver reached its tolerance, and its iterations.

    Parameters
    ----------
    problem : cvxpy.Problem
        A minimisation; its variables hold the best point found afterwards.
    solver : str
        One of SOLVERS.

    Raises
    ------
    ValueError
        If no point satisfies the constraints.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Solution may be inaccurate")  # that is what the result says
        problem.solve(solver=solver, **SOLVERS[solver])
    if problem.status in (cp.INFEASIBLE, cp.INFEASIBLE_INACCURATE):
        raise ValueError(
            "No point satisfies the constraints: y does not have the form that they state. "
            "Allow for the noise, or check the matrices and the signs."
        )
    return problem.status == cp.OPTIMAL, int(problem.solver_stats.num_iters or 0)
