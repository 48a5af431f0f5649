"""Powers of two as units: a product is known up to scale, so its size must not decide whether arithmetic overflows.

Division by a power of two changes exponents and no digits. So a norm taken in the unit of its largest entry is the same, bit
for bit, wherever the plain one neither overflows nor underflows. With homogeneous generators the whole of Algorithm 1 is
equivariant: for a power of two c,

    y → y/c²,    h → h/c,    m → m/c,    η → c² η,    f → f/c⁴,

and every iterate of one problem is that of the other.
"""

import torch
from torch import Tensor


def power_below(x: Tensor) -> Tensor:
    """Return the largest power of two that is not above x, for each entry; 1 where x is not positive and finite."""
    power = x / (2 * torch.frexp(x).mantissa)
    return torch.where((x > 0) & x.isfinite(), power, 1.0).clamp(min=torch.finfo(x.dtype).tiny)


def unit_of(x: Tensor) -> Tensor:
    """Return the power of two that brings the largest entry of x (*B, n) into [1, 2), shape (*B, 1); 1 where x is zero."""
    return power_below(x.detach().abs().amax(-1, keepdim=True))


def norm(x: Tensor) -> Tensor:
    """Return ‖x‖, shape (*B,), without overflow or underflow of the squares."""
    unit = unit_of(x)
    return (x / unit).norm(dim=-1) * unit[..., 0]


def code_unit(y: Tensor) -> Tensor:
    """Return the module's c, shape (*B, 1): 1 for entries of ordinary size, else such that y/c² has entries up to 1 to 4."""
    c = power_below(unit_of(y).sqrt())
    limit = torch.finfo(y.dtype).max ** 0.125
    return torch.where((unit_of(y) < 1 / limit) | (unit_of(y) > limit), c, 1.0)


def has_squares(y: Tensor) -> Tensor:
    """Return whether ‖y‖² and its rounding errors are normal numbers of the type of y, shape (*B,)."""
    kind = torch.finfo(y.dtype)
    largest = y.abs().amax(-1)
    return (largest >= kind.tiny**0.5 / kind.eps) & (largest <= kind.eps**0.25 * kind.max**0.5)
