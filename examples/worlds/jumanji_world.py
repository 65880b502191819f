"""Jumanji: puzzles and planning problems in JAX, from Snake to packing bins and routing trucks.

For decisions with hard rules: which actions are allowed is in a mask of every observation.
The state is a tree of arrays, and TorchRL carries all of it in the tensordict.
Like Brax it compiles first and is then fast in many copies.
"""

import torch
from torchrl.envs import ActionMask, JumanjiEnv, TransformedEnv
from tour import Tour


def make(copies: int = 1, seed: int | None = 0):
    env = JumanjiEnv("Snake-v1", batch_size=[copies], categorical_action_encoding=True)
    if seed is not None:
        env.set_seed(seed)
    return env


def main() -> None:
    tour = Tour("Snake-v1")
    env = make()
    tour.specs(env)
    tour.check(env)
    tour.rollout(env, steps=40)
    masked = TransformedEnv(make(), ActionMask(action_key="action", mask_key="action_mask"))
    tour.transform("ActionMask(): only moves that do not hit a wall are drawn", masked)
    tour.strip(lambda: torch.as_tensor(grids(make().rollout(40))))
    tour.speed(make, copies=64, steps=20, how="batch_size=[64]: one batch of JAX arrays")
    tour.breaks("a reset before set_seed", lambda: make(seed=None).reset())


def grids(data):
    """The snake's head, body and fruit as red, green and blue."""
    parts = data["grid"][0][..., [1, 0, 3]]
    return (parts.clamp(0, 1) * 255).to(torch.uint8).repeat_interleave(9, 1).repeat_interleave(9, 2)


if __name__ == "__main__":
    main()
