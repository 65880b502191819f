"""What more workers bring."""

from __future__ import annotations

from made_up_results import told


def test_frames_per_second_are_a_multiple_of_one_process_beside_them(tmp_path):
    facts = {"workers": 2, "frames_per_second": 1_000.0, "simulate": 0.8, "learn": 0.224}
    cases = {"2": (0.05, 0.0), "1002": (0.0, 0.0), "2002": (0.05, 0.4)}
    made_up = {
        kind: {
            key: facts | {"step_seconds": step, "learn_slept": slept, "carry": carry}
            for key, (step, slept) in cases.items()
        }
        for kind, carry in {"sync": None, "async": 0.001}.items()
    }
    text = told(tmp_path, "workers", made_up)
    assert text.count("sync 2.0 with 2 workers; async 2.0 with 2 workers") == 2
    assert "| async | 2 | 50 | 0 | 1,000 | 2.0 | 1.0 |" in text and "| sync | 2 | 50 | 0 | 1,000 | 2.0 | - |" in text
