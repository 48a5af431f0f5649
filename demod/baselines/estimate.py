"""What every method returns, and how a pair of codes is chosen among all that give the same product.

With subspace priors w = B h and x = C m the observation y = w ⊙ x is linear in the matrix h mᵀ,

    y_i = (b_iᵀ h)(c_iᵀ m) = b_iᵀ (h mᵀ) c_i,        b_i and c_i the rows of B and C,

and (c h, m/c) gives the same for every c ≠ 0. Here always ‖h‖ = ‖m‖. Where the signs of w are not known, the entry of h
that is largest in absolute value is positive.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from demod.arguments import check_generator, check_precision, check_tensors
from demod.descent.balancing import balanced
from demod.descent.problem import check_networks, check_not_zero
from demod.descent.units import has_squares
from demod.generators import Generator


@dataclass(frozen=True)
class Estimate:
    """What a method recovers; fields that it does not have are None.

    signal, modulator : w and x, (*B, ℓ); (*B, height, width) from methods for images
    h, m : the codes behind them, (*B, n) and (*B, p)
    objective : the value of the method's program, (*B,)
    converged : whether the method reached its own criterion, (*B,)
    iterations : iterations spent, (*B,)
    """

    signal: Tensor
    modulator: Tensor
    h: Tensor | None = None
    m: Tensor | None = None
    objective: Tensor | None = None
    converged: Tensor | None = None
    iterations: Tensor | None = None


def subspace_estimate(
    B: Tensor,
    C: Tensor,
    h: Tensor,
    m: Tensor,
    *,
    objective: float,
    converged: bool,
    iterations: int,
    signs_known: bool = False,
) -> Estimate:
    """Return the estimate with codes h (n,) and m (p,), scaled to ‖h‖ = ‖m‖ and with the sign of the module's convention."""
    h, m = balanced(h, m)
    if not signs_known and h[h.abs().argmax()] < 0:
        h, m = -h, -m
    return Estimate(B @ h, C @ m, h, m, **scalars(B, objective, converged, iterations))


def scalars(like: Tensor, objective: float, converged: bool, iterations: int) -> dict[str, Tensor]:
    """Return the three fields of an estimate that are numbers, as tensors of the type and on the device of another."""
    return {
        "objective": torch.tensor(objective, dtype=like.dtype, device=like.device),
        "converged": torch.tensor(converged, device=like.device),
        "iterations": torch.tensor(iterations, device=like.device),
    }


def check_subspaces(B: Tensor, C: Tensor, y: Tensor) -> None:
    """Raise unless B (ℓ, n), C (ℓ, p) and y (ℓ,) fit together, are finite, and none of them is zero."""
    check_tensors(B=B, C=C, y=y)
    for name, matrix in (("B", B), ("C", C)):
        if matrix.ndim != 2 or y.ndim != 1 or len(matrix) != len(y):
            raise ValueError(
                f"{name} has shape {tuple(matrix.shape)} and y {tuple(y.shape)}; required are (ℓ, columns) and (ℓ,): "
                "solve one problem at a time."
            )
    check_values(B=B, C=C, y=y)
    for name, value in (("B", B), ("C", C), ("y", y)):
        if not value.any():
            raise ValueError(f"{name} is zero; nothing can be recovered from a product that vanishes.")
        check_size(**{name: value.flatten()})


def check_values(**tensors: Tensor) -> None:
    """Raise unless all tensors are of single or of double precision, all of one type, on one device, and finite."""
    check_precision(**tensors)
    if len(types := {value.dtype for value in tensors.values()}) > 1:
        raise ValueError(f"{', '.join(tensors)} have the types {types}; convert them to one with .to(dtype=…).")
    if len(devices := {str(value.device) for value in tensors.values()}) > 1:
        raise ValueError(f"{', '.join(tensors)} are on {' and '.join(sorted(devices))}; move them to one with .to(…).")


def check_size(**tensors: Tensor) -> None:
    """Raise ValueError where the squares of the largest entries of tensors (*B, ℓ) overflow or underflow."""
    for name, value in tensors.items():
        if not (has_squares(value) | ~value.any(-1)).all():
            largest = value.abs().amax(-1)
            raise ValueError(
                f"{name} has largest entries from {largest.min():.3g} to {largest.max():.3g}, whose squares {value.dtype} "
                "cannot hold; bring them near 1, as a product is known up to scale, or use .double()."
            )


def check_batch(y: Tensor) -> None:
    """Raise ValueError unless the observations (*B, ℓ) are finite floats of ordinary size and none of them is zero."""
    check_values(y=y)
    check_not_zero(y)
    check_size(y=y)


def check_factor(G: Generator, name: str, factor: Tensor, y: Tensor) -> None:
    """Raise unless G produces as many entries as y (*B, ℓ) has, and the known factor has the shape and the type of y."""
    check_generator(G=G)
    check_tensors(**{name: factor, "y": y})
    if y.shape[-1:] != G.widths[-1:] or factor.shape != y.shape:
        raise ValueError(
            f"{name} has shape {tuple(factor.shape)}, y {tuple(y.shape)}, and the generator produces "
            f"{G.widths[-1]} entries; required are two tensors (*B, ℓ): "
            "flatten images, and expand a shared factor with .expand_as(y)."
        )
    check_values(**{name: factor, "y": y})
    check_batch(y)
    check_size(**{name: factor})
    check_networks(y, G=G)
