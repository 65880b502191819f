"""Where wrong values are: the smallest condition on the inputs, the right result or the place that covers just them."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator

import torch

from course_utils.exercises.cases import Case, fitted
from course_utils.exercises.formulas import number, phrase

LUCK = 1e-4  # the wrong values could be there by chance: so improbable it has to be
CHOICES = 1000  # in so many ways as many values could be wrong: a condition that covers just these is no accident
EXACTLY = ("exactly where", "in just those draws in which")
THERE = "There it is"  # and what it is
FEW = 3  # so few wrong values say nothing about where

# What can be told, for the teachers' page.
KNOWN_PLACES = (
    "where a flag of the inputs is True, was before, will be later, or is one step beside",
    "at the first or last index of a dimension, or everywhere else",
    "where a number of the inputs is negative, 0, positive, larger than another one, or beyond a limit",
    "where the right value is 0, negative, the largest there is, or beyond a limit",
    "where two flags come together, or one of two",
    "in those draws in which an input is of one size, has one value, or holds something somewhere",
)

Condition = tuple[str, list[torch.Tensor]]


def where(cases: list[Case], what: bool = True, until: float = float("inf")) -> Iterator[str]:
    """Sentences on where the result is wrong, each with what it is there; nothing where no condition covers it.

    Of conditions that hold for all wrong values and for no right one, the first; if there is none, the narrowest that
    holds for all wrong values, most of whose places are wrong.

    Args:
        cases: all draws.
        what: say, too, what the wrong values are there.
        until: when to stop looking, in seconds of `time.thread_time`.
    """
    if any(case.want.shape != case.got.shape for case in cases):
        return
    wrong = [case.wrong for case in cases]
    total, count = sum(place.numel() for place in wrong), sum(int(place.sum()) for place in wrong)
    if count < FEW or count == total:
        return
    best: tuple[int, Condition] | None = None
    for condition in itertools.chain(conditions(cases), of_thresholds(cases, wrong)):
        if time.thread_time() > until:
            break
        places = condition[1]
        inside = sum(int(place.sum()) for place in places)
        if (
            inside < count
            or inside == total
            or any((bad & ~place).any() for bad, place in zip(wrong, places, strict=True))
        ):
            continue
        if inside == count:
            if math.comb(total, count) >= CHOICES:
                yield said(cases, condition, wrong, True, what)
                return
        elif (best is None or inside < best[0]) and 2 * count >= inside and (inside / total) ** count < LUCK:
            best = inside, condition
    if found := in_draws(cases, wrong):
        yield said(cases, found, wrong, True, what, True)
    elif best is not None:
        yield said(cases, best[1], wrong, False, what)


def in_draws(cases: list[Case], wrong: list[torch.Tensor]) -> Condition | None:
    """A condition that holds for just those draws in which something is wrong.

    Draws are counted, and not their values: those of one draw are wrong together.
    """
    failing = [bool(place.any()) for place in wrong]
    if math.comb(len(failing), sum(failing)) < CHOICES:
        return None
    return next(((words, wrong) for words, flags in of_whole_draws(cases) if flags == failing), None)


def said(
    cases: list[Case], condition: Condition, wrong: list[torch.Tensor], exact: bool, what: bool, draws: bool = False
) -> str:
    there = phrase(cases, wrong) if what else ""
    if cases[0].want.ndim and not draws:
        words = f"{{Yours}} is wrong {EXACTLY[0] if exact else 'only where'} {condition[0]}; elsewhere it is right."
    else:
        words = f"{{Yours}} is wrong {EXACTLY[1] if exact else 'only in draws in which'} {condition[0]}; "
        words += "in the others it is right."
    return f"{words} {THERE} {there}." if there else words


def conditions(cases: list[Case]) -> Iterator[Condition]:
    """Conditions on a place, from the simplest on; each is one tensor of flags per draw, of the result's shape."""
    plain, derived = of_flags(cases), of_flags_in_time(cases)
    flags = dict(plain)
    yield from flags.items()
    yield from derived
    yield from of_positions(cases)
    yield from of_numbers(cases)
    yield from of_the_result(cases)
    for (one, first), (other, second) in itertools.combinations(flags.items(), 2):
        yield f"{one} and {other}", [a & b for a, b in zip(first, second, strict=True)]
        yield f"{one} or {other}", [a | b for a, b in zip(first, second, strict=True)]


