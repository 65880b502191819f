"""Every checker tells right from wrong: proven with the stub, right answers, every mutant, and garbage."""

from __future__ import annotations

import contextlib
import copy
import functools
import itertools
import linecache
import re
import time

import jupytext
import pytest
import torch
from right_answers import OTHERWISE
from tensordict import TensorDict

from course_utils import check
from course_utils.exercises import checking, judging, running
from course_utils.exercises.catalogue import exercises_of
from course_utils.exercises.comparing import difference
from course_utils.exercises.exercise import Build, Draw, Exercise, Mutant
from course_utils.exercises.judging import judge
from course_utils.exercises.running import call
from tools import misconceptions
from tools import notebooks as builder

ALL = [exercise for lesson in builder.lessons() for exercise in exercises_of(lesson.stem[:2]).values()]
EXERCISES = [exercise for exercise in ALL if isinstance(exercise, Exercise)]
BUILDS = [build for build in ALL if isinstance(build, Build)]
MUTANTS = [(exercise, mutant) for exercise in EXERCISES for mutant in exercise.mutants]
MUTANTS_OF_BUILDS = [(build, mutant) for build in BUILDS for mutant in build.mutants]


@functools.cache
def cells_of(lesson: str) -> list:
    return jupytext.read(next(path for path in builder.lessons() if path.stem[:2] == lesson), fmt="py:percent").cells


def lesson_cells(number: str, tag: str) -> str:
    """The cells of this tag under the exercise's heading, up to the one that calls its check, as one."""
    found, inside = [], False
    for cell in cells_of(number.split(".")[0].zfill(2)):
        if cell.cell_type == "markdown" and re.search("^##", cell.source, flags=re.MULTILINE):
            inside = f"### Exercise {number}:" in cell.source
        elif inside and tag in cell.metadata.get("tags", []):
            found.append(cell.source)
            if f'check("{number}"' in cell.source:
                return "\n".join(found)
    raise LookupError(f"no {tag} cell for {number}")


def run_cell(source: str):
    """Run a lesson's cell and return what its `check` call says."""
    *before, last = re.split(r"^(?=check\()", source, flags=re.MULTILINE)
    space = {"check": check, "torch": torch}
    exec("".join(before), space)
    return eval(last, space)


def by_number(value):
    return getattr(value, "number", getattr(value, "name", None))


@pytest.mark.parametrize("exercise", EXERCISES, ids=by_number)
class TestEveryExercise:
    def test_the_stub_is_not_attempted(self, exercise):
        assert run_cell(lesson_cells(exercise.number, "exercise")).status == "not attempted"

    def test_the_solution_of_the_lesson_is_correct(self, exercise):
        result = run_cell(lesson_cells(exercise.number, "solution"))
        assert (result.status, result.feedback) == ("correct", exercise.tests)

    def test_a_right_answer_written_otherwise_is_correct(self, exercise):
        assert judge(exercise, OTHERWISE[exercise.number])[0] == "correct"

    def test_there_are_at_least_three_mutants_with_sentences_of_their_own(self, exercise):
        sentences = [mutant.sentence for mutant in exercise.mutants]
        assert len(set(sentences)) == len(sentences) >= 3

    def test_no_two_mutants_behave_alike_and_none_like_the_reference(self, exercise):
        answers = [exercise.reference, *(mutant.answer for mutant in exercise.mutants)]
        if exercise.draw is None:
            assert not [(a, b) for a, b in itertools.combinations(answers, 2) if not difference(a, b, exercise.rules)]
            return
        for seed in range(2):
            inputs = [exercise.draw(Draw(1000 * seed + draw)) for draw in range(judging.DRAWS)]
            outcomes = [[call(exercise, answer, drawn, 0) for drawn in inputs] for answer in answers]
            for first, second in itertools.combinations(outcomes, 2):
                assert any(difference(a, b, exercise.rules) for a, b in zip(first, second, strict=True))

    @pytest.mark.parametrize("garbage", [None, ..., 3, "text", [], torch.zeros(2)], ids=repr)
    def test_garbage_gets_a_sentence(self, exercise, garbage):
        status, feedback = judge(exercise, garbage)
        assert status in ("not attempted", "not yet") and feedback

    def test_functions_that_return_garbage_get_a_sentence(self, exercise):
        if exercise.draw is None:
            assert judge(exercise, object())[0] == "not yet"  # the answer is a value, not a function
            return
        for value in (None, "text", torch.zeros(3, 3, 3), object()):
            status, feedback = judge(exercise, lambda *inputs, value=value: value if inputs else None)
            assert status == "not yet" and feedback

    def test_an_error_is_shown_with_its_line_and_nothing_of_ours(self, exercise):
        if exercise.draw is None:
            assert judge(exercise, object())[0] == "not yet"  # the answer is a value, not a function
            return

        def answer(*inputs):
            return inputs[0].no_such_thing

        status, feedback = judge(exercise, answer)
        assert status == "could not run"
        assert "no_such_thing" in feedback and "return inputs[0].no_such_thing" in feedback
        assert "Traceback" not in feedback and "running.py" not in feedback


