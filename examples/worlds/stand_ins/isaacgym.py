"""A stand-in for Isaac Gym and IsaacGymEnvs: a cart behind the interface of `isaacgymenvs.make`.

As there, `step` gives four things, the end of an episode is one tensor, and observations stand under `obs`.
"""

from __future__ import annotations

import gymnasium
import numpy as np
import torch

from stand_ins import put


class VecTask(gymnasium.Env):
    """Copies of a cart that is pushed by the action; set back by itself when it leaves [-1, 1]."""

    def __init__(self, num_envs: int, device: str) -> None:
        self.num_envs, self.device = num_envs, device
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,))
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,))
        self.place = torch.zeros(num_envs, 2)

    def reset(self, **_):
        self.place = torch.rand(self.num_envs, 2) * 0.2 - 0.1
        return {"obs": self.place.clone()}

    def step(self, action):
        self.place[:, 1] += 0.1 * action[:, 0]
        self.place[:, 0] += self.place[:, 1]
        over = self.place[:, 0].abs() > 1
        self.place[over] = 0.0
        return {"obs": self.place.clone()}, 1 - self.place[:, 0].abs(), over.long(), {}


def make(*, task: str, num_envs: int, sim_device: str, seed=None, rl_device="cpu", headless=True, **_):
    env = VecTask(num_envs, sim_device)
    env.__name__ = task
    return env


def install() -> None:
    put("isaacgym")
    put("isaacgymenvs.tasks", isaacgym_task_map={"Cartpole": VecTask})
    put("isaacgymenvs", make=make)
