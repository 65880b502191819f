"""The helpers notebooks import: devices, seeds, figures, video."""

from __future__ import annotations

import subprocess
import sys

import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from conftest import ROOT
from tensordict.nn import TensorDictModule

import course_utils
from course_utils.machine import device, seeding
from course_utils.views import plotting, video
from course_utils.views.display import View, image_tag


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


class TestPackage:
    def test_importing_it_loads_nothing_heavy(self):
        heavy = "{'torch', 'torchrl', 'tensordict', 'ipywidgets', 'matplotlib', 'av', 'numpy'}"
        assert python(f"import sys, course_utils; print({heavy} & set(sys.modules))") == "set()"

    def test_torchrl_does_not_log_to_the_notebook(self):
        assert python("import course_utils, torchrl.envs") == ""

    @pytest.mark.parametrize("name", course_utils.__all__)
    def test_every_name_it_offers_is_there(self, name):
        assert getattr(course_utils, name)

    def test_no_name_is_hidden_by_a_module(self):
        """Once course_utils/x.py is imported, `from course_utils import x` gives the module."""
        modules = {path.stem for path in (ROOT / "course_utils").glob("*.py")}
        assert not modules & set(course_utils.__all__)

    def test_a_wrong_name_lists_the_right_ones(self):
        with pytest.raises(AttributeError, match="ReplayLens, ask_for_extra, check"):
            course_utils.chek  # noqa: B018


class TestDevice:
    @pytest.fixture(autouse=True)
    def cpu_only(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
        monkeypatch.delenv("COURSE_DEVICE", raising=False)

    def with_gpus(self, monkeypatch, count):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    def test_without_a_gpu(self, capsys):
        assert device.choose_device() == torch.device("cpu")
        assert capsys.readouterr().out == "Using cpu: no GPU was found.\n"

    def test_with_a_gpu(self, monkeypatch, capsys):
        self.with_gpus(monkeypatch, 1)
        assert device.choose_device() == torch.device("cuda:0")
        assert "a GPU was found" in capsys.readouterr().out

    def test_with_a_mac(self, monkeypatch):
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
        assert device.choose_device() == torch.device("mps")

    def test_the_argument_beats_the_variable_beats_the_choice(self, monkeypatch, capsys):
        self.with_gpus(monkeypatch, 2)
        monkeypatch.setenv("COURSE_DEVICE", "cuda:1")
        assert device.choose_device() == torch.device("cuda:1")
        assert device.choose_device("cpu") == torch.device("cpu")
        assert "asked for by COURSE_DEVICE" in capsys.readouterr().out

    @pytest.mark.parametrize("asked", ["cuda", "cuda:7", "mps", "gpu", "tpu"])
    def test_what_is_not_there_is_refused_with_what_is(self, asked):
        with pytest.raises(ValueError, match=f"'{asked}' .* Here there is: cpu"):
            device.choose_device(asked)

    def test_a_variable_that_asks_for_what_is_not_there(self, monkeypatch):
        monkeypatch.setenv("COURSE_DEVICE", "cuda:3")
        self.with_gpus(monkeypatch, 1)
        with pytest.raises(ValueError, match="COURSE_DEVICE.*cuda:0, cpu"):
            device.choose_device()


class TestSeeding:
    def draw(self):
        import random

        return random.random(), np.random.rand(), torch.rand(1).item()

    def test_the_same_seed_gives_the_same_numbers(self, capsys):
        seeding.seed_everything(3)
        first = self.draw()
        seeding.seed_everything(3)
        assert self.draw() == first
        seeding.seed_everything(4)
        assert self.draw() != first
        assert "Not promised" in capsys.readouterr().out

    def test_environments_of_both_kinds_are_seeded(self):
        from torchrl.envs import GymEnv

        env = GymEnv("CartPole-v1")
        seeding.seed_everything(3, env)
        first = env.reset()["observation"]
        seeding.seed_everything(3, env)
        assert torch.equal(env.reset()["observation"], first)
        raw = gym.make("CartPole-v1")
        seeding.seed_everything(3, raw)
        first = raw.reset()[0]
        seeding.seed_everything(3, raw)
        assert np.array_equal(raw.reset()[0], first)

    @pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "0", None, True])
    def test_what_is_no_seed_is_refused(self, seed):
        with pytest.raises(ValueError, match="whole number from 0"):
            seeding.seed_everything(seed)

    def test_what_is_no_environment_is_refused(self):
        with pytest.raises(TypeError, match="str cannot be seeded"):
            seeding.seed_everything(0, "CartPole-v1")


