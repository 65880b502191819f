"""What every view is: HTML, and the same in words."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest

from course_utils.views.display import View, image_tag


def test_views_carry_both_twins():
    view = View("<b>x</b>", "x")
    assert view._repr_mimebundle_() == {"text/html": "<b>x</b>", "text/plain": "x"} and repr(view) == "x"
    assert 'alt="&lt;"' in image_tag(b"", "image/png", "<")


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "latin-1", "ascii"])
def test_a_terminal_prints_what_it_has_letters_for(monkeypatch, encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    print(View("", "✔ ok ├ ü 日"))
    stream.flush()
    said = stream.buffer.getvalue().decode(encoding).strip()
    known = {"utf-8": "✔ ok ├ ü 日", "cp1252": "+ ok | ü ?", "latin-1": "+ ok | ü ?", "ascii": "+ ok | ? ?"}
    assert said == known[encoding]


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_the_doctor_and_a_check_are_printed_on_an_old_terminal(encoding):
    code = "from course_utils import check, diagnose; print(check('0.1', ...)); print(diagnose())"
    old = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", code], env=old, capture_output=True, text=True, encoding=encoding)
    assert done.returncode == 0, done.stderr
    assert "o Exercise 0.1: not attempted" in done.stdout and "+ ok" in done.stdout
