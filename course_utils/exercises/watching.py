"""Note what a training loop does, from outside: when it collects, stores, samples and learns, and with which objects.

TorchRL's and torch's own classes are at work. While a loop runs, their methods pass by those who take notes, by torch's
hooks where it has some and else by wrappers around the methods of the classes; afterwards every wrapper and hook is
gone. So parts that the loop makes itself are seen as well as those it was given. Other threads are not noted.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torchrl.collectors import BaseCollector
from torchrl.envs.utils import exploration_type, set_exploration_type

from course_utils.exercises.diary import Diary
from course_utils.exercises.frames_used import mark_used
from course_utils.exercises.notes import Watched, put_together
from course_utils.exercises.watch_buffers import Buffers
from course_utils.exercises.watch_following import Following
from course_utils.exercises.watch_learning import Learning
from course_utils.exercises.watch_playing import Playing


@contextmanager
def watching(parts: Iterable[Any] = ()) -> Iterator[Watched]:
    """Note what happens in this thread until the end of the block.

    Args:
        parts: modules, loss modules and optimisers that are there already, so that their weights are known from the
            first moment on. Others are met when they are used.
    """
    diary = Diary()
    playing = Playing(diary)
    learning = Learning(diary, playing)
    watchers = (playing, Buffers(diary, playing), learning, Following(diary, playing, learning))
    for part in parts:
        diary.meet(part)
    with ExitStack() as stack:
        # It is one for all threads: a collector in a thread of its own and a loss can leave each other's behind.
        stack.enter_context(set_exploration_type(exploration_type()))
        stack.callback(finish, diary, learning)
        for hook in learning.hooks():
            stack.callback(hook.remove)
        for base, name, make in [wrapper for watcher in watchers for wrapper in watcher.wrappers()]:
            for kind in family(base):
                if name in vars(kind):
                    wrap(kind, name, make, stack)
        wrap(torch.autograd, "backward", learning.around_backward, stack)
        wrap(torch.autograd, "grad", learning.around_grad, stack)
        for name in ("clip_grad_norm_", "clip_grad_value_"):
            wrap(torch.nn.utils, name, learning.around_clip, stack)
        yield diary.seen


def family(base: type) -> list[type]:
    """A class and all classes made of it."""
    found = {base: None}
    for kind in type.__subclasses__(base):  # so of a metaclass as well
        found |= dict.fromkeys(family(kind))
    return list(found)


def wrap(owner: Any, name: str, make: Callable[[Callable], Callable], stack: ExitStack) -> None:
    original = vars(owner)[name]
    stack.callback(setattr, owner, name, original)
    setattr(owner, name, functools.wraps(original)(make(original)))


def finish(diary: Diary, learning: Learning) -> None:
    """Close the diary, and put its notes in order."""
    learning.end()
    diary.open = False
    tell_evaluations(diary.seen)
    diary.seen.notes[:] = put_together(diary.seen.notes)
    turn = 0
    for place, note in enumerate(diary.seen.notes):
        turn += note.kind == "collect"
        note.place, note.turn = place, turn


def tell_evaluations(seen: Watched) -> None:
    """Frames that were neither stored nor learned from were played to judge, unless a collector played them."""
    mark_used(seen)
    collected = seen.of("collect")
    if not any(note.used for note in collected):
        return  # what is learned from cannot be told from what is not
    for note in collected:
        if not note.used and not isinstance(note.part, BaseCollector):
            if not note.players:
                seen.notes.remove(note)  # somebody tried the environment out
            elif note.rows:
                note.kind = "evaluate"
