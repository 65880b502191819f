"""PettingZoo: many agents behind one interface, from board games to particles that push each other.

For several agents at once (parallel) or one after the other (turns), each with its own observation and action.
Agents come in groups, and everything of theirs stands below the group's name.
Who may move, and how, is in a mask.
"""

from pettingzoo.classic import tictactoe_v3
from pettingzoo.mpe import simple_spread_v3
from torchrl.envs import MarlGroupMapType, PettingZooEnv, PettingZooWrapper, RewardSum, SerialEnv, TransformedEnv
from tour import Tour


def make(copies: int = 1, **options):
    one = PettingZooWrapper(simple_spread_v3.parallel_env(**options), group_map=MarlGroupMapType.ALL_IN_ONE_GROUP)
    return one if copies == 1 else SerialEnv(copies, make)


def main() -> None:
    tour = Tour("simple_spread_v3, parallel")
    env = make()
    env.set_seed(0)
    tour.specs(env)
    tour.check(env)
    tour.rollout(env, steps=50)
    summed = RewardSum(in_keys=[("agent", "reward")], out_keys=[("agent", "episode_reward")])
    tour.transform(
        "RewardSum() on the agents' reward", TransformedEnv(PettingZooEnv("mpe/simple_spread_v3", True), summed)
    )
    tour.strip(lambda: frames(make(render_mode="rgb_array"), 24))
    tour.speed(make, copies=8, how="SerialEnv, one after the other in one process")
    board = PettingZooWrapper(tictactoe_v3.raw_env(), use_mask=True, categorical_actions=True)
    tour.breaks("a game of turns", lambda: f"groups {list(board.group_map)}, with a mask of whose turn it is")


def frames(env, steps: int):
    import torch

    pictures, data = [], env.reset()
    for _ in range(steps):
        data = env.step_mdp(env.step(env.rand_action(data)))
        pictures.append(torch.as_tensor(env._env.render().copy()))
    return torch.stack(pictures)


if __name__ == "__main__":
    main()
