"""VMAS: teams of round robots in the plane, all copies moved by one tensor operation.

For cooperation at scale: a thousand copies cost little more than one.
It is written in PyTorch, so nothing is converted, and it runs where your network is.
Agents stand in groups, and each has its own observation, reward and `info`.
"""

import torch
from torchrl.envs import RewardSum, TransformedEnv, VmasEnv
from tour import Tour


def make(copies: int = 1):
    return VmasEnv("navigation", num_envs=copies, n_agents=3, continuous_actions=True, seed=0)


def positions(steps: int = 60) -> torch.Tensor:
    """What the three agents see of themselves over time; pictures of VMAS need a display."""
    return make().rollout(steps)["agents", "observation"][0].flatten(1)


def main() -> None:
    tour = Tour("navigation, 3 agents")
    env = make(2)
    tour.specs(env)
    tour.check(env)
    tour.rollout(env, steps=50)
    summed = RewardSum(in_keys=[("agents", "reward")], out_keys=[("agents", "episode_reward")])
    tour.transform("RewardSum() on the agents' reward", TransformedEnv(make(2), summed))
    tour.strip(positions)
    tour.speed(make, copies=256, how="num_envs=256: one batch of tensors")
    tour.breaks("`done` has the shape of the copies, the reward that of the agents", shapes)


def shapes() -> str:
    data = make(2).rollout(3)["next"]
    return f"done {list(data['done'].shape)}, reward {list(data['agents', 'reward'].shape)}: expand done before GAE"


if __name__ == "__main__":
    main()
