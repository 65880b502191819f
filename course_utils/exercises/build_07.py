"""Exercise 7.5: DQN for any task, judged by what it learns in small worlds whose best actions are known."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from tensordict import TensorDict

from course_utils.exercises.exercise import Build, Draw, Mutant


@dataclass(frozen=True)
class Table:
    """A world of a few states: what each action in each state leads to, pays, and whether the world ends there."""

    follows: torch.Tensor  # whole numbers, shape [states, actions]
    pays: torch.Tensor
    ends: torch.Tensor
    looks: torch.Tensor  # what is seen of each state, shape [states, numbers]
    limit: int  # steps after which an episode is truncated

    def values(self, gamma: float, policy: torch.Tensor | None = None) -> torch.Tensor:
        """The worth of every action in every state, of the best policy or of this one."""
        values = torch.zeros_like(self.pays)
        for _ in range(200):
            after = values.max(1).values if policy is None else values.gather(1, policy[:, None]).squeeze(1)
            values = self.pays + gamma * after[self.follows] * ~self.ends
        return values


def _environment(table: Table, count: int, seed: int) -> Any:
    """So many copies of a world, side by side, as a TorchRL environment."""
    from torchrl.data import Categorical, Composite, Unbounded
    from torchrl.envs import EnvBase

    class World(EnvBase):
        def __init__(self) -> None:
            super().__init__(batch_size=[count])
            numbers = table.looks.shape[1]
            self.observation_spec = Composite(
                observation=Unbounded((count, numbers)),
                state=Unbounded((count, 1), dtype=torch.int64),
                clock=Unbounded((count, 1), dtype=torch.int64),
                shape=[count],
            )
            self.action_spec = Categorical(table.pays.shape[1], shape=[count])
            self.reward_spec = Unbounded((count, 1))
            self.full_done_spec = Composite(
                {
                    key: Categorical(2, dtype=torch.bool, shape=[count, 1])
                    for key in ("done", "terminated", "truncated")
                },
                shape=[count],
            )
            self.random = torch.Generator().manual_seed(seed)

        def _set_seed(self, seed: int | None) -> None:
            self.random.manual_seed(seed or 0)

        def _seen(self, state: torch.Tensor, clock: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"observation": table.looks[state.squeeze(-1)], "state": state, "clock": clock}

        def _reset(self, tensordict: TensorDict | None, **options) -> TensorDict:
            state = torch.randint(len(table.pays), (count, 1), generator=self.random)
            off = torch.zeros(count, 1, dtype=torch.bool)
            flags = {"done": off, "terminated": off.clone(), "truncated": off.clone()}
            return TensorDict(self._seen(state, torch.zeros_like(state)) | flags, [count])

        def _step(self, tensordict: TensorDict) -> TensorDict:
            place = tensordict["state"].squeeze(-1), tensordict["action"].reshape(count)
            clock = tensordict["clock"] + 1
            ends, late = table.ends[place].unsqueeze(-1), clock >= table.limit
            flags = {"done": ends | late, "terminated": ends, "truncated": late}
            seen = self._seen(table.follows[place].unsqueeze(-1), clock)
            return TensorDict(seen | flags | {"reward": table.pays[place].unsqueeze(-1)}, [count])

    return World()


@dataclass(frozen=True)
class Task:
    """What `train_on` is told of a task; the lesson's own has the same names."""

    make_envs: Callable[[int, int], Any]
    score: Callable[[Any], float]
    scale: tuple[float, ...]
    gamma: float
    frames: int
    table: Table

    def states(self) -> TensorDict:
        return TensorDict({"observation": self.table.looks.clone()}, [len(self.table.looks)])


def _task(table: Table, scale: torch.Tensor, gamma: float, frames: int = 3_072) -> Task:
    def score(agent: Any) -> float:
        with torch.no_grad():
            chosen = agent(TensorDict({"observation": table.looks.clone()}, [len(table.looks)]))["action"]
        return table.values(gamma, chosen.reshape(-1)).gather(1, chosen.reshape(-1, 1)).mean().item()

    return Task(
        lambda count, seed: _environment(table, count, seed), score, tuple(scale.tolist()), gamma, frames, table
    )


def _looks(draw: Draw, states: int) -> tuple[torch.Tensor, torch.Tensor]:
    """One small number of its own for each state, and a large one that tells nothing; what brings them to one size."""
    looks = torch.cat([0.02 * torch.eye(states), torch.full((states, 1), 40.0)], 1)
    scale = torch.cat([torch.full((states,), 50.0), torch.tensor([0.01])])
    order = torch.argsort(draw.normal(states + 1))
    return looks[:, order], scale[order]


