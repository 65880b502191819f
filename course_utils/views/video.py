"""Watch an agent: record one episode and show it inline, without a system package or a display."""

from __future__ import annotations

import base64
import io
import os
from dataclasses import dataclass
from html import escape

import numpy as np
import torch
from tensordict import TensorDict, TensorDictBase

from course_utils.views.display import View, image_tag


@dataclass
class Episode:
    """One recorded episode of T steps.

    Attributes:
        frames: uint8 array [T + 1, height, width, 3], from the first observation to the last; empty where the
            environment could not draw.
        rewards: float array [T].
        rollout: TensorDict [T]: at each step what the policy read and wrote, and `next`: `reward`, `terminated`,
            `truncated`, `done`.
        terminated: the world ended (the pole fell).
        truncated: a clock ran out.
        fps: frames per second at which the environment is meant to be shown.
        name: the environment's id.
        problem: why there are no frames, in words; empty where there are.
    """

    frames: np.ndarray
    rewards: np.ndarray
    rollout: TensorDictBase
    terminated: bool
    truncated: bool
    fps: int
    name: str
    problem: str = ""

    @property
    def total(self) -> float:
        """The undiscounted return of the episode."""
        return float(self.rewards.sum())


def _make(env):
    import gymnasium as gym

    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # draw without a display
    if isinstance(env, str):
        return gym.make(env, render_mode="rgb_array")
    if getattr(env, "render_mode", None) != "rgb_array":
        raise ValueError(
            f"This environment has render_mode={getattr(env, 'render_mode', None)!r} and cannot be recorded. "
            "Make it with gym.make(name, render_mode='rgb_array'), or pass its name."
        )
    return env


def _decide(policy, env, observation) -> TensorDictBase:
    """What `policy` (a TensorDictModule) makes of the observation, or a random action in its place."""
    observed = torch.as_tensor(np.asarray(observation))
    if observed.dtype == torch.float64:
        observed = observed.float()
    if policy is None:
        return TensorDict({"observation": observed, "action": torch.as_tensor(env.action_space.sample())})
    device = next((parameter.device for parameter in policy.parameters()), None)
    return policy(TensorDict({"observation": observed}, device=device)).cpu()


def _for_gymnasium(action: torch.Tensor, env):
    """An action (an index, a one-hot vector or real numbers) as Gymnasium wants it."""
    from gymnasium.spaces import Discrete

    if isinstance(env.action_space, Discrete):
        return int(action.int().argmax() if action.numel() > 1 else action)
    return action.numpy()


def record_episode(env, policy=None, *, seed: int = 0, max_steps: int = 1000) -> Episode:
    """Play one episode and keep its pictures.

    Args:
        env: the name of a Gymnasium environment, or one made with `render_mode="rgb_array"`.
        policy: a TensorDictModule that reads `observation` and writes `action` (an index or one-hot for discrete
            actions); it acts without exploration. Without it, actions are random.
        seed: of the environment and of random actions.
        max_steps: the episode is cut here if it has not ended.

    Raises:
        ValueError: the environment was made without `render_mode="rgb_array"`.
    """
    own = isinstance(env, str)
    env = _make(env)
    frames, steps, problem = [], [], ""
    terminated = truncated = False

    def draw() -> None:
        nonlocal problem
        if not problem:
            try:
                frames.append(np.asarray(env.render(), dtype=np.uint8))
            except Exception as error:  # a renderer can fail in many ways; the episode is still worth having
                problem = f"{type(error).__name__}: {error}"

    env.action_space.seed(seed)
    observation, _ = env.reset(seed=seed)
    draw()
    with torch.no_grad(), _no_exploration(policy):
        while not (terminated or truncated) and len(steps) < max_steps:
            step = _decide(policy, env, observation)
            observation, reward, terminated, truncated, _ = env.step(_for_gymnasium(step["action"], env))
            step["next"] = _outcome(reward, terminated, truncated)
            steps.append(step)
            draw()
    fps = int(env.metadata.get("render_fps") or 30)
    name = env.spec.id if env.spec else type(env.unwrapped).__name__
    if own:
        env.close()
    pictures = np.stack(frames) if frames else np.zeros((0, 0, 0, 3), np.uint8)
    rollout = torch.stack(steps)
    rewards = rollout["next", "reward"].squeeze(-1).numpy()
    return Episode(pictures, rewards, rollout, bool(terminated), bool(truncated), fps, name, problem)


