"""Note who plays: collectors, rollouts and single steps, the weights that choose their actions, and the noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from tensordict.nn import ProbabilisticTensorDictModule
from torchrl.collectors import BaseCollector
from torchrl.envs import EnvBase

from course_utils.exercises.diary import Diary, Wrapper
from course_utils.exercises.inside_parts import NOISE, count_frames, draws_now, rows_of
from course_utils.exercises.notes import Note


class Playing:
    """Watches collectors and environments."""

    def __init__(self, diary: Diary) -> None:
        self.diary = diary
        self.depth = 0  # of collectors and environments that are playing just now
        self.players: dict[int, torch.Tensor] = {}  # weights of the modules that ran since the last frame
        self.noisy = False

    def wrappers(self) -> Iterator[Wrapper]:
        yield BaseCollector, "__init__", self.around_making
        yield BaseCollector, "__iter__", self.around_batches
        yield BaseCollector, "iterator", self.around_batches
        yield BaseCollector, "rollout", self.around_rollout
        yield BaseCollector, "start", self.around_start
        yield type(EnvBase), "__call__", self.around_building
        yield EnvBase, "rollout", self.around_rollout
        yield EnvBase, "step", self.around_env_step
        yield EnvBase, "step_and_maybe_reset", self.around_env_step
        for kind in NOISE:
            yield kind, "step", self.around_epsilon

    def around_making(self, original: Callable) -> Callable:
        def __init__(collector: BaseCollector, *args: Any, **options: Any) -> None:
            if self.diary.here():
                self.diary.parts.setdefault(id(collector), collector)
            if self.diary.here() and options.get("policy_factory") is not None:
                self.diary.seen.copies.append(collector)
            with self.playing():  # it tries environment and policy out
                original(collector, *args, **options)
            self.players, self.noisy = {}, False

        return __init__

    def around_building(self, original: Callable) -> Callable:
        """What an environment plays while it is built is no play."""

        def __call__(kind: type, *args: Any, **options: Any) -> Any:
            if not self.diary.here() or self.depth:
                return original(kind, *args, **options)
            players, noisy = self.players, self.noisy
            with self.playing():
                env = original(kind, *args, **options)
            self.players, self.noisy = players, noisy
            return env

        return __call__

    def around_start(self, original: Callable) -> Callable:
        """A thread of the collector's own plays from here on; nobody takes notes there."""

        def start(collector: BaseCollector, *args: Any, **options: Any) -> Any:
            if self.diary.here() and not self.depth:
                self.diary.seen.elsewhere.append(collector)
                self.diary.note("collect", collector)
                if getattr(collector, "replay_buffer", None) is not None:
                    self.diary.note("store", collector.replay_buffer)
            return original(collector, *args, **options)

        return start

    def around_batches(self, original: Callable) -> Callable:
        def batches(collector: BaseCollector) -> Iterator[Any]:
            if not self.diary.here() or self.depth:
                yield from original(collector)
                return
            inner = original(collector)
            while True:
                place = len(self.diary.seen.notes)
                with self.playing():
                    try:
                        batch = next(inner)
                    except StopIteration:
                        return
                self.collected(collector, batch, place)
                yield batch

        return batches

    def around_rollout(self, original: Callable) -> Callable:
        def rollout(part: EnvBase | BaseCollector, *args: Any, **options: Any) -> Any:
            if not self.diary.here() or self.depth:
                return original(part, *args, **options)
            place = len(self.diary.seen.notes)
            with self.playing():
                batch = original(part, *args, **options)
            self.collected(part, batch, place)
            return batch

        return rollout

    def around_env_step(self, original: Callable) -> Callable:
        def step(env: EnvBase, *args: Any, **options: Any) -> Any:
            if not self.diary.here() or self.depth:
                return original(env, *args, **options)
            players, noisy = self.players, self.noisy
            with self.playing():
                result = original(env, *args, **options)
            self.players, self.noisy = players, noisy  # of those who ran between the steps
            frame = result[0] if isinstance(result, tuple) else result
            self.collected(env, frame, len(self.diary.seen.notes))
            self.diary.seen.notes[-1].single = True
            self.players, self.noisy = {}, False
            return result

        return step

    @contextmanager
    def playing(self) -> Iterator[None]:
        self.depth += 1
        self.players, self.noisy = {}, False
        try:
            yield
        finally:
            self.depth -= 1

    def collected(self, part: Any, batch: Any, place: int) -> None:
        stored = [note for note in self.diary.seen.notes[place:] if note.kind == "store"]  # by the collector itself
        frames = sum(note.frames for note in stored) if batch is None else count_frames(batch)
        rows = tuple(row for note in stored for row in note.rows or ()) if batch is None else rows_of(batch)
        policy = getattr(part, "policy", None) if isinstance(part, BaseCollector) else None
        if not self.players and isinstance(policy, torch.nn.Module) and "Multi" not in type(part).__name__:
            self.players = {weight.data_ptr(): weight for weight in policy.parameters()}
        note = Note("collect", part, frames, rows, explores=self.noisy)
        note.players = frozenset(address for address, weight in self.players.items() if weight.requires_grad)
        note.weights = float(sum(weight.detach().double().sum() for weight in self.players.values()))
        self.diary.parts.setdefault(id(part), part)
        self.diary.seen.notes.insert(place, note)
        self.players, self.noisy = {}, False

    def ran(self, module: torch.nn.Module, outermost: bool) -> None:
        """Note the noise of a module that runs, and its weights where nothing else ran it."""
        if outermost:
            self.diary.meet(module)
            if self.depth or not torch.is_grad_enabled() or not isinstance(module, torch.nn.modules.loss._Loss):
                self.players |= {weight.data_ptr(): weight for weight in module.parameters()}
        if isinstance(module, (*NOISE, ProbabilisticTensorDictModule)):
            self.noisy |= draws_now(module)
            noise = self.diary.seen.noise
            if isinstance(module, NOISE) and draws_now(module) and not any(module is one for one in noise):
                noise.append(module)

    def around_epsilon(self, original: Callable) -> Callable:
        def step(module: Any, frames: int = 1) -> Any:
            if self.diary.here():
                self.diary.note("epsilon", module, frames=int(frames))
            return original(module, frames)

        return step
