"""Three rovers that learn to hold three posts (MAPPO): the team of lesson 15 in one file.

python team_posts.py --seed 3
python team_posts.py --no-shared-policy           each rover its own policy
python team_posts.py --exam runs/team_posts/agent.pt
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("RL_LOGGING_LEVEL", "WARNING")  # before the import of torchrl, which is talkative

import torch
from tensordict import TensorDict
from tensordict.nn import NormalParamExtractor, TensorDictModule
from torchrl.collectors import Collector
from torchrl.data import Bounded, Composite, Unbounded
from torchrl.envs import EnvBase, ExplorationType, StepCounter, TransformedEnv, set_exploration_type
from torchrl.modules import MultiAgentMLP, ProbabilisticActor, TanhNormal
from torchrl.objectives.multiagent import MAPPOLoss

SOLVED = 0.8  # share of 300 fresh episodes at whose end all three posts are held
POSTS, STEPS = torch.tensor([[0.0, 0.7], [0.6, -0.4], [-0.6, -0.4]]), 25


@dataclass(frozen=True)
class Settings:
    seed: int = 0
    """Weights, moves and starts follow from it."""
    shared_policy: bool = True
    """One policy for all three; else each its own."""
    central_critic: bool = True
    """The critic sees what all three see; else each rover's alone."""
    team_reward: bool = True
    """All are paid for the posts that are held; else each for being at a post."""
    sight: bool = True
    """A rover sees its mates."""
    copies: int = 64
    """Fields that are played on side by side."""
    batches: int = 30
    """How many batches, an episode on each field, are learned from."""
    epochs: int = 8
    """How often all frames of a batch are used."""
    minibatch: int = 400
    """Frames in one update."""
    learning_rate: float = 3e-3
    """Step size at the start; it falls in a straight line to a tenth."""
    gamma: float = 0.9
    """What a reward is worth one step later."""
    lmbda: float = 0.9
    """How far the advantages lean on the rewards that came, rather than on the critic."""
    out: Path = Path("runs/team_posts")
    """Folder for log.csv and agent.pt."""
    exam: Path | None = None
    """An agent.pt: sit the exam with it and do not train."""


def look(place, sight):
    mates = [place.roll(-step, 1) - place for step in (1, 2)]
    seen = torch.cat([place, *(sight * mate for mate in mates)], -1)
    return TensorDict({"agents": TensorDict({"observation": seen}, place.shape[:2])}, place.shape[:1])


def distances(place):
    return torch.cdist(place, POSTS.expand(len(place), 3, 2))  # [copies, rovers, posts]


def pay(place, team_reward):
    distance = distances(place)
    if team_reward:
        return -distance.min(1).values.mean(1, keepdim=True).expand(-1, 3).unsqueeze(-1)
    return -distance.min(2).values.unsqueeze(-1)


class Posts(EnvBase):
    def __init__(self, count, team_reward=True, sight=True):
        super().__init__(batch_size=[count])
        self.team_reward, self.sight, team = team_reward, sight, [count, 3]
        seen = Composite(observation=Unbounded([*team, 6]), shape=team)
        moves = Composite(action=Bounded(-1.0, 1.0, [*team, 2]), shape=team)
        paid = Composite(reward=Unbounded([*team, 1]), shape=team)
        self.observation_spec = Composite(agents=seen, shape=[count])
        self.state_spec = self.observation_spec.clone()
        self.action_spec = Composite(agents=moves, shape=[count])
        self.reward_spec = Composite(agents=paid, shape=[count])
        self.set_seed(0)

    def _set_seed(self, seed):
        self.chance = torch.Generator().manual_seed(seed)

    def _reset(self, tensordict):
        return look(2 * torch.rand(*self.batch_size, 3, 2, generator=self.chance) - 1, self.sight)

    def _step(self, tensordict):
        place = tensordict["agents", "observation"][..., :2]
        place = (place + 0.2 * tensordict["agents", "action"]).clamp(-1, 1)
        answer = look(place, self.sight).set(("agents", "reward"), pay(place, self.team_reward))
        over = torch.zeros(*self.batch_size, 1, dtype=torch.bool)
        return answer.update({"done": over, "terminated": over.clone()})


