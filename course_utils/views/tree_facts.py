"""What there is to say about a TensorDict, computed and not yet drawn: `course_utils.views.tree` draws it.

It reads shapes and a sample of the values; it changes, stacks, unlocks and moves nothing.
"""

from __future__ import annotations

import math
import re
import reprlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import torch
from tensordict import (
    LazyStackedTensorDict,
    MemoryMappedTensor,
    NonTensorStack,
    TensorDictParams,
    UnbatchedTensor,
    is_non_tensor,
    is_tensorclass,
)

from course_utils.views.finite import SEARCHED, in_words, not_finite

SAMPLE = 10_000  # of an entry with many more values, about so many are read
PARTS = 1_000  # of tensors of unequal shapes in a lazy stack, values of at most about so many are read
FEW = 5  # up to so many different integers are listed
BINS, BLOCKS = 12, "▁▂▃▅▇"
Shape = tuple[Any, ...]  # sizes; None where stacked sizes differ, ... where even their number does


# --------------------------------------------------------------------------------- what lies where
class Plain(NamedTuple):
    """A non-tensor entry."""

    value: Any
    stacked: bool = False


class Stack(NamedTuple):
    """What the tensordicts of a lazy stack hold under one key, left unstacked: shapes may differ."""

    parts: list
    dim: int
    of: int  # tensordicts in the stack; more than there are parts where some lack the key


def as_stack(node):
    """A lazy stack, also one inside a tensorclass, as a Stack; anything else as it is."""
    inner = node._tensordict if is_tensorclass(node) else node
    if isinstance(inner, LazyStackedTensorDict):
        return Stack(inner.tensordicts, inner.stack_dim, len(inner.tensordicts))
    return node


def open_level(node) -> dict[str, Any]:
    """The entries of one level by key: each a tensor, a Plain, a Stack or a further level."""
    if is_tensorclass(node):
        unset = {key: Plain(value) for key, value in node._non_tensordict.items()}
        return {**open_level(node._tensordict), **unset}
    if isinstance(node, TensorDictParams):
        return open_level(node._param_td)
    node = as_stack(node)
    if not isinstance(node, Stack):
        return {key: _unwrap(value) for key, value in node.items()}
    opened = [open_level(part) for part in node.parts]
    keys = dict.fromkeys(chain.from_iterable(opened))
    return {key: node._replace(parts=[entries[key] for entries in opened if key in entries]) for key in keys}


def _unwrap(value):
    if isinstance(value, NonTensorStack):
        return Plain(value.tolist(), stacked=True)
    if is_non_tensor(value):
        return Plain(value.data)
    if isinstance(value, torch.Tensor) and value.is_nested:
        return Stack(list(value.unbind()), 0, value.size(0))
    return value


def sort_of(value) -> str:
    """One of tensor, non-tensor, level; or mixed, where a lazy stack holds several of them under one key."""
    if isinstance(value, Stack):
        sorts = {sort_of(part) for part in value.parts}
        return sorts.pop() if len(sorts) == 1 else "mixed"
    return "tensor" if isinstance(value, torch.Tensor) else "non-tensor" if isinstance(value, Plain) else "level"


def leaves(value) -> Iterator:
    """The tensors, Plains and Stacks of them that stand in a level, at any depth; or the entry itself."""
    if sort_of(value) == "level":
        yield from chain.from_iterable(map(leaves, open_level(value).values()))
    else:
        yield value


def _pieces(value) -> Iterator:
    for leaf in leaves(value):
        if isinstance(leaf, Stack):
            yield from chain.from_iterable(map(_pieces, leaf.parts))
        else:
            yield leaf


def tensors_in(value) -> list[torch.Tensor]:
    return [piece for piece in _pieces(value) if isinstance(piece, torch.Tensor)]


