"""Networks that are only approximately Gaussian: weights of the same variance 1/n_i from other laws.

The paper's remark is that "in essence" approximately Gaussian matrices suffice. Here are four: uniform entries,
random signs, Student's t with five degrees of freedom (no finite fifth moment), and orthonormal columns, WᵀW = I,
whose entries depend on each other. No row is truncated.

All are made of the normal numbers that `ReLUGenerator.gaussian` draws from the same stream: networks of two laws with one
seed differ as little as their laws allow, and a comparison of them is paired.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from demod.arguments import check_batch, check_stream, check_widths, told
from demod.generators import ReLUGenerator


def _normal(rng: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=rng, dtype=torch.float64, device="cpu")


def _uniform(z: Tensor, rng: torch.Generator) -> Tensor:
    return 3**0.5 * (2 * torch.special.ndtr(z) - 1)


def _signs(z: Tensor, rng: torch.Generator) -> Tensor:
    return torch.where(z > 0, 1.0, -1.0).to(z)


def _student(z: Tensor, rng: torch.Generator) -> Tensor:
    chi2 = torch.stack([_normal(rng, *z.shape).square() for _ in range(5)]).sum(0)
    return z / (chi2 / 3).sqrt()  # the variance of t₅ is 5/3


def _orthogonal(z: Tensor, rng: torch.Generator) -> Tensor:
    Q, R = torch.linalg.qr(z)
    return z.shape[-2] ** 0.5 * Q * R.diagonal(dim1=-2, dim2=-1).sign()[..., None, :]


ENSEMBLES: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "uniform": _uniform,
    "rademacher": _signs,
    "student": _student,
    "orthogonal": _orthogonal,
}


def draw_network(
    ensemble: str, widths: Sequence[int], rng: torch.Generator, *, batch: tuple[int, ...] = ()
) -> ReLUGenerator:
    """Draw a network whose weights have mean 0 and variance 1/n_i, from one of ENSEMBLES; its α is 1, as nothing is cut.

    Parameters
    ----------
    ensemble : str
        "uniform", "rademacher", "student" or "orthogonal".
    widths : sequence of int
        (n, n_1, …, ℓ), ascending for "orthogonal".
    rng : torch.Generator
        On the CPU.
    batch : tuple of int
        Shape N of a batch of independent networks.

    Raises
    ------
    ValueError
        If the ensemble has another name, or widths do not ascend where columns are to be orthogonal.
    """
    check_widths(widths=widths)
    check_batch(batch)
    check_stream(rng)
    if not isinstance(ensemble, str) or ensemble not in ENSEMBLES:
        raise ValueError(f"ensemble is {told(ensemble)}, but it must be one of {', '.join(ENSEMBLES)}.")
    if ensemble == "orthogonal" and any(rows < columns for columns, rows in pairwise(widths)):
        raise ValueError(f"widths is {tuple(widths)}, but orthogonal columns need n ≤ n_1 ≤ … ≤ l.")
    normal = [_normal(rng, *batch, rows, columns) for columns, rows in pairwise(widths)]
    return ReLUGenerator([ENSEMBLES[ensemble](z, rng) / z.shape[-2] ** 0.5 for z in normal], alpha=1.0)
