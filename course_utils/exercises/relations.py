"""How a wrong result follows from the right one as a whole: its shape, its order, what was added up too much."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import torch

from course_utils.exercises.cases import Case, same
from course_utils.exercises.formulas import everywhere, phrase

REDUCTIONS: dict[str, Callable[[torch.Tensor, int], torch.Tensor]] = {
    "mean": lambda values, dim: values.double().mean(dim),
    "sum": lambda values, dim: values.double().sum(dim) if values.dtype != torch.bool else values.sum(dim),
    "first entry": lambda values, dim: values.select(dim, 0),
    "last entry": lambda values, dim: values.select(dim, -1),
    "maximum": lambda values, dim: values.amax(dim),
    "minimum": lambda values, dim: values.amin(dim),
    "product": lambda values, dim: values.double().prod(dim),
    "median": lambda values, dim: values.double().median(dim).values,
    "length (`norm`)": lambda values, dim: values.double().norm(dim=dim),
    "`any`": lambda values, dim: values.bool().any(dim) if values.dtype == torch.bool else values,
    "`all`": lambda values, dim: values.bool().all(dim) if values.dtype == torch.bool else values,
}

Check = Callable[[list[Case]], Iterator[str]]


def holds(cases: list[Case], relation: Callable[[Case], bool]) -> bool:
    """Is this true of every draw? What cannot even be computed is not."""
    try:
        return all(relation(case) for case in cases)
    except (RuntimeError, IndexError, ValueError):
        return False


def dims(cases: list[Case]) -> range:
    return range(min(case.want.ndim for case in cases))


def along(case: Case, dim: int) -> str:
    return "" if case.want.ndim == 1 else f" along dimension {dim}"


def another_shape(cases: list[Case]) -> Iterator[str]:
    """A dimension of 1 lost or kept, `[n, n]` for `[n, 1]`, a flattened or transposed result."""
    if all(case.want.shape == case.got.shape for case in cases):
        return
    mine, theirs = next(case for case in cases if case.want.shape != case.got.shape).want.shape, None
    theirs = next(case for case in cases if case.want.shape != case.got.shape).got.shape
    shapes = f"{{Yours}} has the shape {list(theirs)}, and {list(mine)} is expected"
    if holds(cases, lambda case: case.want.numel() == case.got.numel()):
        if holds(cases, lambda case: same(case.got.reshape(case.want.shape), case.want)):
            if len(mine) == len(theirs):
                yield f"{shapes}: the dimensions are in another order. The values are right."
            elif [size for size in mine if size != 1] == [size for size in theirs if size != 1]:
                fewer = len(theirs) < len(mine)
                yield (
                    f"{shapes}: a dimension of size 1 is {'missing' if fewer else 'too many'}. The values are right. "
                    + ("`keepdim=True` keeps one, `unsqueeze` adds one." if fewer else "`squeeze` takes one away.")
                )
            else:
                yield f"{shapes}. The values are right, and in the right order; bring them into this shape."
        elif mine and len(mine) == len(theirs):
            yield from (
                f"{shapes}: the dimensions are in another order. The values are right."
                for order in itertools.permutations(range(len(mine)))
                if holds(cases, lambda case, order=order: same(case.got.permute(order), case.want))
            )
    if holds(cases, on_its_diagonal):
        yield (
            f"{shapes}: somewhere [n] met [n, 1], and the two were broadcast to a square, each with each. The right "
            "values stand on its diagonal. Keep the dimension of size 1 everywhere, or nowhere."
        )


def on_its_diagonal(case: Case) -> bool:
    square = case.got.ndim >= 2 and case.got.shape[-1] == case.got.shape[-2]
    return square and same(case.got.diagonal(dim1=-2, dim2=-1).reshape(case.want.shape), case.want)


def reduced(cases: list[Case]) -> Iterator[str]:
    """A dimension was reduced that should stay, or one that should be reduced is still there."""
    if holds(cases, lambda case: case.got.ndim < case.want.ndim):
        for (name, reduce), dim in itertools.product(REDUCTIONS.items(), dims(cases)):
            if holds(cases, lambda case, r=reduce, d=dim: alike(r(case.want, d), case.got)):
                yield (
                    f"{{Yours}} has the shape {list(cases[0].got.shape)}, and {list(cases[0].want.shape)} is expected: "
                    f"it is the {name} of the right values{over(cases[0].want, dim)}. Leave them apart."
                )
        for name, reduce in REDUCTIONS.items():
            if holds(cases, lambda case, r=reduce: case.got.ndim == 0 and alike(r(case.want.flatten(), 0), case.got)):
                yield f"{{Yours}} is one number, the {name} of the right ones. Leave them apart."
    if holds(cases, lambda case: case.got.ndim > case.want.ndim):
        for (name, reduce), dim in itertools.product(REDUCTIONS.items(), range(min(case.got.ndim for case in cases))):
            if holds(cases, lambda case, r=reduce, d=dim: alike(case.want, r(case.got, d))):
                yield (
                    f"{{Yours}} has the shape {list(cases[0].got.shape)}, and {list(cases[0].want.shape)} is expected: "
                    f"the {name}{over(cases[0].got, dim)} is still missing."
                )
        for name, reduce in REDUCTIONS.items():
            if holds(cases, lambda case, r=reduce: case.want.ndim == 0 and alike(case.want, r(case.got.flatten(), 0))):
                yield f"{{Yours}} has the shape {list(cases[0].got.shape)}: the {name} of all its values is right."


def alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    return same(one, other) or (one.dtype != torch.bool and same(one, other.double()))


def over(values: torch.Tensor, dim: int) -> str:
    return "" if values.ndim == 1 else f" over dimension {dim}"


def another_length(cases: list[Case]) -> Iterator[str]:
    """Values too many or too few at the beginning or at the end."""
    if all(case.want.shape == case.got.shape for case in cases):
        return
    for dim in dims(cases):
        if not holds(cases, lambda case, d=dim: case.want.ndim > d and case.got.ndim == case.want.ndim):
            continue
        counts = {case.got.shape[dim] - case.want.shape[dim] for case in cases}
        where = along(cases[0], dim)
        if all(count >= 0 for count in counts):
            extra = some(counts)
            if holds(cases, lambda case, d=dim: same(case.got.narrow(d, 0, case.want.shape[d]), case.want)):
                yield f"{{Yours}} has {extra} too many at the end{where}. Those before are right."
            if holds(cases, lambda case, d=dim: same(tail(case.got, d, case.want.shape[d]), case.want)):
                yield f"{{Yours}} has {extra} too many at the beginning{where}. Those after are right."
        elif all(count <= 0 for count in counts) and all(case.got.numel() for case in cases):
            lost = some(counts)
            if holds(cases, lambda case, d=dim: same(case.want.narrow(d, 0, case.got.shape[d]), case.got)):
                yield f"{{Yours}} lacks {lost} at the end{where}. Those that are there are right."
            if holds(cases, lambda case, d=dim: same(tail(case.want, d, case.got.shape[d]), case.got)):
                yield f"{{Yours}} lacks {lost} at the beginning{where}. Those that are there are right."
    if holds(cases, lambda case: case.want.ndim == case.got.ndim == 1):
        wants, gots = [set(case.want.tolist()) for case in cases], [set(case.got.tolist()) for case in cases]
        if all(gots) and all(got < want or got == want for want, got in zip(wants, gots, strict=True)):
            yield "Some values are missing from {yours}; those that are there are right."
        if all(wants) and all(want < got or got == want for want, got in zip(wants, gots, strict=True)):
            yield "All right values are in {yours}, but also some that do not belong there."


def some(counts: set[int]) -> str:
    """How many values, where it is the same in all draws."""
    count = abs(next(iter(counts)))
    return "values" if len(counts) > 1 else f"{count} value{'' if count == 1 else 's'}"


def tail(values: torch.Tensor, dim: int, count: int) -> torch.Tensor:
    return values.narrow(dim, values.shape[dim] - count, count)


def same_values(cases: list[Case]) -> Iterator[str]:
    """Value by value: always the same, another sign, a factor, an input."""
    if holds(cases, lambda case: case.want.shape == case.got.shape):
        words = phrase(cases, everywhere(cases))
        if words:
            yield f"{{Yours}} is {words}{'' if words.startswith('always') else where_of_all(cases)}."


def where_of_all(cases: list[Case]) -> str:
    return ", everywhere" if cases[0].want.ndim else ", in every draw"


def another_order(cases: list[Case]) -> Iterator[str]:
    """Reversed, transposed, shifted by a step, sorted, or in some other order."""
    if not holds(cases, lambda case: case.want.shape == case.got.shape and case.want.ndim > 0):
        return
    for dim in dims(cases):
        where = along(cases[0], dim)
        if holds(cases, lambda case, d=dim: same(case.got, case.want.flip(d))):
            yield f"{{Yours}} is the right one in reverse order{where}: what belongs to the last comes first."
        if all(case.want.shape[dim] > 2 for case in cases):
            if holds(cases, lambda case, d=dim: same(case.got.narrow(d, 1, size(case, d)), head(case, d))):
                yield f"{{Yours}} comes one step too late{where}: at t it is what belongs to t - 1."
            if holds(cases, lambda case, d=dim: same(case.got.narrow(d, 0, size(case, d)), rest(case, d))):
                yield f"{{Yours}} comes one step too early{where}: at t it is what belongs to t + 1."
    if holds(cases, lambda case: case.want.ndim >= 2 and same(case.got, case.want.transpose(-1, -2))):
        yield "{Yours} is transposed: rows and columns have changed places."
    if all(case.want.dtype != torch.bool and 2 * len(case.want.unique()) > case.want.numel() for case in cases):
        for dim in reversed(dims(cases)):
            if holds(cases, lambda case, d=dim: same(case.got.sort(d).values, case.want.sort(d).values)):
                kind = "in another order"
                if holds(cases, lambda case, d=dim: same(case.got, case.want.sort(d).values)):
                    kind = "sorted, and they should not be"
                elif holds(cases, lambda case, d=dim: same(case.want, case.got.sort(d).values)):
                    kind = "not sorted, and they should be"
                yield f"{{Yours}} holds the right values{along(cases[0], dim)}, but {kind}."
                break


def size(case: Case, dim: int) -> int:
    return case.want.shape[dim] - 1


def head(case: Case, dim: int) -> torch.Tensor:
    return case.want.narrow(dim, 0, size(case, dim))


def rest(case: Case, dim: int) -> torch.Tensor:
    return case.want.narrow(dim, 1, size(case, dim))


def summed(cases: list[Case]) -> Iterator[str]:
    """Added up along the way, or the differences of what should be added up; one number for all of a row."""
    if not holds(cases, lambda case: case.want.shape == case.got.shape and case.want.ndim > 0):
        return
    if any(case.want.dtype == torch.bool for case in cases):
        return
    for dim in dims(cases):
        where = along(cases[0], dim)
        if all(case.want.shape[dim] < 2 for case in cases):
            continue
        if holds(cases, lambda case, d=dim: same(case.got.double(), case.want.double().cumsum(d))):
            yield f"{{Yours}} is added up from the first to the last{where}; the single values are asked for."
        if holds(cases, lambda case, d=dim: same(case.want.double(), case.got.double().cumsum(d))):
            yield f"{{Yours}} holds single values{where}; their running sum is asked for."
        if holds(cases, lambda case, d=dim: same(case.got.double(), backwards(case.want, d))):
            yield f"{{Yours}} is added up from the last to the first{where}; the single values are asked for."
        if holds(cases, lambda case, d=dim: same(case.want.double(), backwards(case.got, d))):
            yield f"{{Yours}} holds single values{where}; their sum from each one to the end is asked for."
        for name in ("mean", "sum", "maximum", "minimum"):
            if holds(cases, lambda case, d=dim, n=name: same(case.got.double(), spread(case.want, d, n))):
                yield f"{{Yours}} is the same{where} for all: the {name} of the right values."
        for name in ("sum", "maximum", "mean", "minimum"):
            if holds(cases, lambda case, d=dim, n=name: is_share(case.got, case.want, d, n)):
                yield f"{{Yours}} is the right one divided by its own {name}{where}."
            if holds(cases, lambda case, d=dim, n=name: is_share(case.want, case.got, d, n)):
                yield f"{{Yours}} is still to be divided by its own {name}{where}; then it is right."


def backwards(values: torch.Tensor, dim: int) -> torch.Tensor:
    return values.double().flip(dim).cumsum(dim).flip(dim)


def is_share(share: torch.Tensor, whole: torch.Tensor, dim: int, name: str) -> bool:
    """Is the one the other divided by its sum (or maximum, ...)?"""
    return same(share.double() * spread(whole, dim, name), whole.double())


def spread(values: torch.Tensor, dim: int, name: str) -> torch.Tensor:
    return REDUCTIONS[name](values.double(), dim).unsqueeze(dim).expand(values.shape)


# From the simplest to the one that takes most words; each with what it knows, for the teachers' page.
RELATIONS: dict[str, Check] = {
    "another shape: a dimension of 1 lost or kept, [n, n] for [n, 1], flattened, dimensions swapped": another_shape,
    "a dimension reduced that should stay (mean, sum, maximum, first, last ...), or not reduced yet": reduced,
    "values too many or too few, at the beginning or at the end": another_length,
    "value by value: always the same, an input as it is, the other sign, the opposite, one factor (a mean for a sum, "
    "per cent), one summand, squared, rooted, a logarithm, rounded, an input added, missing, multiplied": same_values,
    "another order: reversed, a step too early or too late, transposed, sorted, permuted": another_order,
    "added up along the way, not added up, one number for all, not divided by its own sum or maximum": summed,
}
