"""A machine like Google Colab's: what Colab carries, and one notebook in an empty folder.

`make colab` makes that machine with Colab's own torch and Python, which are gigabytes; here are all its other releases.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import types
import warnings

import jupytext
import nbformat
import pytest
from claims import NOTEBOOKS, with_claims
from conftest import ROOT
from lab_process import fresh_copy

from tools import colab, copies, course, notebooks, setup, wheel

# All but those that train longest and hardly use a helper that others do not; nbval runs them as well.
LONG = {"08_ppo", "09_continuous_control", "11_memory_and_pixels", "14_tuning"}
TRIED = [path for path in NOTEBOOKS if path.stem not in LONG]
READY = "The course is ready.\n"
OURS = colab.read_list(colab.PINS.read_text())


class TestLists:
    PUBLISHED = """
numpy==2.2.0
matplotlib==3.10.0
Farama-Notifications==0.0.6
# Editable install with no version control
-e /usr/local/thing
google-colab @ file:///colabtools/dist/google_colab-1.0.0.tar.gz
torch @ https://download.example/whl/cpu/torch-2.12.0%2Bcpu-cp314-cp314-manylinux_2_28_x86_64.whl
tzdata @ https://example/tzdata-2026.3-py2.py3-none-any.whl
"""

    def test_releases_are_read_from_a_list_as_colab_publishes_it(self):
        read = colab.read_list(self.PUBLISHED)
        assert read.pins == {
            "numpy": "2.2.0", "matplotlib": "3.10.0", "farama-notifications": "0.0.6", "torch": "2.12.0",
        }  # fmt: skip
        assert (read.python, read.dated) == ("3.14", "")

    def test_ours_says_of_which_day_and_python_it_is(self):
        assert OURS.dated.count("-") == 2 and OURS.python.startswith("3.")
        assert {"torch", "numpy", "ipywidgets", "ipython", "ipykernel", "gymnasium", "matplotlib"} <= OURS.pins.keys()
        assert "torchrl" not in OURS.pins and "jupyterlab" not in OURS.pins

    def test_a_newer_list_says_what_changed_and_only_of_what_the_course_touches(self):
        ours = colab.Carried(
            {"numpy": "2.1.3", "torch": "2.11.0", "matplotlib": "3.10.0", "six": "1.0"}, "3.13", "2026-08-19"
        )
        newer, changes = colab.updated(ours, colab.read_list(self.PUBLISHED))
        assert newer.pins == {"numpy": "2.2.0", "torch": "2.12.0", "matplotlib": "3.10.0"} and newer.python == "3.14"
        assert changes == [
            "Python: 3.13 -> 3.14", "numpy: 2.1.3 -> 2.2.0", "torch: 2.11.0 -> 2.12.0", "six: 1.0 -> no longer there",
        ]  # fmt: skip


class TestRecord:
    """The README, the doctor and lesson 00 say on which Colab the course was last run: what `make colab` noted."""

    def test_it_is_of_the_list_that_the_tests_use_and_of_notebooks_that_are_there(self):
        record = json.loads(colab.RECORD.read_text())
        assert (record["list"], record["torch"]) == (OURS.dated, OURS.pins["torch"]), "run `make colab`"
        assert record["python"].startswith(OURS.python + ".")
        assert record["notebooks"] and record["notebooks"].keys() <= {path.stem for path in NOTEBOOKS}

    @pytest.mark.parametrize("place", ["README.md", "docs/contributing.md", "notebooks/00_start_here.ipynb"])
    def test_it_is_said_where_readers_look(self, place):
        assert json.dumps(notebooks.last_run_on_colab())[1:-1] in (ROOT / place).read_text()

    ABOUT = {"list": "2026-01-02", "python": "3.13.0", "torch": "2.11.0"}
    CARRIED = "its published list of 2026-01-02, Python 3.13.0 and torch 2.11.0 among it."

    @pytest.mark.parametrize(
        ("ran", "says"),
        [
            ({"01_a": "x", "02_b": "y", "03_c": "z"}, "All 3 notebooks {}"),
            ({"01_a": "x", "02_b": "old", "03_c": "z"}, "All 3 notebooks {} It was an earlier edition of lesson 02."),
            ({"01_a": "", "02_b": "old", "03_c": "z"}, "All 3 {} It was an earlier edition of lessons 01 and 02."),
            (
                {"01_a": None, "02_b": None, "03_c": None},
                "All 3 notebooks {} It was an earlier edition of all of them.",
            ),
            ({"01_a": "x", "02_b": "y"}, "Of 3 notebooks 2 {} Not yet run there: lesson 03."),
            ({"01_a": "x", "02_b": "y", "03_c": "z", "04_gone": "q"}, "All 3 notebooks {}"),
        ],
    )
    def test_it_says_which_lessons_are_others_by_now_or_new(self, ran, says):
        """A record of the time before editions were noted has none: None."""
        found = {
            stem: {"run": "2026-02-03"} | ({} if known is None else {"edition": known}) for stem, known in ran.items()
        }
        said = notebooks.words_on_colab({**self.ABOUT, "notebooks": found}, {"01_a": "x", "02_b": "y", "03_c": "z"})
        start, end = says.replace("All 3 {", "All 3 notebooks {").split("{}")
        assert said == f"{start}were last run with what Colab carries on 2026-02-03: {self.CARRIED}{end}"

    def test_notebooks_that_ran_on_different_days_are_given_both(self):
        found = {stem: {"run": day, "edition": "x"} for stem, day in [("01_a", "2026-02-03"), ("02_b", "2026-02-01")]}
        said = notebooks.words_on_colab({**self.ABOUT, "notebooks": found}, {"01_a": "x", "02_b": "x"})
        assert "between 2026-02-01 and 2026-02-03" in said

    def test_what_ran_is_noted_with_its_edition_and_another_list_forgets_all(self, monkeypatch, tmp_path):
        monkeypatch.setattr(colab, "RECORD", tmp_path / "colab.json")
        before = {"01_a": {"run": "2026-02-03", "seconds": 1.0, "edition": "x"}, "02_b": {"run": "2026-02-03"}}
        colab.RECORD.write_text(json.dumps({**self.ABOUT, "notebooks": before}))
        carried = colab.Carried({"torch": "2.11.0"}, "3.13", "2026-01-02")
        runs = [colab.Run("02_b", 2.0, "y", error="broken"), colab.Run("03_c", 3.0, "z")]
        colab.note(runs, "3.13.0", carried)
        noted = json.loads(colab.RECORD.read_text())
        assert noted.pop("notebooks") | {"03_c": 0} == {"01_a": before["01_a"], "03_c": 0} and noted == self.ABOUT
        found = json.loads(colab.RECORD.read_text())["notebooks"]["03_c"]
        assert (found["seconds"], found["edition"]) == (3.0, "z") and found["run"].count("-") == 2
        colab.note(runs, "3.14.0", carried)
        assert list(json.loads(colab.RECORD.read_text())["notebooks"]) == ["03_c"]

    @pytest.mark.parametrize("lesson", notebooks.lessons(), ids=lambda path: path.stem)
    def test_a_lesson_and_what_is_built_of_it_are_one_edition(self, lesson):
        of_lesson = notebooks.edition(jupytext.read(lesson, fmt="py:percent"))
        built = notebooks.generate(lesson)
        assert notebooks.edition(built) == of_lesson
        text = next(cell for cell in built.cells if cell.cell_type == "markdown")
        text.source += "more words"
        assert notebooks.edition(built) == of_lesson
        built.cells[-1] = nbformat.v4.new_code_cell("changed = 1")
        assert notebooks.edition(built) != of_lesson

    def test_the_doctor_says_it_on_colab(self, monkeypatch):
        from course_utils.machine import doctor

        monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab_20260819")
        assert OURS.dated in doctor.check_place().text


class TestItsReleases:
    def test_a_list_whose_python_is_not_here_says_how_to_get_it(self):
        with pytest.raises(colab.NotColab, match="Python 3.99.*uv python install 3.99.*pyenv install 3.99"):
            colab.python_for(colab.Carried({}, "3.99"))

    def test_a_list_that_names_no_python_is_tried_with_this_one(self):
        assert colab.python_for(colab.Carried({})) == sys.executable

    NOT_WRITABLE = (
        "/a folder/x.py:84: UserWarning: The buffer is not writable, and so on. (Triggered at y.cpp:1.)\n  load(b)\n"
    )
    DROPPED = "x.py:1: FutureWarning: It will go.\n"

    @pytest.mark.parametrize(
        ("written", "quoted", "stays"),
        [
            (NOT_WRITABLE, "The buffer is not writable", False),
            (NOT_WRITABLE * 2, "The buffer is not writable", False),
            (NOT_WRITABLE, "The buffer", True),
            (NOT_WRITABLE, "another", True),
            (NOT_WRITABLE + DROPPED, "The buffer is not writable", True),
            (NOT_WRITABLE + "Killed\n", "The buffer is not writable", True),
            ("The buffer is not writable\n", "The buffer is not writable", True),
        ],
    )
    def test_of_their_warnings_those_pass_that_the_lesson_tells_of(self, written, quoted, stays):
        cell = nbformat.v4.new_code_cell(
            outputs=[nbformat.v4.new_output("stream", name=name, text=written) for name in ("stdout", "stderr")]
        )
        notebook = nbformat.v4.new_notebook(cells=[cell, nbformat.v4.new_markdown_cell(f"It warns: `{quoted}`.")])
        notebooks.drop_quoted_warnings(cell, notebook)
        assert [output.name for output in cell.outputs] == ["stdout"] + ["stderr"] * stays


class TestSetUpCell:
    """Where the first cell takes the course from: a wheel beside it, the address with its hash, or neither."""

    PUBLISHED = course.Publication("https://example.org/owner/name", "0123456789abcdef0123456789abcdef01234567")

    def run(self, monkeypatch, folder, published) -> list[str]:
        """What the cell would give to pip; the course is neither here nor installed by it."""
        monkeypatch.setattr(notebooks, "publication", lambda: published)
        given = []
        cell = notebooks.setup_cell().replace('%pip install --quiet --no-deps "{course}"', "pip(str(course))")
        assert "pip(str(course))" in cell
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        monkeypatch.chdir(folder)
        with pytest.raises(ImportError) as stopped:
            exec(cell, {"pip": given.append})
        return given + [str(stopped.value)]

    def test_a_wheel_beside_the_notebook_comes_first(self, monkeypatch, tmp_path):
        (tmp_path / "torchrl_course-0.1.0-py3-none-any.whl").touch()
        for published in (None, self.PUBLISHED):
            given, said = self.run(monkeypatch, tmp_path, published)
            assert given == str(tmp_path / "torchrl_course-0.1.0-py3-none-any.whl") and "pip's lines above" in said

    def test_of_several_wheels_the_newest_is_taken(self, monkeypatch, tmp_path):
        import os

        for age, version in enumerate(["0.10.0", "0.9.0"]):
            file = tmp_path / f"torchrl_course-{version}-py3-none-any.whl"
            file.touch()
            os.utime(file, (1000 - age, 1000 - age))
        assert "0.10.0" in self.run(monkeypatch, tmp_path, None)[0]

    def test_else_the_released_commit_is_taken_from_the_address(self, monkeypatch, tmp_path):
        given, _ = self.run(monkeypatch, tmp_path, self.PUBLISHED)
        assert given == f"git+{self.PUBLISHED.address}@{self.PUBLISHED.revision}"

    def test_with_neither_a_sentence_names_both(self, monkeypatch, tmp_path):
        (said,) = self.run(monkeypatch, tmp_path, None)
        assert "has no public address" in said and "`make wheel`" in said and "beside this notebook" in said

    def test_what_is_installed_never_goes_by_a_name_that_anybody_could_register(self):
        assert "install --quiet --no-deps" in notebooks.setup_cell() and "torchrl-course" not in notebooks.setup_cell()


def run_in_colab(machine, path, beside) -> colab.Run:
    """Run a notebook as a class gets it, and at its end its claims."""
    return machine.run(copies.for_students(with_claims(path)), path.stem, beside)


def run_twice_at_most(machine, path, beside) -> colab.Run:
    """As every notebook of the tests, this one has a second try."""
    first = run_in_colab(machine, path, beside)
    if not first.error:
        return first
    warnings.warn(f"{path.stem} is run once more, with what Colab carries: {first.error}", stacklevel=1)
    return dataclasses.replace(run_in_colab(machine, path, beside), setup=first.setup)


@pytest.fixture(scope="module")
def colab_machine(tmp_path_factory):
    """Runs notebooks on a machine like Colab's, one after the other; the first one installs for all of them."""
    folder = tmp_path_factory.mktemp("colab")
    built = wheel.build(folder / "wheel", fresh_copy(folder / "course"))
    pins = {**OURS.pins, "torch": setup.torch_pin().removeprefix("torch==")}
    machine = colab.Machine(folder / "machine", "python3", pins)
    machine.make()
    before = machine.packages()
    alone = run_in_colab(machine, TRIED[0], [])
    runs = {path.stem: run_twice_at_most(machine, path, [built]) for path in TRIED}
    return types.SimpleNamespace(machine=machine, runs=runs, alone=alone, before=before, after=machine.packages())


