"""Step through episodes: what was seen, believed and done at each step, several agents side by side."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from tensordict import TensorDictBase

from course_utils.views.choice import choice
from course_utils.views.curves import WIDTH, bad_points, curves_svg, left_out
from course_utils.views.display import WidgetView, image_tag
from course_utils.views.frames import Film
from course_utils.views.plotting import PALETTE
from course_utils.views.track import Moment, Part, Track
from course_utils.views.video import encode_mp4, frame_strip

if TYPE_CHECKING:
    from ipywidgets import Widget

FRAME_WIDTH = 300  # pixels
BAR_WIDTH = 90  # pixels
MAX_OBSERVED = 8  # numbers of an observation
MAX_ROWS = 24  # numbers that were believed
MAX_WRITTEN = 16  # numbers of an action
INTERVAL = 50  # milliseconds between two steps at full speed


class EpisodeScrubber(WidgetView):
    """Play, pause and step through recorded episodes, all of them in step.

    At each step: the frame, the observation, what the agent believed of each action (`action_value`, `logits` or
    `probs`, where the rollout has one), what it did, the reward, and the rewards so far. Groups of agents, nested
    entries and actions of several parts are shown one by one; an action that a mask forbids is shown as forbidden, and
    of an agent whose `mask` says that it does not act, none is;
    NaN and infinite numbers are counted; what is not shown is named. An episode that is over stays at its end.
    Without a kernel, a video, every step as a table, and the curves. Frames are held compressed.

    Args:
        rollout: a TensorDict of shape [time], as `env.rollout` or `record_episode(...).rollout` give it; or a mapping
            {name: rollout}, to see several side by side.
        frames: pictures as `film_of` takes them, uint8 of shape [time, height, width, 3] for one; as many as steps,
            or one more for the end; for several rollouts a mapping with the same names. Without it, the rollouts' own
            `pixels` (https://docs.pytorch.org/rl/stable/reference/generated/torchrl.envs.GymEnv.html, `from_pixels`).
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
        super().__init__(self._make_widget, self._static_html(), self._static_text())

    def __len__(self) -> int:
        """How many moments the longest episode has."""
        return max(map(len, self.tracks.values()))

    def at(self, step: int) -> dict[str, Moment]:
        """For each episode what there is to see at this step."""
        return {name: track.at(step) for name, track in self.tracks.items()}

    def describe(self, name: str, step: int) -> str:
        """One episode's moment in a sentence."""
        track = self.tracks[name]
        moment = track.at(step)
        if moment.over:
            return f"{name}, after {moment.step} steps: {moment.end}, return {moment.total:.5g}"
        words = f"{name}, step {moment.step}: action {self._actions(track, moment.step)}, {_reward(track, moment)}"
        ends = [end for end in (moment.end, track.some_ended[moment.step]) if end]
        return ", ".join([f"{words}, {moment.total:.5g} so far", *ends])

    def _actions(self, track: Track, step: int) -> str:
        """All parts of what was done."""
        said = [f"{name} {words[step]!r}" for name, words in track.words.items() if words[step] is not None]
        said = [words.removeprefix("action ") for words in said]
        return "; ".join([*(self._action(part, step) for part in track.parts), *said]) or (
            "not shown" if track.unread else "not recorded"
        )

    def _action(self, part: Part, step: int) -> str:
        index, value = part.index(step), part.values[step]
        if part.waits(step):
            words = "does not act"
        elif index is not None:
            words = self._action_name(index) + (" (one-hot)" if part.one_hot and part.beliefs is None else "")
            if part.allowed is not None and not (0 <= index < len(part.allowed[step]) and part.allowed[step][index]):
                words += " (forbidden)"
        elif value is None:
            words = "none"
        else:
            whole = (value == np.round(value)).all() and not part.real
            written = [f"{number:.0f}" if whole else f"{number:.2f}" for number in value[:MAX_WRITTEN]]
            more = f" and {len(value) - MAX_WRITTEN} more" if len(value) > MAX_WRITTEN else ""
            words = ", ".join(written) + more
        return f"{part.label} {words}" if part.label else words

    def _action_name(self, index: int) -> str:
        return self.action_names[index] if 0 <= index < len(self.action_names) else str(index)

    def _encode(self, frame: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        _small(frame).save(buffer, format="PNG")
        return buffer.getvalue()

    def _moment_html(self, name: str, step: int) -> str:
        track, moment = self.tracks[name], self.tracks[name].at(step)
        image = image_tag(self._encode(moment.frame), "image/png", self.describe(name, step), FRAME_WIDTH)
        rows = [*self._belief_rows(track, moment), *self._observation_rows(track, moment)]
        caption = escape(self.describe(name, step))
        return (
            f'<figure style="margin:0 16px 0 0;line-height:1.5">{image}<figcaption>{caption}</figcaption>'
            f'<table style="border-collapse:collapse">{"".join(rows)}</table>{self._notes_html(track)}</figure>'
        )

    def _belief_rows(self, track: Track, moment: Moment) -> list[str]:
        rows = []
        for part in track.parts:
            count = len((part.beliefs or part.allowed or [()])[0])
            largest = _largest(part.beliefs, part.allowed) if part.beliefs is not None else 1.0
            for action in range(count):
                name = f"{part.label} {self._action_name(action)}" if part.label else self._action_name(action)
                value, notes = None, []
                if not moment.over:
                    value = None if part.beliefs is None else part.beliefs[moment.step][action]
                    forbidden = part.allowed is not None and not part.allowed[moment.step][action]
                    notes = ["forbidden"] * forbidden + ["← taken"] * (action == part.index(moment.step))
                label = f"{part.belief} of {name}" if part.belief else f"action {name}"
                rows.append(_row(label, value, largest, ", ".join(notes), bar="forbidden" not in notes))
        return _capped(rows, MAX_ROWS, "actions")

    def _observation_rows(self, track: Track, moment: Moment) -> list[str]:
        rows = []
        for number, label in enumerate(track.labels[:MAX_OBSERVED]):
            named = number < len(self.observation_names)
            there = moment.observation is not None and track.there[moment.step][number]
            value = moment.observation[number] if there else None
            largest = _largest([track.observations[:, number]])
            rows.append(_row(self.observation_names[number] if named else label, value, largest))
        return rows

    def _notes(self, track: Track) -> list[str]:
        notes = list(track.notes)
        if track.seen_numbers > MAX_OBSERVED:
            notes.append(f"Of {track.seen_numbers:,} observed numbers, the first {MAX_OBSERVED} are shown.")
        return notes

    def _notes_html(self, track: Track) -> str:
        notes = " ".join(self._notes(track))
        return f'<p style="margin:4px 0">{escape(notes)}</p>' if notes else ""

    def _curves(self) -> tuple[str, dict[str, list[tuple[int, float]]]]:
        """What is drawn over time, one kind for all episodes: beliefs of the actions taken, else rewards so far."""
        kinds = {track.belief for track in self.tracks.values()}
        if len(kinds) == 1 and "" not in kinds:
            curves = {
                f"{name} {label}" if label else name: curve
                for name, track in self.tracks.items()
                for label, curve in track.chosen().items()
            }
            return f"{kinds.pop()} of the action taken", curves
        return "rewards so far", {name: list(enumerate(track.totals.tolist())) for name, track in self.tracks.items()}

    def _curves_html(self, cursor: float | None = None) -> str:
        label, curves = self._curves()
        svg = curves_svg(curves, "step", label, cursor=cursor)
        bad = {name: bad_points(curve) for name, curve in curves.items()}
        ends = ", ".join(
            f"{name} from {curve[0][1]:.3g} to {curve[-1][1]:.3g}" + (f" ({bad[name]})" if bad[name] else "")
            if curve
            else f"{name} never acts"
            for name, curve in curves.items()
        )
        at = "" if cursor is None else f" The line marks step {cursor:g}."
        drawn = f" {words.capitalize()}." if (words := left_out(curves)) else ""
        return image_tag(svg.encode(), "image/svg+xml", f"{label} over the steps: {ends}.{drawn}{at}", WIDTH, True)

    def _static_html(self) -> str:
        figures = "".join(self._static_figure(name) for name in self.tracks)
        return f'<div class="course-scrubber">{figures}</div>{self._curves_html()}'

    def _static_figure(self, name: str) -> str:
        """A video, whose own slider goes through the frames, and below a fold what each step was."""
        track = self.tracks[name]
        line = self.describe(name, len(track) - 1)
        strip = image_tag(frame_strip(track.frames), "image/png", f"Frames of the episode. {line}")
        try:
            small = Film(np.asarray(_small(frame)) for frame in track.frames)
            video = base64.b64encode(encode_mp4(small, 1000 // INTERVAL)).decode()
        except Exception as error:  # no encoder, a broken one: the strip tells the story too
            media = f"{strip}<p>{escape(f'No video: {type(error).__name__}: {error}')}</p>"
        else:
            # `title` because JupyterLab takes aria-label away where it does not trust a notebook.
            media = (
                f'<video controls muted playsinline width="{FRAME_WIDTH}" data-frames="{len(track)}" '
                f'title="{escape(line)}" aria-label="{escape(line)}" style="max-width:100%" '
                f'src="data:video/mp4;base64,{video}">{strip}</video>'
            )
        return (
            f'<figure style="margin:0 0 8px">{media}<figcaption>{escape(line)}</figcaption>{self._notes_html(track)}'
            f"<details><summary>{escape(name)}: every step</summary>{self._table(track)}</details></figure>"
        )

    def _table(self, track: Track) -> str:
        """Each step's numbers, one row per step."""
        part = track.parts[0] if len(track.parts) == 1 and track.parts[0].beliefs is not None else None
        beliefs = [f"{part.belief} of {self._action_name(n)}" for n in range(len(part.beliefs[0]))] if part else []
        names = [*self.observation_names[:MAX_OBSERVED], *track.labels[len(self.observation_names) : MAX_OBSERVED]]
        heads = ["step", "action", "reward", "so far", *beliefs[:MAX_ROWS], *names, "end"]
        rows = []
        for step in range(track.steps):
            moment = track.at(step)
            numbers = list(part.beliefs[step][:MAX_ROWS]) if part else []
            seen = [
                f"{value:.3g}" if there else "–"
                for value, there in zip(moment.observation[: len(names)], track.there[step], strict=False)
            ]
            cells = [step, self._actions(track, step), f"{moment.reward:.3g}", f"{moment.total:.5g}"]
            cells += [*(f"{number:.3g}" for number in numbers), *seen, moment.end or track.some_ended[step]]
            rows.append("<tr>" + "".join(f"<td>{escape(str(cell))}" for cell in cells))
        head = "".join(f'<th scope="col">{escape(label)}' for label in heads)
        return f"<table><thead><tr>{head}</thead><tbody>{''.join(rows)}</tbody></table>"

    def _static_text(self) -> str:
        lines = "; ".join(self.describe(name, len(track) - 1) for name, track in self.tracks.items())
        notes = [note for track in self.tracks.values() for note in self._notes(track)]
        return " ".join([f"Episodes: {lines}.", *dict.fromkeys(notes)])

    def _make_widget(self) -> Widget:
        import ipywidgets as widgets

        last = len(self) - 1
        play = widgets.Play(min=0, max=last, interval=INTERVAL, description="play")
        slider = widgets.IntSlider(min=0, max=last, description="step", layout={"width": "380px"})
        speed = choice([("full", 1), ("half", 2), ("a fifth", 5)], "speed", 1)
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
        controls = widgets.HBox([play, slider, speed], layout={"align_items": "flex-end"})
        return widgets.VBox([controls, widgets.HBox(list(screens.values())), curves])


def _reward(track: Track, moment: Moment) -> str:
    several = track.rewards_at(moment.step)
    if not track.rewarded(moment.step):
        return "no reward recorded"
    words = f"reward {moment.reward:.3g}"
    if not several:
        return words
    each = "; ".join(
        f"{name} {', '.join(f'{number:.3g}' for number in numbers)}".strip() for name, numbers in several.items()
    )
    return f"{words} in all ({each})"


def _small(frame: np.ndarray):
    from PIL import Image

    picture = Image.fromarray(frame)
    return picture.resize((FRAME_WIDTH, max(1, round(picture.height * FRAME_WIDTH / picture.width))))


def _largest(rows, allowed=None) -> float:
    """The largest size of a finite number, of allowed actions only: what fills a bar; 1 where there is none."""
    numbers = np.abs(np.stack(list(rows)))
    numbers = numbers[np.isfinite(numbers) & (True if allowed is None else np.stack(allowed))]
    return float(numbers.max(initial=0.0)) or 1.0


def _capped(rows: list[str], most: int, what: str) -> list[str]:
    if len(rows) <= most:
        return rows
    return [*rows[:most], f'<tr><td colspan="3">and {len(rows) - most} more {what}, not shown</td></tr>']


def _row(label: str, value: float | None, largest: float, note: str = "", *, bar: bool = True) -> str:
    """A number with a bar that is full at `largest`, blue or, for a negative number, orange; a dash for None."""
    number, drawn = "–", ""
    if value is not None:
        number = f"{value:.3f}" if not np.isfinite(value) or 1e-3 <= abs(value) < 1e6 or value == 0 else f"{value:.3g}"
        if bar and np.isfinite(value):
            width, colour = abs(value) / largest * BAR_WIDTH, PALETTE["blue"] if value >= 0 else PALETTE["orange"]
            drawn = f'<span style="display:inline-block;width:{width:.0f}px;height:9px;background:{colour}"></span>'
    style = "text-align:left;padding:1px 8px 1px 0;font-weight:normal"
    return (
        f'<tr><th scope="row" style="{style}">{escape(label)}</th><td style="{style}">{number}</td>'
        f'<td style="{style};min-width:{BAR_WIDTH}px">{drawn} {escape(note)}</td></tr>'
    )
