"""The same lesson on a GPU."""

from __future__ import annotations

from made_up_results import UNMEASURED, told


def test_answers_are_computed(tmp_path):
    text = told(tmp_path, "gpu", UNMEASURED["gpu"])
    assert "Batch size 32: the GPU is 0.5 times as fast as the CPU, 4096: 8.0 times" in text
