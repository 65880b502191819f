"""Inputs are a matter of their seed alone, and no check lacks a situation that an exercise needs."""

from __future__ import annotations

import pytest

from course_utils.exercises import judging
from course_utils.exercises.catalogue import all_exercises, exercises_of
from course_utils.exercises.comparing import difference
from course_utils.exercises.exercise import Draw, Exercise

ALL = [exercise for lesson in all_exercises() for exercise in exercises_of(lesson).values()]
DRAWN = [exercise for exercise in ALL if isinstance(exercise, Exercise) and exercise.draw is not None]


@pytest.mark.parametrize("exercise", DRAWN, ids=lambda exercise: exercise.number)
def test_the_same_seed_gives_the_same_inputs(exercise):
    first, _, again = (exercise.draw(Draw(seed)) for seed in (5, 6, 5))
    assert first.keys() == again.keys()
    assert not [name for name in first if difference(first[name], again[name])]


def test_in_one_check_each_situation_has_its_turn():
    seen = []
    exercise = Exercise("0.0", "", lambda turn: turn, lambda draw: {"turn": draw.turn(judging.DRAWS)})
    judging.judge(exercise, lambda turn: seen.append(turn) or turn)
    assert sorted(set(seen)) == list(range(judging.DRAWS))
