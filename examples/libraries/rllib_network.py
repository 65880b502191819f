"""CartPole with RLlib's DQN and a network of our own."""

import torch
from judge import main
from quiet_ray import start_ray
from ray.rllib.algorithms.dqn import DQNConfig
from ray.rllib.algorithms.dqn.torch.default_dqn_torch_rl_module import DefaultDQNTorchRLModule
from ray.rllib.core.models.base import ENCODER_OUT
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from torch import nn


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layer = nn.Linear(width, width)

    def forward(self, inputs):
        return inputs + torch.relu(self.layer(inputs))


class Encoder(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, width), Residual(width), Residual(width))

    def forward(self, batch):
        return {ENCODER_OUT: self.layers(batch["obs"])}


class Network(DefaultDQNTorchRLModule):
    def setup(self):
        super().setup()
        self.encoder = Encoder(256)


def train(seed, judge):
    config = (
        DQNConfig()
        .environment("CartPole-v1")
        .training(
            lr=0.0005,
            train_batch_size_per_learner=32,
            replay_buffer_config={
                "type": "PrioritizedEpisodeReplayBuffer",
                "capacity": 50_000,
                "alpha": 0.6,
                "beta": 0.4,
            },
            n_step=(2, 5),
            double_q=True,
            dueling=True,
            epsilon=[(0, 1.0), (25_000, 0.02)],
        )
        .rl_module(
            rl_module_spec=RLModuleSpec(
                module_class=Network,
                model_config=DefaultModelConfig(fcnet_hiddens=[256], head_fcnet_hiddens=[]),
            )
        )
        .debugging(seed=seed)
    )
    algorithm = config.build_algo()

    def act(observations):
        batch = {"obs": torch.as_tensor(observations)}
        return algorithm.get_module().forward_inference(batch)["actions"].numpy()

    frames = 0
    while not judge(act, frames):
        frames = algorithm.train()["num_env_steps_sampled_lifetime"]
    algorithm.stop()


if __name__ == "__main__":
    start_ray()
    main(train, frames=200_000)
