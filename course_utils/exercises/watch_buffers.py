"""Note what is stored in replay buffers, and what is drawn from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torchrl.data import ReplayBuffer

from course_utils.exercises.diary import Diary, Wrapper
from course_utils.exercises.inside_parts import count_frames, rows_of
from course_utils.exercises.watch_playing import Playing


class Buffers:
    """Watches replay buffers."""

    def __init__(self, diary: Diary, playing: Playing) -> None:
        self.diary, self.playing = diary, playing
        self.storing = self.sampling = 0

    def wrappers(self) -> Iterator[Wrapper]:
        yield ReplayBuffer, "extend", self.around_store
        yield ReplayBuffer, "add", self.around_store
        yield ReplayBuffer, "sample", self.around_sample

    def around_store(self, original: Callable) -> Callable:
        def store(buffer: ReplayBuffer, data: Any, *args: Any, **options: Any) -> Any:
            if not self.diary.here() or self.storing:
                return original(buffer, data, *args, **options)
            rows, frames = rows_of(data), count_frames(data)
            before = len(buffer)
            self.storing += 1
            try:
                result = original(buffer, data, *args, **options)
            finally:
                self.storing -= 1
            last = self.diary.seen.notes[-1] if self.diary.seen.notes else None
            if self.playing.depth and last is not None and last.kind == "store" and last.part is buffer:
                last.frames, last.rows = last.frames + frames, (last.rows or ()) + (rows or ())
                last.size, last.items = len(buffer), last.items + len(buffer) - before
            else:
                grown = len(buffer) - before
                self.diary.note("store", buffer, frames=frames, rows=rows, size=len(buffer), items=grown)
            return result

        return store

    def around_sample(self, original: Callable) -> Callable:
        def sample(buffer: ReplayBuffer, *args: Any, **options: Any) -> Any:
            if not self.diary.here() or self.sampling:
                return original(buffer, *args, **options)
            self.sampling += 1
            note = self.diary.note("sample", buffer, size=len(buffer))
            try:
                result = original(buffer, *args, **options)
            except Exception as error:
                note.wrong = f"{type(error).__name__}: {error}"
                raise
            finally:
                self.sampling -= 1
            data = result[0] if isinstance(result, tuple) else result
            note.frames, note.rows = count_frames(data), rows_of(data)
            return result

        return sample
