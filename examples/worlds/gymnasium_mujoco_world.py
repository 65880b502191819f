"""Gymnasium's MuJoCo tasks: legged robots and arms, moved by joint torques.

For continuous control as papers compare it: observations and actions are vectors, rewards are dense.
A step costs real physics, so many copies gain less than with CartPole.
Physics runs anywhere; pictures need OpenGL.
"""

import gymnasium as gym
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from torchrl.envs import DoubleToFloat, GymEnv, GymWrapper, TransformedEnv
from tour import Tour

TASK = "HalfCheetah-v5"


def make(copies: int = 1, **options):
    if copies == 1:
        return GymEnv(TASK, **options)
    makers = [lambda: gym.make(TASK)] * copies
    return GymWrapper(SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP))


def main() -> None:
    tour = Tour(TASK)
    env = make()
    env.set_seed(0)
    tour.specs(env)
    tour.check(env)
    tour.rollout(env, steps=100)
    tour.transform("DoubleToFloat(): networks want float32", TransformedEnv(make(), DoubleToFloat()))
    tour.strip(lambda: make(from_pixels=True).rollout(60)["pixels"])
    tour.speed(make, copies=16, how="a SyncVectorEnv of Gymnasium's, wrapped once")
    tour.breaks(
        "a float32 layer on the observation as it comes",
        lambda: torch.nn.Linear(17, 6)(make().reset()["observation"]),
    )


if __name__ == "__main__":
    main()
