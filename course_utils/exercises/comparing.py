"""Are two values the same, and if not, which part of them differs, and how?"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tensordict import TensorDictBase

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
OTHER_ENTRIES = "The entries are not those asked for"
VALUES_ARE_RIGHT = "The values are right"
SMALL = 3  # so many numbers in a tuple or list are told apart by name; more of them are one row


@dataclass(frozen=True)
class Rules:
    """How strictly an exercise compares.

    Attributes:
        exact_type: float64 is not float32, a NumPy array is no tensor, and a list or tensor is no tuple.
        tolerance: relative and absolute, of floating-point numbers.
    """

    exact_type: bool = False
    tolerance: float = 1e-5


@dataclass(frozen=True)
class Unusable:
    """What an answer returned when the exercise's probe can do nothing with it."""

    kind: str
    error: str


@dataclass(frozen=True)
class WithGradient:
    """A result and what its gradient is at some of the inputs; None where it has none at all."""

    value: Any
    gradients: dict[str, torch.Tensor] | None


@dataclass(frozen=True)
class Part:
    """One of the things a result is made of.

    Attributes:
        name: as it stands in a sentence (`the first value`); empty where the result is one thing.
        want: of the reference.
        got: of the answer.
        words: what differs, as a sentence; empty where nothing does.
    """

    name: str
    want: Any
    got: Any
    words: str


def numbers_as_tensor(value: Any) -> torch.Tensor | None:
    """An array, or numbers in lists or tuples, as a tensor; None for anything else."""
    try:
        if isinstance(value, (np.ndarray, np.generic)):
            return torch.from_numpy(np.array(value))
        if is_row(value):
            value = [as_number(entry) for entry in value]
            return torch.tensor(value, dtype=torch.float64 if any(isinstance(one, float) for one in value) else None)
        if isinstance(value, (list, tuple)):
            rows = [plain(one) if isinstance(one, torch.Tensor) else numbers_as_tensor(one) for one in value]
            return None if any(row is None for row in rows) else torch.stack(rows)
    except (TypeError, ValueError, RuntimeError):  # ragged, mixed, or no numbers
        pass
    return None


def describe_kind(value: Any) -> str:
    if isinstance(value, torch.Tensor) and value.is_nested:
        return "a nested tensor"
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {list(value.shape)} and type {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, TensorDictBase):
        return f"a tensordict with batch size {list(value.batch_size)} and keys {sorted(map(str, value.keys()))}"
    if isinstance(value, np.ndarray):
        return f"a NumPy array of shape {list(value.shape)} and type {value.dtype}"
    if isinstance(value, (list, tuple)):
        return f"a {type(value).__name__} of {len(value)} value{'' if len(value) == 1 else 's'}"
    return f"a {type(value).__name__}"


def as_number(value: Any) -> Any:
    """Python, NumPy and zero-dimensional torch numbers are one and the same to an exercise that asks for a number."""
    if isinstance(value, (torch.Tensor, np.ndarray, np.generic)) and value.ndim == 0:
        return value.item()
    return value


def is_number(value: Any) -> bool:
    return isinstance(as_number(value), (bool, int, float))


def is_row(value: Any) -> bool:
    """Is this a list or tuple of numbers?"""
    return isinstance(value, (list, tuple)) and all(is_number(entry) for entry in value)


def plain(value: Any) -> Any:
    """A tensor as it can be compared: dense, on the CPU, without a graph; anything else as it is."""
    if not isinstance(value, torch.Tensor):
        return value
    value = value.detach()
    return (value if value.layout == torch.strided else value.to_dense()).cpu()


def kind_of(tensor: torch.Tensor) -> str:
    """What kind of numbers these are, however many bits each has."""
    if tensor.dtype == torch.bool:
        return "True or False"
    return "complex" if tensor.is_complex() else "decimal" if tensor.is_floating_point() else "whole"


