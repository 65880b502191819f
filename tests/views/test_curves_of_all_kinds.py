"""Learning curves of every kind: what is drawn is what was given, and what cannot be drawn is said."""

from __future__ import annotations

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from course_utils.views import plotting
from course_utils.views.display import View
from course_utils.views.finite import in_words, not_finite
from course_utils.views.plotting import learning_curves, summarise_runs

NAN, INF = float("nan"), float("inf")
X = np.arange(20.0)


@pytest.fixture
def axes(monkeypatch):
    """What was drawn, where the test can look at it."""
    drawn = []

    def keep(figure, alt):
        figure.canvas.draw()
        drawn.append(figure)
        return View(alt, alt)

    monkeypatch.setattr(plotting, "show_figure", keep)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield lambda: drawn[-1].axes[0]
    plt.close("all")


def lines(axes) -> list[tuple[np.ndarray, np.ndarray]]:
    return [line.get_data() for line in axes.lines]


class TestBadNumbers:
    def test_they_are_counted_left_out_and_said_in_figure_and_text(self, axes):
        y = X.copy()
        y[3], y[5], y[6] = NAN, INF, -INF
        text = learning_curves({"DQN": [(X, y)]}).text
        words = "DQN: 1 of 20 values NaN, 2 of 20 values inf, left out"
        assert words in text and axes().figure.get_supxlabel() == words
        (drawn,) = lines(axes())
        assert np.array_equal(np.isnan(drawn[1]), ~np.isfinite(y)) and np.nanmax(drawn[1]) == 19
        assert axes().get_ylim()[1] < 25

    def test_a_point_between_two_gaps_is_a_dot(self, axes):
        learning_curves({"two": [([0, 1, 2], [NAN, 5.0, NAN]), ([0, 1, 2], [1.0, 1.0, 1.0])]})
        first, second, median = axes().lines
        assert first.get_markevery() == [1] and second.get_marker() == "None" and median.get_markevery() == [1]

    def test_the_median_stops_where_a_run_has_no_value(self):
        found = summarise_runs([(X, X), (X, np.where(X == 7, NAN, X)), (X, np.where(X == 9, INF, X + 1))])
        assert np.flatnonzero(np.isnan(found["median"])).tolist() == [7, 9]
        assert found["median"][8] == 8

    @pytest.mark.parametrize(
        ("ends", "words"),
        [
            ([NAN], "return ends at no finite value"),
            ([NAN, 3.0], "return ends between 3 and 3, but 1 of 2 at no finite value"),
            ([12.0, 480.4], "return ends between 12 and 480;"),
            ([1e-11, -2e-11], "return ends between -2e-11 and 1e-11;"),
        ],
    )
    def test_how_it_ends(self, ends, words):
        assert words in learning_curves({"run": [([0, 1], [0.0, end]) for end in ends]}, threshold=1).text

    def test_a_point_without_a_place(self, axes):
        text = learning_curves({"run": [([0, NAN, 2], [1.0, 2.0, 3.0])]}).text
        assert "1 of 3 values without a place along x" in text and lines(axes())[0][0].tolist() == [0, 2]
        with pytest.raises(ValueError, match="run: Run 0 has no x that is finite"):
            learning_curves({"run": [([NAN], [1.0])]})

    def test_a_run_that_goes_back_is_refused(self):
        with pytest.raises(ValueError, match="Run 1 goes back from x = 3 to 2; sort it by x first"):
            summarise_runs([([1, 2], [0, 0]), ([1, 3, 2], [0, 0, 0])])


