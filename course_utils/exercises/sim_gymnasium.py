"""Gymnasium environments, vectors of them, and plain classes, as `check_simulator` plays them."""

from __future__ import annotations

import inspect
from typing import Any

import gymnasium
import numpy as np

from course_utils.exercises.sim_forms import Log, Moment, Promise, Sim, Theirs, as_array, global_states, shown
from course_utils.exercises.sim_places import GENERATORS, attributes, begin_anew

SPACES = gymnasium.spaces
MASKS = ("action_mask", "mask")
CHANGED = (
    "`step` changes the action it is given in place: it was {} and became {}. Whoever keeps the action, a buffer for "
    "one, keeps another than was played. Work on a new array: `action = action * 2`, not `action *= 2`."
)


def leaves(value: Any, space: Any, name: str = "observation") -> dict[str, tuple[Any, Any]]:
    """{name: (value, space)} of the innermost entries. A value that does not fit its space is a leaf."""
    if isinstance(space, SPACES.Dict) and isinstance(value, dict):
        found = {}
        for key in space.spaces:
            if key in value:
                found.update(leaves(value[key], space[key], f'{name}["{key}"]'))
        return found
    if isinstance(space, SPACES.Tuple) and isinstance(value, tuple) and len(value) == len(space.spaces):
        found = {}
        for place, inner in enumerate(space.spaces):
            found.update(leaves(value[place], inner, f"{name}[{place}]"))
        return found
    return {name: (value, space)}


def promise(space: Any) -> Promise:
    shape = tuple(space.shape) if space.shape is not None else ()
    dtype = str(space.dtype) if space.dtype is not None else ""
    if isinstance(space, SPACES.Box):
        return Promise(shape, dtype, space.low, space.high, space)
    return Promise(shape, dtype, spec=space)


class GymnasiumSim(Sim):
    """`env` is a `gymnasium.Env`."""

    form = "Gymnasium environment"

    @property
    def promises(self) -> dict[str, Promise]:
        space = self.env.observation_space
        return {name: promise(one) for name, one in self._spaces(space, "observation").items()}

    def _spaces(self, space: Any, name: str) -> dict[str, Any]:
        inner = space.spaces if isinstance(space, (SPACES.Dict, SPACES.Tuple)) else None
        if inner is None:
            return {name: space}
        pairs = inner.items() if isinstance(inner, dict) else enumerate(inner)
        found = {}
        for key, one in pairs:
            found.update(self._spaces(one, f'{name}["{key}"]' if isinstance(key, str) else f"{name}[{key}]"))
        return found

    def bases(self) -> list[Any]:
        found = [self.env]
        while hasattr(found[-1], "env") and len(found) < 20:
            found.append(found[-1].env)
        return found

    def _reset(self, seed: int | None) -> Moment:
        try:
            given = self.env.reset(seed=seed)
        except TypeError as error:
            if "seed" not in str(error):
                raise
            self.log.odd["seed"] = (
                "`reset` takes no `seed`, so nobody can repeat an episode. Gymnasium calls "
                "`reset(seed=None, options=None)`: begin it with `super().reset(seed=seed)`, and draw from "
                "`self.np_random`."
            )
            given = self.env.reset()
        if isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], dict):
            observation, info = given
        else:
            observation, info = given, {}
            self.log.odd["reset"] = (
                f"`reset` returned {form_of(given)}. Gymnasium wants two things, the observation and a dictionary: "
                "`return observation, {}`."
            )
        return self._moment("reset", observation, info, {}, ended=False)

    def _step(self, action: Any) -> Moment:
        given = self._call_step(action)
        count = len(given) if isinstance(given, tuple) else 0
        if count == 5:
            observation, reward, terminated, truncated, info = given
        elif count == 4:
            (observation, reward, terminated, info), truncated = given, False
            self.log.odd["step"] = (
                "`step` returned four things, which is Gym's old form: `observation, reward, done, info`. Gymnasium "
                "wants five: `observation, reward, terminated, truncated, info`. `terminated` is the end of the world, "
                "`truncated` a time limit."
            )
        else:
            raise Theirs(
                f"`step` returned {form_of(given)}. Gymnasium wants five things: "
                "`observation, reward, terminated, truncated, info`.",
                ValueError(),
            )
        if not isinstance(info, dict):
            self.log.odd["info"] = (
                f"The last thing that `step` returns is {form_of(info)}; `info` is a dictionary: `{{}}`."
            )
        flags = {"reward": reward, "terminated": terminated, "truncated": truncated}
        return self._moment(f"step {self.count}", observation, info, flags, np.any(terminated) or np.any(truncated))

    def _call_step(self, action: Any) -> Any:
        before = action.copy() if isinstance(action, np.ndarray) else None
        given = self.env.step(action)
        if before is not None and not np.array_equal(before, action, equal_nan=True):
            self.log.odd.setdefault("action", CHANGED.format(shown(before), shown(action)))
        return given

    def _moment(self, words: str, observation: Any, info: Any, rest: dict[str, Any], ended: Any) -> Moment:
        raw = {name: value for name, (value, _) in leaves(observation, self.env.observation_space).items()} | rest
        values = {name: as_array(value) for name, value in raw.items()}
        return Moment(words, raw, values, np.array(bool(ended)), info)

    def mask(self) -> Any:
        """What is allowed now, where `info` or the observation says so."""
        if self.last is None:
            return None
        info = self.last.info if isinstance(self.last.info, dict) else {}
        found = [info[name] for name in MASKS if name in info]
        found += [value for name, value in self.last.raw.items() if any(f'"{mask}"' in name for mask in MASKS)]
        return found[0] if found else None

    def draw(self, number: int) -> Any:
        space = self.env.action_space
        space.seed(number)
        mask = self.mask()
        if isinstance(space, SPACES.Discrete) and np.shape(mask) == (space.n,):
            return space.sample(mask=np.asarray(mask, dtype=np.int8))
        return space.sample()


