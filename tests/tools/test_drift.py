"""`make canary` and `make lowest`: which lesson breaks with which releases, and which release does it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from packaging.requirements import Requirement

from tools import drift, lock, run_notebooks
from tools.run_notebooks import Outcome

CELLS = {
    "fine": ["1 + 1", "import os; os.listdir()"],
    "broken": ["1", "def divide(a):\n    return a / 0\n\ndivide(1)", "2"],
    "dying": ["import os; os._exit(1)"],
    "warned": ["import locale", "for _ in range(2):\n    locale.getdefaultlocale()"],
}


def write(path: Path, cells: list[str]) -> None:
    cells = [nbformat.v4.new_code_cell(source, id=f"{path.stem}-{number}") for number, source in enumerate(cells)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebooks")
    for name, cells in CELLS.items():
        write(folder / f"{name}.ipynb", cells)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONWARNINGS", drift.SHOW_WARNINGS)
        found = asyncio.run(run_notebooks.run_all(list(before)))
    assert {path: path.read_bytes() for path in folder.iterdir()} == before, "notebooks stay as they were"
    return {outcome.lesson: outcome for outcome in found}


class TestNoCodeOfOthersIsRunToBeBuilt:
    """A source distribution runs its author's code before anybody has seen its hash."""

    @pytest.fixture
    def asked(self, monkeypatch):
        """The commands that would be run."""
        commands: list[list[str]] = []

        def run(command, *_, **__):
            commands.append([str(part) for part in command])
            return subprocess.CompletedProcess(command, 0, "", "")

        monkeypatch.setattr(subprocess, "run", run)
        return commands

    def test_by_trying_other_releases(self, asked, monkeypatch, tmp_path):
        monkeypatch.setattr(drift, "ROOT", tmp_path)
        drift.Trial("newest", []).install()
        assert ["pip compile" in " ".join(command) for command in asked] == [True, False, False]
        assert "--no-build" in asked[0]
        assert all("--only-binary :all:" in " ".join(command) for command in asked[1:])

    def test_by_pinning(self, asked):
        lock.compile_pins([], [])
        with pytest.raises(StopIteration):  # nothing was downloaded
            lock.torch_block("torch==1.0", "")
        assert "--no-build" in asked[0] and "--only-binary :all:" in " ".join(asked[1])


class TestRunningNotebooks:
    def test_one_that_runs_has_no_error(self, outcomes):
        assert outcomes["fine"] == Outcome("fine")

    def test_one_that_breaks_names_its_cell_and_the_errors_last_line(self, outcomes):
        assert outcomes["broken"] == Outcome("broken", "ZeroDivisionError: division by zero", "broken-1")

    def test_one_that_never_ends_is_stopped(self, tmp_path):
        write(tmp_path / "endless.ipynb", ["while True: pass"])
        outcome = asyncio.run(run_notebooks.run(tmp_path / "endless.ipynb", timeout=1))
        assert outcome == Outcome("endless", "not finished after 1 seconds", "endless-0")

    def test_one_whose_kernel_dies_is_broken(self, outcomes):
        assert "Kernel died" in outcomes["dying"].error and outcomes["dying"].cell == "dying-0"

    def test_what_is_deprecated_is_told_once_and_breaks_nothing(self, outcomes):
        assert not outcomes["warned"].error
        (announced,) = outcomes["warned"].announced
        assert announced.startswith("a cell: ") and "getdefaultlocale" in announced

    def test_a_warning_inside_a_library_is_told_with_the_librarys_name(self):
        text = "/venv/lib/python3.11/site-packages/torchrl/envs/x.py:12: FutureWarning: gone in 0.16\n  call()\n"
        cell = nbformat.v4.new_code_cell("x", outputs=[nbformat.v4.new_output("stream", name="stderr", text=text)])
        notebook = nbformat.v4.new_notebook(cells=[cell])
        assert run_notebooks.announcements(notebook) == ["torchrl: gone in 0.16"]

    def test_a_broken_notebook_is_a_failure_of_the_command(self, monkeypatch, tmp_path):
        async def broken(path, timeout):
            return Outcome(path.stem, "ValueError: no", "a")

        monkeypatch.setattr(run_notebooks, "run", broken)
        monkeypatch.setattr(sys, "argv", ["run_notebooks", "x.ipynb", "--json", str(tmp_path / "out.json")])
        with pytest.raises(SystemExit) as left:
            run_notebooks.main()
        assert left.value.code == 1 and "ValueError: no" in (tmp_path / "out.json").read_text()


