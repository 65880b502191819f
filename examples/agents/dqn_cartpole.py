"""DQN on CartPole: the second act of lesson 07 in one file.

python dqn_cartpole.py --seed 3                          trains, sits the exam, writes runs/dqn_cartpole/
python dqn_cartpole.py --exam runs/dqn_cartpole/agent.pt sits the exam with weights from a file
"""

from __future__ import annotations

import csv
import os
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("RL_LOGGING_LEVEL", "WARNING")  # before the import of torchrl, which is talkative

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from tensordict.nn import TensorDictSequential
from torchrl.collectors import Collector
from torchrl.data import Categorical, LazyTensorStorage, TensorDictReplayBuffer
from torchrl.envs import ExplorationType, GymWrapper, set_exploration_type
from torchrl.modules import MLP, EGreedyModule, QValueActor
from torchrl.objectives import DQNLoss, HardUpdate

SOLVED = 475  # mean return of 100 fresh episodes, greedily


@dataclass(frozen=True)
class Settings:
    seed: int = 0
    """Weights, exploration and training episodes follow from it."""
    max_frames: int = 20_480
    """Training gives up here."""
    envs: int = 16
    """Copies of CartPole stepped side by side."""
    batch_frames: int = 256
    """Frames collected between two blocks of updates."""
    warm_up: int = 1_000
    """Frames before the first update."""
    updates: int = 32
    """Updates in a block."""
    batch_size: int = 128
    """Transitions in one update."""
    memory: int = 50_000
    """Frames the replay buffer keeps."""
    target_every: int = 32
    """Updates between two copies to the target network."""
    input_scale: tuple[float, float, float, float] = (1.0, 1.0, 5.0, 1.0)
    """What cart position and velocity, pole angle and velocity are multiplied by."""
    width: int = 256
    """Units in each of the two hidden layers."""
    learning_rate: float = 5e-4
    """Step size of Adam."""
    failure_reward: bool = True
    """In training -1 for falling and 0 otherwise; without it 1 a step."""
    gamma: float = 0.95
    """What a reward is worth one step later."""
    eps_init: float = 1.0
    """Share of random actions at the start."""
    eps_end: float = 0.15
    """Share of random actions in the end."""
    eps_frames: int = 5_000
    """Frames over which that share falls."""
    validation_episodes: int = 32
    """Greedy episodes after each block; the best weights are kept."""
    stop_at: float = 490.0
    """Validation mean that ends training."""
    out: Path = Path("runs/dqn_cartpole")
    """Folder for log.csv and agent.pt."""
    exam: Path | None = None
    """An agent.pt: sit the exam with it and do not train."""


class Scale(torch.nn.Module):
    def __init__(self, factors):
        super().__init__()
        self.register_buffer("factors", torch.tensor(factors))

    def forward(self, inputs):
        return inputs * self.factors


def make_envs(count, seed, **options):
    autoreset = {"autoreset_mode": AutoresetMode.SAME_STEP}
    copies = gym.make_vec("CartPole-v1", count, "sync", vector_kwargs=autoreset, **options)
    envs = GymWrapper(copies, categorical_action_encoding=True)
    envs.set_seed(seed)
    return envs


def evaluate(agent, episodes, seed):
    """The return of the first episode of each copy, without exploration."""
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        rollout = make_envs(episodes, seed).rollout(500, agent, break_when_all_done=True)
    reward, done = rollout["next", "reward"].squeeze(-1), rollout["next", "done"].squeeze(-1)
    return (reward * (done.cumsum(1) - done.int() == 0)).sum(1)


@torch.no_grad()
def greedy_returns(network, episodes, seed):
    """The same by Gymnasium's simulator of many copies at once, several times as quick."""
    envs = gym.make_vec("CartPole-v1", episodes, "vector_entry_point")
    observation, _ = envs.reset(seed=seed)
    returns, playing = np.zeros(episodes), np.ones(episodes, dtype=bool)
    while playing.any():
        values = network(torch.from_numpy(observation))
        observation, reward, terminated, truncated, _ = envs.step(values.argmax(-1).numpy())
        returns += reward * playing
        playing &= ~(terminated | truncated)
    return returns


