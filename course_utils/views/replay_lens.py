"""Look into a replay buffer: what is stored, and what its sampler draws from it. Nothing in the buffer changes."""

from __future__ import annotations

import random
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from html import escape
from itertools import zip_longest
from math import prod
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor
from torchrl import data as torchrl_data
from torchrl.data import ReplayBuffer, SamplerWithoutReplacement, SliceSampler

from course_utils.views.choice import choice
from course_utils.views.display import View, WidgetView
from course_utils.views.finite import in_words
from course_utils.views.plotting import PALETTE, plain, show_figure, unit_for, use_course_style
from course_utils.views.replay_facts import Frames, Missing, read

if TYPE_CHECKING:
    from ipywidgets import Widget

STORED, UNIFORM, TIMES, NONE = "stored", "drawn uniformly", "times drawn", "–"
FEW, BINS = 12, 24  # up to FEW different values get a bar each, more are put into about BINS bins
DRAWN = 6  # panels of one kind in the picture; the table holds all
MOST_DRAWS, MOST_SECONDS = 200_000, 5.0
SEEDS = 2**32  # as many as NumPy has
KINDS = {
    SliceSampler: "stretches of trajectories",
    torchrl_data.PrioritizedSampler: "more often the higher the priority",
    SamplerWithoutReplacement: "without replacement, each frame once per pass",
    torchrl_data.RandomSampler: "uniform, with replacement",
}


@contextmanager
def _own_dice(seed: int, storage) -> Iterator[None]:
    """Random numbers of our own from every source a sampler may use; afterwards all stand where they stood."""
    device = torch.device(getattr(storage, "device", None) or "cpu")
    cuda = [device] if device.type == "cuda" else []
    python, numpy, generator = random.getstate(), np.random.get_state(), storage._rng
    with torch.random.fork_rng(devices=cuda):
        try:
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed every device
            for one in cuda:
                torch.cuda.default_generators[one.index or 0].manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed)  # TorchRL's prioritized sampler asks NumPy
            storage._rng = None
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
            storage._rng = generator


