"""Cases that neither a lesson nor the tests of its own module meet: rare input, broken machines, odd answers."""

from __future__ import annotations

import sys

import gymnasium as gym
import numpy as np
import pytest
import torch
from tensordict.nn import TensorDictModule
from test_views import ARMS

import course_utils
from course_utils import device, doctor, lab, plotting, progress, video
from course_utils.exercises import core


def test_completion_offers_every_name_of_the_package():
    assert dir(course_utils) == course_utils.__all__ and "check" in dir(course_utils)


class TestDoctor:
    def test_a_package_the_course_does_not_ask_for_is_installed_by_its_name(self):
        assert doctor.pip_install("no-part-of-the-course") == 'python -m pip install "no-part-of-the-course"'

    def test_pictures_that_cannot_be_drawn_are_a_warning(self, monkeypatch):
        def no_display(*arguments, **options):
            raise OSError("libGL is missing")

        monkeypatch.setattr(video, "record_episode", no_display)
        found = doctor.check_rendering()
        assert (found.status, found.text) == ("warning", "OSError: libGL is missing") and "gymnasium" in found.fix

    def test_devices_that_cannot_be_listed_are_a_problem(self, monkeypatch):
        def no_driver():
            raise RuntimeError("the driver is too old")

        monkeypatch.setattr(device, "available_devices", no_driver)
        found = doctor.check_device()
        assert (found.status, found.text) == ("problem", "RuntimeError: the driver is too old") and "torch" in found.fix


class TestExerciseAnswers:
    def test_a_value_that_cannot_be_compared_is_not_yet_right(self):
        exercise = core.Exercise("0.1", "a number", reference=3.0)
        status, words = core.judge_value(exercise, torch.empty((), device="meta"))
        assert status == "not yet" and words.startswith("This Tensor cannot be compared with the answer (")

    def test_a_dict_with_other_keys_is_told_which_keys_are_expected(self):
        assert "Expected a dict with keys ['a', 'b']" in core.difference({"b": 1, "a": 2}, {"a": 2})
        assert core.difference({"a": 2}, {"a": 2}) == ""
        assert core.difference({"a": 2}, {"a": 3}).startswith("At key 'a': ")

    def test_an_error_in_a_library_function_given_as_answer_is_told_without_a_line_of_ours(self):
        def apart(value):
            raise ValueError("math domain error")

        try:
            apart(-1)
        except ValueError as error:
            assert core.describe_error(abs, error) == "ValueError: math domain error"


def test_a_group_of_one_run_is_drawn_as_one_line(monkeypatch):
    drawn = []
    monkeypatch.setattr(plotting, "show_figure", lambda figure, alt: drawn.append((figure.axes[0], alt)))
    plotting.learning_curves({"DQN": [(np.array([0, 256, 512]), np.array([9.0, 100.0, 500.0]))]})
    ((axes, alt),) = drawn
    (line,) = axes.lines
    assert line.get_label() == "DQN" and list(line.get_ydata()) == [9.0, 100.0, 500.0] and "DQN" in alt


def test_outside_ipython_no_cell_is_a_solution(monkeypatch):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert progress.in_solution_cell() is False


def test_four_broken_recipes_leave_no_empty_panel_in_the_overview(monkeypatch):
    drawn = []
    keep = lab.show_figure
    monkeypatch.setattr(lab, "show_figure", lambda figure, alt: drawn.append(figure) or keep(figure, alt))
    more = {**ARMS, "no target": ARMS["no luck"], "no memory": ARMS["no brakes"]}
    lab.BreakItLab(more, 475)
    assert [axes.get_title().split(":")[0] for axes in drawn[0].axes] == [*more][1:]


@pytest.mark.parametrize("given", [np.float64, np.float32])
def test_a_policy_sees_single_precision_whatever_the_environment_gives(given):
    """Networks have float32 weights; an environment may give float64."""
    env = gym.make("CartPole-v1", render_mode="rgb_array")
    seen = []

    def left(observation):
        seen.append(observation.dtype)
        return torch.tensor(0)

    policy = TensorDictModule(left, in_keys=["observation"], out_keys=["action"])
    video._decide(policy, env, np.zeros(4, given))
    assert seen == [torch.float32]
    env.close()
