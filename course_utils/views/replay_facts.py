"""What there is to say about the frames in a replay buffer, computed and not yet drawn: `replay_lens` draws it.

It knows TorchRL's layouts: values at the root, in groups of agents, in Dict actions, and in stacks whose items differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import prod
from typing import NamedTuple

import numpy as np
import torch
from tensordict import LazyStackedTensorDict, is_tensor_collection
from torch import Tensor
from torchrl import data as torchrl_data
from torchrl.data import ReplayBuffer

from course_utils.views.entries import Path, Ragged, leaves_of, tensors_in
from course_utils.views.finite import SEARCHED, in_words, not_finite, plain_values, readable
from course_utils.views.tree_facts import Plain, Stack

PARTS = 100  # of an entry with more values in a frame, the first so many are read
LABELS = 21  # whole numbers from 0 up to 20 are names of choices
ENDS = ("done", "terminated", "truncated")
MASKS = ("action_mask", "mask")  # PettingZoo's and Gymnasium's name, and TorchRL's in its own games
NOT_THERE, WAITS = "not in the frame", "does not act"
KNOWN = {*ENDS, *MASKS, "reward", "episode_reward", "action", "index"}  # the last is the buffer's own


class Missing(Exception):
    """Why one of the things a lens shows is not there."""


@dataclass(frozen=True)
class Quantity:
    """One number for each slot.

    Attributes:
        axis: what the numbers are, with their unit.
        values: float64 [slots]; NaN where a slot has none.
        labels: the names of values that are no amounts, such as actions: these have shares, but no mean.
        there: bool [slots], which slots have one; None if all have.
        partly: what it means that some slots have none; empty where that is no surprise, as of returns, which stand at
            ends alone.
        forbidden: bool [slots], where a mask forbids the action that was taken; None without a mask.
    """

    axis: str
    values: Tensor
    labels: dict[float, str] | None = None
    there: Tensor | None = None
    partly: str = ""
    forbidden: Tensor | None = None

    def at(self, slots: Tensor | None = None) -> tuple[Tensor, Tensor, int]:
        """Of some slots, or of all: the finite values, those that are not finite, and how many have no value."""
        values = self.values if slots is None else self.values[slots]
        if self.there is not None:
            values = values[self.there if slots is None else self.there[slots]]
        finite = values.isfinite()
        return values[finite], values[~finite], (len(self.values) if slots is None else len(slots)) - len(values)

    def odd(self) -> dict[str, int]:
        """How many values are NaN, and how many infinite."""
        return not_finite(self.at()[1])


class Part(NamedTuple):
    """One number in each frame: where in its entry it stands, values [slots] in their own dtype, and who has it."""

    index: tuple[int, ...]
    values: Tensor
    there: Tensor | None = None


def name_of(path: Path) -> str:
    """As one may say it: agents/action."""
    return "/".join(path)


def _is_one_hot(values: Tensor) -> bool:
    """Does every frame have one 1 among 0s? values: [..., choices], of two choices or more."""
    return values.shape[-1] > 1 and bool(((values == 0) | (values == 1)).all() and (values.sum(-1) == 1).all())


class Frames:
    """The entries of a storage, read one at a time: pixels that nobody asked for are not touched.

    Raises:
        TypeError: the items are no TensorDicts.
        ValueError: an item is more than one frame.
    """

    def __init__(self, storage) -> None:
        data = storage[:]
        if isinstance(data, LazyStackedTensorDict) and storage.ndim == 1 and data.stack_dim == 0:
            data = data.tensordicts
        items = data if isinstance(data, list) else [data]
        for item in items:
            if not is_tensor_collection(item):
                raise TypeError(
                    f"The lens looks into buffers of TensorDicts; an item of this one is a {type(item).__name__}. "
                    "Fill a TensorDictReplayBuffer with what a collector or env.rollout returns."
                )
            if stack := list(item.batch_size[0 if items is data else storage.ndim :]):
                raise ValueError(
                    f"Each item of this buffer is a stack of {stack} frames; the lens wants one frame per item. "
                    "Fill the buffer with data.reshape(-1), or give its storage ndim=2."
                )
        self.shape = (len(data),) if items is data else tuple(data.batch_size)
        self.count = prod(self.shape)
        self.entries = dict(leaves_of(Stack(data, 0, len(data)) if items is data else data))
        self.bytes = sum(t.numel() * t.element_size() for leaf in self.entries.values() for t in tensors_in(leaf.value))
        self.notes: list[str] = []
        self.read: set[Path] = set()

    def paths(self, *names: str, ahead: bool) -> list[Path]:
        """Where an entry of one of these names stands, or one below it as in a Dict action; `ahead`: below "next"."""
        return [
            path
            for path in self.entries
            if (path[0] == "next") is ahead and path[0] != "collector" and any(name in path for name in names)
        ]

    def has(self, *path: str) -> bool:
        return path in self.entries

    def dense(self, path: Path) -> Tensor | None:
        """The entry as [slots, ...] if it is one tensor, else None."""
        leaf = self.entries.get(path)
        if leaf is None or not isinstance(leaf.value, Tensor) or not _has_numbers(leaf.value):
            return None
        self.read.add(path)
        value = plain_values(leaf.value)
        return value.reshape(self.count, *value.shape[len(self.shape) :])

    def parts(self, path: Path, values: Tensor | None = None) -> list[Part]:
        """The single numbers of an entry, or of what was made of it; of more than `PARTS` the first."""
        values = self.dense(path) if values is None else values
        self.read.add(path)
        found = list(_of_tensor(values) if values is not None else self._of_ragged(self.entries[path].value))
        if not found:
            self._note(f"{name_of(path)} holds no numbers to show.")
        if len(found) > PARTS:
            self._note(f"{name_of(path)} has more than {PARTS} values in a frame; the first {PARTS} are looked at.")
        return found[:PARTS]

    def _note(self, words: str) -> None:
        if words not in self.notes:
            self.notes.append(words)

    def _of_ragged(self, value, slot_dims: int | None = None) -> Iterator[Part]:
        slot_dims = len(self.shape) if slot_dims is None else slot_dims
        if isinstance(value, Tensor) and _has_numbers(value):
            value = plain_values(value)
            yield from _of_tensor(value.reshape(self.count, *value.shape[slot_dims:]))
        elif isinstance(value, Ragged) and value.dim >= slot_dims:  # agents that differ
            for number, member in enumerate(value.members):
                for part in self._of_ragged(member, slot_dims):
                    yield part._replace(index=(number, *part.index))
        elif isinstance(value, Ragged):  # frames that differ
            tensors = [list(tensors_in(member)) for member in value.members]
            if not all(_has_numbers(tensor) for row in tensors for tensor in row):
                return
            rows = [[plain_values(tensor).flatten() for tensor in row] for row in tensors]
            flat = [torch.cat(row) if row else torch.zeros(0, dtype=torch.int64) for row in rows]
            for place in range(min(PARTS + 1, max(map(len, flat), default=0))):
                there = torch.tensor([len(row) > place for row in flat])
                values = torch.stack([row[place] if len(row) > place else row.new_zeros(()) for row in flat])
                yield Part((place,), values, None if there.all() else there)

    def search(self) -> list[str]:
        """Says in words where anything is not finite, and which entries were too large to be searched."""
        found, large, unread = [], [], []
        for path, leaf in self.entries.items():
            tensors = [t for t in tensors_in(leaf.value) if t.is_floating_point()]
            if not all(map(readable, tensors_in(leaf.value))):
                unread.append(name_of(path))
                continue
            total, counts = sum(t.numel() for t in tensors), {}
            if total > SEARCHED:
                large.append(name_of(path))
                continue
            for tensor in tensors:
                for name, count in not_finite(tensor).items():
                    counts[name] = counts.get(name, 0) + count
            if counts:
                found.append(f"{name_of(path)}: {in_words(counts, total)}")
        lines = ["NOT FINITE: " + "; ".join(found) + ". Means and pictures are of the finite values."] if found else []
        lines += [f"Too large to be searched for NaN: {', '.join(large)}."] * bool(large)
        return lines + [f"Without values to read (meta, sparse or quantized): {', '.join(unread)}."] * bool(unread)

    def besides(self) -> str:
        """Says in words which entries no quantity is made of; of those at the root and below "next" the first alone."""
        names = []
        for path, leaf in self.entries.items():
            twin = path[1:] if path[0] == "next" else None
            if path in self.read or twin in self.entries or path[0] == "collector" or KNOWN.intersection(path):
                continue
            own = list(leaf.value.shape[len(self.shape) :]) if isinstance(leaf.value, Tensor) else "of various shapes"
            names.append(f"{name_of(path)} {'' if isinstance(leaf.value, Plain) else own}".rstrip())
        if not names:
            return ""
        more = f" and {len(names) - 10} more" if len(names) > 10 else ""
        return f"Stored besides, and not compared: {', '.join(names[:10])}{more}. show(buffer[:]) shows what they hold."


def _has_numbers(tensor: Tensor) -> bool:
    return readable(tensor) and not tensor.is_complex()


def _of_tensor(values: Tensor) -> Iterator[Part]:
    """values: [slots, ...]; sizes of 1 at the end, as a reward has one, are no dimension worth a number."""
    shape = tuple(values.shape[1:])
    while shape and shape[-1] == 1:
        shape = shape[:-1]
    columns = values.reshape(len(values), -1)
    for number in range(min(columns.shape[1], PARTS + 1)):
        yield Part(tuple(map(int, np.unravel_index(number, shape))) if shape else (), columns[:, number])


def _named(name: str, part: Part) -> str:
    return f"{name}[{', '.join(map(str, part.index))}]" if part.index else name


def _double(values: Tensor) -> Tensor:
    return values.to(torch.float64, copy=True)  # the lens keeps no part of the buffer


def age(frames: Frames, buffer: ReplayBuffer) -> dict[str, Quantity]:
    try:
        cursor = buffer.writer.state_dict()["_cursor"]
    except (NotImplementedError, KeyError):
        raise Missing(f"{type(buffer.writer).__name__} does not tell in which order it wrote") from None
    rows, width = frames.shape[0], frames.count // frames.shape[0]
    written = (cursor - 1 - torch.arange(rows)) % rows * width
    return {"age": Quantity("age: frames written since", _double(written.repeat_interleave(width)))}


def _flags(frames: Frames, path: Path) -> list[Part] | None:
    """The flags of each agent; one if all agents share them."""
    if path not in frames.entries:
        return None
    if not (parts := frames.parts(path)):
        return None
    same = all(part.there is None and torch.equal(part.values, parts[0].values) for part in parts)
    return [parts[0]._replace(index=())] if same else parts


def done(frames: Frames, buffer: ReplayBuffer) -> dict[str, Quantity]:
    found = {}
    for level in dict.fromkeys(path[:-1] for path in frames.paths(*ENDS, ahead=True) if path[-1] in ENDS):
        name = name_of((*level[1:], "done"))
        terminated, truncated, either = (_flags(frames, (*level, end)) for end in ("terminated", "truncated", "done"))
        wide = max(terminated or [], truncated or [], key=len)
        fit = terminated and truncated and all(len(flags) in (1, len(wide)) for flags in (terminated, truncated))
        if fit and len(either or []) <= len(wide):  # else done says more about the agents
            pairs = zip(_spread(terminated, wide), _spread(truncated, wide), strict=True)
            codes = [torch.where(one.values.bool(), 1, 2 * other.values.bool()) for one, other in pairs]
            labels = {1.0: "terminated", 2.0: "truncated"}
        elif either:
            wide, codes, labels = either, [part.values.bool() for part in either], {1.0: "either way"}
        else:
            continue
        for part, code in zip(wide, codes, strict=True):
            label = _named(name, part)
            found[label] = Quantity(
                f"{label}: frames that end an episode", _double(code), labels, part.there, NOT_THERE
            )
    if not found:
        raise Missing("the frames have no entry ('next', 'done')")
    return found


def _spread(parts: list[Part], wide: list[Part]) -> list[Part]:
    """Flags that all agents share, once for each of them."""
    return parts * len(wide) if len(parts) == 1 else parts


def action(frames: Frames, buffer: ReplayBuffer) -> dict[str, Quantity]:
    found = {}
    for path in frames.paths("action", ahead=False):
        values, choices, masks = frames.dense(path), 0, None
        agents = frames.entries[path].batch_dims - len(frames.shape)
        if values is not None and values.ndim > 1 + agents and _is_one_hot(values):
            choices = values.shape[-1]
            values = values.int().argmax(-1)
            if (never := choices - len(values.unique())) and agents == 0:
                frames.notes.append(
                    f"{name_of(path)}: one value of {choices} is 1 in every frame, so it is read as one-hot "
                    f"({never} of the {choices} choices never taken)."
                )
        if values is not None:
            masks = _mask_of(frames, path, values, agents)
        acts = _who_acts(frames, path, agents)
        for part in frames.parts(path, values):
            name = _named(name_of(path), part)
            quantity = _action_quantity(name, part, choices, None if masks is None else masks.get(part.index))
            found[name] = quantity if acts is None else _where_it_acts(quantity, acts, part, agents)
    if not found:
        raise Missing("the frames have no entry 'action'")
    return found


def _mask_of(frames: Frames, path: Path, chosen: Tensor, agents: int) -> dict[tuple[int, ...], Tensor] | None:
    """For each part of an action given as an index, which choices its mask allows: bool [slots, choices]."""
    squeezed = chosen.squeeze(-1) if chosen.ndim > 1 and chosen.shape[-1] == 1 else chosen
    for name in MASKS:
        mask = frames.dense((*path[:-1], name))
        if mask is None or mask.dtype != torch.bool or mask.ndim < 2 + agents or chosen.is_floating_point():
            continue
        for shape in (chosen.shape, squeezed.shape):
            if mask.shape[:-1] == shape and mask.shape[-1] > 0:
                columns = mask.reshape(len(mask), -1, mask.shape[-1])
                return {part.index: columns[:, number] for number, part in enumerate(_of_tensor(chosen.reshape(shape)))}
    return None


def _action_quantity(name: str, part: Part, choices: int, mask: Tensor | None) -> Quantity:
    values, labels, forbidden = part.values, None, None
    present = values if part.there is None else values[part.there]
    if not values.is_floating_point() and len(present) and present.min() >= 0 and present.max() < LABELS:
        count = max(choices, int(present.max()) + 1, 0 if mask is None else mask.shape[1])
        labels = {float(choice): str(choice) for choice in range(count)}
        if mask is not None:
            inside = values.long() < mask.shape[1]
            forbidden = ~(inside & mask.gather(1, values.long().clamp(max=mask.shape[1] - 1).unsqueeze(1)).squeeze(1))
            never = {choice for choice in range(mask.shape[1]) if not mask[:, choice].any()}
            labels = {code: f"{word} (forbidden)" if int(code) in never else word for code, word in labels.items()}
    return Quantity(name, _double(values), labels, part.there, NOT_THERE, forbidden)


def _who_acts(frames: Frames, path: Path, agents: int) -> Tensor | None:
    """PettingZoo's mask of a group: for each agent, whether it acts in this frame: bool [slots, *agents]."""
    mask = frames.dense((*path[: path.index("action")], "mask")) if agents else None
    return mask if mask is not None and mask.dtype == torch.bool and mask.ndim == 1 + agents else None


