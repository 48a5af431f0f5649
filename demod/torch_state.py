"""What torch is set to is the caller's: work that must come out the same whatever that is.

The default type and device of new tensors and the modes that switch gradients off are global. They must not change what a
training draws or computes, nor a task of a sweep, which may run in this process or in a fresh one.
"""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
T = TypeVar("T")


def by_itself(work: Callable[P, T]) -> Callable[P, T]:
    """Return `work` as it is in single precision on the CPU and with gradients, whatever torch is set to around it."""

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
