"""What lesson 08 says of its two tasks and of their results is so."""

from __future__ import annotations

import hashlib

import pytest
import torch

from benchmarks import store
from benchmarks.groups import ppo
from benchmarks.lesson_code import FIRST_SEED


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
        assert len(runs) >= 5 and min(map(int, runs)) >= FIRST_SEED


def test_both_tasks_are_solved_on_at_least_four_of_five_seeds(arms):
    for name in ("CartPole", ppo.PENDULUM):
        returns = [run["test_return"] for run in arms[name].values()]
        assert sum(value >= ppo.solved_at(name) for value in returns) >= 0.8 * len(returns)


def test_the_lessons_words_about_each_change_hold(arms):
    found = {name: [run["test_return"] for run in runs.values()] for name, runs in arms.items()}
    unclipped = found["CartPole, no clipping"]
    assert sum(value >= ppo.solved_at("CartPole") for value in unclipped) == 1, "one run of five is solved"
    assert max(found["CartPole, one epoch"]) < ppo.solved_at("CartPole"), "only 64 get there in time"
    assert max(found["CartPole, learning rate 1"]) < 20, "breaks every run"
    large = found["CartPole, learning rate 0.1"]
    assert max(large) < ppo.solved_at("CartPole"), "none far enough"
    assert sum(value < 20 for value in large) == 2, "two runs die, three learn on"


def test_the_lessons_words_about_dying_hold(arms):
    def fewest(arm):
        """The fewest falls in a batch of the runs of an arm that died."""
        runs = arms[arm].values()
        return [min(falls for _, falls in run["curve"]) for run in runs if run["test_return"] < 20]

    assert fewest("CartPole, no clipping") == [0], "one died after batches without a single fall"
    after_one = {name: [run["curve"][1][1] for run in runs.values()] for name, runs in arms.items()}
    assert max(after_one["CartPole, no clipping"]) < min(after_one["CartPole"]) / 3, "the first 64 steps teach more"
    untaught = min(run["curve"][0][1] for run in arms["CartPole"].values())
    assert sum(falls < 1 for falls in fewest("CartPole, learning rate 0.1")) == 1, "one after hardly a fall"
    assert sum(falls < untaught / 2 for falls in fewest("CartPole, learning rate 1")) == 1, "one only after it learned"


@pytest.mark.parametrize(("arm", "clipped"), [("CartPole", 1), ("CartPole, no clipping", 0)])
def test_without_clipping_no_ratio_is_held_back(lesson, arm, clipped):
    run = lesson["build"](lesson["cartpole_actor"](), 4, ppo.settings_of(arm), seed=0)
    batch = next(lesson["cartpole_batches"](run))
    with torch.no_grad():
        run.advantages(batch)
    for further in (-10, 10):
        noted = batch["action_log_prob"] + further
        assert run.loss(batch.copy().set("action_log_prob", noted))["clip_fraction"] == clipped


def test_a_batch_takes_8_steps_in_an_epoch_and_64_in_all(lesson):
    settings = lesson["cartpole"]
    steps = settings.envs * settings.steps // settings.minibatch
    assert (steps, steps * settings.epochs) == (8, 64)


def test_the_last_batch_is_trained_with_a_tenth_of_the_first_step_size(lesson):
    for settings in (lesson["cartpole"], lesson["pendulum"]):
        run = lesson["build"](lesson["cartpole_actor"](), 4, settings, seed=0)
        run.optimiser.step()
        for _ in range(settings.batches - 1):
            run.schedule.step()
        assert run.schedule.get_last_lr()[0] == pytest.approx(0.1 * settings.learning_rate, rel=0.05)


def test_learning_leaves_the_rewards_of_the_batch_as_they_were_played(lesson):
    run = lesson["build"](lesson["pendulum_actor"](), 3, lesson["pendulum"], seed=0)
    batch = next(lesson["pendulum_batches"](run))
    played = batch["next", "reward"].clone()
    lesson["learn"](run, batch)
    torch.testing.assert_close(batch["next", "reward"], played)


def test_of_a_row_that_ends_without_a_fall_the_critic_values_the_rest(lesson):
    run = lesson["build"](lesson["cartpole_actor"](), 4, lesson["cartpole"], seed=0)
    batch = next(lesson["cartpole_batches"](run))
    batch["next", "done"][0, 10] = batch["next", "truncated"][0, 10] = True
    batch["next", "terminated"][0, 10] = False
    with torch.no_grad():
        run.advantages(batch)
    last = ~batch["next", "done"]
    last[:, :-1] = False
    last[0, 10] = True
    expected = batch["next", "reward"] + run.settings.gamma * batch["next", "state_value"]
    assert last.sum() > 1
    torch.testing.assert_close(batch["value_target"][last], expected[last])


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


def test_run_d_of_lesson_06s_lab_is_dead_as_the_lesson_says():
    from course_utils import FaultLab, load_results

    fault, log = FaultLab(load_results("06_sabotaged")["runs"]["sabotaged"]).runs["D"]
    assert fault == "dead ReLUs"
    assert {value for value in log["check/spread"] if value is not None} == {0.0}, "from its first point to its last"
    assert min(value for value in log["train/gradient_norm"] if value is not None) > 0.5, "and gradients flow"
    values = [value for value in log["train/q_value"] if value is not None]
    assert values[-1] > 2 * values[0], "what a state is worth in the mean is still learned"
