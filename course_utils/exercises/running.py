"""Run a learner's function as the exercise asks: for a few seconds at most, and with their own error at their line."""

from __future__ import annotations

import copy
import ctypes
import linecache
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from course_utils.exercises.comparing import Unusable, describe_kind
from course_utils.exercises.exercise import Exercise

SECONDS = 5.0


class OutOfTime(BaseException):
    """Raised inside an answer that runs too long; a BaseException, so that `except Exception` does not catch it."""


@dataclass(frozen=True)
class Success:
    value: Any


@dataclass(frozen=True)
class Failure:
    words: str


def apply(exercise: Exercise, answer: Callable, inputs: dict[str, Any], seed: int) -> Any:
    """What is compared of an answer; what it draws at random depends on `seed` alone."""
    torch.manual_seed(seed)
    value = answer(*inputs.values())
    if exercise.probe is None:
        return value
    try:
        return exercise.probe(value, inputs)
    except Exception as error:  # the learner may have returned anything
        return Unusable(describe_kind(value), f"{type(error).__name__}: {error}".splitlines()[0][:120])


def call(exercise: Exercise, answer: Callable, inputs: dict[str, Any], seed: int) -> Any:
    """As `apply`, on a copy of the inputs and without touching the random state."""
    with torch.random.fork_rng(devices=[]):
        return apply(exercise, answer, copy.deepcopy(inputs), seed)


def run_limited(exercise: Exercise, answer: Callable, inputs: dict[str, Any], seed: int) -> Success | Failure:
    """Apply the learner's function to `inputs` themselves, for at most a few seconds.

    It runs in a thread, because a thread can be told to stop on every platform.
    """
    outcome: list[Success | Failure] = []

    def work() -> None:
        try:
            outcome.append(Success(apply(exercise, answer, inputs, seed)))
        except OutOfTime:
            pass
        except BaseException as error:  # whatever the learner's code raises, SystemExit too, becomes a sentence
            outcome.append(Failure(describe_error(answer, error)))

    with torch.random.fork_rng(devices=[]):
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(SECONDS)
        for _ in range(20):  # a bare `except:` in a loop can swallow the exception, so it is sent more than once
            if not thread.is_alive():
                break
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(OutOfTime))
            thread.join(0.05)
    if outcome:
        return outcome[0]
    return Failure(f"Your function was cut off after {SECONDS:g} seconds. Is there a loop that never ends?")


def describe_error(answer: Callable, error: BaseException) -> str:
    """The learner's own error at their line, without a line of ours."""
    file = getattr(getattr(answer, "__code__", None), "co_filename", None)
    theirs = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    words = f"{type(error).__name__}: {error}".strip().rstrip(":")
    if isinstance(error, TypeError) and not theirs:
        return f"Your function could not be called as the exercise says: {words}"
    if not theirs:
        return words
    frame = theirs[-1]
    source = linecache.getline(frame.filename, frame.lineno).strip()
    return f"{words}\nat line {frame.lineno} of your cell: {source}" if source else words
