"""`make lesson N=09`: one lesson's notebook with its claims, and the fast tests that are about it and no other."""

from __future__ import annotations

import re
import subprocess
import sys

import nbformat
import pytest
from conftest import ROOT, is_about

from tools import course
from tools import lesson as tool
from tools import notebooks as builder

LESSON = """# ---
# jupyter:
#   course:
#     title: T
#     objectives: [learn]
#     prerequisites: nothing
#     minutes: {reading: 1, exercises: 1}
# ---

# %%
import secrets
frames = 7
print(secrets.token_hex())
"""


CELL = LESSON.split("# %%\n")[1].strip()


class TestWhichLesson:
    @pytest.mark.parametrize("number", ["9", "09"])
    def test_its_number_is_enough(self, number):
        assert tool.lesson_of(number).stem == "09_continuous_control"

    @pytest.mark.parametrize("number", ["99", "ppo", "09_", "9.1"])
    def test_a_wrong_number_gets_the_right_ones(self, number):
        with pytest.raises(course.LessonError, match=rf"no lesson '{number}'.*N=09; there are 00, 01, 02, "):
            tool.lesson_of(number)

    def test_make_without_a_number_says_how(self):
        command = ["make", "--no-print-directory", "lesson", f"COURSE={sys.executable}", "--assume-old=setup-dev"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode != 0 and "Which lesson? Say its number, as in make lesson N=09" in done.stderr


@pytest.mark.parametrize(
    ("nodeid", "lesson"),
    [
        ("tests/exercises/test_exercises.py::TestEveryExercise::test_the_stub_is_not_attempted[9.1]", "09"),
        ("tests/exercises/test_exercises.py::test_each_mutant_gets_its_own_sentence[12.3-a name]", "12"),
        ("tests/exercises/test_exercises.py::TestEveryExercise::test_garbage[tensor([0., 0.])-1.2]", "01"),
        ("tests/lessons/test_lesson_09.py::TestBounds::test_x", "09"),
        ("tests/site/test_slides.py::test_a_deck_asks_the_room[00_opening]", "00"),
        ("tests/site/test_site.py::test_a_page[notebooks/09_continuous_control.html-phone-dark]", "09"),
        ("tests/views/test_show.py::test_sizes[9.5-09]", None),
    ],
)
def test_a_test_is_about_the_lesson_it_names(nodeid, lesson):
    assert [number for number in (f"{n:02}" for n in range(20)) if is_about(nodeid, number)] == [lesson] * bool(lesson)


@pytest.mark.slow
def test_the_fast_tests_of_the_lesson_are_run_and_the_seconds_told(monkeypatch, capfd):
    monkeypatch.setattr(tool, "run_notebook", lambda lesson: None)
    monkeypatch.setattr(sys, "argv", ["lesson", "9"])
    monkeypatch.setenv("PYTEST_ADDOPTS", "--collect-only")
    with pytest.raises(SystemExit) as left:
        tool.main()
    said = capfd.readouterr().out
    assert left.value.code == 0 and re.search(r"^Lesson 09: \d+ s, of which its notebook took 0\.$", said, re.MULTILINE)
    chosen = re.findall(r"^tests/\S+::.+$", said, re.MULTILINE)
    files = {nodeid.split("::")[0] for nodeid in chosen}
    about = ["exercises/test_exercises", "lessons/test_lesson_09", "lessons/test_lessons", "tools/test_notebooks"]
    assert files >= {f"tests/{name}.py" for name in [*about, "site/test_slides"]}
    assert chosen and all(is_about(nodeid, "09") for nodeid in chosen)


@pytest.mark.slow
class TestRun:
    @pytest.fixture
    def course_of_one(self, tmp_path, monkeypatch):
        """Lesson 50 alone; how to run it with a claim, the path of its notebook, what else was written."""
        lesson, written = tmp_path / "50_x.py", []
        lesson.write_text(LESSON)
        monkeypatch.setattr(builder, "NOTEBOOKS", tmp_path)
        monkeypatch.setattr(builder, "write_documents", lambda: written.append("documents"))
        monkeypatch.setattr(builder, "setup_cell", lambda: "1")

        def run(claim: str) -> None:
            monkeypatch.setattr(tool, "claims_of", lambda _: [nbformat.v4.new_code_cell(claim, id="claims")])
            tool.run_notebook(lesson)

        return run, tmp_path / "50_x.ipynb", written

    def test_what_changed_is_built_and_what_did_not_is_only_run(self, course_of_one):
        run, path, written = course_of_one
        run("assert frames == 7")
        cells = nbformat.read(path, as_version=4).cells
        assert [cell.source for cell in cells[1:]] == ["1", CELL] and written == ["documents"]
        assert [cell.execution_count for cell in cells[1:]] == [1, 2]
        before = path.read_bytes(), path.stat().st_mtime_ns
        run("assert frames == 7")
        assert (path.read_bytes(), path.stat().st_mtime_ns) == before and written == ["documents"]
        with pytest.raises(course.LessonError, match="(?s)50_x does not run.*assert frames == 8"):
            run("assert frames == 8")

    def test_where_only_the_text_changed_outputs_stay(self, course_of_one, tmp_path):
        run, path, _ = course_of_one
        run("assert frames == 7")
        before = nbformat.read(path, as_version=4).cells
        (tmp_path / "50_x.py").write_text(LESSON + "\n# %% [markdown]\n# A word.\n")
        run("assert frames == 7")
        *after, word = nbformat.read(path, as_version=4).cells
        assert (after, word.source) == (before, "A word.") and before[2].outputs

    def test_what_does_not_hold_its_claims_is_not_written(self, course_of_one):
        run, path, written = course_of_one
        with pytest.raises(course.LessonError, match="(?s)50_x does not run.*assert frames == 8"):
            run("assert frames == 8")
        assert not path.exists() and written == []
