import torch
from tensordict import TensorDict
from torchrl.envs import GymEnv, RewardScaling, RewardSum, TransformedEnv


def watch_by_next(env, policy, steps):
    seen = []
    td = env.reset()
    while len(seen) < steps:
        td = env.step(policy(td))["next"].exclude("reward")
        seen.append(td["observation"].clone())
    return torch.stack(seen)


def loop_endings(rollout):
    world = clock = 0
    for step in rollout:
        if step["next", "terminated"].item():
            world += 1
        elif step["next", "truncated"].item():
            clock += 1
    return [world, clock]


def build_with_gymnasiums_clock(limit, factor):
    env = TransformedEnv(GymEnv("Pendulum-v1", max_episode_steps=limit), RewardSum())
    env.append_transform(RewardScaling(0.0, factor))
    return env


def room_step_in_place(td):
    out = td.clone()
    out["temperature"] = 0.9 * out["temperature"] + 0.5 + out.pop("action")
    out["reward"] = -torch.maximum(out["temperature"] - 20, 20 - out["temperature"])
    out["terminated"] = torch.where(out["temperature"] > 30, True, False)
    out["done"] = out["terminated"].clone()
    return TensorDict(out.to_dict(), batch_size=td.shape)


OTHERWISE = {
    "1.1": watch_by_next,
    "1.2": loop_endings,
    "1.3": build_with_gymnasiums_clock,
    "1.4": torch.Size([8, 100, 1]),
    "1.5": room_step_in_place,
}
