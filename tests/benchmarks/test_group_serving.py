"""What batches gain a server."""

from __future__ import annotations

from made_up_results import arms, told

from benchmarks.groups.serving import CLIENTS, WIDTHS, gain, saving


def made_up(batched: float, unbatched: float) -> dict[str, dict]:
    run = {"batched_per_second": batched, "unbatched_per_second": unbatched}
    run |= {"batched_core_seconds": 1 / batched, "unbatched_core_seconds": 1 / unbatched, "batched_rows": 8.0}
    return {"0": run | {"batched_alone_milliseconds": 5.0, "unbatched_alone_milliseconds": 3.0}}


def test_the_lessons_words_hold():
    found = arms("serving")
    assert list(found) == list(WIDTHS)
    small, _, large = (list(runs.values()) for runs in found.values())
    assert min(map(gain, large)) > 2 and sorted(map(gain, small))[1] < 1.5, "large networks gain, small ones hardly"
    assert min(map(saving, large)) > max(map(saving, small)) > 1
    assert all(1 < run["batched_rows"] <= CLIENTS and run["unbatched_rows"] == 1 for run in small + large)


def test_answers_are_computed(tmp_path):
    text = told(tmp_path, "serving", {"width 64": made_up(220, 200), "width 4,096": made_up(60, 12)})
    assert "With width 64 a server that batches answers 1.1 times" in text and "width 4,096 5.0 times as many" in text
    assert "| width 4,096 | 5.00 | 5.00 | 8 | 2.0 ms |" in text
