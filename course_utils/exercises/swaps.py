"""Would the answer be right for other inputs? The reference is asked again, with one of them changed."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from tensordict import TensorDictBase

from course_utils.exercises.cases import as_tensor, at, entries_of

Change = tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]  # as in "would be right if ...", and how to make it

OF_FLAGS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "{} were False everywhere: as if you did not look at it": torch.zeros_like,
    "{} were True everywhere: as if you did not look at it": torch.ones_like,
    "{} were turned round (`~`)": lambda flags: ~flags,
    "{} came one step later": lambda flags: later(flags),
    "{} came one step earlier": lambda flags: earlier(flags),
    "{} stayed True from the first True on": lambda flags: flags.cummax(time_of(flags)).values,
    "{} were True for all as soon as it is for one (`any`)": lambda flags: flags.any().expand_as(flags).clone(),
    "{} were True only if it is for all (`all`)": lambda flags: flags.all().expand_as(flags).clone(),
    "the first entry of {} counted for all": lambda flags: flags[:1].expand_as(flags).clone(),
}
OF_VALUES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "{} were 0: as if you did not use it": torch.zeros_like,
    "{} were 1: as if you did not use it": torch.ones_like,
    "{} had the other sign": lambda values: -values,
    "{} had no sign (`abs`)": torch.abs,
    "{} were turned into `exp` of it": torch.exp,
    "{} were squared": torch.square,
    "{} were 0 where it is negative": lambda values: values.clamp(min=0),
    "{} came one step later": lambda values: later(values),
    "{} came one step earlier": lambda values: earlier(values),
    "{} went round in a circle by one step": lambda values: values.roll(1, time_of(values)),
    "{} were in reverse order": lambda values: values.flip(time_of(values)),
    "{} were transposed": lambda values: values.transpose(-1, -2).contiguous(),
    "{} were its mean everywhere": lambda values: values.mean().expand_as(values).clone(),
    "the first entry of {} counted for all": lambda values: values[:1].expand_as(values).clone(),
    "the last entry of {} counted for all": lambda values: values[-1:].expand_as(values).clone(),
    "{} were replaced by its `softmax`": lambda values: values.softmax(-1),
}
OF_WHOLE_NUMBERS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "{} were 0 everywhere: as if you did not use it": torch.zeros_like,
    "{} were 1 larger": lambda values: values + 1,
    "{} were 1 smaller": lambda values: values - 1,
    "the first entry of {} counted for all": lambda values: values[:1].expand_as(values).clone(),
    "the last entry of {} counted for all": lambda values: values[-1:].expand_as(values).clone(),
    "{} were in reverse order": lambda values: values.flip(0),
    "{} were transposed": lambda values: values.transpose(-1, -2).contiguous(),
}
OF_NUMBERS: dict[str, Callable[[Any], Any]] = {
    "{} were 1: as if you did not use it": lambda number: type(number)(1),
    "{} were 0: as if you did not use it": lambda number: type(number)(0),
    "{} were squared: as if you used it twice": lambda number: number * number,
    "1 minus {} stood in its place": lambda number: 1 - number,
    "{} had the other sign": lambda number: -number,
    "1 divided by {} stood in its place": lambda number: 1 / number,
    "{} were 1 larger": lambda number: number + 1,
    "{} were 1 smaller": lambda number: number - 1,
    "{} were twice as large": lambda number: 2 * number,
    "{} were half as large": lambda number: number / 2,
    "the root of {} stood in its place": lambda number: abs(number) ** 0.5,
}
USUAL = (2, 3, 4, 5, 8, 10, 100, 0.005, 0.01, 0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)
ALWAYS = "{{}} were always {}: as if this number stood in your code"
OF_ALL_NUMBERS = OF_NUMBERS | {ALWAYS.format(usual): lambda number, usual=usual: type(number)(usual) for usual in USUAL}
OF_TWO_FLAGS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "{0} were True where {0} or {1} is": lambda one, other: one | other,
    "{0} were True only where {1} is, too": lambda one, other: one & other,
    "{0} were True only where {1} is not": lambda one, other: one & ~other,
    "{0} were True where just one of {0} and {1} is": lambda one, other: one ^ other,
    "the opposite of {1} stood in the place of {0}": lambda one, other: ~other,
}


OF_TWO_NUMBERS: dict[str, Callable[[float, float], float]] = {
    "{0} times {1} stood in the place of {0}": lambda one, other: one * other,
    "{0} divided by {1} stood in the place of {0}": lambda one, other: one / other,
    "{0} plus {1} stood in the place of {0}": lambda one, other: one + other,
    "{0} minus {1} stood in the place of {0}": lambda one, other: one - other,
}
OF_TWO_TENSORS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "the larger one of {0} and {1} stood in the place of {0}": torch.maximum,
    "the smaller one of {0} and {1} stood in the place of {0}": torch.minimum,
    "the mean of {0} and {1} stood in the place of {0}": lambda one, other: (one + other) / 2,
}
OF_ANY_TWO = ("{1} stood in the place of {0}", "{0} and {1} changed places")


def known_changes() -> list[str]:
    """What can be told of inputs x and y, for the teachers' page."""
    words = [*OF_ANY_TWO, *OF_FLAGS, *OF_VALUES, *OF_WHOLE_NUMBERS, *OF_NUMBERS, *OF_TWO_FLAGS]
    words += [*OF_TWO_NUMBERS, *OF_TWO_TENSORS, ALWAYS.format("0.9 (or another usual number)")]
    return list(dict.fromkeys(word.replace("{}", "{0}").format("`x`", "`y`") for word in words))


