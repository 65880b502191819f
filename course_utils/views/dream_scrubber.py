"""Scrub through an episode: the futures that were imagined at each step, beside the one that came."""

from __future__ import annotations

import io
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from course_utils.views.choice import choice
from course_utils.views.curves import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, nice_ticks
from course_utils.views.display import WidgetView, image_tag
from course_utils.views.dreams import Dreams, told
from course_utils.views.plotting import PALETTE

if TYPE_CHECKING:
    from ipywidgets import Widget

MAX_LINES = 40  # candidates that are drawn
STILLS = 8  # steps that are drawn ahead for where no kernel runs
MAX_PICTURES = 8  # of a strip
PICTURE_HEIGHT = 76  # pixels
LABEL_WIDTH = 84  # pixels
INTERVAL = 300  # milliseconds between two steps


class DreamScrubber(WidgetView):
    """Dreams beside reality: at each step, the imagined futures fan out from now, and what came lies beside them.

    Numbers are drawn over the steps of the episode, one quantity at a time: what was until now as a black line, what
    came afterwards dashed, each candidate's dream thin, the chosen one thick. Below stands, in words, how far off the
    chosen dream (else the mean of all) is some steps ahead. Where an agent plans anew at each step, what came is not
    what that dream was about: then an error is of the plan, too, not of the model alone. Pictures are shown as two
    strips, what came and what was dreamt. NaN and infinite numbers are counted, and what is not drawn is said.
    Without a kernel, a fold for each quantity holds some of the steps.

    Args:
        imagined: array or tensor [steps, candidates, horizon, quantities]; `imagined[t, c, k]` is what candidate c
            expected at step t for step t + k + 1.
        real: [steps + 1, quantities], from the first state to the one after the last step.
        names: what the quantities are called.
        chosen: [steps], the number of the candidate that was followed at each step.
        imagined_frames: decoded dreams, [steps, horizon, height, width] or with channels, as `film_of` takes pictures.
        real_frames: as many pictures as steps and one more.

    Raises:
        TypeError, ValueError: something is missing or has another shape; the message names the fix.
    """

    def __init__(
        self,
        imagined=None,
        real=None,
        *,
        names: Sequence[str] = (),
        chosen=None,
        imagined_frames=None,
        real_frames=None,
    ) -> None:
        self.dreams = Dreams(imagined, real, names, chosen, imagined_frames, real_frames)
        self._ranges = [_range(self.dreams, quantity) for quantity in range(len(self.dreams.names))]
        super().__init__(self._make_widget, self._static_html(), self._static_text())

    def __len__(self) -> int:
        """How many steps there are."""
        return self.dreams.steps

    def describe(self, step: int, quantity: int = 0) -> str:
        """One step in a sentence: what is now, and how far off the dream is some steps ahead."""
        dreams, words = self.dreams, f"Step {step}"
        if dreams.imagined is not None:
            words += f": {dreams.names[quantity]} is {dreams.real[step, quantity]:.3g}; {dreams.compared_words} is off "
            words += _said(
                {ahead: error for ahead, error in enumerate(dreams.errors(step, quantity), 1) if np.isfinite(error)}
            )
        if dreams.film is not None:
            errors = dict(enumerate(dreams.frame_errors(step), start=1))
            words += "; " if dreams.imagined is not None else ": "
            words += f"a dreamt pixel is off {_said(errors, lambda error: f'{error:.1%} of white')}"
        return f"{words}."

    def summary(self) -> list[str]:
        """For each quantity, how far off the dreams are some steps ahead, on average over the episode."""
        dreams, lines = self.dreams, []
        for quantity, name in enumerate(dreams.names):
            means = {ahead: mean for ahead, (mean, _) in dreams.mean_errors(quantity).items()}
            lines.append(f"{name}: {dreams.compared_words} is off {_said(means)}, on average over the episode.")
        if dreams.film is not None:
            rows = [dreams.frame_errors(step) for step in range(dreams.steps)]
            means = {
                ahead: float(np.mean([row[ahead - 1] for row in rows if len(row) >= ahead]))
                for ahead in range(1, max(map(len, rows)) + 1)
            }
            words = _said(means, lambda error: f"{error:.1%} of white")
            lines.append(f"Pictures: a dreamt pixel is off {words}, on average over the episode.")
        return lines

    def notes(self) -> list[str]:
        """What is not finite, and what is not drawn."""
        dreams, notes = self.dreams, self.dreams.notes()
        if dreams.imagined is not None:
            if (count := dreams.imagined.shape[1]) > MAX_LINES:
                notes.append(f"Of {count:,} candidates, {MAX_LINES} are drawn.")
            for name, (low, high), numbers in zip(
                dreams.names, self._ranges, np.moveaxis(dreams.imagined, -1, 0), strict=True
            ):
                outside = int(((numbers < low) | (numbers > high))[np.isfinite(numbers)].sum())
                if outside:
                    notes.append(f"{name}: {outside:,} of {numbers.size:,} dreamt numbers lie outside what is drawn.")
        if dreams.frame_horizon > MAX_PICTURES:
            notes.append(f"Of {dreams.frame_horizon} dreamt pictures a step, {MAX_PICTURES} are shown.")
        return notes

    def _step_html(self, step: int, quantity: int) -> str:
        parts, words = [], self.describe(step, quantity)
        if self.dreams.imagined is not None:
            svg = fan_svg(self.dreams, step, quantity, self._ranges[quantity])
            parts.append(image_tag(svg.encode(), "image/svg+xml", f"Dreams and what came. {words}", WIDTH, True))
        if self.dreams.film is not None:
            parts.append(image_tag(strips(self.dreams, step), "image/png", f"What came, and what was dreamt. {words}"))
        return f'<figure style="margin:0 0 8px">{"<br>".join(parts)}<figcaption>{escape(words)}</figcaption></figure>'

    def _below(self) -> str:
        lines = [*self.summary(), *self.notes()]
        return "".join(f'<p style="margin:2px 0">{escape(line)}</p>' for line in lines)

    def _static_html(self) -> str:
        last, folds = self.dreams.steps - 1, []
        stills = sorted({round(last * share / (STILLS - 1)) for share in range(STILLS)})
        few = f"{len(stills)} of {last + 1}" if len(stills) <= last else f"all {last + 1}"
        for quantity, name in enumerate(self.dreams.names or ["pictures"]):
            figures = "".join(self._step_html(step, quantity) for step in stills)
            # The class that the site's script turns into a slider.
            folds.append(
                f'<details class="course-positions"><summary>{escape(name)}, {few} steps</summary>{figures}</details>'
            )
        return f'<div class="course-dreams">{self._step_html(0, 0)}{"".join(folds)}{self._below()}</div>'

    def _static_text(self) -> str:
        dreams = self.dreams
        what = f"Dreams of {dreams.steps} steps"
        if dreams.imagined is not None:
            what += f", {dreams.imagined.shape[1]} a step, {dreams.horizon} steps ahead, of {', '.join(dreams.names)}"
        if dreams.film is not None:
            what += f", as pictures {dreams.frame_horizon} steps ahead"
        return " ".join([f"{what}.", *self.summary(), *self.notes()])

    def _make_widget(self) -> Widget:
        import ipywidgets as widgets

        last = self.dreams.steps - 1
        play = widgets.Play(min=0, max=last, interval=INTERVAL, description="play")
        slider = widgets.IntSlider(min=0, max=last, description="step", layout={"width": "380px"})
        widgets.jslink((play, "value"), (slider, "value"))
        screen, names = widgets.HTML(), list(enumerate(self.dreams.names))
        rows = [widgets.HBox([play, slider], layout={"align_items": "flex-end"})]
        quantity = choice([(name, number) for number, name in names], "quantity", 0) if len(names) > 1 else None
        if quantity is not None:
            rows.append(quantity)

        def draw(_change=None) -> None:
            screen.value = self._step_html(slider.value, quantity.value if quantity is not None else 0)

        for knob in filter(None, (slider, quantity)):
            knob.observe(draw, "value")
        draw()
        return widgets.VBox([*rows, screen, widgets.HTML(self._below())])


