"""What lessons say about results is what the stored results show."""

from __future__ import annotations

import json

import pytest
from conftest import ROOT

from benchmarks import dqn_cartpole, results_table

RESULTS = json.loads((ROOT / "benchmarks" / "results" / "07_dqn.json").read_text())
ARMS = {name: results_table.summarise(runs) for name, runs in RESULTS["runs"]["ablations"].items()}


def test_results_say_what_they_were_measured_with():
    assert set(RESULTS["measured with"]) >= {"torch", "torchrl", "gymnasium", "python", "cpu", "date", "command"}


@pytest.mark.parametrize("group", ["notebook", "ablations", "peers"])
def test_every_arm_ran_on_at_least_ten_seeds_not_used_for_tuning(group):
    for runs in RESULTS["runs"][group].values():
        assert len(runs) >= 10 and min(map(int, runs)) >= dqn_cartpole.FIRST_SEED


def test_lesson_07_solves_cartpole_on_at_least_nine_of_ten_seeds_and_resumes_exactly():
    runs = RESULTS["runs"]["notebook"]["lesson 07"]
    assert sum(run["test_return"] >= results_table.SOLVED for run in runs.values()) >= 0.9 * len(runs)
    assert all(run["resumes"] for run in runs.values())
    assert max(run["textbook_return"] for run in runs.values()) < results_table.SOLVED, "act one says it is not solved"
    assert max(run["notebook_seconds"] for run in runs.values()) < 90


def test_the_lessons_words_about_each_change_hold():
    recipe = ARMS["all three changes"]
    assert recipe["solved"] == recipe["seeds"]
    assert 0.3 <= ARMS["without the input scale"]["solved"] / ARMS["without the input scale"]["seeds"] <= 0.7, "half"
    plain = ARMS["with the ordinary reward and gamma 0.99"]
    assert plain["solved"] < plain["seeds"] and plain["frames"] <= 1.5 * recipe["frames"], (
        "quick, but some never arrive"
    )
    one = ARMS["with one environment"]
    assert 0.5 <= one["frames"] / recipe["frames"] <= 1.5 and one["seconds"] > 1.2 * recipe["seconds"], (
        "time, not frames"
    )


def test_the_lessons_words_about_the_other_library_hold():
    ours, theirs = (
        results_table.summarise(RESULTS["runs"]["peers"][name]) for name in ("TorchRL", "Stable-Baselines3")
    )
    assert ours["solved"] == ours["seeds"] and theirs["solved"] == theirs["seeds"]
    assert theirs["seconds"] < ours["seconds"]


def test_a_table_shows_solved_runs_medians_and_the_worst():
    runs = {
        str(seed): {"test_return": 400 + 50 * seed, "frames": 1000 * seed, "seconds": float(seed)} for seed in range(3)
    }
    assert results_table.table({"x": runs}).splitlines()[-1] == "| x | 1 of 3 | 1,000 | 1.0 (2.0) |"


def test_the_definitions_of_the_lesson_run_without_its_training():
    space = dqn_cartpole.definitions(seed=0)
    assert {"build", "train", "evaluate", "settings", "validate"} <= set(space)
    assert "run" not in space and len(space["buffer"]) == 0