@pytest.mark.parametrize(("exercise", "mutant"), MUTANTS, ids=by_number)
def test_each_mutant_gets_its_own_sentence(exercise, mutant):
    assert judge(exercise, mutant.answer) == ("not yet", mutant.sentence)


@pytest.mark.parametrize("build", BUILDS, ids=by_number)
class TestEveryBuild:
    def test_the_skeleton_is_not_attempted(self, build):
        assert run_cell(lesson_cells(build.number, "exercise")).status == "not attempted"

    def test_the_solution_of_the_lesson_is_correct(self, build):
        result = run_cell(lesson_cells(build.number, "solution"))
        assert (result.status, result.feedback) == ("correct", build.tests)

    def test_right_answers_written_otherwise_are_correct(self, build):
        answers = [build.reference, *OTHERWISE[build.number]]
        assert len(answers) >= 3
        assert [judge(build, answer) for answer in answers] == [("correct", build.tests)] * len(answers)

    def test_there_are_at_least_five_mutants_with_sentences_of_their_own(self, build):
        sentences = [mutant.sentence for mutant in build.mutants]
        assert len(set(sentences)) == len(sentences) >= 5

    @pytest.mark.parametrize("garbage", [None, ..., 3, "text", [], torch.zeros(2)], ids=repr)
    def test_garbage_gets_a_sentence(self, build, garbage):
        status, feedback = judge(build, garbage)
        assert status in ("not attempted", "not yet") and feedback

    def test_functions_and_classes_that_give_garbage_get_a_sentence(self, build):
        for value in (None, "text", torch.zeros(3, 3, 3), object()):
            status, feedback = judge(build, lambda *inputs, value=value, **named: value if inputs or named else None)
            assert status in ("not yet", "could not run") and feedback
        status, feedback = judge(
            build, type("Empty", (), {"__init__": lambda self, *inputs, **named: setattr(self, "x", 1)})
        )
        assert status in ("not yet", "could not run") and feedback

    def test_an_error_is_shown_with_its_line_and_nothing_of_ours(self, build):
        def answer(*inputs, **named):
            return "word".no_such_thing

        status, feedback = judge(build, answer)
        assert status == "could not run"
        assert 'return "word".no_such_thing' in feedback
        assert "Traceback" not in feedback and "running.py" not in feedback


@pytest.mark.parametrize(("build", "mutant"), MUTANTS_OF_BUILDS, ids=by_number)
def test_each_mutant_of_a_build_gets_its_own_sentence(build, mutant):
    status, feedback = judge(build, mutant.answer)
    assert status == "not yet" and mutant.sentence in feedback


class Counter:
    def count(self, words):
        return len(words)


def counts(answer, draw):
    words = ["word"] * int(draw.integers(1, 5))
    return "" if answer().count(words) == len(words) else "Count all words."


COUNTS = Build("1.1", "fine", Counter, counts, seconds=0.3)