def shape_of(value) -> Shape:
    """The shape of a tensor or of a stack of them, or the batch size of a level."""
    if not isinstance(value, Stack):
        sizes = value.shape if isinstance(value, torch.Tensor) else value.batch_size
        return tuple(None if size == -1 else size for size in sizes)  # a lazy stack says -1 where sizes differ
    shapes = [shape_of(part) for part in value.parts]
    if len({len(shape) for shape in shapes}) != 1:
        return (value.of, ...)
    merged = [sizes[0] if len(set(sizes)) == 1 else None for sizes in zip(*shapes, strict=True)]
    return (*merged[: value.dim], value.of, *merged[value.dim :])


def dtype_of(value) -> str:
    return _each(value, lambda tensor: tensor.dtype)


def device_of(value) -> str:
    """Where its tensors are; several devices where they differ."""
    return _each(value, lambda tensor: tensor.device)


def _each(value, fact) -> str:
    return ", ".join(sorted({str(fact(tensor)).removeprefix("torch.") for tensor in tensors_in(value)}))


def own_device(node) -> str:
    """The device a level was given; empty where it was given none."""
    if isinstance(node, Stack):
        devices = {own_device(part) for part in node.parts}
        return devices.pop() if len(devices) == 1 else ""
    return "" if node.device is None else str(node.device)


def bytes_of(value) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors_in(value))


def kind_of(node) -> str:
    if not isinstance(node, Stack):
        return type(node).__name__
    kinds = sorted({kind_of(part) for part in node.parts})
    return "LazyStackedTensorDict" if "TensorDict" in kinds else ", ".join(kinds)


def _absent(value) -> list[str]:
    """Says in how many of the stacked tensordicts it is, where that is not all of them."""
    if not isinstance(value, Stack):
        return []
    own = [f"in {len(value.parts)} of {value.of}"] if len(value.parts) < value.of else []
    return own + list(dict.fromkeys(chain.from_iterable(map(_absent, value.parts))))


def marks_of(node) -> list[str]:
    """What else there is to say about a level: that it is locked, memory-mapped, stacked."""
    stack = as_stack(node)
    if not isinstance(stack, Stack):
        return ["locked"] * node.is_locked + ["memory-mapped"] * node.is_memmap()
    in_all = set.intersection(*(set(marks_of(part)) for part in stack.parts)) if stack.parts else set()
    return [f"lazy stack of {stack.of} along dimension {stack.dim}", *_absent(stack), *sorted(in_all)]


# --------------------------------------------------------------------------------- values
def _whole(value) -> torch.Tensor:
    if isinstance(value, Stack):
        return torch.stack([_whole(part) for part in value.parts], value.dim)
    return value.detach().as_subclass(torch.Tensor).cpu()


