"""Compare an answer with a reference and with the mistakes people make, by what it does and not by how it is written.

An exercise draws fresh random inputs, applies the answer and the reference to copies of them and compares. If they
differ, the answer is compared with each *mutant*: a misconception, written as the code a learner would write. If the
answer does what a mutant does, the learner reads that mutant's sentence. If it does what none does, `explaining` says
the simplest thing that is true of all differences.
"""

from __future__ import annotations

import copy
import dis
import random
from typing import Any

import torch
from tensordict import TensorDictBase

from course_utils.exercises.comparing import Unusable, WithGradient, difference
from course_utils.exercises.exercise import Build, Draw, Exercise
from course_utils.exercises.explaining import explain
from course_utils.exercises.predicting import about_prediction
from course_utils.exercises.running import Failure, call, kind_of, limited, own_methods, run_limited, seed_all
from course_utils.exercises.undisturbed import undisturbed

DRAWS = 16  # so many that a wrong yes-or-no answer cannot be right on all of them by luck


def judge(exercise: Exercise | Build, answer: Any) -> tuple[str, str]:
    """The status and the feedback of an answer. Whatever it does to Python, NumPy and torch is undone."""
    with undisturbed():
        if isinstance(exercise, Build):
            return judge_build(exercise, answer)
        return judge_value(exercise, answer) if exercise.draw is None else judge_function(exercise, answer)


def judge_function(exercise: Exercise, answer: Any) -> tuple[str, str]:
    if answer is None or answer is ... or is_stub(answer):
        return "not attempted", "Replace the `...` with your code and run the cell again."
    if not callable(answer):
        return "not yet", f"Give the function itself, without calling it: this is a {type(answer).__name__}."
    if isinstance(answer, torch.nn.Module) and not exercise.draw(Draw(0)):
        return "not yet", f"Give the function that builds it: this {type(answer).__name__} is what it has to return."
    first = random.SystemRandom().randrange(2**31)
    seeds = range(first, first + DRAWS)  # one after the other, for `Draw.turn`
    outcomes = []
    for seed in seeds:
        inputs = exercise.draw(Draw(seed))
        given = copy.deepcopy(inputs)
        outcome = run_limited(exercise, answer, given, seed)
        if isinstance(outcome, Failure):
            return "could not run", outcome.words
        changed = [name for name in inputs if difference(inputs[name], given[name])]
        if changed and not exercise.may_change_inputs:
            return "not yet", changes_its_input(exercise, inputs, seed, outcome.value, changed[0])
        outcomes.append((inputs, outcome.value))
    expected = [
        call(exercise, exercise.reference, inputs, seed) for (inputs, _), seed in zip(outcomes, seeds, strict=True)
    ]
    differences = [difference(want, value, exercise.rules) for want, (_, value) in zip(expected, outcomes, strict=True)]
    if not any(differences):
        return "correct", exercise.tests
    for mutant in exercise.mutants:
        theirs = (
            call(exercise, mutant.answer, inputs, seed) for (inputs, _), seed in zip(outcomes, seeds, strict=True)
        )
        if not any(difference(want, value, exercise.rules) for want, (_, value) in zip(theirs, outcomes, strict=True)):
            return "not yet", mutant.sentence
    if all(is_nothing(value) for _, value in outcomes) and never_returns(answer):
        return "not yet", "Your function returns nothing. Is the `return` missing?"
    draws = [(inputs, seed, want, value) for (inputs, value), seed, want in zip(outcomes, seeds, expected, strict=True)]
    try:
        return "not yet", explain(exercise, answer, draws)
    except Exception:  # an answer can return anything; that it is wrong has been seen already
        return "not yet", next(words for words in differences if words)


def changes_its_input(exercise: Exercise, inputs: dict[str, Any], seed: int, value: Any, name: str) -> str:
    want = call(exercise, exercise.reference, inputs, seed)
    right = "The result is right, but your" if not difference(want, value, exercise.rules) else "Your"
    words = f"{right} function changes its input `{name}`, which its caller still needs."
    if isinstance(inputs[name], TensorDictBase):
        return f"{words} Work on `{name}.clone()`; `copy()` and `clone(recurse=False)` share the tensors."
    if isinstance(inputs[name], torch.Tensor):
        return f"{words} Build a new tensor, or work on `{name}.clone()`."
    return f"{words} Work on a copy."


def never_returns(answer: Any) -> bool:
    """Does no `return` in this function give anything? True, too, for what is no plain function."""
    code = getattr(answer, "__code__", None)
    if code is None:
        return True
    steps = list(dis.get_instructions(code))
    given = [
        steps[place - 1] if step.opname == "RETURN_VALUE" else step
        for place, step in enumerate(steps)
        if step.opname in ("RETURN_VALUE", "RETURN_CONST")
    ]
    return all("CONST" in step.opname and step.argval is None for step in given)


def is_nothing(value: Any) -> bool:
    value = value.value if isinstance(value, WithGradient) else value
    return value is None or isinstance(value, Unusable) and value.kind == "a NoneType"


def judge_build(build: Build, answer: Any) -> tuple[str, str]:
    """As `judge_function`, for what is examined in use."""
    if answer is None or answer is ... or is_stub(answer):
        return "not attempted", "Replace each `...` with your code and run the cells again."
    if not callable(answer):
        wanted = kind_of(build.reference)
        return "not yet", f"Give the {wanted} itself, without calling it: this is a {type(answer).__name__}."
    seed = random.SystemRandom().randrange(2**31)

    def work() -> str:
        seed_all(seed + 1)
        return build.examine(answer, Draw(seed))

    outcome = limited(work, answer, build.seconds)
    if isinstance(outcome, Failure):
        return "could not run", outcome.words
    return ("not yet", outcome.value) if outcome.value else ("correct", build.tests)


def judge_value(exercise: Exercise, answer: Any) -> tuple[str, str]:
    """As `judge_function`, for an exercise whose answer is a value."""
    if answer is None or answer is ...:
        return "not attempted", "Replace the `...` with your answer and run the cell again."
    words = difference(exercise.reference, answer, exercise.rules)
    if not words:
        return "correct", exercise.tests
    for mutant in exercise.mutants:
        if not difference(mutant.answer, answer, exercise.rules):
            return "not yet", mutant.sentence
    return "not yet", about_prediction(exercise.reference, answer, exercise.rules)


def is_stub(answer: Any) -> bool:
    """True for a function whose body does nothing (`...`, `pass` or a docstring), and for a class of such methods.

    A class's `__init__` does not count beside other methods: where it stands in a skeleton, it is given. What the class
    inherits from others of its notebook does count.
    """
    if isinstance(answer, type):
        kinds = [kind for kind in answer.__mro__ if kind.__module__ == answer.__module__]
        methods = [method for kind in kinds for method in own_methods(kind)]
        return all(map(is_stub, [method for method in methods if method.__name__ != "__init__"] or methods))
    code = getattr(answer, "__code__", None)
    if code is None:
        return False
    idle = {"RESUME", "NOP", "POP_TOP", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST"}
    steps = list(dis.get_instructions(code))
    constants = [step.argval for step in steps if "CONST" in step.opname]
    return all(step.opname in idle for step in steps) and constants[-1:] in ([None], [...])
