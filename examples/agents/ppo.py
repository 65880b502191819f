"""PPO on CartPole and on Pendulum: lesson 08 in one file.

python ppo.py --seed 3; python ppo.py --task Pendulum-v1
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

os.environ.setdefault("RL_LOGGING_LEVEL", "WARNING")  # before the import of torchrl, which is talkative

import gymnasium as gym
import torch
from gymnasium.vector import AutoresetMode
from tensordict.nn import NormalParamExtractor, TensorDictModule
from torchrl.collectors import Collector
from torchrl.data import Unbounded
from torchrl.envs import ExplorationType, GymWrapper, PendulumEnv, Transform, TransformedEnv, set_exploration_type
from torchrl.modules import MLP, ProbabilisticActor, TanhNormal, ValueOperator
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

SOLVED = {"CartPole-v1": 475, "Pendulum-v1": -200}  # mean return of 100 fresh episodes, greedily
CARTPOLE = {"steps": 64, "minibatch": 256, "learning_rate": 5e-3, "gamma": 0.98, "lmbda": 0.9, "reward_scale": 1.0}
PENDULUM = {"steps": 200, "minibatch": 800, "learning_rate": 3e-3, "gamma": 0.95, "lmbda": 0.95, "reward_scale": 0.1}


@dataclass(frozen=True)
class Settings:
    task: Literal["CartPole-v1", "Pendulum-v1"] = "CartPole-v1"
    """What is to be learned; it fills in all settings that are None."""
    seed: int = 0
    """Weights, actions and episodes follow from it."""
    batches: int = 20
    """How many batches are played and learned from."""
    envs: int = 32
    """Copies of the task side by side."""
    steps: int | None = None
    """Steps of each copy in a batch (64 and 200)."""
    minibatch: int | None = None
    """Frames in one update (256 and 800)."""
    learning_rate: float | None = None
    """Step size at the start; it falls in a straight line (5e-3 and 3e-3)."""
    gamma: float | None = None
    """What a reward is worth one step later (0.98 and 0.95)."""
    lmbda: float | None = None
    """How far GAE leans on the rewards that came, rather than on the critic (0.9 and 0.95)."""
    reward_scale: float | None = None
    """What the rewards that the loss sees are multiplied by (1 and 0.1)."""
    epochs: int = 8
    """How often all frames of a batch are used."""
    clip: float = 0.2
    """How far the ratio of new and old probability may go before the incentive ends."""
    out: Path = Path("runs/ppo")
    """Folder for log.csv and agent.pt."""
    exam: Path | None = None
    """An agent.pt: sit the exam with it and do not train."""


def filled_in(s: Settings) -> Settings:
    defaults = CARTPOLE if s.task == "CartPole-v1" else PENDULUM
    return replace(s, **{name: value for name, value in defaults.items() if getattr(s, name) is None})


def make_envs(task, count, seed):
    copies = gym.make_vec(task, count, "sync", vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP})
    envs = GymWrapper(copies, categorical_action_encoding=True)
    envs.set_seed(seed)
    return envs


def evaluate(task, actor, episodes, seed):
    """The return of the first episode of each copy, without exploration."""
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        rollout = make_envs(task, episodes, seed).rollout(500, actor, break_when_all_done=True)
    done = rollout["next", "done"]
    return (rollout["next", "reward"] * (done.cumsum(1) - done.int() == 0)).sum(1).squeeze(-1)


def network(inputs, outputs):
    return MLP(inputs, outputs, num_cells=[64, 64], activation_class=torch.nn.Tanh)


def make_actor(s: Settings):
    if s.task == "CartPole-v1":
        body, keys, options = network(4, 2), ["logits"], {"distribution_class": torch.distributions.Categorical}
    else:
        body, keys = torch.nn.Sequential(network(3, 2), NormalParamExtractor()), ["loc", "scale"]
        options = {"distribution_class": TanhNormal, "distribution_kwargs": {"low": -2.0, "high": 2.0}}
    module = TensorDictModule(body, in_keys=["observation"], out_keys=keys)
    return ProbabilisticActor(module, in_keys=keys, return_log_prob=True, **options)


def build(s: Settings):
    torch.manual_seed(s.seed)
    run = SimpleNamespace(actor=make_actor(s))
    critic = ValueOperator(network(4 if s.task == "CartPole-v1" else 3, 1), in_keys=["observation"])
    run.advantages = GAE(gamma=s.gamma, lmbda=s.lmbda, value_network=critic)
    coefficients = {"clip_epsilon": s.clip, "entropy_coeff": 0.0, "critic_coeff": 0.5}
    run.loss = ClipPPOLoss(run.actor, critic, loss_critic_type="l2", normalize_advantage=True, **coefficients)
    run.optimiser = torch.optim.Adam(run.loss.parameters(), s.learning_rate, fused=True)
    run.schedule = torch.optim.lr_scheduler.LinearLR(run.optimiser, 1.0, 0.05, total_iters=s.batches)
    return run


def learn(run, batch, s: Settings):
    batch = batch.copy()
    batch["next", "reward"] = s.reward_scale * batch["next", "reward"]
    with torch.no_grad():
        run.advantages(batch)
    frames, readings = batch.reshape(-1), []
    for _ in range(s.epochs):
        for part in frames[torch.randperm(len(frames))].split(s.minibatch):
            losses = run.loss(part)
            run.optimiser.zero_grad()
            (losses["loss_objective"] + losses["loss_critic"] + losses["loss_entropy"]).backward()
            torch.nn.utils.clip_grad_norm_(run.loss.parameters(), max_norm=1.0)
            run.optimiser.step()
            readings.append(losses.select("clip_fraction", "kl_approx", "entropy").detach())
    run.schedule.step()
    last_epoch = torch.stack(readings[-len(readings) // s.epochs :])
    return {name: reading.mean().item() for name, reading in last_epoch.items()}


class AsGymnasium(Transform):  # TorchRL's pendulum tells angle and speed; the judge's shows cosine, sine and speed
    def _call(self, next_tensordict):
        angle, speed = next_tensordict["th"], next_tensordict["thdot"]
        return next_tensordict.set("observation", torch.stack([angle.cos(), angle.sin(), speed], -1))

    def _reset(self, tensordict, tensordict_reset):
        return self._call(tensordict_reset)

    def transform_observation_spec(self, observation_spec):
        observation_spec["observation"] = Unbounded((3,), device=observation_spec.device)
        return observation_spec


NATIVE = TransformedEnv(PendulumEnv(), AsGymnasium())


def cartpole_batches(actor, s: Settings):
    frames, envs = s.envs * s.steps, make_envs(s.task, s.envs, 100_000 * s.seed)
    plain = {"auto_register_policy_transforms": False, "track_traj_ids": False}
    collector = Collector(envs, actor, frames_per_batch=frames, total_frames=frames * s.batches, **plain)
    yield from collector
    collector.shutdown()


def pendulum_batches(actor, s: Settings):
    NATIVE.set_seed(s.seed)
    for _ in range(s.batches):
        start = NATIVE.reset(NATIVE.gen_params(batch_size=[s.envs]), set_state=False)
        with torch.no_grad(), set_exploration_type(ExplorationType.RANDOM):
            batch = NATIVE.rollout(s.steps, actor, auto_reset=False, tensordict=start)
        yield batch


def train(s: Settings, watch):
    """Play a batch and learn from it, `batches` times; `watch(number, batch, readings)` is called after each."""
    run = build(s)
    batches = cartpole_batches if s.task == "CartPole-v1" else pendulum_batches
    for number, batch in enumerate(batches(run.actor, s), start=1):
        watch(number, batch, learn(run, batch, s))
    return run


def main(s: Settings):
    torch.set_num_threads(1)  # networks this small gain nothing from more
    if s.exam is None:
        s.out.mkdir(parents=True, exist_ok=True)
        with (s.out / "log.csv").open("w", newline="") as file:
            log = csv.writer(file)
            log.writerow(["batch", "reward", "clip_fraction", "kl_approx", "entropy"])

            def watch(number, batch, readings):
                row = [number, batch["next", "reward"].mean().item(), *readings.values()]
                log.writerow(row)
                print(*(f"{value:.4g}" for value in row), sep="\t")

            run = train(s, watch)
        torch.save({"weights": run.actor.state_dict(), "settings": str(s)}, s.out / "agent.pt")
    actor, path = make_actor(s), s.exam or s.out / "agent.pt"
    actor.load_state_dict(torch.load(path, weights_only=True)["weights"])
    returns = evaluate(s.task, actor, 100, 1_000_000_000 + 1_000 * s.seed)
    verdict = "solved" if returns.mean() >= SOLVED[s.task] else "not solved"
    print(f"{path}: mean {returns.mean():.1f}, worst {returns.min():.0f} of 100 fresh episodes: {verdict}")


if __name__ == "__main__":
    try:
        import tyro
    except ImportError:
        raise SystemExit("tyro, which reads the command line, is not installed: python -m pip install tyro") from None
    main(filled_in(tyro.cli(Settings, description=__doc__)))
