"""Compare an answer with a reference and with the mistakes people make, by what it does and not by how it is written.

An exercise draws fresh random inputs, applies the answer and the reference to copies of them and compares. If they
differ, the answer is compared with each *mutant*: a misconception, written as the code a learner would write. If the
answer does what a mutant does, the learner reads that mutant's sentence.
"""

from __future__ import annotations

import copy
import ctypes
import dis
import importlib
import linecache
import random
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
import torch
from tensordict import TensorDictBase

from course_utils.display import View
from course_utils.progress import remember

DRAWS = 16  # so many that a wrong yes-or-no answer cannot be right on all of them by luck
SECONDS = 5.0
SYMBOLS = {"correct": "✔", "not yet": "✎", "not attempted": "○", "could not run": "⚠"}


@dataclass(frozen=True)
class Mutant:
    """A misconception: its name, the code it leads to, and the sentence that helps."""

    name: str
    answer: Any
    sentence: str


@dataclass(frozen=True)
class Exercise:
    """What `check` needs to know about one exercise.

    Attributes:
        number: `"7.1"`: lesson and place.
        tests: one sentence on what is tested, shown when the answer is correct.
        reference: a right answer: a function, or a value for "predict what comes out" exercises.
        draw: makes the arguments of one call, by name and in order, from a random source; None where the answer
            is a value.
        mutants: the known mistakes.
        probe: turns what an answer returned, and the inputs, into what is compared. A function that builds a module
            is compared by what its module writes.
    """

    number: str
    tests: str
    reference: Any
    draw: Callable[[Draw], dict[str, Any]] | None = None
    mutants: list[Mutant] = field(default_factory=list)
    probe: Callable[[Any, dict[str, Any]], Any] | None = None


class Result(View):
    """What `check` says: `.status` is one of four words, `.feedback` the sentence."""

    def __init__(self, number: str, status: str, feedback: str) -> None:
        self.number, self.status, self.feedback = number, status, feedback
        head = f"{SYMBOLS[status]} Exercise {number}: {status}"
        html = (
            '<div role="status" style="border:1px solid currentColor;border-left-width:6px;border-radius:4px;'
            f'padding:6px 12px;max-width:46em"><strong>{escape(head)}</strong>'
            f'<div style="white-space:pre-wrap">{escape(feedback)}</div></div>'
        )
        super().__init__(html, f"{head}\n{feedback}")


class Draw:
    """The source of an exercise's random inputs; a seed makes them repeatable."""

    def __init__(self, seed: int) -> None:
        self._torch = torch.Generator().manual_seed(seed)
        self._python = random.Random(seed)

    def normal(self, *shape: int) -> torch.Tensor:
        """Standard normal numbers of this shape."""
        return torch.randn(shape, generator=self._torch)

    def integers(self, low: int, high: int, *shape: int) -> torch.Tensor:
        """Whole numbers from `low` to `high - 1` of this shape."""
        return torch.randint(low, high, shape, generator=self._torch)

    def flags(self, probability: float, *shape: int) -> torch.Tensor:
        """True with this probability, of this shape."""
        return torch.rand(shape, generator=self._torch) < probability

    def uniform(self, low: float, high: float) -> float:
        """One number between `low` and `high`."""
        return self._python.uniform(low, high)


class OutOfTime(BaseException):
    """Raised inside an answer that runs too long; a BaseException, so that `except Exception` does not catch it."""


def exercises_of(lesson: str) -> dict[str, Exercise]:
    """The exercises of a lesson ("07") by number; empty where it has none."""
    try:
        module = importlib.import_module(f"course_utils.exercises.lesson_{lesson}")
    except ModuleNotFoundError:
        return {}
    return {exercise.number: exercise for exercise in module.EXERCISES}


