"""A simulator of many copies on a GPU."""

from __future__ import annotations

import pytest
from made_up_results import arms, sizes, told

from benchmarks.figures import medians_of
from benchmarks.groups import gpu_vmas


def arm(milliseconds: dict[int, float]) -> dict[str, dict]:
    return {copies: found | {"vmas": "1.2"} for copies, found in sizes("milliseconds", milliseconds).items()}


def test_answers_are_computed(tmp_path):
    text = told(tmp_path, "gpu_vmas", {"cpu": arm({10: 4.0, 10_000: 120}), "cuda": arm({10: 8.0, 10_000: 12})})
    assert "0.5 times as fast as the CPU with 10 copies, 10 times as fast as the CPU with 10,000 copies." in text
    assert "A step of 10,000 copies takes it 1.5 times as long as one of 10." in text and "VMAS 1.2" in text


def test_every_size_runs_on_both_devices():
    jobs = gpu_vmas.GROUP.jobs(1)
    assert len(jobs) == len(set(jobs)) == 2 * len(gpu_vmas.COPIES)


def test_a_step_is_timed_on_the_cpu(monkeypatch):
    pytest.importorskip("vmas")
    monkeypatch.setattr(gpu_vmas, "STEPS", 2)
    found = gpu_vmas.measure("cpu", 3)["cpu"]
    assert len(found["milliseconds"]) == gpu_vmas.REPEATS and min(found["milliseconds"]) > 0


def test_what_lesson_12_says_holds():
    (_, cpu), (copies, cuda) = (medians_of(arms("gpu_vmas")[device], "milliseconds") for device in ("cpu", "cuda"))
    assert (copies[0], copies[-1]) == (10, 10_000) and cuda[-1] / cuda[0] < 1.3 and cpu[0] < cuda[0]
