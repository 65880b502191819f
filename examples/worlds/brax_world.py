"""Brax: rigid bodies written in JAX, compiled for the machine and run in thousands of copies.

For robots when the simulator has to be as fast as the learner, above all on a GPU.
The first step compiles, which takes far longer than the steps after it.
It is differentiable: a gradient can flow through the physics into the policy.
"""

import functools

import torch
from torchrl.envs import BraxEnv, BraxWrapper, RewardSum, TransformedEnv
from tour import Tour


@functools.cache  # because each environment compiles anew
def make(copies: int = 1):
    from brax import envs

    env = BraxWrapper(envs.get_environment("inverted_pendulum", backend="spring"), batch_size=[copies], device="cpu")
    env.set_seed(0)
    return env


def main() -> None:
    tour = Tour("inverted_pendulum")
    env = make()
    tour.specs(env)
    tour.check(env)
    data = tour.rollout(env, steps=60)
    tour.transform("RewardSum(): the return so far", TransformedEnv(make(), RewardSum()))
    tour.strip(lambda: data["observation"][0])
    tour.speed(make, copies=64, steps=20, how="batch_size=[64]: one batch of JAX arrays")
    tour.breaks("from_pixels=True", lambda: BraxEnv("fast", from_pixels=True, device="cpu"))
    tour.breaks("requires_grad=True: the gradient of a step by its action", gradient)


def gradient() -> str:
    env = BraxEnv("fast", batch_size=[1], requires_grad=True, device="cpu")
    env.set_seed(0)
    data = env.reset()
    data["action"] = torch.zeros(env.action_spec.shape, requires_grad=True)
    (slope,) = torch.autograd.grad(env.step(data)["next", "reward"].sum(), data["action"])
    return f"d(reward)/d(action) has the shape {list(slope.shape)}"


if __name__ == "__main__":
    main()
