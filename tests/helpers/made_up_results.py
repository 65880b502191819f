"""Results for tests of benchmarks: the stored ones, and made-up ones whose numbers a test can foresee."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks import page, store
from benchmarks.figures import Cost
from benchmarks.groups import groups, time
from benchmarks.summary import is_solved

# The stored results and what lessons say about them


def stamp_and_arms(group: str) -> tuple[dict, Mapping[str, Mapping[str, dict]]]:
    stamp, arms = store.read_group(store.RESULTS, groups()[group].file, group)
    if not arms:
        pytest.skip(f"{group} was not measured yet: make bench ARGS='--groups {group}'")
    return stamp, arms


def arms(group: str) -> Mapping[str, Mapping[str, dict]]:
    """The stored runs of a group, {arm: {seed: result}}; skips the test where there are none yet."""
    return stamp_and_arms(group)[1]


def share_solved(runs: Mapping[str, dict]) -> float:
    return sum(map(is_solved, runs.values())) / len(runs)


def median(runs: Mapping[str, dict], cost: Cost) -> float:
    """Median of what runs spent until they stopped, solved or not, as the lesson's tables show it."""
    return statistics.median(map(cost.of, runs.values()))


def times_the(runs: Mapping[str, dict], others: Mapping[str, dict], cost: Cost) -> float:
    """How many times the others' median `cost` these runs need."""
    return median(runs, cost) / median(others, cost)


# Made-up results


def made_up_run(cost: float, solved: bool = True) -> dict:
    frames = int(1_000 * cost)
    return {
        "test_return": 500.0 if solved else 100.0,
        "frames": frames,
        "seconds": 3 * cost,
        "validation_seconds": 2 * cost,
        "curve": [[frames // 2, 20.0], [frames, 495.0 if solved else 100.0]],
    }


def made_up_arm(costs, failed=()) -> dict[str, dict]:
    """Runs that cost so many thousand frames; those at the places in `failed` ended without success."""
    return {str(100 + place): made_up_run(cost, place not in failed) for place, cost in enumerate(costs)}


def made_up_repeat(
    lesson: float = 2.0, sb3: float = 1.0, bound: float = 1.0, judge: float = 1.0, evaluation: float = 2.0
) -> dict:
    spent = {"environment": 0.2, "policy": 0.3, "evaluation": evaluation, "loss": 3.0 - evaluation, time.REST: 0.5}
    return {
        "frames": 5_120,
        "updates": 544,
        "lesson": lesson,
        "raw stepping": 0.1 * bound,
        "raw updates": 0.9 * bound,
        "SB3": sb3,
        "run": {"frames": 2_048, "seconds": 4.0, "parts": spent},
        "judges": {"plainest": 0.4, "greedy_returns": 0.4 * judge, "evaluate": 4.0},
        "whose": {
            "lesson 07": {"tensordict": 0.6, "torch's operations": 0.395, "NumPy": 0.005},
            "SB3": {"torch's operations": 0.8, "Stable-Baselines3": 0.2},
        },
    }


def sizes(fact: str, found: dict[int, float]) -> dict[str, dict]:
    return {str(size): {fact: [0.9 * value, value, 1.2 * value]} for size, value in found.items()}


STAMP = dict.fromkeys(["torch", "torchrl", "gymnasium"], "1.0") | {
    "python": "3.11",
    "cpu": "a made-up CPU",
    "cores": 2,
    "code": "abc",
    "date": "2030-01-01",
    "command": "make bench",
}


def store_made_up(folder: Path, found_by_group: dict[str, dict]) -> None:
    for name, found in found_by_group.items():
        results = store.Store(folder / f"{groups()[name].file}.json")
        results.begin(name, list(found), STAMP)
        for arm, runs in found.items():
            results.runs[name][arm] = runs
        results.write()


def text_of(folder: Path) -> str:
    """The page, given a folder of results."""
    return page.build(folder)["benchmark.md"].decode()


def told(folder: Path, group: str, found: dict[str, dict]) -> str:
    """The page with made-up results of one group."""
    store_made_up(folder, {group: found})
    return text_of(folder)


def results_of(group: str) -> dict[str, dict]:
    """The stored arms of a group."""
    return store.read_group(store.RESULTS, groups()[group].file, group)[1]


def drawn_points(axes) -> dict[str, list[float]]:
    """What stands in the scatter plots of an axes: x values by the group they were drawn as."""
    return {
        points.get_gid(): sorted(points.get_offsets()[:, 0].tolist())
        for points in axes.collections
        if points.get_gid() is not None
    }