def _pick(value, index: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """The values at some places, given as one tensor of indices for each dimension."""
    if not isinstance(value, Stack):
        return value.detach().as_subclass(torch.Tensor)[index].reshape(-1).cpu()
    which, rest = index[value.dim], index[: value.dim] + index[value.dim + 1 :]
    numbers, counts = which.unique(return_counts=True)
    groups = which.argsort(stable=True).split(counts.tolist())
    picked = [
        _pick(value.parts[number], tuple(places[group] for places in rest))
        for number, group in zip(numbers.tolist(), groups, strict=True)
    ]
    return torch.cat(picked)[torch.cat(groups).argsort()]


def _read(value, limit: int) -> torch.Tensor:
    """About `limit` values of an entry that has one shape, or all if there are fewer than twice as many."""
    shape = shape_of(value)
    total = math.prod(shape)
    step = max(1, total // limit)
    if step == 1:
        return _whole(value).reshape(-1)
    while math.gcd(step, total) > 1:  # a stride that divides the last size would only ever see one column
        step += 1
    return _pick(value, torch.unravel_index(torch.arange(0, total, step, device="cpu"), shape))


def sample(value) -> tuple[np.ndarray, int] | None:
    """An entry's values, or about 10,000 of many, and how many there are in all; None where none can be read.

    A tensor and a lazy stack with the same content give the same sample.
    """
    tensors, shape = tensors_in(value), shape_of(value)
    if any(t.is_meta or t.is_complex() or t.is_quantized or t.layout != torch.strided for t in tensors):
        return None
    total = sum(tensor.numel() for tensor in tensors)
    if None not in shape and ... not in shape and math.prod(shape) == total:
        read = _read(value, SAMPLE)
    else:
        some = tensors[:: max(1, len(tensors) // PARTS)]
        read = torch.cat([_read(tensor, SAMPLE // len(some)) for tensor in some])
    return (read.double() if read.is_floating_point() else read).numpy(), total


def count_not_finite(value) -> dict[str, int]:
    """How many values of an entry are NaN and how many infinite; all are looked at."""
    return dict(sum((Counter(not_finite(tensor)) for tensor in tensors_in(value)), Counter()))


@dataclass
class Values:
    """What an entry's values are like: all of them or, where `seen` is less than `total`, a sample.

    Attributes:
        sort: bool, int or float.
        low, mean, high: of the finite values; None where there is none.
        distinct: the different values of integers, if they are few; else empty.
        true: how many of the seen are.
        nan, inf: how many of the searched are: all, unless there are more than 20,000,000.
        histogram: counts in equal bins from low to high; empty where it would not help.
    """

    sort: str
    seen: int
    total: int
    low: float | None = None
    mean: float | None = None
    high: float | None = None
    distinct: list[int] = field(default_factory=list)
    true: int = 0
    nan: int = 0
    inf: int = 0
    histogram: list[int] = field(default_factory=list)
    searched: int = 0

    @property
    def words(self) -> str:
        if self.total == 0:
            return "no values"
        if self.seen == self.total:
            return self._range()
        doubt = ", for NaN too" if self.sort == "float" and self.searched < self.total else ""
        return f"{self._range()} (of {self.seen:,} sampled{doubt})"

    def _range(self) -> str:
        if self.sort == "bool" and 0 < self.true < self.seen:
            return f"{self.true:,} of {self.seen:,} True"
        if self.low is None:
            return "none is finite"
        if self.low == self.high:
            every = "the others all " if self.alarms else "all " if self.total > 1 else ""
            return f"{every}{bool(self.low) if self.sort == 'bool' else number(self.low)}"
        if self.distinct:
            *first, last = map(number, self.distinct)
            return f"only {', '.join(first)} and {last}"
        if self.sort == "int":
            return f"{number(self.low)} to {number(self.high)}"
        return f"min {number(self.low)}, mean {number(self.mean)}, max {number(self.high)}"

    @property
    def alarms(self) -> list[str]:
        counts = {"NaN": self.nan, "inf": self.inf}
        return [in_words({name: count}, self.searched) for name, count in counts.items() if count]

    @property
    def sparkline(self) -> str:
        """The histogram in block characters; the lowest stands for an empty bin alone."""
        top, steps = max(self.histogram, default=0), len(BLOCKS) - 1
        return "".join(BLOCKS[math.ceil(steps * count / top)] for count in self.histogram)

    @property
    def sparkline_words(self) -> str:
        place = self.low + (np.argmax(self.histogram) + 0.5) * (self.high - self.low) / BINS
        return f"histogram from {number(self.low)} to {number(self.high)}, highest near {number(place)}"


def summarise(array: np.ndarray, total: int) -> Values:
    """Describe a flat array of values, which are all or a sample of `total`."""
    sort = {"b": "bool", "f": "float"}.get(array.dtype.kind, "int")
    values = Values(sort, len(array), total, searched=len(array))
    if sort == "bool":
        values.true = int(array.sum())
    if sort == "float":
        values.nan, values.inf = int(np.isnan(array).sum()), int(np.isinf(array).sum())
        array = array[np.isfinite(array)]
    if len(array) == 0:
        return values
    different = np.unique(array)
    values.low, values.high = different[0].item(), different[-1].item()
    values.mean, width = float((array / len(array)).sum()), float(values.high) - float(values.low)
    if sort == "int" and len(different) <= FEW:
        values.distinct = different.tolist()
    if sort == "float" and len(different) > 2 * FEW and math.isfinite(width):
        values.histogram = np.histogram((array - values.low) / width, BINS, (0, 1))[0].tolist()
    return values


# --------------------------------------------------------------------------------- in words
def number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value + 0.0:.4g}"  # + 0.0 makes -0 a 0


def human(count: int) -> str:
    """A number of bytes in units of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.4g} TB"


def sizes_words(shape: Iterable) -> str:
    return ", ".join("varies" if size is None else "ranks vary" if size is ... else str(size) for size in shape)


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60


def short(value) -> str:
    """A repr of one line without memory addresses, which change from run to run."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", " ".join(_SHORT.repr(value).split()))


def content(value) -> Any:
    """What a non-tensor entry holds; a list for a stack."""
    return [content(part) for part in value.parts] if isinstance(value, Stack) else value.value


def _items(value) -> list:
    """All that a non-tensor entry holds, whatever the stack's shape."""
    items = [content(value)]
    if isinstance(value, Plain) and not value.stacked:
        return items
    while any(isinstance(item, list) for item in items):
        items = list(chain.from_iterable(item if isinstance(item, list) else [item] for item in items))
    return items


def is_unset(value) -> bool:
    """Is it a field of a tensorclass, such as `LogProbs.full`, to which nothing was given?"""
    return sort_of(value) == "non-tensor" and all(item is None for item in _items(value))


def _type_words(value) -> str:
    if isinstance(value, Plain) and not value.stacked:
        return type(value.value).__name__
    return "stack of " + ", ".join(dict.fromkeys(type(item).__name__ for item in _items(value)))


def content_words(value) -> str:
    """What a non-tensor entry holds; of a stack of one and the same flag, that flag."""
    items = _items(value)
    if len(items) > 1 and all(item is items[0] for item in items) and isinstance(items[0], bool):
        return f"all {items[0]}"
    return short(content(value))


# --------------------------------------------------------------------------------- facts of a tree
@dataclass
class Entry:
    """One tensor or non-tensor, or what a lazy stack holds under one key.

    Attributes:
        dtype: without "torch."; for a non-tensor the name of its type.
        shape: None for a non-tensor, whose dtype is empty where nothing was set; the first `batch_dims` of its sizes
            are the batch size.
        device: empty for a non-tensor.
        device_differs: is it elsewhere than the device that the tree's head names?
        values: None where there are none to read; then a note says why.
        notes: what else there is to say.
    """

    key: str
    dtype: str
    shape: Shape | None = None
    batch_dims: int = 0
    device: str = ""
    device_differs: bool = False
    bytes: int = 0
    values: Values | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def shape_words(self) -> str:
        if self.shape is None:
            return "non-tensor" if self.dtype else "not set"
        batch, own = self.shape[: self.batch_dims], self.shape[self.batch_dims :]
        if not batch or ... in self.shape:
            return f"[{sizes_words(self.shape)}]"
        return f"[{sizes_words(batch)} | {sizes_words(own)}".rstrip() + "]"

    @property
    def dtype_words(self) -> str:
        return f"{self.dtype} on {self.device}" if self.device_differs else self.dtype

    @property
    def words(self) -> str:
        return ", ".join([self.values.words, *self.notes] if self.values else self.notes)

    @property
    def alarms(self) -> list[str]:
        return self.values.alarms if self.values else []

    @property
    def sparkline(self) -> str:
        return self.values.sparkline if self.values else ""


@dataclass
class Level:
    """One TensorDict of the tree.

    Attributes:
        key: empty for the whole tree.
        device: in words; empty where it is that of the tree.
        marks: what else there is to say, unless a level above says it.
        count, bytes: of all entries at any depth, shown or not.
        width: how many entries and levels are directly in it, shown or not.
        entries, levels: those that are shown.
    """

    key: str
    kind: str
    batch_size: Shape
    device: str
    marks: list[str]
    count: int
    bytes: int
    width: int
    entries: list[Entry] = field(default_factory=list)
    levels: list[Level] = field(default_factory=list)

    @property
    def hidden(self) -> int:
        return self.width - len(self.entries) - len(self.levels)

    @property
    def facts(self) -> list[str]:
        count = f"{self.count:,} {'entry' if self.count == 1 else 'entries'}"
        facts = [f"batch size [{sizes_words(self.batch_size)}]", self.device, count, human(self.bytes), *self.marks]
        return [fact for fact in facts if fact]


def read_entry(key: str, value, batch_dims: int = 0, main_device: str = "") -> Entry:
    """The facts of one entry of a level with `batch_dims` batch dimensions, in a tree on `main_device`."""
    sort, notes = sort_of(value), _absent(value)
    if is_unset(value):
        return Entry(key, "", notes=notes)
    if sort == "non-tensor":
        return Entry(key, _type_words(value), notes=[content_words(value), *notes])
    if sort == "level":
        return Entry(key, kind_of(value), shape_of(value), len(shape_of(value)), notes=["empty"])
    if sort == "mixed":
        return Entry(
            key, "mixed", bytes=bytes_of(value), notes=["not the same sort of entry in the whole stack", *notes]
        )
    entry = Entry(key, dtype_of(value), shape_of(value), batch_dims, device_of(value), bytes=bytes_of(value))
    entry.device_differs = entry.device != main_device
    entry.notes = notes
    if isinstance(value, UnbatchedTensor):
        entry.batch_dims = 0
        notes.append("has no batch size (UnbatchedTensor)")
    read = sample(value)
    if read:
        entry.values = summarise(*read)
        if entry.values.sort == "float" and entry.values.seen < entry.values.total <= SEARCHED:
            found = count_not_finite(value)
            entry.values.nan, entry.values.inf = found.get("NaN", 0), found.get("inf", 0)
            entry.values.searched = entry.values.total
    else:
        notes.append("no values on meta" if "meta" in entry.device else "values not shown")
    return entry


def _device_words(node) -> str:
    own, found = own_device(node), device_of(node)
    if own:
        return f"device {own}"
    return "no device set" + (f", {'' if ',' in found else 'all '}on {found}" if found else "")


def read_level(node, rows: int, key: str = "", main_device: str | None = None, said: frozenset = frozenset()) -> Level:
    """The facts of a TensorDict or tensorclass and of all that is in it.

    Args:
        node: what to read; in a lazy stack, a Stack of levels.
        rows: of each level at most so many entries and levels are read; all are counted.
        key: under which it stands in the level above.
        main_device: of the tree; None for the whole tree.
        said: the marks of the levels above.
    """
    opened, marks = open_level(node), marks_of(node)
    is_root = main_device is None
    main_device = own_device(node) or device_of(node) if is_root else main_device
    level = Level(
        key,
        kind_of(node),
        shape_of(node),
        device=_device_words(node) if is_root or own_device(node) not in ("", main_device) else "",
        marks=[mark for mark in marks if mark not in said],
        count=sum(1 for _ in leaves(node)),
        bytes=bytes_of(node),
        width=len(opened),
    )
    entries_first = sorted(opened.items(), key=lambda item: sort_of(item[1]) == "level")
    for name, value in entries_first[:rows]:
        if sort_of(value) == "level":
            level.levels.append(read_level(value, rows, name, main_device, said.union(marks)))
            continue
        entry = read_entry(name, value, len(level.batch_size), main_device)
        if "memory-mapped" not in marks and all(isinstance(t, MemoryMappedTensor) for t in tensors_in(value) or [0]):
            entry.notes.append("memory-mapped")
        level.entries.append(entry)
    return level
