"""Run an answer: on inputs of its own, from a fixed seed, for a limited time, and with an error shown at its line."""

from __future__ import annotations

import copy
import ctypes
import linecache
import random
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import _bootstrap
from types import CodeType, FrameType
from typing import Any

import numpy as np
import torch

from course_utils.exercises.comparing import Unusable, describe_kind
from course_utils.exercises.exercise import Exercise
from course_utils.exercises.gradients import ask_for_gradients, differentiate

SECONDS = 5.0  # of its own time: what other programs take of a busy machine does not count
WAITING = 3  # an answer that sleeps, or waits for something, is cut off after so many times `SECONDS`
IMPORTING = 60.0  # a first `import torchrl` on a busy machine takes longer than any answer


class OutOfTime(BaseException):
    """Raised inside an answer that runs too long.

    Not an Exception, so that `except Exception` does not catch it. It is made in the thread that it ends; there it asks
    Python to call `again` at the next line, so that a bare `except:` that caught it is left at once, too.
    """

    def __init__(self) -> None:
        super().__init__()
        if hasattr(sys, "monitoring"):
            return  # see `ending_at_every_line`
        frame = sys._getframe(1)
        sys.settrace(again)
        while frame is not None:
            frame.f_trace = again
            frame = frame.f_back


def again(frame: FrameType, event: str, arg: Any) -> None:
    """Python's trace function in a thread that is to end; raising ends the tracing."""
    if frame.f_code.co_filename in (__file__, threading.__file__):
        sys.settrace(None)
    else:
        raise OutOfTime


@dataclass(frozen=True)
class Success:
    value: Any


@dataclass(frozen=True)
class Failure:
    words: str


def seed_all(seed: int) -> None:
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def apply(exercise: Exercise, answer: Callable, inputs: dict[str, Any], seed: int) -> Any:
    """What is compared of an answer; what it draws at random depends on `seed` alone."""
    leaves = ask_for_gradients(inputs, exercise.gradient)
    seed_all(seed + 1)  # not the seed that the inputs were drawn from: an answer's random numbers must not equal them
    value = answer(*inputs.values())
    if exercise.probe is not None:
        try:
            value = exercise.probe(value, inputs)
        except Exception as error:  # the learner may have returned anything
            return Unusable(describe_kind(value), f"{type(error).__name__}: {error}".splitlines()[0][:120])
    return differentiate(value, leaves, seed) if exercise.gradient else value


def call(exercise: Exercise, answer: Callable, inputs: dict[str, Any], seed: int) -> Any:
    """As `apply`, on a copy of the inputs."""
    return apply(exercise, answer, copy.deepcopy(inputs), seed)


def run_limited(exercise: Exercise, answer: Callable, inputs: dict[str, Any], seed: int) -> Success | Failure:
    """Apply the learner's function to `inputs` themselves, for at most a few seconds."""
    return limited(lambda: apply(exercise, answer, inputs, seed), answer, SECONDS)


def limited(work: Callable[[], Any], answer: Any, seconds: float) -> Success | Failure:
    """What `work`, which uses the learner's answer, returns, or a sentence on why it does not.

    It runs in a thread, because a thread can be told to stop on every platform. The thread is stopped also if the
    waiting for it is interrupted.
    """
    outcome: list[Success | Failure] = []

    def run() -> None:
        try:
            outcome.append(Success(work()))
        except OutOfTime:
            pass
        except BaseException as error:  # whatever the learner's code raises, SystemExit too, becomes a sentence
            outcome.append(Failure(describe_error(answer, error)))

    thread = threading.Thread(target=run, daemon=True)
    with silent_when_out_of_time():
        thread.start()
        try:
            ended = wait_for(thread, seconds)
        finally:
            stop(thread)
    # An error of a thread that was stopped may come of the stop, raised by code that closes what it had opened.
    if outcome and (ended or isinstance(outcome[0], Success)):
        return outcome[0]
    return Failure(f"Your {kind_of(answer)} was cut off after {seconds:g} seconds. Is there a loop that never ends?")


@contextmanager
def silent_when_out_of_time() -> Iterator[None]:
    """Print nothing about a thread that ends with `OutOfTime`, which can arrive where nothing catches it."""
    hook = threading.excepthook
    threading.excepthook = lambda args: None if args.exc_type is OutOfTime else hook(args)
    try:
        yield
    finally:
        threading.excepthook = hook


