"""What V-trace makes of old frames."""

from __future__ import annotations

from made_up_results import told


def test_answers_are_computed(tmp_path):
    exams = {"fresh": [400.0, 500.0], "20 old, V-trace": [100.0, 300.0]}
    made_up = {
        name: {str(100 + place): {"test_return": exam, "cpu_seconds": 9.0} for place, exam in enumerate(found)}
        for name, found in exams.items()
    }
    assert "Median return of the exam: fresh 450; 20 old, V-trace 200." in told(tmp_path, "staleness", made_up)