def difference(want: Any, got: Any, rules: Rules | None = None) -> str:
    """What differs first between two values, as a sentence; empty where nothing does.

    Tensors are compared by shape, then kind of number, then values; tensordicts by batch size, keys and entries;
    tuples, lists and dicts entry by entry; modules by their weights; everything else by equality, or by type where
    a type knows no equality.
    """
    for part in parts(want, got, rules or Rules()):
        if part.words:
            return f"{part.name[0].upper()}{part.name[1:]}: {part.words}" if part.name else part.words
    return ""


def parts(want: Any, got: Any, rules: Rules, name: str = "") -> Iterator[Part]:
    """The parts of a result, each with what differs in it; one only where the two are not built alike."""
    if isinstance(got, Unusable):
        words = f"Your function returned {got.kind}, which cannot be used as the exercise asks ({got.error})."
        yield Part(name, want, got, words)
        return
    if isinstance(want, WithGradient):
        yield from with_gradient(want, got, rules)
        return
    if isinstance(want, torch.nn.Module) and isinstance(got, torch.nn.Module):
        want, got = dict(want.state_dict()), dict(got.state_dict())
    if words := built_otherwise(want, got, rules):
        yield Part(name, want, got, words)
        return
    if isinstance(want, TensorDictBase):
        for key in sorted(want.keys(True, True), key=str):
            yield from parts(want[key], got[key], rules, joined(name, tensordict_key(key)))
    elif isinstance(want, dict):
        for key in want:
            yield from parts(want[key], got[key], rules, joined(name, str(key) if " " in str(key) else f"`{key}`"))
    elif isinstance(want, (tuple, list)) and (len(want) <= SMALL or not is_row(want)):
        for place, (one, other) in enumerate(zip(want, got, strict=True)):
            yield from parts(one, other, rules, joined(name, ordinal(place)) if len(want) > 1 else name)
    else:
        yield Part(name, want, got, leaf_difference(want, got, rules))


def tensordict_key(key: str | tuple[str, ...]) -> str:
    return f"`{key}`" if isinstance(key, str) else "`({})`".format(", ".join(f'"{part}"' for part in key))


def ordinal(place: int) -> str:
    return f"the {ORDINALS[place]} value" if place < len(ORDINALS) else f"value {place + 1}"


def joined(outer: str, inner: str) -> str:
    return f"{outer}, {inner}" if outer else inner


def with_gradient(want: WithGradient, got: WithGradient, rules: Rules) -> Iterator[Part]:
    """The value first; of a value that is right, the gradients."""
    same = True
    for part in parts(want.value, got.value, rules):
        same &= not part.words
        yield part
    if not same:
        return
    for name, gradient in want.gradients.items():
        theirs = torch.zeros_like(gradient) if got.gradients is None else got.gradients[name]
        words = gradient_difference(name, gradient, theirs, rules)
        yield Part(f"the gradient at `{name}`", gradient, theirs, words)


def gradient_difference(name: str, want: torch.Tensor, got: torch.Tensor, rules: Rules) -> str:
    words = leaf_difference(want, got, Rules(tolerance=max(1e-4, rules.tolerance)))
    if not words:
        return ""
    if not got.any():
        return (
            f"The value is right, but no gradient reaches `{name}`, so nothing could learn from it. `item`, `detach`, "
            "`torch.no_grad` and a new tensor made of numbers cut it off."
        )
    if not want.any():
        return (
            f"The value is right, but a gradient reaches `{name}`, and none should: this result would train it, too. "
            "Use `detach`."
        )
    return f"The value is right, but its gradient at `{name}` is not. {words}"


