"""Algorithm 1: alternating descent for (2) with a sign check and norm balancing.

`algorithm` holds `descend`, `lines` the three lines of the iteration, `progress` how far each problem has come, `rule` the
settings, `starts` step sizes and starting codes, `problem` what is asked of the input, and `solution` what is returned.
"""

from demod.descent.algorithm import descend
from demod.descent.lines import Descent, Product
from demod.descent.solution import Solution, outer_product_error, relative_residual
from demod.descent.starts import THETA, code_scale, default_step_size

__all__ = [
    "THETA",
    "Descent",
    "Product",
    "Solution",
    "code_scale",
    "default_step_size",
    "descend",
    "outer_product_error",
    "relative_residual",
]
