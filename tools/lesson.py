"""Does one lesson hold? `make lesson N=09` runs its notebook with its claims and all fast tests that are about it.

A notebook that changed is built on the way, so that its cells run once; it is written only if it holds what it claims.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import time
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tools import course
from tools import notebooks as builder

# Those whose tests speak of single lessons: to collect all takes seconds more.
ROOMS = [f"tests/{room}" for room in ("exercises", "lessons", "site", "tools")]


def lesson_of(number: str) -> Path:
    """The lesson with a number, `9` or `09`.

    Raises:
        LessonError: there is none; the message lists those there are.
    """
    found = {lesson.stem[:2]: lesson for lesson in course.lessons()}
    if not number or number.zfill(2) not in found:
        wrong = f"There is no lesson {number!r}." if number else "Which lesson?"
        raise course.LessonError(f"{wrong} Say its number, as in make lesson N=09; there are {', '.join(found)}.")
    return found[number.zfill(2)]


def claims_of(lesson: str) -> list[NotebookNode]:
    """The cell of a lesson's claims, if it has any; they stand with the tests, which are no package."""
    return runpy.run_path(str(course.ROOT / "tests" / "lessons" / "claims.py"))["claims_of"](lesson)


def run_notebook(lesson: Path) -> None:
    """Run a lesson's cells and its claims as the last one; write the notebook if its cells have changed.

    Raises:
        LessonError: a cell fails, a claim is not reached, or an output is not fit to be committed.
    """
    notebook, claims = builder.generate(lesson), claims_of(lesson.stem)
    notebook.cells += claims
    builder.execute(notebook, lesson.stem)
    if not builder.is_current(lesson):
        notebook.cells = notebook.cells[: len(notebook.cells) - len(claims)]
        path = builder.NOTEBOOKS / f"{lesson.stem}.ipynb"
        if path.exists():  # where only the text changed, its outputs stay as they are
            builder.keep_outputs(notebook, nbformat.read(path, as_version=4))
        builder.write(notebook, lesson)
        builder.write_documents()


def main() -> None:
    start = time.perf_counter()
    try:
        lesson = lesson_of(sys.argv[1] if len(sys.argv) > 1 else "")
        run_notebook(lesson)
    except course.LessonError as error:
        sys.exit(f"\n{error}")
    ran = time.perf_counter()
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", "--lesson", lesson.stem[:2], *ROOMS]
    code = subprocess.run(command, cwd=course.ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}).returncode
    end = time.perf_counter()
    print(f"Lesson {lesson.stem[:2]}: {end - start:.0f} s, of which its notebook took {ran - start:.0f}.")
    sys.exit(code)


if __name__ == "__main__":
    main()
