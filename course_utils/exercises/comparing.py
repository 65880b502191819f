"""Are two values the same, and if not, what differs first?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tensordict import TensorDictBase


@dataclass(frozen=True)
class Unusable:
    """What an answer returned when the exercise's probe can do nothing with it."""

    kind: str
    error: str


def describe_kind(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {list(value.shape)} and type {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, TensorDictBase):
        return f"a tensordict with batch size {list(value.batch_size)} and keys {sorted(map(str, value.keys()))}"
    return f"a {type(value).__name__}"


def as_number(value: Any) -> Any:
    """Python, NumPy and zero-dimensional torch numbers are one and the same to an exercise that asks for a number."""
    if isinstance(value, (torch.Tensor, np.ndarray, np.generic)) and value.ndim == 0:
        return value.item()
    return value


def difference(want: Any, got: Any) -> str:
    """What differs first between two values, as a sentence; empty where nothing does.

    Tensors are compared by shape, then type, then values (to 1e-5); tensordicts by batch size, keys and entries;
    tuples, lists and dicts entry by entry; modules by their weights; everything else by equality, or by type where
    a type knows no equality.
    """
    if isinstance(got, Unusable):
        return f"Your function returned {got.kind}, which cannot be used as the exercise asks ({got.error})."
    if isinstance(want, torch.nn.Module) and isinstance(got, torch.nn.Module):
        want, got = dict(want.state_dict()), dict(got.state_dict())
    if isinstance(want, TensorDictBase):
        if not isinstance(got, TensorDictBase):
            return f"Expected {describe_kind(want)}, got {describe_kind(got)}."
        if want.batch_size != got.batch_size or set(want.keys(True, True)) != set(got.keys(True, True)):
            return f"Expected {describe_kind(want)}, got {describe_kind(got)}."
        found = ((key, difference(want[key], got[key])) for key in want.keys(True, True))
        return next((f"At key {key!r}: {words}" for key, words in found if words), "")
    if isinstance(want, torch.Tensor) and want.ndim > 0:
        return tensor_difference(want, got)
    want, got = as_number(want), as_number(got)
    if isinstance(want, bool) or isinstance(got, bool):
        same = isinstance(want, bool) and isinstance(got, bool) and want == got
    elif isinstance(want, (int, float)):
        if not isinstance(got, (int, float)):
            return f"Expected a number, got {describe_kind(got)}."
        same = bool(np.isclose(want, got, rtol=1e-5, atol=1e-5))
    elif isinstance(want, (tuple, list)):
        if not isinstance(got, (tuple, list)) or len(want) != len(got):
            return f"Expected {len(want)} values in a tuple or list, got {got!r:.80}."
        found = ((place, difference(a, b)) for place, (a, b) in enumerate(zip(want, got, strict=True)))
        return next((f"At place {place}: {words}" for place, words in found if words), "")
    elif isinstance(want, dict):
        if not isinstance(got, dict) or want.keys() != got.keys():
            return f"Expected a dict with keys {sorted(want)}, got {describe_kind(got)}."
        found = ((key, difference(want[key], got[key])) for key in want)
        return next((f"At key {key!r}: {words}" for key, words in found if words), "")
    else:
        comparable = type(want).__eq__ is not object.__eq__
        same = type(want) is type(got) and (not comparable or bool(want == got))
    return "" if same else f"Expected {shown(want)}, got {shown(got)}."


def shown(value: Any) -> str:
    """A value in a sentence; a number with as many digits as tell two apart that count as different."""
    return f"{value:.7g}" if isinstance(value, float) else f"{value!r:.80}"


def tensor_difference(want: torch.Tensor, got: Any) -> str:
    if not isinstance(got, torch.Tensor) or want.shape != got.shape or want.dtype != got.dtype:
        return f"Expected {describe_kind(want)}, got {describe_kind(got)}."
    same = torch.isclose(want, got, rtol=1e-5, atol=1e-5, equal_nan=True) if want.is_floating_point() else want == got
    if same.all():
        return ""
    place = tuple(torch.nonzero(~same)[0].tolist())
    count = int((~same).sum())
    return (
        f"The shape {list(want.shape)} is right, {count} of {want.numel()} values are not. The first is at "
        f"{list(place)}: expected {shown(want[place].item())}, got {shown(got[place].item())}."
    )
