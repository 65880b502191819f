"""Isaac Lab: NVIDIA's robots, thousands of copies on one GPU, with cameras, terrains and ready-made tasks.

For locomotion and manipulation at a scale where a day of practice takes minutes.
All copies are one environment, and tensors never leave the GPU.
Here TorchRL's wrapper runs over a stand-in: a cart behind the same interface, on the CPU.
"""

from stand_ins import isaac_lab

isaac_lab.install()

import torch  # noqa: E402
from torchrl.envs import IsaacLabWrapper, RewardSum, TransformedEnv  # noqa: E402
from tour import Tour  # noqa: E402


def make(copies: int = 4, **options):
    from isaaclab.envs import ManagerBasedRLEnv

    return IsaacLabWrapper(ManagerBasedRLEnv(copies), **{"device": torch.device("cpu"), **options})


def main() -> None:
    tour = Tour("a cart, stand-in")
    env = make()
    tour.specs(env)
    tour.check(env)
    data = tour.rollout(env, steps=50)
    tour.transform("RewardSum(): the return so far", TransformedEnv(make(), RewardSum()))
    (key,) = make().observation_spec.keys()
    tour.strip(lambda: data[key][:, :, 0].T)
    tour.breaks("the observation that ended an episode", lambda: last_observation(key))
    tour.breaks("without a device, where there is no GPU", lambda: IsaacLabWrapper(env.base_env._env).reset())
    tour.breaks("only copy 0 set back, native_autoreset=True", lambda: partial(key))
    tour.breaks("back to a kept state", lambda: to_state(key))


def last_observation(key: str) -> str:
    data = make().rollout(60, break_when_any_done=False)["next"]
    ended = data["done"][..., 0]
    return f"{int(ended.sum())} ends, of which {int(data[key][ended].isnan().any(-1).sum())} hold NaN"


def partial(key: str) -> str:
    env = make(native_autoreset=True)
    data = env.rollout(5, break_when_any_done=False)[:, -1]["next"]
    before = data[key].clone()
    mask = torch.tensor([[True], [False], [False], [False]])
    after = env.reset(data.exclude("reward").set("_reset", mask))[key]
    return f"copies that changed: {(after != before).any(-1).nonzero()[:, 0].tolist()}"


def to_state(key: str) -> str:
    env = make()
    kept = env.base_env.get_state()
    env.rollout(5)
    return f"the same again: {bool((env.base_env.reset_to_state(kept)[key] == kept).all())}"


if __name__ == "__main__":
    main()
