"""Simulators with nothing wrong in them, in all the forms and spaces that a learner may bring."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import FrameStackObservation, TimeLimit
from tensordict import TensorDict
from torchrl.data import Binary, Bounded, Categorical, Composite, MultiCategorical, OneHot, Unbounded
from torchrl.envs import (
    EnvBase,
    GymEnv,
    GymWrapper,
    InitTracker,
    ParallelEnv,
    PendulumEnv,
    RewardSum,
    SerialEnv,
    StepCounter,
    TicTacToeEnv,
    TransformedEnv,
    UnsqueezeTransform,
)


class Cart(gym.Env):
    """A cart on a track that is pushed; it is lost at the ends, and its time is 40 steps."""

    def __init__(self):
        self.observation_space = Box(-10, 10, (2,), np.float32)
        self.action_space = Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = self.np_random.uniform(-0.5, 0.5, 2)
        self.steps = 0
        return self.state.astype(np.float32), {}

    def step(self, action):
        push = float(np.clip(action, -1, 1)[0])
        self.state = self.state + np.array([0.2 * self.state[1], 0.3 * push + 0.2 * self.np_random.normal()])
        self.steps += 1
        lost = bool(abs(self.state[0]) > 2)
        return self.state.clip(-10, 10).astype(np.float32), -abs(push), lost, self.steps >= 40, {}


class Robot(gym.Env):
    """Several kinds of observations and actions at once."""

    observation_space = Dict(
        place=Box(-5, 5, (2,), np.float32),
        inner=Dict(light=Discrete(3), switches=MultiBinary(4)),
        pair=Tuple((Discrete(2), Box(0, 1, (1,)))),
    )
    action_space = Dict(arm=Box(-1, 1, (2,), np.float32), grip=Discrete(3), mode=MultiDiscrete([2, 3]))

    def look(self):
        inner = {"light": int(self.time % 3), "switches": self.switches.copy()}
        return {"place": self.place.copy(), "inner": inner, "pair": (self.time % 2, np.array([0.5], np.float32))}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        self.switches, self.time = np.zeros(4, np.int8), 0
        return self.look(), {}

    def step(self, action):
        self.place = np.clip(self.place + 0.3 * action["arm"], -5, 5).astype(np.float32)
        self.switches[action["grip"]] ^= 1
        self.time += 1
        home = bool(np.linalg.norm(self.place) < 0.2)
        return self.look(), float(action["mode"][0]), home, self.time >= 50, {"time": self.time}


class Masked(gym.Env):
    """Of five moves only some are allowed: the mask is in `info`; a forbidden one is an error."""

    observation_space, action_space = Box(0, 5, (5,), np.float32), Discrete(5)

    def mask(self):
        return (self.left > 0).astype(np.int8)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = self.np_random.integers(1, 5, 5)
        return self.left.astype(np.float32), {"action_mask": self.mask()}

    def step(self, action):
        assert self.left[action] > 0
        self.left = self.left - np.eye(5, dtype=int)[action]
        return self.left.astype(np.float32), 1.0, not self.left.any(), False, {"action_mask": self.mask()}


class Pictures(gym.Env):
    """A dot that walks through a picture; drawn anew at each step, because that is what is seen."""

    observation_space, action_space = Box(0, 255, (24, 24, 3), np.uint8), Discrete(4)

    def render(self):
        picture = np.zeros((24, 24, 3), np.uint8)
        picture[tuple(self.dot)] = 255
        return picture

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.dot, self.steps = self.np_random.integers(24, size=2), 0
        return self.render(), {}

    def step(self, action):
        self.dot = (self.dot + [[0, 1], [1, 0], [0, -1], [-1, 0]][action]).clip(0, 23)
        self.steps += 1
        return self.render(), float((self.dot == 0).any()), bool((self.dot == 0).all()), self.steps >= 30, {}


class Bandit(gym.Env):
    """One step an episode: the context tells which arm pays."""

    observation_space, action_space = Box(-5, 5, (3,), np.float32), Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.context = self.np_random.normal(size=3).clip(-5, 5).astype(np.float32)
        return self.context.copy(), {}

    def step(self, action):
        return self.context.copy(), float(self.context[action]), True, False, {}


class Thermostat(gym.Env):
    """A task that goes on for ever, and leaves nothing to chance."""

    observation_space, action_space = Box(-50, 50, (1,), np.float32), Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.heat = 20.0
        return np.array([self.heat], np.float32), {}

    def step(self, action):
        self.heat += 0.1 * (15 - self.heat) + action
        return np.array([self.heat], np.float32), -abs(self.heat - 20), False, False, {}


class Exam(gym.Env):
    """Five questions; the world ends with the last, and the observation counts them."""

    observation_space, action_space = Box(0, 9, (2,), np.float32), Discrete(3)

    def look(self):
        return np.array([self.number, self.answer], np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.number, self.answer = 0, int(self.np_random.integers(3))
        return self.look(), {}

    def step(self, action):
        right = float(action == self.answer)
        self.number, self.answer = self.number + 1, int(self.np_random.integers(3))
        return self.look(), right, self.number == 6, False, {}


class Lake:
    """A plain class: no Gymnasium, a seed for its maker alone."""

    def __init__(self, seed=3):
        self.dice = np.random.default_rng(seed)

    def reset(self):
        self.level, self.day = float(self.dice.uniform(4, 6)), 0
        return np.array([self.level])

    def step(self, action):
        self.level += float(self.dice.normal()) - 0.5 * action
        self.day += 1
        return np.array([self.level]), -abs(self.level - 5), self.day >= 30 or self.level < 0


class Crane:
    """A plain class with a seed, arrays as actions and five things from `step`."""

    def reset(self, seed=None):
        if seed is not None or not hasattr(self, "dice"):
            self.dice = np.random.default_rng(seed)
        self.place = self.dice.normal(size=3)
        return self.place.copy(), {}

    def step(self, action):
        self.place = self.place + 0.1 * np.eye(3)[:, :2] @ action
        return self.place.copy(), -float(np.abs(self.place).sum()), bool(self.place[0] > 1), False, {}


class Room(EnvBase):
    """One room to heat, unbatched, its state in the object."""

    def __init__(self):
        super().__init__()
        self.observation_spec = Composite(heat=Bounded(-100.0, 100.0, [1]))
        self.action_spec = Bounded(-1.0, 1.0, [1])
        self.reward_spec = Unbounded([1])
        flag = Categorical(2, [1], dtype=torch.bool)
        self.done_spec = Composite(done=flag, terminated=flag.clone(), truncated=flag.clone())
        self.set_seed(0)

    def _set_seed(self, seed):
        self.dice = torch.Generator().manual_seed(seed)

    def _reset(self, tensordict):
        self.heat, self.steps = 15 + 5 * torch.rand(1, generator=self.dice), 0
        return self.look()

    def look(self):
        hot, late = (self.heat > 24), torch.tensor([self.steps >= 50])
        return TensorDict({"heat": self.heat, "terminated": hot, "truncated": late, "done": hot | late})

    def _step(self, tensordict):
        noise = torch.randn(1, generator=self.dice)
        self.heat, self.steps = self.heat + tensordict["action"].clamp(-1, 1) + 0.3 * noise, self.steps + 1
        return self.look().set("reward", -(self.heat - 20).abs())


class Rooms(EnvBase):
    """Many rooms, their state in the object, with resets of some."""

    def __init__(self, count=4):
        super().__init__(batch_size=[count])
        self.observation_spec = Composite(heat=Unbounded([count, 1]), shape=[count])
        self.action_spec = Bounded(-1.0, 1.0, [count, 1])
        self.reward_spec = Unbounded([count, 1])
        self.heat = torch.zeros(count, 1)
        self.set_seed(0)

    def _set_seed(self, seed):
        self.dice = torch.Generator().manual_seed(seed)

    def starts(self):
        return 15 + 5 * torch.rand(*self.batch_size, 1, generator=self.dice)

    def _reset(self, tensordict):
        begins = torch.ones(*self.batch_size, 1, dtype=torch.bool)
        if tensordict is not None and "_reset" in tensordict:
            begins = tensordict["_reset"]
        self.heat = torch.where(begins, self.starts(), self.heat)
        return TensorDict({"heat": self.heat}, self.batch_size)

    def _step(self, tensordict):
        noise = torch.randn(*self.batch_size, 1, generator=self.dice)
        self.heat = self.heat + tensordict["action"].clamp(-1, 1) + 0.3 * noise
        hot = self.heat > 24
        answer = {"heat": self.heat, "reward": -(self.heat - 20).abs(), "terminated": hot, "done": hot.clone()}
        return TensorDict(answer, self.batch_size)


class Parts(EnvBase):
    """Actions of several parts and kinds, batched, the state in the tensordict."""

    def __init__(self, count=3):
        super().__init__(batch_size=[count])
        self.observation_spec = Composite(
            place=Unbounded([count, 2]), lamp=OneHot(3, [count, 3]), bits=Binary(4, [count, 4]), shape=[count]
        )
        self.state_spec = Composite(place=Unbounded([count, 2]), shape=[count])
        self.action_spec = Composite(
            joint=Bounded(-1.0, 1.0, [count, 2]),
            grip=Categorical(3, [count]),
            keys=MultiCategorical([2, 3], [count, 2]),
            shape=[count],
        )
        self.reward_spec = Unbounded([count, 1])
        self.set_seed(0)

    def _set_seed(self, seed):
        self.dice = torch.Generator().manual_seed(seed)

    def look(self, place):
        lamp = torch.nn.functional.one_hot((place[:, 0] > 0).long(), 3).bool()
        bits = (place[:, :1] > torch.arange(4)).to(torch.int8)
        return TensorDict({"place": place, "lamp": lamp, "bits": bits}, self.batch_size)

    def _reset(self, tensordict):
        return self.look(torch.rand(*self.batch_size, 2, generator=self.dice))

    def _step(self, tensordict):
        place = tensordict["place"] + 0.2 * tensordict["joint"] + 0.1 * tensordict["keys"]
        far = place.norm(dim=-1, keepdim=True) > 2
        reward = tensordict["grip"].float().unsqueeze(-1)
        return self.look(place).update({"reward": reward, "terminated": far, "done": far.clone()})


class Catalogue(EnvBase):
    """Masked actions: a bought thing cannot be bought again; `batch_locked` with one copy."""

    def __init__(self):
        super().__init__()
        self.observation_spec = Composite(bought=Unbounded([5]), mask=Binary(5, [5], dtype=torch.bool))
        self.action_spec = Categorical(5)
        self.reward_spec = Unbounded([1])

    def _set_seed(self, seed):
        pass

    def look(self):
        self.action_spec.update_mask(~self.bought)
        over = self.bought.sum().reshape(1) >= 4
        return TensorDict(
            {"bought": self.bought.float(), "mask": ~self.bought, "done": over, "terminated": over.clone()}
        )

    def _reset(self, tensordict):
        self.bought = torch.zeros(5, dtype=torch.bool)
        return self.look()

    def _step(self, tensordict):
        assert not self.bought[tensordict["action"]]
        self.bought = self.bought | (torch.arange(5) == tensordict["action"])
        return self.look().set("reward", tensordict["action"].reshape(1).float())


def vector(mode, kind="sync", name="CartPole-v1"):
    return gym.make_vec(name, 3, kind, vector_kwargs={"autoreset_mode": mode})


def classic(name):
    return lambda: gym.make(name)


def cart():
    return Cart()


RIGHT = {
    **{
        name: classic(name)
        for name in ("CartPole-v1", "Pendulum-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Acrobot-v1")
    },
    **{name: classic(name) for name in ("FrozenLake-v1", "Taxi-v4", "Blackjack-v1", "CliffWalking-v1")},
    "unwrapped": lambda: gym.make("CartPole-v1").unwrapped,
    "stacked": lambda: FrameStackObservation(gym.make("CartPole-v1"), 3),
    "SyncVectorEnv": lambda: vector(AutoresetMode.SAME_STEP),
    "its own vector": lambda: gym.make_vec("CartPole-v1", 3, "vector_entry_point"),
    "next step": lambda: vector(AutoresetMode.NEXT_STEP),
    "Cart": Cart,
    "Cart, limited": lambda: TimeLimit(Cart(), 25),
    "Robot": Robot,
    "Masked": Masked,
    "Pictures": Pictures,
    "Bandit": Bandit,
    "Thermostat": Thermostat,
    "Exam": Exam,
    "Lake": Lake,
    "Crane": Crane,
    "GymEnv": lambda: GymEnv("CartPole-v1"),
    "GymEnv, one-hot Taxi": lambda: GymEnv("Taxi-v4"),
    "GymWrapper": lambda: GymWrapper(Cart()),
    "GymWrapper of a vector": lambda: GymWrapper(vector(AutoresetMode.SAME_STEP)),
    "transformed": lambda: TransformedEnv(GymEnv("Pendulum-v1"), StepCounter(20)),
    "transformed twice": lambda: TransformedEnv(TransformedEnv(Room(), RewardSum()), InitTracker()),
    "PendulumEnv": PendulumEnv,
    "PendulumEnv with dimensions": lambda: TransformedEnv(
        PendulumEnv(), UnsqueezeTransform(dim=-1, in_keys=["th", "thdot"], in_keys_inv=["th", "thdot"])
    ),
    "TicTacToeEnv": TicTacToeEnv,
    "SerialEnv": lambda: SerialEnv(3, lambda: GymWrapper(Cart())),
    "SerialEnv of rooms": lambda: SerialEnv(2, Room),
    "ParallelEnv": lambda: ParallelEnv(2, Room),
    "Room": Room,
    "Rooms": Rooms,
    "one of Rooms": lambda: Rooms(1),
    "Parts": Parts,
    "Catalogue": Catalogue,
    "a clock": lambda: TransformedEnv(Rooms(), StepCounter(20)),
}
