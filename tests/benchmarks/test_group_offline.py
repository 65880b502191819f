"""Offline RL over records."""

from __future__ import annotations

import statistics

import numpy as np
from made_up_results import arms, share_solved, told

from benchmarks import lesson_code


def test_the_lessons_words_about_offline_methods_hold():
    found = arms("offline")
    assert all(len(runs) >= 5 and min(map(int, runs)) >= lesson_code.FIRST_SEED for runs in found.values())
    middle = {name: statistics.median(run["test_return"] for run in runs.values()) for name, runs in found.items()}
    players = statistics.median(np.mean(run["players"]) for run in found["CQL"].values())
    assert 100 < players < 140 and middle["cloning"] > 1.5 * players, "teachers of about 120 are left behind"
    assert 0.8 < middle["DQN"] / players < 1.2, "stays where its teachers are"
    pairs = [(found["CQL"][seed]["test_return"], run["test_return"]) for seed, run in found["cloning"].items()]
    assert all(cql > clone for cql, clone in pairs), "beats the clone of the same record on every seed"
    mixed = {name: share_solved(runs) for name, runs in found.items() if not name.startswith("good record")}
    control = [found["CQL without its term"][seed]["test_return"] for seed in found["CQL"]]
    assert {name: share for name, share in mixed.items() if share} == {"CQL": 0.4, "CQL without its term": 0.4}
    assert statistics.mean(control) - players > 0.5 * (statistics.mean(cql for cql, _ in pairs) - players), "most of it"
    gains = [cql - without for (cql, _), without in zip(pairs, control, strict=True)]
    assert sum(gain > 0 for gain in gains) == 3 and min(gains) < -200, "better on three, once worse by 200"
    assert min(cql for cql, _ in pairs) < 300, "far from it on the worst seed"
    assert 0.9 < middle["CQL"] / middle["good record: CQL"] < 1.1, "about as far as from the good record"
    assert middle["cloning the best tenth"] < middle["cloning"], "no gain"
    assert 0.7 < middle["IQL"] / middle["cloning"] < 1, "a little behind the clone"
    seconds = {name: statistics.median(run["seconds"] for run in runs.values()) for name, runs in found.items()}
    assert 2 < seconds["IQL"] / seconds["CQL"] < 4, "three times as long"
    assert 1 < middle["good record: CQL"] / middle["good record: cloning"] < 1.1, "the lead is small"
    assert middle["good record: DQN"] < middle["good record: cloning"] / 2, "far behind"


def test_answers_are_computed(tmp_path):
    made_up = {
        name: {str(seed): {"test_return": reached, "seconds": 6.0, "frames": 20_000} for seed in (100, 101)}
        for name, reached in {"cloning": 60.0, "CQL": 480.0}.items()
    }
    assert "Solved: cloning 0 of 2; CQL 2 of 2." in told(tmp_path, "offline", made_up)
