"""Executing a lesson: deterministic, and refused with a sentence when it is not fit."""

from __future__ import annotations

import contextlib

import nbformat
import pytest

from tools import notebooks as builder

pytestmark = pytest.mark.slow
HEADER = """# ---
# jupyter:
#   course:
#     title: T
#     objectives: [learn]
#     prerequisites: nothing
#     minutes: {reading: 1, exercises: 1}
# ---

"""


def test_two_executed_builds_of_lesson_00_are_byte_identical(tmp_path, monkeypatch):
    lesson = builder.lessons()[0]
    texts = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.setattr(builder, "NOTEBOOKS", folder)
        builder.build(lesson)
        texts.append((folder / f"{lesson.stem}.ipynb").read_bytes())
        assert builder.is_current(lesson)
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("1 / 0", "does not run.*ZeroDivisionError"),
        ("import sys; print('hm', file=sys.stderr)", "writes to stderr"),
        ("object()", "memory address"),
        ("import os; print(os.path.expanduser('~/x'))", "a path of this machine"),
        ("print('x' * 1_100_000)", "more than 1; shrink"),
    ],
)
def test_a_lesson_that_is_not_fit_is_refused(tmp_path, monkeypatch, code, words):
    monkeypatch.setattr(builder, "NOTEBOOKS", tmp_path)
    lesson = tmp_path / "50_x.py"
    lesson.write_text(f"{HEADER}# %%\n{code}\n")
    with pytest.raises(builder.LessonError, match=f"(?s){words}"):
        builder.build(lesson)
    assert not (tmp_path / "50_x.ipynb").exists()


@pytest.mark.parametrize(("failures", "built"), [(2, True), (3, False)])
def test_a_kernel_that_did_not_start_is_started_again(monkeypatch, failures, built):
    left = [RuntimeError(builder.NO_KERNEL)] * failures

    def run_cells(notebook, name, beside):
        if left:
            raise left.pop()

    monkeypatch.setattr(builder, "run_cells", run_cells)
    with contextlib.nullcontext() if built else pytest.raises(builder.LessonError, match="Kernel died"):
        builder.execute(nbformat.v4.new_notebook(), "a lesson")
