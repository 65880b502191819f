"""SMAC v2: small battles of StarCraft II in which every unit is an agent of its own.

For cooperation under partial sight: a unit sees what is near, the state of all is there for training.
What a unit may do now is in a mask, and choosing anything else is an error.
Here TorchRL's wrapper runs over a stand-in: two teams of three numbers, without the game.
"""

from stand_ins import smacv2

smacv2.install()

from torchrl.envs import ActionMask, SMACv2Env, TransformedEnv  # noqa: E402
from tour import Tour  # noqa: E402

MASKED = {"action_key": ("agents", "action"), "mask_key": ("agents", "action_mask")}


def make(**options):
    return SMACv2Env("3m", seed=0, **options)


def main() -> None:
    tour = Tour("3m, stand-in")
    env = make()
    tour.specs(env)
    tour.check(env)
    data = tour.rollout(env, steps=40)
    tour.transform("ActionMask(): the mask reaches the random policy", TransformedEnv(make(), ActionMask(**MASKED)))
    tour.strip(lambda: data["state"])
    tour.breaks("an attack on one who is dead, or by one who is", forbidden)
    tour.breaks("set_seed(0)", lambda: make().set_seed(0))
    tour.breaks("how an episode may end", lambda: f"{make().done_keys}: a time limit looks like a defeat")


def forbidden():
    env = make()
    data = env.reset()
    data["agents", "action"] = data["agents", "action_mask"].int().argmin(-1)  # no-op, which only the dead may
    return env.step(data)


if __name__ == "__main__":
    main()
