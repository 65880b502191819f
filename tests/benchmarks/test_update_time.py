"""The time of an update."""

from __future__ import annotations

from benchmarks import update_time


class TestScaling:
    def test_more_arithmetic_takes_longer(self):
        (small,), (large,) = (update_time.update_milliseconds(1, seconds=0.01, batch_size=size) for size in (8, 1_024))
        assert 0 < small < large
