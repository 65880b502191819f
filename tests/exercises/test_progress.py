"""Progress is remembered where people learn, survives accidents, and is not earned by reading solutions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from broken_machine import never_written_to
from jupyter_client.manager import start_new_kernel

from course_utils import check, forget_progress, show_progress
from course_utils.exercises import cell, progress

ROOT = Path(__file__).resolve().parents[2]


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


@pytest.mark.parametrize(
    "broken",
    [
        '{"0.1": {"status": "x", "tries": null, "solved": null}}',
        '{"0.1": {"status": "x", "tries": "3", "solved": null}}',
        '{"0.1": {"status": "x", "tries": true, "solved": null}}',
        '{"0.1": {"status": "x", "tries": -1, "solved": null}}',
        '{"0.1": {"status": 1, "tries": 1, "solved": null}}',
        '{"0.1": {"status": "x", "tries": 1, "solved": 3}}',
        '{"0.1": {"status": "x", "tries": 1}}',
        "null",
        "",
        "[" * 100_000,
    ],
    ids=lambda broken: broken[:45],
)
def test_a_file_that_is_no_progress_is_set_aside(work, broken):
    (work / progress.FILE).write_text(broken)
    assert check("0.1", right).status == "correct"
    assert progress.read(work)["0.1"]["solved"]
    assert [path.read_text() for path in work.glob(f"{progress.FILE}.broken-*")] == [broken]


def test_a_folder_in_the_place_of_the_file_breaks_nothing(work):
    (work / progress.FILE).mkdir()
    assert check("0.1", right).status == "correct"
    assert "○ 0.1" in show_progress().text


def test_a_pipe_in_the_place_of_the_file_holds_up_no_check(work):
    with never_written_to(work / progress.FILE):
        assert check("0.1", right).status == "correct"
        assert "○ 0.1" in show_progress().text


def test_forgetting_twice_in_a_second_keeps_both(work):
    for _ in range(3):
        check("0.1", right)
        forget_progress()
    assert len(list(work.glob(f"{progress.FILE}.before-*"))) == 3


WRITER = "import sys; from course_utils.exercises import progress; progress.remember(sys.argv[1], 'correct')"


def test_many_writers_at_once_lose_nothing(work):
    def write(number):
        for place in range(10):
            progress.remember(f"{number}.{place}", "correct")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    others = [subprocess.Popen([sys.executable, "-c", WRITER, f"99.{n}"], env=os.environ | {"PYTHONPATH": str(ROOT)})
              for n in range(3)]  # fmt: skip
    for thread in threads:
        thread.join()
    assert [other.wait() for other in others] == [0, 0, 0]
    assert len(progress.read(work)) == 83
    assert not list(work.glob("*.draft")) and not list(work.glob(".*.draft"))


def test_a_linked_file_stays_a_link(work, tmp_path_factory):
    real = tmp_path_factory.mktemp("drive") / "mine.json"
    real.write_text("{}")
    (work / progress.FILE).symlink_to(real)
    check("0.1", right)
    assert (work / progress.FILE).is_symlink() and json.loads(real.read_text())["0.1"]["solved"]


def test_a_draft_that_somebody_planted_is_not_followed(work, tmp_path_factory):
    treasure = tmp_path_factory.mktemp("elsewhere") / "essay"
    treasure.write_text("mine")
    (work / f"{progress.FILE}.{os.getpid()}.draft").symlink_to(treasure)
    check("0.1", right)
    assert treasure.read_text() == "mine" and progress.read(work)["0.1"]["solved"]


def test_a_lock_that_is_held_for_ever_breaks_no_check(work, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 0.2)
    with progress.locked(work):
        done = []
        thread = threading.Thread(target=lambda: done.append(check("0.1", right).status))
        thread.start()
        thread.join()
    assert done == ["correct"] and not (work / progress.FILE).exists()


def test_a_folder_that_is_gone_breaks_nothing(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert check("0.1", right).status == "correct"
    monkeypatch.chdir(tmp_path)
