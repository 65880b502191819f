"""What V-trace makes of old frames."""

from __future__ import annotations

import pytest
from made_up_results import told

from benchmarks.groups.staleness import gains_of_v_trace


def test_answers_are_computed(tmp_path):
    exams = {"fresh": [400.0, 500.0], "20 old, V-trace": [100.0, 300.0]}
    made_up = {
        name: {str(100 + place): {"test_return": exam, "cpu_seconds": 9.0} for place, exam in enumerate(found)}
        for name, found in exams.items()
    }
    said = told(tmp_path, "staleness", made_up)
    assert "Median return of the exam: fresh 450, 1 of 2 solved; 20 old, V-trace 200, 0 of 2 solved." in said


def test_the_gain_is_that_of_the_seeds_that_ran_both_ways(tmp_path):
    exams = {
        "20 old, V-trace": {"100": 300.0, "101": 500.0, "102": 0.0},
        "20 old, not corrected": {"101": 200.0, "100": 100.0},
    }
    made_up = {
        name: {seed: {"test_return": exam, "cpu_seconds": 9.0} for seed, exam in found.items()}
        for name, found in exams.items()
    }
    assert gains_of_v_trace(made_up) == {20: pytest.approx((250.0, 50.0))}
    assert "20 batches old +250 ± 50." in told(tmp_path, "staleness", made_up)