def built_otherwise(want: Any, got: Any, rules: Rules) -> str:
    """What is wrong with a container, as a sentence; empty where its entries can be compared one by one."""
    if isinstance(want, TensorDictBase):
        if not isinstance(got, TensorDictBase):
            return f"Expected {describe_kind(want)}, got {describe_kind(got)}."
        if want.batch_size != got.batch_size:
            return (
                f"Expected a tensordict with batch size {list(want.batch_size)}, got one with {list(got.batch_size)}."
            )
        return other_names(set(want.keys(True, True)), set(got.keys(True, True)), tensordict_key)
    if isinstance(want, dict):
        if not isinstance(got, dict):
            return f"Expected a dict with keys {sorted(map(str, want))}, got {describe_kind(got)}."
        return other_names(set(want), set(got), lambda key: f"`{key}`")
    if isinstance(want, (tuple, list)):
        return another_row(want, got, rules)
    return ""


def other_names(want: set, got: set, quoted: Callable[[Any], str]) -> str:
    found = [
        f"{', '.join(sorted(map(quoted, names)))} {verb if len(names) == 1 else verbs}"
        for names, verb, verbs in (
            (want - got, "is missing", "are missing"),
            (got - want, "was not asked for", "were not asked for"),
        )
        if names
    ]
    return f"{OTHER_ENTRIES}: {'; '.join(found)}." if found else ""


def another_row(want: tuple | list, got: Any, rules: Rules) -> str:
    """As `built_otherwise`, where the reference is a tuple or list."""
    row = "a list" if isinstance(want, list) else "a tuple"
    kind = f"{row} of {len(want)} value{'' if len(want) == 1 else 's'}"
    if isinstance(got, (torch.Tensor, np.ndarray)) and is_row(want):
        if rules.exact_type:
            return f"Expected {kind}, got {describe_kind(got)}: here the type matters."
        if got.ndim != 1:
            return f"Expected {kind}, got {describe_kind(got)}."
    elif not isinstance(got, (tuple, list)):
        return f"Expected {kind}, got {describe_kind(got)}."
    elif rules.exact_type and isinstance(want, list) != isinstance(got, list):
        return f"Expected {kind}, got {describe_kind(got)}: here the type matters."
    return f"Expected {kind}, got {len(got)}." if len(want) != len(got) else ""


def leaf_difference(want: Any, got: Any, rules: Rules) -> str:
    """What differs between two values that have no parts, as a sentence; empty where nothing does."""
    if isinstance(got, torch.Tensor) and got.is_meta:
        return "Your tensor is on the `meta` device: it has a shape, but no values."
    try:
        return compared(want, got, rules)
    except Exception as error:  # an answer can be any object, also one that cannot be compared
        return f"Expected {describe_kind(want)}, got {describe_kind(got)}, which cannot be compared ({error})."


def compared(want: Any, got: Any, rules: Rules) -> str:
    """As `leaf_difference`, of values whose types may raise anything."""
    if isinstance(want, torch.Tensor) and want.ndim > 0:
        return tensor_difference(want, got, rules)
    if is_row(want) and not is_number(want):  # as long as the other one, see `built_otherwise`
        return row_difference(want, got, rules)
    if isinstance(want, torch.Tensor) and rules.exact_type and not isinstance(got, torch.Tensor):
        return f"Expected a tensor, got {describe_kind(got)}: here the type matters."
    if isinstance(want, Set) and isinstance(got, Set if rules.exact_type else (Set, list, tuple)):
        return set_difference(want, got)
    want, got = as_number(plain(want)), as_number(plain(got))
    if isinstance(want, bool) or isinstance(got, bool):
        same = isinstance(want, bool) and isinstance(got, bool) and want == got
    elif isinstance(want, (int, float)):
        if not isinstance(got, (int, float)):
            return f"Expected a number, got {describe_kind(got)}."
        same = bool(np.isclose(want, got, rtol=rules.tolerance, atol=rules.tolerance, equal_nan=True))
    else:
        comparable = type(want).__eq__ is not object.__eq__
        same = type(want) is type(got) and (not comparable or bool(want == got))
        if not same and type(want) is not type(got) and not is_number(got):
            return f"Expected {shown(want)}, got {describe_kind(got)}."
    return "" if same else "Expected {}, got {}.".format(*told_apart(want, got))


