"""Compressed sensing with a sparsity prior: the lasso [Tibshirani, 1996], solved by FISTA [Beck and Teboulle, 2009].

    minimise ½ ‖A x - y‖² + λ ‖c‖₁    over the coefficients c of the image x in an orthonormal basis

for linear measurements y = A x. The weights λ fall from one to the next, each program starting where the last one ended. Of
each the image is returned: who knows the truth can take the best.

References
----------
A. Beck, M. Teboulle. A fast iterative shrinkage-thresholding algorithm for linear inverse problems. SIAM Journal on Imaging
Sciences 2(1), 2009. R. Tibshirani. Regression shrinkage and selection via the lasso. Journal of the Royal Statistical
Society B 58(1), 1996.
"""

from math import isqrt

import torch
from torch import Tensor

from demod.arguments import check_counts
from demod.baselines.bases import Basis
from demod.baselines.estimate import check_batch, check_values
from demod.torch_state import in_full_precision

WEIGHTS = (0.1, 0.03, 0.01, 0.003, 0.001)  # λ, in units of the least weight for which the solution is zero


@in_full_precision
def solve(A: Tensor, y: Tensor, basis: Basis, *, weights: tuple[float, ...] = WEIGHTS, iterations: int = 150) -> Tensor:
    """Return the images of all weights, shape (weights, *B, N, N), from y = A x.

    Parameters
    ----------
    A, y : Tensor
        Shapes (k, N²) and (*B, k).
    basis : Basis
        From `bases.basis`.
    weights : tuple of float
        Positive, in units of ‖c(Aᵀ y)‖_∞ of each problem; best in descending order.
    iterations : int
        Of each program.

    Raises
    ------
    ValueError
        If the shapes do not fit, an entry is not finite, y is zero for some problem, or a weight is not positive.
    """
    check_values(A=A, y=y)
    check_batch(y)
    check_counts(iterations=iterations)
    side = isqrt(A.shape[-1])
    if A.ndim != 2 or y.shape[-1:] != A.shape[:1] or side**2 != A.shape[1]:
        raise ValueError(
            f"A has shape {tuple(A.shape)} and y {tuple(y.shape)}; required are (k, N²) and (*B, k): flatten the images."
        )
    if not weights or not all(weight > 0 for weight in weights):
        raise ValueError(f"weights is {weights!r}, but positive numbers are required; leave out what is not.")
    A, y = A.detach(), y.detach()

    def pull(r: Tensor) -> Tensor:
        return basis.analyse((r @ A).unflatten(-1, (side, side)))

    def push(c: Tensor) -> Tensor:
        return basis.synthesise(c).flatten(-2) @ A.mT

    step = 1 / torch.linalg.matrix_norm(A, 2).square()
    unit = pull(y).abs().amax((-2, -1), keepdim=True)
    c, images = torch.zeros_like(pull(y)), []
    for weight in weights:
        before, ahead, t = c, c, 1.0
        for _ in range(iterations):
            z = ahead - step * pull(push(ahead) - y)
            c = z.sign() * (z.abs() - step * weight * unit).clamp(min=0)
            t, last = (1 + (1 + 4 * t * t) ** 0.5) / 2, t
            before, ahead = c, c + (last - 1) / t * (c - before)
        images.append(basis.synthesise(c))
    return torch.stack(images)
