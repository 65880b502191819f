"""Lesson 14's search loses nothing, its runs do not disturb one another, and its judge plays Gymnasium's CartPole."""

from __future__ import annotations

import importlib.util
import os
import warnings
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
import torch

from benchmarks.lesson_code import defining_code, run_code
from course_utils import load_results
from course_utils.machine import extras

needs_optuna = pytest.mark.skipif(importlib.util.find_spec("optuna") is None, reason=extras.extra_install("tuning"))


def definitions() -> dict:
    """All of the lesson's cells that only define something."""
    return run_code(defining_code("14_tuning", to_the_end=True), seed=0)


@pytest.fixture
def space(tmp_path, monkeypatch):
    """The lesson's definitions, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    return definitions()


@pytest.fixture
def untrained(space):
    """As `space`, but a setting's score is read off its learning rate; `begun` lists the settings tried."""
    space["begun"] = []

    def attempt(setting, enough):
        space["begun"].append(setting)
        tried = SimpleNamespace(setting=setting, means=[], seconds=0.5)
        for look in range(1, space["LOOKS"] + 1):
            tried.means.append(1e5 * setting.learning_rate + look)
            tried.frames = 3 * look * setting.batch_frames
            if enough(tried.means):
                break
        return tried

    space["attempt"] = attempt
    return space


def test_a_run_comes_out_the_same_whichever_others_are_trained_beside_it(space):
    def first_looks(seeds):
        space["LOOKS"] = 2
        return np.array(list(space["looks"](space["default"], seeds)))[:, -1]

    assert (first_looks([7]) == first_looks([3, 7])).all()


def test_the_judge_counts_the_first_episode_of_each_copy_as_gymnasium_does(space):
    torch.manual_seed(0)
    network = space["make_network"](space["by_hand"])
    vector = gym.make_vec("CartPole-v1", 5, "vector_entry_point")
    vector.reset(seed=11)
    lengths = []
    for start in vector.unwrapped.state.T:
        env = gym.make("CartPole-v1")
        env.reset()
        env.unwrapped.state, observation, over, steps = start, start.astype(np.float32), False, 0
        while not over:
            action = network(torch.as_tensor(observation)[None]).argmax().item()
            observation, _, terminated, truncated, _ = env.step(action)
            over, steps = terminated or truncated, steps + 1
        lengths.append(steps)
    assert space["judge"](network, seed=11, episodes=5) == np.mean(lengths)


@needs_optuna
def test_a_study_that_was_interrupted_goes_on_with_all_its_finished_trials(untrained):
    attempt = untrained["attempt"]

    def interrupted(setting, enough):
        if len(untrained["begun"]) == 3:
            raise KeyboardInterrupt
        return attempt(setting, enough)

    untrained["attempt"] = interrupted
    with pytest.raises(KeyboardInterrupt):
        untrained["search"](untrained["open_study"]("a", untrained["study_file"]()), 24_000)
    untrained["attempt"] = attempt
    before = untrained["begun"][:]
    trials = untrained["search"](untrained["open_study"]("a", untrained["study_file"]()), 24_000)
    assert [tried.setting for tried in trials] == untrained["begun"] and trials[0].setting == untrained["default"]
    assert len(before) == 3 and [tried.setting for tried in trials[:3]] == before
    assert 24_000 <= sum(tried.frames for tried in trials) < 24_000 + 6_144


@needs_optuna
def test_a_killed_process_loses_no_more_than_the_trial_under_way(untrained):
    attempt = untrained["attempt"]

    def killed(setting, enough):
        if len(untrained["begun"]) == 3:
            os._exit(9)
        return attempt(setting, enough)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of threads; the child uses none
        child = os.fork()
    if child == 0:
        untrained["attempt"] = killed
        untrained["search"](untrained["open_study"]("a", untrained["study_file"]()), 24_000)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    study = untrained["open_study"]("a", untrained["study_file"]())
    assert len(untrained["tried_in"](study)) == 3 and len(study.trials) == 4
    assert len(untrained["search"](study, 24_000)) > 3


