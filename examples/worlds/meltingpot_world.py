"""Melting Pot: dozens of small societies in pictures, where players share, trade, cheat or trust.

For social behaviour: what is learned among friends is then judged among strangers.
Each player sees a window of its own, and the whole world is there for looking on.
Here TorchRL's wrapper runs over a stand-in: two players and an apple on eight fields.
"""

from stand_ins import meltingpot

meltingpot.install()

from torchrl.envs import MeltingpotEnv, StepCounter, TransformedEnv  # noqa: E402
from tour import Tour  # noqa: E402


def make(**options):
    return MeltingpotEnv("commons_harvest__open", **options)


def main() -> None:
    tour = Tour("commons_harvest__open, stand-in")
    env = make()
    tour.specs(env)
    tour.check(env)
    tour.rollout(env, steps=40)
    tour.transform("StepCounter(10): a time limit that is truncated", TransformedEnv(make(), StepCounter(10)))
    tour.strip(lambda: make().rollout(30)["RGB"])
    tour.breaks("max_steps=10: is the last step truncated", lambda: f"keys {[*make(max_steps=10).done_keys]}")
    tour.breaks("set_seed(0)", lambda: make().set_seed(0))


if __name__ == "__main__":
    main()
