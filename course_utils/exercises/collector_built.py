"""Collectors for exercise 12.6: one that is right, and the mistakes people make, each changing one thing in it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch

from course_utils.exercises.exercise import Mutant


class SmallCollector:
    """Plays `total_frames` frames with its own copy of `policy`; see lesson 12."""

    def __init__(self, env: Any, policy: Any, frames_per_batch: int, total_frames: int) -> None:
        self.env, self.learner = env, policy
        self.policy = self.own(policy)
        self.steps, self.batches = frames_per_batch // env.numel(), total_frames // frames_per_batch
        self.version, self.closed, self.now = 0, False, None

    def own(self, policy: Any) -> Any:
        return copy.deepcopy(policy)

    def __iter__(self) -> Iterator:
        self.now = self.env.reset()
        for _ in range(self.batches):
            if self.closed:
                return
            yield self.play()

    def play(self) -> Any:
        from torchrl.envs import ExplorationType, set_exploration_type

        with torch.no_grad(), set_exploration_type(ExplorationType.RANDOM):
            return self.frames()

    def frames(self) -> Any:
        frames = []
        for _ in range(self.steps):
            frame, self.now = self.step()
            frames.append(frame.set("version", torch.full(frame.shape, self.version)))
        return torch.stack(frames, -1)

    def step(self) -> tuple:
        return self.env.step_and_maybe_reset(self.policy(self.now))

    def update_policy_weights_(self, policy: Any) -> None:
        self.take(policy)
        self.version += 1

    def take(self, policy: Any) -> None:
        self.policy.load_state_dict(policy.state_dict())

    def shutdown(self) -> None:
        if not self.closed:
            self.env.close()
        self.closed = True


class SharesFromTheStart(SmallCollector):
    def own(self, policy):
        return policy


class SharesBuffers(SmallCollector):
    def own(self, policy):
        own = copy.deepcopy(policy)
        own.module.offset = policy.module.offset
        return own


class TakesTheNetworkItself(SmallCollector):
    def take(self, policy):
        self.policy = policy


class AssignsTensors(SmallCollector):
    def take(self, policy):
        self.policy.load_state_dict(policy.state_dict(), assign=True)


class TakesParameters(SmallCollector):
    def take(self, policy):
        with torch.no_grad():
            for mine, theirs in zip(self.policy.parameters(), policy.parameters(), strict=True):
                mine.copy_(theirs)


class TakesTrainedOnes(SmallCollector):
    def take(self, policy):
        with torch.no_grad():
            for mine, theirs in zip(self.policy.parameters(), policy.parameters(), strict=True):
                if theirs.requires_grad:
                    mine.copy_(theirs)
        self.policy.module.offset.copy_(policy.module.offset)


class NeverTakes(SmallCollector):
    def take(self, policy):
        copy.deepcopy(self.policy).load_state_dict(policy.state_dict())


class TakesFromTheFirst(SmallCollector):
    def take(self, policy):
        self.policy.load_state_dict(self.learner.state_dict())


class PlaysAhead(SmallCollector):
    def __iter__(self):
        self.now = self.env.reset()
        ready = self.play()
        for _ in range(self.batches - 1):
            batch, ready = ready, self.play()
            yield batch
        yield ready


class ResetsEachBatch(SmallCollector):
    def frames(self):
        self.now = self.env.reset()
        return super().frames()


class ResetsAll(SmallCollector):
    def step(self):
        from torchrl.envs import step_mdp

        frame = self.env.step(self.policy(self.now))
        over = frame["next", "done"].any()
        return frame, self.env.reset() if over else step_mdp(frame)


class NeverResets(SmallCollector):
    def step(self):
        from torchrl.envs import step_mdp

        frame = self.env.step(self.policy(self.now))
        return frame, step_mdp(frame)


class StopsAtEnds(SmallCollector):
    def frames(self):
        batch = self.env.rollout(self.steps, self.policy)
        return batch.set("version", torch.full(batch.shape, self.version))


class CountsSteps(SmallCollector):
    def __init__(self, env, policy, frames_per_batch, total_frames):
        super().__init__(env, policy, frames_per_batch, total_frames)
        self.steps = frames_per_batch


class OneMore(SmallCollector):
    def __init__(self, env, policy, frames_per_batch, total_frames):
        super().__init__(env, policy, frames_per_batch, total_frames)
        self.batches += 1


class CountsBatches(SmallCollector):
    def play(self):
        batch = super().play()
        self.version += 1
        return batch

    def update_policy_weights_(self, policy):
        self.take(policy)


class OneTensorForAll(SmallCollector):
    def frames(self):
        batch = super().frames()
        if not hasattr(self, "room"):
            self.room = batch
        return self.room.update_(batch)


class GradientsOn(SmallCollector):
    def play(self):
        from torchrl.envs import ExplorationType, set_exploration_type

        with set_exploration_type(ExplorationType.RANDOM):
            return self.frames()


class InferenceMode(SmallCollector):
    def play(self):
        from torchrl.envs import ExplorationType, set_exploration_type

        with torch.inference_mode(), set_exploration_type(ExplorationType.RANDOM):
            return self.frames()


class NoGradAcrossYield(SmallCollector):
    def __iter__(self):
        with torch.no_grad():
            yield from super().__iter__()


class Greedy(SmallCollector):
    def play(self):
        with torch.no_grad():
            return self.frames()


class TrainsTheLearners(SmallCollector):
    def play(self):
        before = self.learner.state_dict()
        before = {name: value.clone() for name, value in before.items()}
        self.learner.load_state_dict(self.policy.state_dict())
        batch = super().play()
        self.learner.module.layer.weight.data.copy_(self.policy.module.layer.weight)
        return batch


class NeverCloses(SmallCollector):
    def shutdown(self):
        self.closed = True


class ClosesTwice(SmallCollector):
    def shutdown(self):
        self.closed = True
        self.env.close()


class PlaysOn(SmallCollector):
    def __iter__(self):
        self.now = self.env.reset()
        for _ in range(self.batches):
            yield self.play()


MUTANTS = [
    Mutant("shares from the start", SharesFromTheStart, "It needs tensors of its own"),
]
