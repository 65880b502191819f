"""MuJoCo Playground: robots for sim-to-real in MuJoCo's JAX version, in thousands of copies on a GPU.

For legged robots and hands that are trained in minutes on a GPU and then meet the real one.
Like Brax it compiles before its first step; on a CPU that takes longer than training something small.
It has the DeepMind Control Suite too, in the same form.
"""

import functools

from torchrl.envs import MujocoPlaygroundEnv, RewardSum, TransformedEnv
from tour import Tour


@functools.cache  # because each environment compiles anew
def make(copies: int = 1):
    env = MujocoPlaygroundEnv("CartpoleBalance", batch_size=[copies], device="cpu", config_overrides={"impl": "jax"})
    env.set_seed(0)
    return env


def main() -> None:
    tour = Tour("CartpoleBalance")
    env = make()
    tour.specs(env)
    data = tour.rollout(env, steps=40)
    tour.strip(lambda: data["observation"][0])
    tour.transform("RewardSum(): the return so far", TransformedEnv(make(), RewardSum()))
    tour.speed(make, copies=16, steps=20, how="batch_size=[16]: one batch of JAX arrays")
    tour.breaks("from_pixels=True", lambda: MujocoPlaygroundEnv("CartpoleBalance", from_pixels=True, device="cpu"))
    tour.check(env)


if __name__ == "__main__":
    main()
