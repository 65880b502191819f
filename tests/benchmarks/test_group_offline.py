"""Offline RL over records."""

from __future__ import annotations

import statistics

from made_up_results import arms, told

from benchmarks import lesson_code


def test_the_lessons_words_about_offline_methods_hold():
    found = arms("offline")
    assert all(len(runs) == 10 and min(map(int, runs)) >= lesson_code.FIRST_SEED for runs in found.values())
    returns = {name: [run["test_return"] for run in runs.values()] for name, runs in found.items()}
    for method in ("cloning", "cloning the best tenth", "DQN"):
        beaten = [ours > theirs for ours, theirs in zip(returns["CQL"], returns[method], strict=True)]
        assert sum(beaten) == 10, f"CQL beats {method} on every seed"
    assert max(returns["cloning"]) <= 1, "no clone does better than the early shift"
    dqn = found["DQN"].values()
    assert all(run["promised"] > run["worth"] for run in dqn), "DQN breaks its promise on every seed"
    assert max(returns["DQN"] + returns["cloning the best tenth"]) == 0, "neither delivers anything"
    assert sum(run["promised"] < run["worth"] for run in found["CQL"].values()) == 9, (
        "on nine of ten less than it keeps"
    )
    middle = {name: statistics.median(each) for name, each in returns.items()}
    assert 0.08 < 1 - statistics.mean(returns["CQL"]) / 10 < 0.12 and middle["IQL"] > middle["CQL"], "one start in ten"
    seconds = {name: statistics.median(run["seconds"] for run in runs.values()) for name, runs in found.items()}
    assert seconds["IQL"] > 2 * seconds["CQL"], "more than twice as long"


def test_answers_are_computed(tmp_path):
    made_up = {
        name: {
            str(seed): {"test_return": reached, "worth": 1.0, "seconds": 6.0, "frames": 20_000, "promised": 2.0}
            for seed in (100, 101)
        }
        for name, reached in {"cloning": 1.0, "CQL": 9.0}.items()
    }
    assert "Mean return of the exam, of at most 10: cloning 1.0; CQL 9.0." in told(tmp_path, "offline", made_up)