def set_difference(want: Set, got: Collection) -> str:
    try:
        want, got = set(want), set(got)
    except TypeError:
        return f"Expected a set, got {describe_kind(got)} whose entries are themselves lists or sets."
    missing, extra = (", ".join(sorted(map(str, names))) for names in (want - got, got - want))
    found = [f"missing: {missing}"] if missing else []
    found += [f"too many: {extra}"] if extra else []
    return f"Expected {len(want)} in all; {'; '.join(found)}." if found else ""


def row_difference(want: list | tuple, got: Any, rules: Rules) -> str:
    if not isinstance(got, (torch.Tensor, np.ndarray)) and not is_row(got):
        return f"Expected numbers only, got {describe_kind(got)}."
    wrong = [place for place, (a, b) in enumerate(zip(want, got, strict=True)) if leaf_difference(a, b, rules)]
    if not wrong:
        return ""
    one, other = told_apart(as_number(want[wrong[0]]), as_number(got[wrong[0]]))
    return f"{counted(len(wrong), len(want))} The first is at {wrong[0]}: expected {one}, got {other}."


def tensor_difference(want: torch.Tensor, got: Any, rules: Rules) -> str:
    want = plain(want)
    if not rules.exact_type and not isinstance(got, torch.Tensor):
        as_tensor = numbers_as_tensor(got)
        got = got if as_tensor is None else as_tensor
    if not isinstance(got, torch.Tensor):
        return f"Expected {describe_kind(want)}, got {describe_kind(got)}."
    got = plain(got)
    if want.shape != got.shape:
        return f"Expected a tensor of shape {list(want.shape)}, got one of shape {list(got.shape)}."
    same = close(want, got, rules.tolerance)
    if same.all():
        return other_type(want, got, rules)
    if (want.dtype == torch.bool) != (got.dtype == torch.bool):
        return f"Expected {describe_kind(want)}, got {describe_kind(got)}."
    place = tuple(torch.nonzero(~same)[0].tolist())
    one, other = told_apart(want[place].item(), got[place].item())
    return (
        f"The shape {list(want.shape)} is right. {counted(int((~same).sum()), want.numel())} The first is at "
        f"{list(place)}: expected {one}, got {other}."
    )


def other_type(want: torch.Tensor, got: torch.Tensor, rules: Rules) -> str:
    """Of two tensors with the same values: what is wrong with the type."""
    names = [str(tensor.dtype).removeprefix("torch.") for tensor in (want, got)]
    if kind_of(want) != kind_of(got):
        return f"{VALUES_ARE_RIGHT}, their type is not: expected {names[0]}, got {names[1]}."
    if rules.exact_type and want.dtype != got.dtype:
        return f"{VALUES_ARE_RIGHT}, but here the type matters: expected {names[0]}, got {names[1]}."
    return ""


def close(want: torch.Tensor, got: torch.Tensor, tolerance: float) -> torch.Tensor:
    """Where two tensors of one shape hold the same; whole numbers and flags exactly, NaN equals NaN."""
    if want.is_floating_point() or got.is_floating_point():
        return torch.isclose(want.double(), got.double(), rtol=tolerance, atol=tolerance, equal_nan=True)
    return want == got


def counted(wrong: int, of: int) -> str:
    if wrong == of:
        return f"None of the {of} values is." if of > 1 else "The value is not."
    return f"{wrong} of {of} values {'is' if wrong == 1 else 'are'} not."


def shown(value: Any) -> str:
    """A value in a sentence; a number with as many digits as tell two apart that count as different."""
    return f"{value:.7g}" if isinstance(value, float) else f"{value!r:.80}"


def told_apart(want: Any, got: Any) -> tuple[str, str]:
    """Two values that differ, each with as few digits as show it."""
    if isinstance(want, float) and isinstance(got, (int, float)) and not isinstance(got, bool):
        for digits in range(4, 8):
            one, other = f"{want:.{digits}g}", f"{float(got):.{digits}g}"
            if one != other:
                return one, other
    return shown(want), shown(got)
