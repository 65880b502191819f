"""Where a result has to carry a gradient: differentiate it, and see what arrives at the inputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from tensordict import TensorDictBase

from course_utils.exercises.comparing import Unusable, WithGradient


def ask_for_gradients(inputs: dict[str, Any], names: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """Make leaves of the named inputs, in place, and give them by name.

    A tensor keeps its name, entries of a tensordict and of a list and parameters of a module are named with it:
    `losses, loss_value`.

    Raises:
        KeyError: an exercise names an input that it does not draw.
        ValueError: a named input holds no floating-point number.
    """
    leaves: dict[str, torch.Tensor] = {}
    for name in names:
        before = len(leaves)
        value = inputs[name]
        if isinstance(value, torch.Tensor):
            inputs[name] = leaves[name] = leaf(value)
        elif isinstance(value, torch.nn.Module):
            for part, parameter in value.named_parameters():
                leaves[f"{name}, {part}"] = parameter.requires_grad_()
        elif isinstance(value, TensorDictBase):
            for key in value.keys(True, True):
                if value[key].is_floating_point():
                    value.set(key, leaf(value[key]))
                    leaves[f"{name}, {key if isinstance(key, str) else ', '.join(key)}"] = value[key]
        elif isinstance(value, list):
            for place, entry in enumerate(value):
                value[place] = leaves[f"{name}, {place}"] = leaf(entry)
        if len(leaves) == before:
            raise ValueError(f"the input {name!r} holds nothing that has a gradient")
    return leaves


def leaf(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().clone().requires_grad_()


def differentiate(value: Any, leaves: dict[str, torch.Tensor], seed: int) -> WithGradient | Unusable:
    """The value, and the gradient of all its numbers, weighted at random by `seed`, at the leaves."""
    if isinstance(value, Unusable):
        return value
    total = None
    for place, tensor in enumerate(numbers_in(value)):
        if isinstance(tensor, torch.Tensor) and tensor.requires_grad:
            weights = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(seed + place))
            part = (tensor.float() * weights).sum()
            total = part if total is None else total + part
    if total is None:
        return WithGradient(value, None)
    found = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
    return WithGradient(
        value,
        {
            name: torch.zeros_like(at) if gradient is None else gradient
            for (name, at), gradient in zip(leaves.items(), found, strict=True)
        },
    )


def numbers_in(value: Any) -> Iterator[Any]:
    """The leaves of a result, always in the same order."""
    if isinstance(value, TensorDictBase):
        for key in sorted(value.keys(True, True), key=str):
            yield value[key]
    elif isinstance(value, dict):
        for entry in value.values():
            yield from numbers_in(entry)
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from numbers_in(entry)
    else:
        yield value
