"""What public functions ask of their arguments, checked once: a wrong one is told by its name, with what is wanted.

A wrong type is a `TypeError`, a wrong value a `ValueError`.
"""

from numbers import Integral
from typing import Any

import torch
from torch import Tensor


def check_floats(**values: Any) -> None:
    """Raise unless every value is a tensor of real floating-point numbers."""
    for name, value in values.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"{name} is a {type(value).__name__}, but a torch.Tensor is required; use torch.as_tensor.")
        if not value.is_floating_point():
            raise ValueError(f"{name} is {value.dtype}, but real floating-point numbers are required; use .double().")


def check_finite(**values: Any) -> None:
    """Raise unless every value is a tensor of floating-point numbers, none of them NaN or infinite."""
    check_floats(**values)
    for name, value in values.items():
        if not value.isfinite().all():
            raise ValueError(f"{name} has entries that are NaN or infinite; only finite ones are allowed: leave them out.")


def check_alike(**values: Tensor) -> None:
    """Raise unless all tensors have one type, are on one device, and have batch shapes (all but the last) that broadcast."""
    check_floats(**values)
    names = ", ".join(values)
    if len(kinds := {f"{value.dtype} on {value.device}" for value in values.values()}) > 1:
        raise ValueError(f"{names} are {' and '.join(sorted(kinds))}; give them one type and one device with .to(…).")
    try:
        torch.broadcast_shapes(*(value.shape[:-1] for value in values.values()))
    except RuntimeError as error:
        shapes = ", ".join(str(tuple(value.shape)) for value in values.values())
        raise ValueError(f"{names} have shapes {shapes}, whose batches (*B, …) do not broadcast; expand one.") from error


def check_pair(first: str, x: Tensor, second: str, y: Tensor) -> None:
    """Raise unless x and y are alike and have as many entries each."""
    check_alike(**{first: x, second: y})
    if x.shape[-1:] != y.shape[-1:]:
        raise ValueError(f"{first} has {x.shape[-1]} entries and {second} {y.shape[-1]}; give two codes of one length.")


def check_stream(rng: Any) -> None:
    """Raise unless rng is a random stream."""
    if not isinstance(rng, torch.Generator):
        raise TypeError(f"rng is {rng!r}, but a torch.Generator is required; torch.Generator().manual_seed(…) makes one.")


def check_seed(seed: Any, name: str = "seed") -> int:
    """Return the seed as an int; raise unless it is a whole number in [0, 2⁶³)."""
    check_counts(0, **{name: seed})
    if int(seed) >= 2**63:
        raise ValueError(f"{name} is {seed}, but it must be less than 2**63; give a smaller one.")
    return int(seed)


def check_counts(least: int = 1, /, **counts: Any) -> None:
    """Raise unless every count is a whole number and at least `least`."""
    for name, count in counts.items():
        if not isinstance(count, Integral):
            raise TypeError(f"{name} is {count!r}, but a whole number is required; round it.")
        if int(count) < least:
            raise ValueError(f"{name} is {count}, but it must be at least {least}; give a larger one.")
