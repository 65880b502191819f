"""Where the time of lesson 07 goes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from made_up_results import drawn_points, made_up_repeat, told

from benchmarks import dqn_cartpole
from benchmarks.groups import time as group
from benchmarks.stopwatch import Stopwatch, replaced
from course_utils.machine.extras import extra_install


class TestFigures:
    def test_bars_of_the_loop_are_medians_and_every_repeat_a_dot(self):
        repeats = [made_up_repeat(lesson) for lesson in (1.0, 2.0, 6.0)]
        axes = group.loops_figure(repeats)[0].axes[0]
        assert [bar.get_width() for bar in axes.patches] == [1.0, 2.0, 1.0]
        assert drawn_points(axes)["lesson 07"] == [1.0, 2.0, 6.0]

    def test_shares_of_the_parts_are_of_all_seconds(self):
        one, two = made_up_repeat(), made_up_repeat()
        two["run"] = {"seconds": 6.0, "parts": one["run"]["parts"] | {"loss": 3.0}}
        found = group.shares([one, two])
        assert found["loss"] == (2.0, 0.4) and sum(share for _, share in found.values()) == pytest.approx(1)
        bars = group.parts_figure([one, two])[0].axes[0].patches
        assert [bar.get_width() for bar in bars] == pytest.approx([100 * share for _, share in found.values()])


class TestWords:
    def test_the_judges_are_told_as_multiples_of_the_plainest(self, tmp_path):
        repeats = {str(seed): made_up_repeat(judge=judge) for seed, judge in enumerate([1.0, 1.1, 1.4])}
        text = told(tmp_path, "time", {"act two": repeats})
        assert "it takes 1.10 times (1.00 to 1.40) its seconds" in text and "the exam, 10.00 times (10.00" in text

    def test_whose_time_it_is_leaves_out_what_is_next_to_nothing(self):
        assert group.whose_rows([made_up_repeat()]) == [
            ["tensordict", "60 %", "0 %"], ["torch's operations", "40 %", "80 %"], ["Stable-Baselines3", "0 %", "20 %"],
        ]  # fmt: skip


@pytest.fixture(scope="module")
def space():
    return dqn_cartpole.definitions(seed=0)


class TestWhereTimeGoes:
    def test_every_part_is_one_the_lessons_loop_has_and_together_they_are_the_run(self, space):
        settings = space["settings"]
        found, _ = group.by_part(dqn_cartpole.definitions(seed=0), seed=0, frames=dqn_cartpole.first_frames(settings))
        assert [name for name, seconds in found["parts"].items() if seconds <= 0] == []
        assert sum(found["parts"].values()) == pytest.approx(found["seconds"], abs=0.01)

    def test_three_judges_play_the_same_steps_of_an_agent_that_never_falls(self, space):
        torch.manual_seed(0)
        steady = torch.nn.Sequential(torch.nn.Linear(4, 2))
        with torch.no_grad():
            steady[0].weight.copy_(torch.tensor([[0.0, -0.1, -1.0, -0.5], [0.0, 0.1, 1.0, 0.5]]))
            steady[0].bias.zero_()
        agent = space["QValueActor"](steady, in_keys=["observation"], spec=space["actions"])
        assert space["greedy_returns"](steady, 32, 1).min() == space["evaluate"](agent, 32, 1).min() == 500
        found = group.judges(space, SimpleNamespace(network=steady, agent=agent))
        assert set(found) == {"plainest", "greedy_returns", "evaluate"} and min(found.values()) > 0

    def test_the_quick_judge_counts_the_first_episode_of_each_copy(self, space):
        network = torch.nn.Linear(4, 2)  # falls soon, and at another time in each copy
        quick = space["greedy_returns"](network, 64, 3)
        envs = space["gym"].make_vec("CartPole-v1", 64, "vector_entry_point")
        starts, _ = envs.reset(seed=3)
        one, mine = space["gym"].make("CartPole-v1"), []
        for start in envs.state.T:
            one.reset()
            one.unwrapped.state, seen, ended, steps = tuple(start), start.astype("float32"), False, 0
            while not ended:
                values = network(torch.from_numpy(seen))
                seen, _, *ends, _ = one.step(values.argmax().item())
                ended, steps = any(ends), steps + 1
            mine.append(steps)
        assert quick.tolist() == mine and len(set(mine)) > 3

    def test_the_bound_does_the_work_it_is_asked_for(self, space):
        from gymnasium.vector import SyncVectorEnv

        watch = Stopwatch()
        for owner, name in [(SyncVectorEnv, "step"), (torch.Tensor, "backward")]:
            timed = watch.part(name, getattr(owner, name))
            with replaced(owner, name, timed):
                assert group.raw_stepping(space["settings"], 160) > 0
                assert group.raw_updates(space["settings"], 7) > 0
        assert watch.calls == {"step": 160 // space["settings"].envs, "backward": 7}

    def test_the_same_recipe_makes_the_same_frames_and_updates(self, space, monkeypatch):
        pytest.importorskip("stable_baselines3", reason=extra_install("sb3"))
        monkeypatch.setattr(dqn_cartpole, "definitions", lambda seed: space | {"settings": settings})
        settings = SimpleNamespace(**vars(space["settings"]))
        frames = dqn_cartpole.first_frames(settings)
        _, theirs = group.sb3_loop(0, frames)
        monkeypatch.undo()
        _, ours = group.lesson_loop(0, frames)
        assert ours == theirs == 2 * settings.updates
