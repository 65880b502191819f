"""One judge for every library: it plays, counts and stops, so that no script judges itself.

A script calls `judge(act, frames)` as often as it likes while it trains. Every so many frames the judge plays 32
greedy episodes of the unmodified CartPole-v1. When their mean reaches 490, or the frames are used up, the exam follows:
100 episodes on seeds of their own, played once. *Solved* is a mean of at least 475. The clock stands still meanwhile.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import gymnasium as gym
import numpy as np
import torch

VALIDATION_EPISODES, VALIDATION_SEED, STOP_AT = 32, 500_000_000, 490
EXAM_EPISODES, EXAM_SEED, SOLVED = 100, 1_000_000_000, 475
Act = Callable[[np.ndarray], np.ndarray]


def mean_return(act: Act, episodes: int, seed: int) -> float:
    """The mean return of `episodes` first episodes, played side by side.

    Args:
        act: greedy actions, integers of shape [n], for observations of shape [n, 4].
        episodes: how many.
        seed: of the first copy; the others have the following ones.
    """
    envs = gym.make_vec("CartPole-v1", episodes, "sync")
    observations, _ = envs.reset(seed=seed)
    returns, playing = np.zeros(episodes), np.ones(episodes, bool)
    while playing.any():
        observations, rewards, terminated, truncated, _ = envs.step(act(observations))
        returns += rewards * playing
        playing &= ~(terminated | truncated)
    return float(returns.mean())


class Judge:
    """Called with the agent as it is now; True means: stop training.

    Args:
        seed: of the run; gives the exam its own episodes.
        frames: give up after so many.
        every: frames between two validations.
    """

    def __init__(self, seed: int, frames: int, every: int) -> None:
        self.seed, self.frames, self.every = seed, frames, every
        self.due, self.curve, self.result = 0, [], {}
        self.wall, self.cpu = time.perf_counter(), time.process_time()
        self.startup = self.cpu  # since the process began: imports, mostly

    def __call__(self, act: Act, frames: int) -> bool:
        last = frames >= self.frames
        if frames < self.due and not last:
            return False
        wall, cpu = time.perf_counter(), time.process_time()
        self.due = frames + self.every
        score = mean_return(act, VALIDATION_EPISODES, VALIDATION_SEED)
        self.curve.append([int(frames), round(score, 1)])
        if score >= STOP_AT or last:
            exam = mean_return(act, EXAM_EPISODES, EXAM_SEED + 1_000 * self.seed)
            self.result = {
                "test_return": round(exam, 1),
                "solved": exam >= SOLVED,
                "frames": int(frames),
                "seconds": round(wall - self.wall, 3),
                "cpu_seconds": round(cpu - self.cpu, 3),
                "startup_cpu_seconds": round(self.startup, 3),
                "curve": self.curve,
            }
        self.wall += time.perf_counter() - wall
        self.cpu += time.process_time() - cpu
        return bool(self.result)


def warm_up() -> None:
    """Let torch load, before the clock starts, what it otherwise loads at an optimiser's first step."""
    weight = torch.zeros(1, requires_grad=True)
    optimiser = torch.optim.Adam([weight])
    weight.sum().backward()
    optimiser.step()


def main(train: Callable[[int, Judge], None], frames: int, every: int = 1_000) -> None:
    """Train once, from the command line, and print the judge's result as one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--frames", type=int, default=frames, help="give up after so many")
    arguments = parser.parse_args()
    warm_up()
    judge = Judge(arguments.seed, arguments.frames, every)
    train(arguments.seed, judge)
    print(json.dumps(judge.result))
