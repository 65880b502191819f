"""Atari: sixty-odd games of the 1980s, as pixels and one of up to 18 moves of a joystick.

For agents that learn from pictures: the observation is the screen, and the score is the reward.
Whatever comes from pixels needs the same few transforms, which this script shows.
The games come with the wheel of ale-py; nothing else is downloaded.
"""

import ale_py
import gymnasium
from torchrl.envs import (
    CatFrames,
    GrayScale,
    GymEnv,
    Resize,
    SerialEnv,
    ToTensorImage,
    TransformedEnv,
)
from tour import Tour

gymnasium.register_envs(ale_py)


def make(copies: int = 1, **options):
    one = {"env_name": "ALE/Pong-v5", "from_pixels": True, "pixels_only": True, "frame_skip": 1, **options}
    return GymEnv(**one) if copies == 1 else SerialEnv(copies, lambda: GymEnv(**one))


def for_networks(env):
    """Four grey pictures of 84 by 84, one on the other, so that a picture tells which way the ball flies."""
    for transform in (ToTensorImage(), GrayScale(), CatFrames(4, dim=-3)):
        env = TransformedEnv(env, transform)
    return env


def main() -> None:
    tour = Tour("ALE/Pong-v5")
    env = make()
    env.set_seed(0)
    tour.specs(env)
    tour.check(env)
    tour.rollout(env, steps=50)
    tour.transform("ToTensorImage(), GrayScale(), CatFrames(4): what a network gets", for_networks(make()))
    tour.strip(lambda: make().rollout(150)["pixels"])
    tour.speed(make, copies=8, steps=20, how="SerialEnv, one after the other in one process")
    tour.breaks("Resize(84, 84), which needs torchvision", lambda: TransformedEnv(make(), Resize(84, 84)).reset())
    tour.breaks("the name without import ale_py and register_envs", lambda: unregistered())


def unregistered():
    spec = gymnasium.registry.pop("ALE/Pong-v5")
    try:
        return make()
    finally:
        gymnasium.registry["ALE/Pong-v5"] = spec


if __name__ == "__main__":
    main()