def _draw(buffer: ReplayBuffer, shape: tuple[int, ...], draws: int, seed: int) -> Tensor:
    """The slots that a copy of the sampler draws, int64 [draws]. The sampler itself stays as it is: a deck undealt."""
    storage, batch_size, drawn, start = buffer.storage, buffer.batch_size or 256, [], time.monotonic()
    number_of = torch.arange(prod(shape)).reshape(shape)
    try:
        sampler = deepcopy(buffer.sampler)
        if isinstance(sampler, SliceSampler):
            sampler._cache = dict(buffer.sampler._cache)  # a copy forgets the trajectories it was built with
        if not isinstance(sampler, SamplerWithoutReplacement) and not getattr(sampler, "num_slices", None):
            # The others draw alike whatever the batch, and a few large batches are quicker than many small ones.
            batch_size *= max(1, min(1024, len(number_of)) // batch_size)
        with _own_dice(seed, storage):
            count = 0
            while count < draws and time.monotonic() < start + MOST_SECONDS:
                index, _ = sampler.sample(storage, batch_size)
                index = index if isinstance(index, tuple) else (index,)
                drawn.append(number_of[tuple(torch.as_tensor(part).cpu() for part in index)].flatten())
                count += len(drawn[-1])
    except Exception as error:  # a sampler may be anyone's, and what is stored is worth a look all the same
        if not drawn:
            raise Missing(f"{type(buffer.sampler).__name__} does not draw {batch_size} frames: {error}") from error
    return torch.cat(drawn)[:draws]


class Look:
    """What was stored and drawn at one moment, as plain data.

    Attributes:
        facts: one line about the buffer.
        quantities: for each name its values.
        missing: for each name that is not there, why.
        notes: what a reader should know besides.
        drawn: int64 [draws], slots, for the buffer's sampler and, where that draws otherwise, for uniform draws.
        columns: what is compared.
        panels: the names of all there is to show.
    """

    def __init__(self, buffer: ReplayBuffer, draws: int, seed: int) -> None:
        if not isinstance(buffer, ReplayBuffer) or isinstance(buffer, torchrl_data.ReplayBufferEnsemble):
            raise TypeError(f"The lens looks into one ReplayBuffer at a time; this is a {type(buffer).__name__}.")
        if not buffer.stats()["size"]:
            raise ValueError("The buffer is empty: fill it first, for example with buffer.extend(batch).")
        self.drawn: dict[str, Tensor] = {}
        sampler, writer = type(buffer.sampler), type(buffer.writer)
        with buffer._replay_lock, buffer._write_lock:  # a prefetching thread must not see our dice, nor we half a write
            frames = Frames(buffer.storage)
            facts = read(frames, buffer)
            self.quantities, self.missing = facts.quantities, facts.missing
            try:
                self.drawn[f"drawn by {sampler.__name__}"] = _draw(buffer, frames.shape, min(draws, MOST_DRAWS), seed)
            except Missing as reason:
                self.missing["draws"] = str(reason)
        self.count = frames.count
        if self.drawn and not issubclass(sampler, torchrl_data.RandomSampler):
            dice = torch.Generator().manual_seed(seed)
            self.drawn[UNIFORM] = torch.randint(self.count, (min(draws, MOST_DRAWS),), generator=dice)
        self.notes = [f"No {name}: {reason}." for name, reason in self.missing.items()] + facts.notes
        if not self.quantities:
            raise ValueError("There is nothing to compare. " + " ".join(self.notes))
        self.columns = [STORED, *self.drawn]
        times = [TIMES] if self.drawn else []
        self.panels = [*self.quantities, *times]
        self.pictured = [*(name for names in facts.kinds.values() for name in names[:DRAWN]), *times]
        kind = next((words for kind, words in KINDS.items() if issubclass(sampler, kind)), "of its own kind")
        self.facts = (
            f"{self.count:,} of {buffer.storage.max_size:,} frames stored ({frames.bytes:,} bytes) · "
            f"{sampler.__name__}: {kind} · {writer.__name__} · batch size {buffer.batch_size or 'not set'}"
        )
        if frames.has("steps_to_next_obs"):
            self.notes.append("n-step transitions: the end of one episode stands in up to n frames.")
        if left := len(self.panels) - len(self.pictured):
            self.notes.append(f"The picture leaves out {left} quantities of many; the numbers have all.")
        if draws > MOST_DRAWS:
            self.notes.append(f"Drawn are {MOST_DRAWS:,} frames, not {draws:,}: more would hardly change a share.")
        for who, slots in self.drawn.items():
            if len(slots) < min(draws, MOST_DRAWS):
                self.notes.append(
                    f"{who}: {len(slots):,} frames; then it ran out, or {MOST_SECONDS:g} seconds were over."
                )

    def series(self, name: str) -> dict[str, Tensor]:
        """What a panel compares: the finite values, float64, for each of `columns` that has any."""
        if name == TIMES:
            return {who: torch.bincount(slots, minlength=self.count).double() for who, slots in self.drawn.items()}
        every = {who: self.quantities[name].at(slots)[0] for who, slots in {STORED: None, **self.drawn}.items()}
        return {who: finite for who, finite in every.items() if len(finite)}

    def table(self, names: list[str]) -> list[list[str]]:
        """Panels in numbers: for each line its name and a cell for each of `columns`."""
        lines = []
        for name in names:
            if name == TIMES:
                measures = {
                    "most draws of one frame": lambda times: f"{times.max():.0f}",
                    "frames never drawn": lambda times: _percent(times == 0),
                }
            elif labels := self.quantities[name].labels:
                measures = {f"{name}: {labels[code]}": lambda x, code=code: _percent(x == code) for code in labels}
            else:
                measures = {f"mean {name}": lambda x: _number((x / len(x)).sum().item())}
            series = self.series(name)
            for line, words in measures.items():
                lines.append([line, *(words(series[who]) if who in series else NONE for who in self.columns)])
            if name != TIMES:
                lines += self._warnings(name)
        return lines

    def _warnings(self, name: str) -> list[list[str]]:
        """Lines on what the others leave out, or what should not be; none where all is well."""
        quantity, lines = self.quantities[name], []
        looks = [(None, self.count), *((slots, len(slots)) for slots in self.drawn.values())]
        found = [quantity.at(slots) for slots, _ in looks]
        for words, count in {
            "NaN": lambda values: int(values.isnan().sum()),
            "inf": lambda values: int(values.isinf().sum()),
        }.items():
            cells = [
                f"{count(odd):,} of {len(odd) + len(finite):,}" if len(odd) + len(finite) else NONE
                for finite, odd, _ in found
            ]
            if any(count(odd) for _, odd, _ in found):
                lines.append([f"{name}: {words}", *cells])
        if quantity.partly and quantity.there is not None:
            cells = [f"{absent:,} of {total:,}" for (_, _, absent), (_, total) in zip(found, looks, strict=True)]
            lines.append([f"{name}: {quantity.partly}", *cells])
        if (forbidden := quantity.forbidden) is not None:
            chosen = [forbidden if slots is None else forbidden[slots] for slots, _ in looks]
            if quantity.there is not None:
                present = [quantity.there if slots is None else quantity.there[slots] for slots, _ in looks]
                chosen = [hits[there] for hits, there in zip(chosen, present, strict=True)]
            cells = [_percent(hits) if len(hits) else NONE for hits in chosen]
            lines.append([f"{name}: though its mask forbids it", *cells])
        return lines


def _percent(hits: Tensor) -> str:
    """A share; one that is neither nothing nor all is not rounded to it."""
    share = 100 * hits.double().mean().item()
    if 0 < share < 0.05:
        return "<0.1 %"
    return ">99.9 %" if 99.95 <= share < 100 else f"{share:.1f} %"


def _number(value: float) -> str:
    size = abs(value)
    if size and not 0.01 <= size < 1e12:
        return f"{value:.3g}"
    return f"{value:,.{0 if size >= 100 else 2}f}"


def _few(values: Tensor) -> dict[float, str]:
    """Labels for the values if they are few, else none."""
    few = values[:1000].unique()  # a look at some first: sorting a million values takes longer than all the rest
    few = values.unique() if len(few) <= FEW else few
    return {value: f"{value:g}" for value in few.tolist()} if len(few) <= FEW else {}


def _bins(values: Tensor) -> np.ndarray:
    """Edges of equal bins; around whole numbers each bin holds equally many of them."""
    low, high = values.min().item(), values.max().item()
    if (values == values.round()).all() and high - low < 2**50:
        count = high - low + 1
        least = -(-count // BINS)
        # A last bin of fewer numbers would look as if there were less of them, if it can be helped.
        step = next((step for step in range(int(least), int(2 * least)) if count % step == 0), least)
        return np.arange(low - 0.5, high + step, step)
    return np.linspace(low, high, BINS + 1)


def _draw_panel(axes: Axes, look: Look, name: str) -> None:
    """Area, thick line and dots: told apart without their colours too."""
    series, quantity = look.series(name), look.quantities.get(name)
    axes.set_xlabel(plain(quantity.axis if quantity else "times a frame was drawn"))
    if not series:
        axes.text(0.5, 0.5, "no finite value", ha="center", transform=axes.transAxes)
        axes.set(xticks=[], yticks=[])
        return
    if (unit := unit_for(torch.cat(list(series.values())).abs().max().item())) != 1:
        series = {who: values / unit for who, values in series.items()}
        axes.set_xlabel(f"{axes.get_xlabel()}, in units of {unit:g}")
    every = torch.cat(list(series.values()))
    labels = (quantity and quantity.labels) or _few(every)
    edges = np.arange(len(labels) + 1) - 0.5 if labels else _bins(every)
    for who, values in series.items():
        if labels:
            shares = np.array([(values == code).double().mean() for code in labels])
        else:
            shares = np.histogram(values, edges)[0] / len(values)
        if who == STORED:
            axes.stairs(100 * shares, edges, fill=True, color=PALETTE["sky"], label=who)
        elif who == UNIFORM:
            axes.plot((edges[:-1] + edges[1:]) / 2, 100 * shares, ".", color=PALETTE["black"], label=who)
        else:
            axes.stairs(100 * shares, edges, color=PALETTE["vermillion"], linewidth=2, label=who)
    if labels:
        words = [word.replace(" (", "\n(") for word in labels.values()]
        axes.set_xticks(range(len(labels)), words, fontsize="x-small" if len(labels) > FEW else None)
        for tick in axes.get_xticklabels():
            if "forbidden" in tick.get_text():
                tick.set_color(PALETTE["vermillion"])
    if quantity and (odd := quantity.odd()):
        axes.set_title(f"left out: {in_words(odd, look.count)}", fontsize="small", color=PALETTE["vermillion"])


def _figure(look: Look, names: list[str], across: int) -> View:
    use_course_style()
    down = -(-len(names) // across)
    figure, grid = plt.subplots(down, across, figsize=(7 if across == 1 else 8.4, 2.1 * down + 0.5), squeeze=False)
    for axes, name in zip_longest(grid.flat, names):
        if name:
            _draw_panel(axes, look, name)
        else:
            axes.axis("off")
    for axes in grid[:, 0]:
        axes.set_ylabel("share (%)")
    keys = {label: key for axes in grid.flat for key, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(keys.values(), keys, loc="outside upper left", ncols=3, frameon=False)
    findings = (
        f"{line}: " + ", ".join(f"{cell} {who}" for cell, who in zip(cells, look.columns, strict=True) if cell != NONE)
        for line, *cells in look.table(names)
    )
    return show_figure(figure, f"Shares of frames by {', '.join(names)}. " + "; ".join(findings) + ".")


def _html_table(look: Look, names: list[str]) -> str:
    head = "".join(f'<th scope="col" style="padding:0 .6em">{escape(who)}</th>' for who in look.columns)
    body = "".join(
        f'<tr><th scope="row" style="text-align:left">{escape(line)}</th>'
        + "".join(f'<td style="text-align:right;padding:0 .6em">{cell}</td>' for cell in cells)
        + "</tr>"
        for line, *cells in look.table(names)
    )
    return f'<table aria-label="The numbers"><tr><th scope="col">quantity</th>{head}</tr>{body}</table>'


def _html_lines(look: Look) -> str:
    return "".join(f"<p>{escape(line)}</p>" for line in (look.facts, *look.notes))


def _text(look: Look) -> str:
    table = [["", *look.columns], *look.table(look.panels)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in table]
    return "\n".join([look.facts, *lines, *look.notes])


def _make_widget(find_buffer: Callable[[], ReplayBuffer | None], look: Look, draws: int, seed: int) -> Widget:
    import ipywidgets

    roomy = {"style": {"description_width": "initial"}}
    what = choice(look.panels, "Quantity", look.panels[0])
    sizes = [(f"{size:,}", size) for size in sorted({256, 1_000, 10_000, draws})]
    many = ipywidgets.SelectionSlider(
        options=sizes, value=draws, description="Frames to draw", continuous_update=False, **roomy
    )
    again = ipywidgets.Button(description="Draw again")
    picture = ipywidgets.HTML()

    def show(_=None) -> None:
        picture.value = _html_lines(look) + _figure(look, [what.value], 1).html + _html_table(look, [what.value])

    def draw(_) -> None:
        nonlocal look, seed
        seed = (seed + 1) % SEEDS
        if (buffer := find_buffer()) is None:
            picture.value = "<p>The buffer is gone: no variable holds it any more. Run the cell that made it again.</p>"
            return
        try:
            look = Look(buffer, many.value, seed)
        except (TypeError, ValueError) as error:  # the buffer was emptied in the meantime
            picture.value = f"<p>{escape(str(error))}</p>"
            return
        if what.options != tuple(look.panels):
            chosen = what.value if what.value in look.panels else look.panels[0]
            what.options = look.panels
            what.value = chosen
        show()

    what.observe(show, "value")
    many.observe(draw, "value")
    again.on_click(draw)
    show()
    controls = ipywidgets.HBox([what, many, again], layout={"flex_flow": "row wrap", "align_items": "flex-end"})
    return ipywidgets.VBox([controls, picture])


class ReplayLens(WidgetView):
    """What a replay buffer holds, and what its sampler draws from it, side by side with uniform draws.

    It shows age, done rate, actions, returns and priorities, as far as the buffer has them, of groups of agents and
    Dict actions too, and as they are stored: transforms that change a sample on its way out are not applied. What is
    not finite is counted; means and pictures are of the finite values. The lens is a picture of one moment; its widget
    looks anew, at what the buffer then holds, whenever it draws. The buffer and all random numbers stay as they are,
    and the lens does not keep the buffer alive.

    Args:
        buffer: a `TensorDictReplayBuffer` or a `ReplayBuffer` of TensorDicts, one frame per item.
        draws: how many frames to draw, at most 200,000; fewer come where the sampler runs out or takes longer than
            five seconds.
        seed: of the draws, from 0 to 4,294,967,295; the same seed draws the same.

    Attributes:
        quantities: the names of what can be compared: "age", "action", of several values "action[1]", of a group of
            agents "agents/action[2, 0]", agent 2 and value 0.
        missing: for each name that cannot, why; "draws" if the sampler could not draw.

    Raises:
        TypeError: `buffer` is no replay buffer, or its items are no TensorDicts.
        ValueError: the buffer is empty, its items are stacks of frames, or `draws` or `seed` is out of range.
    """

    def __init__(self, buffer: ReplayBuffer, *, draws: int = 10_000, seed: int = 0) -> None:
        if draws < 1:
            raise ValueError(f"The lens draws at least one frame; draws is {draws}.")
        if not 0 <= seed < SEEDS:
            raise ValueError(f"The lens needs a seed from 0 to {SEEDS - 1:,}; seed is {seed}.")
        look = self._look = Look(buffer, draws, seed)
        self.quantities, self.missing = list(look.quantities), look.missing
        numbers = f"<details><summary>The numbers</summary>{_html_table(look, look.panels)}</details>"
        html = _html_lines(look) + _figure(look, look.pictured, 3).html + numbers
        find = weakref.ref(buffer)  # a widget that was shown must not keep a buffer that nobody else keeps
        super().__init__(lambda: _make_widget(find, look, draws, seed), html, _text(look))

    def stored(self, name: str) -> Tensor:
        """The values of one quantity, float64 [slots]; NaN also where a slot has none (a return, but at an end).

        Raises:
            ValueError: there is no such quantity.
        """
        if name not in self.quantities:
            why = f" ({self.missing[name]})" if name in self.missing else ""
            raise ValueError(f"There is no {name!r}{why}; there is {', '.join(self.quantities)}.")
        quantity = self._look.quantities[name]
        if quantity.there is None:
            return quantity.values
        return torch.where(quantity.there, quantity.values, torch.nan)

    def drawn(self, name: str) -> Tensor:
        """The values of the frames that the buffer's sampler drew, float64 [draws].

        Raises:
            ValueError: there is no such quantity, or the sampler could not draw.
        """
        return self.stored(name)[self._slots()]

    @property
    def draw_counts(self) -> Tensor:
        """How often each slot was drawn, int64 [slots].

        Raises:
            ValueError: the sampler could not draw.
        """
        return torch.bincount(self._slots(), minlength=self._look.count)

    def _slots(self) -> Tensor:
        if not self._look.drawn:
            raise ValueError(f"Nothing was drawn: {self.missing['draws']}")
        return next(iter(self._look.drawn.values()))
