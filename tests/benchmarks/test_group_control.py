"""Four algorithms on Pendulum."""

from __future__ import annotations

from made_up_results import told


def test_answers_are_computed(tmp_path):
    made_up = {
        name: {
            "100": {"test_return": best, "cpu_seconds": 10.0, "curve": [[1000, -900.0]]},
            "101": {"test_return": -400.0, "cpu_seconds": 12.0, "curve": [[1000, -900.0]]},
        }
        for name, best in {"DDPG": -150.0, "REDQ": -201.0}.items()
    }
    text = told(tmp_path, "control", made_up)
    assert "Solved: DDPG 1 of 2; REDQ 0 of 2." in text and "| DDPG | 1 of 2 | -150, -400 | 11.0 |" in text
