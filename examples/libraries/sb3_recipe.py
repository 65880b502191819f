"""CartPole with Stable-Baselines3's DQN, and lesson 07's recipe. The loss is Huber's: SB3 lets one choose no other."""

import gymnasium as gym
import numpy as np
from judge import main
from stable_baselines3 import DQN
from stable_baselines3.common.env_util import make_vec_env

SCALE = np.array([1.0, 1.0, 5.0, 1.0], np.float32)


def scaled(env):
    return gym.wrappers.TransformObservation(env, lambda seen: seen * SCALE, env.observation_space)


def train(seed, judge):
    reward = {"sutton_barto_reward": True}
    envs = make_vec_env("CartPole-v1", n_envs=16, seed=seed, wrapper_class=scaled, env_kwargs=reward)
    model = DQN(
        "MlpPolicy",
        envs,
        learning_rate=5e-4,
        batch_size=128,
        buffer_size=50_000,
        learning_starts=1_000,
        gamma=0.95,
        target_update_interval=256,
        train_freq=16,
        gradient_steps=32,
        exploration_fraction=5_000 / 20_480,
        exploration_final_eps=0.15,
        policy_kwargs={"net_arch": [256, 256]},
        seed=seed,
        device="cpu",
    )

    def act(observations):
        return model.predict(observations * SCALE, deterministic=True)[0]

    model.learn(20_480, callback=lambda *_: not judge(act, model.num_timesteps))


if __name__ == "__main__":
    main(train, frames=20_480, every=256)
