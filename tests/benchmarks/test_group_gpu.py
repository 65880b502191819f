"""The same lesson on a GPU."""

from __future__ import annotations

from made_up_results import made_up_arm, sizes, told

UPDATES = {
    "batch_size, cpu": sizes("milliseconds", {32: 1.0, 4096: 20}),
    "batch_size, cuda": sizes("milliseconds", {32: 2.0, 4096: 2.5}),
}


def test_answers_are_computed(tmp_path):
    text = told(tmp_path, "gpu", UPDATES | {"act two, cuda": made_up_arm([2, 3, 4])})
    assert "Batch size 32: the GPU is 0.5 times as fast as the CPU, 4096: 8.0 times" in text


def test_it_says_on_which_device_the_lesson_was_not_run(tmp_path):
    both = {f"act two, {device}": made_up_arm([2, 3, 4]) for device in ("cpu", "cuda")}
    assert "no stored run" not in told(tmp_path / "both", "gpu", UPDATES | both)
    del both["act two, cuda"]
    text = told(tmp_path / "one", "gpu", UPDATES | both)
    assert "no stored run with `COURSE_DEVICE=cuda`" in text
