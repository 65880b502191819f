"""What went wrong, and where: the simplest thing that is true of an answer in every draw.

It is asked when no mutant behaves like the answer. Everything said has been checked against all draws; where nothing
simple holds, the smallest failing input speaks for itself.
"""

from __future__ import annotations

import copy
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from course_utils.exercises.cases import Case, as_tensor, flat
from course_utils.exercises.comparing import Part, Unusable, WithGradient, difference, parts
from course_utils.exercises.examples import example
from course_utils.exercises.exercise import Exercise
from course_utils.exercises.operations import Names, replacements
from course_utils.exercises.places import where
from course_utils.exercises.relations import RELATIONS
from course_utils.exercises.running import apply
from course_utils.exercises.swaps import changes

SECONDS = 0.5  # for asking the reference again; a quick answer is told in less than a second

Draws = list[tuple[dict[str, Any], int, Any, Any]]  # inputs, seed, what is right, what was answered


def explain(exercise: Exercise, draws: Draws) -> str:
    """One or more sentences on a wrong answer.

    Args:
        exercise: whose reference may be asked again.
        draws: for each its inputs, its seed, the reference's result and the answer's; one of them differs.
    """
    split = [list(parts(want, got, exercise.rules)) for _, _, want, got in draws]
    failing = [place for place, found in enumerate(split) if any(part.words for part in found)]
    shown = example(draws, split, failing)
    relation = related(exercise, draws, split)
    if relation:
        return f"{relation}\n{shown}".strip()
    first = next(part for part in split[failing[0]] if part.words)
    if isinstance(first.got, Unusable) or ungradient(first):
        return first.words
    return f"{generic(split, failing, shown)}\n{shown}".strip()


def related(exercise: Exercise, draws: Draws, split: list[list[Part]]) -> str:
    """What holds in every draw, as a sentence; empty where nothing simple does."""
    names = {tuple(part.name for part in found) for found in split}
    if any(isinstance(part.got, Unusable) or ungradient(part) for found in split for part in found if part.words):
        return ""
    if len(names) > 1:
        return ""
    names = next(iter(names))
    wrong = [place for place in range(len(names)) if any(found[place].words for found in split)]
    exchanged = in_another_order(split, names)
    if exchanged:
        return exchanged
    until = time.monotonic() + SECONDS
    columns = {place: [found[place] for found in split] for place in wrong}
    cases = {place: cases_of(draws, column) for place, column in columns.items()}
    found = {place: next(simple(cases[place]), "") for place in wrong if cases[place]}
    if not all(found.get(place) for place in wrong):
        swapped = next(would_be_right(exercise, draws, split, wrong, until), "")
        if swapped:
            return f"{said_of(names, wrong)} would be right if {swapped}.{others(names, wrong)}"
        for place in wrong:
            if cases[place] and not found.get(place):
                found[place] = next(where(cases[place]), "")
            if len(wrong) > 1 and not found.get(place):
                one = next(would_be_right(exercise, draws, split, [place], until), "")
                found[place] = f"{{Yours}} would be right if {one}." if one else ""
    told = [filled(found[place], names[place]) for place in wrong if found.get(place)]
    if not told:
        return ""
    unsaid = [place for place in wrong if not found.get(place)]
    rest = f" {said_of(names, unsaid)} {'is' if len(unsaid) == 1 else 'are'} wrong, too." if unsaid else ""
    return " ".join(told) + rest + others(names, wrong)


def ungradient(part: Part) -> bool:
    """Is this part about a gradient? It has its own sentence."""
    return part.name.startswith("the gradient at")


def in_another_order(split: list[list[Part]], names: tuple[str, ...]) -> str:
    """The parts of a tuple, each right, but not at its place."""
    if len(names) != 2 or "value" not in names[0]:
        return ""
    pairs = [(found[0], found[1]) for found in split]
    if all(not difference(a.want, b.got) and not difference(b.want, a.got) for a, b in pairs):
        return "Both values are right, but they have changed places."
    return ""


def cases_of(draws: Draws, column: list[Part]) -> list[Case]:
    """The draws as tensors; none where a result is no number."""
    cases = []
    for (inputs, _, _, _), part in zip(draws, column, strict=True):
        want, got = as_tensor(part.want), as_tensor(part.got)
        if want is None or got is None or want.is_complex() or got.is_complex():
            return []
        cases.append(Case(flat(inputs), want, got))
    return cases


def simple(cases: list[Case]) -> Iterator[str]:
    for relation in RELATIONS.values():
        yield from relation(cases)


