"""What went wrong, and where: the simplest thing that is true of an answer in every draw.

It is asked when no mutant behaves like the answer. Everything said has been checked against all draws; where nothing
simple holds, the smallest failing input speaks for itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from course_utils.exercises.asking import Draws, would_be_right
from course_utils.exercises.cases import Case, as_tensor, flat
from course_utils.exercises.comparing import (
    OTHER_ENTRIES,
    VALUES_ARE_RIGHT,
    Part,
    Unusable,
    WithGradient,
    close,
    difference,
    parts,
)
from course_utils.exercises.dependence import asked_again, overlooked
from course_utils.exercises.examples import example
from course_utils.exercises.exercise import Exercise
from course_utils.exercises.places import EXACTLY, THERE, where
from course_utils.exercises.relations import RELATIONS
from course_utils.exercises.structures import built, rows

SECONDS = 0.4  # of computing for an explanation: a quick answer is told in less than a second
MANY = 4  # parts that are wrong in different ways are not told one by one


def explain(exercise: Exercise, answer: Callable, draws: Draws) -> str:
    """One or more sentences on a wrong answer.

    Args:
        exercise: whose reference may be asked again.
        answer: may be asked again, too.
        draws: for each its inputs, its seed, the reference's result and the answer's; at least one pair differs.
    """
    split = [list(parts(want, got, exercise.rules)) for _, _, want, got in draws]
    failing = [place for place, found in enumerate(split) if any(part.words for part in found)]
    first = next(part for part in split[failing[0]] if part.words)
    if isinstance(first.got, Unusable) or is_gradient(first):
        return first.words
    shown = example(draws, split, failing)
    alike = largest_group(split, failing)
    failing = [place for place in failing if place in alike]
    found = related(exercise, answer, [draws[place] for place in alike], [split[place] for place in alike]) or generic(
        draws, split, failing, shown
    )
    return f"{found}\n{shown}".strip()


def largest_group(split: list[list[Part]], failing: list[int]) -> list[int]:
    """The draws whose results have the same parts; where names are drawn, too, the group that fails most often."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for place, found in enumerate(split):
        groups.setdefault(tuple(part.name for part in found), []).append(place)
    return max(groups.values(), key=lambda places: len(set(places) & set(failing)))


def related(exercise: Exercise, answer: Callable, draws: Draws, split: list[list[Part]]) -> str:
    """What holds in every draw, as a sentence; empty where nothing simple does."""
    until = time.thread_time() + SECONDS
    failing = [place for place, found in enumerate(split) if any(part.words for part in found)]
    if again := asked_again(exercise, answer, draws):
        return again
    if as_tensor(draws[0][3]) is None and always_the_same(exercise, draws):
        return "Your function gives the same result for every input. Use what it is given."
    values = [(unwrapped(draws[place][2]), unwrapped(draws[place][3])) for place in failing]
    if words := built(values, exercise.rules):
        return words
    names = tuple(part.name for part in split[0])
    wrong = [place for place in range(len(names)) if any(len(f) > place and f[place].words for f in split)]
    if any(part.words.startswith(OTHER_ENTRIES) for found in split for part in found):
        return ""  # which entries are missing says more than what they would have held
    cases = {place: cases_of(draws, split, place) for place in wrong}
    if not any(cases.values()):
        if swapped := next(would_be_right(exercise, draws, split, None, until), ""):
            return f"Your result would be right if {swapped}."
        return next(rows(values), "") or looks_at(exercise, answer, draws)
    if exchanged := in_another_order(split, names):
        return exchanged
    found = {place: only_the_type(split, place) or next(simple(cases[place]), "") for place in wrong}
    if not all(found.values()):
        if swapped := next(would_be_right(exercise, draws, split, wrong, until), ""):
            return f"{subject_of([names[place] for place in wrong])} would be right if {swapped}.{others(names, wrong)}"
        if len(wrong) > MANY:
            return ""
        if not any(found.values()) and (looked := looks_at(exercise, answer, draws)):
            seen = next(where(cases[wrong[0]], until=until + SECONDS), "") if len(wrong) == 1 else ""
            seen = seen.format(Yours=each_of([names[wrong[0]]]))
            told = (
                seen
                if THERE in seen
                else " ".join(filter(None, [looked, seen if any(exactly in seen for exactly in EXACTLY) else ""]))
            )
            return told + others(names, wrong)
        for place in wrong:
            found[place] = found[place] or alone(exercise, draws, split, place, cases[place], len(wrong), until)
    return put_together(found, names, wrong)


def always_the_same(exercise: Exercise, draws: Draws) -> bool:
    return len(draws) > 2 and not any(difference(draws[0][3], got, exercise.rules) for _, _, _, got in draws[1:])


def looks_at(exercise: Exercise, answer: Callable, draws: Draws) -> str:
    """Which inputs the answer does not look at, or looks at without need."""
    unused, misused = overlooked(exercise, answer, draws)
    words = (
        [f"Your result stays the same whatever {listed(unused)} {'is' if len(unused) == 1 else 'are'}."]
        if unused
        else []
    )
    if misused:
        words.append(f"Your result changes with {listed(misused)}, and it should not.")
    return " ".join(words)


