"""What is drawn is what the data say: read back from the figure, not from its words."""

from __future__ import annotations

from made_up_results import drawn_points, made_up_arm

from benchmarks import figures
from benchmarks.figures import FRAMES, SECONDS


class TestFigures:
    def test_every_run_is_a_point_and_failed_ones_are_apart(self):
        runs = made_up_arm([2, 3, 4, 20], failed={3})
        figure, _ = figures.runs_figure({"one": runs, "two": made_up_arm([5, 6])}, [FRAMES, SECONDS])
        returns, frames, seconds = figure.axes
        assert drawn_points(frames) == {
            "one: solved": [2_000, 3_000, 4_000],
            "one: failed": [20_000],
            "two: solved": [5_000, 6_000],
        }
        assert drawn_points(seconds)["one: failed"] == [60]
        assert drawn_points(returns)["one: failed"] == [100]

    def test_median_and_percentiles_stand_where_they_belong(self):
        figure, _ = figures.runs_figure({"one": made_up_arm(range(1, 12))}, [FRAMES, SECONDS])
        frames = figure.axes[1]
        (low, high), (median,) = (list(line.get_xdata()) for line in frames.lines)
        assert [low, median, high] == [2_000, 6_000, 10_000]

    def test_an_arm_that_mostly_failed_has_no_median_but_an_arrow(self):
        runs = made_up_arm([2, 3, 4, 20, 20, 20, 20], failed={3, 4, 5, 6})
        frames = figures.runs_figure({"one": runs}, [FRAMES, SECONDS])[0].axes[1]
        assert [line.get_marker() for line in frames.lines] == ["None", ">"]

    def test_growth_is_drawn_through_the_medians(self):
        arm = {"1": {"milliseconds": [3.0, 1.0, 2.0]}, "4": {"milliseconds": [8.0, 6.0, 7.0]}}
        axes = figures.updates_figure({"width": arm})[0].axes[0]
        (line,) = [line for line in axes.lines if line.get_gid() == "width"]
        assert line.get_xydata().tolist() == [[1, 2], [4, 7]]
