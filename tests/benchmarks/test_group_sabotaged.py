"""Lesson 06's loop with one wrong line in it."""

from __future__ import annotations

import difflib
import math

import jupytext
import pytest
from conftest import ROOT
from made_up_results import arms, told

from benchmarks import store
from benchmarks.groups.sabotaged import CHANGES, GROUP, Log, changed, code
from benchmarks.lesson_code import FIRST_SEED, named_code
from course_utils.exercises.lesson_06 import LOOK, SHOWN
from course_utils.views.signs import FAULTS, HEALTHY


def test_the_arms_are_the_faults_that_have_a_sign_and_a_clue():
    assert list(CHANGES) == [HEALTHY, *FAULTS] and list(LOOK) == list(FAULTS)
    assert list(arms("sabotaged")) == list(CHANGES)


@pytest.mark.parametrize("fault", list(CHANGES)[1:])
def test_a_fault_is_one_place_of_the_lessons_code(fault):
    compile(changed(fault), fault, "exec")
    matcher = difflib.SequenceMatcher(None, code().splitlines(), changed(fault).splitlines(), autojunk=False)
    assert sum(tag != "equal" for tag, *_ in matcher.get_opcodes()) == 1


def test_nothing_is_changed_in_the_healthy_loop():
    assert changed(HEALTHY) == code()


def test_a_change_that_finds_nothing_to_change_is_told(monkeypatch):
    monkeypatch.setitem(CHANGES, "dead ReLUs", ("no such line", "x"))
    with pytest.raises(LookupError, match="'no such line' stands 0 times in the code for 'dead ReLUs'"):
        changed("dead ReLUs")


def test_the_lesson_says_what_was_changed():
    lesson = ROOT / "lessons" / "06_logging_and_watching.py"
    prose = " ".join(cell.source for cell in jupytext.read(lesson, fmt="py:percent").cells)
    assert "| learning rate too high | 1.0 for 0.0005 |" in prose
    assert CHANGES["learning rate too high"] == ("lr=5e-4", "lr=1.0")
    assert "biases start at -20 |" in prose and "bias, -20.0)" in CHANGES["dead ReLUs"][1]
    assert "stored times 100 |" in prose and '"reward"] *= 100\n' in CHANGES["rewards scaled up"][1]
    assert "room for 256 frames, not 50,000 |" in prose
    assert CHANGES["memory of one batch"] == ("LazyTensorStorage(50_000)", "LazyTensorStorage(256)")
    assert all(f"| {fault} |" in prose for fault in FAULTS)


def test_there_are_runs_to_show_and_runs_to_examine_with():
    for runs in arms("sabotaged").values():
        assert len(runs) >= SHOWN + 3 and min(map(int, runs)) >= FIRST_SEED
        for log in runs.values():
            assert {len(curve) for name, curve in log.items() if name != "gamma"} == {len(log["frames"])}


def test_all_of_them_are_small():
    assert (store.RESULTS / f"{GROUP.file}.json").stat().st_size < 200_000


def test_a_log_has_a_row_for_each_step_and_keeps_what_can_be_stored():
    log = Log()
    log.log_metrics({"train/loss": 0.123456, "speed/frames_per_second": 9.0}, step=256)
    log.log_metrics({"train/loss": math.nan}, step=512)
    log.log_metrics({"eval/reward": 10, "eval/reward_std": 3.0}, step=512)
    assert log.curves() == {"frames": [256, 512], "eval/reward": [None, 10.0], "train/loss": [0.1235, None]}


def test_answers_are_computed(tmp_path):
    def run(reward):
        return {"eval/reward": [None, 3.0, reward], "train/loss": [0.5, 0.25, None], "train/q_value": [1.0, 2.0, 7.0]}

    made_up = {HEALTHY: {"100": run(300.0), "101": run(412.3)}, "dead ReLUs": {"100": run(9.4), "101": run(9.1)}}
    text = told(tmp_path, "sabotaged", made_up)
    assert "The healthy loop ends at greedy returns of 300 to 412;" in text
    assert "| dead ReLUs | 9.1 to 9.4 | 0.25 to 0.25 | 7 to 7 |" in text


def test_the_code_of_cells_that_are_not_there_is_asked_for_in_vain():
    with pytest.raises(LookupError, match="has no cell with the id 06-nothing"):
        named_code("06_logging_and_watching", "06-train", "06-nothing")


def test_the_decks_words_about_values_hold():
    for log in arms("sabotaged")["rewards scaled up"].values():
        assert max(value for value in log["train/q_value"] if value is not None) > 200


def test_lesson_07s_words_about_run_i_hold():
    from course_utils.views.fault_lab import FaultLab

    def highest(fault, name):
        return [max(value for value in log[name] if value is not None) for log in arms("sabotaged")[fault].values()]

    assert FaultLab(arms("sabotaged")).runs["I"][0] == "no target network"
    for fault in (HEALTHY, "no target network"):
        assert len(arms("sabotaged")[fault]) == 6 and any(best >= 475 for best in highest(fault, "eval/reward"))
    assert max(highest("no target network", "check/lag")) == 0 < min(highest(HEALTHY, "check/lag"))
