"""TorchRL environments, batched or not, as `check_simulator` plays them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from tensordict import NonTensorData, TensorDictBase
from torchrl.data import Bounded, Categorical, Composite, TensorSpec
from torchrl.envs import EnvBase, TransformedEnv

from course_utils.exercises.sim_forms import Log, Moment, Promise, Sim, Theirs, as_array, global_states, shown
from course_utils.exercises.sim_gymnasium import CHANGED
from course_utils.exercises.undisturbed import torch_state


def name_of(key: Any) -> str:
    """A key as one writes it: `position`, or `("agents", "observation")`."""
    return key if isinstance(key, str) else "(" + ", ".join(f'"{part}"' for part in key) + ")"


def last_part(key: Any) -> str:
    return key if isinstance(key, str) else key[-1]


def entries(data: TensorDictBase) -> dict[str, Any]:
    return {
        name_of(key): data.get(key)
        for key in data.keys(True, True, is_leaf=lambda kind: kind is NonTensorData or not is_container(kind))
        if not str(last_part(key)).startswith("_")
    }


def is_container(kind: type) -> bool:
    return issubclass(kind, TensorDictBase)


def promise(spec: TensorSpec, role: str) -> Promise:
    shape, dtype = tuple(spec.shape), str(spec.dtype).removeprefix("torch.")
    if isinstance(spec, Bounded):
        return Promise(shape, dtype, as_array(spec.space.low), as_array(spec.space.high), spec, role)
    if type(spec) is Categorical:
        return Promise(shape, dtype, np.array(0), np.array(spec.n - 1), spec, role)
    return Promise(shape, dtype, spec=spec, role=role)


def leaf_specs(spec: Composite) -> dict[Any, TensorSpec]:
    return {} if spec is None else {key: spec[key] for key in spec.keys(True, True) if spec[key] is not None}


HANDED_BACK = (
    "`{}` returns the very tensordict that it was given, written over: what was before the step and what came of it "
    "are then the same. Return a new one, `TensorDict({{...}}, self.batch_size)`, with what belongs under `next` alone."
)


class TorchSim(Sim):
    """`env` is an `EnvBase`. `answers` holds what its own `_reset` and `_step` returned, before TorchRL mends it."""

    form = "TorchRL environment"

    def __init__(self, env: EnvBase, log: Log, states: dict[str, Any]) -> None:
        super().__init__(env, log, states)
        self.batch = tuple(env.batch_size)
        self.one_by_one = not self.batch
        self.answers: dict[str, Any] = {}
        self.base = self.bases()[-1]
        self._listen("_reset")
        self._listen("_step")

    def _listen(self, name: str) -> None:
        method = getattr(self.base, name)

        def listening(*given: Any, **options: Any) -> Any:
            answer = method(*given, **options)
            if given and answer is given[0] and answer is not None:
                self.log.odd.setdefault(name, HANDED_BACK.format(name))
                answer = answer.exclude(*self.env.action_keys, "next") if name == "_step" else answer
            self.answers[name] = answer.copy() if isinstance(answer, TensorDictBase) else answer
            self.answers[f"{name} whole"] = answer
            return answer

        object.__setattr__(self.base, name, listening)

    def bases(self) -> list[Any]:
        found = [self.env]
        while isinstance(found[-1], TransformedEnv):
            found.append(found[-1].base_env)
        return found

    @property
    def promises(self) -> dict[str, Promise]:
        found: dict[str, Promise] = {}
        for specs, role in (
            (self.env.observation_spec, "observation"),
            (self.env.full_reward_spec, "reward"),
            (self.env.full_done_spec, "flag"),
        ):
            found.update({name_of(key): promise(spec, role) for key, spec in leaf_specs(specs).items()})
        return found

    def _reset(self, seed: int | None) -> Moment:
        if seed is not None:
            self.seeded = self.env.set_seed(seed)
        given = self.env.reset()
        return self._moment("reset", given, given)

    def _step(self, action: Any) -> Moment:
        start = self.last.root.copy()
        for key, value in action.items(True, True):
            start.set(key, value.clone() if isinstance(value, torch.Tensor) else value)
        given = self.env.step(start)
        if self.env is self.base:
            for key, value in action.items(True, True):
                if isinstance(value, torch.Tensor) and not torch.equal(given.get(key), value):
                    words = CHANGED.format(shown(as_array(value)), shown(as_array(given.get(key))))
                    self.log.odd.setdefault("action", words)
        after = given["next"]
        moment = self._moment(f"step {self.count}", after, None)
        root = self.env._step_mdp(given)
        moment.root = root
        if not self.one_by_one and any(after.get(key).any() for key in self.env.done_keys):
            moment.root = self.env.maybe_reset(root)
            self.log.resets += 1
        return moment

    def _moment(self, words: str, given: TensorDictBase, root: Any) -> Moment:
        raw = entries(given)
        values = {name: as_array(value) for name, value in raw.items() if isinstance(value, torch.Tensor)}
        return Moment(words, raw, values, self._ended(given), root=root)

    def _ended(self, given: TensorDictBase) -> np.ndarray:
        """Which copies are over: at the root, or else every agent of theirs."""
        flags = {key: given.get(key) for key in self.env.done_keys}
        rows = {
            key: as_array(flag).astype(bool).reshape(*self.batch, -1)
            for key, flag in flags.items()
            if isinstance(flag, torch.Tensor) and flag.shape[: len(self.batch)] == self.batch
        }
        roots = [flag.any(-1) for key, flag in rows.items() if isinstance(key, str)]
        agents = [flag.all(-1) for key, flag in rows.items() if last_part(key) == "done"]
        return np.any(roots or agents or [np.zeros(self.batch, dtype=bool)], axis=0)

    def draw(self, number: int) -> Any:
        before = torch_state()
        torch.default_generator.manual_seed(
            number
        )  # `torch.manual_seed` keeps a note for each device that is not there
        try:
            drawn = self.env.rand_action(self.last.root.copy())
        finally:
            torch.set_rng_state(before)
        return drawn.select(*self.env.action_keys)

    def partial_reset(self, rows: np.ndarray) -> None:
        """Reset these rows; True is where a copy begins anew."""
        given = self.last.root.copy()
        specs = self.env.full_done_spec
        for key, done_keys in zip(self.env.reset_keys, self.env.done_keys_groups, strict=True):
            shape = specs[done_keys[0]].shape
            mask = torch.as_tensor(rows, device=given.device).reshape(
                *self.batch, *[1] * (len(shape) - len(self.batch))
            )
            given.set(key, mask.expand(shape).clone())
        with self.alone():
            self.log.begins("a reset of some copies")
            self.log.resets += 1
            try:
                root = self.env.reset(given)
            except Exception as error:
                raise Theirs("a reset of some copies only (`_reset` says which)", error) from error
        self.last.root = root.exclude(*self.env.reset_keys)

    def set_seed(self, seed: int) -> None:
        with self.alone():
            try:
                self.env.set_seed(seed)
            except Exception as error:
                raise Theirs("set_seed", error) from error


def open_torchrl(env: Any, log: Log) -> Sim | None:
    return TorchSim(env, log, global_states()) if isinstance(env, EnvBase) else None
