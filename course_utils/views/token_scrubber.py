"""Every token of a model's answers: its advantage, and what training made of its probability."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from course_utils.views.choice import choice
from course_utils.views.display import WidgetView
from course_utils.views.palette import PALETTE
from course_utils.views.token_facts import (
    Answers,
    factor,
    probability,
    read,
    signed,
    strength,
    tally,
    token_words,
    visible,
)

if TYPE_CHECKING:
    from ipywidgets import Widget

INTERVAL = 500  # milliseconds between two checkpoints
STILLS = 6  # checkpoints of the static form
STILL_TOKENS = 240  # own tokens of the static form, at each checkpoint and in its table
LIVE_TOKENS = 1_500  # own tokens of the answers to one prompt
LEGEND = (
    "Colour and sign: the probability since the first checkpoint; ▲ (blue) more, ▲▲ at least doubled, ▲▲▲ at least ten "
    "times; ▼ (orange) the same downwards; = within 5 %; ? unknown. Line below: the advantage; solid above 0, dotted "
    "below 0, none 0. In italics: the prompt, and in [brackets] what is masked."
)


class TokenScrubber(WidgetView):
    """Go through training's checkpoints, and see of every token of some answers how its probability changes.

    The answers stay the same; each checkpoint says how probable it finds their tokens. A token's colour and sign say
    how much more or less probable it has become, the line below it what its advantage is: one sees whether training
    did what the advantages asked for. Answers to one prompt stand together. What is NaN or infinite is counted. Of the
    token that is chosen, words tell the numbers. Without a kernel, checkpoints can be unfolded, and a table has first
    and last probability of each token.

    Args:
        tokens: for each answer the list of its tokens, strings; those of the prompt may be among them.
        advantage: of shape [answers], or [answers, tokens].
        log_probs: natural logarithms of shape [checkpoints, answers, tokens], padded: what stands behind an answer's
            last token is not looked at.
        mask: bool of shape [answers, tokens], True where the model wrote the token and learns from it (the assistant's
            mask); all of them by default.
        checkpoints: a name for each, such as "round 50".

    Raises:
        TypeError, ValueError: something is not of the shape above, or no log-probability; the message names the fix.
    """

    def __init__(
        self,
        tokens: Sequence[Sequence[str]],
        advantage,
        log_probs,
        *,
        mask=None,
        checkpoints: Sequence[str] = (),
    ) -> None:
        self.answers: Answers = read(tokens, advantage, log_probs, mask, checkpoints)
        super().__init__(self._make_widget, self._static_html(), self._static_text())

    @classmethod
    def from_torchrl(
        cls, data, tokenizer, log_probs: Mapping[str, object] | None = None, *, advantage=None
    ) -> TokenScrubber:
        """The same of TorchRL's own containers, padded or not.

        Args:
            data: a TensorDict with `("tokens", "full")` and, where they are known, `"masks"`, `"log_probs"` and
                `"advantage"`, as an LLM wrapper and `MCAdvantage` leave it; or `Tokens`, or `ChatHistory`.
            tokenizer: what decodes: a tokenizer of transformers, or a function of a list of token numbers.
            log_probs: for each checkpoint its name and what it says of these answers: a TensorDict with
                `("log_probs", "full")` (what a wrapper with `generate=False` returns), `LogProbs`, a tensor, or a list
                of one tensor for each answer; over all tokens of an answer, or over those of its response alone.
                Without it, the data's own are the only checkpoint. A wrapper that generates writes 0 for the first
                token of each answer (TorchRL 0.14): ask for all checkpoints with one that does not.
            advantage: where the data has none: of shape [answers] or [answers, tokens].

        Raises:
            TypeError, ValueError: something is missing or does not fit; the message names the fix.

        The containers: https://docs.pytorch.org/rl/stable/reference/llms.html
        """
        from course_utils.views.token_reading import from_torchrl

        return cls(**from_torchrl(data, tokenizer, log_probs, advantage))

    def describe(self, answer: int, token: int, checkpoint: int = -1) -> str:
        """One token in words; answers, tokens and checkpoints are counted from 0."""
        return token_words(self.answers, answer, token, range(len(self.answers.checkpoints))[checkpoint])

    # ----------------------------------------------------------------------------- drawn
    def _group_html(self, group: Sequence[int], checkpoint: int, budget: int, chosen: tuple[int, int] | None) -> str:
        """The answers to one prompt at a checkpoint: a line for each, until there are too many tokens."""
        rows, left = [], budget
        for place, answer in enumerate(group):
            own = int(self.answers.own[answer].sum())
            if rows and own > left:
                rows.append(f"<p>{len(group) - place} more answers are not drawn.</p>")
                break
            rows.append(self._row(place, answer, checkpoint, left, chosen))
            left -= own
        told = f"<p style='line-height:1.4'>{escape(tally(self.answers, checkpoint, group))}</p>" if checkpoint else ""
        return "".join(rows) + told

    def _row(self, place: int, answer: int, checkpoint: int, budget: int, chosen: tuple[int, int] | None) -> str:
        facts = self.answers
        own, changes, advantages = facts.own[answer], facts.change(checkpoint, answer), facts.advantage[answer]
        largest = max((float(np.max(np.abs(row[np.isfinite(row)]), initial=0)) for row in facts.advantage), default=0)
        parts, drawn, given = [], 0, []
        for number, token in enumerate(facts.tokens[answer]):
            outlined = chosen == (answer, number)
            if not own[number]:
                given.append(_given(token, outlined))
                continue
            parts.append(_given_html(given, not parts))
            given = []
            if drawn >= budget:
                parts.append(f" and {int(own.sum()) - drawn} more tokens")
                break
            parts.append(_token(token, changes[number], advantages[number], largest, checkpoint, outlined))
            drawn += 1
        parts.append(_given_html(given, not own.any()))
        head = f"answer {place + 1}"
        if own.any():
            known = advantages[own]
            head += f", advantage {_range(known)}"
            head += f", probability {probability(facts.whole(checkpoint, answer))}"
        return (
            '<div style="margin:.35em 0;line-height:2"><span style="display:inline-block;min-width:26em">'
            f'{escape(head)}</span> <span style="font-family:monospace">{"".join(parts)}</span></div>'
        )

    def _prompt_words(self, prompt: str) -> str:
        return f"prompt {visible(prompt)}" if prompt else "the answers"

    def _static_html(self) -> str:
        """A fold for each of some checkpoints, one open at a time, and one with every number."""
        facts = self.answers
        shown = picked(len(facts.checkpoints), STILLS)
        group = "tokens-" + hashlib.sha256(repr((facts.tokens, facts.log_probs)).encode()).hexdigest()[:8]
        folds = []
        for checkpoint in shown:
            left, parts, skipped = STILL_TOKENS, [], 0
            for prompt, members in facts.groups.items():
                own = sum(int(facts.own[answer].sum()) for answer in members)
                if left <= 0:
                    skipped += 1
                    continue
                title = f"<p><strong>{escape(self._prompt_words(prompt))}</strong></p>" if len(facts.groups) > 1 else ""
                parts.append(title + self._group_html(members, checkpoint, left, None))
                left -= own
            if skipped:
                parts.append(f"<p>The answers to {skipped} more prompts are not drawn here.</p>")
            is_open = " open" if checkpoint == shown[-1] else ""
            folds.append(
                f'<details name="{group}"{is_open} style="margin:2px 0"><summary style="cursor:pointer">'
                f"{escape(facts.checkpoints[checkpoint])}</summary>{''.join(parts)}</details>"
            )
        return (
            f"<p>{escape(' '.join([self._first_words(), *self._notes(shown)]))}</p><p>{escape(LEGEND)}</p>"
            f'<div class="course-tokens" style="max-width:70em">{"".join(folds)}</div>{self._table()}'
        )

    def _notes(self, shown: Sequence[int]) -> list[str]:
        notes = []
        if len(shown) < len(self.answers.checkpoints):
            notes.append(f"Of {len(self.answers.checkpoints)} checkpoints {len(shown)} can be unfolded.")
        if self.answers.doubts:
            notes.append(f"Not finite: {'; '.join(self.answers.doubts)}.")
        return notes

    def _first_words(self) -> str:
        facts = self.answers
        own = sum(int(row.sum()) for row in facts.own)
        count = f"{len(facts)} {'answer' if len(facts) == 1 else 'answers'} to {len(facts.groups)} "
        count += f"{'prompt' if len(facts.groups) == 1 else 'prompts'}"
        many = len(facts.checkpoints)
        times = f"at {many} checkpoints" if many > 1 else "at one checkpoint"
        return f"{count}, {own:,} tokens of the model's own, {times}."

    def _table(self) -> str:
        """First and last checkpoint of each own token."""
        facts, rows, left, last = self.answers, [], STILL_TOKENS, len(self.answers.checkpoints) - 1
        for prompt, members in facts.groups.items():
            for place, answer in enumerate(members):
                changes = facts.change(last, answer)
                for number in np.flatnonzero(facts.own[answer])[: max(0, left)]:
                    left -= 1
                    cells = [
                        visible(prompt) or "–",
                        place + 1,
                        visible(facts.tokens[answer][number]),
                        signed(facts.advantage[answer][number]),
                        *(probability(facts.log_probs[at][answer][number]) for at in dict.fromkeys((0, last))),
                        *([factor(changes[number])] if last else []),
                    ]
                    rows.append("<tr>" + "".join(f"<td>{escape(str(cell))}" for cell in cells))
        ends = [facts.checkpoints[at] for at in dict.fromkeys((0, last))]
        heads = ["prompt", "answer", "token", "advantage", *(f"probability at {name}" for name in ends)]
        heads += ["change"] if last else []
        head = "".join(f'<th scope="col">{escape(label)}' for label in heads)
        total = sum(int(own.sum()) for own in facts.own)
        more = f"<p>{total - len(rows):,} more tokens are not listed.</p>" if total > len(rows) else ""
        return (
            '<details style="margin:2px 0"><summary style="cursor:pointer">every number</summary>'
            f"<table><thead><tr>{head}</thead><tbody>{''.join(rows)}</tbody></table>{more}</details>"
        )

    def _static_text(self) -> str:
        facts, last = self.answers, len(self.answers.checkpoints) - 1
        lines = [self._first_words()]
        for prompt, members in facts.groups.items():
            lines.append(f"{self._prompt_words(prompt)}:")
            for place, answer in enumerate(members[:STILLS]):
                tokens = " ".join(
                    f"{visible(token)}({f'{sign(change)} ' if last else ''}{signed(advantage)})"
                    if own
                    else visible(token)
                    for token, own, change, advantage in zip(
                        facts.tokens[answer],
                        facts.own[answer],
                        facts.change(last, answer),
                        facts.advantage[answer],
                        strict=True,
                    )
                )
                then, now = (probability(facts.whole(at, answer)) for at in (0, last))
                lines.append(f"  {place + 1}: {tokens}  probability {then}" + (f", then {now}" if last else ""))
            if len(members) > STILLS:
                lines.append(f"  and {len(members) - STILLS} more answers")
            lines.append(f"  {tally(facts, last, members)}" if last else "")
        return "\n".join([*filter(None, lines), *self._notes(range(len(facts.checkpoints)))])

    # ----------------------------------------------------------------------------- played with
    def _make_widget(self) -> Widget:
        return _Table(self).box


class _Table:
    """The widgets, and what they show now."""

    def __init__(self, view: TokenScrubber) -> None:
        import ipywidgets as widgets

        self.view, facts = view, view.answers
        prompts = list(facts.groups)
        # Numbered: two prompts may look alike.
        options = [(f"{n + 1}: {view._prompt_words(p).removeprefix('prompt ')}", n) for n, p in enumerate(prompts)]
        self.prompt = choice(options, "prompt", 0)
        last = len(facts.checkpoints) - 1
        self.play = widgets.Play(min=0, max=last, interval=INTERVAL, description="play")
        self.checkpoint = widgets.IntSlider(min=0, max=last, description="checkpoint", layout={"width": "380px"})
        widgets.jslink((self.play, "value"), (self.checkpoint, "value"))
        self.answer = widgets.IntSlider(min=1, max=1, description="answer", layout={"width": "300px"})
        self.token = widgets.IntSlider(min=1, max=1, description="token", layout={"width": "300px"})
        self.drawn, self.words = widgets.HTML(), widgets.HTML()
        self._quiet = False
        self.prompt.observe(lambda _: self.begin(), "value")
        self.answer.observe(lambda _: self.begin_answer(), "value")
        for slider in (self.checkpoint, self.token):
            slider.observe(lambda _: self.draw(), "value")
        self.begin()
        rows = [self.prompt] if len(prompts) > 1 else []
        rows += [widgets.HBox([self.play, self.checkpoint])] if last else []
        legend = widgets.HTML(f'<p style="line-height:1.4;max-width:70em">{escape(LEGEND)}</p>')
        sliders = widgets.HBox([self.answer, self.token], layout={"flex_flow": "row wrap"})
        self.box = widgets.VBox([*rows, self.drawn, sliders, self.words, legend])

    @property
    def group(self) -> list[int]:
        return list(self.view.answers.groups.values())[self.prompt.value]

    def begin(self) -> None:
        """Another prompt: its first answer."""
        self._set(self.answer, len(self.group), 1)
        self.begin_answer()

    def begin_answer(self) -> None:
        """Another answer: the first token that is the model's own."""
        if self._quiet:
            return
        answer = self.group[self.answer.value - 1]
        length = len(self.view.answers.tokens[answer])
        self._set(self.token, max(1, length), min(self.view.answers.starts[answer] + 1, max(1, length)))
        self.draw()

    def _set(self, slider: Widget, most: int, value: int) -> None:
        """New bounds and a new value, of which nobody is told."""
        self._quiet = True
        slider.max, slider.value = most, value
        self._quiet = False

    def draw(self) -> None:
        if self._quiet:
            return
        view, checkpoint = self.view, self.checkpoint.value
        answer, token = self.group[self.answer.value - 1], self.token.value - 1
        notes = " ".join(view._notes(range(len(view.answers.checkpoints))))
        prompt = view._prompt_words(list(view.answers.groups)[self.prompt.value])
        title = f"{prompt}, {view.answers.checkpoints[checkpoint]}"
        self.drawn.value = (
            f'<p style="margin:2px 0"><strong>{escape(title)}</strong></p>'
            f"{view._group_html(self.group, checkpoint, LIVE_TOKENS, (answer, token))}<p>{escape(notes)}</p>"
        )
        told = token_words(view.answers, answer, token, checkpoint) if view.answers.tokens[answer] else "No token."
        self.words.value = f'<p role="status" style="line-height:1.4;margin:4px 0">{escape(told)}</p>'