class TestWhatIsTried:
    @pytest.mark.parametrize(
        ("line", "open_line"),
        [
            ("torch>=2.13,<2.16", "torch>=2.13"),
            ("gymnasium[classic-control]>=1.2,<2", "gymnasium[classic-control]>=1.2"),
            ("minari[hdf5]>=0.5.3", "minari[hdf5]>=0.5.3"),
            ("a>=1,!=1.5,<=2 ; python_version < '3.13'", 'a!=1.5,>=1; python_version < "3.13"'),
            ("b==1", "b"),
            ("c~=1.2", "c"),
        ],
    )
    def test_upper_bounds_are_left_out_and_nothing_else(self, line, open_line):
        assert drift.without_caps(line) == open_line

    def test_the_newest_have_no_upper_bound_and_the_lowest_have_the_ranges_of_pyproject(self):
        newest, lowest = drift.wanted("newest"), drift.wanted("lowest")
        assert set(lock.pyproject()["project"]["dependencies"]) <= set(lowest)
        assert [Requirement(line).name for line in newest] == [Requirement(line).name for line in lowest]
        assert not [part for line in newest for part in Requirement(line).specifier if part.operator[0] in "<=~"]

    def test_lessons_get_every_extra_but_the_developers(self):
        assert set(drift.lesson_extras()) == set(lock.pyproject()["project"]["optional-dependencies"]) - {"dev"}

    def test_changed_packages_are_told_apart_and_our_own_dependencies_come_first(self):
        before = {"a": "1", "torch": "2.13.0", "same": "1", "gone": "3"}
        now = {
            "a": "2",
            "torch": "2.15.0",
            "same": "1",
            "new": "1",
            "pip": "23",
            "torchrl-course": "0.1",
            "nvidia-x": "1",
        }
        changed = drift.changes(before, now)
        assert list(changed.items()) == [
            ("torch", ("2.13.0", "2.15.0")),
            ("a", ("1", "2")),
            ("gone", ("3", "-")),
            ("new", ("-", "1")),
        ]

    def test_the_pins_are_those_of_this_machine(self):
        pins = drift.pinned()
        assert pins["torch"] == lock.pyproject()["tool"]["course"]["torch"] and "ruff" not in pins
        assert ("pywinpty" in pins) == (sys.platform == "win32")


class Releases:
    """Stands in for a trial: a lesson breaks until all the packages that broke it are put back."""

    folder = None

    def __init__(self, broken_by: dict[str, set[str]], refused: str = "") -> None:
        self.broken_by, self.refused, self.put_back, self.tried = broken_by, refused, set(), []

    def make(self):
        pass

    def install(self, put_back=()):
        self.put_back = {pin.split("==")[0] for pin in put_back}
        self.tried.append(" ".join(put_back))
        if self.refused in self.put_back:
            raise drift.CannotTry("nothing goes with it")

    def versions(self):
        return {**drift.pinned(), "numpy": "99.0"}

    def play(self, lessons):
        error = {True: "", False: "ValueError: no | never"}
        runs = {lesson: self.broken_by.get(lesson, set()) <= self.put_back for lesson in lessons}
        return [Outcome(lesson, error[ok], "" if ok else "04-x") for lesson, ok in runs.items()]