class TestSizes:
    @pytest.mark.parametrize("scale", [1e-300, 1e-11, 1.0, 1e30, 1.7e308])
    def test_curves_fill_their_panel_whatever_their_size(self, axes, scale):
        learning_curves({"a": [(X, np.sin(X) * scale)], "b": [(X, np.cos(X) * scale), (X, -np.cos(X) * scale)]})
        low, high = axes().get_ylim()
        unit = 1e308 if scale > 1e100 else 1
        assert -1.2 * scale / unit < low < high < 1.2 * scale / unit and "unit" in axes().get_ylabel() or unit == 1

    @pytest.mark.parametrize("y", [np.zeros(20), np.full(20, 1e-11), np.full(20, -3e9)])
    def test_constant_curves(self, axes, y):
        learning_curves({"a": [(X, y)]})
        low, high = axes().get_ylim()
        assert low < y[0] < high

    def test_single_points(self, axes):
        learning_curves({"a": [([5], [1.0])], "b": [([5], [2.0]), ([5], [3.0])]})
        assert all(line.get_marker() == "." for line in axes().lines)

    def test_tensors_and_whole_numbers(self, axes):
        learning_curves({"a": [(torch.arange(5), torch.arange(5) * 2)]})
        assert lines(axes())[0][1].tolist() == [0, 2, 4, 6, 8]

    def test_millions_of_points_keep_their_peaks_and_their_ends(self, axes):
        x = np.arange(2_000_000)
        y = np.sin(x / 1e5)
        y[1_234_567], y[777_777] = 50, NAN
        text = learning_curves({"long": [(x, y)]}).text
        ((drawn_x, drawn_y),) = lines(axes())
        assert len(drawn_x) < 10_000 and (drawn_x[0], drawn_x[-1]) == (0, 1_999_999)
        assert drawn_y.max() == 50 and np.array_equal(drawn_y, y[drawn_x.astype(int)])
        assert "1 of 2,000,000 values NaN" in text

    def test_medians_of_long_runs(self):
        x = np.arange(50_000)
        found = summarise_runs([(x, x), (x, x + 2)])
        assert len(found["x"]) == 20_000 and np.array_equal(found["median"], found["x"] + 1)
        assert (found["x"][0], found["x"][-1]) == (0, 49_999)

    def test_runs_that_share_no_stretch(self, axes):
        assert "a: its runs share no stretch of frames" in learning_curves({"a": [(X, X), (X + 100, X)]}).text


class TestGroups:
    @pytest.mark.parametrize("count", [7, 9, 21])
    def test_all_are_drawn_and_told_apart(self, axes, count):
        text = learning_curves({f"group {n}": [(X, X + n)] for n in range(count)}).text
        looks = {(line.get_color(), line.get_linestyle()) for line in axes().lines}
        assert len(axes().lines) == len(looks) == count == len(axes().figure.legends[0].texts)
        assert all(f"group {n}, one run" in text for n in range(count)) and "repeat" not in text

    @pytest.mark.parametrize("count", [1, 7, 21])
    def test_the_legend_hides_no_curve(self, axes, count):
        learning_curves({f"group {n}": [(X, X + n)] for n in range(count)}, threshold=3)
        figure = axes().figure
        figure.canvas.draw()
        legend, curves = figure.legends[0].get_window_extent(), axes().get_window_extent()
        assert legend.x0 >= curves.x1 and curves.width > 0.3 * figure.bbox.width
        assert figure.bbox.y0 <= legend.y0 and legend.y1 <= figure.bbox.y1

    def test_more_than_there_are_looks(self, axes):
        text = learning_curves({n: [(X, X + n)] for n in range(22)}).text
        assert len(axes().lines) == 22 and "22 groups: after 21 the looks repeat" in text

    def test_names_are_no_mathematics_and_none_is_hidden(self, axes):
        learning_curves({"_private": [(X, X)], r"$\frac$": [(X, X)], 7: [(X, X)]})
        assert [text.get_text() for text in axes().figure.legends[0].texts] == [" _private", r"\$\frac\$", "7"]


class TestNotFinite:
    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e5m2])
    def test_it_counts_in_every_layout(self, dtype):
        values = torch.zeros(7, 11, dtype=torch.float32)
        values[1, 2], values[3, 4], values[3, 5] = NAN, INF, -INF
        for tensor in (values.to(dtype), values.to(dtype).T, values.to(dtype).unsqueeze(1).expand(7, 1, 11)):
            assert not_finite(tensor) == {"NaN": 1, "inf": 2}

    def test_what_holds_none(self):
        for tensor in (torch.zeros(0), torch.arange(3), torch.ones(2, dtype=torch.bool), torch.tensor(1.0)):
            assert not_finite(tensor) == {}
        assert not_finite(torch.tensor(NAN)) == {"NaN": 1}

    def test_in_pieces(self, monkeypatch):
        monkeypatch.setattr("course_utils.views.finite.PIECE", 10)
        assert not_finite(torch.full((13, 7), NAN)) == {"NaN": 91}

    def test_words(self):
        assert in_words({"NaN": 1_000, "inf": 2}, 5_000) == "1,000 of 5,000 NaN, 2 of 5,000 inf"