def network(outputs, central, shared):
    sizes = {"n_agent_inputs": 6, "n_agent_outputs": outputs, "n_agents": 3, "depth": 2, "num_cells": 64}
    return MultiAgentMLP(centralized=central, share_params=shared, activation_class=torch.nn.Tanh, **sizes)


def make_actor(s: Settings):
    moves = torch.nn.Sequential(network(4, False, s.shared_policy), NormalParamExtractor())
    bell = [("agents", "loc"), ("agents", "scale")]
    module = TensorDictModule(moves, in_keys=[("agents", "observation")], out_keys=bell)
    options = {"distribution_class": TanhNormal, "return_log_prob": True}
    return ProbabilisticActor(module, in_keys=bell, out_keys=[("agents", "action")], **options)


def build(s: Settings):
    torch.manual_seed(s.seed)
    run = SimpleNamespace(actor=make_actor(s))
    seen, value = ("agents", "observation"), ("agents", "state_value")
    critic = TensorDictModule(network(1, s.central_critic, True), in_keys=[seen], out_keys=[value])
    run.loss = MAPPOLoss(run.actor, critic, entropy_coeff=0.0)
    run.loss.set_keys(value=value, reward=("agents", "reward"))
    run.loss.make_value_estimator(gamma=s.gamma, lmbda=s.lmbda)
    run.optimiser = torch.optim.Adam(run.loss.parameters(), lr=s.learning_rate, fused=True)
    run.schedule = torch.optim.lr_scheduler.LinearLR(run.optimiser, 1.0, 0.1, s.batches)
    return run


def learn(run, batch, s: Settings):
    with torch.no_grad():
        run.loss.value_estimator(batch)
    frames = batch.reshape(-1)
    for _ in range(s.epochs):
        for part in frames[torch.randperm(len(frames))].split(s.minibatch):
            losses = run.loss(part)
            run.optimiser.zero_grad()
            (losses["loss_objective"] + losses["loss_critic"]).backward()
            torch.nn.utils.clip_grad_norm_(run.loss.parameters(), 1.0)
            run.optimiser.step()
    run.schedule.step()


def train(s: Settings, watch):
    """Play an episode on each field and learn from it; `watch(number, batch)` is called before. Returns the run."""
    run = build(s)
    envs = TransformedEnv(Posts(s.copies, s.team_reward, s.sight), StepCounter(STEPS))
    envs.set_seed(s.seed)
    options = {"frames_per_batch": s.copies * STEPS, "total_frames": s.copies * STEPS * s.batches}
    collector = Collector(envs, run.actor, auto_register_policy_transforms=False, **options)
    for number, batch in enumerate(collector, start=1):
        watch(number, batch)
        learn(run, batch, s)
    collector.shutdown()
    return run


def evaluate(actor, episodes, seed, s: Settings):
    """The share of episodes at whose end all three posts are held."""
    world = Posts(episodes, sight=s.sight)
    world.set_seed(seed)
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        place = world.rollout(STEPS, actor)["next", "agents", "observation"][:, -1, :, :2]
    return (distances(place) < 0.15).any(1).all(1).float().mean().item()


def main(s: Settings):
    torch.set_num_threads(1)  # networks this small gain nothing from more
    if s.exam is None:
        s.out.mkdir(parents=True, exist_ok=True)
        with (s.out / "log.csv").open("w", newline="") as file:
            log = csv.writer(file)
            log.writerow(["batch", "reward"])

            def watch(number, batch):
                row = [number, batch["next", "agents", "reward"].mean().item()]
                log.writerow(row)
                print(*row, sep="\t")

            run = train(s, watch)
        torch.save({"weights": run.actor.state_dict(), "settings": str(s)}, s.out / "agent.pt")
    actor, path = make_actor(s), s.exam or s.out / "agent.pt"
    actor.load_state_dict(torch.load(path, weights_only=True)["weights"])
    held = evaluate(actor, 300, 1_000_000 + s.seed, s)
    print(f"{path}: all posts held in {held:.0%} of 300 fresh episodes: {'' if held >= SOLVED else 'not '}solved")


if __name__ == "__main__":
    try:
        import tyro
    except ImportError:
        raise SystemExit("tyro, which reads the command line, is not installed: python -m pip install tyro") from None
    main(tyro.cli(Settings, description=__doc__))
