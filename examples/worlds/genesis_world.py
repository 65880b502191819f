"""Genesis: rigid bodies, liquids and cloth in one engine whose tensors are PyTorch's.

For robots among things that are not rigid, with as many copies as a GPU holds.
A scene is built once, and cameras have to stand in it before that.
Where Genesis is missing, TorchRL's wrapper runs over a stand-in: nine joints that go where they are told to.
"""

from stand_ins import genesis

genesis.install()

import torch  # noqa: E402
from torchrl.envs import GenesisEnv, StepCounter, TransformedEnv  # noqa: E402
from tour import Tour  # noqa: E402


def make(copies: int = 1, **options):
    size = torch.Size([copies]) if copies > 1 else None
    return GenesisEnv("franka_reach", device="cpu", batch_size=size, **options)


def main() -> None:
    tour = Tour("franka_reach")
    env = make()
    tour.specs(env)
    tour.check(env)
    tour.rollout(env, steps=20)
    tour.transform("StepCounter(10): ends after ten steps", TransformedEnv(make(), StepCounter(10)))
    tour.strip(lambda: make(from_pixels=True, pixels_res=(120, 160)).rollout(20)["pixels"])
    tour.breaks(
        "reward of the ready-made tasks", lambda: f"always {make().rollout(9)['next', 'reward'].unique().tolist()}"
    )
    tour.breaks("reset: where the joints are after 9 steps, and after a reset", after_reset)
    tour.breaks("from_pixels with two copies", lambda: make(2, from_pixels=True).reset())


def after_reset() -> str:
    env = make()
    moved = env.rollout(9)["next", "panda_qpos"][-1].abs().sum()
    reset = env.reset()["panda_qpos"].abs().sum()
    return f"moved by {moved:.2f} in all, then by {reset:.2f}: the wrapper's reset leaves the scene as it is"


if __name__ == "__main__":
    main()