def wait_for(thread: threading.Thread, seconds: float) -> bool:
    """Return when the thread has ended, or has used up its time: has it ended?"""
    began, imported, last = time.monotonic(), 0.0, time.monotonic()
    others = imports_now()  # of a program that asks for this check while it is imported itself
    while True:
        thread.join(0.05)
        if not thread.is_alive():
            return True
        now = time.monotonic()
        if imports_now() - others and imported < IMPORTING:
            imported += now - last
        last = now
        waited = now - began - imported
        if waited > seconds and (waited > WAITING * seconds or processor_time(thread, waited) > seconds):
            return False


def imports_now() -> set[str]:
    """The modules that are being imported, in whatever thread: each has a lock until it is there.

    To read the frames of a thread that runs, which would tell its own imports, can crash Python 3.11.

    Source: https://github.com/python/cpython/issues/111363
    """
    return set(_bootstrap._module_locks)


def processor_time(thread: threading.Thread, otherwise: float) -> float:
    """The seconds that a thread has computed, or `otherwise` where the platform does not tell."""
    if not hasattr(time, "pthread_getcpuclockid") or thread.ident is None:
        return otherwise
    try:
        return time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
    except OSError:  # it has ended
        return otherwise


def stop(thread: threading.Thread) -> None:
    """End a thread that still runs. Whatever catches the exception gets it again."""
    if not thread.is_alive():
        return
    end = time.monotonic() + 2
    with ending_at_every_line(thread):
        while thread.is_alive() and time.monotonic() < end:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(OutOfTime))
            thread.join(0.05)


@contextmanager
def ending_at_every_line(thread: threading.Thread) -> Iterator[None]:
    """From Python 3.12 on: whatever line the thread comes to raises, in a handler that caught the exception as well.

    There a trace function that raised is not called again, which `OutOfTime` relies on in Python 3.11.

    Source: https://docs.python.org/3/library/sys.monitoring.html
    """
    monitoring = getattr(sys, "monitoring", None)
    free = [tool for tool in range(6) if monitoring.get_tool(tool) is None] if monitoring else []
    if not free:
        yield
        return

    def come_to_a_line(code: CodeType, *_: Any) -> None:
        if threading.get_ident() == thread.ident and code.co_filename not in (__file__, threading.__file__):
            raise OutOfTime

    tool, events = free[-1], (monitoring.events.LINE, monitoring.events.JUMP)
    monitoring.use_tool_id(tool, "course_utils")
    try:
        for event in events:
            monitoring.register_callback(tool, event, come_to_a_line)
        monitoring.set_events(tool, sum(events))
        yield
    finally:
        monitoring.set_events(tool, monitoring.events.NO_EVENTS)
        for event in events:
            monitoring.register_callback(tool, event, None)
        monitoring.free_tool_id(tool)


def describe_error(answer: Any, error: BaseException) -> str:
    """The learner's own error at their line, without a line of ours."""
    files = {code.co_filename for code in codes_of(answer)}
    theirs = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in files]
    words = f"{type(error).__name__}: {error}".strip().rstrip(":")
    if isinstance(error, TypeError) and not theirs:
        return f"Your {kind_of(answer)} could not be called as the exercise says: {words}"
    if not theirs:
        return words
    frame = theirs[-1]
    source = linecache.getline(frame.filename, frame.lineno).strip()
    return f"{words}\nat line {frame.lineno} of your cell: {source}" if source else words


def kind_of(answer: Any) -> str:
    return "class" if isinstance(answer, type) else "function"


def codes_of(answer: Any) -> list[CodeType]:
    """The code of a function, or of a class's own methods and of the functions of the same notebook that they name.

    What is built may stand in several cells, each of which is a file to Python.
    """
    functions = (
        [answer] if hasattr(answer, "__code__") else own_methods(answer if isinstance(answer, type) else type(answer))
    )
    found: dict[CodeType, None] = {}
    while functions:
        function = functions.pop()
        code = getattr(function, "__code__", None)
        if code is None or code in found:
            continue
        found[code] = None
        names = getattr(function, "__globals__", {})
        for value in (names.get(name) for name in code.co_names):
            if getattr(value, "__module__", None) == getattr(function, "__module__", ""):
                functions += own_methods(value) if isinstance(value, type) else [value]
    return list(found)


def own_methods(kind: type) -> list[Any]:
    """The functions that a class itself defines."""
    values = [getattr(value, "__func__", value) for value in vars(kind).values()]
    return [value for value in values if hasattr(value, "__code__")]