class VectorSim(GymnasiumSim):
    """`env` is a `gymnasium.vector.VectorEnv`: many copies that begin anew by themselves."""

    form = "vector of Gymnasium environments"
    one_by_one = False

    def bases(self) -> list[Any]:
        return [self.env, *getattr(self.env, "envs", ())]

    def _moment(self, words: str, observation: Any, info: Any, rest: dict[str, Any], ended: Any) -> Moment:
        moment = super()._moment(words, observation, info, rest, ended)
        flags = [np.asarray(rest[name], dtype=bool) for name in ("terminated", "truncated") if name in rest]
        moment.ended = flags[0] | flags[1] if flags else np.zeros(self.env.num_envs, dtype=bool)
        return moment


class PlainSim(GymnasiumSim):
    """`env` is an object with `reset` and `step`, and no more is known of it."""

    form = "plain class"

    @property
    def promises(self) -> dict[str, Promise]:
        space = getattr(self.env, "observation_space", None)
        return super().promises if isinstance(space, gymnasium.Space) else {}

    def bases(self) -> list[Any]:
        return [self.env]

    def seedless(self) -> bool:
        return not self.takes_seed() and not callable(getattr(self.env, "seed", None))

    def takes_seed(self) -> bool:
        try:
            names = inspect.signature(self.env.reset).parameters
        except (TypeError, ValueError):
            return False
        return "seed" in names

    def _reset(self, seed: int | None) -> Moment:
        if seed is not None and self.seedless():
            for value in attributes(self.bases()).values():
                if isinstance(value, GENERATORS):
                    begin_anew(value, seed)
        elif seed is not None and not self.takes_seed():
            self.env.seed(seed)
        given = self.env.reset(seed=seed) if self.takes_seed() else self.env.reset()
        pair = isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], dict)
        observation, info = given if pair else (given, {})
        return self._moment("reset", observation, info, {}, ended=False)

    def _step(self, action: Any) -> Moment:
        given = self._call_step(action)
        count = len(given) if isinstance(given, tuple) else 0
        if not 3 <= count <= 5:
            raise Theirs(
                f"`step` returned {form_of(given)}. It has to tell at least three things: the observation, the reward, "
                "and whether the episode is over.",
                ValueError(),
            )
        observation, reward, *rest = given
        info = rest.pop() if isinstance(rest[-1], dict) else {}
        flags = dict(zip(("terminated", "truncated"), rest, strict=False))
        ended = any(bool(np.any(flag)) for flag in flags.values())
        return self._moment(f"step {self.count}", observation, info, {"reward": reward, **flags}, ended)

    def _moment(self, words: str, observation: Any, info: Any, rest: dict[str, Any], ended: Any) -> Moment:
        if isinstance(observation, dict):
            raw = {f'observation["{key}"]': value for key, value in observation.items()} | rest
        else:
            raw = {"observation": observation} | rest
        return Moment(words, raw, {name: as_array(value) for name, value in raw.items()}, np.array(bool(ended)), info)

    def draw(self, number: int) -> Any:
        space = getattr(self.env, "action_space", None)
        if isinstance(space, gymnasium.Space):
            return super().draw(number)
        return self.log.guess(np.random.default_rng(number))


def guesses(env: Any) -> list[Any]:
    """What a plain class may take as its action, the likeliest first: functions of a generator."""
    found = []
    for name in ("n_actions", "num_actions", "action_count", "actions"):
        said = getattr(env, name, None)
        count = said if isinstance(said, (int, np.integer)) else len(said) if isinstance(said, (list, tuple)) else 0
        if count and not isinstance(said, bool):
            found.append(lambda dice, count=count: int(dice.integers(count)))
    found.append(lambda dice: int(dice.integers(2)))
    found.append(lambda dice: float(dice.uniform(-1, 1)))
    return found + [lambda dice, size=size: dice.uniform(-1, 1, size) for size in range(1, 9)]


def form_of(value: Any) -> str:
    """A returned thing in words."""
    if value is None:
        return "nothing (None)"
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    if isinstance(value, np.ndarray):
        return f"an array of shape {list(value.shape)}"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def open_gymnasium(env: Any, log: Log) -> Sim | None:
    states = global_states()
    if isinstance(env, gymnasium.vector.VectorEnv):
        return VectorSim(env, log, states)
    if isinstance(env, gymnasium.Env):
        return GymnasiumSim(env, log, states)
    if callable(getattr(env, "reset", None)) and callable(getattr(env, "step", None)):
        return PlainSim(env, log, states)
    return None
