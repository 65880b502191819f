"""MO-Gymnasium: Gymnasium tasks whose reward is a vector, one number for each objective.

For choices between aims: treasure against time, speed against energy.
A policy is good for some weights of the objectives and bad for others.
Every loss of TorchRL wants one number, so the vector has to be weighed first.
"""

import torch
from torchrl.envs import LineariseRewards, SerialEnv, TransformedEnv
from torchrl.envs.libs.gym import MOGymEnv
from tour import Tour

TASK = "deep-sea-treasure-v0"


def make(copies: int = 1, **options):
    return MOGymEnv(TASK, **options) if copies == 1 else SerialEnv(copies, lambda: MOGymEnv(TASK))


def main() -> None:
    tour = Tour(TASK)
    env = make()
    env.set_seed(0)
    tour.specs(env)
    tour.check(env)
    tour.rollout(env, steps=30)
    weighed = LineariseRewards(in_keys=["reward"], weights=torch.tensor([0.9, 0.1]))
    tour.transform("LineariseRewards(weights=[0.9, 0.1]): one number again", TransformedEnv(make(), weighed))
    tour.strip(lambda: make(from_pixels=True).rollout(30, break_when_any_done=False)["pixels"])
    tour.speed(make, copies=8, how="SerialEnv, one after the other in one process")
    tour.breaks("shape of the reward", lambda: str(list(make().rollout(3)["next", "reward"].shape)))


if __name__ == "__main__":
    main()