def of_flags(cases: list[Case]) -> Iterator[Condition]:
    for name in cases[0].inputs:
        values = [case.inputs.get(name) for case in cases]
        if not all(isinstance(value, torch.Tensor) and value.dtype == torch.bool for value in values):
            continue
        places = [fitted(value, case.want.shape) for value, case in zip(values, cases, strict=True)]
        if any(place is None for place in places):
            continue
        yield f"{name} is True", places
        yield f"{name} is False", [~place for place in places]


def of_flags_in_time(cases: list[Case]) -> Iterator[Condition]:
    """Before, after, one step beside a flag, along each dimension."""
    for words, places in of_flags(cases):
        if not words.endswith(" is True"):
            continue
        name = words.removesuffix(" is True")
        for dim in range(cases[0].want.ndim):
            if all(place.shape[dim] > 1 for place in places):
                passed = [place.long().cumsum(dim) for place in places]
                yield (
                    f"{name} has been True before",
                    [sum_ - place.long() > 0 for sum_, place in zip(passed, places, strict=True)],
                )
                yield f"{name} is or has been True", [sum_ > 0 for sum_ in passed]
                yield f"{name} has not been True yet", [sum_ == 0 for sum_ in passed]
                yield f"{name} was True one step before", [shifted(place, dim, 1) for place in places]
                yield f"{name} is True one step later", [shifted(place, dim, -1) for place in places]
                ahead = [place.long().flip(dim).cumsum(dim).flip(dim) > 0 for place in places]
                yield f"{name} is or will be True later", ahead
                yield f"{name} is never True from there on", [~place for place in ahead]


def shifted(place: torch.Tensor, dim: int, by: int) -> torch.Tensor:
    moved = place.roll(by, dim)
    moved.narrow(dim, 0 if by > 0 else place.shape[dim] - 1, 1).fill_(False)
    return moved


def of_positions(cases: list[Case]) -> Iterator[Condition]:
    for dim in range(cases[0].want.ndim):
        if not all(case.want.ndim > dim and case.want.shape[dim] > 1 for case in cases):
            continue
        name = "the index" if cases[0].want.ndim == 1 else f"the index in dimension {dim}"
        for words, index in (("0 (the first)", 0), ("the last one", -1)):
            yield f"{name} is {words}", [only(case.want, dim, index) for case in cases]
            yield f"{name} is not {words}", [~only(case.want, dim, index) for case in cases]
        smallest = min(case.want.shape[dim] for case in cases)
        if smallest == max(case.want.shape[dim] for case in cases) <= 8:
            for index in range(1, smallest - 1):
                yield f"{name} is {index}", [only(case.want, dim, index) for case in cases]


def only(values: torch.Tensor, dim: int, index: int) -> torch.Tensor:
    place = torch.zeros(values.shape, dtype=torch.bool)
    place.select(dim, index).fill_(True)
    return place


def of_numbers(cases: list[Case]) -> Iterator[Condition]:
    """Signs of inputs, and one input above another one."""
    found = fitting(cases)
    for name, values in found.items():
        yield f"{name} is negative", [value < 0 for value in values]
        yield f"{name} is positive", [value > 0 for value in values]
        yield f"{name} is 0", [value == 0 for value in values]
    for one, other in itertools.permutations(found, 2):
        pairs = list(zip(found[one], found[other], strict=True))
        yield f"{one} is larger than {other}", [a > b for a, b in pairs]
        yield f"{one} equals {other}", [a == b for a, b in pairs]
        yield f"{one} is further from 0 than {other}", [a.abs() > b.abs() for a, b in pairs]


def of_thresholds(cases: list[Case], wrong: list[torch.Tensor]) -> Iterator[Condition]:
    """One limit of an input, or of the right value, that parts the wrong values from the right ones."""
    bad = torch.cat([place.flatten() for place in wrong])
    if min(int(bad.sum()), int((~bad).sum())) <= FEW:
        return
    for name, values in ({"the right value": [case.want for case in cases]} | fitting(cases)).items():
        flat = torch.cat([value.flatten() for value in values]).double()
        for words, sign in (("above", 1), ("below", -1)):
            inside, outside = float((sign * flat[bad]).min()), float((sign * flat[~bad]).max())
            if inside > outside:
                limit = sign * (inside + outside) / 2
                yield f"{name} is {words} about {number(limit)}", [sign * value > sign * limit for value in values]


