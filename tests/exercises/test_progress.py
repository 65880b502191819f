"""Progress is remembered where people learn, survives accidents, and is not earned by reading solutions."""

from __future__ import annotations

import json
import sys

import pytest
from jupyter_client.manager import start_new_kernel

from course_utils import check, forget_progress, show_progress
from course_utils.exercises import cell, progress


@pytest.fixture
def work(tmp_path, monkeypatch):
    (tmp_path / progress.COPIES_RECORD).write_text("{}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def right(returns):
    return returns.mean() >= 475


def wrong(returns):
    return returns.max() >= 475


def test_solved_stays_solved(work):
    check("0.1", wrong)
    assert progress.read(work)["0.1"] == {"status": "not yet", "tries": 1, "solved": None}
    check("0.1", right)
    check("0.1", wrong)
    entry = progress.read(work)["0.1"]
    assert (entry["status"], entry["tries"]) == ("correct", 3) and entry["solved"]
    assert "lesson 00: 1 of 1 solved   ✔ 0.1" in show_progress().text


def test_a_gap_is_no_try_and_an_unknown_exercise_is_not_remembered(work):
    check("0.1", ...)
    check("9.9", 1)
    assert not (work / progress.FILE).exists()
    assert "○ 0.1" in show_progress().text


@pytest.mark.parametrize("store_history", [True, False])
def test_running_a_solution_cell_is_not_solving(work, store_history):
    """In a real kernel, also in one that keeps no history, as the one of nbval."""
    manager, kernel = start_new_kernel(cwd=str(work))
    answer = "from course_utils import check\ncheck('0.1', lambda returns: returns.mean() >= 475)"
    try:
        kernel.execute_interactive(
            f"# @title Solution (unfold to read)\n{answer}", store_history=store_history, timeout=60
        )
        assert not (work / progress.FILE).exists()
        kernel.execute_interactive(answer, store_history=store_history, timeout=60)
        assert progress.read(work)["0.1"]["solved"]
    finally:
        kernel.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.mark.parametrize("broken", ["{", "[1]", '{"0.1": 3}', '{"0.1": {}}'])
def test_a_broken_file_is_set_aside_and_learning_goes_on(work, broken):
    (work / progress.FILE).write_text(broken)
    check("0.1", right)
    assert progress.read(work)["0.1"]["solved"]
    assert [path.read_text() for path in work.glob(f"{progress.FILE}.broken-*")] == [broken]


def test_forgetting_is_one_call_and_loses_nothing(work, capsys):
    forget_progress()
    assert "nothing to forget" in capsys.readouterr().out
    check("0.1", right)
    remembered = json.loads((work / progress.FILE).read_text())
    forget_progress()
    assert progress.read(work) == {}
    assert [json.loads(path.read_text()) for path in work.glob(f"{progress.FILE}.before-*")] == [remembered]


def test_outside_the_learners_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check("0.1", right)
    assert not list(tmp_path.iterdir())
    assert "this is not it" in show_progress().text


def test_a_folder_that_cannot_be_written_does_not_break_a_check(work, monkeypatch):
    def full(place, entries):
        raise OSError("No space left on device")

    monkeypatch.setattr(progress, "write", full)
    assert check("0.1", right).status == "correct"


def test_outside_ipython_no_cell_is_a_solution(monkeypatch):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert cell.in_solution_cell() is False and cell.in_notebook() is False
