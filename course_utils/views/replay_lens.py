"""Look into a replay buffer: what is stored, and what its sampler draws from it. Nothing in the buffer changes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from html import escape
from itertools import zip_longest
from math import prod
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from tensordict import is_tensor_collection
from torch import Tensor
from torchrl import data as torchrl_data
from torchrl.data import ReplayBuffer, SamplerWithoutReplacement, SliceSampler

from course_utils.views.display import View, WidgetView
from course_utils.views.plotting import PALETTE, show_figure, use_course_style

if TYPE_CHECKING:
    from ipywidgets import Widget

STORED, UNIFORM, TIMES, NONE = "stored", "drawn uniformly", "times drawn", "–"
FEW, BINS = 12, 24  # up to FEW different values get a bar each, more are put into about BINS bins
KINDS = {
    SliceSampler: "stretches of trajectories",
    torchrl_data.PrioritizedSampler: "more often the higher the priority",
    SamplerWithoutReplacement: "without replacement, each frame once per pass",
    torchrl_data.RandomSampler: "uniform, with replacement",
}


class Missing(Exception):
    """Why one of the things a lens shows is not there."""


@dataclass(frozen=True)
class Quantity:
    """One number for each slot.

    Attributes:
        axis: what the numbers are, with their unit.
        values: float64 [slots]; NaN where a slot has none.
        labels: the names of values that are no amounts, such as actions: these have shares, but no mean.
    """

    axis: str
    values: Tensor
    labels: dict[float, str] | None = None


class Frames:
    """The entries of a storage, read one at a time: pixels that nobody asked for are not touched.

    Raises:
        TypeError: the items are no TensorDicts.
        ValueError: an item is more than one frame.
    """

    def __init__(self, storage) -> None:
        data = storage[:]
        self.items = data if isinstance(data, list) else None
        self.first = data[0] if isinstance(data, list) else data
        if not is_tensor_collection(self.first):
            raise TypeError(
                f"The lens looks into buffers of TensorDicts; an item of this one is a {type(self.first).__name__}. "
                "Fill a TensorDictReplayBuffer with what a collector or env.rollout returns."
            )
        if stack := list(self.first.batch_size[0 if self.items else storage.ndim :]):
            raise ValueError(
                f"Each item of this buffer is a stack of {stack} frames; the lens wants one frame per item. "
                "Fill the buffer with data.reshape(-1), or give its storage ndim=2."
            )
        self.shape = (len(data),) if self.items else tuple(data.batch_size)
        self.count = prod(self.shape)
        self.bytes = self.first.bytes() * (self.count if self.items else 1)

    def find(self, *key: str) -> Tensor | None:
        """The entry as [slots, values per frame], or None."""
        column = self.first.get(key, None)
        if column is not None and self.items:
            column = torch.stack([item.get(key) for item in self.items])
        return None if column is None else column.detach().cpu().reshape(self.count, -1)

    def get(self, *key: str) -> Tensor:
        """As `find`, but raises `Missing`."""
        column = self.find(*key)
        if column is None:
            raise Missing(f"the frames have no entry {key if len(key) > 1 else key[0]!r}")
        return column


def _age(frames: Frames, buffer: ReplayBuffer) -> dict[str, Quantity]:
    try:
        cursor = buffer.writer.state_dict()["_cursor"]
    except (NotImplementedError, KeyError):
        raise Missing(f"{type(buffer.writer).__name__} does not tell in which order it wrote") from None
    rows, width = frames.shape[0], frames.count // frames.shape[0]
    age = (cursor - 1 - torch.arange(rows)) % rows * width
    return {"age": Quantity("age: frames written since", age.repeat_interleave(width).double())}


def _done(frames: Frames, buffer: ReplayBuffer) -> dict[str, Quantity]:
    terminated, truncated = frames.find("next", "terminated"), frames.find("next", "truncated")
    if terminated is None or truncated is None:
        code, labels = frames.get("next", "done").any(1), {1.0: "either way"}
    else:
        code = torch.where(terminated.any(1), 1, 2 * truncated.any(1))
        labels = {1.0: "terminated", 2.0: "truncated"}
    return {"done": Quantity("done: frames that end an episode", code.double(), labels)}


def _action(frames: Frames, buffer: ReplayBuffer) -> dict[str, Quantity]:
    action, choices = frames.get("action"), 0
    if action.shape[1] > 1 and ((action == 0) | (action == 1)).all() and (action.sum(1) == 1).all():
        choices, action = action.shape[1], action.int().argmax(1, keepdim=True)  # one-hot
    found = {}
    for place, values in enumerate(action.T[:3]):
        name, labels = "action" if action.shape[1] == 1 else f"action[{place}]", None
        if not values.is_floating_point() and values.min() >= 0 and values.max() <= 20:
            labels = {float(c): str(c) for c in range(max(choices, int(values.max()) + 1))}
        found[name] = Quantity(name, values.double(), labels)
    return found


def _return(frames: Frames, buffer: ReplayBuffer) -> dict[str, Quantity]:
    total, done = frames.find("next", "episode_reward"), frames.find("next", "done")
    if total is None or done is None or not done.any():
        return {"reward": Quantity("reward of a step", frames.get("next", "reward").double().mean(1))}
    total = torch.where(done.any(1), total.double().mean(1), torch.nan)
    return {"return": Quantity("return of an episode, at its end", total)}


def _priority(frames: Frames, buffer: ReplayBuffer) -> dict[str, Quantity]:
    sampler = buffer.sampler
    priority = getattr(sampler, "priority", None)
    if priority is None and isinstance(sampler, torchrl_data.PrioritizedSampler) and sampler.alpha > 0:
        tree = sampler.state_dict()["_sum_tree"]  # TorchRL's own sampler keeps p ** alpha
        priority = torch.as_tensor(tree[torch.arange(frames.count)]).double() ** (1 / sampler.alpha)
    if not isinstance(priority, Tensor) or priority.numel() < frames.count:
        raise Missing(f"{type(sampler).__name__} has none")
    return {"priority": Quantity("priority", priority.detach().cpu().flatten()[: frames.count].double())}


READERS = {"age": _age, "done": _done, "action": _action, "return": _return, "priority": _priority}


@contextmanager
def _own_dice(seed: int, storage) -> Iterator[None]:
    """Random numbers of our own from every source a sampler may use; afterwards all stand where they stood."""
    device = torch.device(getattr(storage, "device", None) or "cpu")
    cuda = [device] if device.type == "cuda" else []
    python, numpy, generator = random.getstate(), np.random.get_state(), storage._rng
    with torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed every device
        for one in cuda:
            torch.cuda.default_generators[one.index or 0].manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)  # TorchRL's prioritized sampler asks NumPy
        storage._rng = None
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
            storage._rng = generator


def _draw(buffer: ReplayBuffer, shape: tuple[int, ...], draws: int, seed: int) -> Tensor:
    """The slots that a copy of the sampler draws, int64 [draws]. The sampler itself stays as it is: a deck undealt."""
    storage, batch_size, drawn = buffer.storage, buffer.batch_size or 256, []
    number_of = torch.arange(prod(shape)).reshape(shape)
    try:
        sampler = deepcopy(buffer.sampler)
        if isinstance(sampler, SliceSampler):
            sampler._cache = dict(buffer.sampler._cache)  # a copy forgets the trajectories it was built with
        if not isinstance(sampler, SamplerWithoutReplacement) and not getattr(sampler, "num_slices", None):
            # The others draw alike whatever the batch, and a few large batches are quicker than many small ones.
            batch_size *= max(1, min(1024, len(number_of)) // batch_size)
        with _own_dice(seed, storage):
            while sum(map(len, drawn)) < draws:
                index, _ = sampler.sample(storage, batch_size)
                index = index if isinstance(index, tuple) else (index,)
                drawn.append(number_of[tuple(torch.as_tensor(part).cpu() for part in index)].flatten())
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
        self.quantities: dict[str, Quantity] = {}
        self.missing: dict[str, str] = {}
        self.drawn: dict[str, Tensor] = {}
        sampler, writer = type(buffer.sampler), type(buffer.writer)
        with buffer._replay_lock, buffer._write_lock:  # a prefetching thread must not see our dice, nor we half a write
            frames = Frames(buffer.storage)
            for name, reader in READERS.items():
                try:
                    self.quantities |= reader(frames, buffer)
                except Missing as reason:
                    self.missing[name] = str(reason)
            try:
                self.drawn[f"drawn by {sampler.__name__}"] = _draw(buffer, frames.shape, draws, seed)
            except Missing as reason:
                self.missing["draws"] = str(reason)
        self.count = frames.count
        if self.drawn and not issubclass(sampler, torchrl_data.RandomSampler):
            dice = torch.Generator().manual_seed(seed)
            self.drawn[UNIFORM] = torch.randint(self.count, (draws,), generator=dice)
        if not self.quantities:
            raise ValueError("There is nothing to compare. " + " ".join(f"{why}." for why in self.missing.values()))
        self.columns = [STORED, *self.drawn]
        self.panels = [*self.quantities, *([TIMES] if self.drawn else [])]
        kind = next((words for kind, words in KINDS.items() if issubclass(sampler, kind)), "of its own kind")
        self.facts = (
            f"{self.count:,} of {buffer.storage.max_size:,} frames stored ({frames.bytes:,} bytes) · "
            f"{sampler.__name__}: {kind} · {writer.__name__} · batch size {buffer.batch_size or 'not set'}"
        )
        self.notes = [f"No {name}: {reason}." for name, reason in self.missing.items()]
        if "reward" in self.quantities:
            self.notes.append("Rewards stand in for returns: no frame has both done and ('next', 'episode_reward').")
        if frames.find("steps_to_next_obs") is not None:
            self.notes.append("n-step transitions: the end of one episode stands in up to n frames.")
        if "action[2]" in self.quantities and (size := frames.get("action").shape[1]) > 3:
            self.notes.append(f"The action has {size} values; the first 3 are shown.")

    def series(self, name: str) -> dict[str, Tensor]:
        """What a panel compares: float64 values without NaN, for each of `columns` that has any."""
        if name == TIMES:
            return {who: torch.bincount(slots, minlength=self.count).double() for who, slots in self.drawn.items()}
        values = self.quantities[name].values
        every = {STORED: values, **{who: values[slots] for who, slots in self.drawn.items()}}
        return {who: known for who, some in every.items() if len(known := some[~some.isnan()])}

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
                measures = {f"mean {name}": lambda x: f"{x.mean():,.{0 if x.mean().abs() >= 100 else 2}f}"}
            series = self.series(name)
            for line, words in measures.items():
                lines.append([line, *(words(series[who]) if who in series else NONE for who in self.columns)])
        return lines


def _percent(hits: Tensor) -> str:
    return f"{100 * hits.double().mean():.1f} %"


def _few(values: Tensor) -> dict[float, str]:
    """Labels for the values if they are few, else none."""
    few = values[:1000].unique()  # a look at some first: sorting a million values takes longer than all the rest
    few = values.unique() if len(few) <= FEW else few
    return {value: f"{value:g}" for value in few.tolist()} if len(few) <= FEW else {}


def _bins(values: Tensor) -> np.ndarray:
    """Edges of equal bins; around whole numbers each bin holds equally many of them."""
    low, high = values.min().item(), values.max().item()
    if (values == values.round()).all():
        step = -(-(high - low + 1) // BINS)
        return np.arange(low - 0.5, high + step, step)
    return np.linspace(low, high, BINS + 1)


def _draw_panel(axes: Axes, look: Look, name: str) -> None:
    """Area, thick line and dots: told apart without their colours too."""
    series, quantity = look.series(name), look.quantities.get(name)
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
        axes.set_xticks(range(len(labels)), labels.values())
    axes.set_xlabel(quantity.axis if quantity else "times a frame was drawn")


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
    figure.legend(*grid.flat[0].get_legend_handles_labels(), loc="outside upper left", ncols=3, frameon=False)
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


def _make_widget(buffer: ReplayBuffer, look: Look, draws: int, seed: int) -> Widget:
    import ipywidgets

    roomy = {"style": {"description_width": "initial"}}
    what = ipywidgets.Dropdown(options=look.panels, description="Quantity", **roomy)
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
        seed += 1
        try:
            look = Look(buffer, many.value, seed)
        except ValueError as error:  # the buffer was emptied in the meantime
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
    return ipywidgets.VBox([ipywidgets.HBox([what, many, again]), picture])


class ReplayLens(WidgetView):
    """What a replay buffer holds, and what its sampler draws from it, side by side with uniform draws.

    It shows age, done rate, actions, returns and priorities, as far as the buffer has them, and as they are stored:
    transforms that change a sample on its way out are not applied. The lens is a picture of one moment; its widget
    looks anew, at what the buffer then holds, whenever it draws. The buffer and all random numbers stay as they are.

    Args:
        buffer: a `TensorDictReplayBuffer` or a `ReplayBuffer` of TensorDicts, one frame per item.
        draws: how many frames to draw; fewer come where the sampler runs out.
        seed: of the draws; the same seed draws the same.

    Attributes:
        quantities: the names of what can be compared.
        missing: for each name that cannot, why; "draws" if the sampler could not draw.

    Raises:
        TypeError: `buffer` is no replay buffer, or its items are no TensorDicts.
        ValueError: the buffer is empty, its items are stacks of frames, or `draws` is not positive.
    """

    def __init__(self, buffer: ReplayBuffer, *, draws: int = 10_000, seed: int = 0) -> None:
        if draws < 1:
            raise ValueError(f"The lens draws at least one frame; draws is {draws}.")
        look = self._look = Look(buffer, draws, seed)
        self.quantities, self.missing = list(look.quantities), look.missing
        numbers = f"<details><summary>The numbers</summary>{_html_table(look, look.panels)}</details>"
        html = _html_lines(look) + _figure(look, look.panels, 3).html + numbers
        super().__init__(lambda: _make_widget(buffer, look, draws, seed), html, _text(look))

    def stored(self, name: str) -> Tensor:
        """The values of one quantity, float64 [slots]; NaN where a slot has none (a return, but at an end).

        Raises:
            ValueError: there is no such quantity.
        """
        if name not in self.quantities:
            why = f" ({self.missing[name]})" if name in self.missing else ""
            raise ValueError(f"There is no {name!r}{why}; there is {', '.join(self.quantities)}.")
        return self._look.quantities[name].values

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
