"""Figures and learning curves, with their words."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from course_utils.views import plotting


def test_runs_of_unequal_length_are_summarised_where_they_were_measured_and_all_reach():
    runs = [([0, 10], [0, 10]), ([0, 5, 20], [10, 15, 30]), ([0, 30], [20, 50])]
    summary = plotting.summarise_runs(runs)
    assert summary["x"].tolist() == [0, 5, 10]
    assert summary["median"].tolist() == [10, 15, 20]
    assert np.allclose(summary["low"], [2, 7, 12]) and np.allclose(summary["high"], [18, 23, 28])


@pytest.mark.parametrize(
    ("runs", "words"), [([], "no run"), ([([], [])], "0 x values"), ([([1, 2], [1])], "2 x values and 1 y")]
)
def test_runs_that_cannot_be_read_are_named(runs, words):
    with pytest.raises(ValueError, match=words):
        plotting.summarise_runs(runs)


def test_learning_curves_say_in_words_what_they_show():
    view = plotting.learning_curves({"DQN": [([0, 1], [0, 480]), ([0, 1], [0, 500])]}, threshold=475)
    assert view.text.startswith("Figure: Learning curves, return over frames. DQN, 2 runs")
    assert "ends between 480 and 500" in view.html and "solved is at 475" in view.html
    assert not plt.get_fignums()


def test_no_group_is_refused():
    with pytest.raises(ValueError, match="at least one group"):
        plotting.learning_curves({})


def test_a_figure_needs_alternative_text_and_is_closed():
    figure, _ = plt.subplots()
    with pytest.raises(ValueError, match="alternative text"):
        plotting.show_figure(figure, " ")
    view = plotting.show_figure(figure, 'a "line" & more')
    assert 'alt="a &quot;line&quot; &amp; more"' in view.html
    assert not plt.fignum_exists(figure.number)


def test_the_same_figure_gives_the_same_bytes():
    def draw():
        figure, axes = plt.subplots()
        axes.plot([1, 2, 3])
        return plotting.show_figure(figure, "a line").html

    assert draw() == draw()


def test_colours_can_be_told_apart_without_colour_vision():
    """Machado, Oliveira and Fernandes (2009): red-green blindness simulated on linear RGB."""
    blindness = {
        "protanopia": [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ],
        "deuteranopia": [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ],
    }
    colours = [[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in plotting.PALETTE.values()]
    linear = np.array(colours) ** 2.2
    for matrix in blindness.values():
        seen = np.clip(linear @ np.array(matrix).T, 0, 1) ** (1 / 2.2)
        distances = np.linalg.norm(seen[:, None] - seen[None], axis=-1) + np.eye(len(seen))
        assert distances.min() > 0.1


def test_a_group_of_one_run_is_drawn_as_one_line(monkeypatch):
    drawn = []
    monkeypatch.setattr(plotting, "show_figure", lambda figure, alt: drawn.append((figure.axes[0], alt)))
    plotting.learning_curves({"DQN": [(np.array([0, 256, 512]), np.array([9.0, 100.0, 500.0]))]})
    ((axes, alt),) = drawn
    (line,) = axes.lines
    assert line.get_label() == "DQN" and list(line.get_ydata()) == [9.0, 100.0, 500.0] and "DQN" in alt