def check(number: str, answer: Any) -> Result:
    """Compare an answer with what the exercise asks for.

    Args:
        number: of the exercise, as the lesson gives it: `"7.1"`.
        answer: the learner's function, or value.

    Returns:
        A result whose `.status` is `correct`, `not yet`, `not attempted` or `could not run`. It never raises, and an
        answer that does not end is cut off after a few seconds.
    """
    lesson = str(number).split(".")[0].zfill(2)
    known = exercises_of(lesson)
    if number not in known:
        have = ", ".join(known) or "none"
        return Result(str(number), "could not run", f"There is no exercise {number!r}; lesson {lesson} has: {have}.")
    status, feedback = judge(known[number], answer)
    remember(number, status)
    return Result(number, status, feedback)


def judge(exercise: Exercise, answer: Any) -> tuple[str, str]:
    """The status and the feedback of an answer."""
    if exercise.draw is None:
        return judge_value(exercise, answer)
    if answer is None or answer is ... or is_stub(answer):
        return "not attempted", "Replace the `...` with your code and run the cell again."
    if not callable(answer):
        return "not yet", f"Give the function itself, without calling it: this is a {type(answer).__name__}."
    seeds = [random.SystemRandom().randrange(2**31) for _ in range(DRAWS)]
    outcomes = []
    for seed in seeds:
        inputs = exercise.draw(Draw(seed))
        given = copy.deepcopy(inputs)
        outcome = run_limited(exercise, answer, given, seed)
        if isinstance(outcome, Failure):
            return "could not run", outcome.words
        changed = [name for name in inputs if difference(inputs[name], given[name])]
        if changed:
            return "not yet", f"Your function changes its input `{changed[0]}`; work on a copy, or build a new tensor."
        outcomes.append((inputs, outcome.value))
    expected = [
        call(exercise, exercise.reference, inputs, seed) for (inputs, _), seed in zip(outcomes, seeds, strict=True)
    ]
    differences = [difference(want, value) for want, (_, value) in zip(expected, outcomes, strict=True)]
    if not any(differences):
        return "correct", exercise.tests
    for mutant in exercise.mutants:
        theirs = [
            call(exercise, mutant.answer, inputs, seed) for (inputs, _), seed in zip(outcomes, seeds, strict=True)
        ]
        if not any(difference(want, value) for want, (_, value) in zip(theirs, outcomes, strict=True)):
            return "not yet", mutant.sentence
    if all(value is None or isinstance(value, Unusable) and value.kind == "a NoneType" for _, value in outcomes):
        return "not yet", "Your function returns nothing. Is the `return` missing?"
    return "not yet", next(words for words in differences if words)


def judge_value(exercise: Exercise, answer: Any) -> tuple[str, str]:
    """As `judge`, for an exercise whose answer is a value."""
    if answer is None or answer is ...:
        return "not attempted", "Replace the `...` with your answer and run the cell again."
    try:
        words = difference(exercise.reference, answer)
    except Exception as error:  # an answer can be any object, also one that cannot be compared
        return "not yet", f"This {type(answer).__name__} cannot be compared with the answer ({error})."
    if not words:
        return "correct", exercise.tests
    for mutant in exercise.mutants:
        if not difference(mutant.answer, answer):
            return "not yet", mutant.sentence
    return "not yet", f"Not {answer!r:.80}. Predict, run the code in a cell of your own, compare."