def would_be_right(
    exercise: Exercise, draws: Draws, split: list[list[Part]], wrong: list[int], until: float
) -> Iterator[str]:
    """Changes of the inputs, or of the reference's operations, that make these parts of the answer right."""
    for words, change in changes(draws[0][0]):
        if time.monotonic() > until:
            return
        if all(agrees(exercise, draw, found, wrong, change=change) for draw, found in zip(draws, split, strict=True)):
            yield words
    for words, mode in replacements(called(exercise, draws)):
        if time.monotonic() > until:
            return
        if all(agrees(exercise, draw, found, wrong, mode=mode) for draw, found in zip(draws, split, strict=True)):
            yield words


def called(exercise: Exercise, draws: Draws) -> Counter[str]:
    inputs, seed, _, _ = draws[0]
    with Names() as names:
        try:
            apply(exercise, exercise.reference, watched(copy.deepcopy(inputs)), seed)
        except Exception:  # a reference that takes no tensors for numbers: nothing of it can be watched
            return Counter()
    return names.called


def watched(inputs: dict[str, Any]) -> dict[str, Any]:
    """Numbers as tensors, so that what is computed with them can be watched; where there are tensors, as it is."""
    if all(type(value) in (int, float, bool) for value in inputs.values()):
        return {
            name: torch.tensor(value, dtype=torch.float64 if type(value) is float else None)
            for name, value in inputs.items()
        }
    return inputs


def agrees(exercise: Exercise, draw, found: list[Part], wrong: list[int], change=None, mode=None) -> bool:
    """Is the answer, in these parts, what the changed reference gives for this draw?"""
    inputs, seed, _, _ = draw
    inputs = copy.deepcopy(inputs)
    try:
        if change is not None:
            inputs = change(inputs)
        if mode is None:
            result = apply(exercise, exercise.reference, inputs, seed)
        else:
            with mode():
                result = apply(exercise, exercise.reference, watched(inputs), seed)
        theirs = result.value if isinstance(result, WithGradient) else result
        split = list(parts(theirs, theirs, exercise.rules))
        if len(split) < max(wrong) + 1:
            return False
        return not any(difference(split[place].want, found[place].got, exercise.rules) for place in wrong)
    except Exception:  # whatever the reference raises for inputs it was not made for: it is not what was answered
        return False


def said_of(names: tuple[str, ...], wrong: list[int]) -> str:
    """The subject of a sentence: these parts of a result."""
    if not names[wrong[0]]:
        return "Your result"
    listed = [yours(names[place]) for place in wrong]
    joined = listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} and {listed[-1]}"
    return joined[0].upper() + joined[1:]


def yours(name: str) -> str:
    return f"your {name.removeprefix('the ')}" if name else "your result"


def filled(sentence: str, name: str) -> str:
    subject = yours(name)
    return sentence.format(Yours=subject[0].upper() + subject[1:], yours=subject)


def others(names: tuple[str, ...], wrong: list[int]) -> str:
    """That the other parts are right."""
    right = [name for place, name in enumerate(names) if place not in wrong and not name.startswith("the gradient")]
    if not right:
        return ""
    if len(right) > 4:
        return " The other parts are right."
    listed = " and ".join([", ".join(right[:-1]), right[-1]]) if len(right) > 1 else right[0]
    return f" {listed[0].upper()}{listed[1:]} {'is' if len(right) == 1 else 'are'} right."


def generic(split: list[list[Part]], failing: list[int], shown: str) -> str:
    """How much is wrong, where nothing more can be said."""
    first = next(part for part in split[failing[0]] if part.words)
    often = f" (Right in {len(split) - len(failing)} of {len(split)} draws.)" if len(failing) < len(split) else ""
    names = tuple(part.name for part in split[failing[0]])
    wrong = [place for place in range(len(names)) if any(len(f) > place and f[place].words for f in split)]
    want, got = as_tensor(first.want), as_tensor(first.got)
    if not shown or want is None or got is None or want.shape != got.shape:
        name = f"{first.name[0].upper()}{first.name[1:]}: " if first.name else ""
        return f"{name}{first.words}{others(names, wrong)}{often}"
    if want.ndim:
        bad = int((~close(want, got, 1e-5)).sum())
        count = f"{bad} of {want.numel()} values are wrong" if bad < want.numel() else f"all {bad} values are wrong"
        words = f"{said_of(names, wrong[:1])} has the right shape {list(want.shape)}, but {count}."
    else:
        words = f"{said_of(names, wrong)} {'is' if len(wrong) == 1 else 'are'} wrong."
    return f"{words}{others(names, wrong)}{often}"