class TestBuilds:
    def test_what_is_built_is_judged_in_use(self):
        assert judge(COUNTS, Counter) == ("correct", "fine")
        assert judge(COUNTS, lambda: [1]) == ("not yet", "Count all words.")

    def test_a_skeleton_is_not_attempted(self):
        class Skeleton:
            def __init__(self):
                self.given = 1

            def count(self, words): ...

        assert judge(COUNTS, Skeleton)[0] == "not attempted"
        assert judge(COUNTS, type("Empty", (), {}))[0] == "not attempted"

    def test_a_class_of_an_init_alone_is_an_attempt(self):
        class Mine(Counter):
            def __init__(self):
                self.given = 1

        assert judge(COUNTS, Mine)[0] == "correct"

    def test_an_error_is_shown_at_its_line_wherever_in_the_notebook_it_is(self):
        space = {"__name__": "__main__"}
        cells = [
            "def helper(words):\n    return words.lenght()",
            "class Mine:\n    def count(self, words): return helper(words)",
        ]
        for place, cell in enumerate(cells):
            name = f"<cell {place}>"
            linecache.cache[name] = (len(cell), None, cell.splitlines(True), name)
            exec(compile(cell, name, "exec"), space)
        status, feedback = judge(COUNTS, space["Mine"])
        assert status == "could not run"
        assert feedback.endswith("at line 2 of your cell: return words.lenght()")

    def test_what_never_ends_is_cut_off(self):
        class Mine:
            def count(self, words):
                while True:
                    words = list(words)

        assert judge(COUNTS, Mine) == (
            "could not run",
            "Your class was cut off after 0.3 seconds. Is there a loop that never ends?",
        )

    def test_an_object_in_the_place_of_the_class_is_told(self):
        assert judge(COUNTS, Counter()) == ("not yet", "Give the class itself, without calling it: this is a Counter.")


ONES = Exercise("1.1", "fine", torch.ones_like, lambda draw: {"x": 1 + draw.normal(3).abs()}, [])
SIMPLE = Exercise("1.1", "fine", lambda x: x + 1, lambda draw: {"x": draw.normal(3)}, [])


def test_an_endless_loop_is_cut_off(monkeypatch):
    monkeypatch.setattr(running, "SECONDS", 0.3)

    def answer(x):
        while True:
            with contextlib.suppress(Exception):
                x = x + 0

    before = time.monotonic()
    status, feedback = judge(SIMPLE, answer)
    assert status == "could not run" and "never ends" in feedback
    assert time.monotonic() - before < 5


def test_an_answer_that_changes_its_input_is_told():
    def answer(x):
        x += 1
        return x

    assert judge(SIMPLE, answer) == (
        "not yet",
        "The result is right, but your function changes its input `x`, which its caller still needs. Build a new "
        "tensor, or work on `x.clone()`.",
    )


def test_a_forgotten_return_is_told():
    def answer(x):
        x = x + 1

    assert "return" in judge(SIMPLE, answer)[1]


def test_exiting_does_not_end_the_kernel():
    def answer(x):
        raise SystemExit

    status, feedback = judge(SIMPLE, answer)
    assert status == "could not run" and "SystemExit" in feedback


def test_wrong_number_of_arguments_is_told():
    status, feedback = judge(SIMPLE, lambda: 1)
    assert status == "could not run" and "could not be called" in feedback


def test_shape_type_and_values_are_told_in_this_order():
    assert "shape [2]" in judge(SIMPLE, lambda x: x[:2])[1]
    assert "expected float32, got bool" in judge(ONES, lambda x: x.bool())[1]
    assert "all 3 values are wrong" in judge(SIMPLE, lambda x: x.sin() + x**3)[1]


def test_checking_leaves_the_random_state_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    check("0.1", lambda returns: torch.rand(1) > 0.5)
    assert torch.equal(torch.rand(3), expected)


BUILDER = Exercise(
    "1.3",
    "fine",
    lambda scale: lambda x: scale * x,
    lambda draw: {"scale": draw.uniform(2, 3)},
    [Mutant("adds", lambda scale: lambda x: scale + x, "Multiply, do not add.")],
    probe=lambda built, inputs: built(torch.arange(3.0)),
)


def test_answers_that_build_something_are_judged_by_what_it_does():
    assert judge(BUILDER, lambda scale: lambda x: x * scale)[0] == "correct"
    assert judge(BUILDER, lambda scale: lambda x: x + scale) == ("not yet", "Multiply, do not add.")
    assert "returned a float, which cannot be used" in judge(BUILDER, lambda scale: scale)[1]

    def forgets(scale):
        scale * 2

    assert "Is the `return` missing?" in judge(BUILDER, forgets)[1]