class TestWhichReleaseBreaksIt:
    CHANGED = {"torch": ("2.13.0", "2.15.0"), "numpy": ("2.4", "3.0"), "new": ("-", "1.0"), "idna": ("1", "2")}
    ALL = "torch==2.13.0 numpy==2.4 idna==1"

    def test_it_is_the_one_that_mends_the_lesson_when_it_is_put_back(self):
        trial = Releases({"01_a": {"numpy"}, "02_b": {"idna"}})
        assert drift.find_culprits(trial, self.CHANGED, ["01_a", "02_b"]) == {"01_a": "numpy", "02_b": "idna"}
        assert trial.tried == [self.ALL, "torch==2.13.0", "numpy==2.4", "idna==1"]

    def test_the_search_ends_when_all_are_found(self):
        trial = Releases({"01_a": {"torch"}})
        drift.find_culprits(trial, self.CHANGED, ["01_a"])
        assert trial.tried == [self.ALL, "torch==2.13.0"]

    def test_a_lesson_that_breaks_with_the_pins_too_is_not_searched_for(self):
        trial = Releases({"01_a": {"its own mistake"}})
        assert drift.find_culprits(trial, self.CHANGED, ["01_a"]) == {"01_a": drift.NOT_THE_RELEASES}
        assert trial.tried == [self.ALL]

    def test_a_release_with_which_nothing_goes_is_passed_over(self):
        trial = Releases({"01_a": {"numpy"}}, refused="torch")
        assert drift.find_culprits(trial, self.CHANGED, ["01_a"]) == {"01_a": "numpy"}

    def test_where_no_single_one_does_it_none_is_named(self):
        assert drift.find_culprits(Releases({"01_a": {"numpy", "idna"}}), self.CHANGED, ["01_a"]) == {}

    def test_nothing_is_tried_where_nothing_broke(self):
        trial = Releases({})
        assert drift.find_culprits(trial, self.CHANGED, []) == {} and not trial.tried


class TestTheCommand:
    @pytest.fixture
    def call(self, monkeypatch, tmp_path, capsys):
        def call(trial, *arguments):
            trial.folder = tmp_path
            asked = []
            monkeypatch.setattr(drift, "Trial", lambda kind, held: asked.extend([kind, held]) or trial)
            monkeypatch.setattr(sys, "argv", ["drift", *arguments])
            try:
                drift.main()
                code = 0
            except SystemExit as left:
                code = left.code
            return code, capsys.readouterr().out, asked

        return call

    def test_a_lesson_that_breaks_is_a_failure_and_the_table_says_where_and_why(self, call, tmp_path):
        code, said, _ = call(Releases({"04_losses": {"numpy"}}), "newest")
        lessons = len(list(drift.NOTEBOOKS.glob("*.ipynb")))
        assert code == f"1 of {lessons} lessons break with the newest releases."
        assert "| 04_losses | broken | 04-x | ValueError: no \\| never | numpy |" in said
        assert "| 01_environments | ok |  |  |  |" in said
        assert f"- numpy: {drift.pinned()['numpy']} -> 99.0" in said
        assert (tmp_path / "report.md").read_text() in said

    def test_where_all_lessons_run_it_succeeds(self, call):
        code, said, asked = call(Releases({}), "newest", "--torch", "2.13.0", "--lessons", "04_losses")
        assert code == 0 and "| 04_losses | ok |" in said and "broken" not in said
        assert asked == ["newest", ["torch==2.13.0"]]

    def test_releases_that_cannot_be_installed_are_one_sentence_and_a_failure(self, call):
        trial = Releases({})
        trial.make = lambda: drift.run([sys.executable, "-c", "raise SystemExit('no such release')"], "Installing")
        code, _, _ = call(trial, "lowest")
        assert code == "\nThe lowest releases cannot be tried. Installing failed:\nno such release"


@pytest.mark.slow
def test_releases_are_the_lowest_or_the_newest_and_agree_with_what_is_put_back(tmp_path, monkeypatch):
    monkeypatch.setattr(drift, "wanted", lambda kind: ["tqdm>=4.66,<4.67"] if kind == "lowest" else ["tqdm>=4.66"])
    found = {}
    for kind, put_back in [("lowest", []), ("lowest", ["tqdm==4.66.2"]), ("newest", [])]:
        trial = drift.Trial(kind, [])
        trial.folder, trial.python = tmp_path, sys.executable
        trial.resolve(put_back)
        pins = lock.parse_pins((tmp_path / "constraints.txt").read_text())
        found[kind, *put_back] = next(pin for pin in pins if pin.startswith("tqdm"))
    assert found["lowest",] == "tqdm==4.66.0" and found["lowest", "tqdm==4.66.2"] == "tqdm==4.66.2"
    assert Requirement(found["newest",]).specifier.contains("4.66.0") is False
    with pytest.raises(drift.CannotTry, match="Finding releases that go together failed"):
        trial = drift.Trial("lowest", ["tqdm==4.60"])
        trial.folder = tmp_path
        trial.resolve([])