def _outcome(reward: float, terminated: bool, truncated: bool) -> TensorDict:
    ends = {"terminated": terminated, "truncated": truncated, "done": terminated or truncated}
    flags = {name: torch.tensor([bool(value)]) for name, value in ends.items()}
    return TensorDict({"reward": torch.tensor([float(reward)]), **flags})


def _no_exploration(policy):
    from contextlib import nullcontext

    if policy is None:
        return nullcontext()
    from torchrl.envs.utils import ExplorationType, set_exploration_type

    return set_exploration_type(ExplorationType.DETERMINISTIC)


def encode_mp4(frames: np.ndarray, fps: int = 30) -> bytes:
    """Encode frames as H.264 in MP4, which every browser plays.

    Args:
        frames: uint8 array [T, height, width, 3]; odd heights and widths lose their last line.
        fps: frames per second.

    Raises:
        ImportError: PyAV is not installed.
        ValueError: `frames` has another shape or type, or is empty.

    Uses the ffmpeg libraries that PyAV's wheel carries: https://pyav.basswood-io.com
    """
    frames = np.asarray(frames)
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or len(frames) == 0:
        raise ValueError(
            "Frames are a uint8 array of shape [time, height, width, 3] with at least one picture; "
            f"these are {frames.dtype} of shape {list(frames.shape)}."
        )
    import av

    height, width = (size - size % 2 for size in frames.shape[1:3])
    buffer = io.BytesIO()
    with av.open(buffer, mode="w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "26", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]))))
        container.mux(stream.encode())
    return buffer.getvalue()


def frame_strip(frames: np.ndarray, count: int = 6, height: int = 90) -> bytes:
    """A PNG of `count` evenly spaced frames side by side, each labelled with its step."""
    from PIL import Image, ImageDraw

    picks = np.unique(np.linspace(0, len(frames) - 1, count).round().astype(int))
    width = round(frames.shape[2] * height / frames.shape[1])
    strip = Image.new("RGB", (width * len(picks), height + 16), "white")
    pen = ImageDraw.Draw(strip)
    for place, step in enumerate(picks):
        strip.paste(Image.fromarray(frames[step]).resize((width, height)), (place * width, 0))
        pen.text((place * width + 4, height + 2), f"step {step}", fill="black")
    buffer = io.BytesIO()
    strip.quantize(64).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def show_video(episode: Episode, caption: str = "", alt: str = "", width: int = 480) -> View:
    """An episode as a video with controls, a caption and alternative text.

    Where the video cannot be encoded, or the page strips video, a labelled strip of frames stands in; where there
    are no frames, a sentence that says why.

    Args:
        episode: what `record_episode` returned.
        caption: a line under the video, before the facts (steps, return, how it ended).
        alt: what is to be seen, for those who cannot see it; the caption and the facts if empty.
        width: in pixels.
    """
    steps = len(episode.rewards)
    end = "terminated" if episode.terminated else "truncated" if episode.truncated else "cut off"
    facts = f"{episode.name}: {steps} steps, return {episode.total:.0f}, {end}"
    line = f"{caption} · {facts}" if caption else facts
    alt = alt or line
    if len(episode.frames) == 0:
        fix = "To see pictures: pip install pygame-ce, or run `python -m course_utils doctor`."
        words = f"{line}. No picture: {episode.problem}. {fix}"
        return View(f"<p>{escape(words)}</p>", words)
    strip = image_tag(frame_strip(episode.frames), "image/png", f"Frames of the episode. {alt}")
    try:
        video = encode_mp4(episode.frames, episode.fps)
    except Exception as error:  # no encoder, a broken one: the strip tells the story too
        media, note = strip, f" (no video: {type(error).__name__}: {error})"
    else:
        source = f"data:video/mp4;base64,{base64.b64encode(video).decode()}"
        media = (
            f'<video controls loop muted playsinline width="{escape(str(width))}" aria-label="{escape(alt)}" '
            f'style="max-width:100%" src="{source}">{strip}</video>'
        )
        note = ""
    html = f'<figure style="margin:0">{media}<figcaption>{escape(line + note)}</figcaption></figure>'
    return View(html, f"Video: {alt}{note}")
