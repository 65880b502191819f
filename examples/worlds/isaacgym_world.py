"""Isaac Gym: the first simulator that kept thousands of robots and their learner on one GPU; Isaac Lab follows it.

For papers and code of 2021 to 2023 that still need it; begin nothing new with it.
One process makes one environment, and a second one in the same process breaks the GPU's memory.
Here TorchRL's wrapper runs over a stand-in: a cart behind the same interface, on the CPU.
"""

from stand_ins import isaacgym

isaacgym.install()

from torchrl.envs import IsaacGymEnv, RewardSum, TransformedEnv  # noqa: E402
from tour import Tour  # noqa: E402


def make(copies: int = 4):
    return IsaacGymEnv(task="Cartpole", num_envs=copies, device="cpu")


def main() -> None:
    tour = Tour("Cartpole, stand-in")
    env = make()
    tour.specs(env)
    tour.check(env)
    data = tour.rollout(make(), steps=5)
    tour.transform("RewardSum(): the return so far", TransformedEnv(make(), RewardSum()))
    tour.strip(lambda: data["obs"][:, :, 0].T)
    tour.breaks("a rollout past the end of one copy", lambda: make().rollout(60, break_when_any_done=False).batch_size)


if __name__ == "__main__":
    main()
