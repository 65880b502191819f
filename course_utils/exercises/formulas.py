"""How wrong values follow from the right ones, value by value: negated, scaled, off by an input, always the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from course_utils.exercises.cases import Case, fitted, same

ADDED, AVERAGED = "as if you added up where a mean belongs", "as if you took the mean where a sum belongs"
ENOUGH = 4  # so few values prove no factor: a line goes through any two points

# What a learner's values may be of the right ones, as it stands in "it is ...".
OF_THE_RIGHT: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "the right one with the other sign": lambda right: -right,
    "the right one without its sign": torch.abs,
    "1 minus the right one": lambda right: 1 - right,
    "1 divided by the right one": lambda right: 1 / right,
    "the square of the right one": torch.square,
    "the square root of the right one": torch.sqrt,
    "`exp` of the right one": torch.exp,
    "the logarithm of the right one": torch.log,
    "the decimal logarithm of the right one": torch.log10,
    "the right one without its fraction": torch.trunc,
    "the right one, rounded down": torch.floor,
    "the right one, rounded up": torch.ceil,
    "the right one, rounded": torch.round,
    "the right one, with 0 for negative values": lambda right: right.clamp(min=0),
    "the right one, with 0 for positive values": lambda right: right.clamp(max=0),
    "the right one, but at most 1": lambda right: right.clamp(max=1),
    "the right one with 1 subtracted from `exp` of it": torch.expm1,
}

# The same the other way round: what is still to be done.
TO_BE_DONE: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "not rounded yet: rounded down it would be right": torch.floor,
    "not rounded yet: rounded up it would be right": torch.ceil,
    "not rounded yet: rounded it would be right": torch.round,
    "right but for its sign, which does not belong here": torch.abs,
    "right where it is positive; it is to be 0 where it is negative": lambda got: got.clamp(min=0),
}

WITH_AN_INPUT: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "the right one with {} missing from the sum": lambda right, value: right - value,
    "the right one with {} added": lambda right, value: right + value,
    "the right one times {}": lambda right, value: right * value,
    "the right one divided by {}": lambda right, value: right / value,
}


def everywhere(cases: list[Case]) -> list[torch.Tensor]:
    return [torch.ones(case.want.shape, dtype=torch.bool) for case in cases]


def phrase(cases: list[Case], where: list[torch.Tensor]) -> str:
    """What the answer's values at these places are, as it stands after "it is"; empty where nothing simple holds."""
    want, got = (torch.cat([getattr(case, name)[place].flatten() for case, place in zip(cases, where, strict=True)])
                 for name in ("want", "got"))  # fmt: skip
    return next(candidates(want, got, cases, where), "")


def candidates(want: torch.Tensor, got: torch.Tensor, cases: list[Case], where: list[torch.Tensor]) -> Iterator[str]:
    if not len(got):
        return
    if len(got) >= 2 and same(got, got[:1].expand_as(got)):
        yield f"always {number(got[0])}"
    if want.dtype == torch.bool or got.dtype == torch.bool:
        if want.dtype == got.dtype and same(got, ~want):
            yield "the opposite of the right one: True for False, and False for True"
        yield from of_inputs(got, cases, where)
        return
    want, got = want.double(), got.double()
    yield from of_inputs(got, cases, where)
    if len(got) < ENOUGH:
        return
    yield from (words for words, function in OF_THE_RIGHT.items() if same(got, function(want)))
    if float(want.std()) > 1e-6 or want.isnan().any():
        yield from (words for words, function in TO_BE_DONE.items() if same(function(got), want))
        yield from scaled(want, got, cases)
    for name, values in columns(cases, where).items():
        if len(values) == len(got) and values.dtype != torch.bool:
            yield from (
                words.format(name)
                for words, function in WITH_AN_INPUT.items()
                if same(got, function(want, values.double()))
            )
            yield from off_by_a_share(want, got, name, values.double())


def off_by_a_share(want: torch.Tensor, got: torch.Tensor, name: str, values: torch.Tensor) -> Iterator[str]:
    """Some share of an input too much, or too little; of so many values that it is no accident."""
    heavy = values.abs().argmax()
    if len(want) < 2 * ENOUGH or not values[heavy] or same(values, values[:1].expand_as(values)):
        return
    share = float((got - want)[heavy] / values[heavy])
    if abs(share) > 1e-6 and same(got, want + share * values):
        yield f"the right one {'plus' if share > 0 else 'minus'} {number(abs(share))} times {name}"


