"""Recorded episodes and their videos, and what stands in where there can be none."""

from __future__ import annotations

import io
import sys
from unittest.mock import MagicMock

import av
import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from PIL import Image
from tensordict.nn import TensorDictModule

from course_utils.views import video


def test_a_random_episode_is_recorded_and_repeatable():
    first, second = (video.record_episode("CartPole-v1", seed=5) for _ in range(2))
    assert first.frames.shape == (len(first.rewards) + 1, 400, 600, 3) and first.frames.dtype == np.uint8
    assert np.array_equal(first.frames, second.frames)
    assert first.terminated and not first.truncated and first.total == len(first.rewards)


def test_a_policy_acts_and_the_wrapped_environment_may_be_given():
    right = TensorDictModule(lambda observation: torch.tensor(1), in_keys=["observation"], out_keys=["action"])
    one_hot = TensorDictModule(
        lambda observation: torch.tensor([False, True]), in_keys=["observation"], out_keys=["action"]
    )
    env = gym.make("CartPole-v1", render_mode="rgb_array")
    lengths = {len(video.record_episode(env, policy, seed=1).rewards) for policy in (right, one_hot)}
    assert len(lengths) == 1 and lengths.pop() < 15
    env.reset()  # an environment of the caller's is not closed


def test_continuous_actions():
    push = TensorDictModule(lambda observation: observation[:1], in_keys=["observation"], out_keys=["action"])
    episode = video.record_episode("Pendulum-v1", push, max_steps=4)
    assert len(episode.rewards) == 4 and not (episode.terminated or episode.truncated)


def test_an_environment_that_does_not_draw_is_refused():
    with pytest.raises(ValueError, match="render_mode='rgb_array'"):
        video.record_episode(gym.make("CartPole-v1"))


def test_500_frames_stay_under_100_kb():
    frames = np.concatenate([video.record_episode("CartPole-v1", seed=seed).frames for seed in range(30)])[:500]
    assert len(frames) == 500
    assert len(video.encode_mp4(frames)) < 100_000


def test_the_video_holds_every_frame_as_h264():
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
def test_what_are_no_frames_is_refused(frames):
    with pytest.raises(ValueError, match="uint8 array of shape"):
        video.encode_mp4(frames)


def test_it_is_shown_with_controls_caption_and_alternative_text():
    view = video.show_video(video.record_episode("CartPole-v1"), "Before", 'falls "at once"')
    assert "<video controls" in view.html and 'aria-label="falls &quot;at once&quot;"' in view.html
    assert "<figcaption>Before · CartPole-v1: " in view.html
    assert "data:video/mp4;base64," in view.html and "<img" in view.html.split("<video")[1]


def test_without_an_encoder_a_strip_stands_in(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    view = video.show_video(video.record_episode("CartPole-v1"))
    assert "<video" not in view.html and "<img" in view.html and "no video: " in view.html


def test_where_drawing_fails_words_stand_in(monkeypatch):
    def render(self):
        raise RuntimeError("no pygame")

    monkeypatch.setattr(CartPoleEnv, "render", render)
    episode = video.record_episode("CartPole-v1")
    assert len(episode.frames) == 0 and len(episode.rewards) > 5
    view = video.show_video(episode, "Before")
    assert "No picture: RuntimeError: no pygame" in view.text and "pip install" in view.text


def test_a_strip_shows_the_first_and_the_last_frame():
    frames = np.zeros((50, 40, 60, 3), np.uint8)
    frames[0], frames[-1] = 255, 128
    strip = np.asarray(Image.open(io.BytesIO(video.frame_strip(frames, count=4, height=40))).convert("RGB"))
    assert strip.shape == (56, 240, 3)
    assert abs(int(strip[20, 30, 0]) - 255) < 8 and abs(int(strip[20, 210, 0]) - 128) < 8
    assert strip[20, 90, 0] < 8


@pytest.mark.parametrize("given", [np.float64, np.float32])
def test_a_policy_sees_single_precision_whatever_the_environment_gives(given):
    class World(gym.Env):
        observation_space, action_space = gym.spaces.Box(-1, 1, (4,), given), gym.spaces.Discrete(2)
        render_mode = "rgb_array"

        def reset(self, *, seed=None, options=None):
            return np.zeros(4, given), {}

        def step(self, action):
            return np.zeros(4, given), 1.0, True, False, {}

    seen = []

    def left(observation):
        seen.append(observation.dtype)
        return torch.tensor(0)

    video.record_episode(World(), TensorDictModule(left, in_keys=["observation"], out_keys=["action"]))
    assert seen == [torch.float32]


def test_where_the_encoder_lacks_h264_a_strip_stands_in_and_the_reason_is_named(monkeypatch):
    open_container = av.open

    def open_without_h264(*args, **options):
        container = open_container(*args, **options)
        proxy = MagicMock(wraps=container)
        proxy.__enter__.return_value = proxy
        proxy.__exit__.side_effect = lambda *_: container.close()
        proxy.add_stream.side_effect = lambda codec, **settings: container.add_stream(
            codec.replace("libx264", "not_built_in"), **settings
        )
        return proxy

    monkeypatch.setattr(av, "open", open_without_h264)
    view = video.show_video(video.record_episode("CartPole-v1"))
    assert "<video" not in view.html and "<img" in view.html
    assert "no video: UnknownCodecError: not_built_in" in view.text


def test_a_machine_without_a_display_draws_all_the_same(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    episode = video.record_episode("CartPole-v1", max_steps=3)
    assert not episode.problem and len(episode.frames) == len(episode.rewards) + 1 and episode.frames.std() > 10