@needs_optuna
def test_a_study_that_goes_on_draws_nothing_twice(untrained):
    for frames in (6_000, 12_000, 18_000, 24_000, 30_000):
        untrained["search"](untrained["open_study"]("a", untrained["study_file"]()), frames)
    assert len(untrained["begun"]) == len(set(untrained["begun"])) >= 5


@needs_optuna
def test_optuna_stops_by_the_rule_that_the_lesson_teaches(untrained):
    trials = untrained["search"](untrained["open_study"]("b"), 100_000)
    stopped = [number for number, tried in enumerate(trials) if len(tried.means) < untrained["LOOKS"]]
    assert stopped and all(len(trials[number].means) >= 3 for number in stopped)
    for number, tried in enumerate(trials):
        verdicts = [untrained["below_median"](tried.means[:look], trials[:number]) for look in range(1, 8)]
        looks = len(tried.means)
        assert not any(verdicts[: looks - 1]) and (looks == untrained["LOOKS"] or verdicts[looks - 1])


def test_random_search_starts_with_the_first_guess_and_stays_within_ranges_and_budget(untrained):
    trials = untrained["random_search"](60_000, np.random.default_rng(0))
    assert trials[0].setting == untrained["default"] and len(untrained["finished"](trials)) < len(trials)
    assert 60_000 <= sum(tried.frames for tried in trials) < 60_000 + 6_144
    for tried in trials:
        for name, (low, high) in untrained["ranges"].items():
            assert low <= getattr(tried.setting, name) <= high
    assert all(type(tried.setting.updates) is int for tried in trials)


def test_without_optuna_the_lesson_says_so_and_searches_on_its_own(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None)
    space = definitions()
    assert space["has_optuna"] is False and "optuna" not in space
    assert "left out" in space["dashboard"]("slice", "words")


def test_a_gaussian_process_passes_through_what_is_certain_and_knows_nothing_far_away(space):
    known, values = np.random.default_rng(0).random((6, 5)), np.arange(6.0)
    mean, unsure = space["guess"](known, values, known, doubt=1e-6)
    np.testing.assert_allclose(mean, values, atol=1e-3)
    assert unsure.max() < 1e-2
    mean, unsure = space["guess"](known, values, np.full((1, 5), 50.0), doubt=1e-6)
    np.testing.assert_allclose([mean[0], unsure[0]], [values.mean(), values.std()])


def test_the_front_is_the_best_that_was_had_for_so_many_seconds(space):
    score, cost = np.array([50.0, 90.0, 70.0]), np.array([1.0, 3.0, 2.0])
    asked = np.array([0.5, 1.0, 2.5, 9.0])
    assert space["front_at"](asked, score, cost).tolist() == [50, 50, 70, 90]


def test_the_stored_studies_do_not_show_the_curse_and_single_claims_are_far_off():
    """What the lesson says of claim and worth; the winners are worth more than twice the first guess."""
    measured = load_results("14_tuning")["runs"]["tuning"]
    worth = {arm: np.array([np.mean(run["fresh"]) for run in runs.values()]) for arm, runs in measured.items()}
    off = []
    for arm in ("TPE and pruning", "random search"):
        claims = np.array([run["claimed"] for run in measured[arm].values()])
        gap = claims - worth[arm]
        assert abs(gap.mean()) < 2 * gap.std(ddof=1) / len(gap) ** 0.5, "not shown"
        off.extend(gap)
        assert worth[arm].mean() > 2 * worth["first guess"].mean()
    assert sum(gap > 0 for gap in off) > 5 and min(off) < -50, "most are too large, some far too small"


def test_a_study_of_ones_own_tunes_the_real_agent(space):
    """The cell that exercise 14.6 proposes, with a training of two looks."""
    space["LOOKS"] = 2

    def real_looks(setting, seeds):
        whole = {name: round(setting[name]) for name in ["updates", "eps_frames"]}
        yield from space["looks"](space["Settings"](**{**setting, **whole}), seeds)

    setting = draw_one(space["ranges"])
    assert [len(returns) for returns in real_looks(setting, [1, 2])] == [2, 2]


def draw_one(ranges: dict) -> dict:
    return {name: (low * high) ** 0.5 for name, (low, high) in ranges.items()}
