"""Lesson 07's own code, as benchmarks run it."""

from __future__ import annotations

import time

import numpy as np
import pytest

from benchmarks import dqn_cartpole
from benchmarks.groups.ablations import NO_CHANGE


@pytest.fixture(scope="module")
def space():
    return dqn_cartpole.definitions(seed=0)


class TestLesson:
    def test_the_definitions_of_the_lesson_run_without_its_training(self, space, capsys):
        assert {"build", "train", "learn", "evaluate", "validate", "settings", "switches", "device"} <= set(space)
        assert "run" not in space and len(space["buffer"]) == 0

    def test_the_unchanged_recipe_is_one_of_the_switches(self, space):
        assert space["switches"][NO_CHANGE] == {}
        fields = set(vars(space["settings"]))
        assert all(set(changes) <= fields for changes in space["switches"].values())

    def test_the_whole_notebook_is_the_lessons_code_with_two_probes(self):
        notebook = dqn_cartpole.probed_notebook()
        sources = [cell.source for cell in notebook.cells]
        mine = [source for source in sources if source in (dqn_cartpole.AFTER_THE_EXAM, dqn_cartpole.AT_THE_END)]
        assert [source for source in sources if source not in mine] == [cell.source for cell in dqn_cartpole.cells()]
        assert len(mine) == 2 and "test_returns =" in sources[sources.index(dqn_cartpole.AFTER_THE_EXAM) - 1]
        assert any("parameters" in cell.metadata.get("tags", []) for cell in notebook.cells)
        dqn_cartpole.index_of(notebook, "textbook_curve =")

    def test_a_name_the_lesson_no_longer_has_is_told(self):
        with pytest.raises(LookupError, match="No cell of 07_dqn.py has 'gone ='"):
            dqn_cartpole.index_of(dqn_cartpole.probed_notebook(), "gone =")

    def test_a_result_is_stored_in_few_digits(self):
        found = dqn_cartpole.rounded(
            {"test_return": 1.23456, "frames": 5.0, "seconds": 1.23456, "curve": [(256.0, 9.87)]}
        )
        assert found == {"test_return": 1.2, "frames": 5, "seconds": 1.235, "curve": [[256, 9.9]]}

    def test_training_is_stopped_and_recorded_as_the_lesson_does_it(self, space):
        scores = iter([20.04, 495.0])

        def validate(run):
            time.sleep(0.05)
            return next(scores)

        changed = dict(space)
        train = type(space["train"])(space["train"].__code__, changed, argdefs=space["train"].__defaults__)
        changed |= {"validate": validate, "train": train, "evaluate": lambda *_: np.array([500.0, 450.0])}
        found = dqn_cartpole.train_and_test(changed, seed=0)
        settings = space["settings"]
        first = -(-settings.warm_up // settings.batch_frames) * settings.batch_frames
        assert found["curve"] == [[first, 20.0], [first + settings.batch_frames, 495.0]]
        assert found["frames"] == first + settings.batch_frames and found["test_return"] == 475.0
        assert 0.1 <= found["validation_seconds"] < found["seconds"]
