"""Which players self-play trains."""

from __future__ import annotations

from made_up_results import told

from benchmarks.groups.selfplay import GROUP


def run(first: int, second: int) -> dict:
    return {"won": [80, 300], "drawn": [5, 90], "lost": [first, second], "rounds": 90, "cpu_seconds": 9.0}


def test_answers_are_computed(tmp_path):
    made_up = {
        "with past selves": {"100": run(0, 0), "101": run(0, 0)},
        "itself alone": {"100": run(0, 3), "101": run(0, 0)},
    }
    page = told(tmp_path, "selfplay", made_up)
    assert "with past selves 2 of 2; itself alone 1 of 2." in page
    assert "| itself alone | 1 of 2 | 3, 0 | 90, 90 | 9.0 |" in page


def test_what_is_trained_differently_is_tried_on_fewer_seeds():
    jobs = GROUP.jobs(10)
    assert [sum(arm == name for arm, _ in jobs) for name in GROUP.arms()] == [10, 5, 2, 2]
    assert len(GROUP.jobs(1)) == 4
