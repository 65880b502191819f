"""A device that is not there: its tensors live on the CPU, say that they do not, and refuse to be mixed with others.

It shows where code forgets to move a tensor, on a machine without a GPU. It stands in for `meta`, the one other device
that every build of torch knows: nothing has to be started for it, and autograd asks it for no stream.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("meta")
CPU = torch.device("cpu")
aten = torch.ops.aten
torch_load = torch.load
MOVES = (aten._to_copy.default, aten.copy_.default)
# A GPU takes indices from the CPU as well.
INDEXES = (aten.index.Tensor, aten.index_put_.default, aten.index_put.default)
FILLED_BEFORE_DISPATCH = (torch.tensor, torch.as_tensor, torch.asarray)


class Elsewhere(torch.Tensor):
    """A tensor that says it is on DEVICE; `held` is the one that does its work, on the CPU."""

    @staticmethod
    def __new__(cls, held: torch.Tensor):
        layout = {"strides": held.stride(), "storage_offset": held.storage_offset(), "dtype": held.dtype}
        made = torch.Tensor._make_wrapper_subclass(cls, held.shape, device=DEVICE, requires_grad=False, **layout)
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return run(function, args, kwargs or {})

    def numpy(self, *_, **__):
        raise TypeError("can't convert a tensor of another device to numpy: use .cpu() first")

    def tolist(self):
        return self.held.tolist()

    def __format__(self, how: str) -> str:
        return format(self.held, how)

    def __reduce_ex__(self, protocol):
        """A file holds the numbers; whoever loads them says where they go."""
        return self.held.__reduce_ex__(protocol)

    def __repr__(self) -> str:
        return f"Elsewhere({self.held!r})"


def names_it(device) -> bool:
    return device is not None and torch.device(device) == DEVICE


def run(function, args: tuple, kwargs: dict):
    """Do on the CPU what was asked for on DEVICE.

    Raises:
        RuntimeError: tensors of both devices are in it.
    """
    leaves = tree_leaves((args, kwargs))
    there = [leaf for leaf in leaves if isinstance(leaf, Elsewhere)]
    here = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor) and not isinstance(leaf, Elsewhere)]
    if function in INDEXES:
        indices = {id(leaf) for leaf in tree_leaves(args[1])}
        here = [leaf for leaf in here if id(leaf) not in indices]
    if there and function not in MOVES and any(leaf.dim() > 0 for leaf in here):
        raise RuntimeError(f"Expected all tensors to be on the same device, but {function} got both.")
    asked = kwargs.get("device")
    if names_it(asked):
        kwargs = {**kwargs, "device": CPU}
    made_from = {id(leaf.held): leaf for leaf in there}
    out = function(*tree_map(held, args), **tree_map(held, kwargs))
    if function is aten._local_scalar_dense.default:
        return out
    stays = bool(there) if asked is None else names_it(asked)
    if function is aten.copy_.default:
        stays = isinstance(args[0], Elsewhere)

    def back(value):
        if not isinstance(value, torch.Tensor):
            return value
        return made_from.get(id(value)) if id(value) in made_from else Elsewhere(value) if stays else value

    return tree_map(back, out)


def held(value):
    return value.held if isinstance(value, Elsewhere) else value


class _Dispatch(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return run(function, args, kwargs or {})


class _Factories(TorchFunctionMode):
    """`torch.tensor` and its like fill what they make before anything is dispatched: made on the CPU, then moved."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in FILLED_BEFORE_DISPATCH and names_it(kwargs.get("device")):
            return function(*args, **{**kwargs, "device": CPU}).to(DEVICE)
        if function is torch.Tensor.new_tensor and isinstance(args[0], Elsewhere):
            return args[0].held.new_tensor(*args[1:], **kwargs).to(DEVICE)
        return function(*args, **kwargs)


def load(*args, map_location=None, **kwargs):
    """`torch.load`, which asks the build itself, and not a mode, where a tensor can be."""
    if not names_it(map_location):
        return torch_load(*args, map_location=map_location, **kwargs)
    return moved(torch_load(*args, map_location=CPU, **kwargs))


def moved(state):
    """A loaded state on DEVICE: its dictionaries stay themselves, for some carry more than their entries."""
    if isinstance(state, torch.Tensor):
        return state.to(DEVICE)
    if isinstance(state, dict):
        for key, value in state.items():
            state[key] = moved(value)
    elif isinstance(state, (list, tuple)):
        return type(state)(moved(value) for value in state)
    return state


@contextmanager
def a_device_that_is_not_there() -> Iterator[torch.device]:
    """Inside, DEVICE computes."""
    overwrite = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    known = {"_get_fused_kernels_supported_devices": lambda: ["cuda", "cpu", "mps", DEVICE.type]}
    try:
        with (
            patch.multiple(sys.modules["torch.optim.optimizer"], **known),
            patch.object(torch, "load", load),
            torch.autograd.set_multithreading_enabled(False),
            _Factories(),
            _Dispatch(),
        ):
            yield DEVICE
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(overwrite)