def alone(
    exercise: Exercise, draws: Draws, split: list[list[Part]], place: int, cases: list[Case], count: int, until: float
) -> str:
    """What holds of one part of several, or where it is wrong."""
    # A few flags come out alike by chance; of numbers a change that fits one part of several is no accident.
    numbers = count > 1 and bool(cases) and cases[0].want.is_floating_point()
    if numbers and (swapped := next(would_be_right(exercise, draws, split, [place], until), "")):
        return f"{{Yours}} would be right if {swapped}."
    return next(where(cases, until=until + SECONDS), "") if cases else ""


def put_together(found: dict[int, str], names: tuple[str, ...], wrong: list[int]) -> str:
    """One sentence for all parts of which the same holds; then which are wrong besides, and which are right."""
    groups: dict[str, list[str]] = {}
    for place in wrong:
        groups.setdefault(found[place], []).append(names[place])
    unsaid = groups.pop("", [])
    if not groups:
        return ""
    told = [words.format(Yours=each_of(group), yours=each_of(group, capital=False)) for words, group in groups.items()]
    if unsaid:
        told.append(f"{subject_of(unsaid)} {'is' if len(unsaid) == 1 else 'are'} wrong, too.")
    return " ".join(told) + others(names, wrong)


def unwrapped(value: Any) -> Any:
    return value.value if isinstance(value, WithGradient) else value


def is_gradient(part: Part) -> bool:
    """Is this part about a gradient? It has its own sentence."""
    return part.name.startswith("the gradient at")


def only_the_type(split: list[list[Part]], place: int) -> str:
    """That the values of a part are right, and their type is not."""
    words = [found[place].words for found in split if found[place].words]
    if not all(word.startswith(VALUES_ARE_RIGHT) for word in words):
        return ""
    return words[0] if not split[0][place].name else f"{{Yours}}: {words[0][0].lower()}{words[0][1:]}"


def in_another_order(split: list[list[Part]], names: tuple[str, ...]) -> str:
    """Two values, each right, but not at its place."""
    if len(names) != 2 or "value" not in names[0]:
        return ""
    pairs = [(found[0], found[1]) for found in split]
    if all(not difference(a.want, b.got) and not difference(b.want, a.got) for a, b in pairs):
        return "Both values are right, but they have changed places."
    return ""


def cases_of(draws: Draws, split: list[list[Part]], place: int) -> list[Case]:
    """One part of all draws as tensors; none where it is no number."""
    cases = []
    right = [n for n in range(len(split[0])) if not any(found[n].words for found in split) and split[0][n].name]
    for (inputs, _, _, _), found in zip(draws, split, strict=True):
        beside = {yours(found[n].name): as_tensor(found[n].got) for n in right}
        want, got = as_tensor(found[place].want), as_tensor(found[place].got)
        if want is None or got is None or want.is_complex() or got.is_complex():
            return []
        cases.append(Case(flat(inputs) | beside, want, got))
    return cases


def simple(cases: list[Case]) -> Iterator[str]:
    for relation in RELATIONS.values() if cases else ():
        yield from relation(cases)


def each_of(names: list[str], capital: bool = True) -> str:
    """The subject of a sentence in the singular."""
    words = yours(names[0]) if len(names) == 1 else f"each of your {listed([bare(name) for name in names])}"
    return words[0].upper() + words[1:] if capital else words


def subject_of(names: list[str]) -> str:
    words = listed([yours(name) for name in names])
    return words[0].upper() + words[1:]


def yours(name: str) -> str:
    return f"your {bare(name)}" if name else "your result"


def bare(name: str) -> str:
    return name.removeprefix("the ")


def listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def others(names: tuple[str, ...], wrong: list[int]) -> str:
    """That the other parts are right."""
    right = [name for place, name in enumerate(names) if place not in wrong and not name.startswith("the gradient at")]
    if not right:
        return ""
    if len(right) > 4:
        return " The other parts are right."
    words = listed(right)
    return f" {words[0].upper()}{words[1:]} {'is' if len(right) == 1 else 'are'} right."


def generic(draws: Draws, split: list[list[Part]], failing: list[int], shown: str) -> str:
    """How much is wrong, where nothing more can be said; and in which draws, where that can be told."""
    first = next(part for part in split[failing[0]] if part.words)
    names = tuple(part.name for part in split[failing[0]])
    wrong = [place for place in range(len(names)) if any(len(f) > place and f[place].words for f in split)]
    want, got = as_tensor(first.want), as_tensor(first.got)
    if not shown or want is None or got is None or want.shape != got.shape:
        words = f"{first.name[0].upper()}{first.name[1:]}: {first.words}" if first.name else first.words
    elif want.ndim:
        bad = int((~close(want, got, 1e-5)).sum())
        count = f"{bad} of {want.numel()} values are wrong" if bad < want.numel() else f"all {bad} values are wrong"
        words = f"{subject_of([first.name])} has the right shape {list(want.shape)}, but {count}."
    else:
        words = f"{subject_of([names[place] for place in wrong])} {'is' if len(wrong) == 1 else 'are'} wrong."
    return f"{words}{others(names, wrong)}{in_which(draws, split)}"


def in_which(draws: Draws, split: list[list[Part]]) -> str:
    """In which draws an answer is wrong, if not in all."""
    failing = [place for place, found in enumerate(split) if any(part.words for part in found)]
    if len(failing) == len(draws):
        return ""
    cases = [
        Case(flat(inputs), torch.tensor(0.0), torch.tensor(float(place in failing)))
        for place, (inputs, _, _, _) in enumerate(draws)
    ]
    found = next(where(cases, what=False), "").format(Yours="It")
    return f" {found}" if found else f" (Right in {len(draws) - len(failing)} of {len(draws)} draws.)"
