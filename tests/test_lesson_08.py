"""What lesson 08 says of its two tasks and of their results is so."""

from __future__ import annotations

import hashlib

import pytest
import torch

from benchmarks import ppo_two_tasks as ppo
from benchmarks import store


@pytest.fixture(scope="module")
def lesson():
    return ppo.definitions()


@pytest.fixture(scope="module")
def arms():
    return store.read_group(store.RESULTS, "08_ppo", "ppo")[1]


def test_the_results_are_those_of_the_lessons_present_code():
    stamp, _ = store.read_group(store.RESULTS, "08_ppo", "ppo")
    assert stamp["code"] == hashlib.sha256(ppo.code().encode()).hexdigest()[:12], "make bench ARGS='--groups ppo'"


def test_every_arm_ran_on_at_least_five_seeds_not_used_for_tuning(arms):
    assert list(arms) == ppo.ARMS
    for runs in arms.values():
        assert len(runs) >= 5 and min(map(int, runs)) >= ppo.FIRST_SEED


def test_both_tasks_are_solved_on_at_least_four_of_five_seeds(arms):
    for name in ("CartPole", ppo.PENDULUM):
        returns = [run["test_return"] for run in arms[name].values()]
        assert sum(value >= ppo.solved_at(name) for value in returns) >= 0.8 * len(returns)


def test_the_lessons_words_about_each_change_hold(arms):
    found = {name: [run["test_return"] for run in runs.values()] for name, runs in arms.items()}
    assert max(found["CartPole, one epoch"]) < ppo.solved_at("CartPole"), "none gets there in time"
    assert max(found["CartPole, learning rate 1"]) < 20, "breaks every run"
    large = found["CartPole, learning rate 0.1"]
    assert min(large) < 20 < 100 < max(large) < ppo.solved_at("CartPole"), "some never wake up, others recover"


def test_only_the_first_episode_of_a_row_counts(lesson):
    done = torch.tensor([[0, 1, 0, 1], [0, 0, 0, 0]], dtype=torch.bool)
    assert lesson["first_episode"](done).tolist() == [[True, True, False, False], [True] * 4]


def test_the_pendulum_agent_sees_in_training_what_the_judge_shows(lesson):
    native = lesson["native"]
    reset = native.reset(native.gen_params(batch_size=[4]), set_state=False)
    after = native.rand_step(reset)["next"]
    for state in (reset, after):
        expected = torch.stack([state["th"].cos(), state["th"].sin(), state["thdot"]], -1)
        torch.testing.assert_close(state["observation"], expected)


def test_a_batch_of_pendulums_is_cut_off_and_never_terminated(lesson):
    run = lesson["build"](lesson["pendulum_actor"](), 3, lesson["pendulum"], seed=0)
    batch = next(lesson["pendulum_batches"](run))
    assert batch.shape == (lesson["pendulum"].envs, lesson["pendulum"].steps)
    assert not batch["next", "terminated"].any()


def test_handing_over_a_batch_leaves_gradients_switched_on(lesson):
    run = lesson["build"](lesson["pendulum_actor"](), 3, lesson["pendulum"], seed=0)
    batches = lesson["pendulum_batches"](run)  # kept: a generator that is collected leaves its `with` blocks
    next(batches)
    assert torch.is_grad_enabled()


def test_learning_moves_actor_and_critic_and_reads_three_instruments(lesson):
    torch.manual_seed(0)
    settings = lesson["cartpole"]
    run = lesson["build"](lesson["cartpole_actor"](), 4, settings, seed=0)
    before = [weight.clone() for weight in run.loss.parameters()]
    readings = lesson["learn"](run, next(lesson["cartpole_batches"](run)))
    assert list(readings) == ["clip_fraction", "kl_approx", "entropy"]
    moved = [not torch.equal(old, new) for old, new in zip(before, run.loss.parameters(), strict=True)]
    assert moved and all(moved)


def test_the_two_tasks_share_batches_epochs_and_clipping(lesson):
    for name in ("batches", "epochs", "clip"):
        assert getattr(lesson["cartpole"], name) == getattr(lesson["pendulum"], name)
