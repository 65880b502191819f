"""Stable-Baselines3 (SB3) under lesson 07's judge: the same validation, the same stopping rule, the same exam.

After each block of updates the lesson's own `greedy_returns` plays its validation episodes; at its stopping score the
run ends, and the weights that were validated best sit the exam. What validation costs is recorded apart.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from copy import deepcopy

import torch
from tensordict.nn import TensorDictModule

from benchmarks import dqn_cartpole


def same_recipe(seed: int, lesson: dict):
    """SB3's DQN with the lesson's numbers, and its cap; its loss is Huber's, which it does not let one choose."""
    import gymnasium as gym
    from stable_baselines3 import DQN
    from stable_baselines3.common.vec_env import DummyVecEnv

    settings = lesson["settings"]
    scale = torch.tensor(settings.input_scale).numpy()

    def make_env() -> gym.Env:
        env = gym.make("CartPole-v1", sutton_barto_reward=settings.failure_reward)
        return gym.wrappers.TransformObservation(env, lambda seen: seen * scale, env.observation_space)

    model = DQN(
        "MlpPolicy",
        DummyVecEnv([make_env] * settings.envs),
        learning_rate=settings.learning_rate,
        buffer_size=settings.memory,
        learning_starts=settings.warm_up,
        batch_size=settings.batch_size,
        gamma=settings.gamma,
        train_freq=settings.batch_frames // settings.envs,
        gradient_steps=settings.updates,
        target_update_interval=settings.batch_frames,
        exploration_initial_eps=settings.eps_init,
        exploration_fraction=settings.eps_frames / settings.max_frames,
        exploration_final_eps=settings.eps_end,
        policy_kwargs={"net_arch": [settings.width] * 2},
        seed=seed,
        device="cpu",
    )
    return model, settings.max_frames


def greedy_network(model, scale: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """A copy of an SB3 model as the lesson's `greedy_returns` wants it: the best action has the highest value.

    Args:
        model: an SB3 DQN or PPO for CartPole.
        scale: shape [4]; what the model's own environments multiply observations by.
    """
    policy = model.policy
    if hasattr(policy, "q_net"):
        network = deepcopy(policy.q_net)
    else:  # PPO's policy as a whole cannot be copied once it has learned
        network = deepcopy(torch.nn.Sequential(policy.mlp_extractor.policy_net, policy.action_net))
    return lambda seen: network(seen * scale)


def greedy_agent(network: Callable[[torch.Tensor], torch.Tensor]) -> TensorDictModule:
    """The same as the lesson's `evaluate` wants it."""
    return TensorDictModule(lambda seen: network(seen).argmax(-1), ["observation"], ["action"])


def make_judge(lesson: dict, scale: torch.Tensor):
    """An SB3 callback that validates after each block of updates and stops as the lesson does."""
    from stable_baselines3.common.callbacks import BaseCallback

    settings = lesson["settings"]

    class Judge(BaseCallback):
        def __init__(self) -> None:
            super().__init__()
            self.curve, self.seconds = [], []
            self.best_score, self.best_network, self.judged_updates = float("-inf"), None, 0

        def _validate(self) -> None:
            network = greedy_network(self.model, scale)
            returns = lesson["greedy_returns"](network, settings.validation_episodes, settings.validation_seed)
            score = returns.mean().item()
            self.curve.append((self.num_timesteps, score))
            if score > self.best_score:
                self.best_score, self.best_network = score, network

        def _after_updates(self) -> None:
            if self.model._n_updates > self.judged_updates:
                self.judged_updates = self.model._n_updates
                dqn_cartpole.timed(self._validate, self.seconds)()

        # SB3 calls nothing right after its updates, but these two before anything else happens.
        _on_rollout_start = _on_training_end = _after_updates

        def _on_step(self) -> bool:
            return self.best_score < settings.stop_at

    return Judge()


@functools.cache
def warm_up(make: Callable) -> None:
    """Pay for what the first training of such a model costs once, before anything is timed."""
    model, _ = make(0, dqn_cartpole.definitions(seed=0))
    quiet(model)
    model.learn(1_536)


def quiet(model) -> None:
    """Without a logger of its own, SB3 makes a folder for each run."""
    from stable_baselines3.common.logger import Logger

    model.set_logger(Logger(folder=None, output_formats=[]))


def run_sb3(make: Callable, seed: int) -> dict:
    """Train one SB3 model to the lesson's stopping score or its own cap, then the exam. As `train_and_test`.

    Args:
        make: from a seed and what the lesson defines to a model and its cap on frames.
        seed: of the run.
    """
    lesson = dqn_cartpole.definitions(seed)
    scale = torch.tensor(lesson["settings"].input_scale) if make is same_recipe else torch.ones(4)
    judge = make_judge(lesson, scale)
    start = time.perf_counter()
    model, cap = make(seed, lesson)
    quiet(model)
    model.learn(cap, callback=judge)
    seconds = time.perf_counter() - start
    return dqn_cartpole.rounded(
        {
            "test_return": dqn_cartpole.exam(lesson, greedy_agent(judge.best_network), seed),
            "frames": judge.curve[-1][0],
            "seconds": seconds,
            "validation_seconds": sum(judge.seconds),
            "curve": judge.curve,
        }
    )
