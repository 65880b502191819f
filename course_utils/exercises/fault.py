"""One thing that is wrong with a watched loop, and how to look and to speak of it."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from torchrl.objectives import A2CLoss, PPOLoss, ReinforceLoss

from course_utils.exercises.notes import Note, Watched

ON_POLICY = (A2CLoss, PPOLoss, ReinforceLoss)


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        sentence: what was seen, and what mends it.
        missing: the kind of note that should be there and is not, for the picture.
        notes: those at which it shows.
        certain: true also of a loop that broke off with an error.
    """

    sentence: str
    missing: str = ""
    notes: tuple[Note, ...] = ()
    certain: bool = False


@dataclass(frozen=True)
class Asked:
    """What a loop has to do beyond what its parts need.

    Attributes:
        given: the parts it was handed, by their names in `tiny_parts.NAMES`: it has to use them.
        frames: that it has to collect.
        updates: that it has to make after each collected batch.
        batch_size: of the frames that each update learns from.
        whole: every collected frame is stored once, every loss counts in full, and each update draws its own sample.
    """

    given: dict[str, Any] = field(default_factory=dict)
    frames: int | None = None
    updates: int | None = None
    batch_size: int | None = None
    whole: bool = False


# Where in the loop


def since(seen: Watched, note: Note, *kinds: str) -> list[Note]:
    """The notes before this one, back to the last one of these kinds, which comes first; all where there is none."""
    found = []
    for one in reversed(seen.notes[: note.place]):
        found.append(one)
        if one.kind in kinds:
            break
    return found[::-1]


def next_is_backward(seen: Watched, note: Note) -> bool:
    after = itertools.islice(seen.notes, note.place + 1, None)
    return next((one.kind for one in after if one.kind in ("backward", "step", "loss")), "") == "backward"


def rows_in(notes: list[Note]) -> Counter:
    return Counter(row for note in notes for row in note.rows or ())


def on_policy(seen: Watched) -> bool:
    return any(isinstance(note.part, ON_POLICY) for note in seen.of("loss"))


def on_error(notes: list[Note]) -> bool:
    return any(note.wrong for note in notes)


# Words


def listed(names: list[str]) -> str:
    return " and ".join(f"`{name}`" for name in names)


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number:,} times")
