"""A stand-in for Unity ML-Agents: two balls on boards, behind the interface of its `UnityEnvironment`.

As there, agents are listed by behaviour, once those that ask for an action and once those whose episode ended; an
agent that ended stands in both lists in the same step, with the first observation of its next episode.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from stand_ins import put

NAME = "Ball?team=0"
SPEC = SimpleNamespace(
    action_spec=SimpleNamespace(discrete_branches=(), continuous_size=2),
    observation_specs=[SimpleNamespace(name="VectorSensor_size4", shape=(4,))],
)


class ActionTuple:
    def add_continuous(self, values) -> None:
        self.continuous = values

    def add_discrete(self, values) -> None:
        self.discrete = values


class UnityEnvironment:
    """A ball rolls as its board is tilted; it falls off at 1, or its time ends after 30 steps (interrupted)."""

    def __init__(self, file_name: str | None = None, **_) -> None:
        self.behavior_specs: dict = {}  # empty before the first reset, as there
        self.random = np.random.default_rng(0)

    def reset(self) -> None:
        self.behavior_specs = {NAME: SPEC}
        self.balls, self.ages = self.random.uniform(-0.2, 0.2, (2, 4)).astype(np.float32), np.zeros(2, int)
        self.moves, self.ended = np.zeros((2, 2), np.float32), []

    def set_action_for_agent(self, behavior, agent_id, action) -> None:
        self.moves[agent_id] = action.continuous[0]

    def step(self) -> None:
        self.balls[:, 2:] += 0.1 * self.moves
        self.balls[:, :2] += self.balls[:, 2:]
        self.ages += 1
        off, late = np.abs(self.balls[:, :2]).max(1) > 1, self.ages >= 30
        self.ended = [(agent, self.balls[agent].copy(), bool(late[agent] and not off[agent])) for agent in (0, 1)]
        self.ended = [last for last in self.ended if off[last[0]] or late[last[0]]]
        for agent, _, _ in self.ended:
            self.balls[agent], self.ages[agent] = self.random.uniform(-0.2, 0.2, 4), 0

    def get_steps(self, behavior):
        last = [agent for agent, _, _ in self.ended]
        return (
            self.listed([0, 1], self.balls, np.full(2, 0.1, np.float32)),
            self.listed(last, [ball for _, ball, _ in self.ended], -np.ones(len(last), np.float32)),
        )

    def listed(self, agents, balls, rewards):
        interrupted = [late for _, _, late in self.ended]
        zeros = np.zeros(len(agents), np.float32)
        facts = {"agent_id": agents, "group_id": [0] * len(agents), "obs": [np.array(balls)], "reward": rewards}
        return SimpleNamespace(**facts, group_reward=zeros, action_mask=None, interrupted=interrupted)

    def close(self) -> None:
        pass


def install() -> None:
    put("mlagents_envs.environment", UnityEnvironment=UnityEnvironment)
    put("mlagents_envs.base_env", ActionTuple=ActionTuple)
    put("mlagents_envs.registry", default_registry={"3DBall": SimpleNamespace(make=UnityEnvironment)})
