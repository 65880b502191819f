"""Real but tiny parts of a training loop, each made when it is first asked for."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from tensordict.nn import TensorDictSequential
from torchrl.collectors import Collector
from torchrl.data import Binary, Categorical, Composite, LazyTensorStorage, TensorDictReplayBuffer, Unbounded
from torchrl.envs import EnvBase
from torchrl.modules import EGreedyModule, QValueActor
from torchrl.objectives import DQNLoss, LossModule, SoftUpdate

# What a parameter may be called, and which part it then gets.
NAMES = {
    "env": ("env", "environment"),
    "network": ("network", "net", "q_network"),
    "actor": ("actor", "agent", "q_actor"),
    "egreedy": ("egreedy", "exploration", "exploration_module", "explore", "epsilon_greedy"),
    "policy": ("policy", "explorer", "exploration_policy"),
    "collector": ("collector",),
    "buffer": ("buffer", "replay_buffer", "memory", "rb"),
    "loss_module": ("loss_module", "loss", "loss_fn"),
    "optimiser": ("optimiser", "optimizer", "optim", "opt"),
    "target_updater": ("target_updater", "updater", "target_update", "target_net_updater", "target"),
    "updates": ("updates", "updates_per_block", "num_updates"),
    "blocks": ("blocks",),
    "frames_per_batch": ("frames_per_batch", "frames_per_block"),
    "total_frames": ("total_frames", "frames"),
    "batch_size": ("batch_size",),
}
PART_OF = {name: part for part, names in NAMES.items() for name in names}
SPELLINGS = ("env", "actor", "egreedy", "policy", "collector", "buffer", "loss_module", "optimiser", "target_updater")


class Walk(EnvBase):
    """A walk of a few steps to the left or right, from a random place; it ends at the rim, or is cut after six."""

    def __init__(self) -> None:
        super().__init__(batch_size=[])
        self.observation_spec = Composite(observation=Unbounded(3))
        self.action_spec = Categorical(2)
        self.reward_spec = Unbounded(1)
        self.full_done_spec = Composite(
            {name: Binary(1, dtype=torch.bool) for name in ("done", "terminated", "truncated")}
        )
        self.random = torch.Generator().manual_seed(0)

    def _set_seed(self, seed: int | None) -> None:
        self.random.manual_seed(seed or 0)

    def _look(self) -> torch.Tensor:
        noise = torch.rand(1, generator=self.random)  # no two observations are the same
        return torch.cat([torch.tensor([self.place, self.steps / 6]), noise])

    def _reset(self, tensordict: TensorDictBase | None = None) -> TensorDictBase:
        self.place, self.steps = float(torch.rand(1, generator=self.random)) - 0.5, 0
        no = torch.zeros(1, dtype=torch.bool)
        return TensorDict({"observation": self._look(), "done": no, "terminated": no.clone(), "truncated": no.clone()})

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        self.place += 0.3 if int(tensordict["action"]) else -0.3
        self.steps += 1
        over, late = torch.tensor([abs(self.place) > 1]), torch.tensor([self.steps >= 6])
        reward = torch.tensor([1.0 - abs(self.place)])
        return TensorDict(
            {
                "observation": self._look(),
                "reward": reward,
                "terminated": over,
                "truncated": late,
                "done": over | late,
            }
        )


class TinyParts:
    """What a loop is handed: what was given, and tiny parts made to fit for the rest.

    Args:
        given: parts by the names of `NAMES`, or numbers, which take the place of the tiny ones.
        seed: of the first weights.
    """

    def __init__(self, given: dict[str, Any] | None = None, seed: int = 0) -> None:
        self.parts: dict[str, Any] = {"updates": 3, "blocks": 4, "frames_per_batch": 10, "batch_size": 8}
        self.seed = seed
        self.parts |= {PART_OF.get(name, name): part for name, part in (given or {}).items()}

    def get(self, name: str) -> Any:
        """The part of this name, made if it is not there yet."""
        if name not in self.parts:
            self.parts[name] = getattr(self, f"make_{name}")()
        return self.parts[name]

    def make_total_frames(self) -> int:
        return self.get("blocks") * self.get("frames_per_batch")

    def make_env(self) -> EnvBase:
        env = Walk()
        env.set_seed(self.seed)
        return env

    def make_network(self) -> torch.nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))

    def make_actor(self) -> torch.nn.Module:
        return QValueActor(self.get("network"), in_keys=["observation"], spec=Categorical(2))

    def make_egreedy(self) -> torch.nn.Module:
        return EGreedyModule(Categorical(2), eps_init=1.0, eps_end=0.1, annealing_num_steps=1_000)

    def make_policy(self) -> torch.nn.Module:
        if "actor" in self.parts and not isinstance(self.parts["actor"], QValueActor):
            return self.parts["actor"]  # it explores by itself
        return TensorDictSequential(self.get("actor"), self.get("egreedy"))

    def make_collector(self) -> Collector:
        return Collector(
            self.get("env"),
            self.get("policy"),
            frames_per_batch=self.get("frames_per_batch"),
            total_frames=self.get("total_frames"),
            auto_register_policy_transforms=False,
        )

    def make_buffer(self) -> TensorDictReplayBuffer:
        return TensorDictReplayBuffer(storage=LazyTensorStorage(1_000), batch_size=self.get("batch_size"))

    def make_loss_module(self) -> LossModule:
        loss = DQNLoss(self.get("actor"), loss_function="l2", delay_value=True)
        loss.make_value_estimator(gamma=0.9)
        return loss

    def make_optimiser(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.get("loss_module").parameters(), lr=1e-2)

    def make_target_updater(self) -> SoftUpdate:
        return SoftUpdate(self.get("loss_module"), eps=0.9)

    def arguments(self, loop: Callable) -> dict[str, Any]:
        """What to call a loop with: the parts that its parameters name.

        Raises:
            ValueError: a parameter has a name that no part has.
        """
        arguments = {}
        for name, parameter in inspect.signature(loop).parameters.items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            part = PART_OF.get(name, name)
            if part not in self.parts and parameter.default is not parameter.empty:
                continue
            if part not in self.parts and part not in NAMES:
                raise ValueError(
                    f"No part is called `{name}`. A parameter can be one of {', '.join(SPELLINGS)}; anything else you "
                    f"give yourself: `watch_loop({getattr(loop, '__name__', 'my_loop')}, {name}=...)`."
                )
            arguments[name] = part
        if "target_updater" in arguments.values():
            self.get("target_updater")  # before the loss is used: TorchRL warns otherwise
        return {name: self.get(part) for name, part in arguments.items()}
