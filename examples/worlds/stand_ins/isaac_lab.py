"""A stand-in for Isaac Lab: copies of a cart on a rail, behind the interface of its `ManagerBasedRLEnv`.

As there, observations come in groups (`policy`), all copies are one environment, a copy that ends is set back within
the same step, and the tensors that say who ended are changed in place afterwards.
"""

from __future__ import annotations

from types import SimpleNamespace

import gymnasium
import numpy as np
import torch

from stand_ins import put


class ManagerBasedEnv(gymnasium.Env):
    """A cart at a place in [-1, 1], pushed by the action; an episode ends at the rail's end, or after 20 steps."""

    max_episode_length = 20

    def __init__(self, num_envs: int = 4, device: str = "cpu") -> None:
        self.num_envs, self.device = num_envs, device
        self.single_observation_space = gymnasium.spaces.Dict(policy=gymnasium.spaces.Box(-np.inf, np.inf, (2,)))
        self.single_action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,))
        self.observation_space = gymnasium.vector.utils.batch_space(self.single_observation_space, num_envs)
        self.action_space = gymnasium.vector.utils.batch_space(self.single_action_space, num_envs)
        self.place, self.episode_length_buf = torch.zeros(num_envs, 2), torch.zeros(num_envs, dtype=torch.long)
        self.terminated, self.truncated = torch.zeros(2, num_envs, dtype=torch.bool)
        self.scene = SimpleNamespace(get_state=lambda: self.place.clone(), sensors={})
        self.extras: dict = {}

    def reset(self, seed=None, env_ids=None, options=None):
        self._reset_idx(torch.arange(self.num_envs) if env_ids is None else env_ids)
        return {"policy": self.place.clone()}, self.extras

    def reset_to(self, state, env_ids=None, seed=None, is_relative=False):
        rows = slice(None) if env_ids is None else env_ids
        self.place[rows], self.episode_length_buf[rows] = state[rows], 0
        return {"policy": self.place.clone()}, self.extras

    def _reset_idx(self, env_ids) -> None:
        self.place[env_ids] = torch.rand(len(env_ids), 2) * 0.2 - 0.1
        self.episode_length_buf[env_ids] = 0

    def step(self, action):
        self.episode_length_buf += 1
        self.place[:, 1] += 0.1 * action[:, 0]
        self.place[:, 0] += self.place[:, 1]
        self.terminated[:] = self.place[:, 0].abs() > 1
        self.truncated[:] = self.episode_length_buf >= self.max_episode_length
        reward = 1 - self.place[:, 0].abs()
        ended = (self.terminated | self.truncated).nonzero()[:, 0]
        self._reset_idx(ended)
        return {"policy": self.place.clone()}, reward, self.terminated, self.truncated, self.extras


class ManagerBasedRLEnv(ManagerBasedEnv):
    pass


def install() -> None:
    direct = {name: type(name, (gymnasium.Env,), {}) for name in ("DirectRLEnv", "DirectMARLEnv")}
    put("isaaclab.envs", ManagerBasedEnv=ManagerBasedEnv, ManagerBasedRLEnv=ManagerBasedRLEnv, **direct)
