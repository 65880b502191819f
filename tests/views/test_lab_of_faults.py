"""The lab of sick runs: every fault is told by its own runs' curves, and by no other's."""

from __future__ import annotations

import re

import pytest

from course_utils import FaultLab, load_results
from course_utils.views.signs import FAULTS, HEALTHY, largest_return, points, signs

STORED = load_results("06_sabotaged")["runs"]["sabotaged"]
RUNS = [(fault, seed) for fault, runs in STORED.items() for seed in runs]


def test_there_is_a_sign_for_every_stored_fault_and_none_besides():
    assert set(STORED) == {HEALTHY, *FAULTS}
    assert all(len(runs) >= 3 for runs in STORED.values())


@pytest.mark.parametrize(("fault", "seed"), RUNS)
def test_each_run_shows_the_sign_of_its_fault_and_no_other(fault, seed):
    held = [name for name, sign in signs(STORED[fault][seed]).items() if sign.holds]
    assert held == ([] if fault == HEALTHY else [fault])


@pytest.mark.parametrize("rows", [12, 14])
def test_so_do_runs_that_ended_early(rows):
    for fault, seed in RUNS:
        log = {name: values[:rows] for name, values in STORED[fault][seed].items()}
        assert [name for name, sign in signs(log).items() if sign.holds] == ([] if fault == HEALTHY else [fault])


def test_the_evidence_is_computed():
    log = dict(STORED["rewards scaled up"]["100"])
    highest = max(points(log, "train/q_value"))
    assert largest_return(log) == pytest.approx(20)
    assert f"grows to {highest:.3g}, and no return can pass 20." in signs(log)["rewards scaled up"].seen
    log["train/q_value"] = [value and 2 * value for value in log["train/q_value"]]
    assert f"grows to {2 * highest:.3g}," in signs(log)["rewards scaled up"].seen
    log["memory/reward"] = [value and 1.0 for value in log["memory/reward"]]
    assert not signs(log)["rewards scaled up"].holds


@pytest.fixture(scope="module")
def lab():
    return FaultLab(STORED)


def letter_of(lab, fault: str) -> str:
    return next(letter for letter, (name, _) in lab.runs.items() if name == fault)


class TestFaultLab:
    def test_one_run_of_each_and_a_healthy_one_that_is_not_the_grey_one(self, lab):
        assert sorted(fault for fault, _ in lab.runs.values()) == sorted([HEALTHY, *FAULTS])
        assert list(lab.runs) == list("ABCDEFGHI") and lab.choices == [HEALTHY, *FAULTS]
        assert lab.runs[letter_of(lab, HEALTHY)][1] is not lab.healthy
        assert [fault for fault, _ in lab.runs.values()] != list(STORED), "the letters do not follow the list"

    def test_right_and_wrong_get_the_evidence(self, lab):
        run = letter_of(lab, "dead ReLUs")
        right, wrong = lab.verdict(run, "dead ReLUs"), lab.verdict(run, "epsilon stuck")
        assert right.startswith("Right: dead ReLUs. Over all remembered states the values spread by 0 at first")
        assert wrong.startswith("Not epsilon stuck, but dead ReLUs. Over all remembered states")
        assert "Against epsilon stuck speaks: Epsilon goes from 0.923 to 0.1" in wrong

    def test_the_healthy_run_is_one_of_the_answers(self, lab):
        run = letter_of(lab, HEALTHY)
        assert lab.verdict(run, HEALTHY).startswith(f"Right: {HEALTHY}. None of the 8 signs is there: values up to ")
        assert lab.verdict(run, "no target network").startswith(f"Not no target network, but {HEALTHY}.")
        sick = letter_of(lab, "evaluation explores")
        assert lab.verdict(sick, HEALTHY).startswith(f"Not {HEALTHY}, but evaluation explores. In the first evaluation")

    def test_the_curves_do_not_give_the_name_away(self, lab):
        for letter, (fault, _) in lab.runs.items():
            view = lab.curves(letter)
            assert fault not in view.html and fault not in view.text
            assert f'alt="Run {letter}, first and last points: train/return ' in view.html

    def test_choose_then_see(self, lab):
        run, screen, guess, tell, answer = lab.widget.children
        assert tell.disabled and guess.value is None and answer.value == "" and "Run A, first" in screen.value
        guess.value = HEALTHY
        assert not tell.disabled and answer.value == ""
        tell.click()
        assert lab.runs["A"][0] in answer.value and 'role="status"' in answer.value
        guess.value = "dead ReLUs"
        assert answer.value == "", "an answer belongs to one diagnosis"
        tell.click()
        run.value = "C"
        assert tell.disabled and guess.value is None and answer.value == "" and "Run C, first" in screen.value
        lab.close()

    def test_without_a_kernel_curves_and_fault_stand_below_folds(self, lab):
        folds = lab.html.split("<details><summary>Run ")[1:]
        assert len(folds) == len(lab.runs)
        for letter, fold in zip(lab.runs, folds, strict=True):
            before, after = fold.split(f"<details><summary>What is wrong with run {letter}, and what tells it")
            assert f"Run {letter}, first and last points" in before and lab.runs[letter][0] not in before
            assert f"<p>{lab.runs[letter][0]}. " in after
        assert len(lab.html) < 400_000

    def test_a_gap_in_a_log_is_no_point(self, lab):
        log = {"x": [None, 1.0, None, 3.0]}
        assert points(log, "x") == [1.0, 3.0]

    @pytest.mark.parametrize(
        ("arms", "words"),
        [
            ({}, "two where nothing is wrong"),
            ({HEALTHY: STORED[HEALTHY]}, "A lab needs a run of each fault"),
            ({HEALTHY: {"1": {}}, "dead ReLUs": STORED["dead ReLUs"]}, "two where nothing is wrong"),
            ({HEALTHY: STORED[HEALTHY], "dead ReLUs": {}}, "A lab needs a run of each fault"),
            ({HEALTHY: STORED[HEALTHY], "bad luck": STORED["dead ReLUs"]}, "no sign for bad luck; there is one for: "),
        ],
    )
    def test_what_cannot_be_shown_is_refused(self, arms, words):
        with pytest.raises(ValueError, match=re.escape(words)):
            FaultLab(arms)


def test_the_letters_are_the_same_in_every_session(lab):
    again = FaultLab(STORED)
    assert [fault for fault, _ in again.runs.values()] == [fault for fault, _ in lab.runs.values()]
    assert again.choices == lab.choices
