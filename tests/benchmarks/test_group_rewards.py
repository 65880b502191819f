"""A team paid in three ways."""

from __future__ import annotations

from made_up_results import arms, told

from benchmarks.groups import rewards
from benchmarks.lesson_code import FIRST_SEED


def run(held: float, reward: float) -> dict:
    return {"held": held, "posts": 2.5, "curve": [-0.6, reward], "frames": 48_000, "cpu_seconds": 9.0}


def test_answers_are_computed(tmp_path):
    made_up = {
        "team reward": {"100": run(1.0, -0.2), "101": run(0.7, -0.3)},
        "own rewards": {"100": run(0.0, -0.4), "101": run(0.4, -0.4)},
    }
    page = told(tmp_path, "rewards", made_up)
    assert "team reward 1 of 2; own rewards 0 of 2." in page
    assert "| team reward | 100%, 70% | 2.50 | 2, never | -0.200, -0.300 | 9.0 |" in page


def test_what_the_lesson_says_of_them_holds():
    found = arms("rewards")
    assert list(found) == rewards.ARMS and min(int(seed) for runs in found.values() for seed in runs) >= FIRST_SEED
    held = {name: [one["held"] for one in runs.values()] for name, runs in found.items()}
    assert min(held["team reward"] + held["difference reward"]) >= rewards.GOOD > max(held["own rewards"])
    assert sum(round(one["posts"], 2) == 1 for one in found["own rewards"].values()) == 2, "all three at one post"
    assert [len(runs) for runs in found.values()] == [5, 5, 5]
    halfway = {name: [one["curve"][14] for one in runs.values()] for name, runs in found.items()}
    pairs = zip(halfway["difference reward"], halfway["team reward"], strict=True)
    assert all(difference > team for difference, team in pairs), "ahead halfway, with every seed"
