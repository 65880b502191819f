"""CartPole with RLlib's DQN, and lesson 07's recipe."""

import gymnasium as gym
import numpy as np
import torch
from judge import main
from quiet_ray import start_ray
from ray.rllib.algorithms.dqn import DQNConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
from ray.tune.registry import register_env

SCALE = np.array([1.0, 1.0, 5.0, 1.0], np.float32)


def make_env(config):
    env = gym.make("CartPole-v1", sutton_barto_reward=True)
    return gym.wrappers.TransformObservation(env, lambda seen: seen * SCALE, env.observation_space)


def train(seed, judge):
    register_env("scaled", make_env)
    config = (
        DQNConfig()
        .environment("scaled")
        .env_runners(num_envs_per_env_runner=16, rollout_fragment_length=16)
        .training(
            lr=5e-4,
            gamma=0.95,
            train_batch_size_per_learner=128,
            training_intensity=32 * 128 / 256,
            replay_buffer_config={"type": "EpisodeReplayBuffer", "capacity": 50_000},
            num_steps_sampled_before_learning_starts=1_000,
            target_network_update_freq=256,
            td_error_loss_fn="mse",
            grad_clip=10.0,
            n_step=1,
            double_q=False,
            dueling=False,
            epsilon=[(0, 1.0), (5_000, 0.15)],
        )
        .rl_module(model_config=DefaultModelConfig(fcnet_hiddens=[256, 256], fcnet_activation="relu"))
        .reporting(min_sample_timesteps_per_iteration=256)
        .debugging(seed=seed)
    )
    algorithm = config.build_algo()

    def act(observations):
        batch = {"obs": torch.as_tensor(observations * SCALE)}
        return algorithm.get_module().forward_inference(batch)["actions"].numpy()

    frames = 0
    while not judge(act, frames):
        frames = algorithm.train()["num_env_steps_sampled_lifetime"]
    algorithm.stop()


if __name__ == "__main__":
    start_ray()
    main(train, frames=20_480, every=256)