def _corridor(draw: Draw, gamma: float) -> Task:
    """Five cells in a row. Beyond the last one waits 1, before the first one 0.3; other actions stay where they are."""
    cells, actions = 5, 3 + draw.turn(2)
    left, right = torch.argsort(draw.normal(actions))[:2].tolist()
    follows = torch.arange(cells)[:, None].repeat(1, actions)
    follows[1:, left], follows[:-1, right] = torch.arange(cells - 1), torch.arange(1, cells)
    pays, ends = torch.zeros(cells, actions), torch.zeros(cells, actions, dtype=torch.bool)
    pays[0, left], pays[-1, right] = 0.3, 1.0
    ends[0, left] = ends[-1, right] = True
    looks, scale = _looks(draw, cells)
    return _task(Table(follows, pays, ends, looks, limit=12), scale, gamma)


def _clock(draw: Draw) -> Task:
    """Two states: going on pays 0.1 a step for ever, quitting 0.5 once; the clock stops after three steps."""
    go_on, quit_now = torch.argsort(draw.normal(2)).tolist()
    follows = torch.tensor([[1, 1], [0, 0]])
    pays, ends = torch.zeros(2, 2), torch.zeros(2, 2, dtype=torch.bool)
    pays[:, go_on], pays[:, quit_now], ends[:, quit_now] = 0.1, 0.5, True
    looks, scale = _looks(draw, 2)
    return _task(Table(follows, pays, ends, looks, limit=3), scale, 0.9, frames=4_096)


NOT_AN_ACTOR = (
    "`train_on` gave {what}. Give the trained actor: a module that takes a tensordict with `observation` and writes "
    "`action`, one whole number for each row."
)
EXPLORES = "Asked twice about the same states, your agent chose different actions: give the actor, without exploration."
LEARNED_NOTHING = (
    "In a corridor of five cells, with 1 beyond its right end and 0.3 before its left one, your agent is wrong in the "
    "cells {cells} (gamma is {gamma})."
)
CLOCK = (
    "Going on paid 0.1 a step without end, quitting 0.5 once, and a clock cut each episode after three steps: your "
    "agent quits. A truncated step has a future: bootstrap through everything but `terminated`."
)
GAMMA = (
    "With `task.gamma` of 0.2 what waits far away is worth next to nothing, and your agent still goes for it, from the "
    "cells {cells}: does your value estimator get `task.gamma`?"
)
SEED = "Called twice with the same seed, it gave two different agents. Seed torch before the network is built."
SAME = "Called with two different seeds, it gave the very same agent: is `seed` used?"


def _ignore(*frames, **values) -> None:
    """A watcher that looks away."""


def _train(train_on: Callable, task: Task, seed: int) -> tuple[Any, str]:
    """The agent that was trained, and what is wrong with it as an actor."""
    agent = train_on(task, seed, _ignore)
    if not callable(agent):
        return agent, NOT_AN_ACTOR.format(what=type(agent).__name__)
    written = _ask(agent, task)
    action = written.get("action") if isinstance(written, TensorDict) else None
    if action is None:
        return agent, NOT_AN_ACTOR.format(what=f"a {type(agent).__name__} that writes no action")
    if action.numel() != len(task.table.looks) or action.is_floating_point():
        return agent, NOT_AN_ACTOR.format(what=f"actions of shape {list(action.shape)}, {action.dtype}")
    return agent, ""


def _ask(agent: Any, task: Task) -> Any:
    from torchrl.envs import ExplorationType, set_exploration_type

    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        return agent(task.states())


def _chosen(agent: Any, task: Task) -> torch.Tensor:
    return _ask(agent, task)["action"].reshape(-1)


def _wrong(agent: Any, task: Task) -> list[int]:
    """The states in which the agent does not take the best action, from 1 on."""
    wrong = _chosen(agent, task) != task.table.values(task.gamma).argmax(1)
    return [place + 1 for place, missed in enumerate(wrong.tolist()) if missed]


def _missed(train_on: Callable, task: Task, seed: int) -> list[int]:
    """The states in which an agent from another seed is wrong, too: one run of a right loop may be unlucky."""
    return _wrong(_train(train_on, task, seed + 1)[0], task)


def examine(train_on: Callable, draw: Draw) -> str:
    """Three small worlds: one to be learned at all, one with a clock, one for the short-sighted; then the seeds."""
    seed = int(draw.integers(0, 1000, 1))
    task = _corridor(draw, gamma=0.9)
    agent, wrong = _train(train_on, task, seed)
    if wrong:
        return wrong
    if len({tuple(_chosen(agent, task).tolist()) for _ in range(8)}) > 1:
        return EXPLORES
    if _wrong(agent, task) and (cells := _missed(train_on, task, seed)):
        return LEARNED_NOTHING.format(cells=cells, gamma=task.gamma)
    task = _clock(draw)
    agent, wrong = _train(train_on, task, seed)
    if wrong or _wrong(agent, task) and _missed(train_on, task, seed):
        return wrong or CLOCK
    task = _corridor(draw, gamma=0.2)
    agent, wrong = _train(train_on, task, seed)
    if wrong or _wrong(agent, task) and (cells := _missed(train_on, task, seed)):
        return wrong or GAMMA.format(cells=cells)
    return _seeds(train_on, _task(task.table, torch.tensor(task.scale), task.gamma, frames=512), seed)


