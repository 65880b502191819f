"""Where the time of lesson 07 goes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from made_up_results import drawn_points, made_up_repeat

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


@pytest.fixture(scope="module")
def space():
    return dqn_cartpole.definitions(seed=0)


class TestWhereTimeGoes:
    def test_every_part_is_one_the_lessons_loop_has_and_together_they_are_the_run(self, space):
        settings = space["settings"]
        found = group.by_part(seed=0, frames=dqn_cartpole.first_frames(settings))
        assert [name for name, seconds in found["parts"].items() if seconds <= 0] == []
        assert sum(found["parts"].values()) == pytest.approx(found["seconds"], abs=0.01)

    def test_the_bound_does_the_work_it_is_asked_for(self, space):
        import torch
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
