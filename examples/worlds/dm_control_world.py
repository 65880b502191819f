"""DeepMind Control Suite: MuJoCo bodies with rewards between 0 and 1, and episodes that never end early.

For continuous control by its other standard, with the same scale of return in every task.
An observation comes in named parts (positions, velocities), which have to be joined for a network.
Episodes end by time alone: they are truncated, and a value goes on behind the end.
"""

from torchrl.envs import CatTensors, DMControlEnv, DoubleToFloat, SerialEnv, TransformedEnv
from tour import Tour


def make(copies: int = 1, **options):
    if copies == 1:
        return DMControlEnv("cheetah", "run", **options)
    return SerialEnv(copies, lambda: DMControlEnv("cheetah", "run"))


def main() -> None:
    tour = Tour("cheetah, run")
    env = make()
    env.set_seed(0)
    tour.specs(env)
    tour.check(env)
    tour.rollout(env, steps=100)
    joined = TransformedEnv(make(), CatTensors(["position", "velocity"], "observation"))
    tour.transform("CatTensors and DoubleToFloat: one float32 vector", TransformedEnv(joined, DoubleToFloat()))
    tour.strip(lambda: make(from_pixels=True, pixels_only=True).rollout(60)["pixels"])
    tour.speed(make, copies=8, how="SerialEnv, one after the other in one process")
    last = make().rollout(1_100)["next"]
    tour.breaks("after 1,000 steps", lambda: f"truncated {last['truncated'][-1].item()}, length {len(last)}")


if __name__ == "__main__":
    main()
