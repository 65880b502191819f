"""Exercises that answer: `check("7.1", my_function)`.

Each lesson's exercises stand in a module of their own, `lesson_00`, `lesson_07`, ...; `core` compares answers.
"""

from course_utils.exercises.core import Result, check

__all__ = ["Result", "check"]
