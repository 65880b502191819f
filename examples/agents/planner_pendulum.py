"""A world model and a planner on Pendulum, solved within some 600 real frames: lesson 16 in one file.

python planner_pendulum.py --seed 3
python planner_pendulum.py --exam runs/planner_pendulum/model.pt
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("RL_LOGGING_LEVEL", "WARNING")  # before the import of torchrl, which is talkative

import gymnasium as gym
import torch
from gymnasium.vector import AutoresetMode
from torchrl.envs import GymWrapper
from torchrl.modules import MultiAgentMLP

SOLVED = -200  # mean return of fresh episodes
SCALE = torch.tensor([1.0, 1.0, 8.0, 2.0])  # cosine, sine, speed, torque
CHANGE = torch.tensor([0.2, 0.2, 0.8])  # as much as one step may change


@dataclass(frozen=True)
class Settings:
    seed: int = 0
    """Weights, plans and episodes follow from it."""
    episodes: int = 3
    """Real episodes of 200 frames: one at random, then with a plan at each step."""
    members: int = 5
    """Networks in the model; each judges its share of the candidates."""
    width: int = 64
    """Units in each of a network's two hidden layers."""
    learning_rate: float = 3e-3
    """Step size of Adam."""
    batch_size: int = 128
    """Frames in one update, other ones for each network."""
    first_updates: int = 1_000
    """Updates after the first episode."""
    more_updates: int = 500
    """Updates after each further one."""
    horizon: int = 20
    """Steps that are imagined ahead."""
    hold: int = 4
    """Steps for which the noise of a candidate stays the same."""
    candidates: int = 30
    """Sequences of torques that are imagined in each round; a multiple of `members`."""
    elites: int = 5
    """The best of them, around which the next round searches."""
    rounds: int = 2
    """Rounds of the search at each step."""
    exam_episodes: int = 20
    """Fresh episodes of the exam."""
    out: Path = Path("runs/planner_pendulum")
    """Folder for log.csv and model.pt."""
    exam: Path | None = None
    """A model.pt: sit the exam with it and do not learn."""


def play(policy, episodes, seed):
    copies = gym.make_vec("Pendulum-v1", episodes, "sync", vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP})
    envs = GymWrapper(copies)
    envs.set_seed(seed)
    with torch.no_grad():
        return envs.rollout(200, policy)


def pay(state, action):
    """What a step is paid: [..., 3] and [..., 1] -> [...]. The planner is told; all else it learns."""
    angle = torch.atan2(state[..., 1], state[..., 0])  # 0 is upright
    return -(angle**2 + 0.1 * state[..., 2] ** 2 + 0.001 * action[..., 0] ** 2)


def make_model(s: Settings):
    return MultiAgentMLP(
        n_agent_inputs=4,
        n_agent_outputs=3,
        n_agents=s.members,
        centralized=False,
        share_params=False,
        depth=2,
        num_cells=s.width,
        activation_class=torch.nn.SiLU,
    )


def changes(model, state, action):
    return CHANGE * model(torch.cat([state, action], -1) / SCALE)


def predict(model, state, action):
    """The state after a step: [..., members, 3] and [..., members, 1] -> [..., members, 3]."""
    state = state + changes(model, state, action)
    on_circle = torch.nn.functional.normalize(state[..., :2], dim=-1)
    return torch.cat([on_circle, state[..., 2:].clamp(-8, 8)], -1)


def fit(model, frames, updates, s: Settings):
    optimiser = torch.optim.Adam(model.parameters(), lr=s.learning_rate, fused=True)
    wanted = frames["next", "observation"] - frames["observation"]
    for _ in range(updates):
        some = torch.randint(len(frames), (s.batch_size, s.members))
        said = changes(model, frames["observation"][some], frames["action"][some])
        loss = ((said - wanted[some]) / CHANGE).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


@torch.no_grad()
def imagined_return(model, state, actions, s: Settings):
    """[starts, 3] and [starts, candidates, horizon] -> [starts, candidates]; the members take turns to judge."""
    actions = actions.unflatten(1, (-1, s.members))
    state, rewards = state[:, None, None].expand(*actions.shape[:3], 3), []
    for action in actions.unsqueeze(-1).unbind(-2):
        rewards.append(pay(state, action))
        state = predict(model, state, action)
    return torch.stack(rewards, -1).sum(-1).flatten(1)


def search(model, state, plan, s: Settings):
    """The cross-entropy method: a better plan [starts, horizon] around the one that is there."""
    spread = torch.full_like(plan, 1.5)
    for _ in range(s.rounds):
        noise = torch.randn(len(state), s.candidates, s.horizon // s.hold).repeat_interleave(s.hold, -1)
        actions = (plan.unsqueeze(1) + spread.unsqueeze(1) * noise).clamp(-2, 2)
        best = imagined_return(model, state, actions, s).topk(s.elites, 1).indices
        chosen = actions.gather(1, best.unsqueeze(-1).expand(-1, -1, s.horizon))
        plan, spread = chosen.mean(1), chosen.std(1)
    return plan


class Planner:
    """Plans at each step, does the first torque, and keeps the rest as the start of the next plan."""

    def __init__(self, model, s: Settings):
        self.model, self.settings, self.plan = model, s, None

    def __call__(self, td):
        state = td["observation"]
        if self.plan is None:
            self.plan = torch.zeros(len(state), self.settings.horizon)
        self.plan = search(self.model, state, self.plan, self.settings)
        action = self.plan[:, :1]
        self.plan = torch.cat([self.plan[:, 1:], torch.zeros_like(action)], 1)
        return td.set("action", action)


def evaluate(model, episodes, seed, s: Settings):
    return play(Planner(model, s), episodes, seed)["next", "reward"].sum(1).squeeze(-1)


def train(s: Settings, watch):
    """Play, learn, play; `watch(frames, return)` is called after each episode. Returns model and frames."""
    torch.manual_seed(s.seed)
    model, frames = make_model(s), None
    for episode in range(s.episodes):
        policy = Planner(model, s) if episode else None
        new = play(policy, 1, 1_000 * s.seed + episode)[0].select("observation", "action", "next")
        frames = new if frames is None else torch.cat([frames, new])
        fit(model, frames, s.more_updates if episode else s.first_updates, s)
        watch(len(frames), new["next", "reward"].sum().item())
    return model, frames


def main(s: Settings):
    torch.set_num_threads(1)  # networks this small gain nothing from more
    if s.exam is None:
        s.out.mkdir(parents=True, exist_ok=True)
        with (s.out / "log.csv").open("w", newline="") as file:
            log = csv.writer(file)
            log.writerow(["frames", "return"])
            model, _ = train(s, lambda *row: (log.writerow(row), print(*row, sep="\t")))
        torch.save({"weights": model.state_dict(), "settings": str(s)}, s.out / "model.pt")
    model, path = make_model(s), s.exam or s.out / "model.pt"
    model.load_state_dict(torch.load(path, weights_only=True)["weights"])
    returns = evaluate(model, s.exam_episodes, 1_000_000_000 + 1_000 * s.seed, s)
    verdict = "solved" if returns.mean() >= SOLVED else "not solved"
    print(f"{path}: mean {returns.mean():.0f}, worst {returns.min():.0f} of {len(returns)} fresh episodes: {verdict}")


if __name__ == "__main__":
    try:
        import tyro
    except ImportError:
        raise SystemExit("tyro, which reads the command line, is not installed: python -m pip install tyro") from None
    main(tyro.cli(Settings, description=__doc__))
