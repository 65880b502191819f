"""Level-based foraging: agents on a grid collect food that some of them can lift only together.

For cooperation in its smallest form: two agents, three pieces of food, six moves.
A reward comes only where enough levels stand beside the food, so chance finds it seldom.
All agents stand in one group.
"""

from torchrl.envs import RewardSum, SerialEnv, TransformedEnv
from torchrl.envs.libs.lbforaging import LBForagingEnv
from tour import Tour


def make(copies: int = 1):
    return LBForagingEnv("Foraging-8x8-2p-3f-v3") if copies == 1 else SerialEnv(copies, make)


def main() -> None:
    tour = Tour("Foraging-8x8-2p-3f-v3")
    env = make()
    env.set_seed(0)
    tour.specs(env)
    tour.check(env)
    data = tour.rollout(env, steps=60)
    summed = RewardSum(in_keys=[("agents", "reward")], out_keys=[("agents", "episode_reward")])
    tour.transform("RewardSum() on the agents' reward", TransformedEnv(make(), summed))
    tour.strip(lambda: data["agents", "observation"].flatten(1))
    tour.speed(make, copies=8, how="SerialEnv, one after the other in one process")
    one = LBForagingEnv("Foraging-8x8-2p-3f-v3", render_mode="rgb_array")
    tour.breaks("a picture without a display", lambda: (one.reset(), one._env.render())[1].shape)


if __name__ == "__main__":
    main()
