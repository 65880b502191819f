"""Simulators with one thing wrong in each, and words of the sentence that has to come first."""

from __future__ import annotations

import time

import gymnasium as gym
import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from right_simulators import Cart, Crane, Lake, Robot, Room, Rooms
from tensordict import TensorDict
from torchrl.data import Bounded, Categorical, Composite, Unbounded
from torchrl.envs import EnvBase

BROKEN: dict[str, tuple[object, str]] = {}


def broken(words: str):
    """Keep a class, or a function that makes one, with the words that its first fault has to hold."""

    def keep(make):
        BROKEN[make.__name__] = (make, words)
        return make

    return keep


# Gymnasium


@broken("`observation` has the shape [3] at reset; its space promises [2]")
class WrongShape(Cart):
    def reset(self, **options):
        state, info = super().reset(**options)
        return np.append(state, np.float32(0)), info


@broken("`observation` is float64 at reset; its space says float32")
class Doubles(Cart):
    def reset(self, **options):
        state, info = super().reset(**options)
        return state.astype(np.float64), info

    def step(self, action):
        state, *rest = super().step(action)
        return state.astype(np.float64), *rest


@broken("outside of its space, which goes from -0.1 to 0.1")
class TooNarrow(Cart):
    def __init__(self):
        super().__init__()
        self.observation_space = Box(-0.1, 0.1, (2,), np.float32)


@broken("no dimension of its own")
class Bare(Cart):
    def __init__(self):
        super().__init__()
        self.observation_space = Box(-10, 10, (), np.float32)

    def reset(self, **options):
        state, info = super().reset(**options)
        return np.array(state[0]), info

    def step(self, action):
        state, *rest = super().step(action)
        return np.array(state[0]), *rest


@broken("`observation` of reset is a list")
class Lists(Cart):
    def reset(self, **options):
        state, info = super().reset(**options)
        return state.tolist(), info

    def step(self, action):
        state, *rest = super().step(action)
        return state.tolist(), *rest


@broken("The reward of step 1 is an array of shape [1]; it is a single number")
class RewardArray(Cart):
    def step(self, action):
        state, _, *rest = super().step(action)
        return state, -(action**2), *rest


@broken("`terminated` is an int (0)")
class WholeFlags(Cart):
    def step(self, action):
        state, reward, terminated, truncated, info = super().step(action)
        return state, reward, int(terminated), truncated, info


@broken("`reward` is NaN at step")
class NotANumber(Cart):
    def step(self, action):
        state, _, *rest = super().step(action)
        with np.errstate(all="ignore"):
            return state, float(np.log(self.state[0])), *rest


@broken("nothing changed any more, whatever the action")
class NeverOver(Cart):
    frozen = False

    def reset(self, **options):
        self.frozen = False
        return super().reset(**options)

    def step(self, action):
        if self.frozen:
            return self.state.clip(-10, 10).astype(np.float32), 0.0, False, False, {}
        state, reward, _, _, info = super().step(action)
        if abs(self.state[0]) > 2:
            self.frozen = True
        return self.state.astype(np.float32), reward, False, False, info


@broken("ended its episode, though the world goes on")
class AlwaysOver(Cart):
    def step(self, action):
        state, reward, _, truncated, info = super().step(action)
        return state, reward, bool(abs(self.state[0]) < 2), truncated, info


@broken("`self.max_steps` is 30, and an episode lasted")
class LimitForgotten(Cart):
    max_steps = 30

    def __init__(self):
        super().__init__()
        self.max_steps = 30

    def step(self, action):
        state, reward, terminated, _, info = super().step(action)
        return state, reward, terminated, False, info


@broken("That is a time limit, so `truncated`")
class TimeAsEnd(Cart):
    def step(self, action):
        state, reward, _, truncated, info = super().step(action)
        return state, reward, truncated, False, info


@broken("an end that the world brings is `terminated`")
class EndAsTime(Cart):
    def step(self, action):
        state, reward, terminated, _, info = super().step(action)
        return state, reward, False, terminated, info


@broken("`terminated` and `truncated` both True")
class BothFlags(Cart):
    def step(self, action):
        state, reward, terminated, _, info = super().step(action)
        return state, reward, terminated, terminated, info


@broken("The reset does not reset all")
class StepsGoOn(Cart):
    def __init__(self):
        super().__init__()
        self.steps = 0

    def reset(self, **options):
        before = self.steps
        given = super().reset(**options)
        self.steps = before % 40
        return given


