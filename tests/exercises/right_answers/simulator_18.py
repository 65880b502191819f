"""Right answers to lesson 18, one part of them, written in other ways than the lesson's."""

import numpy as np
import torch
from tensordict import TensorDict
from torchrl.data import Bounded, Categorical, Composite, Unbounded
from torchrl.envs import EnvBase


def by_rows_restart(state, steps, start, begins):
    new, counts = state.clone(), steps.clone()
    for row, begun in enumerate(begins.flatten().tolist()):
        if begun:
            new[row], counts[row] = start[row], 0
    return new, counts


def flags(count):
    one = Categorical(2, [count, 1], dtype=torch.bool)
    return Composite(done=one, terminated=one.clone(), truncated=one.clone(), shape=[count])


class ReservoirsInTheTensordict(EnvBase):
    """The state, the day too, lies in the tensordict; what `_reset` gives to rows that go on is left out by TorchRL."""

    def __init__(self, count, days):
        super().__init__(batch_size=[count])
        self.days = days
        self.observation_spec = Composite(
            level=Bounded(0.0, 10.0, [count, 1]), day=Bounded(0, days, [count, 1], dtype=torch.int64), shape=[count]
        )
        self.state_spec = self.observation_spec.clone()
        self.action_spec = Bounded(0.0, 1.0, [count, 1])
        self.reward_spec = Bounded(-5.0, 0.0, [count, 1])
        self.done_spec = flags(count)
        self.set_seed(3)

    def _set_seed(self, seed):
        self.chance = torch.Generator().manual_seed(seed)

    def uniform(self, low, high):
        return torch.empty(*self.batch_size, 1).uniform_(low, high, generator=self.chance)

    def _reset(self, tensordict):
        day = torch.zeros(*self.batch_size, 1, dtype=torch.int64)
        return TensorDict({"level": self.uniform(4, 6), "day": day}, self.batch_size)

    def _step(self, tensordict):
        water = tensordict["level"] - 2 * tensordict["action"].clamp(0, 1) + self.uniform(0, 2)
        day = tensordict["day"] + 1
        lost, late = (water <= 0).logical_or(water >= 10), day == self.days
        level = water.clamp(0, 10)
        answer = {
            "level": level,
            "day": day,
            "reward": torch.minimum(level - 5, 5 - level),
        }
        ends = {"terminated": lost, "truncated": late & ~lost, "done": lost | late}
        return TensorDict(answer | ends, self.batch_size)


class ReservoirsOfNumPy(EnvBase):
    """NumPy inside, a generator of NumPy's, a loop over those that begin anew."""

    def __init__(self, count, days):
        super().__init__(batch_size=[count])
        self.count, self.days = count, days
        self.level, self.left = np.full(count, 5.0), np.full(count, days)
        self.observation_spec = Composite(level=Bounded(0.0, 10.0, [count, 1]), shape=[count])
        self.action_spec, self.reward_spec = Bounded(0.0, 1.0, [count, 1]), Unbounded([count, 1])
        self.done_spec = flags(count)
        self._set_seed(None)

    def _set_seed(self, seed):
        self.dice = np.random.default_rng(seed)

    def look(self, **more):
        lost, late = (self.level <= 0) | (self.level >= 10), self.left <= 0
        flags = {"terminated": lost, "truncated": late, "done": lost | late}
        columns = {name: torch.tensor(flag).unsqueeze(-1) for name, flag in flags.items()}
        level = torch.tensor(self.level, dtype=torch.float32).unsqueeze(-1)
        return TensorDict({"level": level, **columns, **more}, self.batch_size)

    def _reset(self, tensordict):
        rows = range(self.count)
        if tensordict is not None and "_reset" in tensordict:
            rows = tensordict["_reset"].flatten().nonzero().flatten().tolist()
        for row in rows:
            self.level[row], self.left[row] = self.dice.uniform(4, 6), self.days
        return self.look()

    def _step(self, tensordict):
        gate = tensordict["action"].squeeze(-1).numpy().clip(0, 1)
        self.level = np.clip(self.level + self.dice.uniform(0, 2, self.count) - 2 * gate, 0, 10)
        self.left = self.left - 1
        reward = torch.tensor(-np.abs(self.level - 5), dtype=torch.float32).unsqueeze(-1)
        return self.look(reward=reward)


OTHERWISE = {"18.5": by_rows_restart, "18.6": [ReservoirsInTheTensordict, ReservoirsOfNumPy]}