def _seeds(train_on: Callable, task: Task, seed: int) -> str:
    """The same seed twice, then another one, on very few frames."""
    values = [_ask(train_on(task, one, _ignore), task).get("action_value") for one in (seed, seed, seed + 1)]
    if any(value is None for value in values):
        return ""  # an actor of another kind does not tell its values
    if not torch.equal(values[0], values[1]):
        return SEED
    return SAME if torch.equal(values[0], values[2]) else ""


class _Scaled(torch.nn.Module):
    def __init__(self, scale: tuple[float, ...], layers: torch.nn.Module) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(scale))
        self.layers = layers

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.layers(inputs * self.scale)


def train_on(task: Task, seed: int, watch: Callable, change: str = "") -> Any:
    """A right answer; `change` names what a mutant does otherwise."""
    from tensordict.nn import TensorDictSequential
    from torchrl.collectors import Collector
    from torchrl.data import Categorical, LazyTensorStorage, TensorDictReplayBuffer
    from torchrl.modules import MLP, EGreedyModule, QValueActor
    from torchrl.objectives import DQNLoss, HardUpdate

    if change != "no seed":
        torch.manual_seed(0 if change == "one seed" else seed)
    envs = task.make_envs(16, 0 if change == "one seed" else seed)
    inputs, actions = envs.observation_spec["observation"].shape[-1], envs.full_action_spec["action"].space.n
    layers = MLP(inputs, actions, num_cells=[64, 64], activation_class=torch.nn.ReLU)
    agent = QValueActor(_Scaled(task.scale, layers), in_keys=["observation"], spec=Categorical(actions))
    egreedy = EGreedyModule(Categorical(actions), 1.0, 0.1, annealing_num_steps=task.frames // 2)
    buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(50_000), batch_size=32 * 64)
    loss_module = DQNLoss(agent, delay_value=True, double_dqn=True)
    loss_module.make_value_estimator(gamma=0.9 if change == "own gamma" else task.gamma)
    updater = HardUpdate(loss_module, value_network_update_interval=16)
    optimiser = torch.optim.Adam(loss_module.parameters(), lr=2e-3)
    collector = Collector(
        envs,
        TensorDictSequential(agent, egreedy),
        frames_per_batch=256,
        total_frames=task.frames,
        auto_register_policy_transforms=False,
        track_traj_ids=False,
    )
    for batch in collector:
        if change == "done":
            batch["next", "terminated"] = batch["next", "done"]
        buffer.extend(batch.reshape(-1))
        egreedy.step(batch.numel())
        if change == "untrained":
            continue
        for part in buffer.sample().split(64):
            loss = loss_module(part)["loss"]
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            updater.step()
    collector.shutdown()
    return agent


def _changed(change: str) -> Callable:
    def train(task: Task, seed: int, watch: Callable) -> Any:
        return train_on(task, seed, watch, change)

    return train


class _Restless(torch.nn.Module):
    """An agent that goes on exploring, whatever it is told."""

    def __init__(self, agent: Any) -> None:
        super().__init__()
        self.agent = agent

    def forward(self, data: TensorDict) -> TensorDict:
        data = self.agent(data)
        other = torch.randint_like(data["action"], data["action_value"].shape[-1])
        return data.set("action", torch.where(torch.rand(data.shape) < 0.5, other, data["action"]))


def _restless(task: Task, seed: int, watch: Callable) -> Any:
    return _Restless(train_on(task, seed, watch))


def _copied_weights(task: Task, seed: int, watch: Callable) -> Any:
    """Trains, and gives back the weights it began with."""
    first = train_on(deepcopy(task), seed, watch, "untrained")
    train_on(task, seed, watch)
    return first


MUTANTS = [
    Mutant("untrained", _copied_weights, "your agent is wrong in the cells"),
    Mutant("explores for ever", _restless, EXPLORES),
    Mutant("done for terminated", _changed("done"), CLOCK),
    Mutant("gamma of its own", _changed("own gamma"), "does your value estimator get `task.gamma`?"),
    Mutant("no seed", _changed("no seed"), SEED),
    Mutant("one seed for all", _changed("one seed"), SAME),
    Mutant("gives no actor", lambda task, seed, watch: task.frames, "`train_on` gave int"),
]

BUILD = Build(
    number="7.5",
    tests="From scratch it learns three small worlds: far goals, clocks and discounts; and it keeps to its seed.",
    reference=train_on,
    examine=examine,
    mutants=MUTANTS,
)
