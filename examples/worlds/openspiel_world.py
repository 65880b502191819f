"""OpenSpiel: some seventy board, card and matrix games, with perfect or hidden information.

For games between players: turns, chance, and rules that say which moves are legal.
Every player has a group of its own, and whose turn it is stands in the tensordict.
A whole position can be kept and set again, as search over moves needs it.
"""

import torch
from torchrl.envs import OpenSpielEnv, SerialEnv, StepCounter, TransformedEnv
from tour import Tour


def make(copies: int = 1, **options):
    if copies > 1:
        return SerialEnv(copies, make)
    return OpenSpielEnv("tic_tac_toe", categorical_actions=True, **options)


def boards(steps: int = 9) -> torch.Tensor:
    """What the first player sees, move by move."""
    return make().rollout(steps)["next", "agents", "observation"][:, 0].flatten(1)


def main() -> None:
    tour = Tour("tic_tac_toe")
    env = make()
    env.set_seed(0)
    tour.specs(env)
    tour.check(env)
    tour.rollout(env, steps=20)
    tour.transform("StepCounter(): the number of the move", TransformedEnv(make(), StepCounter()))
    tour.strip(boards)
    tour.speed(make, copies=8, steps=20, how="SerialEnv, one after the other in one process")
    tour.breaks("going back to a position", again)
    tour.breaks("a game of chance, kuhn_poker", lambda: list(OpenSpielEnv("kuhn_poker").rollout(3).batch_size))


def again() -> str:
    env = make(return_state=True)
    start = env.reset()
    env.rollout(3)
    return f"reset to a kept position gives it back: {bool(env.reset(start)['state'] == start['state'])}"


if __name__ == "__main__":
    main()
