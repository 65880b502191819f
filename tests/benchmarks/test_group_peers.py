"""Lesson 07 beside Stable-Baselines3."""

from __future__ import annotations

import numpy as np
import pytest
from made_up_results import arms, made_up_arm, share_solved, times_the, told

from benchmarks import dqn_cartpole, sb3_cartpole
from benchmarks.figures import FRAMES, TRAINING
from benchmarks.groups import peers
from course_utils.machine.extras import extra_install


def test_the_lessons_words_about_the_other_library_hold():
    found = arms("peers")
    ours, theirs = found[peers.OURS], found[peers.SAME_RECIPE]
    assert share_solved(ours) == 1 and share_solved(theirs) == 1, "the same result"
    assert times_the(theirs, ours, TRAINING) < 1, "and the other library is the quicker one"
    whose = [run["whose"] for run in arms("time")["act two"].values()]
    assert all(0.25 < each["lesson 07"]["tensordict"] < 0.45 and each["SB3"]["tensordict"] < 0.01 for each in whose)
    dqn, ppo = found[peers.ZOO_DQN], found[peers.ZOO_PPO]
    assert times_the(dqn, ours, FRAMES) > 2.5 and times_the(dqn, ours, TRAINING) > 8, "several times, and ten times"
    assert times_the(ppo, ours, FRAMES) > 2.5 and 1.4 < times_the(ppo, ours, TRAINING) < 3, "several times, and twice"


def made_up_peers() -> dict[str, dict]:
    return {
        peers.OURS: made_up_arm(np.linspace(1.5, 5, 10)),
        peers.SAME_RECIPE: made_up_arm(np.linspace(1, 4, 10)),
        peers.ZOO_DQN: made_up_arm(np.linspace(20, 50, 10), failed={9}),
        peers.ZOO_PPO: made_up_arm(np.linspace(10, 20, 10)),
    }


def test_answers_are_computed(tmp_path):
    text = told(tmp_path, "peers", made_up_peers())
    assert "With the same recipe Stable-Baselines3 is the quicker one: the other needs 1.3 times" in text


def test_the_quicker_library_is_the_one_with_fewer_seconds(tmp_path):
    quick = made_up_peers() | {peers.OURS: made_up_arm(np.linspace(0.5, 2, 10))}
    assert "With the same recipe TorchRL is the quicker one: the other needs 2.0 times" in told(
        tmp_path, "peers", quick
    )


def test_peers_are_interleaved_seed_by_seed():
    jobs = peers.GROUP.jobs(2)
    assert [seed for _, seed in jobs] == [100] * 4 + [101] * 4
    assert [arm for arm, _ in jobs] == peers.arms() * 2


@pytest.fixture(scope="module")
def space():
    return dqn_cartpole.definitions(seed=0)


class TestPeers:
    @pytest.fixture
    def lesson(self, space):
        pytest.importorskip("stable_baselines3", reason=extra_install("sb3"))
        return dict(space)

    @pytest.mark.parametrize(
        ("make", "frames"), [(sb3_cartpole.same_recipe, 1_024), (peers.zoo_dqn, 1_024), (peers.zoo_ppo, 256)]
    )
    def test_one_that_validates_well_at_once_stops_after_its_first_updates(self, lesson, make, frames):
        asked = []
        lesson["greedy_returns"] = lambda agent, episodes, seed: (
            asked.append((episodes, seed)) or np.full(episodes, 495.0)
        )
        judge = sb3_cartpole.make_judge(lesson, scale=1.0)
        model, cap = make(0, lesson)
        sb3_cartpole.quiet(model)
        model.learn(cap, callback=judge)
        settings = lesson["settings"]
        assert asked == [(settings.validation_episodes, settings.validation_seed)]
        assert judge.curve == [(frames, 495.0)] and len(judge.seconds) == 1 and judge.best_network is not None

    def test_all_are_validated_after_every_block_and_the_best_is_kept(self, lesson):
        scores = iter([100.0, 300.0, 200.0, 495.0])
        agents = []
        lesson["greedy_returns"] = lambda agent, episodes, seed: agents.append(agent) or np.full(episodes, next(scores))
        judge = sb3_cartpole.make_judge(lesson, scale=1.0)
        model, _ = peers.zoo_ppo(0, lesson)
        sb3_cartpole.quiet(model)
        model.learn(3 * 256, callback=judge)
        assert [frames for frames, _ in judge.curve] == [256, 512, 768]
        assert judge.best_network is agents[1]

    @pytest.mark.parametrize("make", [peers.zoo_dqn, peers.zoo_ppo])
    def test_the_adapter_acts_as_the_model_does_without_exploring(self, lesson, make):
        import torch
        from tensordict import TensorDict

        model, _ = make(3, lesson)
        seen = torch.randn(64, 4, generator=torch.Generator().manual_seed(0)).clamp(-3, 3)
        agent = sb3_cartpole.greedy_agent(sb3_cartpole.greedy_network(model, torch.ones(4)))
        mine = agent(TensorDict({"observation": seen}, [64]))["action"]
        assert mine.tolist() == model.predict(seen.numpy(), deterministic=True)[0].tolist()
        assert 0 < mine.float().mean() < 1, "both actions occur"
