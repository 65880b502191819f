"""What a teacher hands out: copies without solutions, answers, wheels for a room without a network.

That the copies run is shown in test_colab.py, on a machine like those of a class.
"""

from __future__ import annotations

import subprocess
import zipfile

import nbformat
import pytest
from conftest import ROOT

from tools import copies, setup, wheelhouse

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def by_name(path):
    return path.stem


def solutions(notebook) -> list[str]:
    return [cell.source for cell in notebook.cells if "solution" in cell.metadata.get("tags", [])]


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    folder = tmp_path_factory.mktemp("class") / "student"
    copies.write("student", folder)
    return folder


@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_name)
def test_a_student_copy_holds_the_exercises_and_no_solution_and_no_output(path, student):
    whole, copy = nbformat.read(path, as_version=4), nbformat.read(student / path.name, as_version=4)
    assert len(copy.cells) == len(whole.cells) - len(solutions(whole))
    text = (student / path.name).read_text()
    assert "@title Solution" not in text and "data:image/png" not in text
    for solution in solutions(whole):
        assert solution.removeprefix("# @title Solution (unfold to read)\n") not in [cell.source for cell in copy.cells]
    exercises = [cell.source for cell in whole.cells if "exercise" in cell.metadata.get("tags", [])]
    assert exercises == [cell.source for cell in copy.cells if "exercise" in cell.metadata.get("tags", [])]
    assert len(exercises) >= 1 and not any(cell.get("outputs") for cell in copy.cells)


def test_the_archive_holds_what_the_folder_holds(student):
    with zipfile.ZipFile(f"{student}.zip") as archive:
        assert (
            sorted(archive.namelist()) == sorted(path.name for path in student.iterdir()) == [p.name for p in NOTEBOOKS]
        )


def test_answers_are_open(tmp_path):
    copies.write("answers", tmp_path / "answers")
    for path in NOTEBOOKS:
        notebook = nbformat.read(tmp_path / "answers" / path.name, as_version=4)
        assert solutions(notebook) == solutions(nbformat.read(path, as_version=4)) != []
        answers = [cell for cell in notebook.cells if "setup" not in cell.metadata.get("tags", [])]
        assert not any("jupyter" in cell.metadata or "cellView" in cell.metadata for cell in answers)


@pytest.mark.slow
def test_a_wheelhouse_holds_all_that_is_pinned(monkeypatch, tmp_path):
    """Pip takes every wheel out of it by its hash, and nothing that is not there, with nobody else to ask.

    That `make setup` asks nobody else is shown in test_fault_setup.py.
    """
    wheelhouse.collect(tmp_path)
    monkeypatch.setattr(setup, "WHEELHOUSE", {})
    setup.use_wheelhouse(str(tmp_path))
    names = ["requirements/torch.txt", *setup.pin_files()]
    pins = [word for name in names for word in ("-r", name)]
    words = ["install", "--quiet", "--dry-run", "--ignore-installed", "--no-deps", "--require-hashes", *pins]
    setup.pip(*words)
    next(tmp_path.glob("numpy-*.whl")).unlink()
    with pytest.raises(setup.CannotInstall):
        setup.pip(*words)


def test_a_folder_without_wheels_is_refused_with_the_fix(tmp_path):
    done = subprocess.run(["make", "setup", f"WHEELHOUSE={tmp_path}"], cwd=ROOT, capture_output=True, text=True)
    assert (
        done.returncode != 0
        and "holds no wheels of the course. Where there is a network: make wheelhouse" in done.stderr
    )
