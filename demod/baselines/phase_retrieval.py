"""Phase retrieval under a generative prior [Hand, Leong and Voroninski, 2018].

It is the self-modulated case of demodulation, G1 = G2 = A G and h = m: the observation is y = (A G(h))², and

    f(h) = ½ ‖ |A G(h)| - √y ‖²

is minimised by gradient descent with a negation check. A network of the paper's class has no negative outputs: for A = I no
sign is lost and f is that of `inversion`, for the observation √y. With a Gaussian A the signs are lost; f then still has a
descent direction everywhere but near h0 and near a negative multiple of it, where f is larger, if the network is wide and A
has of the order of n d² log ℓ rows. They may be fewer than ℓ.

References
----------
P. Hand, O. Leong, V. Voroninski. Phase retrieval under a generative prior. NeurIPS 2018.
"""

from dataclasses import replace
from typing import cast

import torch
from torch import Tensor

from demod.arguments import check_generator
from demod.baselines import inversion
from demod.baselines.estimate import Estimate, check_values
from demod.generators import Generator, Magnitude, Measured
from demod.torch_state import in_full_precision


@in_full_precision
def solve(
    G: Generator,
    y: Tensor,
    *,
    A: Tensor | None = None,
    h: Tensor | None = None,
    step_size: float | Tensor | None = None,
    iterations: int = 500,
    tolerance: float = 1e-12,
    reflect_every: int = 1,
    rng: torch.Generator | None = None,
) -> Estimate:
    """Recover h from y = (A G(h))²; a whole batch of problems at once.

    Parameters
    ----------
    G : Generator
        Onto R^ℓ.
    y : Tensor
        Shape (*B, k), not negative; k = ℓ without A.
    A : Tensor, optional
        The measurement matrix, shape (k, ℓ); None is the identity.
    h : Tensor, optional
        Starting codes, (*B, n). None: drawn from `rng`, of the length that fits best where G is homogeneous.
    step_size : float or Tensor (*B,), optional
        η, multiplying ∇f. None: θ ℓ (2^d/α)/‖A‖_F², for networks drawn by ReLUGenerator.gaussian and random A.
    iterations, tolerance, reflect_every, rng
        As in `demod.descent.descend`; the tolerance is for f, that is for √y.

    Returns
    -------
    Estimate
        signal and modulator are both A G(h), h and m both h.

    Raises
    ------
    ValueError
        As `inversion.solve`, and if A does not fit or y has negative entries.
    """
    check_generator(G=G)
    check_values(y=y, **({} if A is None else {"A": A}))
    if A is not None and (A.ndim != 2 or A.shape[1] != G.widths[-1]):
        raise ValueError(
            f"A has shape {tuple(A.shape)}; required are (rows, {G.widths[-1]}), as G produces so many entries."
        )
    if y.shape[-1:] != (G.widths[-1:] if A is None else A.shape[:1]):
        raise ValueError(
            f"y has shape {tuple(y.shape)}, but {G.widths[-1] if A is None else len(A)} squares are required: "
            "(*B, k), one for each output of G, or for each row of A."
        )
    if (y < 0).any():
        raise ValueError(f"y has {int((y < 0).sum())} negative entries, but a square has none; clip noise: y.clamp(min=0).")
    if step_size is None:
        gains = y.new_ones(G.widths[-1]) if A is None else A.norm(dim=0)
        step_size = inversion.inversion_step_size(G, gains)  # in expectation A acts like diag(gains)
    field = G if A is None else Measured(G, A)
    estimate = inversion.solve(
        Magnitude(field),
        torch.ones_like(y),
        y.sqrt(),
        h=h,
        step_size=step_size,
        iterations=iterations,
        tolerance=tolerance,
        reflect_every=reflect_every,
        rng=rng,
    )
    code = cast(Tensor, estimate.h)  # an inversion returns its code
    value = field(code).detach()
    return replace(estimate, signal=value, modulator=value, m=code)
