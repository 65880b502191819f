"""A result that is not built as it should be: one value for two, too many rows, a tuple that was not unpacked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from tensordict import TensorDictBase

from course_utils.exercises.cases import as_tensor, same
from course_utils.exercises.comparing import ORDINALS, Rules, difference

Pairs = list[tuple[Any, Any]]  # what is right and what was answered, for each draw in which the answer is wrong


def unpacked(pairs: Pairs, rules: Rules) -> Iterator[str]:
    """A tuple, one entry of which is right: `max(dim)` without `.values`, more than was asked for."""
    if not all(isinstance(got, tuple) and not isinstance(want, (tuple, list)) for want, got in pairs):
        return
    for place in range(min(len(got) for _, got in pairs)):
        if all(not difference(want, got[place], rules) for want, got in pairs):
            if type(pairs[0][1]).__module__ == "torch.return_types":
                yield "You return values *and* their indices, as `max(dim)` and `min(dim)` do. Take `.values`."
            else:
                count, which = len(pairs[0][1]), ORDINALS[place]
                yield f"You return {count} values; the {which} of them is the right one. Return it alone."


def one_of_several(pairs: Pairs, rules: Rules) -> Iterator[str]:
    """One value where several are asked for."""
    if not all(isinstance(want, tuple) and not isinstance(got, (tuple, list)) for want, got in pairs):
        return
    for place in range(min(len(want) for want, _ in pairs)):
        if all(not difference(want[place], got, rules) for want, got in pairs):
            count, which = len(pairs[0][0]), ORDINALS[place]
            yield f"{count} values are asked for, and you return one, which is right: the {which} of them."


def longer_or_shorter(pairs: Pairs, rules: Rules) -> Iterator[str]:
    """A tuple or list that stops too early, or goes on for too long."""
    if not all(isinstance(want, (tuple, list)) and isinstance(got, (tuple, list)) for want, got in pairs):
        return
    counts = f"For example {len(pairs[0][0])} are expected, and you return {len(pairs[0][1])}."
    for words, cut in (
        ("The last ones are missing from what you return; the others are right.", lambda w, g: (w[: len(g)], g)),
        ("The first ones are missing from what you return; the others are right.", lambda w, g: (w[-len(g) :], g)),
        ("You return too much at the end; what stands before is right.", lambda w, g: (w, g[: len(w)])),
        ("You return too much at the beginning; what stands behind is right.", lambda w, g: (w, g[-len(w) :])),
    ):
        if all(len(w) != len(g) and min(len(w), len(g)) and equal(cut(w, g), rules) for w, g in pairs):
            yield f"{words} {counts}"


def equal(pair: tuple[Any, Any], rules: Rules) -> bool:
    return len(pair[0]) == len(pair[1]) and not difference(list(pair[0]), list(pair[1]), rules)


def rows(pairs: Pairs) -> Iterator[str]:
    """Rows of a tensordict or a tensor that are missing, or do not belong there."""
    tables = [(table(want), table(got)) for want, got in pairs]
    if any(want is None or got is None or want.shape[1] != got.shape[1] for want, got in tables):
        return
    counts = f"For example {len(tables[0][0])} are expected, and you return {len(tables[0][1])}."
    if all(len(got) < len(want) and contained(got, want) for want, got in tables):
        yield f"Rows are missing from your result; those that are there are right. {counts}"
    if all(len(got) > len(want) and contained(want, got) for want, got in tables):
        yield f"All right rows are in your result, but also some that do not belong there. {counts}"


def table(value: Any) -> torch.Tensor | None:
    """What tells the rows of a value apart, as [rows, numbers]; None where nothing does."""
    if isinstance(value, TensorDictBase) and value.batch_dims == 1:
        numbers = [value[key] for key in sorted(value.keys(True, True), key=str) if value[key].is_floating_point()]
        return torch.cat([entry.reshape(len(value), -1) for entry in numbers], 1) if numbers else None
    tensor = as_tensor(value)
    if tensor is None or tensor.ndim < 2 or not tensor.is_floating_point():
        return None
    return tensor.reshape(len(tensor), -1)


def contained(few: torch.Tensor, many: torch.Tensor) -> bool:
    return bool(len(few)) and all(any(same(row, other) for other in many) for row in few)


STRUCTURES: dict[str, Callable[[Pairs, Rules], Iterator[str]]] = {
    "a tuple where one of its values is asked for (`max(dim)` without `.values`)": unpacked,
    "one value where several are asked for": one_of_several,
    "a list that stops too early or goes on for too long": longer_or_shorter,
}


def built(pairs: Pairs, rules: Rules) -> str:
    """How the results are built otherwise, as a sentence; empty where nothing simple holds in all of them."""
    return next((words for find in STRUCTURES.values() for words in find(pairs, rules)), "")