class TestPlotting:
    def test_runs_of_unequal_length_are_summarised_where_they_were_measured_and_all_reach(self):
        runs = [([0, 10], [0, 10]), ([0, 5, 20], [10, 15, 30]), ([0, 30], [20, 50])]
        summary = plotting.summarise_runs(runs)
        assert summary["x"].tolist() == [0, 5, 10]
        assert summary["median"].tolist() == [10, 15, 20]
        assert np.allclose(summary["low"], [2, 7, 12]) and np.allclose(summary["high"], [18, 23, 28])

    @pytest.mark.parametrize(
        ("runs", "words"), [([], "no run"), ([([], [])], "0 x values"), ([([1, 2], [1])], "2 x values and 1 y")]
    )
    def test_runs_that_cannot_be_read_are_named(self, runs, words):
        with pytest.raises(ValueError, match=words):
            plotting.summarise_runs(runs)

    def test_learning_curves_say_in_words_what_they_show(self):
        view = plotting.learning_curves({"DQN": [([0, 1], [0, 480]), ([0, 1], [0, 500])]}, threshold=475)
        assert view.text.startswith("Figure: Learning curves, return over frames. DQN, 2 runs")
        assert "ends between 480 and 500" in view.html and "solved is at 475" in view.html
        assert not plt.get_fignums()

    def test_no_group_is_refused(self):
        with pytest.raises(ValueError, match="at least one group"):
            plotting.learning_curves({})

    def test_a_figure_needs_alternative_text_and_is_closed(self):
        figure, _ = plt.subplots()
        with pytest.raises(ValueError, match="alternative text"):
            plotting.show_figure(figure, " ")
        view = plotting.show_figure(figure, 'a "line" & more')
        assert 'alt="a &quot;line&quot; &amp; more"' in view.html
        assert not plt.fignum_exists(figure.number)

    def test_the_same_figure_gives_the_same_bytes(self):
        def draw():
            figure, axes = plt.subplots()
            axes.plot([1, 2, 3])
            return plotting.show_figure(figure, "a line").html

        assert draw() == draw()

    def test_colours_can_be_told_apart_without_colour_vision(self):
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


