"""What the project set itself, and whether it was reached: numbers are compared with targets here and nowhere else."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

from benchmarks import store
from benchmarks.groups import peers, time
from benchmarks.section import table


@dataclass(frozen=True)
class Target:
    """What the project set itself.

    Attributes:
        words: the target.
        measured: in words; empty where it was not measured.
        met: whether it was reached.
    """

    words: str
    measured: str
    met: bool


def targets(results: Path) -> list[Target]:
    """The targets with what was measured, given the folder of results."""
    repeats = time.repeats_of(store.read_group(results, time.GROUP.file, time.GROUP.name)[1])
    arms = store.read_group(results, peers.GROUP.file, peers.GROUP.name)[1]
    found = []
    for key, limit, words in [
        ("bound", 2.5, "the loop without validation within 2.5 times the least possible"),
        ("SB3", 1.7, "within 1.7 times Stable-Baselines3 with the same recipe"),
    ]:
        ratios = time.loop_ratios(repeats)[key] if repeats else []
        measured = time.times(ratios) if ratios else ""
        found.append(Target(words, measured, bool(ratios) and statistics.median(ratios) <= limit))
    for words, limit, measured_of in [
        ("validation's judge within 1.3 times the plainest loop", 1.3, time.quick_judge),
        ("validation at most 35 % of a run", 0.35, time.validation_share),
    ]:
        ratios = measured_of(repeats)
        measured = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})" if ratios else ""
        found.append(Target(words, measured, bool(ratios) and statistics.median(ratios) <= limit))
    words = "at least 8 times faster to solved than SB3's DQN with RL-Zoo settings (medians), "
    for place, clock in enumerate(["seconds of training", "seconds with validation, which costs all of them the same"]):
        ratios = peers.zoo_ratios(arms, peers.ZOO_DQN)
        measured = f"{ratios[place]:.1f} times" if ratios else ""
        found.append(Target(words + clock, measured, bool(ratios) and ratios[place] >= 8))
    return found


def targets_table(results: Path) -> str:
    rows = [
        [
            target.words,
            target.measured or "not measured yet",
            ("yes" if target.met else "**no**") if target.measured else "",
        ]
        for target in targets(results)
    ]
    return table(["target", "measured", "met"], rows)
