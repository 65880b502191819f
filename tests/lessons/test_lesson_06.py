"""What lesson 06 says of its figures is so."""

from __future__ import annotations

import warnings

import pytest
import torch

from benchmarks.groups.sabotaged import Log, changed, code
from benchmarks.lesson_code import run_code
from course_utils.views.signs import HEALTHY, points


@pytest.fixture(scope="module")
def space():
    return run_code(code(), 0)


@pytest.fixture(scope="module")
def run(space):
    """A run after its first two blocks of updates, when the slower copy lags."""
    run = space["build"](3)
    space["train"](run, space["make_envs"](16, 3), 1_280, Log())
    return run


def test_the_target_in_beliefs_is_the_one_the_loss_uses(space, run):
    torch.manual_seed(5)
    figures = space["beliefs"](run)
    torch.manual_seed(5)
    sample = run.buffer.sample()
    target = run.loss.value_estimator.value_estimate(sample, target_params=run.loss.target_value_network_params)
    assert torch.allclose(figures["train/target"], target.mean())
    values = run.agent(sample.select("observation"))["action_value"]
    taken = values.gather(-1, sample["action"].unsqueeze(-1))
    assert torch.allclose(figures["train/q_value"], taken.mean())
    assert sample["next", "terminated"].any() and figures["train/target"] != figures["train/q_value"]


def test_lending_weights_leaves_the_agent_as_it_was(space, run):
    before = {name: weight.clone() for name, weight in run.agent.state_dict().items()}
    space["beliefs"](run)
    space["checkup"](run)
    assert all(torch.equal(weight, before[name]) for name, weight in run.agent.state_dict().items())
    own, held = list(run.agent.parameters()), list(run.loss.parameters())
    assert all(any(one is other for other in held) for one in own), "the optimiser still moves the agent"


def test_a_checkup_draws_no_random_numbers(space, run):
    before = torch.get_rng_state()
    figures = space["checkup"](run)
    assert torch.equal(before, torch.get_rng_state())
    assert figures["check/lag"] > 0 and figures["check/spread"] > 0 and figures["memory/frames"] == 1_280
    assert figures["memory/done"] == figures["memory/terminated"] > 0 and figures["memory/reward"] == 1


def test_a_judge_that_is_handed_the_explorer_explores_only_if_told_to(run):
    shares = {}
    for fault in (HEALTHY, "evaluation explores"):
        own = run_code(changed(fault), 0)
        judge = own["judge_of"](run, 3)
        shares[fault] = float(judge.evaluate(run.agent)["eval/off_greedy"])
        judge.shutdown()
    assert shares[HEALTHY] == 0 and 0.1 < shares["evaluation explores"] < 0.6


def test_a_copy_that_follows_at_once_never_lags():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        own = run_code(changed("no target network"), 0)
        other = own["build"](3)
        own["train"](other, own["make_envs"](16, 3), 1_280, Log())
    assert own["checkup"](other)["check/lag"] == 0


def test_a_fall_stored_as_the_clock_is_no_end_for_the_loss():
    own, log = run_code(changed("falls stored as done, not as terminated"), 0), Log()
    other = own["build"](3)
    own["train"](other, own["make_envs"](16, 3), 1_280, log)
    figures = own["checkup"](other)
    assert figures["memory/done"] > 0 == figures["memory/terminated"]
    assert points(log.curves(), "train/length"), "and the episodes ended all the same"
