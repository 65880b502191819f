"""What a memory and a second look are worth."""

from __future__ import annotations

import pytest
from made_up_results import told


def made_up_scores(found: dict[str, list[float]]) -> dict:
    return {
        name: {
            str(100 + place): {"score": score, "frames": 8_192, "cpu_seconds": 20.0, "curve": [[1024, score]]}
            for place, score in enumerate(scores)
        }
        for name, scores in found.items()
    }


@pytest.mark.parametrize(
    ("group", "scores", "answer"),
    [
        ("memory", {"no memory": [40.0, 60.0], "memory": [480.0, 470.0]}, "no memory 0 of 2; memory 1 of 2."),
        ("pixels", {"one look": [50.0, 60.0], "two looks": [97.0, 96.0]}, "one look 0 of 2; two looks 2 of 2."),
    ],
)
def test_each_group_has_its_own_pass_mark(tmp_path, group, scores, answer):
    assert f"Solved: {answer}" in told(tmp_path, group, made_up_scores(scores))
