"""Figures and learning curves, with their words."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from course_utils.views import display, plotting


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
    for colours in (PALETTE, in_the_dark(PALETTE)):
        for matrix in blindness.values():
            seen = np.clip(colours**2.2 @ np.array(matrix).T, 0, 1) ** (1 / 2.2)
            distances = np.linalg.norm(seen[:, None] - seen[None], axis=-1) + np.eye(len(seen))
            assert distances.min() > 0.1


PALETTE = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in plotting.PALETTE.values()])


def in_the_dark(colours: np.ndarray) -> np.ndarray:
    """What the filters of `FOLLOWS_THEME` make of colours: https://www.w3.org/TR/filter-effects-1/#feColorMatrixElement"""
    assert "invert(1) hue-rotate(180deg) brightness(1.2)" in display.FOLLOWS_THEME
    grey = np.array([0.213, 0.715, 0.072])
    turned = np.clip(2 * ((1 - colours) @ grey)[:, None] - (1 - colours), 0, 1)
    return np.clip(1.2 * turned, 0, 1)


@pytest.mark.parametrize("page", ["#111111", "#1f1f1f", "#383838"], ids=["JupyterLab", "VS Code", "Colab"])
def test_no_colour_of_a_drawing_gets_lost_on_a_dark_page(page):
    """WCAG's contrast, for which 3 is enough for a line: https://www.w3.org/TR/WCAG21/#non-text-contrast"""
    page = np.array([int(page[i : i + 2], 16) / 255 for i in (1, 3, 5)])

    def light(colour: np.ndarray) -> np.ndarray:
        return np.where(colour <= 0.03928, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]

    screened = 1 - (1 - in_the_dark(PALETTE)) * (1 - page)
    assert ((light(screened) + 0.05) / (light(page) + 0.05)).min() > 3
    white = in_the_dark(np.ones((1, 3)))
    assert np.allclose(1 - (1 - white) * (1 - page), page), "white is the page, whatever its colour"


def test_a_drawing_follows_the_theme_and_a_picture_keeps_its_colours():
    figure, panels = plt.subplots(1, 2)
    panels[0].plot([1, 2])
    drawing = plotting.show_figure(figure, "a line").html
    assert f'<img class="{display.DRAWING}"' in drawing and drawing.count("<style") == 1
    figure, panels = plt.subplots(1, 2)
    panels[1].imshow(np.zeros((2, 2)))
    picture = plotting.show_figure(figure, "a game").html
    assert display.DRAWING not in picture and plotting.CARD in picture


def test_a_group_of_one_run_is_drawn_as_one_line(monkeypatch):
    drawn = []
    monkeypatch.setattr(plotting, "show_figure", lambda figure, alt: drawn.append((figure.axes[0], alt)))
    plotting.learning_curves({"DQN": [(np.array([0, 256, 512]), np.array([9.0, 100.0, 500.0]))]})
    ((axes, alt),) = drawn
    (line,) = axes.lines
    assert line.get_label() == "DQN" and list(line.get_ydata()) == [9.0, 100.0, 500.0] and "DQN" in alt