def _said(errors: dict[int, float], form=lambda error: f"{error:.3g}") -> str:
    """Errors some steps ahead, in words: "0.1 at 1 step ahead, 0.4 at 8, 0.5 at 15"."""
    words = [f"{form(errors[ahead])} at {ahead}" for ahead in told(max(errors, default=0)) if ahead in errors]
    if not words:
        return "by nothing that can be told"
    first, *others = words
    return ", ".join([f"by {first} step{'s' * (not first.endswith(' at 1'))} ahead", *others])


def _range(dreams: Dreams, quantity: int) -> tuple[float, float]:
    """What the picture of a quantity spans: what was real, and of the dreams all but the wildest."""
    real, dreamt = dreams.real[:, quantity], dreams.imagined[..., quantity]
    real, dreamt = real[np.isfinite(real)], dreamt[np.isfinite(dreamt)]
    ends = [*real, *(np.quantile(dreamt, [0.005, 0.995]) if dreamt.size else [])]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    if real.size:  # a dream that explodes must not flatten what was real
        room = 2 * (real.max() - real.min()) or max(1.0, abs(real.max()))
        low, high = max(low, real.min() - room), min(high, real.max() + room)
    ticks = nice_ticks(float(low), float(high))
    return ticks[0], ticks[-1]


def fan_svg(dreams: Dreams, step: int, quantity: int, span: tuple[float, float]) -> str:
    """The dreams of a step as an SVG: over the steps of the episode, with what was and what came."""
    low, high = span
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    steps = nice_ticks(0, dreams.steps)

    def points(values: Sequence[float], start: int) -> str:
        """Unbroken stretches of finite numbers, as the body of a path."""
        path, pen = [], "M"
        for at, value in enumerate(values, start=start):
            if not np.isfinite(value):
                pen = "M"
                continue
            x = LEFT + at / dreams.steps * (right - LEFT)
            # Far outside of what is drawn, some browsers draw nothing at all.
            share = float(np.clip((value - low) / (high - low), -20, 20))
            path.append(f"{pen}{x:.1f} {bottom - share * (bottom - TOP):.1f}")
            pen = "L"
        return "".join(path)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
        f'<clipPath id="f"><path d="M{LEFT} {TOP}H{right}V{bottom}H{LEFT}z"/></clipPath>'
    ]
    for tick in nice_ticks(low, high):
        if low <= tick <= high:
            y = bottom - (tick - low) / (high - low) * (bottom - TOP)
            parts.append(f'<path d="M{LEFT} {y:.1f}H{right}" stroke="#ddd"/>')
            parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for tick in steps:
        if tick <= dreams.steps:
            x = LEFT + tick / dreams.steps * (right - LEFT)
            parts.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>')
    now, real = dreams.real[step, quantity], dreams.real[:, quantity]
    fan = [np.concatenate([[now], dream]) for dream in dreams.imagined[step, ..., quantity]]
    drawn = np.unique(np.linspace(0, len(fan) - 1, min(MAX_LINES, len(fan))).round().astype(int))
    lines = "".join(points(fan[number], step) for number in drawn)
    parts.append('<g clip-path="url(#f)" fill="none" stroke-linejoin="round">')
    parts.append(f'<path d="{lines}" stroke="{PALETTE["sky"]}" stroke-opacity="0.6"/>')
    parts.append(f'<path d="{points(real[: step + 1], 0)}" stroke="black" stroke-width="2"/>')
    came = points(real[step:], step)
    parts.append(f'<path d="{came}" stroke="black" stroke-width="2" stroke-dasharray="5 4"/>')
    legend = [("until now", "black", ""), ("what came", "black", "5 4")]
    if dreams.chosen is not None:
        chosen = points(fan[dreams.chosen[step]], step)
        parts.append(f'<path d="{chosen}" stroke="{PALETTE["vermillion"]}" stroke-width="2.5"/>')
        legend.append(("chosen dream", PALETTE["vermillion"], ""))
    parts.append("</g>")
    x = LEFT + step / dreams.steps * (right - LEFT)
    parts.append(f'<path d="M{x:.1f} {TOP}V{bottom}" stroke="#888"/>')
    legend.append((f"dreams ({len(drawn)})", PALETTE["sky"], ""))
    for place, (words, colour, dash) in enumerate(legend):
        at = LEFT + 120 * place
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        parts.append(f'<path d="M{at} 14h22" stroke="{colour}" stroke-width="3"{dashed}/>')
        parts.append(f'<text x="{at + 27}" y="18">{words}</text>')
    parts.append(f'<text x="{(LEFT + right) / 2:.0f}" y="{HEIGHT - 6}" text-anchor="middle">step</text>')
    middle = (TOP + bottom) / 2
    name = escape(dreams.names[quantity])
    parts.append(f'<text transform="translate(14 {middle:.0f}) rotate(-90)" text-anchor="middle">{name}</text>')
    return "".join([*parts, "</svg>"])


