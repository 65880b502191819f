"""Curves of any length: bounded memory, even along their length, and nothing that stands out is lost."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.views import curves, long_curve
from course_utils.views.live_plot import LivePlot
from course_utils.views.long_curve import LongCurve

NAN = float("nan")


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(long_curve, "KEPT", 40)


def curve_of(heights) -> LongCurve:
    curve = LongCurve()
    for x, y in enumerate(heights):
        curve.append((float(x), float(y)))
    return curve


def test_what_is_not_long_is_kept_as_it_is():
    points = [(float(x), x % 5.0) for x in range(1_000)]
    curve = curve_of(y for _, y in points)
    assert list(curve) == points and (curve.count, curve.bad, curve.stretch) == (1_000, 0, 1)
    assert curve[3] == points[3] and curve[-1] == points[-1] and curve[5:9] == points[5:9]
    with pytest.raises(IndexError):
        curve[1_000]
    with pytest.raises(IndexError):
        LongCurve()[-1]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, -3.0, 50.0, NAN, math.inf]), min_size=1, max_size=700))
def test_peaks_gaps_and_the_last_point_stay(heights):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(long_curve, "KEPT", 40)
        curve = curve_of(heights)
    points = [(float(x), y) for x, y in enumerate(heights)]
    kept = [*curve]
    assert all(any(p[0] == q[0] and (p[1] == q[1] or p[1] != p[1]) for q in points) for p in kept)
    assert [x for x, _ in kept] == sorted({x for x, _ in kept}) and kept[-1][0] == len(heights) - 1
    assert curve[-1][0] == kept[-1][0] and len(curve) == len(kept)
    finite = [y for y in heights if math.isfinite(y)]
    shown = [y for _, y in kept if math.isfinite(y)]
    assert (min(shown), max(shown)) == (min(finite), max(finite)) if finite else not shown
    assert curve.bad == len(heights) - len(finite) and curve.count == len(heights)
    assert any(not math.isfinite(y) for _, y in kept) == bool(curve.bad)
    assert len(kept) <= 41 + curve.stretch


def test_it_is_alike_all_along(small):
    curve = curve_of(math.sin(x) for x in range(10_000))
    assert curve.stretch > 100
    places = [x for x, _ in curve]
    gaps = [after - before for before, after in zip(places[:-2], places[1:-1], strict=True)]
    assert max(gaps) <= 2 * curve.stretch


@pytest.mark.slow
def test_ten_million_points_are_quick_and_small():
    plot = LivePlot()
    before = time.process_time()
    for x in range(10_000_000):
        plot.add(x, loss=x % 1_000 if x != 7_654_321 else NAN)
    seconds = time.process_time() - before
    curve = plot.series["loss"]
    assert curve.count == 10_000_000 and len(curve) <= long_curve.KEPT + curve.stretch
    assert "loss 999 (1 of 10,000,000 not finite)" in plot.view().text
    assert seconds < 300  # of the processor's time
    before = time.process_time()
    svg = curves.curves_svg(plot.series, "x", "y")
    assert time.process_time() - before < 1 and len(svg) < 40_000
    assert len({x for x in plot.curve("loss")[0]}) == len(curve)