@pytest.mark.slow
class TestColab:
    @pytest.mark.parametrize("path", TRIED, ids=lambda path: path.stem)
    def test_a_lone_notebook_runs_with_its_exercises_open_and_reaches_what_it_says(self, colab_machine, path):
        assert colab_machine.runs[path.stem].error == ""

    def test_the_machine_passes_for_colab(self, colab_machine):
        before = colab_machine.before
        assert {name: release.split("+")[0] for name, release in before.items() if name in OURS.pins} == {
            **OURS.pins, "torch": setup.torch_pin().removeprefix("torch=="),
        }  # fmt: skip
        assert "torchrl" not in before and "jupyterlab" not in before

    def test_what_was_there_is_there_in_the_same_version(self, colab_machine):
        before = colab_machine.before
        assert {name: colab_machine.after.get(name) for name in before} == before

    def test_the_course_came_and_no_second_interface(self, colab_machine):
        assert {"torchrl-course", "torchrl", "tensordict", "av"} <= colab_machine.after.keys()
        assert "jupyterlab" not in colab_machine.after

    def test_the_first_set_up_cell_says_what_it_installed_and_the_others_that_all_is_there(self, colab_machine):
        first, *others = colab_machine.runs.values()
        assert f"torchrl {colab_machine.after['torchrl']}" in first.setup and "MB to fetch) ..." in first.setup
        assert "Replacing" not in first.setup and "The course is ready, after" in first.setup
        assert [run.setup for run in others] == [READY] * len(others)

    def test_without_the_wheel_the_notebook_stops_with_a_sentence(self, colab_machine):
        assert "`make wheel` builds one file" in colab_machine.alone.error

    def test_widgets_of_colabs_release_are_shown_with_their_static_form(self, colab_machine):
        code = "from course_utils import sliders, show_figure\nimport matplotlib.pyplot as plt\n"
        code += "def draw(x=1.0):\n    figure = plt.figure()\n    return show_figure(figure, 'nothing')\n"
        notebook = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "colab", "display_name": "Colab"}})
        notebook.cells = [
            nbformat.v4.new_code_cell("from course_utils import install_missing\ninstall_missing()", id="setup"),
            nbformat.v4.new_code_cell(code + "sliders(draw, x=(0.0, 2.0))"),
        ]
        assert colab_machine.machine.run(notebook, "widgets", []).error == ""
        shown = notebook.cells[1].outputs[-1].data
        assert "<img" in shown["text/html"] and "Drawn with x = 1" in shown["text/html"]
