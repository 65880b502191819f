"""What lesson 01 says of TorchRL is so."""

from __future__ import annotations

import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from torchrl.envs import GymEnv, GymWrapper, RewardSum, StepCounter, TransformedEnv

from course_utils.exercises.lesson_01 import _Grid


def test_a_second_transform_is_dropped_in_silence():
    keys = TransformedEnv(GymEnv("Pendulum-v1"), StepCounter(), RewardSum()).rollout(2)["next"].keys()
    assert "step_count" in keys and "episode_reward" not in keys


@pytest.mark.parametrize("mode", AutoresetMode)
def test_only_two_modes_of_autoreset_are_taken(mode):
    vector = gymnasium.make_vec("Pendulum-v1", 2, "sync", vector_kwargs={"autoreset_mode": mode})
    if mode is AutoresetMode.NEXT_STEP:
        with pytest.raises(RuntimeError, match="DISABLED .which is preferred"):
            GymWrapper(vector)
    else:
        assert GymWrapper(vector).rollout(2).batch_size == (2, 2)
    vector.close()


class Told(gymnasium.Wrapper):
    energy = np.zeros(1, dtype=np.float32)

    def reset(self, **options):
        return self.env.reset(**options)[0], {"energy": self.energy}

    def step(self, action):
        *answer, _ = self.env.step(action)
        return *answer, {"energy": self.energy}


def test_info_is_kept_where_it_is_asked_for_and_made_of_arrays():
    env = GymWrapper(Told(gymnasium.make("Pendulum-v1")))
    assert ("next", "energy") not in env.rollout(2).keys(include_nested=True)
    env.auto_register_info_dict()
    assert env.rollout(2)["next", "energy"].shape == (2, 1)
    plain = Told(gymnasium.make("Pendulum-v1"))
    plain.energy = 0.0
    with pytest.raises(AttributeError):
        GymWrapper(plain).auto_register_info_dict()


def test_done_and_terminated_have_a_spec_that_nobody_wrote():
    assert sorted(_Grid(3, 3).full_done_spec.keys()) == ["done", "terminated"]


@pytest.mark.parametrize(("before", "logs"), [("", True), ("import course_utils; ", False)])
def test_the_check_of_specs_logs_unless_the_course_is_imported_first(before, logs):
    code = (
        f"import os; os.environ.pop('RL_LOGGING_LEVEL', None); {before}from torchrl.envs import GymEnv; "
        "from torchrl.envs.utils import check_env_specs; check_env_specs(GymEnv('Pendulum-v1'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ("check_env_specs succeeded" in done.stdout + done.stderr) == logs
