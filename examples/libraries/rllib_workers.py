"""CartPole with RLlib's DQN, and two workers, each with environments and a policy."""

import torch
from judge import main
from quiet_ray import start_ray
from ray.rllib.algorithms.dqn import DQNConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig


def train(seed, judge):
    config = (
        DQNConfig()
        .environment("CartPole-v1")
        .env_runners(num_env_runners=2)
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
            model_config=DefaultModelConfig(
                fcnet_hiddens=[256],
                fcnet_activation="tanh",
                fcnet_bias_initializer="zeros_",
                head_fcnet_hiddens=[256],
                head_fcnet_bias_initializer="zeros_",
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
