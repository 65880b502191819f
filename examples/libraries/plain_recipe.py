"""CartPole in plain PyTorch, with lesson 07's recipe."""

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from judge import main
from torch import nn

ENVS = 16
SCALE = torch.tensor([1.0, 1.0, 5.0, 1.0])


class Memory:
    def __init__(self, size):
        self.size, self.added, self.columns = size, 0, {}

    def add(self, **columns):
        for name, values in columns.items():
            values = torch.as_tensor(values)
            if name not in self.columns:
                self.columns[name] = torch.zeros(self.size, *values.shape[1:], dtype=values.dtype)
            rows = (self.added + torch.arange(len(values))) % self.size
            self.columns[name][rows] = values
        self.added += len(values)

    def sample(self, count):
        rows = torch.randint(min(self.added, self.size), (count,))
        return {name: values[rows] for name, values in self.columns.items()}


def make_network():
    return nn.Sequential(nn.Linear(4, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 2))


def td_loss(network, target, batch, gamma):
    value = network(batch["seen"] * SCALE).gather(1, batch["action"][:, None]).squeeze(1)
    with torch.no_grad():
        best_next = target(batch["seen_next"] * SCALE).max(1).values
    wanted = batch["reward"] + gamma * best_next * ~batch["terminated"]
    return nn.functional.mse_loss(value, wanted)


def train(seed, judge):
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    same_step = {"autoreset_mode": AutoresetMode.SAME_STEP}
    envs = gym.make_vec("CartPole-v1", ENVS, "sync", vector_kwargs=same_step, sutton_barto_reward=True)
    network, target = make_network(), make_network()
    target.load_state_dict(network.state_dict())
    optimiser = torch.optim.Adam(network.parameters(), lr=5e-4)
    memory = Memory(50_000)

    def act(observations):
        with torch.no_grad():
            return network(torch.as_tensor(observations) * SCALE).argmax(1).numpy()

    frames, (seen, _) = 0, envs.reset(seed=seed)
    while not judge(act, frames):
        epsilon = max(1 - 0.85 * frames / 5_000, 0.15)
        action = np.where(rng.random(ENVS) < epsilon, rng.integers(2, size=ENVS), act(seen))
        after, reward, terminated, truncated, info = envs.step(action)
        seen_next, over = after.copy(), terminated | truncated
        if over.any():
            seen_next[over] = np.stack(info["final_obs"][over])
        reward = reward.astype(np.float32)
        memory.add(seen=seen, action=action, reward=reward, seen_next=seen_next, terminated=terminated)
        seen, frames = after, frames + ENVS
        if frames > 1_000 and frames % 256 == 0:
            for _ in range(32):
                loss = td_loss(network, target, memory.sample(128), gamma=0.95)
                optimiser.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(network.parameters(), 10.0)
                optimiser.step()
            target.load_state_dict(network.state_dict())
    envs.close()


if __name__ == "__main__":
    main(train, frames=20_480, every=256)
