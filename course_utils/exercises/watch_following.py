"""Note what follows the training: target networks, collectors that are sent new weights or are closed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torchrl.collectors import BaseCollector
from torchrl.objectives.utils import TargetNetUpdater

from course_utils.exercises.diary import Diary, Wrapper
from course_utils.exercises.inside_parts import values_of
from course_utils.exercises.watch_learning import Learning
from course_utils.exercises.watch_playing import Playing


class Following:
    """Watches target updaters, and the calls that a collector needs beside its batches."""

    def __init__(self, diary: Diary, playing: Playing, learning: Learning) -> None:
        self.diary, self.playing, self.learning = diary, playing, learning
        self.following = False

    def wrappers(self) -> Iterator[Wrapper]:
        yield TargetNetUpdater, "step", self.around_target
        yield BaseCollector, "update_policy_weights_", self.around("sync")
        yield BaseCollector, "shutdown", self.around("shutdown")
        yield BaseCollector, "async_shutdown", self.around("shutdown")

    def around_target(self, original: Callable) -> Callable:
        def step(updater: TargetNetUpdater, *args: Any, **options: Any) -> Any:
            if not self.diary.here() or self.following:
                return original(updater, *args, **options)
            self.diary.meet(updater.loss_module)
            self.learning.changed_after_step()
            before = values_of(updater.loss_module)[1]
            self.following = True
            try:
                result = original(updater, *args, **options)
            finally:
                self.following = False
            self.diary.note("target", updater, idle=torch.equal(before, values_of(updater.loss_module)[1]))
            self.diary.remember_values()
            return result

        return step

    def around(self, kind: str) -> Callable[[Callable], Callable]:
        """A wrapper that only notes that a method was called."""

        def make(original: Callable) -> Callable:
            def method(part: Any, *args: Any, **options: Any) -> Any:
                last = self.diary.seen.notes[-1] if self.diary.seen.notes else None
                known = id(part) in self.diary.parts  # else an old collector, which Python clears away just now
                again = last is not None and last.kind == kind and last.part is part
                if self.diary.here() and known and not self.playing.depth and not again:
                    self.diary.note(kind, part)
                return original(part, *args, **options)

            return method

        return make