def is_stub(answer: Any) -> bool:
    """True for a function whose body does nothing (`...`, `pass` or a docstring)."""
    code = getattr(answer, "__code__", None)
    if code is None:
        return False
    idle = {"RESUME", "NOP", "POP_TOP", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST"}
    steps = list(dis.get_instructions(code))
    constants = [step.argval for step in steps if "CONST" in step.opname]
    return all(step.opname in idle for step in steps) and constants[-1:] in ([None], [...])


@dataclass(frozen=True)
class Success:
    value: Any


@dataclass(frozen=True)
class Failure:
    words: str


@dataclass(frozen=True)
class Unusable:
    """What an answer returned when the exercise's probe can do nothing with it."""

    kind: str
    error: str


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


def describe_kind(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {list(value.shape)} and type {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, TensorDictBase):
        return f"a tensordict with batch size {list(value.batch_size)} and keys {sorted(map(str, value.keys()))}"
    return f"a {type(value).__name__}"


def as_number(value: Any) -> Any:
    """Python, NumPy and zero-dimensional torch numbers are one and the same to an exercise that asks for a number."""
    if isinstance(value, (torch.Tensor, np.ndarray, np.generic)) and value.ndim == 0:
        return value.item()
    return value


def difference(want: Any, got: Any) -> str:
    """What differs first between two values, as a sentence; empty where nothing does.

    Tensors are compared by shape, then type, then values (to 1e-5); tensordicts by batch size, keys and entries;
    tuples, lists and dicts entry by entry; modules by their weights; everything else by equality, or by type where
    a type knows no equality.
    """
    if isinstance(got, Unusable):
        return f"Your function returned {got.kind}, which cannot be used as the exercise asks ({got.error})."
    if isinstance(want, torch.nn.Module) and isinstance(got, torch.nn.Module):
        want, got = dict(want.state_dict()), dict(got.state_dict())
    if isinstance(want, TensorDictBase):
        if not isinstance(got, TensorDictBase):
            return f"Expected {describe_kind(want)}, got {describe_kind(got)}."
        if want.batch_size != got.batch_size or set(want.keys(True, True)) != set(got.keys(True, True)):
            return f"Expected {describe_kind(want)}, got {describe_kind(got)}."
        found = ((key, difference(want[key], got[key])) for key in want.keys(True, True))
        return next((f"At key {key!r}: {words}" for key, words in found if words), "")
    if isinstance(want, torch.Tensor) and want.ndim > 0:
        return tensor_difference(want, got)
    want, got = as_number(want), as_number(got)
    if isinstance(want, bool) or isinstance(got, bool):
        same = isinstance(want, bool) and isinstance(got, bool) and want == got
    elif isinstance(want, (int, float)):
        if not isinstance(got, (int, float)):
            return f"Expected a number, got {describe_kind(got)}."
        same = bool(np.isclose(want, got, rtol=1e-5, atol=1e-5))
    elif isinstance(want, (tuple, list)):
        if not isinstance(got, (tuple, list)) or len(want) != len(got):
            return f"Expected {len(want)} values in a tuple or list, got {got!r:.80}."
        found = ((place, difference(a, b)) for place, (a, b) in enumerate(zip(want, got, strict=True)))
        return next((f"At place {place}: {words}" for place, words in found if words), "")
    elif isinstance(want, dict):
        if not isinstance(got, dict) or want.keys() != got.keys():
            return f"Expected a dict with keys {sorted(want)}, got {describe_kind(got)}."
        found = ((key, difference(want[key], got[key])) for key in want)
        return next((f"At key {key!r}: {words}" for key, words in found if words), "")
    else:
        comparable = type(want).__eq__ is not object.__eq__
        same = type(want) is type(got) and (not comparable or bool(want == got))
    return "" if same else f"Expected {shown(want)}, got {shown(got)}."


def shown(value: Any) -> str:
    """A value in a sentence; a number with as many digits as tell two apart that count as different."""
    return f"{value:.7g}" if isinstance(value, float) else f"{value!r:.80}"


def tensor_difference(want: torch.Tensor, got: Any) -> str:
    if not isinstance(got, torch.Tensor) or want.shape != got.shape or want.dtype != got.dtype:
        return f"Expected {describe_kind(want)}, got {describe_kind(got)}."
    same = torch.isclose(want, got, rtol=1e-5, atol=1e-5, equal_nan=True) if want.is_floating_point() else want == got
    if same.all():
        return ""
    place = tuple(torch.nonzero(~same)[0].tolist())
    count = int((~same).sum())
    return (
        f"The shape {list(want.shape)} is right, {count} of {want.numel()} values are not. The first is at "
        f"{list(place)}: expected {shown(want[place].item())}, got {shown(got[place].item())}."
    )
