"""MiniGrid: rooms, doors and keys on a grid, seen through a window of seven by seven fields.

For memory, exploration and instructions: the agent sees a part, and the goal comes as a sentence.
An observation has several parts of different kinds, a text among them, which TorchRL does not convert by itself.
Small and fast, so that ideas fail or work in minutes.
"""

import gymnasium
import minigrid  # noqa: F401  (it registers the tasks)
import numpy as np
from minigrid.wrappers import ImgObsWrapper
from torchrl.envs import FlattenObservation, GymEnv, GymWrapper, SerialEnv, TransformedEnv
from tour import Tour

TASK = "MiniGrid-DoorKey-8x8-v0"


def make(copies: int = 1):
    """The window alone, without direction and text; as a picture in the eyes of TorchRL it is called `pixels`."""
    if copies > 1:
        return SerialEnv(copies, make)
    return GymWrapper(ImgObsWrapper(gymnasium.make(TASK)))


def pictures(steps: int = 60) -> np.ndarray:
    """What a person sees; the agent gets the light part, as numbers that stand for wall, key, door."""
    task = gymnasium.make(TASK, render_mode="rgb_array")
    task.reset(seed=0)
    return np.stack([task.step(task.action_space.sample()) and task.render() for _ in range(steps)])


def main() -> None:
    tour = Tour(TASK)
    env = make()
    env.set_seed(0)
    tour.specs(env)
    tour.check(env)
    tour.rollout(env, steps=50)
    flat = FlattenObservation(-3, -1, in_keys=["pixels"])
    tour.transform("FlattenObservation(): 7 x 7 x 3 numbers in a row", TransformedEnv(make(), flat))
    tour.strip(pictures)
    tour.speed(make, copies=8, how="SerialEnv, one after the other in one process")
    tour.breaks("GymEnv of the task as it is, with its text", lambda: GymEnv(TASK))


if __name__ == "__main__":
    main()