def strips(dreams: Dreams, step: int) -> bytes:
    """A PNG of two strips: the pictures of now and what came, and below those dreamt for the same steps."""
    from PIL import Image, ImageDraw

    horizon = dreams.frame_horizon
    ahead = np.unique(np.linspace(0, horizon - 1, min(MAX_PICTURES, horizon)).round().astype(int))
    tall, wide = dreams.film[0].shape[:2]
    width = max(1, round(wide * PICTURE_HEIGHT / tall))
    column, row, top = width + 4, PICTURE_HEIGHT + 4, 16
    sheet = Image.new("RGB", (LABEL_WIDTH + column * (len(ahead) + 1), top + 2 * row), "white")
    pen = ImageDraw.Draw(sheet)

    def put(frame: np.ndarray, place: int, line: int) -> None:
        picture = Image.fromarray(frame).resize((width, PICTURE_HEIGHT), Image.Resampling.NEAREST)
        sheet.paste(picture, (LABEL_WIDTH + place * column, top + line * row))

    for line, words in enumerate(("what came", "dreamt")):
        pen.text((4, top + line * row + PICTURE_HEIGHT // 2 - 6), words, fill="black")
    pen.text((LABEL_WIDTH + 2, 2), f"step {step}", fill="black")
    put(dreams.film[step], 0, 0)
    for place, number in enumerate(ahead.tolist(), start=1):
        pen.text((LABEL_WIDTH + place * column + 2, 2), f"+{number + 1}", fill="black")
        put(dreams.frame(step, number), place, 1)
        if step + 1 + number <= dreams.steps:
            put(dreams.film[step + 1 + number], place, 0)
        else:
            pen.text((LABEL_WIDTH + place * column + 4, top + PICTURE_HEIGHT // 2 - 6), "over", fill="black")
    buffer = io.BytesIO()
    sheet.quantize(64).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
