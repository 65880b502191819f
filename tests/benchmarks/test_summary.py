"""What many runs say together."""

from __future__ import annotations

import math

import numpy as np
import pytest
from made_up_results import made_up_arm

from benchmarks.figures import FRAMES
from benchmarks.summary import (
    NEVER,
    bootstrap_interval,
    interquartile_mean,
    percentile,
    spread,
    success_interval,
    to_solve,
)


class TestSummary:
    def test_percentiles_are_numpys_where_no_run_failed(self):
        values = np.random.default_rng(1).normal(size=23).tolist()
        for share in (0.0, 0.1, 0.5, 0.9, 1.0):
            assert percentile(values, share) == pytest.approx(np.percentile(values, 100 * share))

    def test_failed_runs_count_as_larger_than_any_number(self):
        runs = made_up_arm([1, 2, 3, 4, 9], failed={4}).values()
        costs = to_solve(runs, FRAMES.of)
        assert costs == [1_000, 2_000, 3_000, 4_000, NEVER]
        assert spread(costs) == (1_400, 3_000, NEVER)
        assert percentile([1, 2, NEVER, NEVER], 0.5) == NEVER and percentile([NEVER, NEVER], 0.25) == NEVER

    def test_a_cheap_failure_does_not_make_an_arm_look_quick(self):
        quick_failures = made_up_arm([0.1, 0.1, 5, 6, 7], failed={0, 1}).values()
        assert spread(to_solve(quick_failures, FRAMES.of))[1] == 7_000

    def test_the_interquartile_mean_is_that_of_the_middle_half(self):
        assert interquartile_mean([-1_000, 1, 2, 3, 4, 5, 6, 1_000]) == 3.5
        assert interquartile_mean([[3, 1, 2], [0, 0, 9]]).tolist() == [2, 3]

    def test_the_interval_of_equal_values_is_a_point_and_is_the_same_each_time(self):
        assert bootstrap_interval([7.0] * 10) == (7, 7)
        values = np.random.default_rng(2).normal(size=12)
        assert bootstrap_interval(values) == bootstrap_interval(values)

    def test_the_interval_of_the_mean_is_the_one_theory_gives(self):
        values = np.random.default_rng(3).normal(size=400)
        low, high = bootstrap_interval(values, lambda drawn: drawn.mean(-1))
        half = 1.96 * values.std() / math.sqrt(len(values))
        assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)

    def test_a_95_per_cent_interval_holds_the_truth_about_so_often(self):
        rng = np.random.default_rng(4)
        intervals = [bootstrap_interval(rng.normal(size=30), resamples=500) for _ in range(300)]
        assert 0.88 < np.mean([low < 0 < high for low, high in intervals]) < 0.98

    def test_the_interval_of_a_success_rate_is_wilsons(self):
        assert success_interval(30, 30) == pytest.approx((0.886, 1.0), abs=1e-3)
        assert success_interval(5, 10) == pytest.approx((0.237, 0.763), abs=1e-3)

    def test_nothing_cannot_be_summarised(self):
        for function in (lambda: percentile([], 0.5), lambda: bootstrap_interval([]), lambda: success_interval(0, 0)):
            with pytest.raises(ValueError, match="no values|no runs"):
                function()
