"""Step through episodes: what was seen, believed and done at each step, several agents side by side."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import torch
from tensordict import TensorDictBase

from course_utils.views.curves import WIDTH, curves_svg
from course_utils.views.display import WidgetView, image_tag
from course_utils.views.plotting import PALETTE
from course_utils.views.video import frame_strip

if TYPE_CHECKING:
    from ipywidgets import Widget

FRAME_WIDTH = 300  # pixels
BAR_WIDTH = 90  # pixels
MAX_OBSERVED = 8  # numbers of an observation
INTERVAL = 50  # milliseconds between two steps at full speed


@dataclass(frozen=True)
class Moment:
    """One step of one episode.

    Attributes:
        step: its number, from 0.
        frame: uint8 array [height, width, 3], what there was to see before the action.
        observation: float array [n]; None once the episode is over.
        action: what the agent did: an index, or an array of real numbers; None once the episode is over.
        reward: what it got for that; None once the episode is over.
        total: the rewards of the episode up to and including this step.
        beliefs: one number per action (Q-values or probabilities); None where there are none.
        end: how the episode ended at this step or before it; empty while it goes on.
    """

    step: int
    frame: np.ndarray
    observation: np.ndarray | None
    action: int | np.ndarray | None
    reward: float | None
    total: float
    beliefs: np.ndarray | None
    end: str


class Track:
    """A rollout of T steps with its frames, ready to be looked at step by step; arguments as in `EpisodeScrubber`."""

    def __init__(self, rollout: TensorDictBase, frames=None) -> None:
        if not isinstance(rollout, TensorDictBase):
            raise TypeError(
                f"A rollout is a TensorDict; this is a {type(rollout).__name__}. Use env.rollout(100, policy)."
            )
        if rollout.ndim != 1 or len(rollout) == 0:
            raise ValueError(
                f"A rollout has shape [time]; this one has {list(rollout.shape)}. Take one row: rollout[0]."
            )
        self.steps = len(rollout)
        self.frames = _frames_of(rollout, frames)
        self.observations = _table(rollout["observation"]) if "observation" in rollout else np.zeros((self.steps, 0))
        self.belief, self.beliefs = _beliefs_of(rollout)
        self.actions = _actions_of(rollout)
        self.rewards = _table(rollout["next", "reward"]).sum(1)
        self.ends = _ends_of(rollout)
        self.totals = _totals(self.rewards, self.ends)

    def __len__(self) -> int:
        """How many moments there are: one more than steps where the frame after the last step was kept."""
        return len(self.frames)

    def at(self, step: int) -> Moment:
        """What there is to see at a step; the last moment stays when the episode is over."""
        step = min(step, len(self) - 1)
        last, over = min(step, self.steps - 1), step == self.steps
        end = self.ends[last] or ("cut off" if over else "")
        total = float(self.totals[last])
        if over:
            return Moment(step, self.frames[step], None, None, None, total, None, end)
        beliefs = None if self.beliefs is None else self.beliefs[step]
        reward = float(self.rewards[step])
        return Moment(step, self.frames[step], self.observations[step], self.actions[step], reward, total, beliefs, end)

    def chosen(self) -> np.ndarray | None:
        """What the agent believed of the action it took, float array [T]; None where there are no beliefs."""
        return None if self.beliefs is None else self.beliefs[np.arange(self.steps), self.actions]


def _table(entry: torch.Tensor) -> np.ndarray:
    """Any entry as floats, one row per step."""
    return entry.detach().cpu().reshape(len(entry), -1).double().numpy()


def _frames_of(rollout: TensorDictBase, frames) -> np.ndarray:
    if frames is None:
        if "pixels" not in rollout:
            raise ValueError(
                "There are no frames. Record them with record_episode(...).frames, or make the environment with "
                "GymEnv(name, from_pixels=True, pixels_only=False)."
            )
        after = rollout.get(("next", "pixels"), None)
        frames = rollout["pixels"] if after is None else torch.cat([rollout["pixels"], after[-1:]])
    frames = np.asarray(frames.cpu() if isinstance(frames, torch.Tensor) else frames)
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
        raise ValueError(
            f"Frames are uint8 of shape [time, height, width, 3]; these are {frames.dtype}, {list(frames.shape)}. "
            "Colours last: frames.permute(0, 2, 3, 1); numbers from 0 to 1: (255 * frames).to(torch.uint8)."
        )
    if len(frames) - len(rollout) not in (0, 1):
        raise ValueError(f"{len(rollout)} steps need as many frames, or one more for the end; there are {len(frames)}.")
    return frames


def _beliefs_of(rollout: TensorDictBase) -> tuple[str, np.ndarray | None]:
    """What the agent thought of each action before it chose: ("Q-value" or "probability", float array [T, actions])."""
    if "action_value" in rollout:
        return "Q-value", _table(rollout["action_value"])
    if "logits" in rollout:
        return "probability", _table(rollout["logits"].softmax(-1))
    if "probs" in rollout:
        return "probability", _table(rollout["probs"])
    return "", None


def _actions_of(rollout: TensorDictBase) -> Sequence:
    """An index per step where the actions can be counted (also one-hot ones), else real numbers [T, n]."""
    action = rollout["action"].detach().cpu()
    if action.is_floating_point():
        return _table(action)
    action = action.reshape(len(action), -1).int()
    return (action.argmax(1) if action.shape[1] > 1 else action[:, 0]).tolist()


def _ends_of(rollout: TensorDictBase) -> list[str]:
    """For each step how the episode ended there, or ""."""
    ends = [""] * len(rollout)
    for name in ("truncated", "terminated"):
        flags = rollout.get(("next", name), None)
        if flags is not None:
            ends = [name if flag else end for flag, end in zip(flags.reshape(-1).tolist(), ends, strict=True)]
    return ends


def _totals(rewards: np.ndarray, ends: list[str]) -> np.ndarray:
    totals, total = [], 0.0
    for reward, end in zip(rewards, ends, strict=True):
        total += reward
        totals.append(total)
        total = 0.0 if end else total
    return np.array(totals)


class EpisodeScrubber(WidgetView):
    """Play, pause and step through recorded episodes, all of them in step.

    At each step: the frame, the observation, what the agent believed of each action (`action_value`, `logits` or
    `probs`, where the rollout has one), what it did, the reward, and the rewards so far. An episode that is over
    stays at its end. Without a kernel, a strip of frames and the curves.

    Args:
        rollout: a TensorDict of shape [time], as `env.rollout` or `record_episode(...).rollout` give it; or a mapping
            {name: rollout}, to see several side by side.
        frames: uint8, shape [time, height, width, 3], or one frame more for the end; for several rollouts a mapping
            with the same names. Without it, the rollouts' own `pixels`
            (https://docs.pytorch.org/rl/stable/reference/generated/torchrl.envs.GymEnv.html, `from_pixels`).
        observation_names: what the numbers of an observation are called.
        action_names: what the actions are called.

    Raises:
        TypeError, ValueError: something is not of the shape above; the message names the fix.
    """

    def __init__(
        self,
        rollout: TensorDictBase | Mapping[str, TensorDictBase],
        frames=None,
        *,
        observation_names: Sequence[str] = (),
        action_names: Sequence[str] = (),
    ) -> None:
        # A TensorDict is a Mapping too.
        several = isinstance(rollout, Mapping) and not isinstance(rollout, TensorDictBase)
        rollouts = rollout if several else {"episode": rollout}
        pictures = frames if isinstance(frames, Mapping) else dict.fromkeys(rollouts, frames)
        if set(pictures) != set(rollouts) or (len(rollouts) > 1 and frames is not None and frames is not pictures):
            raise ValueError(f"Give frames under the same names as the rollouts: {', '.join(rollouts)}.")
        self.tracks = {name: Track(rollouts[name], pictures[name]) for name in rollouts}
        self.observation_names, self.action_names = observation_names, action_names
        self._png = lru_cache(maxsize=4096)(self._encode)
        super().__init__(self._make_widget, self._static_html(), self._static_text())

    def __len__(self) -> int:
        """How many moments the longest episode has."""
        return max(map(len, self.tracks.values()))

    def at(self, step: int) -> dict[str, Moment]:
        """For each episode what there is to see at this step."""
        return {name: track.at(step) for name, track in self.tracks.items()}

    def describe(self, name: str, step: int) -> str:
        """One episode's moment in a sentence."""
        moment = self.tracks[name].at(step)
        if moment.action is None:
            return f"{name}, after {moment.step} steps: {moment.end}, return {moment.total:.5g}"
        words = f"{name}, step {moment.step}: action {self._action_name(moment.action)}, reward {moment.reward:.3g}"
        return f"{words}, {moment.total:.5g} so far" + (f", {moment.end}" if moment.end else "")

    def _action_name(self, action) -> str:
        if isinstance(action, int):
            return self.action_names[action] if action < len(self.action_names) else str(action)
        return ", ".join(f"{number:.2f}" for number in action)

    def _encode(self, name: str, step: int) -> bytes:
        from PIL import Image

        picture = Image.fromarray(self.tracks[name].at(step).frame)
        picture = picture.resize((FRAME_WIDTH, round(picture.height * FRAME_WIDTH / picture.width)))
        buffer = io.BytesIO()
        picture.save(buffer, format="PNG")
        return buffer.getvalue()

    def _moment_html(self, name: str, step: int) -> str:
        track, moment = self.tracks[name], self.tracks[name].at(step)
        image = image_tag(self._png(name, moment.step), "image/png", self.describe(name, step), FRAME_WIDTH)
        rows = []
        if track.beliefs is not None:
            largest = np.abs(track.beliefs).max() or 1.0
            for action in range(track.beliefs.shape[1]):
                value = None if moment.beliefs is None else moment.beliefs[action]
                note = "← taken" if action == moment.action else ""
                rows.append(_row(f"{track.belief} of {self._action_name(action)}", value, largest, note))
        for number, largest in enumerate(np.abs(track.observations).max(0)[:MAX_OBSERVED]):
            named = number < len(self.observation_names)
            value = None if moment.observation is None else moment.observation[number]
            rows.append(
                _row(self.observation_names[number] if named else f"observation {number}", value, largest or 1.0)
            )
        caption = escape(self.describe(name, step))
        return (
            f'<figure style="margin:0 16px 0 0;line-height:1.5">{image}<figcaption>{caption}</figcaption>'
            f'<table style="border-collapse:collapse">{"".join(rows)}</table></figure>'
        )

    def _curves(self) -> tuple[str, dict[str, list[float]]]:
        """What is drawn over time, one kind for all episodes: beliefs of the actions taken, else rewards so far."""
        kinds = {track.belief for track in self.tracks.values()}
        if len(kinds) == 1 and "" not in kinds:
            label = f"{kinds.pop()} of the action taken"
            return label, {name: track.chosen().tolist() for name, track in self.tracks.items()}
        return "rewards so far", {name: track.totals.tolist() for name, track in self.tracks.items()}

    def _curves_html(self, cursor: float | None = None) -> str:
        label, curves = self._curves()
        svg = curves_svg({name: list(enumerate(curve)) for name, curve in curves.items()}, "step", label, cursor=cursor)
        ends = ", ".join(f"{name} from {curve[0]:.3g} to {curve[-1]:.3g}" for name, curve in curves.items())
        at = "" if cursor is None else f" The line marks step {cursor:g}."
        return image_tag(svg.encode(), "image/svg+xml", f"{label} over the steps: {ends}.{at}", WIDTH)

    def _static_html(self) -> str:
        parts = []
        for name, track in self.tracks.items():
            line = self.describe(name, len(track) - 1)
            strip = image_tag(frame_strip(track.frames), "image/png", f"Frames of the episode. {line}")
            parts.append(f'<figure style="margin:0">{strip}<figcaption>{escape(line)}</figcaption></figure>')
        return "".join(parts) + self._curves_html() + "<p>Run this cell to step through it.</p>"

    def _static_text(self) -> str:
        return (
            "Episodes: " + "; ".join(self.describe(name, len(track) - 1) for name, track in self.tracks.items()) + "."
        )

    def _make_widget(self) -> Widget:
        import ipywidgets as widgets

        last = len(self) - 1
        play = widgets.Play(min=0, max=last, interval=INTERVAL, description="play")
        slider = widgets.IntSlider(min=0, max=last, description="step", layout={"width": "380px"})
        speed = widgets.Dropdown(
            options={"full": 1, "half": 2, "a fifth": 5}, description="speed", layout={"width": "170px"}
        )
        widgets.jslink((play, "value"), (slider, "value"))
        speed.observe(lambda change: setattr(play, "interval", INTERVAL * change["new"]), "value")
        screens = {name: widgets.HTML() for name in self.tracks}
        curves = widgets.HTML()

        def draw(step: int) -> None:
            for name, screen in screens.items():
                screen.value = self._moment_html(name, step)
            curves.value = self._curves_html(cursor=step)

        slider.observe(lambda change: draw(change["new"]), "value")
        draw(0)
        controls = widgets.HBox([play, slider, speed])
        return widgets.VBox([controls, widgets.HBox(list(screens.values())), curves])


def _row(label: str, value: float | None, largest: float, note: str = "") -> str:
    """A number with a bar that is full at `largest`, blue or, for a negative number, orange; a dash for None."""
    number, bar = "–", ""
    if value is not None:
        width, colour = abs(value) / largest * BAR_WIDTH, PALETTE["blue"] if value >= 0 else PALETTE["orange"]
        number = f"{value:.3f}"
        bar = f'<span style="display:inline-block;width:{width:.0f}px;height:9px;background:{colour}"></span>'
    style = "text-align:left;padding:1px 8px 1px 0;font-weight:normal"
    return (
        f'<tr><th scope="row" style="{style}">{escape(label)}</th><td style="{style}">{number}</td>'
        f'<td style="{style};min-width:{BAR_WIDTH}px">{bar} {escape(note)}</td></tr>'
    )
