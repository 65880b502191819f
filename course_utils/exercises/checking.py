"""`check("7.1", my_function)`: what a notebook calls, and the card it shows."""

from __future__ import annotations

from html import escape
from typing import Any

from course_utils.exercises.catalogue import exercises_of
from course_utils.exercises.judging import judge
from course_utils.exercises.progress import remember
from course_utils.views.display import View

SYMBOLS = {"correct": "✔", "not yet": "✎", "not attempted": "○", "could not run": "⚠"}


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
