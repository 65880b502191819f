"""What every group of measurements is: what is run, and what the page says about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks import results_table
from benchmarks.section import Arms, Section


@dataclass(frozen=True)
class Group:
    """One group of measurements; a job is an arm and a key (a seed, a repeat or a size).

    Attributes:
        name: what to type after `--groups`.
        order: its place in `make bench` and on the page, among those of the other groups.
        question: which it answers, the heading of its section.
        tell: says and draws what was found; called where there are results.
        file: the stem of its JSON file in the folder of results.
        jobs: the jobs, given how many seeds or repeats; in this order if the group runs alone.
        measure: does one job in a worker process and returns one result per arm it has found out about; a function of
            a module, because its source is part of the stamp.
        arms: the arms in the order in which they are shown.
        code: the text of the code under test: runs of different code are never mixed.
        repeats: how many seeds or repeats unless told otherwise.
        alone: one job at a time, because seconds are what it measures.
        pinned: on one core only.
        only_seconds: nothing it finds says anything of another machine.
        missing: why it cannot be measured here, in a few words; empty where it can.
        unmeasured: what the page says where there are no results; empty for the usual words.
        stale: given an arm and a stored run, has that run to be measured again? For groups whose arms have code of
            their own, so that a change of one leaves the others as they are.
        lesson_table: what lessons show in place of `{{table <results> <group>}}`.
    """

    name: str
    order: int
    question: str
    tell: Callable[[Section, Arms], None]
    file: str
    jobs: Callable[[int], list[tuple[str, int]]]
    measure: Callable[[str, int], dict[str, dict]]
    arms: Callable[[], Sequence[str]]
    code: Callable[[], str]
    repeats: int
    alone: bool = True
    pinned: bool = False
    only_seconds: bool = False
    missing: Callable[[], str] = lambda: ""
    unmeasured: str = ""
    stale: Callable[[str, dict], bool] = lambda arm, run: False
    lesson_table: Callable[[Arms], str] = results_table.table
