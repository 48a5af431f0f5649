"""Affine subspaces of images with a Gaussian prior on their codes, and least squares in them.

    image = μ + D c,        c_k ~ N(0, δ_k²) independently,

D having orthonormal columns where it comes from a principal component analysis of training images; δ_k is then the standard
deviation of the images along column k.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse.linalg import eigsh
from torch import Tensor

from demod.arguments import check_counts, check_tensors
from demod.torch_state import in_full_precision

LEAST_DEVIATION = 1e-6  # of the largest: rounding makes smaller ones meaningless
CHUNK = 2048  # images whose covariance is taken at a time


@dataclass(frozen=True)
class Subspace:
    """The images μ + D c.

    mean : μ, (ℓ,)
    directions : D, (ℓ, k)
    deviations : δ, the prior's standard deviations of the codes, (k,)
    """

    mean: Tensor
    directions: Tensor
    deviations: Tensor

    def __call__(self, c: Tensor) -> Tensor:
        """Return μ + D c, shape (*B, ℓ), for codes (*B, k)."""
        return self.mean + c @ self.directions.mT

    def ridge(self, weights: Tensor, moments: Tensor) -> Tensor:
        """Return the c (*B, k) that solves (Dᵀ diag(weights) D + diag(δ⁻²)) c = Dᵀ moments, both arguments (*B, ℓ).

        It minimises Σ_i weights_i ((D c)_i - t_i)² + Σ_k (c_k / δ_k)² for targets t = moments / weights.
        """
        D, precision, size = self.directions, torch.diag(self.deviations**-2), len(self.mean)
        rows = zip(weights.reshape(-1, size), moments.reshape(-1, size), strict=True)
        codes = [torch.linalg.solve((D * weight[:, None]).mT @ D + precision, D.mT @ moment) for weight, moment in rows]
        shape = (*weights.shape[:-1], D.shape[1])
        return torch.stack(codes).reshape(shape) if codes else weights.new_zeros(shape)


def check_subspace(name: str, basis: object) -> None:
    """Raise TypeError unless the basis is a `Subspace`."""
    if not isinstance(basis, Subspace):
        raise TypeError(f"{name} is a {type(basis).__name__}, but a Subspace is required; use subspaces.principal_subspace.")


@in_full_precision
def principal_subspace(images: Tensor, dimension: int) -> Subspace:
    """Return the mean of the images (N, height, width) and their first principal components, in float64.

    Raises
    ------
    ValueError
        If the images are not finite floats (N, height, width), or too few for the dimension.
    """
    check_tensors(images=images)
    check_counts(dimension=dimension)
    images = images.detach()
    if images.ndim != 3 or not images.is_floating_point() or not images.isfinite().all():
        raise ValueError(f"images are {images.dtype} {tuple(images.shape)}; required are finite floats (N, height, width).")
    rows = images.flatten(1)
    if not 1 <= dimension < min(rows.shape):
        raise ValueError(
            f"dimension is {dimension}; {len(rows)} images of {rows.shape[1]} pixels allow 1 to {min(rows.shape) - 1}: "
            "give more images or a smaller dimension."
        )
    mean = rows.mean(0, dtype=torch.float64)
    covariance = torch.zeros(rows.shape[1], rows.shape[1], dtype=torch.float64, device=rows.device)
    for chunk in rows.split(CHUNK):
        centred = chunk.double() - mean
        covariance += centred.mT @ centred / len(rows)
    variances, directions = eigsh(covariance.numpy(force=True), k=dimension, v0=np.ones(len(mean)))
    order = variances.argsort()[::-1].copy()
    deviations = torch.from_numpy(variances[order]).clamp(min=0).sqrt()
    return Subspace(
        mean.cpu(), torch.from_numpy(directions[:, order].copy()), deviations.clamp(min=LEAST_DEVIATION * deviations.max())
    )