def _where_it_acts(quantity: Quantity, acts: Tensor, part: Part, agents: int) -> Quantity:
    """Without the fillers that stand where an agent does not act."""
    own = acts.reshape(len(acts), -1)
    if own.shape[1] > 1:
        own = acts[(slice(None), *part.index[:agents])]
    there = own.reshape(len(acts))
    forbidden = None if quantity.forbidden is None else quantity.forbidden & there
    both = there if quantity.there is None else there & quantity.there
    return replace(quantity, there=both, partly=WAITS, forbidden=forbidden)


def payoff(frames: Frames, buffer: ReplayBuffer) -> dict[str, Quantity]:
    """Returns where episodes end and, of a group without them, the rewards."""
    found, with_return = {}, set()
    for path in frames.paths("episode_reward", ahead=True):
        level = path[: path.index("episode_reward")]
        ends = _flags(frames, (*level, "done")) or _flags(frames, ("next", "done"))
        totals = frames.parts(path)
        if ends is None or not any(end.values.any() for end in ends):
            continue
        with_return.add(level)
        name = name_of((*level[1:], "return", *path[len(level) + 1 :]))
        shared = len(ends) == 1 or {end.index for end in ends} != {total.index for total in totals}
        over = torch.stack([end.values.bool() for end in ends]).any(0) if shared else None
        for total in totals:
            at_end = over if over is not None else next(e.values.bool() for e in ends if e.index == total.index)
            there = at_end if total.there is None else at_end & total.there
            label = _named(name, total)
            axis = "return of an episode, at its end" if label == "return" else f"{label}, at an end"
            values = torch.where(there, _double(total.values), torch.nan)
            found[label] = Quantity(axis, values, there=there)
    for path in frames.paths("reward", ahead=True):
        if (level := path[: path.index("reward")]) in with_return:
            continue
        for part in frames.parts(path):
            label = _named(name_of(path[1:]), part)
            found[label] = Quantity(
                "reward of a step" if label == "reward" else label,
                _double(part.values),
                there=part.there,
                partly=NOT_THERE,
            )
    if not found:
        raise Missing("the frames have no entry ('next', 'reward')")
    levels = dict.fromkeys(path[: path.index("reward")] for path in frames.paths("reward", ahead=True))
    if without := [(*level, "episode_reward") for level in levels if level not in with_return]:
        frames.notes.append(
            f"Rewards stand in for returns: no frame has both done and {' or '.join(map(repr, without))}."
        )
    return found


