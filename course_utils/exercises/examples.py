"""The smallest input for which an answer fails, in full if it is small."""

from __future__ import annotations

from typing import Any

import torch
from tensordict import TensorDictBase

from course_utils.exercises.cases import as_tensor, fitted, flat
from course_utils.exercises.comparing import Part, WithGradient, close, is_row, told_apart

SMALL = 12  # so many numbers are shown in full
LONG = 160  # characters of a line


def example(draws: list, split: list[list[Part]], failing: list[int]) -> str:
    """The failing draw that is shortest to tell: its inputs, what is expected of it, and what was got."""
    place = min(failing, key=lambda place: weight(draws[place][0]))
    inputs, _, want, got = draws[place]
    part = next(part for part in split[place] if part.words)
    if isinstance(want, WithGradient) or not comparable(part):
        return ""
    written = in_full(inputs)
    if written is not None and (told := in_short(part)):
        return f"For {written}: {told}"
    return one_place(flat(inputs), part)


def weight(inputs: dict[str, Any]) -> int:
    leaves = flat(inputs).values()
    return sum(leaf.numel() if isinstance(leaf, torch.Tensor) else len(str(leaf)) for leaf in leaves)


def comparable(part: Part) -> bool:
    want, got = as_tensor(part.want), as_tensor(part.got)
    return got is None or want is None or want.shape == got.shape or max(want.numel(), got.numel()) <= SMALL


def in_full(inputs: dict[str, Any]) -> str | None:
    """All inputs as they would be written; None where that would be long."""
    if any(isinstance(value, (TensorDictBase, torch.nn.Module)) or callable(value) for value in inputs.values()):
        return None
    if not inputs:
        return None
    shown = ", ".join(f"{name}={written(value)}" for name, value in inputs.items())
    return f"`{shown}`" if weight(inputs) <= SMALL and len(shown) <= LONG else None


def written(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return written(value.tolist())
    if isinstance(value, (list, tuple)) and is_row(value):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    return f"{value:.4g}" if isinstance(value, float) else repr(value)


def in_short(part: Part) -> str:
    """`expected 3, got 4.`; empty where that would be long."""
    want, got = as_tensor(part.want), as_tensor(part.got)
    if want is None or got is None or want.ndim or got.ndim:
        one, other = written(part.want if want is None else want), written(part.got if got is None else got)
    else:
        one, other = told_apart(want.item(), got.item())
    words = f"expected {one}, got {other}."
    return words if len(words) <= LONG else ""


def one_place(inputs: dict[str, Any], part: Part) -> str:
    """The first wrong place of a long result, and what the inputs are there."""
    want, got = as_tensor(part.want), as_tensor(part.got)
    if want is None or got is None or want.shape != got.shape:
        return ""
    wrong = ~close(want, got, 1e-5)
    if not wrong.any():
        return ""
    place = tuple(torch.nonzero(wrong)[0].tolist())
    there = []
    for name, value in inputs.items():
        value = fitted(value, want.shape) if isinstance(value, torch.Tensor) else None
        if value is not None and len(there) < 5:
            there.append(f"{name} is {written(value[place].item())}")
    one, other = told_apart(want[place].item(), got[place].item())
    here = f" at {list(place)}" if place else ""
    if not there:
        return f"For example{here}: expected {one}, got {other}."
    return f"For example{here}, where {', '.join(there)}: expected {one}, got {other}."