def build(s: Settings):
    torch.manual_seed(s.seed)
    run = SimpleNamespace(frames=0, best_score=float("-inf"), best_weights=None)
    actions = Categorical(2)
    layers = MLP(in_features=4, out_features=2, num_cells=[s.width] * 2, activation_class=torch.nn.ReLU)
    run.network = torch.nn.Sequential(Scale(s.input_scale), layers)
    run.agent = QValueActor(run.network, in_keys=["observation"], spec=actions)
    batches = s.eps_frames / s.batch_frames
    run.egreedy = EGreedyModule(actions, s.eps_init, s.eps_end, annealing_num_steps=batches)
    run.explorer = TensorDictSequential(run.agent, run.egreedy)
    run.buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(s.memory), batch_size=s.updates * s.batch_size)
    run.loss = DQNLoss(run.agent, loss_function="l2", delay_value=True)
    run.loss.make_value_estimator(gamma=s.gamma)
    run.target = HardUpdate(run.loss, value_network_update_interval=s.target_every)
    run.optimiser = torch.optim.Adam(run.loss.parameters(), s.learning_rate, fused=True)
    return run


def learn(run, s: Settings):
    for batch in run.buffer.sample().split(s.batch_size):
        loss = run.loss(batch)["loss"]
        if not loss.isfinite():
            raise SystemExit(f"The loss is {loss.item()} at frame {run.frames:,}: try a smaller --learning-rate.")
        run.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(run.loss.parameters(), max_norm=10.0)
        run.optimiser.step()
        run.target.step()


def train(s: Settings, watch):
    """Learn until the validation is good enough or the frames are used up.

    Args:
        watch: called as `watch(frames, score)` after each block of updates.

    Returns:
        The run: `agent`, `best_weights`, `best_score`, `frames` and its parts.
    """
    run = build(s)
    envs = make_envs(s.envs, 100_000 * s.seed, sutton_barto_reward=s.failure_reward)
    options = {"auto_register_policy_transforms": False, "track_traj_ids": False}
    collector = Collector(envs, run.explorer, frames_per_batch=s.batch_frames, total_frames=s.max_frames, **options)
    for batch in collector:
        run.frames += batch.numel()
        run.buffer.extend(batch.reshape(-1))
        run.egreedy.step()
        if run.frames < s.warm_up:
            continue
        learn(run, s)
        score = greedy_returns(run.network, s.validation_episodes, 500_000_000).mean().item()
        if score > run.best_score:
            run.best_score, run.best_weights = score, deepcopy(run.agent.state_dict())
        watch(run.frames, score)
        if score >= s.stop_at:
            break
    collector.shutdown()
    return run


def main(s: Settings):
    torch.set_num_threads(1)  # networks this small gain nothing from more
    if s.exam is None:
        s.out.mkdir(parents=True, exist_ok=True)
        with (s.out / "log.csv").open("w", newline="") as file:
            log = csv.writer(file)
            log.writerow(["frames", "validation"])
            run = train(s, lambda *row: (log.writerow(row), print(*row, sep="\t")))
        torch.save({"weights": run.best_weights, "settings": str(s)}, s.out / "agent.pt")
    agent = build(s).agent
    path = s.exam or s.out / "agent.pt"
    agent.load_state_dict(torch.load(path, weights_only=True)["weights"])
    returns = evaluate(agent, 100, 1_000_000_000 + 1_000 * s.seed)
    verdict = "solved" if returns.mean() >= SOLVED else "not solved"
    print(f"{path}: mean {returns.mean():.1f}, worst {returns.min():.0f} of 100 fresh episodes: {verdict}")


if __name__ == "__main__":
    try:
        import tyro
    except ImportError:
        raise SystemExit("tyro, which reads the command line, is not installed: python -m pip install tyro") from None
    main(tyro.cli(Settings, description=__doc__))
