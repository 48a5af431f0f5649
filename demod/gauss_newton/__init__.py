"""(2) by damped Gauss–Newton steps (Levenberg–Marquardt), with the sign check and the balancing of Algorithm 1.

`algorithm` holds `solve`, `product` the residual and the normal equations, `factors` the two networks and the rows of their
Jacobians, `damping` the step and its damping, and `progress` how far each problem has come.
"""

from demod.gauss_newton.algorithm import solve

__all__ = ["solve"]
