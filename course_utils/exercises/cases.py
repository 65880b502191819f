"""What an explanation looks at: one part of a result in every draw, as tensors, beside the inputs it was made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from tensordict import TensorDictBase

from course_utils.exercises.comparing import close, is_number, is_row, numbers_as_tensor, plain

TOLERANCE = 1e-4  # of a relation: logarithms and squares of rounded numbers differ more than these


@dataclass(frozen=True)
class Case:
    """One draw.

    Attributes:
        inputs: the inputs and the entries of those that have some, under the names a learner would write:
            `td["next", "reward"]`.
        want, got: this part of the reference's and of the answer's result.
    """

    inputs: dict[str, Any]
    want: torch.Tensor
    got: torch.Tensor

    @property
    def wrong(self) -> torch.Tensor:
        """Where the answer is wrong; of the shape of `want`, which `got` has to have, too."""
        return ~close(self.want, self.got, 1e-5)


def as_tensor(value: Any) -> torch.Tensor | None:
    """A number, or numbers, as a tensor; None for anything else."""
    if isinstance(value, torch.Tensor):
        return None if value.is_meta else plain(value)
    return torch.tensor(value) if is_number(value) else numbers_as_tensor(value)


def entries_of(inputs: dict[str, Any]) -> dict[str, tuple[Any, ...]]:
    """The leaves of the inputs: for the name a learner would write, the way to each."""
    found: dict[str, tuple[Any, ...]] = {}
    for name, value in inputs.items():
        if isinstance(value, TensorDictBase):
            for key in sorted(value.keys(True, True), key=str):
                quoted = f'"{key}"' if isinstance(key, str) else ", ".join(f'"{part}"' for part in key)
                found[f"`{name}[{quoted}]`"] = (name, key)
        elif isinstance(value, dict):
            found |= {f"`{name}[{key!r}]`": (name, key) for key in value}
        elif isinstance(value, (list, tuple)) and not is_row(value) and as_tensor(value) is None:
            found |= {f"`{name}[{place}]`": (name, place) for place in range(len(value))}
        else:
            found[f"`{name}`"] = (name,)
    return found


def at(inputs: dict[str, Any], way: tuple[Any, ...]) -> Any:
    value = inputs[way[0]]
    return value if len(way) == 1 else value[way[1]]


def flat(inputs: dict[str, Any]) -> dict[str, Any]:
    """The leaves of the inputs by name; numbers as tensors, everything else as it is."""
    leaves = {name: at(inputs, way) for name, way in entries_of(inputs).items()}
    return {
        name: value if (tensor := as_tensor(value)) is None or isinstance(value, str) else tensor
        for name, value in leaves.items()
    }


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Do two tensors hold the same, to rounding? Of flags and other numbers: never."""
    if one.shape != other.shape or (one.dtype == torch.bool) != (other.dtype == torch.bool):
        return False
    return bool(close(one, other, TOLERANCE).all())


def fitted(value: torch.Tensor, shape: torch.Size) -> torch.Tensor | None:
    """An input brought to the shape of a result: dimensions of 1 dropped, added or expanded; None where none fits."""
    if value.ndim == 0 or value.shape == shape:
        return value.expand(shape)
    if [size for size in value.shape if size != 1] == [size for size in shape if size != 1]:
        return value.reshape(shape)
    if value.ndim < len(shape) and value.shape == shape[: value.ndim]:
        return value.reshape(*value.shape, *[1] * (len(shape) - value.ndim)).expand(shape)
    if value.ndim == len(shape) and all(mine in (1, theirs) for mine, theirs in zip(value.shape, shape, strict=True)):
        return value.expand(shape)
    return None
