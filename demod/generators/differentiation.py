"""Automatic differentiation whatever state torch is in: it works inside `torch.inference_mode` and `torch.no_grad`, too."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor
from torch.func import jvp, vmap

from demod.arguments import check_floats
from demod.torch_state import in_full_precision

DIRECTIONS = 2**20  # numbers that the derivatives along some directions at a time may have


@contextmanager
def recording() -> Iterator[None]:
    """Record what is computed for differentiation, also where the caller has switched that off."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def keepable(x: Tensor) -> Tensor:
    """Return x, or a copy where it was made in inference mode and autograd, outside of it, could not keep it."""
    return x.detach().clone() if x.is_inference() and not torch.is_inference_mode_enabled() else x


def check_cotangent(u: Tensor, value: Tensor, dtype: torch.dtype) -> None:
    """Raise unless u can be pulled back from values of this shape and type; it may have more batch dimensions or fewer."""
    check_floats(u=u)
    if u.dtype != dtype or u.device != value.device or u.shape[-1:] != value.shape[-1:]:
        raise ValueError(
            f"u is {u.dtype} {tuple(u.shape)} on {u.device}, but what is pulled back is like G(z), {dtype} "
            f"{tuple(value.shape)} on {value.device}; convert or reshape it."
        )
    try:
        torch.broadcast_shapes(u.shape, value.shape)
    except RuntimeError as error:
        raise ValueError(f"u has shape {tuple(u.shape)}, but G(z) has {tuple(value.shape)}; expand or reshape u.") from error


@in_full_precision
def automatic_vjp(function: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Return (f(z), pullback), u ↦ J_f(z)ᵀ u, by automatic differentiation; neither is recorded for another one."""
    with recording():
        z = keepable(z).detach().requires_grad_()
        value = function(z)

    @in_full_precision
    def pullback(u: Tensor) -> Tensor:
        check_cotangent(u, value, value.dtype)
        if u.shape != value.shape:
            raise ValueError(f"u has shape {tuple(u.shape)}, but G(z) has {tuple(value.shape)}; expand or reshape u.")
        with torch.inference_mode(False):
            return torch.autograd.grad(value, z, keepable(u).detach(), retain_graph=True)[0]

    return value.detach(), pullback


@in_full_precision
def automatic_jacobian(function: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
    """Return (f(z), J_f(z)), shapes (*B, ℓ) and (*B, ℓ, n), in forward mode; neither is recorded.

    The columns are derivatives along the unit vectors of all codes at once, some of them at a time.
    """
    with recording():
        z = keepable(z).detach()
        value = function(z).detach()
        J = value.new_zeros(*value.shape, z.shape[-1])
        if not J.numel():
            return value, J
        basis = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)
        size = max(1, DIRECTIONS // max(1, value.numel()))
        with warnings.catch_warnings():  # of what torch itself loads for its forward mode
            warnings.filterwarnings("ignore", "`torch.jit.script` is", DeprecationWarning)
            for k in range(0, len(basis), size):
                J[..., k : k + size] = (
                    vmap(partial(_along, function, z), randomness="same")(basis[k : k + size]).detach().movedim(0, -1)
                )
    return value, J


def _along(function: Callable[[Tensor], Tensor], z: Tensor, direction: Tensor) -> Tensor:
    return jvp(function, (z,), (direction.expand_as(z),))[1]
