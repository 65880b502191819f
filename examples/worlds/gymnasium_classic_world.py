"""Gymnasium's classic control: small tasks whose equations fit on a page.

For first experiments: an agent learns in seconds, so a mistake shows in seconds.
A step costs next to nothing, so what you measure is the machinery around it.
It comes with the course, and every other world here is compared with its CartPole.
"""

import gymnasium as gym
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from torchrl.envs import GymEnv, GymWrapper, RewardSum, StepCounter, TransformedEnv
from tour import Tour


def make(copies: int = 1, **options):
    if copies == 1:
        return GymEnv("CartPole-v1", **options)
    makers = [lambda: gym.make("CartPole-v1")] * copies
    return GymWrapper(SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP))


def main() -> None:
    tour = Tour("CartPole-v1")
    env = make()
    env.set_seed(0)
    tour.specs(env)
    tour.check(env)
    tour.rollout(env, steps=100)
    tour.transform("RewardSum(): the return so far", TransformedEnv(make(), RewardSum()))
    tour.strip(lambda: make(from_pixels=True).rollout(40)["pixels"])
    tour.speed(make, copies=16, how="a SyncVectorEnv of Gymnasium's, wrapped once")
    tour.breaks(
        "an episode cut by StepCounter(5) is truncated, not terminated",
        lambda: TransformedEnv(make(), StepCounter(5)).rollout(9)["next", "truncated"][-1].item() and "yes",
    )


if __name__ == "__main__":
    main()
