"""The same lesson on a GPU."""

from __future__ import annotations

from made_up_results import arms, made_up_arm, sizes, told

from benchmarks.figures import medians_of
from benchmarks.missing import DEVICES

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


def test_what_lesson_07_says_of_a_gpu_holds():
    """The same time for all sizes, more than one core for the smallest batch, a tenth of it for the largest."""
    found = arms("gpu")
    (_, cpu), (_, cuda) = (medians_of(found[f"batch_size, {device}"], "milliseconds") for device in DEVICES)
    times = cuda + medians_of(found["width, cuda"], "milliseconds")[1]
    assert max(times) / min(times) < 1.5 and cpu[0] < cuda[0] and 8 < cpu[-1] / cuda[-1] < 12
