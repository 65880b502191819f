"""CartPole in plain PyTorch: PPO in the manner of CleanRL's ppo.py; settings of RL-Zoo, but the clip range stays."""

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from judge import main
from torch import nn

ENVS, STEPS = 8, 32


def make_network(outputs):
    return nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, outputs))


def advantages(reward, value, next_value, terminated, over, gamma, lmbda):
    delta = reward + gamma * next_value * ~terminated - value
    found, running = torch.zeros_like(delta), 0.0
    for step in reversed(range(len(delta))):
        running = delta[step] + gamma * lmbda * running * ~over[step]
        found[step] = running
    return found


def ppo_loss(actor, critic, batch):
    policy = torch.distributions.Categorical(logits=actor(batch["seen"]))
    ratio = (policy.log_prob(batch["action"]) - batch["log_prob"]).exp()
    better = (batch["advantage"] - batch["advantage"].mean()) / (batch["advantage"].std() + 1e-8)
    gain = torch.min(ratio * better, ratio.clamp(0.8, 1.2) * better).mean()
    return nn.functional.mse_loss(critic(batch["seen"]).squeeze(-1), batch["target"]) - gain


def train(seed, judge):
    torch.manual_seed(seed)
    same_step = {"autoreset_mode": AutoresetMode.SAME_STEP}
    envs = gym.make_vec("CartPole-v1", ENVS, "sync", vector_kwargs=same_step)
    actor, critic = make_network(2), make_network(1)
    optimiser = torch.optim.Adam([*actor.parameters(), *critic.parameters()], lr=1e-3)

    def act(observations):
        with torch.no_grad():
            return actor(torch.as_tensor(observations)).argmax(1).numpy()

    frames, (seen, _) = 0, envs.reset(seed=seed)
    while not judge(act, frames):
        rows = []
        for _ in range(STEPS):
            with torch.no_grad():
                policy = torch.distributions.Categorical(logits=actor(torch.as_tensor(seen)))
                action = policy.sample()
            after, reward, terminated, truncated, info = envs.step(action.numpy())
            seen_next, over = after.copy(), terminated | truncated
            if over.any():
                seen_next[over] = np.stack(info["final_obs"][over])
            reward = reward.astype(np.float32)
            arrays = [torch.as_tensor(array) for array in (seen, reward, seen_next, terminated, over)]
            rows.append([*arrays, action, policy.log_prob(action)])
            seen, frames = after, frames + ENVS
        names = ["seen", "reward", "seen_next", "terminated", "over", "action", "log_prob"]
        batch = {name: torch.stack(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
        with torch.no_grad():
            value, next_value = critic(batch["seen"]).squeeze(-1), critic(batch["seen_next"]).squeeze(-1)
        flags = batch["terminated"], batch["over"]
        batch["advantage"] = advantages(batch["reward"], value, next_value, *flags, gamma=0.98, lmbda=0.8)
        batch["target"] = batch["advantage"] + value
        for _ in range(20):
            loss = ppo_loss(actor, critic, batch)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        for group in optimiser.param_groups:
            group["lr"] = 1e-3 * (1 - frames / 100_000)
    envs.close()


if __name__ == "__main__":
    main(train, frames=100_000)