def time_of(values: torch.Tensor) -> int:
    """The dimension that is most likely time: the last one of more than one entry."""
    return max((dim for dim in range(values.ndim) if values.shape[dim] > 1), default=0)


def later(values: torch.Tensor) -> torch.Tensor:
    dim = time_of(values)
    return torch.cat([torch.zeros_like(values.narrow(dim, 0, 1)), values.narrow(dim, 0, values.shape[dim] - 1)], dim)


def earlier(values: torch.Tensor) -> torch.Tensor:
    dim = time_of(values)
    return torch.cat([values.narrow(dim, 1, values.shape[dim] - 1), torch.zeros_like(values.narrow(dim, 0, 1))], dim)


def changes(inputs: dict[str, Any]) -> Iterator[Change]:
    """Every change that can be made to inputs built like these, the simplest first."""
    ways = entries_of(inputs)
    kinds = {name: kind(at(inputs, way)) for name, way in ways.items()}
    for one, other in itertools.permutations(ways, 2):
        if kinds[one] and kinds[one] == kinds[other]:
            yield (
                OF_ANY_TWO[0].format(one, other),
                lambda new, a=ways[one], b=ways[other]: put(new, a, at(new, b)),
            )
    for name, way in ways.items():
        for words, function in single(at(inputs, way)).items():
            yield words.format(name), lambda new, w=way, f=function: put(new, w, f(at(new, w)))
    for one, other in itertools.combinations(ways, 2):
        if kinds[one] and kinds[one] == kinds[other]:
            yield OF_ANY_TWO[1].format(one, other), lambda new, a=ways[one], b=ways[other]: exchanged(new, a, b)
    for one, other in itertools.permutations(ways, 2):
        if kinds[one] and kinds[one] == kinds[other]:
            for words, function in double(at(inputs, ways[one])).items():
                yield (
                    words.format(one, other),
                    lambda new, a=ways[one], b=ways[other], f=function: put(new, a, f(at(new, a), at(new, b))),
                )


def kind(value: Any) -> Any:
    """What may stand in the place of what; None for what has no place of its own."""
    if isinstance(value, torch.Tensor):
        return value.dtype, tuple(value.shape)
    if isinstance(value, (bool, int, float, str)):
        return type(value)
    return "row" if as_tensor(value) is not None else type(value) if isinstance(value, TensorDictBase) else None


def single(value: Any) -> dict[str, Callable]:
    if isinstance(value, bool):
        return {"{} were turned round": lambda flag: not flag}
    if isinstance(value, (int, float)):
        return OF_ALL_NUMBERS
    if isinstance(value, str):
        return {}
    if isinstance(value, torch.Tensor):
        if value.dtype == torch.bool:
            return OF_FLAGS
        return OF_VALUES if value.is_floating_point() else OF_WHOLE_NUMBERS
    return {}


def double(value: Any) -> dict[str, Callable]:
    if isinstance(value, torch.Tensor) and value.dtype == torch.bool:
        return OF_TWO_FLAGS
    if isinstance(value, float):
        return OF_TWO_NUMBERS
    return OF_TWO_TENSORS if isinstance(value, torch.Tensor) and value.is_floating_point() else {}


def put(inputs: dict[str, Any], way: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """The inputs with one leaf replaced; they are the caller's own copy."""
    value = value.detach().clone() if isinstance(value, torch.Tensor) else copy.deepcopy(value)
    if len(way) == 1:
        return inputs | {way[0]: value}
    holder = inputs[way[0]]
    if isinstance(holder, TensorDictBase):
        holder.set(way[1], value)
        return inputs
    changed = list(holder) if isinstance(holder, (list, tuple)) else dict(holder)
    changed[way[1]] = value
    return inputs | {way[0]: changed if not isinstance(holder, tuple) else tuple(changed)}


def exchanged(inputs: dict[str, Any], one: tuple[Any, ...], other: tuple[Any, ...]) -> dict[str, Any]:
    first, second = copy.deepcopy(at(inputs, one)), copy.deepcopy(at(inputs, other))
    return put(put(inputs, one, second), other, first)