@broken("The seed does not reach `np_random`")
class SeedForgotten(Cart):
    def reset(self, *, seed=None, options=None):
        return super().reset(options=options)


@broken("The simulator draws from the global generator (`np.random.rand()`)")
class GlobalChance(Cart):
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = np.random.uniform(-0.5, 0.5, 2)
        return self.state.astype(np.float32), {}


@broken("which the seed sets for everybody")
class GlobalSeed(Cart):
    def reset(self, *, seed=None, options=None):
        if seed is not None:
            np.random.seed(seed)
        super().reset(seed=seed)
        self.state = np.random.uniform(-0.5, 0.5, 2)
        return self.state.astype(np.float32), {}


@broken("Another seed changes nothing")
class OneSeed(Cart):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=0)


@broken("Every `reset` without a seed begins the same episode")
class DefaultSeed(Cart):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed if seed is not None else 7)


@broken("Two copies with the same seed and the same actions part")
class Clock(Cart):
    def reset(self, **options):
        super().reset(**options)
        self.state = self.state + (time.perf_counter_ns() % 1000) / 1e4
        return self.state.astype(np.float32), {}


@broken("Copies share their state")
class ClassState(Cart):
    state = np.zeros(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        ClassState.state[:] = self.state
        del self.state
        return ClassState.state.astype(np.float32), {}

    def step(self, action):
        self.state = ClassState.state.copy()
        given = super().step(action)
        ClassState.state[:] = self.state
        return given


WIND = [0.0]


@broken("the global variable `WIND`")
class GlobalWind(Cart):
    def step(self, action):
        WIND[0] += 0.01
        state, *rest = super().step(action)
        self.state = self.state + np.array([WIND[0], 0.0])
        return self.state.clip(-10, 10).astype(np.float32), *rest


@broken("the default of the parameter `trail`")
class MutableDefault(Cart):
    def __init__(self, trail=[]):  # noqa: B006
        super().__init__()
        self.trail = trail

    def reset(self, **options):
        self.trail.clear()
        return super().reset(**options)

    def step(self, action):
        state, _, *rest = super().step(action)
        self.trail.append(0)
        return state, float(len(self.trail)), *rest


@broken("the simulator writes into the array that it has handed out")
class Reused(Cart):
    def reset(self, **options):
        state, info = super().reset(**options)
        self.shown = state
        return self.shown, info

    def step(self, action):
        state, *rest = super().step(action)
        self.shown[:] = state
        return self.shown, *rest


@broken("`step` changes the action it is given in place")
class ActionChanged(Cart):
    def step(self, action):
        given = super().step(action)
        action *= 0.5
        return given


@broken("Actions do nothing")
class Deaf(Cart):
    def step(self, action):
        return super().step(np.zeros(1))


@broken("it waits, by `time.sleep`")
class RealTime(Cart):
    def step(self, action):
        time.sleep(0.003)
        return super().step(action)


@broken("`step` draws a picture each time")
class Painter(Cart):
    def render(self):
        return np.sort(np.random.default_rng(0).normal(size=(200, 200)), axis=0)

    def step(self, action):
        self.render()
        return super().step(action)


@broken("`step` returned four things")
class OldForm(Cart):
    def step(self, action):
        state, reward, terminated, truncated, info = super().step(action)
        return state, reward, terminated or truncated, info


@broken("`reset` returned an array of shape [2]")
class NoInfo(Cart):
    def reset(self, **options):
        return super().reset(**options)[0]


@broken("`reset` takes no `seed`")
class NoSeed(Cart):
    def reset(self):
        return super().reset()


@broken('lacks `observation["inner"]["light"]`')
class DarkRobot(Robot):
    def look(self):
        seen = super().look()
        del seen["inner"]["light"]
        return seen


@broken("ZeroDivisionError: float division by zero, at line")
class Crash(Cart):
    def step(self, action):
        given = super().step(action)
        if self.steps == 7:
            1.0 / (self.steps - 7.0)
        return given


@broken("was cut off after")
class Endless(Cart):
    def step(self, action):
        while self.steps >= 0:
            pass


@broken("There is no `action_space`")
class NoActions(Cart):
    def __init__(self):
        self.observation_space = Box(-10, 10, (2,), np.float32)


@broken("`step` resets by itself")
class ResetsItself(gym.Env):
    observation_space, action_space = Box(0, 20, (1,), np.float32), Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = 5
        return np.array([5], np.float32), {}

    def step(self, action):
        self.place += 1 if action else -1
        over = self.place in (2, 8)
        if over:
            self.place = 5
        return np.array([self.place], np.float32), float(over), over, False, {}


@broken("`info` is the same dictionary")
class OneInfo(Cart):
    def __init__(self):
        super().__init__()
        self.info = {}

    def reset(self, **options):
        state, _ = super().reset(**options)
        self.info["steps"] = 0
        return state, self.info

    def step(self, action):
        *given, _ = super().step(action)
        self.info["steps"] = self.steps
        return *given, self.info


@broken("`reset` takes no `options`")
class NoOptions(Cart):
    def reset(self, *, seed=None):
        return super().reset(seed=seed)


@broken("The observation after step 1 is still that of the reset")
class Lagging(Cart):
    def step(self, action):
        before = self.state.astype(np.float32)
        _, *rest = super().step(action)
        return before, *rest


@broken("All copies draw from one generator, the class's attribute `dice`")
class ClassDice(Cart):
    dice = np.random.default_rng(0)

    def reset(self, **options):
        super().reset(**options)
        self.state = self.dice.uniform(-0.5, 0.5, 2)
        return self.state.astype(np.float32), {}


# Plain classes


@broken("the simulator writes into the array that it has handed out")
class PlainReused(Crane):
    def reset(self, seed=None):
        super().reset(seed)
        return self.place, {}

    def step(self, action):
        self.place += 0.1 * np.eye(3)[:, :2] @ action
        return self.place, 0.0, bool(self.place[0] > 1), False, {}


@broken("The reset does not reset all")
class PlainForgetful(Lake):
    def __init__(self, seed=3):
        super().__init__(seed)
        self.day = 0

    def reset(self):
        day = self.day
        given = super().reset()
        self.day = day
        return given


# TorchRL, unbatched


@broken("`heat` has the shape [] at reset")
class RoomShape(Room):
    def look(self):
        return super().look().set("heat", self.heat.squeeze())


@broken("`_step` returns `reward` of shape []")
class RoomReward(Room):
    def _step(self, tensordict):
        answer = super()._step(tensordict)
        return answer.set("reward", answer["reward"].squeeze())


@broken("`reward` is float64")
class RoomDoubles(Room):
    def _step(self, tensordict):
        answer = super()._step(tensordict)
        return answer.set("reward", answer["reward"].double())


@broken("`_step` returns no `reward`")
class RoomUnpaid(Room):
    def _step(self, tensordict):
        return super()._step(tensordict).exclude("reward")


@broken("which no spec names")
class RoomExtra(Room):
    def look(self):
        return super().look().set("debug", torch.zeros(1))


@broken("`full_done_spec` has only `done` and `terminated`")
class RoomFlags(Room):
    def __init__(self):
        super().__init__()
        flag = Categorical(2, [1], dtype=torch.bool)
        self.done_spec = Composite(done=flag, terminated=flag.clone())


@broken("while `terminated` or `truncated` is True")
class RoomDone(Room):
    def look(self):
        answer = super().look()
        return answer.set("done", answer["terminated"].clone())


@broken("`set_seed(0)` returned nothing")
class RoomSeed(Room):
    def set_seed(self, seed=None, static_seed=False):
        self._set_seed(seed)


@broken("Another seed changes nothing")
class RoomDeaf(Room):
    def __init__(self):
        super().__init__()
        self.dice = torch.Generator().manual_seed(0)

    def _set_seed(self, seed):
        if not hasattr(self, "dice"):
            self.dice = torch.Generator().manual_seed(0)


@broken("The simulator draws from the global generator (`torch.rand(n)`)")
class RoomGlobal(Room):
    def _reset(self, tensordict):
        super()._reset(tensordict)
        self.heat = 15 + 5 * torch.rand(1)
        return self.look()


@broken("the simulator writes into the array that it has handed out")
class RoomReused(Room):
    def _step(self, tensordict):
        before = self.heat
        answer = super()._step(tensordict)
        before.copy_(self.heat)
        self.heat = before
        return answer.set("heat", self.heat)


@broken("outside of its spec, which goes from 0 to 21")
class RoomOutside(Room):
    def __init__(self):
        super().__init__()
        self.observation_spec = Composite(heat=Bounded(0.0, 21.0, [1]))


# TorchRL, batched


@broken("A reset of rows [0, 2] resets the others, too")
class ResetsAll(Rooms):
    def _reset(self, tensordict):
        return super()._reset(None)


@broken("A reset of rows [0, 2] resets none of them")
class ResetsNone(Rooms):
    def _reset(self, tensordict):
        if tensordict is not None and "_reset" in tensordict and not tensordict["_reset"].all():
            return TensorDict({"heat": self.heat}, self.batch_size)
        return super()._reset(None)


@broken("`_step` returns `reward` of shape [4]; its spec says [4, 1]")
class FlatReward(Rooms):
    def _step(self, tensordict):
        answer = super()._step(tensordict)
        return answer.set("reward", answer["reward"].squeeze(-1))


@broken("no dimension of its own")
class BareRooms(Rooms):
    def __init__(self, count=4):
        super().__init__(count)
        self.observation_spec = Composite(heat=Unbounded([count]), shape=[count])

    def _reset(self, tensordict):
        return TensorDict({"heat": super()._reset(tensordict)["heat"].squeeze(-1)}, self.batch_size)

    def _step(self, tensordict):
        answer = super()._step(tensordict)
        return answer.set("heat", answer["heat"].squeeze(-1))


@broken("another action in row 0 changes `heat` of row 1")
class MixedRooms(Rooms):
    def _step(self, tensordict):
        self.heat = self.heat + 0.1 * tensordict["action"].mean()
        return super()._step(tensordict)


@broken("chance is drawn once for all")
class OneStart(Rooms):
    def starts(self):
        return (15 + 5 * torch.rand(1, generator=self.dice)).expand(*self.batch_size, 1).clone()


@broken("has the batch size []")
class NoBatch(Rooms):
    def _reset(self, tensordict):
        return TensorDict({"heat": super()._reset(tensordict)["heat"]}, [])


@broken("they share one clock")
class OneClock(Rooms):
    def __init__(self, count=4):
        super().__init__(count)
        flag = Categorical(2, [count, 1], dtype=torch.bool)
        self.done_spec = Composite(done=flag, terminated=flag.clone(), truncated=flag.clone(), shape=[count])
        self.clock = 0

    def _reset(self, tensordict):
        if tensordict is None or "_reset" not in tensordict or tensordict["_reset"].all():
            self.clock = 0
        return super()._reset(tensordict)

    def _step(self, tensordict):
        answer = super()._step(tensordict)
        self.clock += 1
        late = torch.full((*self.batch_size, 1), self.clock % 50 == 0)
        return answer.update({"truncated": late, "done": answer["terminated"] | late})


@broken("`_step` returns the very tensordict that it was given")
class HandedBack(Rooms):
    def _step(self, tensordict):
        return tensordict.update(super()._step(tensordict))


HEAT = torch.zeros(4, 1)


@broken("Copies share their state")
class SharedHeat(Rooms):
    def __init__(self, count=4):
        super().__init__(count)
        self.heat = HEAT

    def _reset(self, tensordict):
        self.heat = HEAT.clone()
        answer = super()._reset(tensordict)
        HEAT.copy_(self.heat)
        return answer

    def _step(self, tensordict):
        self.heat = HEAT.clone()
        answer = super()._step(tensordict)
        HEAT.copy_(self.heat)
        return answer


@broken("`heat` is infinite")
class Exploding(Rooms):
    def _step(self, tensordict):
        answer = super()._step(tensordict)
        self.heat = self.heat * 1e12
        zero = torch.zeros(4, 1, dtype=torch.bool)
        return answer.update({"heat": self.heat, "terminated": zero, "done": zero.clone()})


# Not made at all


@broken("it needs what *makes* a simulator")
def no_maker():
    return None


BROKEN["no_maker"] = (Cart(), BROKEN["no_maker"][1])
BROKEN["one_for_all"] = ((lambda one: lambda: one)(Cart()), "`make` gave the same simulator twice")
BROKEN["a name"] = ("CartPole-v1", "it needs what *makes* a simulator")
BROKEN["nothing"] = (lambda: None, "`make` returned nothing (None) without `reset` and `step`")
BROKEN["abstract"] = (EnvBase, "The class has no")
BROKEN["raises"] = (lambda: Cart(3), "TypeError: Cart.__init__() takes 1 positional argument but 2 were given")
