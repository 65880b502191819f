"""CartPole with Stable-Baselines3's DQN and a penalty on large values added to the loss."""

import torch
from judge import main
from stable_baselines3 import DQN
from stable_baselines3.common.env_util import make_vec_env


class PenalisingDQN(DQN):
    def train(self, gradient_steps, batch_size):
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        for _ in range(gradient_steps):
            batch = self.replay_buffer.sample(batch_size)
            with torch.no_grad():
                best_next = self.q_net_target(batch.next_observations).max(1, keepdim=True).values
                wanted = batch.rewards + (1 - batch.dones) * self.gamma * best_next
            values = self.q_net(batch.observations)
            value = values.gather(1, batch.actions.long())
            loss = torch.nn.functional.smooth_l1_loss(value, wanted) + 1e-3 * values.pow(2).mean()
            self.policy.optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
            self.policy.optimizer.step()
        self._n_updates += gradient_steps


def train(seed, judge):
    envs = make_vec_env("CartPole-v1", n_envs=1, seed=seed)
    model = PenalisingDQN(
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
