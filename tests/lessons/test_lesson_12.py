"""Lesson 12 says what is true of its model, of V-trace, and of the number that travels with the weights."""

from __future__ import annotations

import contextlib
import io
import statistics

import pytest
import torch
from tensordict import TensorDict
from torchrl.objectives.value import VTrace
from torchrl.objectives.value.functional import vtrace_advantage_estimate

from benchmarks.groups import staleness, workers
from course_utils import load_results


@pytest.fixture(scope="module")
def space():
    """The lesson's definitions up to its exam, and its model of when workers pay."""
    found: dict = {"seed": 0}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(staleness.code(), found)
    return found


def random_rows(space, rows: int = 3, steps: int = 12):
    """A batch with ends of both kinds inside its rows, and ratios far from 1."""
    run = space["build"](0)
    done = torch.zeros(rows, steps, 1, dtype=torch.bool)
    terminated = done.clone()
    done[0, 3], terminated[0, 3] = True, True
    done[1, 7] = True  # cut by the clock
    done[2, -1], terminated[2, -1] = True, True
    after = {"observation": torch.randn(rows, steps, 4), "reward": torch.randn(rows, steps, 1)}
    batch = TensorDict(
        {
            "observation": torch.randn(rows, steps, 4),
            "action": torch.randint(0, 2, (rows, steps)),
            "action_log_prob": -torch.rand(rows, steps) * 2,
            "next": {**after, "done": done, "terminated": terminated},
        },
        batch_size=[rows, steps],
    )
    return run, batch


def test_v_trace_by_hand_is_torchrls_function_also_across_the_ends_of_episodes(space):
    run, batch = random_rows(space)
    with torch.no_grad():
        log_pi = run.actor.get_dist(batch).log_prob(batch["action"])
        values = [run.critic(part.clone())["state_value"] for part in (batch, batch["next"])]
        reward, terminated, done = (batch["next", name] for name in ("reward", "terminated", "done"))
        logs = [log.unsqueeze(-1) for log in (log_pi, batch["action_log_prob"])]
        their_advantage, their_targets = vtrace_advantage_estimate(0.9, *logs, *values, reward, done, terminated)
        ratio = space["ratios"](run.actor, batch)
        flat = [each.squeeze(-1) for each in (*values, reward, terminated, done)]
        targets, advantage = space["v_trace"](ratio, *flat, 0.9)
    assert ratio.min() < 0.9 and ratio.max() > 1.1, "the clip has something to do"
    torch.testing.assert_close(targets, their_targets.squeeze(-1))
    torch.testing.assert_close(advantage, their_advantage.squeeze(-1))


def test_torchrls_module_still_asks_about_another_action(space):
    """If this fails, TorchRL was mended: let the lesson use `VTrace` and drop its warning."""
    run, batch = random_rows(space)
    other = batch.clone().set("action", 1 - batch["action"])
    module = VTrace(gamma=0.9, actor_network=run.actor, value_network=run.critic)
    with torch.no_grad():
        advantages = [module(each.clone())["advantage"] for each in (batch, other)]
    assert torch.equal(*advantages), "other actions, the same ratios"


def test_with_ratios_of_one_v_trace_gives_the_return_and_what_the_critic_says_of_the_rest(space):
    reward = torch.tensor([[1.0, 2.0, 3.0]])
    ends = torch.zeros(1, 3, dtype=torch.bool)
    value = torch.tensor([[5.0, 6.0, 7.0]])
    after = torch.tensor([[6.0, 7.0, 8.0]])
    targets, _ = space["v_trace"](torch.ones(1, 3), value, after, reward, ends, ends, 0.5)
    assert targets[0].tolist() == [1 + 0.5 * (2 + 0.5 * (3 + 0.5 * 8)), 2 + 0.5 * (3 + 0.5 * 8), 3 + 0.5 * 8]


def test_the_model_says_that_both_kinds_end_at_the_same_ceiling(space):
    model = space["batches_per_second"]
    many = [model(kind, 10**9, 1.0, 0.02, 0.005) for kind in ("sync", "async")]
    assert many == pytest.approx([1 / 0.025] * 2)
    assert model("sync", 1, 1.0, 0.02, 0.0) == pytest.approx(model("single", 1, 1.0, 0.02, 0.0))
    assert model("async", 8, 1.0, 0.02, 0.005) == pytest.approx(8), "below it, each worker adds what it plays"


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_the_model_says_what_was_measured_with_simulators_that_sleep(space, kind):
    speeds = load_results("12_scaling_out")["runs"]["workers"]
    carry = statistics.median(run["carry"] for run in speeds["async"].values())
    for run in speeds[kind].values():
        if run["step_seconds"]:
            rate = space["batches_per_second"](kind, run["workers"], run["simulate"], run["learn"], carry)
            assert run["frames_per_second"] == pytest.approx(workers.BATCH_FRAMES * rate, rel=0.1), run
    busy = {run["workers"]: run["frames_per_second"] for run in speeds["async"].values() if run["learn_slept"]}
    assert busy[4] > 1.9 * busy[2] and busy[8] < 1.1 * busy[4], "asynchronous workers stop paying at four"


