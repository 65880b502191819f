"""Habitat: robots in scanned flats and offices, rendered fast enough to learn from pictures.

For finding things and rearranging them indoors, with photographs' texture.
Scenes are downloaded separately, and each collection has a licence of its own.
Here TorchRL's wrapper runs over a stand-in: a corridor with a goal, behind the same registration.
"""

from stand_ins import habitat

habitat.install()

from torchrl.envs import CatTensors, FlattenObservation, HabitatEnv, TransformedEnv  # noqa: E402
from tour import Tour  # noqa: E402


def make(**options):
    return HabitatEnv("HabitatRenderPick-v0", **options)


def main() -> None:
    tour = Tour("HabitatRenderPick-v0, stand-in")
    env = make()
    tour.specs(env)
    tour.check(env)
    tour.rollout(env, steps=40)
    flat = FlattenObservation(-3, -1, in_keys=["robot_head_depth"])
    joined = CatTensors(["robot_head_depth", "obj_goal_sensor"], "observation")
    tour.transform("FlattenObservation, CatTensors: one vector", TransformedEnv(TransformedEnv(make(), flat), joined))
    tour.strip(lambda: make(from_pixels=True).rollout(40)["pixels"])
    tour.breaks("the environment's device, for device=1", lambda: f"{make(device=1).device}")
    tour.breaks("to('cpu')", lambda: make().to("cpu"))


if __name__ == "__main__":
    main()
