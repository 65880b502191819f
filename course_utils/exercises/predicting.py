"""What to say of a wrong prediction without giving the right one away."""

from __future__ import annotations

from typing import Any

from course_utils.exercises.comparing import (
    ORDINALS,
    Rules,
    as_number,
    describe_kind,
    difference,
    is_number,
    is_row,
    leaf_difference,
)

HOW = "Predict, run the code in a cell of your own, compare."


def about_prediction(want: Any, got: Any, rules: Rules) -> str:
    """Which values of a row are right, or in which direction a number is off; at least how to find out."""
    if leaf_difference(got, got, rules):
        words = f"This {type(got).__name__} cannot be compared with the answer."
    elif is_number(want) and not isinstance(want, bool):
        words = about_number(as_number(want), as_number(got))
    elif is_row(want):
        words = about_row(list(want), got, rules)
    else:
        words = ""
    return f"Not {got!r:.80}. {f'{words} ' if words else ''}{HOW}"


def about_number(want: float, got: Any) -> str:
    if isinstance(got, bool) or not isinstance(got, (int, float)):
        return f"A number is asked for, and this is {describe_kind(got)}."
    if got == -want:
        return "Its sign is wrong, and nothing else."
    return "It is too large." if got > want else "It is too small." if got < want else ""


def about_row(want: list, got: Any, rules: Rules) -> str:
    got = got.tolist() if hasattr(got, "tolist") else got
    if not isinstance(got, (list, tuple)):
        return f"{len(want)} values in a tuple are asked for, and this is {describe_kind(got)}."
    if len(got) != len(want):
        return f"{len(want)} values are asked for, and these are {len(got)}."
    right = [ORDINALS[place] for place, pair in enumerate(zip(want, got, strict=True)) if not difference(*pair, rules)]
    if not right and all(map(is_number, got)) and sorted(map(float, got)) == sorted(map(float, want)):
        return "These are the right values, but none stands at its place."
    if not right:
        return "None of the values is right."
    return f"The {' and the '.join(right)} value {'is' if len(right) == 1 else 'are'} right, the rest is not."
