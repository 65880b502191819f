"""The record that each script here writes down in another form: short episodes of CartPole by a random policy."""

from __future__ import annotations

import os
from dataclasses import dataclass

import gymnasium as gym
import numpy as np

os.environ |= {"RL_LOGGING_LEVEL": "ERROR", "SDL_VIDEODRIVER": "dummy"}  # TorchRL's log would go to the output


@dataclass(frozen=True)
class Episode:
    """T steps of one episode.

    Attributes:
        observation: float32 [T + 1, 4], the last one included.
        action: int64 [T], 0 or 1.
        reward: float32 [T], the number of the step, so that each can be told from the others.
        terminated, truncated: bool [T].
        pixels: uint8 [T + 1, size, size, 3], or None where none were asked for.
    """

    observation: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    pixels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.action)

    @property
    def push(self) -> np.ndarray:
        """The action as a force, float32 [T, 1], for families whose actions are continuous."""
        return (self.action[:, None] * 2 - 1).astype(np.float32)


def episodes(count: int = 4, limit: int = 20, size: int = 0) -> list[Episode]:
    """Episodes of CartPole, the same in each call.

    Args:
        count: how many; the seed of each is its number.
        limit: after so many steps an episode is truncated. With the default one of four is, and three fall.
        size: height and width of pictures, every so many rows and columns of the render; 0 for none.
    """
    env = gym.make("CartPole-v1", max_episode_steps=limit, render_mode="rgb_array" if size else None)
    made = []
    for seed in range(count):
        chance = np.random.default_rng(seed)
        seen, steps, pictures = [env.reset(seed=seed)[0]], [], [picture(env, size)]
        while not (steps and (steps[-1][2] or steps[-1][3])):
            action = int(chance.integers(2))
            observation, _, terminated, truncated, _ = env.step(action)
            seen.append(observation)
            steps.append((action, len(steps) + 1.0, terminated, truncated and not terminated))
            pictures.append(picture(env, size))
        kinds = (np.int64, np.float32, bool, bool)
        columns = [np.array(column, kind) for column, kind in zip(zip(*steps, strict=True), kinds, strict=True)]
        made.append(Episode(np.array(seen, np.float32), *columns, np.array(pictures) if size else None))
    env.close()
    return made


def picture(env: gym.Env, size: int) -> np.ndarray | None:
    if not size:
        return None
    frame = env.render()
    rows, columns = (np.linspace(0, length - 1, size).astype(int) for length in frame.shape[:2])
    return frame[rows][:, columns]
