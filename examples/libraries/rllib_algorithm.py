"""CartPole with RLlib's PPO."""

import torch
from judge import main
from quiet_ray import start_ray
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig


def train(seed, judge):
    config = (
        PPOConfig()
        .environment("CartPole-v1")
        .env_runners(num_env_runners=0)
        .training(lr=0.0003, num_epochs=6, vf_loss_coeff=0.01)
        .rl_module(
            model_config=DefaultModelConfig(
                fcnet_hiddens=[32],
                fcnet_activation="linear",
                vf_share_layers=True,
            )
        )
        .debugging(seed=seed)
    )
    algorithm = config.build_algo()

    def act(observations):
        batch = {"obs": torch.as_tensor(observations)}
        return algorithm.get_module().forward_inference(batch)["action_dist_inputs"].argmax(1).numpy()

    frames = 0
    while not judge(act, frames):
        frames = algorithm.train()["num_env_steps_sampled_lifetime"]
    algorithm.stop()


if __name__ == "__main__":
    start_ray()
    main(train, frames=200_000)
