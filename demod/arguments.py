"""What public functions ask of their arguments, checked once: a wrong one is reported by name, with what is wanted.

A wrong type is a `TypeError`, a wrong value a `ValueError`.
"""

from collections.abc import Sequence
from math import isfinite
from numbers import Integral, Real
from reprlib import repr as shortened
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

SEEDS = 2**63  # seeds lie below: what torch.Generator.manual_seed and numpy.random.SeedSequence both take
EXACT = (torch.float64, torch.float32)  # what torch.linalg works in
FLOATS = (*EXACT, torch.bfloat16, torch.float16)


def check_tensors(**values: Any) -> None:
    """Raise unless every value is a tensor."""
    for name, value in values.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"{name} is {_kind(value)}, but a torch.Tensor is required; use torch.as_tensor.")


def check_floats(**values: Any) -> None:
    """Raise unless every value is a dense tensor of real floating-point numbers that are in memory."""
    check_tensors(**values)
    for name, value in values.items():
        if value.is_nested or value.layout != torch.strided:
            kind = "a nested tensor" if value.is_nested else value.layout
            raise ValueError(f"{name} is {kind}, but a dense tensor is required; use .to_dense() or .to_padded_tensor(0).")
        if value.dtype not in FLOATS:
            remedy = "dequantize" if value.is_quantized else "double"
            raise ValueError(f"{name} is {value.dtype}, but real floating-point numbers are required; use .{remedy}().")
        if value.is_meta:
            raise ValueError(f'{name} is on meta, where tensors have no entries; make it on another device, as "cpu".')


def check_finite(**values: Any) -> None:
    """Raise unless every value is a tensor of floating-point numbers, none of them NaN or infinite."""
    check_floats(**values)
    for name, value in values.items():
        if not value.isfinite().all():
            raise ValueError(f"{name} has entries that are NaN or infinite; only finite ones are allowed: leave them out.")


def check_precision(**values: Any) -> None:
    """Raise unless every value is a tensor of single or double precision, all entries finite."""
    check_floats(**values)
    for name, value in values.items():
        if value.dtype not in EXACT:
            raise ValueError(f"{name} is {value.dtype}, but single or double precision is required; use .float().")
    check_finite(**values)


def check_alike(**values: Any) -> None:
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


def check_pair(first: str, x: Any, second: str, y: Any) -> None:
    """Raise unless x and y are alike and are codes of as many entries each, at least one."""
    check_alike(**{first: x, second: y})
    for name, z in ((first, x), (second, y)):
        if not z.ndim or not z.shape[-1]:
            raise ValueError(f"{name} has shape {tuple(z.shape)}, but a code has entries, (*B, n); use .reshape(1).")
    if x.shape[-1] != y.shape[-1]:
        raise ValueError(f"{first} has {x.shape[-1]} entries and {second} {y.shape[-1]}; give two codes of one length.")


def check_generator(**generators: Any) -> None:
    """Raise unless every value is a generator: it has `widths`, `homogeneous`, values G(z) and pullbacks G.vjp(z)."""
    for name, G in generators.items():
        required = "but a generator with widths, homogeneous, G(z) and G.vjp(z) is required"
        if isinstance(G, type):
            raise TypeError(f"{name} is the class {G.__name__}, {required}; make an instance of it.")
        if not (callable(G) and all(hasattr(G, part) for part in ("vjp", "widths", "homogeneous"))):
            raise TypeError(f"{name} is {told(G)}, {required}; {_remedy(G)}.")
        if not _are_counts(G.widths, 2):
            raise ValueError(f"{name} has the widths {told(G.widths)}, but (n, …, l) is required: two or more counts.")


def _remedy(G: Any) -> str:
    if isinstance(G, str):
        return "load a trained one by name: demod.dcgan.load_generator(name)"
    if isinstance(G, nn.Module):
        return "wrap a network: demod.generators.as_generator(module, latent)"
    return "see demod.generators.Generator"


def check_stream(rng: Any) -> None:
    """Raise unless rng is a random stream on the CPU, where all numbers are drawn: so every device sees the same ones."""
    if not isinstance(rng, torch.Generator):
        raise TypeError(
            f"rng is {told(rng)}, but a torch.Generator is required; torch.Generator().manual_seed(…) makes one."
        )
    if rng.device.type != "cpu":
        raise ValueError(f'rng is on {rng.device}, but numbers are drawn on the CPU; make torch.Generator("cpu").')


def check_seed(seed: Any, name: str = "seed") -> int:
    """Return the seed as an int; raise unless it is a whole number in [0, 2⁶³)."""
    check_counts(0, **{name: seed})
    if int(seed) >= SEEDS:
        raise ValueError(f"{name} is {told(seed)}, but it must be less than 2**63; give a smaller one.")
    return int(seed)


def check_whole(**numbers: Any) -> None:
    """Raise unless every value is a whole number, no bool."""
    for name, number in numbers.items():
        if not _is_whole(number):
            raise TypeError(f"{name} is {told(number)}, but a whole number is required; give an int.")


