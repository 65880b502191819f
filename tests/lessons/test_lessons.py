"""The lessons form a chain: each one builds on what it or an earlier one introduced."""

from __future__ import annotations

import ast
import builtins
import functools
import re
import symtable
from dataclasses import dataclass, field

import jupytext
import pytest
from claims import CLAIMS

from tools import notebooks as builder
from tools.course import minutes_of

LESSONS = builder.lessons()
WORDS = dict(enumerate(["three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"], start=3))
LONGEST_SHORT_PATH = 45  # minutes; those of 00 to 07 then fit into a day, with some of the exercises


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
    words = re.sub(r"```.*?```", "", prose(lesson), flags=re.DOTALL)  # what is shown as text introduces nothing
    return {word for code in re.findall(r"`([^`]+)`|\*(\w+)\*", words) for word in re.findall(r"\w+", " ".join(code))}


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


@dataclass
class Part:
    """What lies below a heading that says after how many minutes one gets there."""

    start: int
    deeper: bool
    exercises: list[int] = field(default_factory=list)  # minutes of each


def parts(lesson) -> list[Part]:
    found = []
    for line in prose(lesson).splitlines():
        if heading := re.fullmatch(r"##+ .+\(about (\d+) min to here\)( \(deeper\))?", line):
            found.append(Part(int(heading[1]), bool(heading[2])))
        elif exercise := re.fullmatch(r"### Exercise .+\((\d+) min\)", line):
            found[-1].exercises.append(int(exercise[1]))
    return found


def minutes_of_parts(lesson) -> list[int]:
    starts = [part.start for part in parts(lesson)] + [minutes_of(builder.course_of(lesson))]
    return [stop - start for start, stop in zip(starts, starts[1:], strict=False)]


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_each_part_has_time_for_its_exercises(lesson):
    for part, minutes in zip(parts(lesson), minutes_of_parts(lesson), strict=True):
        assert minutes >= sum(part.exercises), f"from minute {part.start} on"


@pytest.mark.parametrize("lesson", LESSONS[1:], ids=lambda path: path.stem)
def test_the_short_path_is_as_short_as_the_header_says(lesson):
    """It is read without its exercises."""
    timed = list(zip(parts(lesson), minutes_of_parts(lesson), strict=True))
    reading = timed[0][0].start + sum(took - sum(part.exercises) for part, took in timed if not part.deeper)
    assert reading <= builder.course_of(lesson)["minutes"]["short"] <= LONGEST_SHORT_PATH
    assert any(part.deeper for part, _ in timed)


@functools.cache
def code_cells(lesson) -> list[tuple[str, bool]]:
    """The code a learner runs who opens no solution, and of each cell whether the short path passes over it."""
    found, deeper = [], 0  # level of the heading that began what is passed over
    for cell in jupytext.read(lesson, fmt="py:percent").cells:
        if cell.cell_type == "code" and "solution" not in cell.metadata.get("tags", []):
            found.append((cell.source, bool(deeper)))
        for heading in re.findall(r"^#+ .*$", cell.source, re.MULTILINE) if cell.cell_type == "markdown" else []:
            level = len(heading.split()[0])
            deeper = level if heading.endswith("(deeper)") else 0 if level <= deeper else deeper
    return found


def names_of(statement: ast.stmt) -> tuple[set[str], set[str], set[str]]:
    """The names a statement stores, those it loads at once, and those that functions in it load when called."""
    top = symtable.symtable(ast.unparse(statement), "cell", "exec")
    stored = {name.get_name() for name in top.get_symbols() if name.is_assigned() or name.is_imported()}
    loaded = {name.get_name() for name in top.get_symbols() if name.is_referenced()}
    later, scopes = set(), top.get_children()
    while scopes:
        scope = scopes.pop()
        later |= {name.get_name() for name in scope.get_symbols() if name.is_global() and name.is_referenced()}
        scopes += scope.get_children()
    if not isinstance(statement, (ast.Assign, ast.AugAssign, ast.Expr)):
        loaded -= stored  # a loop stores its name before its body loads it
    return stored, loaded, later - stored


def missing_on_the_short_path(lesson) -> set[str]:
    """Names that the short path loads, but that a cell it passes over made, or made last."""
    made_deeper, missing, awaited, known = {}, set(), set(), set(dir(builtins))
    for code, deeper in code_cells(lesson):
        for statement in ast.parse(code).body:
            stored, loaded, later = names_of(statement)
            if not deeper:
                missing |= {name for name in loaded if made_deeper.get(name, name not in known)}
                missing |= {name for name in later if made_deeper.get(name)}
                awaited |= later - known - made_deeper.keys()
            imported = isinstance(statement, (ast.Import, ast.ImportFrom))
            for name in stored:
                made_deeper[name] = deeper and not (imported and made_deeper.get(name) is False)
    return missing | {name for name in awaited if made_deeper.get(name, True)}


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_the_short_path_needs_nothing_that_it_passes_over(lesson):
    assert not missing_on_the_short_path(lesson)


def test_what_the_short_path_lacks_is_found(tmp_path):
    lesson = tmp_path / "05_x.py"
    below, deeper = "\n\n# %%\n", "\n\n# %% [markdown]\n# ## B (deeper)"
    lesson.write_text(
        f"# %%\nkept = again = 1{below}import ast{deeper}{below}lost = again = made = 2{below}import ast"
        f"\n\n# %% [markdown]\n# ## C{below}made = 3\n[kept, made, ast, len]"
        f"{below}def late():\n    return lost + kept + soon{below}soon = 4\nprint(again)"
    )
    assert missing_on_the_short_path(lesson) == {"lost", "again"}


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_ends_with_what_was_learned(lesson):
    assert "## What you can do now" in prose(lesson) and "**Try next:**" in prose(lesson)


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_the_minutes_of_the_exercises_add_up(lesson):
    minutes = re.findall(r"^### Exercise .+\((\d+) min\)$", prose(lesson), flags=re.MULTILINE)
    assert sum(map(int, minutes)) == builder.course_of(lesson)["minutes"]["exercises"]


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_the_time_markers_rise_to_no_more_than_the_whole(lesson):
    assert len(parts(lesson)) >= 4 and min(minutes_of_parts(lesson)) >= 0


def test_the_readme_tells_the_hours_of_the_core():
    core = [builder.course_of(lesson)["minutes"] for lesson in LESSONS[:8]]
    short = sum(minutes.get("short", minutes["reading"] + minutes["exercises"]) for minutes in core)
    whole = sum(minutes["reading"] + minutes["exercises"] for minutes in core)
    told = re.search(r"take about (\w+) hours.+?all of the core about (\w+)", builder.README.read_text(), re.DOTALL)
    assert told, "the sentence below the course map"
    assert told.groups() == (WORDS[round(short / 60)], WORDS[round(whole / 60)])
