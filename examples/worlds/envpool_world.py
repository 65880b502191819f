"""EnvPool: Atari, MuJoCo and more in C++, many copies stepped by threads behind one call.

For throughput on one machine, when Python is what holds a simulator back.
All copies are one environment with a batch dimension, so there is nothing to make parallel.
Copies that end start again by themselves.
"""

from torchrl.envs import MultiThreadedEnv, RewardSum, TransformedEnv
from tour import Tour


def make(copies: int = 1):
    return MultiThreadedEnv(copies, "CartPole-v1")


def main() -> None:
    tour = Tour("CartPole-v1")
    tour.breaks("MultiThreadedEnv(2, 'CartPole-v1')", lambda: list(make(2).rollout(3).batch_size))
    env = make(2)
    env.set_seed(0)
    tour.specs(env)
    tour.check(env)
    data = tour.rollout(env, steps=60)
    tour.transform("RewardSum(): the return so far", TransformedEnv(make(2), RewardSum()))
    tour.strip(lambda: data["obs"][0])
    tour.speed(make, copies=64, how="num_workers=64: threads of EnvPool's")


if __name__ == "__main__":
    main()
