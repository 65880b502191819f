"""CartPole with Stable-Baselines3's PPO, and the settings of RL-Zoo's hyperparams/ppo.yml."""

from judge import main
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env


def train(seed, judge):
    envs = make_vec_env("CartPole-v1", n_envs=8, seed=seed)
    model = PPO(
        "MlpPolicy",
        envs,
        n_steps=32,
        batch_size=256,
        gae_lambda=0.8,
        gamma=0.98,
        n_epochs=20,
        ent_coef=0.0,
        learning_rate=lambda left: left * 1e-3,
        clip_range=lambda left: left * 0.2,
        seed=seed,
        device="cpu",
    )

    def act(observations):
        return model.predict(observations, deterministic=True)[0]

    model.learn(100_000, callback=lambda *_: not judge(act, model.num_timesteps))


if __name__ == "__main__":
    main(train, frames=100_000)