def fitting(cases: list[Case]) -> dict[str, list[torch.Tensor]]:
    """The inputs that are numbers and fit the result in every draw."""
    found = {}
    for name in cases[0].inputs:
        values = [case.inputs.get(name) for case in cases]
        if all(isinstance(value, torch.Tensor) and value.dtype != torch.bool for value in values):
            placed = [fitted(value, case.want.shape) for value, case in zip(values, cases, strict=True)]
            if all(place is not None for place in placed):
                found[name] = [place.double() for place in placed]
    return found


def of_the_result(cases: list[Case]) -> Iterator[Condition]:
    wants = [case.want for case in cases]
    if wants[0].dtype == torch.bool:
        yield "True is right", wants
        yield "False is right", [~want for want in wants]
        return
    yield "the right value is negative", [want < 0 for want in wants]
    yield "the right value is positive", [want > 0 for want in wants]
    yield "the right value is 0", [want == 0 for want in wants]
    yield "the right value is not 0", [want != 0 for want in wants]
    if all(want.numel() for want in wants):
        top, bottom = max(float(want.max()) for want in wants), min(float(want.min()) for want in wants)
        yield f"the right value is {number(top)}, the largest there is", [want == top for want in wants]
        yield f"the right value is {number(bottom)}, the smallest there is", [want == bottom for want in wants]
        if wants[0].ndim:
            yield "the right value is above 1", [want > 1 for want in wants]


def of_scalars(cases: list[Case]) -> Iterator[tuple[str, list[bool]]]:
    """One number of the inputs above another one."""
    numbers = {
        name: [float(case.inputs[name]) for case in cases]
        for name, value in cases[0].inputs.items()
        if isinstance(value, torch.Tensor)
        and not value.ndim
        and value.dtype != torch.bool
        and all(name in case.inputs for case in cases)
    }
    for one, other in itertools.permutations(numbers, 2):
        pairs = list(zip(numbers[one], numbers[other], strict=True))
        yield f"{one} is larger than {other}", [a > b for a, b in pairs]
        yield f"{one} equals {other}", [a == b for a, b in pairs]


def of_whole_draws(cases: list[Case]) -> Iterator[tuple[str, list[bool]]]:
    yield from of_scalars(cases)
    for name in cases[0].inputs:
        values = [case.inputs.get(name) for case in cases]
        if all(isinstance(value, str) for value in values):
            for word in sorted(set(values)):
                yield f"{name} is {word!r}", [value == word for value in values]
        if not all(isinstance(value, torch.Tensor) and value.numel() for value in values):
            continue
        if values[0].dtype == torch.bool and values[0].ndim:
            yield f"{name} is True somewhere", [bool(value.any()) for value in values]
            yield f"{name} is False everywhere", [not value.any() for value in values]
            yield f"{name} is True everywhere", [bool(value.all()) for value in values]
            yield f"the last entry of {name} is True", [bool(value.flatten()[-1]) for value in values]
            yield f"the first entry of {name} is True", [bool(value.flatten()[0]) for value in values]
        if values[0].ndim:
            for dim in range(values[0].ndim):
                sizes = [value.shape[dim] if value.ndim > dim else 0 for value in values]
                for size in sorted(set(sizes)) if 1 < len(set(sizes)) <= 4 else ():
                    yield f"{name} has {size} entries in dimension {dim}", [found == size for found in sizes]
            if values[0].dtype != torch.bool:
                yield f"{name} holds negative values", [bool((value < 0).any()) for value in values]
        elif values[0].dtype == torch.bool:
            yield f"{name} is True", [bool(value) for value in values]
            yield f"{name} is False", [not value for value in values]
        else:
            whole = [value.item() for value in values]
            for number_ in sorted(set(whole)) if len(set(whole)) <= 4 else ():
                yield f"{name} is {number(number_)}", [value == number_ for value in whole]
