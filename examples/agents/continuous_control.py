"""DDPG, TD3, SAC and REDQ on Pendulum: lesson 09 in one file. The four differ in one function each.

python continuous_control.py --algorithm sac --seed 3
python continuous_control.py --algorithm sac --exam runs/continuous_control/agent.pt
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

os.environ.setdefault("RL_LOGGING_LEVEL", "WARNING")  # before the import of torchrl, which is talkative

import gymnasium as gym
import torch
from gymnasium.vector import AutoresetMode
from tensordict.nn import NormalParamExtractor, TensorDictModule, TensorDictSequential
from torchrl.collectors import Collector
from torchrl.data import Bounded, LazyTensorStorage, TensorDictReplayBuffer
from torchrl.envs import ExplorationType, GymWrapper, set_exploration_type
from torchrl.modules import MLP, AdditiveGaussianModule, ProbabilisticActor, TanhModule, TanhNormal, ValueOperator
from torchrl.objectives import DDPGLoss, REDQLoss, SACLoss, SoftUpdate, TD3Loss

SOLVED = -200  # mean return of 100 fresh episodes, without exploration, with the last weights


@dataclass(frozen=True)
class Settings:
    algorithm: Literal["ddpg", "td3", "sac", "redq"] = "sac"
    """Which of the four learns."""
    seed: int = 0
    """Weights, exploration and training episodes follow from it."""
    total_frames: int = 10_000
    """Frames of training."""
    random_frames: int = 500
    """Frames played at random at first, before anything is learned."""
    envs: int = 10
    """Copies of the pendulum side by side."""
    batch_frames: int = 50
    """Frames collected between two blocks of updates."""
    updates: int = 10
    """Updates in a block."""
    batch_size: int = 128
    """Transitions in one update."""
    gamma: float = 0.98
    """What a reward is worth one step later."""
    tau: float = 0.02
    """How far the target networks follow at each update."""
    learning_rate: float = 3e-3
    """Step size of Adam, for all networks."""
    width: int = 64
    """Units in each of the two hidden layers."""
    noise: float = 0.5
    """Spread of the noise that DDPG and TD3 add to their actions; the other two draw them."""
    look_every: int = 1_000
    """Frames between two looks, of ten episodes each; nothing is decided by them."""
    out: Path = Path("runs/continuous_control")
    """Folder for log.csv and agent.pt."""
    exam: Path | None = None
    """An agent.pt: sit the exam with it and do not train."""


TORQUE = Bounded(-2.0, 2.0, shape=(1,))


def make_envs(count, seed):
    copies = gym.make_vec("Pendulum-v1", count, "sync", vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP})
    envs = GymWrapper(copies)
    envs.set_seed(seed)
    return envs


def evaluate(policy, episodes, seed):
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        return make_envs(episodes, seed).rollout(200, policy)["next", "reward"].sum(1).squeeze(-1)


def layers(inputs, outputs, s):
    return MLP(in_features=inputs, out_features=outputs, num_cells=[s.width] * 2, activation_class=torch.nn.ReLU)


def critic_of(s):
    return ValueOperator(layers(4, 1, s), in_keys=["observation", "action"])


def one_torque(s):
    """An actor that says one torque, and the same with noise on top."""
    network = TensorDictModule(layers(3, 1, s), ["observation"], ["raw"])
    actor = TensorDictSequential(network, TanhModule(in_keys=["raw"], out_keys=["action"], spec=TORQUE))
    critic = critic_of(s)
    noise = AdditiveGaussianModule(TORQUE, sigma_init=s.noise, sigma_end=s.noise)
    return actor, TensorDictSequential(actor, noise), critic


def bell_curve(s):
    """An actor that says where the torque is likely to be, and draws it."""
    body = torch.nn.Sequential(layers(3, 2, s), NormalParamExtractor())
    network = TensorDictModule(body, ["observation"], ["loc", "scale"])
    limits = {"low": -2.0, "high": 2.0}
    options = {"distribution_class": TanhNormal, "distribution_kwargs": limits}
    actor = ProbabilisticActor(network, ["loc", "scale"], ["action"], spec=TORQUE, **options)
    return actor, actor, critic_of(s)


def ddpg(s):
    actor, explorer, critic = one_torque(s)
    return actor, explorer, DDPGLoss(actor, critic, loss_function="l2", delay_actor=True), 1


def td3(s):
    actor, explorer, critic = one_torque(s)
    return actor, explorer, TD3Loss(actor, critic, loss_function="l2", action_spec=TORQUE), 2


def sac(s):
    actor, explorer, critic = bell_curve(s)
    return actor, explorer, SACLoss(actor, critic, loss_function="l2"), 1


def redq(s):
    actor, explorer, critic = bell_curve(s)
    return actor, explorer, REDQLoss(actor, critic, loss_function="l2"), 1


def build(s: Settings):
    torch.manual_seed(s.seed)
    run = SimpleNamespace(updates=0)
    algorithm = {"ddpg": ddpg, "td3": td3, "sac": sac, "redq": redq}[s.algorithm]
    run.actor, run.explorer, run.loss, run.actor_every = algorithm(s)
    run.loss.make_value_estimator(gamma=s.gamma)
    run.target = SoftUpdate(run.loss, tau=s.tau)
    run.optimiser = torch.optim.Adam(run.loss.parameters(), lr=s.learning_rate, fused=True)
    run.buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(s.total_frames), batch_size=s.batch_size)
    return run


def learn(run):
    run.updates += 1
    losses = run.loss(run.buffer.sample())
    wanted = {key: loss for key, loss in losses.items() if key.startswith("loss_")}
    if run.updates % run.actor_every > 0:
        del wanted["loss_actor"]
    run.optimiser.zero_grad()
    sum(wanted.values()).backward()
    run.optimiser.step()
    run.target.step()


def train(s: Settings, watch):
    """Learn for `total_frames`; `watch(frames, greedy)` is called at each look. Returns the run."""
    run = build(s)
    collector = Collector(
        make_envs(s.envs, 1_000 * s.seed),
        run.explorer,
        frames_per_batch=s.batch_frames,
        total_frames=s.total_frames,
        init_random_frames=s.random_frames,
        auto_register_policy_transforms=False,
        track_traj_ids=False,
    )
    frames = 0
    for batch in collector:
        frames += batch.numel()
        run.buffer.extend(batch.reshape(-1))
        for _ in range(s.updates if frames > s.random_frames else 0):
            learn(run)
        if frames % s.look_every == 0:
            watch(frames, evaluate(run.actor, 10, 500_000_000).mean().item())
    collector.shutdown()
    return run


def main(s: Settings):
    torch.set_num_threads(1)  # networks this small gain nothing from more
    if s.exam is None:
        s.out.mkdir(parents=True, exist_ok=True)
        with (s.out / "log.csv").open("w", newline="") as file:
            log = csv.writer(file)
            log.writerow(["frames", "greedy"])
            run = train(s, lambda *row: (log.writerow(row), print(*row, sep="\t")))
        torch.save({"weights": run.actor.state_dict(), "settings": str(s)}, s.out / "agent.pt")
    actor, path = build(s).actor, s.exam or s.out / "agent.pt"
    actor.load_state_dict(torch.load(path, weights_only=True)["weights"])
    returns = evaluate(actor, 100, 1_000_000_000 + 1_000 * s.seed)
    verdict = "solved" if returns.mean() >= SOLVED else "not solved"
    print(f"{path}: mean {returns.mean():.1f}, worst {returns.min():.0f} of 100 fresh episodes: {verdict}")


if __name__ == "__main__":
    try:
        import tyro
    except ImportError:
        raise SystemExit("tyro, which reads the command line, is not installed: python -m pip install tyro") from None
    main(tyro.cli(Settings, description=__doc__))
