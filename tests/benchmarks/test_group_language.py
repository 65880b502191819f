"""What rewards teach a language model."""

from __future__ import annotations

from made_up_results import told

from benchmarks.groups.language import ARMS, GROUP, learned


def run(greedy: float, drawn: float) -> dict:
    return {"greedy": greedy, "drawn": drawn, "cpu_seconds": 12.0, "curve": [0.3, 0.9]}


def test_answers_are_computed(tmp_path):
    made_up = {arm: {"100": run(0.99, 0.9), "101": run(0.2, 0.95)} for arm in ARMS}
    page = told(tmp_path, "language", made_up)
    assert "GRPO 1 of 2; REINFORCE 1 of 2;" in page
    assert "| PPO | 90%, 95% | 99%, 20% | 12.0 |" in page


def test_both_kinds_of_answers_have_to_be_exact():
    assert learned(run(0.85, 0.85))
    assert not learned(run(0.84, 1.0)) and not learned(run(1.0, 0.84))


def test_each_seed_is_one_job_for_all_arms():
    assert GROUP.jobs(2) == [("GRPO", 100), ("GRPO", 101)]
