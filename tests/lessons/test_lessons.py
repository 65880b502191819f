"""The lessons form a chain: each one builds on what it or an earlier one introduced."""

from __future__ import annotations

import ast
import functools
import re
import symtable

import jupytext
import pytest
from claims import CLAIMS

from tools import notebooks as builder
from tools.course import minutes_of

LESSONS = builder.lessons()


@functools.cache
def cells(lesson, kind):
    return [cell for cell in jupytext.read(lesson, fmt="py:percent").cells if cell.cell_type == kind]


def prose(lesson) -> str:
    return "\n".join(cell.source for cell in cells(lesson, "markdown"))


def imported_parts(lesson) -> set[str]:
    """Names a lesson imports from TorchRL or tensordict."""
    tree = ast.parse("\n".join(cell.source for cell in cells(lesson, "code")))
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {
        name.name for node in nodes if node.module.split(".")[0] in ("torchrl", "tensordict") for name in node.names
    }


@functools.cache
def named_parts(lesson) -> set[str]:
    """Words that a lesson's prose sets as code or in italics, where it introduces them."""
    return {
        word
        for code in re.findall(r"`([^`]+)`|\*(\w+)\*", prose(lesson))
        for word in re.findall(r"\w+", " ".join(code))
    }


@pytest.mark.parametrize("lesson", LESSONS[1:], ids=lambda path: path.stem)
def test_every_part_of_torchrl_is_introduced_before_it_is_used(lesson):
    introduced = set().union(*(named_parts(earlier) for earlier in LESSONS[: LESSONS.index(lesson) + 1]))
    assert imported_parts(lesson) <= introduced


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_what_an_exercise_defines_is_used_by_nothing_else(lesson):
    """So no cell waits for an exercise, be it open, solved or done wrong."""
    theirs, wrong = set(), set()
    for cell in cells(lesson, "code"):
        names = symtable.symtable(cell.source, lesson.stem, "exec").get_symbols()
        defined = {name.get_name() for name in names if name.is_assigned() and not name.is_imported()}
        if {"exercise", "solution"} & set(cell.metadata.get("tags", [])):
            theirs |= defined
        else:
            theirs -= defined
            wrong |= theirs & {node.id for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Name)}
    assert theirs and not wrong


def test_every_claim_belongs_to_a_lesson():
    """Those of a lesson that was renamed would never be run again."""
    assert CLAIMS.keys() <= {lesson.stem for lesson in LESSONS}


@pytest.mark.parametrize("lesson", LESSONS[:-1], ids=lambda path: path.stem)
def test_each_lesson_leads_to_the_next(lesson):
    assert "[{{next title}}]({{next file}})" in cells(lesson, "markdown")[-1].source


def test_lessons_are_numbered_without_gaps():
    assert [int(lesson.stem[:2]) for lesson in LESSONS] == list(range(len(LESSONS)))


@pytest.mark.parametrize("lesson", LESSONS[1:], ids=lambda path: path.stem)
def test_prerequisites_name_earlier_lessons_only(lesson):
    named = [int(number) for number in re.findall(r"\b\d\d\b", builder.course_of(lesson)["prerequisites"])]
    assert named and max(named) < int(lesson.stem[:2])


@pytest.mark.parametrize("lesson", LESSONS[1:], ids=lambda path: path.stem)
def test_each_lesson_has_at_least_four_exercises_at_most_one_prediction_and_ends_in_a_build(lesson):
    from course_utils.exercises.catalogue import exercises_of
    from course_utils.exercises.exercise import Build

    *exercises, last = exercises_of(lesson.stem[:2]).values()
    assert len(exercises) >= 4
    assert sum(exercise.draw is None for exercise in exercises) <= 1
    assert isinstance(last, Build)


@pytest.mark.parametrize("lesson", LESSONS[1:], ids=lambda path: path.stem)
def test_the_short_path_is_25_minutes_or_less_and_what_it_leaves_out_is_marked(lesson):
    assert builder.course_of(lesson)["minutes"]["short"] <= 25
    assert re.search(r"^## .*\(deeper\)$", prose(lesson), re.MULTILINE)


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_minutes_run_upward_and_a_lesson_ends_with_what_was_learned(lesson):
    minutes = [int(number) for number in re.findall(r"^## .*\(about (\d+) min to here\)", prose(lesson), re.MULTILINE)]
    assert len(minutes) >= 3 and minutes == sorted(minutes)
    assert minutes[-1] <= minutes_of(builder.course_of(lesson))
    assert "## What you can do now" in prose(lesson) and "**Try next:**" in prose(lesson)


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_the_minutes_of_the_exercises_add_up(lesson):
    minutes = re.findall(r"^### Exercise .+\((\d+) min\)$", prose(lesson), flags=re.MULTILINE)
    assert sum(map(int, minutes)) == builder.course_of(lesson)["minutes"]["exercises"]


@pytest.mark.parametrize("lesson", LESSONS[1:], ids=lambda path: path.stem)
def test_the_time_markers_rise_to_no_more_than_the_whole(lesson):
    markers = list(map(int, re.findall(r"\(about (\d+) min to here\)", prose(lesson))))
    assert markers == sorted(markers) and len(markers) >= 4
    assert markers[-1] <= minutes_of(builder.course_of(lesson))
