"""Write docs/misconceptions.md, the mistakes that the exercise checks know, for teachers: part of `make notebooks`."""

from __future__ import annotations

import re
from pathlib import Path

import jupytext

from course_utils.exercises.catalogue import exercises_of
from course_utils.exercises.exercise import Exercise
from tools.course import ROOT, course_of, lessons

PAGE = ROOT / "docs" / "misconceptions.md"
HEAD = """# Mistakes that learners make

Made by `make notebooks` from the checks in `course_utils/exercises/`: the name of a mistake, and the sentence that
`check` answers to whoever makes it. Good questions to a room: *what would this do?*
"""


def titles(lesson: Path) -> dict[str, str]:
    """The exercises' titles by number, from the lesson's headings."""
    text = "\n".join(cell.source for cell in jupytext.read(lesson, fmt="py:percent").cells)
    return dict(re.findall(r"^### Exercise (\d+\.\d+): (.+?)  \(", text, flags=re.MULTILINE))


def section(title: str, exercise: Exercise) -> str:
    lines = [f"- **{mutant.name}**: {' '.join(mutant.sentence.split())}" for mutant in exercise.mutants]
    return "\n".join([f"### {exercise.number} {title}", "", *lines])


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for lesson in lessons():
        if found := exercises_of(lesson.stem[:2]):
            named = titles(lesson)
            parts.append(f"## {lesson.stem[:2]} {course_of(lesson)['title']}")
            parts += [section(named[number], exercise) for number, exercise in found.items()]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def write() -> None:
    PAGE.write_text(page())