class TestVideo:
    def test_a_random_episode_is_recorded_and_repeatable(self):
        first, second = (video.record_episode("CartPole-v1", seed=5) for _ in range(2))
        assert first.frames.shape == (len(first.rewards) + 1, 400, 600, 3) and first.frames.dtype == np.uint8
        assert np.array_equal(first.frames, second.frames)
        assert first.terminated and not first.truncated and first.total == len(first.rewards)

    def test_a_policy_acts_and_the_wrapped_environment_may_be_given(self):
        right = TensorDictModule(lambda observation: torch.tensor(1), in_keys=["observation"], out_keys=["action"])
        one_hot = TensorDictModule(
            lambda observation: torch.tensor([False, True]), in_keys=["observation"], out_keys=["action"]
        )
        env = gym.make("CartPole-v1", render_mode="rgb_array")
        lengths = {len(video.record_episode(env, policy, seed=1).rewards) for policy in (right, one_hot)}
        assert len(lengths) == 1 and lengths.pop() < 15
        env.reset()  # an environment of the caller's is not closed

    def test_continuous_actions(self):
        push = TensorDictModule(lambda observation: observation[:1], in_keys=["observation"], out_keys=["action"])
        episode = video.record_episode("Pendulum-v1", push, max_steps=4)
        assert len(episode.rewards) == 4 and not (episode.terminated or episode.truncated)

    def test_an_environment_that_does_not_draw_is_refused(self):
        with pytest.raises(ValueError, match="render_mode='rgb_array'"):
            video.record_episode(gym.make("CartPole-v1"))

    def test_500_frames_stay_under_100_kb(self):
        frames = np.concatenate([video.record_episode("CartPole-v1", seed=seed).frames for seed in range(30)])[:500]
        assert len(frames) == 500
        assert len(video.encode_mp4(frames)) < 100_000

    def test_the_video_holds_every_frame_as_h264(self):
        import io

        import av

        frames = np.random.default_rng(0).integers(0, 255, (7, 33, 47, 3), dtype=np.uint8)
        with av.open(io.BytesIO(video.encode_mp4(frames, fps=10))) as container:
            stream = container.streams.video[0]
            assert (stream.codec.name, stream.width, stream.height, stream.average_rate) == ("h264", 46, 32, 10)
            assert sum(1 for _ in container.decode(stream)) == 7

    @pytest.mark.parametrize(
        "frames",
        [
            np.zeros((0, 4, 4, 3), np.uint8),
            np.zeros((2, 4, 4, 3)),
            np.zeros((4, 4, 3), np.uint8),
            np.zeros((2, 4, 4, 1), np.uint8),
        ],
    )
    def test_what_are_no_frames_is_refused(self, frames):
        with pytest.raises(ValueError, match="uint8 array of shape"):
            video.encode_mp4(frames)

    def test_it_is_shown_with_controls_caption_and_alternative_text(self):
        view = video.show_video(video.record_episode("CartPole-v1"), "Before", 'falls "at once"')
        assert "<video controls" in view.html and 'aria-label="falls &quot;at once&quot;"' in view.html
        assert "<figcaption>Before · CartPole-v1: " in view.html
        assert "data:video/mp4;base64," in view.html and "<img" in view.html.split("<video")[1]

    def test_without_an_encoder_a_strip_stands_in(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "av", None)
        view = video.show_video(video.record_episode("CartPole-v1"))
        assert "<video" not in view.html and "<img" in view.html and "no video: " in view.html

    def test_where_drawing_fails_words_stand_in(self, monkeypatch):
        from gymnasium.envs.classic_control.cartpole import CartPoleEnv

        def render(self):
            raise RuntimeError("no pygame")

        monkeypatch.setattr(CartPoleEnv, "render", render)
        episode = video.record_episode("CartPole-v1")
        assert len(episode.frames) == 0 and len(episode.rewards) > 5
        view = video.show_video(episode, "Before")
        assert "No picture: RuntimeError: no pygame" in view.text and "pip install" in view.text

    def test_a_strip_shows_the_first_and_the_last_frame(self):
        import io

        from PIL import Image

        frames = np.zeros((50, 40, 60, 3), np.uint8)
        frames[0], frames[-1] = 255, 128
        strip = np.asarray(Image.open(io.BytesIO(video.frame_strip(frames, count=4, height=40))).convert("RGB"))
        assert strip.shape == (56, 240, 3)
        assert abs(int(strip[20, 30, 0]) - 255) < 8 and abs(int(strip[20, 210, 0]) - 128) < 8
        assert strip[20, 90, 0] < 8


def test_views_carry_both_twins():
    view = View("<b>x</b>", "x")
    assert view._repr_mimebundle_() == {"text/html": "<b>x</b>", "text/plain": "x"} and repr(view) == "x"
    assert 'alt="&lt;"' in image_tag(b"", "image/png", "<")


def test_completion_offers_every_name_of_the_package():
    assert dir(course_utils) == course_utils.__all__ and "check" in dir(course_utils)


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


def test_a_group_of_one_run_is_drawn_as_one_line(monkeypatch):
    drawn = []
    monkeypatch.setattr(plotting, "show_figure", lambda figure, alt: drawn.append((figure.axes[0], alt)))
    plotting.learning_curves({"DQN": [(np.array([0, 256, 512]), np.array([9.0, 100.0, 500.0]))]})
    ((axes, alt),) = drawn
    (line,) = axes.lines
    assert line.get_label() == "DQN" and list(line.get_ydata()) == [9.0, 100.0, 500.0] and "DQN" in alt