def picked(count: int, most: int) -> list[int]:
    """So many of `count` numbers, evenly, the first and the last among them."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(count, most))})


def _range(values: np.ndarray) -> str:
    """One number where all are the same; else from the lowest to the highest that is known."""
    known = values[~np.isnan(values)]
    if not len(known):
        return "NaN"
    low, high = signed(known.min()), signed(known.max())
    return low if low == high else f"{low} to {high}"


def sign(change: float) -> str:
    """How a token's probability changed, without colour."""
    if math.isnan(change):
        return "?"
    return {1: "▲", -1: "▼"}.get(int(np.sign(strength(change))), "=") * max(1, abs(strength(change)))


def _given(token: str, outlined: bool) -> str:
    words = escape(visible(token))
    return f'<span style="outline:2px solid currentColor">{words}</span>' if outlined else words


def _given_html(tokens: Iterable[str], prompt: bool) -> str:
    """Tokens that the model does not learn from: those of the prompt, or masked ones."""
    words = "".join(tokens)
    return f"<i>{words if prompt else f'[{words}]'}</i> " if words else ""


def _token(token: str, change: float, advantage: float, largest: float, checkpoint: int, outlined: bool) -> str:
    """One token of the model's own; at the first checkpoint nothing has changed yet."""
    marks = sign(change) if checkpoint else ""
    colour = PALETTE["blue"] if change > 0 else PALETTE["orange"]
    level = abs(strength(change)) / 3 if checkpoint else 0.0
    styles = [f"background:{colour}{round(255 * 0.45 * level):02x}"] if level else []
    if advantage and math.isfinite(advantage):
        width = 2 + round(abs(advantage) / largest)
        line = f"solid {PALETTE['blue']}" if advantage > 0 else f"dotted {PALETTE['vermillion']}"
        styles.append(f"border-bottom:{width}px {line}")
    if outlined:
        styles.append("outline:2px solid currentColor")
    style = f' style="{";".join(styles)}"' if styles else ""
    return f"<span{style}>{escape(visible(token))}{f'<sup>{marks}</sup>' if marks else ''}</span> "
