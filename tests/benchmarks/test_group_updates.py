"""An update over its sizes."""

from __future__ import annotations

from made_up_results import arms, sizes, told

from benchmarks.figures import medians_of


def test_the_lessons_words_about_costs_hold():
    sizes = {name: dict(zip(*medians_of(arm, "milliseconds"), strict=True)) for name, arm in arms("updates").items()}
    batch, width = sizes["batch_size"], sizes["width"]
    assert batch[128] / batch[32] < 2.5 and width[256] / width[64] < 2.5, (
        "four times the size, far less than four times"
    )
    assert batch[4096] / batch[1024] > 2.5 and width[1024] / width[512] > 2, "at the large end it grows with the size"


def test_answers_are_computed(tmp_path):
    made_up = {
        "batch_size": sizes("milliseconds", {32: 1.2, 512: 2.5, 4096: 20}),
        "width": sizes("milliseconds", {64: 1.1, 1024: 30}),
    }
    assert "16 times the width (64 to 1024)" in told(tmp_path, "updates", made_up)
