"""A second device, pretended on the CPU: what was put there must not meet what was left here."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

THERE = torch.device("cuda", 0)
MARK = "_pretended_there"  # of tensors
ASKED = {Tensor.device.__get__: THERE, Tensor.is_cuda.__get__: True, Tensor.is_cpu.__get__: False}
MOVES = ("to", "cpu", "cuda", "copy_", "type")  # may get tensors of both
SILENT = ("__set__", "_has_compatible_shallow_copy_type")  # of nn.Module.to


def is_there(value: Any) -> bool:
    return isinstance(value, Tensor) and getattr(value, MARK, False)


class PretendedDevice(TorchFunctionMode):
    """While it is active, tensors that are made on or moved to "cuda" stay on the CPU and say that they are on "cuda:0".

    An operation on tensors of both devices, other than with a single number, is a RuntimeError, as with a GPU.
    """

    def __enter__(self) -> "PretendedDevice":
        make = Tensor._make_subclass  # of parameters, of which no mode hears

        def marked(kind: type, data: Tensor, *settings: Any) -> Tensor:
            made = make(kind, data, *settings)
            setattr(made, MARK, is_there(data))
            return made

        Tensor._make_subclass = staticmethod(marked)  # type: ignore[method-assign]
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        del Tensor._make_subclass  # what torch has itself lies in the base class
        super().__exit__(*error)

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs, name = kwargs or {}, getattr(func, "__name__", "")
        if name == "_parse_to":
            return func(*args, **kwargs)
        if func in ASKED and is_there(args[0]):
            return ASKED[func]
        leaves = list(args[:1]) if name == "__deepcopy__" else tree_leaves((args, kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        places = {is_there(tensor) for tensor in tensors if tensor.dim()}
        if len(places) == 2 and name not in MOVES + SILENT:
            raise RuntimeError(f"{name} got tensors on cpu and on cuda:0")
        there = _destination(name, leaves, tensors)
        found = func(*tree_map(_on_cpu, args), **tree_map(_on_cpu, kwargs))
        if name == "__set__" and len(tensors) == 2:
            setattr(tensors[0], MARK, is_there(tensors[1]))
        tensors_found = any(isinstance(leaf, Tensor) for leaf in tree_leaves(found))
        return tree_map(lambda value: _marked(value, tensors, there), found) if tensors_found else found


def _destination(name: str, leaves: list, tensors: list[Tensor]) -> bool:
    """Whether the result of an operation lies there: by the device that is named, else where its tensors do."""
    named = [torch.device(leaf) for leaf in leaves if isinstance(leaf, torch.device) or _names_a_device(leaf)]
    if name in ("cpu", "cuda") or named:
        return name == "cuda" or (bool(named) and named[0].type == "cuda")
    if name == "to" and len(tensors) > 1:
        return is_there(tensors[1])
    return is_there(tensors[0]) if name in MOVES and tensors else any(map(is_there, tensors))


def _names_a_device(value: Any) -> bool:
    return isinstance(value, str) and value in ("cuda", "cuda:0", "cpu")


def _on_cpu(value: Any) -> Any:
    return torch.device("cpu") if isinstance(value, torch.device) or _names_a_device(value) else value


def _marked(value: Any, inputs: list[Tensor], there: bool) -> Any:
    """Return a result with its mark; one that is an input and moves is a copy."""
    if not isinstance(value, Tensor):
        return value
    if any(value is tensor for tensor in inputs):
        if is_there(value) == there:
            return value
        value = value.clone()
    setattr(value, MARK, there)
    return value
