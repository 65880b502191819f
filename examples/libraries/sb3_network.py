"""CartPole with Stable-Baselines3's DQN and a network of our own."""

import torch
from judge import main
from stable_baselines3 import DQN
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layer = nn.Linear(width, width)

    def forward(self, inputs):
        return inputs + torch.relu(self.layer(inputs))


class Features(BaseFeaturesExtractor):
    def __init__(self, observation_space, width):
        super().__init__(observation_space, width)
        self.layers = nn.Sequential(nn.Linear(4, width), Residual(width), Residual(width))

    def forward(self, observations):
        return self.layers(observations)


def train(seed, judge):
    envs = make_vec_env("CartPole-v1", n_envs=1, seed=seed)
    model = DQN(
        "MlpPolicy",
        envs,
        learning_rate=2.3e-3,
        batch_size=64,
        buffer_size=100_000,
        learning_starts=1_000,
        gamma=0.99,
        target_update_interval=10,
        train_freq=256,
        gradient_steps=128,
        exploration_fraction=0.16,
        exploration_final_eps=0.04,
        policy_kwargs={
            "features_extractor_class": Features,
            "features_extractor_kwargs": {"width": 256},
            "net_arch": [],
        },
        seed=seed,
        device="cpu",
    )

    def act(observations):
        return model.predict(observations, deterministic=True)[0]

    model.learn(50_000, callback=lambda *_: not judge(act, model.num_timesteps))


if __name__ == "__main__":
    main(train, frames=50_000)
