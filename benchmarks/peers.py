"""Lesson 07 beside Stable-Baselines3 (SB3): the same judge, the same stopping rule, the same core.

After each block of updates the lesson's own `evaluate` plays its validation episodes; at its stopping score the run
ends, and the weights that were validated best sit the exam. What validation costs is
recorded apart. RL-Zoo's settings are those of the repository DLR-RM/rl-baselines3-zoo: `CartPole-v1` in
hyperparams/dqn.yml (at commit ce95481b) and hyperparams/ppo.yml (at commit 208b6fdf).
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from copy import deepcopy

import torch
from tensordict.nn import TensorDictModule

from benchmarks import dqn_cartpole
from benchmarks.group import Group

OURS = "TorchRL DQN, this recipe"
SAME_RECIPE = "SB3 DQN, this recipe"
ZOO_DQN = "SB3 DQN, RL-Zoo settings"
ZOO_PPO = "SB3 PPO, RL-Zoo settings"


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


def zoo_dqn(seed: int, lesson: dict):
    from stable_baselines3 import DQN
    from stable_baselines3.common.env_util import make_vec_env

    model = DQN(
        "MlpPolicy",
        make_vec_env("CartPole-v1", n_envs=1),
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
    return model, 50_000


def zoo_ppo(seed: int, lesson: dict):
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env

    model = PPO(
        "MlpPolicy",
        make_vec_env("CartPole-v1", n_envs=8),
        n_steps=32,
        batch_size=256,
        gae_lambda=0.8,
        gamma=0.98,
        n_epochs=20,
        ent_coef=0.0,
        learning_rate=lambda left: left * 1e-3,  # "lin_0.001" in RL-Zoo: in a straight line to 0
        clip_range=lambda left: left * 0.2,
        seed=seed,
        device="cpu",
    )
    return model, 100_000


PEERS = {SAME_RECIPE: same_recipe, ZOO_DQN: zoo_dqn, ZOO_PPO: zoo_ppo}


def greedy_agent(model, scale: torch.Tensor) -> TensorDictModule:
    """A copy of an SB3 model as the lesson's `evaluate` wants it: always the action it thinks best.

    Args:
        model: an SB3 DQN or PPO for CartPole.
        scale: shape [4]; what the model's own environments multiply observations by.
    """
    policy = model.policy
    if hasattr(policy, "q_net"):
        network = deepcopy(policy.q_net)
    else:  # PPO's policy as a whole cannot be copied once it has learned
        network = deepcopy(torch.nn.Sequential(policy.mlp_extractor.policy_net, policy.action_net))
    return TensorDictModule(lambda seen: network(seen * scale).argmax(-1), ["observation"], ["action"])


def make_judge(lesson: dict, scale: torch.Tensor):
    """An SB3 callback that validates after each block of updates and stops as the lesson does."""
    from stable_baselines3.common.callbacks import BaseCallback

    settings = lesson["settings"]

    class Judge(BaseCallback):
        def __init__(self) -> None:
            super().__init__()
            self.curve, self.seconds = [], []
            self.best_score, self.best_agent, self.judged_updates = float("-inf"), None, 0

        def _validate(self) -> None:
            agent = greedy_agent(self.model, scale)
            returns = lesson["evaluate"](agent, settings.validation_episodes, settings.validation_seed)
            score = returns.mean().item()
            self.curve.append((self.num_timesteps, score))
            if score > self.best_score:
                self.best_score, self.best_agent = score, agent

        def _after_updates(self) -> None:
            if self.model._n_updates > self.judged_updates:
                self.judged_updates = self.model._n_updates
                dqn_cartpole.timed(self._validate, self.seconds)()

        # SB3 calls nothing right after its updates, but these two before anything else happens.
        _on_rollout_start = _on_training_end = _after_updates

        def _on_step(self) -> bool:
            return self.best_score < settings.stop_at

    return Judge()


def quiet(model) -> None:
    """Without a logger of its own, SB3 makes a folder for each run."""
    from stable_baselines3.common.logger import Logger

    model.set_logger(Logger(folder=None, output_formats=[]))


def run_sb3(make: Callable, seed: int) -> dict:
    """Train one SB3 model to the lesson's stopping score or its own cap, then the exam. As `train_and_test`."""
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
            "test_return": dqn_cartpole.exam(lesson, judge.best_agent, seed),
            "frames": judge.curve[-1][0],
            "seconds": seconds,
            "validation_seconds": sum(judge.seconds),
            "curve": judge.curve,
        }
    )


@functools.cache
def warm_up(name: str) -> None:
    """Pay for what the first training of this arm costs once, before anything is timed."""
    if name == OURS:
        return dqn_cartpole.warm_up()
    model, _ = PEERS[name](0, dqn_cartpole.definitions(seed=0))
    quiet(model)
    model.learn(1_536)


def run_peer(name: str, seed: int) -> dict:
    warm_up(name)
    if name == OURS:
        return dqn_cartpole.train_and_test(dqn_cartpole.definitions(seed), seed)
    return run_sb3(PEERS[name], seed)


def arms() -> list[str]:
    return [OURS, *PEERS]


GROUP = Group(
    file="07_dqn",
    jobs=lambda count: [(name, seed) for seed in dqn_cartpole.seeds(count) for name in arms()],
    measure=lambda name, seed: {name: run_peer(name, seed)},
    arms=arms,
    code=dqn_cartpole.recipe_code,
    repeats=10,
    pinned=True,
)
