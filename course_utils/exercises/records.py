"""What is wrong with a function that lays episodes of different lengths side by side, whatever their entries are."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase

from course_utils.exercises.exercise import Draw

WORDS = ("camera", "joints", "left", "right", "wheel", "sonar", "map", "mood", "arm", "light")
DTYPES = (torch.float32, torch.float64, torch.int64, torch.uint8, torch.bool)
FEATURES = ((), (1,), (4,), (2, 3))


def examine_by_episode(answer: Any, draw: Draw) -> str:
    """The first thing that is wrong, or "".

    Args:
        answer: called with steps of batch size [time]; gives episodes of batch size [episodes, longest].
        draw: makes records whose entries nobody knows beforehand.
    """
    for lengths, finished in records(draw):
        data = record(lengths, finished, draw)
        given = data.clone()
        got = answer(data)
        words = about_result(got, given, lengths, finished) or about_input(data, given)
        if words:
            return words
    return ""


def records(draw: Draw) -> list[tuple[list[int], bool]]:
    """Lengths of episodes, and whether the last one has ended."""
    several = [int(length) for length in draw.integers(2, 7, 4)]
    return [
        ([*several[:2], 8, several[2]], False),
        ([1, *several, 9], True),
        ([several[3]], False),
        ([several[0], 1], True),
    ]


def record(lengths: list[int], finished: bool, draw: Draw) -> TensorDict:
    """Steps as `rollout` gives them, with entries of any name, nesting, shape and type."""
    time = sum(lengths)
    done = torch.zeros(time, 1, dtype=torch.bool)
    done[torch.tensor(lengths).cumsum(0)[: None if finished else -1] - 1] = True
    clock = torch.zeros_like(done)
    clock[torch.tensor(lengths).cumsum(0)[::2] - 1] = True  # every other episode ends by the clock, the first one too
    never = torch.zeros_like(done)
    root = {"done": never, "terminated": never.clone(), "truncated": never.clone()}
    following = {"done": done, "terminated": done & ~clock, "truncated": done & clock, "reward": draw.normal(time, 1)}
    root |= entries(time, draw, depth=2)
    return TensorDict(root | {"next": following | entries(time, draw, depth=1)}, [time])


def entries(time: int, draw: Draw, depth: int) -> dict[str, Any]:
    names = [WORDS[int(place)] for place in draw.integers(0, len(WORDS), 3)]
    found: dict[str, Any] = {name: entry(time, draw) for name in names}
    if depth:
        found["deep"] = entries(time, draw, depth - 1)
    return found


def entry(time: int, draw: Draw) -> torch.Tensor:
    dtype = DTYPES[int(draw.integers(0, len(DTYPES), 1))]
    shape = FEATURES[int(draw.integers(0, len(FEATURES), 1))]
    values = draw.integers(0, 3, time, *shape)  # zeros among them: what is 0 need not be padding
    values[-1] = 1
    return values.to(dtype)


def about_result(got: Any, data: TensorDictBase, lengths: list[int], finished: bool) -> str:
    if not isinstance(got, TensorDictBase):
        return f"Your function returned a {type(got).__name__}. It has to be one TensorDict: `torch.stack` the rows."
    longest = max(lengths)
    if list(got.batch_size) != [len(lengths), longest]:
        return about_rows(list(got.batch_size), data, lengths, finished)
    return about_mask(got, lengths) or about_keys(got, data) or about_values(got, data, lengths)


def about_rows(size: list[int], data: TensorDictBase, lengths: list[int], finished: bool) -> str:
    end = "the last one is still under way" if not finished else "the last one has ended"
    seen = f"{sum(lengths)} steps hold episodes of {lengths} steps; {end}. Your result has batch size {size}"
    rows, longest = len(lengths), max(lengths)
    ended = data["next", "terminated"].squeeze(-1)
    if len(size) != 2:
        return f"{seen}, and should have two dimensions, [episodes, longest]: [{rows}, {longest}]."
    if size[0] == rows and size[1] == sum(lengths):
        return f"{seen}. It is as wide as the whole record; as wide as the longest episode is enough: {longest}."
    if size[0] == rows + 1 and finished:
        return f"{seen}: there is an episode without a step at the end. Cut behind a `done` only where steps follow."
    if size[0] == rows - 1 and not finished:
        return f"{seen}: the steps after the last `done` are missing. They are an episode, too, one that is under way."
    if size[0] == 1 and rows > 1:
        return f'{seen}: nothing was cut. An end stands under `next`: `data["next", "done"]`; at the root it is False.'
    if size[0] == int(ended.sum()) + int(not bool(ended[-1])):
        return f"{seen}: episodes that the clock ended run on into the next. Cut at `done`, not at `terminated`."
    if size[0] == rows:
        return f"{seen}; [{rows}, {longest}] is right. A step that is `done` is the last of its episode: cut behind it."
    return f"{seen}, and should have [{rows}, {longest}]."


def about_mask(got: TensorDictBase, lengths: list[int]) -> str:
    mask, right = got.get("mask", None), mask_of(lengths)
    if not isinstance(mask, torch.Tensor):
        return "The entry `mask` is missing. Nobody can tell a padded step from one in which all is 0."
    if mask.shape != right.shape or mask.dtype != torch.bool:
        return (
            f"`mask` is {mask.dtype} of shape {list(mask.shape)}. It has one flag for each step: torch.bool of shape "
            f"{list(right.shape)}."
        )
    if torch.equal(mask, right):
        return ""
    if torch.equal(mask, ~right):
        return "`mask` is the wrong way round: True is for the steps that were played, False for padding."
    if torch.equal(mask, right.flip(1)):
        return "The padding stands before the steps. Each row begins with its first step."
    found = [int(row) for row in mask.sum(1)]
    if len(lengths) > 1 and found == [lengths[0] - 1, *lengths[1:-1], lengths[-1] + 1]:
        return (
            f"By `mask` the rows have {found} steps, the episodes have {lengths}. A step that is `done` is the last of "
            "its episode: cut behind it."
        )
    if found != lengths and sorted(found) == sorted(lengths):
        return f"The rows have lengths {found}, the episodes {lengths}. Keep the order in which they were played."
    if found != lengths:
        return (
            f"By `mask` the rows have {found} steps, the episodes have {lengths}. A step in which all is 0 may have "
            "been played: count steps, and do not look at values."
        )
    return "`mask` counts the right steps, in the wrong places. Each row begins with its first step."


def mask_of(lengths: list[int]) -> torch.Tensor:
    return torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(-1)


def about_keys(got: TensorDictBase, data: TensorDictBase) -> str:
    have, want = set(got.keys(True, True)) - {"mask"}, set(data.keys(True, True))
    if want - have:
        lost = sorted(map(str, want - have))
        return f"Entries are lost: {', '.join(lost[:3])}. Work on the whole TensorDict, and name no entry but `done`."
    if have - want:
        return f"There are entries that nobody asked for: {', '.join(sorted(map(str, have - want))[:3])}."
    return ""


def about_values(got: TensorDictBase, data: TensorDictBase, lengths: list[int]) -> str:
    longest, mask = max(lengths), mask_of(lengths)
    starts = [0, *torch.tensor(lengths).cumsum(0).tolist()]
    for key, steps in data.items(True, True):
        rows = got[key]
        name = key if isinstance(key, str) else tuple(key)
        if rows.dtype != steps.dtype:
            return f"`{name}` was {steps.dtype} and has become {rows.dtype}. Every entry keeps its type."
        if list(rows.shape) != [len(lengths), longest, *steps.shape[1:]]:
            return f"`{name}` has shape {list(rows.shape)}: features are to stay as they were, {list(steps.shape[1:])}."
        for number, (start, stop) in enumerate(pairwise(starts)):
            if not torch.equal(rows[number, : stop - start], steps[start:stop]):
                return f"`{name}` of row {number} differs from the steps {start} to {stop - 1} of the record."
        if rows[~mask].any():
            row, step = (~mask & rows.reshape(*mask.shape, -1).any(-1)).nonzero()[0].tolist()
            return (
                f"Padding is to be 0 or False: `{name}` of row {row} is not, at step {step}, after the episode's end."
            )
    return ""


def about_input(data: TensorDictBase, given: TensorDictBase) -> str:
    if set(data.keys(True, True)) != set(given.keys(True, True)):
        return "Your function adds entries to `data`, which its caller still needs. Work on a copy."
    if not all(torch.equal(data[key], entry) for key, entry in given.items(True, True)):
        return "Your function writes into `data`, which its caller still needs. Work on a copy."
    return ""