def check_counts(least: int = 1, /, **counts: Any) -> None:
    """Raise unless every count is a whole number, no bool, and at least `least`."""
    check_whole(**counts)
    for name, count in counts.items():
        if int(count) < least:
            raise ValueError(f"{name} is {told(count)}, but it must be at least {least}; give a larger one.")


def check_widths(**widths: Any) -> None:
    """Raise unless every value is the widths of a network, (n, …, ℓ)."""
    for name, value in widths.items():
        if not _are_counts(value, 2):
            raise ValueError(f"{name} is {told(value)}, but a network needs (n, …, l): two or more positive integers.")


def check_picks(numbers: Any, count: int) -> Tensor:
    """Return the numbers of networks as a tensor; raise unless they are whole, shape () or (K,), and in [0, count)."""
    if _is_whole(numbers):
        numbers = torch.tensor(int(numbers) if abs(int(numbers)) < SEEDS else -1, device="cpu")
    if not isinstance(numbers, Tensor):
        raise TypeError(f"numbers is {told(numbers)}, but a torch.Tensor of whole numbers is required; use torch.tensor.")
    if numbers.layout != torch.strided or numbers.dtype != torch.long or numbers.ndim > 1 or numbers.is_meta:
        raise ValueError(
            f"numbers is {numbers.dtype} {tuple(numbers.shape)} on {numbers.device}, but torch.long, shape () or (K,), is "
            "required; flatten them, and use .long()."
        )
    if not ((numbers >= 0) & (numbers < count)).all():
        raise ValueError(f"numbers has entries outside of 0, …, {count - 1}, the {count} networks; leave them out.")
    return numbers


def check_batch(batch: Any) -> None:
    """Raise unless batch is a shape, possibly empty."""
    if not isinstance(batch, Sequence) or not all(_is_whole(size) and int(size) >= 0 for size in batch):
        raise ValueError(f"batch is {told(batch)}, but a shape is a tuple of integers ≥ 0; write (5,) for five.")


def check_place(dtype: Any = None, device: Any = None) -> None:
    """Raise unless numbers can be kept in this type and on this device; None is what they are kept in now."""
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype in FLOATS):
        raise ValueError(
            f"dtype is {dtype if isinstance(dtype, torch.dtype | str) else told(dtype)}, but "
            "weights are real numbers; use torch.float64 or torch.float32."
        )
    try:
        torch.empty(0, device=device)
    except (RuntimeError, TypeError, AssertionError) as error:
        raise ValueError(f'device is {told(device)}, but torch has none of this name here; use "cpu".') from error


def check_numbers(**numbers: Any) -> None:
    """Raise unless every value is a finite real number, no bool."""
    for name, number in numbers.items():
        if not isinstance(number, Real) or isinstance(number, bool):
            raise TypeError(f"{name} is {told(number)}, but a number is required; use float(…).")
        if not isfinite(number):
            raise ValueError(f"{name} is {told(number)}, but a finite number is required; give another one.")


def check_switches(**switches: Any) -> None:
    """Raise unless every value is a Boolean."""
    for name, value in switches.items():
        if not isinstance(value, bool | np.bool_):
            raise TypeError(f"{name} is {told(value)}, but True or False is required; give one of them.")


def check_positive(**numbers: Any) -> None:
    """Raise unless every value is a finite real number above zero."""
    check_numbers(**numbers)
    for name, number in numbers.items():
        if number <= 0:
            raise ValueError(f"{name} is {told(number)}, but it must be positive; give a larger one.")


def check_not_negative(**numbers: Any) -> None:
    """Raise unless every value is a finite real number, zero or above."""
    check_numbers(**numbers)
    for name, number in numbers.items():
        if number < 0:
            raise ValueError(f"{name} is {told(number)}, but it must be at least 0; give a larger one.")


def check_alpha(alpha: Any, name: str = "alpha") -> float:
    """Return the α of a last layer, or of two, as a float; raise unless it lies in (0, 1]."""
    check_numbers(**{name: alpha})
    if not 0 < alpha <= 1:
        raise ValueError(f"{name} is {told(alpha)}, but it must lie in (0, 1]; 1 is that of a layer without truncation.")
    return float(alpha)


def told(value: Any) -> str:
    """Return how a message shows a value: numbers, words and sequences of them in short, other things by their type."""
    return shortened(value) if isinstance(value, str | bytes | Real | tuple | list) else _kind(value)


def _kind(value: Any) -> str:
    if value is None or isinstance(value, type):
        return "None" if value is None else f"the class {value.__name__}"
    return f"a {type(value).__name__}"


def _is_whole(number: Any) -> bool:
    return isinstance(number, Integral) and not isinstance(number, bool)


def _are_counts(numbers: Any, length: int) -> bool:
    """Return whether this is a sequence of at least `length` positive whole numbers."""
    if not isinstance(numbers, Sequence) or len(numbers) < length:
        return False
    return all(_is_whole(number) and int(number) >= 1 for number in numbers)
