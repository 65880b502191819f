"""A stand-in for SMAC v2: two small teams in a row, behind the interface of its `StarCraft2Env`.

As there, moves are no-op, stop, four directions, and one attack for each enemy; the dead may only do nothing, and a
move that is not available is an AssertionError.
"""

from __future__ import annotations

import numpy as np

from stand_ins import put


class StarCraft2Env:
    n_agents, n_enemies, n_actions = 3, 3, 9

    def __init__(self, map_name: str, seed: int | None = None, **_) -> None:
        self.random = np.random.default_rng(seed)

    def reset(self):
        self.health, self.theirs, self.steps = np.ones(self.n_agents), np.ones(self.n_enemies), 0
        return self.get_obs(), self.get_state()

    def get_avail_actions(self):
        rows = []
        for health in self.health:
            attacks = [int(enemy > 0) for enemy in self.theirs]
            rows.append([0, 1, 1, 1, 1, 1, *attacks] if health > 0 else [1, *[0] * (self.n_actions - 1)])
        return rows

    def step(self, actions):
        available = self.get_avail_actions()
        for agent, action in enumerate(actions):
            assert available[agent][int(action)], f"Agent {agent} cannot perform action {int(action)}"
            if action >= 6:
                self.theirs[int(action) - 6] = max(0.0, self.theirs[int(action) - 6] - 0.25)
        if (alive := np.flatnonzero(self.health)).size:
            self.health[self.random.choice(alive)] -= 0.25
        self.steps += 1
        won, lost = not self.theirs.any(), not self.health.any()
        info = {"battle_won": won, "dead_allies": int((self.health == 0).sum())}
        info["dead_enemies"] = int((self.theirs == 0).sum())
        return float(self.n_enemies - self.theirs.sum()), won or lost or self.steps >= 40, info

    def get_obs(self):
        return [np.concatenate([[health], self.theirs]).astype(np.float32) for health in self.health]

    def get_state(self):
        return np.concatenate([self.health, self.theirs]).astype(np.float32)

    def get_obs_size(self):
        return 1 + self.n_enemies

    def get_state_size(self):
        return self.n_agents + self.n_enemies

    def close(self) -> None:
        pass


def install() -> None:
    put("smacv2.env", StarCraft2Env=StarCraft2Env, StarCraftCapabilityEnvWrapper=StarCraft2Env)