def priority(frames: Frames, buffer: ReplayBuffer) -> dict[str, Quantity]:
    sampler = buffer.sampler
    found = getattr(sampler, "priority", None)
    if found is None and isinstance(sampler, torchrl_data.PrioritizedSampler) and sampler.alpha > 0:
        tree = sampler.state_dict()["_sum_tree"]  # TorchRL's own sampler keeps p ** alpha
        found = torch.as_tensor(tree[torch.arange(frames.count)]).double() ** (1 / sampler.alpha)
    if not isinstance(found, Tensor) or found.numel() < frames.count:
        raise Missing(f"{type(sampler).__name__} has none")
    return {"priority": Quantity("priority", _double(found.detach().cpu().flatten()[: frames.count]))}


READERS = {"age": age, "done": done, "action": action, "return": payoff, "priority": priority}


@dataclass
class Facts:
    """What the frames hold: quantities, which of them are of one kind, why some are missing, what to know besides."""

    quantities: dict[str, Quantity] = field(default_factory=dict)
    kinds: dict[str, list[str]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read(frames: Frames, buffer: ReplayBuffer) -> Facts:
    facts = Facts()
    for kind, reader in READERS.items():
        try:
            found = reader(frames, buffer)
        except Missing as reason:
            facts.missing[kind] = str(reason)
        else:
            facts.quantities |= found
            facts.kinds[kind] = list(found)
    besides = frames.besides()
    facts.notes = [*frames.notes, *frames.search(), *([besides] if besides else [])]
    return facts
