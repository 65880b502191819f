"""What lesson 01 says of TorchRL is so."""

from __future__ import annotations

import subprocess
import sys

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from tensordict import TensorDict
from torchrl.envs import GymEnv, GymWrapper, RewardSum, StepCounter, TransformedEnv
from torchrl.envs.utils import check_env_specs

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


def test_the_two_modes_play_alike_and_keep_the_last_observation():
    played = []
    for mode in (AutoresetMode.SAME_STEP, AutoresetMode.DISABLED):
        env = GymWrapper(gymnasium.make_vec("CartPole-v1", 2, "sync", vector_kwargs={"autoreset_mode": mode}))
        env.set_seed(0)
        torch.manual_seed(0)
        played.append(env.rollout(60, break_when_any_done=False))
    one, other = played
    assert (one == other).all() and one["next", "terminated"].any()
    assert (one["next", "observation"][one["next", "terminated"].squeeze(-1)][:, 2].abs() > 0.2).all(), "it leans"


def test_some_specs_are_single_and_some_are_dictionaries():
    env = GymEnv("CartPole-v1")
    assert isinstance(env.action_spec.rand(), torch.Tensor) and isinstance(env.reward_spec.rand(), torch.Tensor)
    dictionaries = [env.observation_spec, env.full_done_spec, env.full_action_spec, env.full_reward_spec]
    assert all(isinstance(spec.rand(), TensorDict) for spec in dictionaries)


def test_a_reset_of_some_copies_says_which():
    told = []

    class Noting(_Grid):
        def _reset(self, tensordict):
            told.append(None if tensordict is None else tensordict.get("_reset"))
            return super()._reset(tensordict)

    env = TransformedEnv(Noting(8, 2), StepCounter(max_steps=20))
    ends = env.rollout(6, break_when_any_done=False)["next", "done"]
    assert told[0] is None or told[0].all()
    resets = [done for done in ends.unbind(1)[:-1] if done.any()]
    assert len(resets) == len(told) - 1 and all(map(torch.equal, told[1:], resets))


def test_nothing_fails_without_a_state_spec():
    class Forgetful(_Grid):
        def __init__(self, count, size):
            super().__init__(count, size)
            self.state_spec = None

    env = Forgetful(3, 3)
    check_env_specs(env)
    assert not [*env.state_spec.keys()] and [*_Grid(3, 3).state_spec.keys()] == ["position"]
    assert env.rollout(4)["next", "position"].shape[-1] == 2


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
