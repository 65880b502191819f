"""Executing a lesson: deterministic, and refused with a sentence when it is not fit."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import re

import av
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


def with_pictures(notebook: bytes) -> bytes:
    """The pictures of its films in place of their bytes: x264 now and then writes the same pictures in a byte more."""

    def pictures(found: re.Match) -> bytes:
        with av.open(io.BytesIO(base64.b64decode(found[1]))) as film:
            shown = b"".join(frame.to_ndarray().tobytes() for frame in film.decode(video=0))
        return hashlib.sha256(shown).hexdigest().encode()

    return re.sub(rb"data:video/mp4;base64,([A-Za-z0-9+/=]+)", pictures, notebook)


def test_two_executed_builds_of_lesson_00_are_identical(tmp_path, monkeypatch):
    lesson = builder.lessons()[0]
    texts = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.setattr(builder, "NOTEBOOKS", folder)
        builder.build(lesson)
        texts.append((folder / f"{lesson.stem}.ipynb").read_bytes())
        assert builder.is_current(lesson)
    assert with_pictures(texts[0]) == with_pictures(texts[1]) != texts[0]


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
