import numpy as np
import torch
from tensordict import TensorDict
from torchrl.data import Bounded, Categorical, Composite, Unbounded
from torchrl.envs import EnvBase, GymEnv, RewardScaling, RewardSum, TransformedEnv


def watch_by_next(env, policy, steps):
    seen = []
    td = env.reset()
    while len(seen) < steps:
        td = env.step(policy(td))["next"].exclude("reward")
        seen.append(td["observation"].clone())
    return torch.stack(seen)


def loop_endings(rollout):
    world = clock = 0
    for step in rollout:
        if step["next", "terminated"].item():
            world += 1
        elif step["next", "truncated"].item():
            clock += 1
    return [world, clock]


def build_with_gymnasiums_clock(limit, factor):
    env = TransformedEnv(GymEnv("Pendulum-v1", max_episode_steps=limit), RewardSum())
    env.append_transform(RewardScaling(0.0, factor))
    return env


def room_step_in_place(td):
    out = td.clone()
    out["temperature"] = 0.9 * out["temperature"] + 0.5 + out.pop("action")
    out["reward"] = -torch.maximum(out["temperature"] - 20, 20 - out["temperature"])
    out["terminated"] = torch.where(out["temperature"] > 30, True, False)
    out["done"] = out["terminated"].clone()
    return TensorDict(out.to_dict(), batch_size=td.shape)


class GridWithItsState(EnvBase):
    """The state is in the object, chance is NumPy's, and the flags' spec is TorchRL's own."""

    def __init__(self, count, size):
        super().__init__(batch_size=torch.Size([count]))
        self.count, self.size = count, size
        self.observation_spec = Composite({"position": Categorical(size, [count, 2])}, shape=[count])
        self.action_spec = Categorical(n=4, shape=[count], dtype=torch.int64)
        self.reward_spec = Bounded(-0.1, 1.0, shape=[count, 1])
        self.free = [(row, column) for row in range(size) for column in range(size)][:-1]
        self.places = np.zeros((count, 2), dtype=np.int64)
        self._set_seed(0)

    def _set_seed(self, seed):
        self.chance = np.random.default_rng(seed)

    def _reset(self, tensordict=None, **options):
        begins = np.ones(self.count, dtype=bool)
        if tensordict is not None and "_reset" in tensordict:
            begins = tensordict["_reset"].view(-1).numpy()
        for copy in begins.nonzero()[0]:
            self.places[copy] = self.free[self.chance.integers(len(self.free))]
        return TensorDict(position=torch.tensor(self.places), batch_size=self.batch_size)

    def _step(self, tensordict):
        for copy, action in enumerate(tensordict["action"].tolist()):
            row, column = self.places[copy]
            if action in (0, 2):
                row = min(self.size - 1, max(0, row + action - 1))
            else:
                column = min(self.size - 1, max(0, column + 2 - action))
            self.places[copy] = row, column
        home = torch.tensor(self.places.sum(-1, keepdims=True) == 2 * (self.size - 1))
        reward = torch.full((self.count, 1), -0.1).masked_fill(home, 1)
        return TensorDict(
            position=torch.tensor(self.places), reward=reward, terminated=home, batch_size=self.batch_size
        )


class GridOfNumbers(EnvBase):
    """The state is the number of a cell, an entry of its own beside the observation."""

    def __init__(self, count, size):
        super().__init__(batch_size=[count])
        self.size, self.last = size, size**2 - 1
        rows = Categorical(size, [count, 2])
        self.observation_spec = Composite(position=rows, cell=Categorical(size**2, [count]), shape=[count])
        self.state_spec = Composite(cell=Categorical(size**2, [count]), shape=[count])
        self.action_spec = Categorical(4, [count])
        self.reward_spec = Unbounded([count, 1])
        self.done_spec = Composite(
            done=Categorical(2, [count, 1], dtype=torch.bool),
            terminated=Categorical(2, [count, 1], dtype=torch.bool),
            shape=[count],
        )
        self.generator = torch.Generator()
        self.set_seed(1)

    def _set_seed(self, seed):
        self.generator.manual_seed(seed)

    def seen(self, cell, **more):
        position = torch.stack([cell.div(self.size, rounding_mode="floor"), cell.remainder(self.size)], dim=-1)
        return TensorDict({"cell": cell, "position": position, **more}, self.batch_size)

    def _reset(self, tensordict):
        weights = torch.ones(self.last)
        return self.seen(torch.multinomial(weights, self.numel(), replacement=True, generator=self.generator))

    def _step(self, tensordict):
        cell, action = tensordict["cell"], tensordict["action"]
        row, column = cell // self.size, cell % self.size
        cell = torch.where((action == 0) & (row > 0), cell - self.size, cell)
        cell = torch.where((action == 1) & (column < self.size - 1), cell + 1, cell)
        cell = torch.where((action == 2) & (row < self.size - 1), cell + self.size, cell)
        cell = torch.where((action == 3) & (column > 0), cell - 1, cell)
        home = (cell == self.last).unsqueeze(-1)
        return self.seen(cell, reward=1.1 * home - 0.1, terminated=home, done=home.clone())


OTHERWISE = {
    "1.1": watch_by_next,
    "1.2": loop_endings,
    "1.3": build_with_gymnasiums_clock,
    "1.4": torch.Size([8, 100, 1]),
    "1.5": room_step_in_place,
    "1.6": [GridWithItsState, GridOfNumbers],
}
