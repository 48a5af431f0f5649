"""What torch is set to is the caller's: work that must come out the same whatever that is.

The default type and device of new tensors and the modes that switch gradients off are global. They must not change what a
training draws or computes, nor a task of a sweep, which may run in this process or in a fresh one. Inside `torch.autocast`
products would take in half precision, and no tolerance would hold.
"""

import functools
from collections.abc import Callable
from contextlib import ExitStack
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
T = TypeVar("T")


def in_full_precision(work: Callable[P, T]) -> Callable[P, T]:
    """Return `work` as it is outside of `torch.autocast`."""

    @functools.wraps(work)
    def own(*args: P.args, **kwargs: P.kwargs) -> T:
        if not (kinds := [kind for kind in ("cpu", "cuda") if torch.is_autocast_enabled(kind)]):
            return work(*args, **kwargs)
        with ExitStack() as stack:
            for kind in kinds:
                stack.enter_context(torch.autocast(kind, enabled=False))
            return work(*args, **kwargs)

    return own


def by_itself(work: Callable[P, T]) -> Callable[P, T]:
    """Return `work` as it is in single precision on the CPU and with gradients, whatever torch is set to around it."""

    @in_full_precision
    @functools.wraps(work)
    def own(*args: P.args, **kwargs: P.kwargs) -> T:
        dtype = torch.get_default_dtype()
        usual = (dtype, torch.get_default_device().type) == (torch.float32, "cpu")
        if usual and torch.is_grad_enabled() and not torch.is_inference_mode_enabled():
            return work(*args, **kwargs)
        torch.set_default_dtype(torch.float32)
        try:
            with torch.inference_mode(False), torch.enable_grad(), torch.device("cpu"):
                return work(*args, **kwargs)
        finally:
            torch.set_default_dtype(dtype)

    return own


def multiplies_bfloat16(device: torch.device) -> bool:
    """Return whether the processor of `device` multiplies such numbers itself; elsewhere they take far longer."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return any(bool(capabilities.get(name)) for name in ("avx512_bf16", "amx_bf16"))
