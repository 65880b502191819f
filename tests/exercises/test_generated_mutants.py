"""No small slip is accepted: each generated mutant of each solution is refused, or named with the reason why not.

Two and a half thousand mutants cost about twenty seconds of one core; who changes an exercise runs its own part:
`-k "[7.1]"`.
"""

from __future__ import annotations

import pytest
import torch
from equivalent_mutants import EQUIVALENT
from generated_mutants import Judge, answer_of, changes, little_time, survivors

from course_utils.exercises.catalogue import all_exercises, exercises_of
from course_utils.exercises.exercise import Exercise

ALL = [exercise for lesson in all_exercises() for exercise in exercises_of(lesson).values()]
EXERCISES = [exercise for exercise in ALL if isinstance(exercise, Exercise)]


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.number)
def test_what_survives_is_equivalent_and_says_why(exercise, record_property):
    made, alive = survivors(exercise)
    names, listed = {change.name for change in alive}, EQUIVALENT.get(exercise.number, {})
    record_property("generated mutants", (made, len(alive), len(names & listed.keys())))
    accepted = sorted(names - listed.keys())
    assert not accepted, "a check accepts what is wrong; draw an input that tells:\n" + "\n".join(accepted)
    gone = sorted(listed.keys() - names)
    assert not gone, "listed as equivalent, but refused or no longer made:\n" + "\n".join(gone)


def test_every_equivalent_mutant_belongs_to_an_exercise_and_has_a_reason():
    assert EQUIVALENT.keys() <= {exercise.number for exercise in EXERCISES}
    assert all(len(reason.split()) >= 4 for listed in EQUIVALENT.values() for reason in listed.values())


SOURCE = """
def per_row(values, limit, flags):
    total = values.clone().sum(1, keepdim=True)
    if limit < 3 and limit:
        return total["next", "done"]
    for row in values:
        total -= row[0]
    return total * ~flags

check("0.0", per_row)
"""


@pytest.mark.parametrize(
    "made",
    [
        "total = values.clone().sum(1, keepdim=True) → total = values.sum(1, keepdim=True)",
        "total = values.clone().sum(1, keepdim=True) → total = values.clone().mean(1, keepdim=True)",
        "total = values.clone().sum(1, keepdim=True) → total = values.clone().sum(0, keepdim=True)",
        "total = values.clone().sum(1, keepdim=True) → total = values.clone().sum(1)",
        "if limit < 3 and limit: → if limit <= 3 and limit:",
        "if limit < 3 and limit: → if limit < 4 and limit:",
        "if limit < 3 and limit: → if limit < 3 or limit:",
        "if limit < 3 and limit: → if limit < 3:",
        "return total['next', 'done'] → return total['next', 'terminated']",
        "return total['next', 'done'] → return total['done']",
        "for row in values: → for row in list(values)[1:]:",
        "total -= row[0] → total += row[0]",
        "total -= row[0] → total -= row[1]",
        "total -= row[0] → pass",
        "return total * ~flags → return total * flags",
        "return total * ~flags → return total",
        "return total * ~flags → return total * ~limit",
    ],
)
def test_slips_of_each_kind_are_made(made):
    assert made in {change.name for change in changes(SOURCE)}


def test_a_mutant_runs_and_none_is_the_source_or_comes_twice():
    sources = [change.source for change in changes(SOURCE)]
    assert len(set(sources)) == len(sources)
    values = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    flags = torch.tensor([[False], [True]])
    right = answer_of(SOURCE)(values, 5, flags)
    assert all('check("0.0", per_row)' in source.replace("'", '"') for source in sources)
    assert torch.equal(right, torch.tensor([[-1.0], [0.0]]))


def test_a_draw_that_is_too_kind_lets_a_mutant_live():
    def exercise(wide: bool) -> Exercise:
        return Exercise(
            "0.0", "", lambda x: x.sum(1), lambda draw: {"x": draw.normal(2, 3) if wide else draw.normal(1, 1)}
        )

    with little_time():
        wrong = [lambda x: x.sum(0), lambda x: x.sum()[None]]
        assert [Judge(exercise(wide=False)).accepts(answer) for answer in wrong] == [True, True]
        assert [Judge(exercise(wide=True)).accepts(answer) for answer in wrong] == [False, False]
        assert Judge(exercise(wide=True)).accepts(lambda x: x.mean(1) * 3)
        assert not Judge(exercise(wide=True)).accepts(lambda x: x.neg_().sum(1) * -1), "it changes its input"


def test_a_mutant_that_never_ends_is_refused():
    def forever(x):
        while True:
            pass

    with little_time(0.2):
        assert not Judge(Exercise("0.0", "", lambda x: x, lambda draw: {"x": 1})).accepts(forever)
