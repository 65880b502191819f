"""What an answer looks at: it is asked again, with one input taken from another draw, or with other random numbers."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from course_utils.exercises.asking import Draws
from course_utils.exercises.cases import at, entries_of
from course_utils.exercises.comparing import difference
from course_utils.exercises.exercise import Exercise
from course_utils.exercises.running import Success, call, run_limited
from course_utils.exercises.swaps import kind, put

# What can be told, for the teachers' page.
KNOWN_OF_INPUTS = (
    "the result stays the same whatever an input is that it should depend on",
    "the result changes with an input that it should not depend on",
    "the function draws random numbers of its own",
    "the function keeps something from call to call",
)
TRIED = 3  # so often an input is exchanged


def asked_again(exercise: Exercise, answer: Callable, draws: Draws) -> str:
    """That the answer, unlike the reference, gives something else for the same input each time; or nothing."""
    inputs, seed, want, got = draws[0]
    if difference(got, got, exercise.rules):  # it cannot even be compared with itself
        return ""
    if difference(want, call(exercise, exercise.reference, inputs, seed + 1), exercise.rules):
        return ""
    for other, words in (
        (seed, "it keeps something from call to call. Make all it needs inside of it."),
        (seed + 1, "it draws random numbers of its own."),
    ):
        again = run_limited(exercise, answer, copy.deepcopy(inputs), other)
        if isinstance(again, Success) and difference(got, again.value, exercise.rules):
            return f"Asked twice, your function gives two results for the same input: {words}"
    return ""


def overlooked(exercise: Exercise, answer: Callable, draws: Draws) -> tuple[list[str], list[str]]:
    """The inputs that should change the result and do not; those that should not and do."""
    unused, misused = [], []
    for name, way in entries_of(draws[0][0]).items():
        mine, theirs = [], []
        for place in range(min(TRIED, len(draws) - 1)):
            moved = moves(exercise, answer, draws[place], draws[place + 1][0], way)
            if moved is None:
                break
            mine.append(moved[0])
            theirs.append(moved[1])
        else:
            if all(theirs) and not any(mine):
                unused.append(name)
            elif any(mine) and not any(theirs):
                misused.append(name)
    return unused, misused


def moves(
    exercise: Exercise, answer: Callable, draw: tuple, other: dict[str, Any], way: tuple[Any, ...]
) -> tuple[bool, bool] | None:
    """Does the answer, and does the reference, change with this input? None where that cannot be tried."""
    inputs, seed, want, got = draw
    try:
        value = at(other, way)
        if kind(value) is None or kind(value) != kind(at(inputs, way)) or not difference(value, at(inputs, way)):
            return None
        changed = put(copy.deepcopy(inputs), way, value)
        right = call(exercise, exercise.reference, changed, seed)
    except Exception:  # the inputs of one draw need not fit those of another
        return None
    outcome = run_limited(exercise, answer, changed, seed)
    if not isinstance(outcome, Success):
        return None
    return bool(difference(got, outcome.value, exercise.rules)), bool(difference(want, right, exercise.rules))
