"""Watch an agent: record one episode and show it inline, without a system package or a display."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from html import escape

import numpy as np
import torch
from tensordict import TensorDictBase

from course_utils.views import filming
from course_utils.views.display import View, image_tag
from course_utils.views.frames import Film, film_of


class _Compressed:
    """A field that is given and read as an array, and held compressed."""

    def __get__(self, episode: Episode | None, owner: type) -> np.ndarray:
        if episode is None:
            raise AttributeError("frames")  # the field has no default
        return np.asarray(episode.film)

    def __set__(self, episode: Episode, frames) -> None:
        episode.film = frames if isinstance(frames, Film) else Film(frames)


@dataclass
class Episode:
    """One recorded episode of T steps.

    Attributes:
        frames: uint8 array [T + 1, height, width, 3], from the first observation to the last; empty where the
            environment could not draw. It is held compressed, as `film`, and made anew at each reading: read it once.
        rewards: float array [T]; where several agents play, the sum of theirs.
        rollout: TensorDict [T]: at each step what the policy read and wrote, and `next`: what followed, `reward`,
            `terminated`, `truncated`, `done`.
        terminated: the world ended (the pole fell).
        truncated: a clock ran out.
        fps: frames per second at which the environment is meant to be shown.
        name: the environment's id.
        problem: why there are no frames, in words; empty where there are.
    """

    frames: np.ndarray = _Compressed()
    rewards: np.ndarray
    rollout: TensorDictBase
    terminated: bool
    truncated: bool
    fps: int
    name: str
    problem: str = ""

    def __post_init__(self) -> None:
        try:
            self.film = film_of(self.film)
        except ValueError as error:  # a film that might lie is not shown; the episode is still worth having
            self.film, self.problem = Film(), self.problem or str(error).removesuffix(".")

    @property
    def total(self) -> float:
        """The undiscounted return of the episode."""
        return float(self.rewards.sum())


def record_episode(env, policy=None, *, seed: int = 0, max_steps: int = 1000) -> Episode:
    """Play one episode and keep its pictures.

    Args:
        env: what the agent learned in: one of TorchRL's environments, which is played in as it is, transforms
            included (of a batched one, the first copy is filmed); or a Gymnasium environment made with
            `render_mode="rgb_array"`; or the name of one.
        policy: whatever `env.rollout` takes: a TensorDictModule, a function that takes a tensordict and returns it
            with the action, a network. It acts without exploration; an agent with a memory gets `is_init` and its
            states. An index and a one-hot vector are both understood. Without a policy, actions are random.
        seed: of the environment and of random actions.
        max_steps: the episode is cut here if it has not ended.

    Raises:
        TypeError: `env` is no environment.
        ValueError: the environment was made without `render_mode="rgb_array"`, or it cannot be the one the policy
            learned in: other actions, or entries that it does not write; the message names the fix.
    """
    from torchrl.envs.utils import ExplorationType, set_exploration_type, step_mdp

    if max_steps < 0:
        raise ValueError(f"max_steps={max_steps}: an episode has 0 steps or more.")
    world = filming.world_of(env, policy)
    film, problem, steps, rewards = Film(), "", [], []
    done = terminated = truncated = False

    def draw(seen: TensorDictBase) -> None:
        nonlocal problem
        if not problem:
            try:
                film.append(take(seen))
            except filming.NoPicture as why:  # the episode is still worth having
                problem = str(why)

    # The learner's own random numbers go on as if nothing had been filmed.
    with torch.random.fork_rng(), torch.no_grad(), filming.camera(world) as take:
        torch.manual_seed(seed)
        seen = filming.reset(world, seed)
        draw(seen)
        play = filming.player(policy, world)
        with set_exploration_type(ExplorationType.DETERMINISTIC):
            while not done and len(steps) < max_steps:
                stepped = world.step(play(seen))
                steps.append(filming.first_copy(stepped, world).cpu().clone())
                rewards.append(filming.reward_of(stepped, world))
                done, terminated, truncated = filming.ended(stepped, world)
                seen = step_mdp(
                    stepped, reward_keys=world.reward_keys, done_keys=world.done_keys, action_keys=world.action_keys
                )
                draw(seen)
                if world.batch_size and not done:
                    seen = world.maybe_reset(seen)  # other copies may have ended
    rollout = _stacked(steps) if steps else filming.no_steps(world)
    fps, name = filming.fps_of(world), filming.title(world)
    if isinstance(env, str):
        world.close()
    film = Film() if problem else film
    return Episode(film, np.array(rewards), rollout, terminated, truncated, fps, name, problem)


def _stacked(steps: list[TensorDictBase]) -> TensorDictBase:
    """Steps as one rollout; a lazy one where their entries differ in shape or name."""
    from tensordict import LazyStackedTensorDict

    return LazyStackedTensorDict.maybe_dense_stack(steps, 0)


OPENGL = (
    "VMAS draws with pyglet 1.5 and OpenGL; pip install pyglet==1.5.27, and on Debian or Ubuntu "
    "apt-get install libegl1 libgl1 libglu1-mesa"
)
# What a problem's words hold, and what helps then.
FIXES = {"pygame": "pip install pygame-ce, or run `python -m course_utils doctor`", "pyglet": OPENGL, "OpenGL": OPENGL}
WANTED = "Frames are a uint8 array of shape [time, height, width, 3] with at least one picture"


def encode_mp4(frames: np.ndarray | Film, fps: int = 30) -> bytes:
    """Encode frames as H.264 in MP4, which every browser plays.

    Args:
        frames: uint8 array [T, height, width, 3], or a film of such; odd heights and widths lose their last line.
        fps: frames per second.

    Raises:
        ImportError: PyAV is not installed.
        ValueError: `frames` has another shape or type, or is empty.

    Uses the ffmpeg libraries that PyAV's wheel carries: https://pyav.basswood-io.com
    """
    if not isinstance(frames, Film):
        frames = np.asarray(frames)
        if frames.ndim != 4 or frames.dtype != np.uint8:
            raise ValueError(f"{WANTED}; these are {frames.dtype} of shape {list(frames.shape)}.")
    if len(frames) == 0 or frames[0].shape[-1] != 3:
        raise ValueError(f"{WANTED}; these are {len(frames)}.")
    import av

    height, width = (max(2, size - size % 2) for size in frames[0].shape[:2])
    buffer = io.BytesIO()
    with av.open(buffer, mode="w", format="mp4") as container:
        # Several threads encode a slice of each picture each, which costs a fifth more bytes.
        options = {"crf": "26", "preset": "veryfast", "threads": "1"}
        stream = container.add_stream("libx264", rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            frame = np.resize(frame, (2, *frame.shape[1:])) if len(frame) < 2 else frame
            frame = frame.repeat(2, 1) if frame.shape[1] < 2 else frame
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]))))
        container.mux(stream.encode())
    return buffer.getvalue()


def frame_strip(frames: np.ndarray | Film, count: int = 6, height: int = 90) -> bytes:
    """A PNG of `count` evenly spaced frames side by side, each labelled with its step."""
    from PIL import Image, ImageDraw

    picks = np.unique(np.linspace(0, len(frames) - 1, count).round().astype(int))
    tall, wide = frames[0].shape[:2]
    width = max(1, round(wide * height / tall))
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

    Raises:
        ValueError: `width` is no number of pixels.
    """
    if not isinstance(width, int) or isinstance(width, bool) or width < 1:
        raise ValueError(f"width={width!r}: give a whole number of pixels, such as 480.")
    steps = len(episode.rewards)
    end = "terminated" if episode.terminated else "truncated" if episode.truncated else "cut off"
    facts = f"{episode.name}: {steps} steps, return {episode.total:.0f}, {end}"
    line = f"{caption} · {facts}" if caption else facts
    alt = alt or line
    if len(episode.film) == 0:
        fix = next((fix for sign, fix in FIXES.items() if sign in episode.problem), "")
        words = f"{line}. No picture: {episode.problem}.{fix and f' To see pictures: {fix}.'}"
        return View(f"<p>{escape(words)}</p>", words)
    strip = image_tag(frame_strip(episode.film), "image/png", f"Frames of the episode. {alt}")
    try:
        video = encode_mp4(episode.film, episode.fps)
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
