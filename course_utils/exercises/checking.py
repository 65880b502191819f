"""`check("7.1", my_function)`: what a notebook calls."""

from __future__ import annotations

import re
from typing import Any

from course_utils.exercises.card import LOOKS, card
from course_utils.exercises.catalogue import exercises_of
from course_utils.exercises.cell import in_notebook, in_solution_cell
from course_utils.exercises.judging import judge
from course_utils.exercises.progress import folder, remember
from course_utils.views.display import View

NOT_KEPT = (
    "Progress is not kept here: this is not your own copy of the notebooks. `make lab` makes one, in `work/`, and "
    "opens it."
)
_said_once: list[str] = []  # in this kernel


class Result(View):
    """What `check` says: `.status` is one of four words, `.feedback` the sentence."""

    def __init__(self, number: str, status: str, feedback: str, *, solution: bool = False, note: str = "") -> None:
        self.number, self.status, self.feedback = number, status, feedback
        look = LOOKS["solution" if solution else status]
        text = "\n".join(filter(None, [f"{look.sign} Exercise {number}: {look.words}", feedback, note]))
        super().__init__(card(number, look, feedback, note), text)


def check(number: str, answer: Any) -> Result:
    """Compare an answer with what the exercise asks for.

    Args:
        number: of the exercise, as the lesson gives it: `"7.1"`.
        answer: the learner's function, or value.

    Returns:
        A result whose `.status` is `correct`, `not yet`, `not attempted` or `could not run`. It never raises, unless
        the check itself is interrupted, and an answer that does not end is cut off after a few seconds. In a cell that
        holds the course's solution it says so, and nothing is counted as solved.
    """
    number = f"{number}".strip()
    lesson = number.split(".")[0].zfill(2)
    known = exercises_of(lesson) if re.fullmatch(r"\d+", lesson) else {}
    if number not in known:
        have = ", ".join(f'"{name}"' for name in known) or "none"
        return Result(number, "could not run", f'There is no exercise "{number}"; lesson {lesson} has: {have}.')
    status, feedback = judge(known[number], answer)
    remember(number, status)
    solution = status == "correct" and in_solution_cell()
    return Result(number, status, feedback, solution=solution, note=note_on(status))


def note_on(status: str) -> str:
    """Once in a kernel, to somebody who tries an exercise where nothing is remembered: that this is so."""
    if status == "not attempted" or folder() is not None or _said_once or not in_notebook() or in_solution_cell():
        return ""
    _said_once.append(NOT_KEPT)
    return NOT_KEPT