def of_inputs(got: torch.Tensor, cases: list[Case], where: list[torch.Tensor]) -> Iterator[str]:
    for name, values in columns(cases, where).items():
        if values.dtype == torch.bool:
            if got.dtype == torch.bool and same(got, values):
                yield f"{name} as it is"
            if got.dtype == torch.bool and same(got, ~values):
                yield f"the opposite of {name}"
        elif got.dtype != torch.bool:
            if same(got, values.double()):
                yield f"{name} as it is"
            if len(got) >= ENOUGH and same(got, -values.double()):
                yield f"{name} with the other sign"


def columns(cases: list[Case], where: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    """The inputs that fit the result in every draw, at these places."""
    found = {}
    for name in cases[0].inputs:
        values = []
        for case, place in zip(cases, where, strict=True):
            value = case.inputs.get(name)
            value = fitted(value, case.want.shape) if isinstance(value, torch.Tensor) else None
            if value is None:
                break
            values.append(value[place].flatten())
        else:
            if len({value.dtype for value in values}) == 1:
                found[name] = torch.cat(values)
    return found


def scaled(want: torch.Tensor, got: torch.Tensor, cases: list[Case]) -> Iterator[str]:
    """One factor, one summand."""
    heavy = want.abs().argmax()
    factor = float(got[heavy] / want[heavy]) if want[heavy] else float("nan")
    if factor and factor == factor and same(got, factor * want):
        yield times(factor) + sizes(factor, cases)
    summand = float(got[0] - want[0])
    if summand == summand and same(got, want + summand):
        yield f"the right one {'plus' if summand > 0 else 'minus'} {number(abs(summand))}"
    yield from affine(want, got)
    per_case = [(case.got.double() / case.want.double()).flatten() for case in cases]
    if len(cases) > 1 and sum(map(len, per_case)) == len(want):
        yield from varying_sizes(want, got, cases)


def affine(want: torch.Tensor, got: torch.Tensor) -> Iterator[str]:
    """A factor and a summand; of so many values that a line does not go through them by chance."""
    low, high = want.argmin(), want.argmax()
    if len(want) < 2 * ENOUGH or not float(want[high] - want[low]) > 1e-3:
        return
    slope = float((got[high] - got[low]) / (want[high] - want[low]))
    summand = float(got[low] - slope * want[low])
    if abs(slope) > 1e-6 and same(got, slope * want + summand):
        yield f"{times(slope)}, and then {'plus' if summand > 0 else 'minus'} {number(abs(summand))}"


def times(factor: float) -> str:
    inverse = 1 / factor
    if abs(factor) < 1 and abs(inverse - round(inverse)) < 1e-3:
        return f"the right one divided by {round(inverse)}"
    return f"the right one times {number(factor)}"


def sizes(factor: float, cases: list[Case]) -> str:
    """Which input has so many values, in brackets; empty where none has."""
    count = factor if abs(factor) > 1 else 1 / factor
    for name, value in cases[0].inputs.items() if count > 2.5 else ():  # every second thing has two
        if isinstance(value, torch.Tensor) and value.ndim and abs(count - value.numel()) < 1e-3 * count:
            belongs = ADDED if abs(factor) > 1 else AVERAGED
            return f", the number of values in {name}: {belongs}"
    return ""


def varying_sizes(want: torch.Tensor, got: torch.Tensor, cases: list[Case]) -> Iterator[str]:
    """As many times as an input is long, where its length changes from draw to draw."""
    for name, value in cases[0].inputs.items():
        if not isinstance(value, torch.Tensor) or not value.ndim:
            continue
        counts = [case.inputs[name].numel() for case in cases if isinstance(case.inputs.get(name), torch.Tensor)]
        if len(counts) != len(cases) or len(set(counts)) < 2:
            continue
        row = torch.cat([torch.full((case.want.numel(),), float(n)) for case, n in zip(cases, counts, strict=True)])
        if same(got, want * row):
            yield f"the right one times the number of values in {name}: {ADDED}"
        if same(got, want / row):
            yield f"the right one divided by the number of values in {name}: {AVERAGED}"


def number(value: torch.Tensor | float) -> str:
    value = value.item() if isinstance(value, torch.Tensor) else value
    value = 0.0 if value == 0 and isinstance(value, float) else value  # no "-0"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
