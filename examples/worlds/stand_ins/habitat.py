"""A stand-in for Habitat: a corridor with a goal, registered with Gym under a name of Habitat's.

As there, importing `habitat.gym` registers the tasks, a task is made with `override_options`, and an observation is a
picture of depth and of colour, and where the goal lies. It needs the package gym, as Habitat does.
"""

from __future__ import annotations

import gym
import numpy as np

from stand_ins import put


class Corridor(gym.Env):
    metadata = {"render_modes": ["rgb_array"]}

    def __init__(self, override_options=(), render_mode=None) -> None:
        self.options, self.render_mode = override_options, render_mode
        boxes = {"robot_head_depth": gym.spaces.Box(0.0, 1.0, (16, 16, 1), np.float32)}
        boxes["obj_goal_sensor"] = gym.spaces.Box(-np.inf, np.inf, (3,), np.float32)
        self.observation_space, self.action_space = gym.spaces.Dict(boxes), gym.spaces.Box(-1.0, 1.0, (2,), np.float32)

    def seen(self):
        depth = np.full((16, 16, 1), np.clip(1 - self.place, 0, 1), np.float32)
        return {"robot_head_depth": depth, "obj_goal_sensor": np.array([1 - self.place, 0, 0], np.float32)}

    def reset(self, *, seed=None, options=None):
        self.place, self.steps = 0.0, 0
        return self.seen(), {}

    def step(self, action):
        self.place, self.steps = self.place + 0.1 * float(action[0]), self.steps + 1
        return self.seen(), -abs(1 - self.place), self.place >= 1, self.steps >= 50, {}

    def render(self, *_, **__):
        picture = np.full((60, 80, 3), 225, np.uint8)
        column = int(np.clip(self.place, -0.2, 1) * 50) + 14
        picture[25:35, column : column + 8] = (60, 80, 160)
        picture[20:40, 70:72] = (80, 150, 70)
        return picture


def install() -> None:
    put("habitat")
    put("habitat.gym")
    if "HabitatRenderPick-v0" not in gym.envs.registry:
        gym.register("HabitatRenderPick-v0", Corridor)
