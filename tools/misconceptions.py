"""Write docs/misconceptions.md, the mistakes that the exercise checks know, for teachers: part of `make notebooks`."""

from __future__ import annotations

import re
from pathlib import Path

import jupytext

from course_utils.exercises.catalogue import exercises_of
from course_utils.exercises.dependence import KNOWN_OF_INPUTS
from course_utils.exercises.exercise import Build, Exercise
from course_utils.exercises.operations import OPERATIONS
from course_utils.exercises.places import KNOWN_PLACES
from course_utils.exercises.relations import RELATIONS
from course_utils.exercises.structures import STRUCTURES
from course_utils.exercises.swaps import known_changes
from tools.course import ROOT, course_of, lessons

PAGE = ROOT / "docs" / "misconceptions.md"
HEAD = """# Mistakes that learners make

Made by `make notebooks` from the checks in `course_utils/exercises/`: the name of a mistake, and the sentence that
`check` answers to whoever makes it. Good questions to a room: *what would this do?*
"""
FOUND = """## What a check finds out by itself

Where no mistake below fits, `check` says the simplest of these that holds in every input it has drawn, and shows the
smallest input for which the answer fails.
"""


def titles(lesson: Path) -> dict[str, str]:
    """The exercises' titles by number, from the lesson's headings."""
    text = "\n".join(cell.source for cell in jupytext.read(lesson, fmt="py:percent").cells)
    return dict(re.findall(r"^### Exercise (\d+\.\d+): (.+?)  \(", text, flags=re.MULTILINE))


def section(title: str, exercise: Exercise | Build) -> str:
    lines = [f"- **{mutant.name}**: {' '.join(mutant.sentence.split())}" for mutant in exercise.mutants]
    return "\n".join([f"### {exercise.number} {title}", "", *lines])


def found_by_itself() -> str:
    """What `check` finds out without a list of mistakes, from what its parts say of themselves."""
    operations = list(dict.fromkeys(operation.words.format("mean") for operation in OPERATIONS))
    groups = {
        "The result is off:": list(RELATIONS),
        "It is built otherwise:": list(STRUCTURES),
        "It would be right if, of the inputs `x` and `y`,": known_changes(),
        "It would be right if, in the course's solution,": operations,
        "It is wrong only": list(KNOWN_PLACES),
        "It does not look at what it should:": list(KNOWN_OF_INPUTS),
    }
    parts = [FOUND] + [f"- **{head}** {'; '.join(words)}." for head, words in groups.items()]
    return "\n".join(parts)


def page() -> str:
    """The whole page."""
    parts = [HEAD, found_by_itself()]
    for lesson in lessons():
        if found := exercises_of(lesson.stem[:2]):
            named = titles(lesson)
            parts.append(f"## {lesson.stem[:2]} {course_of(lesson)['title']}")
            parts += [section(named[number], exercise) for number, exercise in found.items()]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def write() -> None:
    PAGE.write_text(page())
