"""Algorithm 1: alternating descent for (2) with a sign check and norm balancing."""

from demod.descent.algorithm import (
    THETA,
    Descent,
    Solution,
    code_scale,
    default_step_size,
    descend,
    outer_product_error,
    relative_residual,
)

__all__ = [
    "THETA",
    "Descent",
    "Solution",
    "code_scale",
    "default_step_size",
    "descend",
    "outer_product_error",
    "relative_residual",
]
