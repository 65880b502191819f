"""Which exercises there are: a leaf that whoever lists, checks or remembers them asks."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from course_utils.exercises.exercise import Build, Exercise

PACKAGE = __package__


def exercises_of(lesson: str) -> dict[str, Exercise | Build]:
    """The exercises of a lesson ("07") by number; empty where it has none."""
    try:
        module = importlib.import_module(f"{PACKAGE}.lesson_{lesson}")
    except ModuleNotFoundError:
        return {}
    return {exercise.number: exercise for exercise in module.EXERCISES}


def all_exercises() -> dict[str, list[str]]:
    """The exercises of the course: {lesson: [number, ...]}."""
    names = [module.name for module in pkgutil.iter_modules(importlib.import_module(PACKAGE).__path__)]
    lessons = sorted(name.removeprefix("lesson_") for name in names if name.startswith("lesson_"))
    return {lesson: list(exercises_of(lesson)) for lesson in lessons}