@pytest.mark.parametrize("lag", [0, 3])
def test_the_age_in_a_frame_is_the_number_of_batches_its_weights_were_trained_on(space, lag, monkeypatch):
    ages, learn = [], space["learn"]

    def look(run, batch):
        ages.append(run.batches - batch["trained_on"].unique().item())
        learn(run, batch)

    monkeypatch.setitem(space, "learn", look)
    space["train_stale"](0, lag, corrected=True, frames=6 * 512)
    assert ages == [min(number, lag) for number in range(6)]


def test_uncorrected_frames_are_taken_for_the_learners_own(space, monkeypatch):
    """All ratios are 1, so V-trace has nothing to do."""
    seen, learn = [], space["learn"]

    def look(run, batch):
        with torch.no_grad():
            seen.append(space["ratios"](run.actor, batch))
        learn(run, batch)

    monkeypatch.setitem(space, "learn", look)
    space["train_stale"](0, 3, corrected=False, frames=6 * 512)
    assert all(torch.allclose(ratio, torch.ones_like(ratio)) for ratio in seen)
    seen.clear()
    space["train_stale"](0, 3, corrected=True, frames=6 * 512)
    assert (seen[-1] - 1).abs().max() > 0.05, "else this test would see nothing"


def test_an_error_of_the_critic_leaves_the_actors_gradient_as_it_is(space):
    """With one clip over both it would shrink it."""
    run, batch = random_rows(space)
    frames = space["with_advantages"](run, batch).reshape(-1)
    run.optimiser.step = lambda: None
    actor, critic = (group["params"] for group in run.optimiser.param_groups)
    found = []
    for wrong_by in (1.0, 1_000.0):
        space["update"](run, frames.clone().set("value_target", torch.full((len(frames), 1), wrong_by)))
        found.append(torch.cat([weight.grad.flatten() for weight in actor]))
        assert torch.nn.utils.get_total_norm([weight.grad for weight in critic]) < 1.001
    assert found[0].norm() > 0.01, "else this test would see nothing"
    torch.testing.assert_close(*found)


def test_what_a_critic_is_wrong_by_everywhere_pushes_nowhere(space):
    run, batch = random_rows(space)
    advantage = space["with_advantages"](run, batch)["advantage"]
    assert advantage.mean().abs() < 1e-6 and advantage.std() > 0.1


def test_both_learning_rates_fall_to_a_twentieth(space):
    run, batch = random_rows(space, rows=4, steps=space["STEPS"])
    for share, part in [(0.0, 1.0), (0.5, 0.5), (2.0, 0.05)]:
        run.frames = int(share * space["FRAMES"])
        space["learn"](run, batch.clone())
        rates = [group["lr"] for group in run.optimiser.param_groups]
        assert rates == pytest.approx([part * rate for rate in space["RATES"]])


def test_the_stored_runs_say_of_old_frames_what_the_lesson_says():
    """Fresh frames solve the task; V-trace gains with frames four batches old, and not with those of twenty."""
    stored = load_results("12_scaling_out")["runs"]["staleness"]
    solved = {
        name: statistics.mean(run["test_return"] >= 475 for run in runs.values()) for name, runs in stored.items()
    }
    assert solved["fresh"] >= 0.9
    assert solved["4 old, V-trace"] >= 2 * solved["4 old, not corrected"]
    assert max(solved["20 old, V-trace"], solved["20 old, not corrected"]) <= 0.1
    gains = staleness.gains_of_v_trace(stored)
    assert gains[4][0] > 3 * gains[4][1] and abs(gains[20][0]) < 2 * gains[20][1]


def test_uncorrected_a_critic_learns_the_players_value_and_with_v_trace_nearly_the_learners(space):
    torch.manual_seed(0)
    space["drawn"] = torch.randint(0, 2, (256, 32))
    probability = torch.tensor([0.1, 0.9])[space["drawn"]]
    space["reward"] = space["drawn"].float()
    assert space["believed_value"](torch.ones(256, 32)) == pytest.approx(5, abs=0.3)
    assert space["believed_value"](probability / 0.5) == pytest.approx(25 / 3, abs=0.3), "the clip leaves it below 9"


def test_on_the_left_n_workers_bring_n_times_as_much_and_on_the_right_asynchronous_ones_more():
    """Below the bend; one process stops playing while it learns, and they do not."""
    for run in load_results("12_scaling_out")["runs"]["workers"]["async"].values():
        if run["step_seconds"]:
            gain = run["frames_per_second"] * (run["simulate"] + run["learn"]) / workers.BATCH_FRAMES
            if run["learn_slept"] and run["workers"] <= 4:
                assert gain > 1.2 * run["workers"]
            elif not run["learn_slept"]:
                assert gain == pytest.approx(run["workers"], rel=0.05)
