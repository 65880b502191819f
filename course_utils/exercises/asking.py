"""Ask the reference again, with another input or another operation: would the answer be right then?"""

from __future__ import annotations

import copy
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import torch

from course_utils.exercises.comparing import Part, WithGradient, difference, parts
from course_utils.exercises.exercise import Exercise
from course_utils.exercises.operations import Names, replacements
from course_utils.exercises.running import apply
from course_utils.exercises.swaps import changes

WATCHED = 4  # so many draws are looked at for operations: some take another way through the reference

Draws = list[tuple[dict[str, Any], int, Any, Any]]  # inputs, seed, what is right, what was answered


def would_be_right(
    exercise: Exercise, draws: Draws, split: list[list[Part]], places: list[int] | None, until: float
) -> Iterator[str]:
    """What would have to be changed for the answer to be right in all draws, as it stands after "if".

    Args:
        exercise: whose reference is asked.
        draws: what it was asked before.
        split: the parts of each draw.
        places: which parts have to be right; None: all of the result.
        until: when to stop, in seconds of `time.thread_time`: a busy machine does not make it know less.
    """

    def right(change=None, mode=None) -> bool:
        return all(
            agrees(exercise, draw, found, places, change, mode) for draw, found in zip(draws, split, strict=True)
        )

    for words, change in changes(draws[0][0]):
        if time.thread_time() > until:
            return
        if right(change=change):
            yield words
    for words, mode in replacements(called(exercise, draws)):
        if time.thread_time() > until:
            return
        if right(mode=mode):
            yield words


def agrees(
    exercise: Exercise,
    draw: tuple[dict[str, Any], int, Any, Any],
    found: list[Part],
    places: list[int] | None,
    change: Callable | None,
    mode: Callable | None,
) -> bool:
    """Is the answer, in these parts, what the changed reference gives for this draw?"""
    inputs, seed, _, got = draw
    inputs = copy.deepcopy(inputs)
    try:
        if mode is None:
            result = apply(exercise, exercise.reference, change(inputs), seed)
        else:
            with mode():
                result = apply(exercise, exercise.reference, watched(inputs), seed)
        if places is None:
            return not difference(result, got, exercise.rules)
        theirs = result.value if isinstance(result, WithGradient) else result
        split = list(parts(theirs, theirs, exercise.rules))
        return len(split) > max(places) and not any(
            difference(split[place].want, found[place].got, exercise.rules) for place in places
        )
    except Exception:  # whatever the reference raises for inputs it was not made for: it is not what was answered
        return False


def called(exercise: Exercise, draws: Draws) -> Counter[str]:
    """How often the reference calls which operation of torch, at most."""
    most: Counter[str] = Counter()
    for inputs, seed, _, _ in draws[:WATCHED]:
        with Names() as names:
            try:
                apply(exercise, exercise.reference, watched(copy.deepcopy(inputs)), seed)
            except Exception:  # a reference that takes no tensors for numbers cannot be watched
                return Counter()
        most |= names.called
    return most


def watched(inputs: dict[str, Any]) -> dict[str, Any]:
    """Numbers as tensors, so that what is computed with them can be watched; where there are tensors, as it is."""
    if all(type(value) in (int, float, bool) for value in inputs.values()):
        return {
            name: torch.tensor(value, dtype=torch.float64 if type(value) is float else None)
            for name, value in inputs.items()
        }
    return inputs
