"""Exercise 12.6: a collector that is right, and the mistakes people make, each changing one thing in it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch

from course_utils.exercises.collector_watched import examine
from course_utils.exercises.exercise import Build, Mutant


class SmallCollector:
    """Plays `total_frames` frames with a copy of `policy`, which stays as it is until weights are sent."""

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


class ExplorationAcrossYield(SmallCollector):
    def __iter__(self):
        from torchrl.envs import ExplorationType, set_exploration_type

        with set_exploration_type(ExplorationType.RANDOM):
            yield from super().__iter__()


class Greedy(SmallCollector):
    def play(self):
        with torch.no_grad():
            return self.frames()


class PlaysInTheLearners(SmallCollector):
    def play(self):
        self.learner.load_state_dict(self.policy.state_dict())
        return super().play()


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


ALONE = "Nothing was sent before batch 0, only the learner's network was trained on; yet your collector's has changed: "
OLD = "New weights were sent before batch 1, and it was played with old ones: "

BUILD = Build(
    number="12.6",
    tests="Its own copy stands still until weights are sent; then all of them have arrived; frames, versions, the end.",
    reference=SmallCollector,
    examine=examine,
    mutants=[
        Mutant("no copy", SharesFromTheStart, ALONE + "all of its weights."),
        Mutant("shares buffers", SharesBuffers, ALONE + "`offset`, a buffer."),
        Mutant(
            "takes the network",
            TakesTheNetworkItself,
            "takes over those of the network it is given, as they are at that moment.",
        ),
        Mutant("parameters alone", TakesParameters, OLD + "`offset`, a buffer."),
        Mutant("trained parameters alone", TakesTrainedOnes, OLD + "`frozen`, which asks for no gradient."),
        Mutant("never takes", NeverTakes, OLD + "all of its weights."),
        Mutant(
            "from the first network",
            TakesFromTheFirst,
            "Batch 4 was not played with the weights that were sent last: all of its weights.",
        ),
        Mutant(
            "plays ahead",
            PlaysAhead,
            "Do not play ahead: new weights may come in between, and those frames would be of old ones.",
        ),
        Mutant("resets each batch", ResetsEachBatch, "Rows [0, 1, 2] were reset in the middle of an episode."),
        Mutant("never resets", NeverResets, "A row was stepped after its episode was over."),
        Mutant("stops at ends", StopsAtEnds, "a batch does not end where an episode does."),
        Mutant("counts steps", CountsSteps, "batch 0 has [3, 12]. (A step of 3 rows is 3 frames"),
        Mutant("one more", OneMore, "after as many frames your collector hands over another batch."),
        Mutant("counts batches", CountsBatches, "Every call of `update_policy_weights_` counts."),
        Mutant(
            "one tensor for all",
            OneTensorForAll,
            "Hand over new tensors each time: a replay buffer may hold the old ones.",
        ),
        Mutant("gradients on", GradientsOn, "Your collector plays with gradients on"),
        Mutant("inference mode", InferenceMode, "Your batches were made in inference mode"),
        Mutant(
            "no_grad across yield", NoGradAcrossYield, "your collector's `with` still decides that gradients are off"
        ),
        Mutant(
            "exploration across yield",
            ExplorationAcrossYield,
            "your collector's `with` still decides how actions are chosen",
        ),
        Mutant("greedy", Greedy, "The policy was asked for its best action, not for one that is drawn."),
        Mutant(
            "plays in the learner's network",
            PlaysInTheLearners,
            "The learner's network has changed while your collector played.",
        ),
        Mutant("never closes", NeverCloses, "the environment was closed 0 times."),
        Mutant("closes twice", ClosesTwice, "the environment was closed 2 times."),
        Mutant("plays on", PlaysOn, "After `shutdown` your collector plays on"),
    ],
)
