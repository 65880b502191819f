"""What every group of measurements tells the runner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Group:
    """One group of measurements; a job is an arm and a key (a seed, a repeat or a size).

    Attributes:
        file: the stem of its JSON file in the folder of results.
        jobs: the jobs, given how many seeds or repeats; in this order if the group runs alone.
        measure: does one job in a worker process and returns one result per arm it has found out about.
        arms: the arms in the order in which they are shown.
        code: the text of the code under test: runs of different code are never mixed.
        repeats: how many seeds or repeats unless told otherwise.
        alone: one job at a time, because seconds are what it measures.
        pinned: on one core only.
        missing: why it cannot be measured here, in a few words; empty where it can.
    """

    file: str
    jobs: Callable[[int], list[tuple[str, int]]]
    measure: Callable[[str, int], dict[str, dict]]
    arms: Callable[[], Sequence[str]]
    code: Callable[[], str]
    repeats: int
    alone: bool = True
    pinned: bool = False
    missing: Callable[[], str] = lambda: ""
