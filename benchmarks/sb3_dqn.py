"""The recipe of lesson 07 in Stable-Baselines3, beside TorchRL: the honest control.

Both are validated by the lesson's judge after each block of updates and stop at the same score. The judging is the
same for both and is not timed; what is timed is collecting and learning.
"""

from __future__ import annotations

import time
from copy import deepcopy

import gymnasium as gym
import torch
from tensordict.nn import TensorDictModule


def run_peer(name: str, seed: int, lesson: dict) -> dict:
    """Train to the lesson's stopping score or its cap, then take the exam of 100 fresh episodes."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    frames, seconds, agent = {"TorchRL": train_torchrl, "Stable-Baselines3": train_sb3}[name](seed, lesson)
    settings = lesson["settings"]
    returns = lesson["evaluate"](agent, 100, settings.test_seed + 1_000 * seed)
    return {"test_return": returns.mean().item(), "frames": frames, "seconds": seconds}


def train_torchrl(seed: int, lesson: dict) -> tuple[int, float, torch.nn.Module]:
    """The lesson's own loop, with its `validate` timed so that it can be taken out."""
    judging, validate = 0.0, lesson["validate"]

    def timed_validate(run):
        nonlocal judging
        start = time.perf_counter()
        score = validate(run)
        judging += time.perf_counter() - start
        return score

    lesson["validate"] = timed_validate  # `train` looks it up when it runs
    start = time.perf_counter()
    run = lesson["build"](seed)
    lesson["train"](run, lesson["settings"].max_frames)
    seconds = time.perf_counter() - start - judging
    run.agent.load_state_dict(run.best_weights)
    return run.frames, seconds, run.agent


def train_sb3(seed: int, lesson: dict) -> tuple[int, float, torch.nn.Module]:
    """Stable-Baselines3's DQN with the lesson's numbers; its loss is Huber's, which it does not let one choose."""
    from stable_baselines3 import DQN
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.vec_env import DummyVecEnv

    settings = lesson["settings"]
    scale = torch.tensor(settings.input_scale)

    def make_env() -> gym.Env:
        env = gym.make("CartPole-v1", sutton_barto_reward=settings.failure_reward)
        return gym.wrappers.TransformObservation(env, lambda seen: seen * scale.numpy(), env.observation_space)

    def agent_of(model: DQN) -> TensorDictModule:
        network = deepcopy(model.q_net)

        def act(observation: torch.Tensor) -> torch.Tensor:
            return network(observation * scale).argmax(-1)

        return TensorDictModule(act, in_keys=["observation"], out_keys=["action"])

    class Judge(BaseCallback):
        judging, best_score, best_agent = 0.0, float("-inf"), None

        def _on_rollout_start(self) -> None:  # comes right after a block of updates
            if self.num_timesteps < settings.warm_up:
                return
            start = time.perf_counter()
            agent = agent_of(self.model)
            returns = lesson["evaluate"](agent, settings.validation_episodes, settings.validation_seed)
            if returns.mean() > self.best_score:
                self.best_score, self.best_agent = returns.mean().item(), agent
            self.judging += time.perf_counter() - start

        def _on_step(self) -> bool:
            return self.best_score < settings.stop_at

    start = time.perf_counter()
    model = DQN(
        "MlpPolicy",
        DummyVecEnv([make_env] * settings.envs),
        learning_rate=settings.learning_rate,
        buffer_size=50_000,
        learning_starts=settings.warm_up,
        batch_size=settings.batch_size,
        gamma=settings.gamma,
        train_freq=settings.batch_frames // settings.envs,
        gradient_steps=settings.updates,
        target_update_interval=settings.batch_frames,
        exploration_fraction=settings.eps_frames / settings.max_frames,
        exploration_final_eps=settings.eps_end,
        policy_kwargs={"net_arch": [settings.width] * 2},
        seed=seed,
        device="cpu",
    )
    judge = Judge()
    model.learn(settings.max_frames, callback=judge)
    return model.num_timesteps, time.perf_counter() - start - judge.judging, judge.best_agent
