"""How well Dreamer dreams, and plays."""

from __future__ import annotations

from made_up_results import told

from benchmarks.groups.dreamer import GROUP


def model(judged: float) -> dict:
    return {name: {"1": 0.99, "4": judged, "6": 0.9, "7": 0.5} for name in ("judged", "drawn")}


def test_answers_are_computed(tmp_path):
    made_up = {
        "model": {"100": model(0.9), "101": model(0.8)},
        "policy": {"100": {"caught": 95.0}, "101": {"caught": 91.5}},
    }
    page = told(tmp_path, "dreamer", made_up)
    assert "by 2 policies trained in dreams alone: 91.5 to 95 %." in page
    assert "| 4 | 90, 80 | 90, 80 |" in page and "Models (100, 101) learn" in page


def test_models_are_few_and_policies_as_many_as_asked_for():
    jobs = GROUP.jobs(5)
    assert [sum(arm == name for arm, _ in jobs) for name in GROUP.arms()] == [2, 5]