def test_a_module_in_the_place_of_the_function_that_builds_it_is_told():
    builds = Exercise(
        "3.2", "fine", lambda: torch.nn.Identity(), lambda draw: {}, probe=lambda module, inputs: module(1)
    )
    assert judge(builds, lambda: torch.nn.Identity())[0] == "correct"
    status, feedback = judge(builds, torch.nn.Identity())
    assert status == "not yet" and feedback.startswith("Give the function that builds it: this Identity")


def test_modules_are_compared_by_their_weights():
    first, second = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    assert difference(first, copy.deepcopy(first)) == "" and difference(first, second)


def test_value_exercises():
    exercise = Exercise("1.2", "fine", (2, 3), mutants=[Mutant("swapped", (3, 2), "Swapped.")])
    assert judge(exercise, ...)[0] == "not attempted"
    assert judge(exercise, torch.Size([2, 3]))[0] == "correct"
    assert judge(exercise, (3, 2)) == ("not yet", "Swapped.")
    assert judge(exercise, torch.zeros(2))[0] == "not yet"


@pytest.mark.parametrize("number", ["9.9", "0.7", "", "x", None, 7])
def test_unknown_exercises_are_named(number):
    result = check(number, lambda: 1)
    assert result.status == "could not run" and "There is no exercise" in result.feedback


def test_tensordicts_are_compared_by_batch_size_keys_and_entries():
    def td(**entries):
        return TensorDict({name: torch.full((2,), value) for name, value in entries.items()}, [2])

    assert difference(td(a=1.0), td(a=1.0)) == ""
    assert difference(td(a=1.0), td(b=1.0)).endswith(": `a` is missing; `b` was not asked for.")
    assert "`a`: " in difference(td(a=1.0), td(a=2.0))
    assert "tensordict" in difference(td(a=1.0), 3)


def test_true_and_one_are_not_the_same_answer():
    assert difference(True, 1) and difference(1, True) and not difference(True, torch.tensor(True))


@pytest.mark.parametrize("kind", [float, torch.tensor, lambda number: torch.tensor([number])])
def test_numbers_that_differ_look_different_and_have_no_long_tails(kind):
    assert "xpected 0.9, got 0.1." in difference(kind(0.9), kind(0.10002))
    assert "xpected 1.00003, got 1." in difference(kind(1.00003), kind(1.0))


def test_the_result_shows_symbol_and_words():
    result = check("0.1", ...)
    bundle = result._repr_mimebundle_()
    assert 'role="status"' in bundle["text/html"] and "not attempted" in bundle["text/html"]
    assert str(result).startswith("○ Exercise 0.1: not attempted\n")


def test_feedback_is_escaped():
    def answer(x):
        raise ValueError("<script>alert(1)</script>")

    status, feedback = judge(SIMPLE, answer)
    assert "<script>" not in checking.Result("1.1", status, feedback).html


def test_the_teachers_page_of_mistakes_is_what_the_checks_know():
    assert misconceptions.PAGE.read_text() == misconceptions.page(), "run `make notebooks`"


class TestOddAnswers:
    def test_a_value_that_cannot_be_compared_is_not_yet_right(self):
        exercise = Exercise("0.1", "a number", reference=3.0)
        status, words = judging.judge_value(exercise, torch.empty((), device="meta"))
        assert status == "not yet" and "This Tensor cannot be compared with the answer." in words

    def test_a_dict_with_other_keys_is_told_which_keys_are_expected(self):
        assert difference({"b": 1, "a": 2}, {"a": 2}).endswith("not those asked for: `b` is missing.")
        assert difference({"b": 1, "a": 2}, 3) == "Expected a dict with keys ['a', 'b'], got a int."
        assert difference({"a": 2}, {"a": 2}) == ""
        assert difference({"a": 2}, {"a": 3}).startswith("`a`: ")

    def test_an_error_in_a_library_function_given_as_answer_is_told_without_a_line_of_ours(self):
        def apart(value):
            raise ValueError("math domain error")

        try:
            apart(-1)
        except ValueError as error:
            assert running.describe_error(abs, error) == "ValueError: math domain error"
