"""CartPole with Stable-Baselines3's DQN, and the settings of RL-Zoo's hyperparams/dqn.yml."""

from judge import main
from stable_baselines3 import DQN
from stable_baselines3.common.env_util import make_vec_env


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
        policy_kwargs={"net_arch": [256, 256]},
        seed=seed,
        device="cpu",
    )

    def act(observations):
        return model.predict(observations, deterministic=True)[0]

    model.learn(50_000, callback=lambda *_: not judge(act, model.num_timesteps))


if __name__ == "__main__":
    main(train, frames=50_000)
