"""Any TensorDict: whatever `show`, `ReplayLens` and `flow` are given, nothing raises, and what they say is so.

Trees, groups, ragged stacks, masks and bad numbers are composed at random; what is shown is read back from the text and
compared with the data.
"""

from __future__ import annotations

import re

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from tensordict import TensorDict, lazy_stack
from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl.data import LazyTensorStorage, ListStorage, ReplayBuffer, TensorDictReplayBuffer

from course_utils.views import replay_lens
from course_utils.views.display import View
from course_utils.views.entries import leaves_of
from course_utils.views.key_flow import flow, trace
from course_utils.views.replay_lens import ReplayLens
from course_utils.views.tree import show

EXAMPLES = 60
any_input = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
BAD = [float("nan"), float("inf"), -float("inf")]
DTYPES = [torch.float32, torch.float64, torch.int64, torch.uint8, torch.bool]
FLOATS = st.one_of(
    st.floats(-100, 100, width=32), st.sampled_from([*BAD, 0.0, 1.0, 1e-11, 3e38, -3e38]), st.integers(-3, 3).map(float)
)


@st.composite
def tensors(draw, batch: tuple[int, ...], dtypes=tuple(DTYPES), own=None) -> torch.Tensor:
    """Values of any dtype and shape behind the batch size; a few at a time are drawn, and repeated."""
    own = draw(st.lists(st.integers(0, 3), max_size=2)) if own is None else own
    dtype = draw(st.sampled_from(dtypes))
    few = draw(st.lists(FLOATS, min_size=1, max_size=7))
    values = torch.tensor(few, dtype=torch.float64)
    if not dtype.is_floating_point:
        values = values.nan_to_num(0, 5, 0).clamp(0, 30)
    shape = (*batch, *own)
    count = torch.Size(shape).numel()
    return values.repeat(count // len(few) + 1)[:count].reshape(shape).to(dtype)


@st.composite
def levels(draw, batch: tuple[int, ...], depth: int = 2) -> dict:
    """A tree of entries named k0, k1, ...; the numbers are given at the end, so that a name stands once."""
    entries = []
    for _ in range(draw(st.integers(0, 4))):
        sort = draw(st.sampled_from(["tensor", "tensor", "words", "level", "group"]))
        if sort == "tensor" or depth == 0:
            entries.append(draw(tensors(batch)))
        elif sort == "words":
            entries.append(draw(st.sampled_from(["a word", "<b>&\"'"])))
        elif sort == "level":
            entries.append((batch, draw(levels(batch, depth - 1))))
        else:
            group = (*batch, draw(st.integers(1, 3)))
            entries.append((group, draw(levels(group, depth - 1))))
    return {f"e{number}": entry for number, entry in enumerate(entries)}


def build(tree: dict, batch: tuple[int, ...], names=None) -> TensorDict:
    names = names if names is not None else (f"k{number}" for number in range(10**6))
    td = TensorDict({}, batch)
    for entry in tree.values():
        td[next(names)] = build(entry[1], entry[0], names) if isinstance(entry, tuple) else entry
    return td


@st.composite
def tensordicts(draw) -> TensorDict:
    """Dense ones, and lazy stacks of which the members differ in shapes and keys."""
    if draw(st.booleans()):
        batch = tuple(draw(st.lists(st.integers(1, 4), max_size=2)))
        return build(draw(levels(batch)), batch)
    members = []
    for _ in range(draw(st.integers(1, 3))):
        own = {f"k{number}": draw(tensors(())) for number in range(draw(st.integers(0, 3)))}
        members.append(TensorDict({**own, "level": {"k9": draw(tensors(()))}}))
    return lazy_stack(members)


def line_of(text: str, key: str) -> str:
    (line,) = [line for line in text.splitlines() if line.split()[:1] in ([key], [f"{key}:"])]
    return line


def numbers(leaf) -> torch.Tensor:
    """All values of an entry."""
    value = leaf.value
    members = value.members if hasattr(value, "members") else [value]
    return torch.cat([m.flatten().double() for m in members if isinstance(m, torch.Tensor)] or [torch.zeros(0)])


def close(shown: str, value: float) -> bool:
    """Is a number shown with four digits this one?"""
    return float(shown.replace(",", "")) == pytest.approx(value, rel=1e-3, abs=1e-300)


@any_input
@given(tensordicts())
def test_show_says_what_is_there(td):
    view = show(td)
    for path, leaf in leaves_of(td):
        values = numbers(leaf)
        if isinstance(getattr(leaf.value, "value", None), str) or "mixed" in (line := line_of(view.text, path[-1])):
            continue
        for name, count in {"NaN": values.isnan().sum(), "inf": values.isinf().sum()}.items():
            assert (f"! {count} of {len(values)} {name}" in line) == bool(count)
        finite = values[values.isfinite()]
        if len(values) == 0:
            assert "no values" in line
        elif len(finite) == 0:
            assert "none is finite" in line
        elif found := re.search(r"min (\S+), mean (\S+), max ([^\s,]+)", line):
            measured = (finite.min(), (finite / len(finite)).sum(), finite.max())
            assert all(close(shown, value.item()) for shown, value in zip(found.groups(), measured, strict=True))
        elif found := re.search(r"(\d+) of (\d+) True", line):
            assert (int(found[1]), int(found[2])) == (values.sum(), len(values))
        elif found := re.search(r" only ([\d, ]+) and (\d+)", line):
            assert [*map(int, found[1].split(", ")), int(found[2])] == finite.unique().tolist()
        elif found := re.search(r"(\d+) to (\d+)", line):
            assert (int(found[1]), int(found[2])) == (finite.min(), finite.max())
        else:
            assert len(finite.unique()) == 1
            word = re.search(r"(?:all | )(True|False|-?[\d.]+(?:e[+-]\d+)?)(?:, |  |$)", line.split("]", 1)[1])[1]
            assert close({"True": "1", "False": "0"}.get(word, word), finite[0].item())
    before = td.clone()
    assert not re.search(r"[1-9]\d* (added|removed|changed|moved)", show(before, td).text)


@st.composite
def transitions(draw) -> list[TensorDict]:
    """Frames of one agent or of a group, with masks, Dict actions and bad numbers, or uneven from frame to frame."""
    count = draw(st.integers(1, 6))
    group = draw(st.sampled_from([(), ("agents",)]))
    copies = draw(st.integers(1, 3)) if group else 0
    batch = (count, copies) if group else (count,)
    action = draw(
        st.one_of(
            tensors(batch),
            st.tuples(tensors(batch), tensors(batch)).map(lambda two: TensorDict({"a": two[0], "b": two[1]}, batch)),
        )
    )
    flags = {name: draw(tensors(batch, (torch.bool,), [1])) for name in ("done", "terminated", "truncated")}
    level = {"action": action, "observation": draw(tensors(batch))}
    if draw(st.booleans()):
        level["action_mask"] = draw(tensors(batch, (torch.bool,), [draw(st.integers(1, 31))]))
    after = {"reward": draw(tensors(batch, (torch.float32,), draw(st.sampled_from([[], [1], [2]])))), **flags}
    if draw(st.booleans()):
        after["episode_reward"] = draw(tensors(batch, (torch.float32,), [1]))
    if group:
        level, after = {"agents": TensorDict(level, batch)}, {"agents": TensorDict(after, batch)}
    whole = TensorDict({**level, "next": TensorDict(after, [count])}, [count])
    items = list(whole.unbind(0))
    if count > 1 and draw(st.booleans()):
        items[0] = items[0].exclude((*group, "observation"))
        items[-1][(*group, "action")] = draw(tensors(batch[1:]))
    return items


def draw_without_picture(look, names, across):
    figure = Figure()
    for name in names:
        replay_lens._draw_panel(figure.add_subplot(), look, name)
    return View("", "")


def parts_of(value: torch.Tensor, batch_dims: int) -> dict[str, torch.Tensor]:
    """Each number of a frame by its index as the lens writes it; a last dimension of one is left out."""
    shape = list(value.shape[1:])
    while shape and shape[-1] == 1:
        shape.pop()
    found = {}
    for place in range(torch.Size(shape).numel()):
        index = torch.unravel_index(torch.tensor(place), shape) if shape else ()
        name = f"[{', '.join(str(int(i)) for i in index)}]" if shape else ""
        found[name] = value.reshape(len(value), *(shape or [-1]))[(slice(None), *index)].flatten().double()
    return found


@any_input
@given(transitions())
def test_the_lens_says_what_is_stored(items):
    try:
        whole = torch.stack(items)
        buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(10), batch_size=4)
        buffer.extend(whole)
    except RuntimeError:
        whole = None
        buffer = ReplayBuffer(storage=ListStorage(10), batch_size=4)
        buffer.extend(items)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay_lens, "_figure", draw_without_picture)
        lens = ReplayLens(buffer, draws=20)
    rows = {re.split(r"  +", line.strip())[0]: re.split(r"  +", line.strip())[1:] for line in lens.text.splitlines()}
    for name in lens.quantities:
        values = lens.stored(name)
        assert len(values) == len(items)
        there = lens._look.quantities[name].there
        values = values if there is None else values[there]
        finite = values[values.isfinite()]
        for word, odd in {"NaN": values.isnan(), "inf": values.isinf()}.items():
            shown = rows.get(f"{name}: {word}")
            assert shown is None or shown[0] in (f"{odd.sum()} of {len(values)}", "–")
            assert shown is not None or not odd.any()
        if mean := rows.get(f"mean {name}"):
            assert (
                mean[0] == "–"
                if len(finite) == 0
                else abs(float(mean[0].replace(",", "")) - float((finite / len(finite)).sum()))
                <= max(0.0051, 0.51 * 10**-2 * finite.abs().max())
            )
        for code, label in (lens._look.quantities[name].labels or {}).items():
            share = 100 * (values == code).double().mean().item()
            assert rows[f"{name}: {label}"][0] == f"{share:.1f} %" or len(values) == 0
    if whole is None:
        return
    for path, leaf in leaves_of(whole):
        if "action" in path or path[-1] == "reward":
            base = "/".join(path[1:] if path[0] == "next" else path)
            given = leaf.value
            for index, expected in parts_of(given, leaf.batch_dims).items():
                if base + index in lens.quantities:
                    assert torch.equal(lens.stored(base + index).nan_to_num(7), expected.nan_to_num(7))
                elif "action" in path:  # read as one-hot, then
                    assert torch.equal((given != 0).sum(-1), torch.ones(given.shape[:-1]))
                else:
                    assert any(name.endswith("return" + index) or "return" in name for name in lens.quantities)


class Answer:
    """One column for each key to write; a key that is not there reaches a module as None."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __call__(self, *arguments):
        if any(argument is None for argument in arguments):
            raise KeyError
        return tuple(torch.zeros(2, 1) for _ in range(self.count)) if self.count > 1 else torch.zeros(2, 1)


KEYS = st.sampled_from(["a", "b", ("g", "a"), ("g", "b"), ("g", "h", "a"), "g", ("g", "h")])
LEAVES = ["a", "b", ("g", "a"), ("g", "b"), ("g", "h", "a")]


@any_input
@given(
    st.lists(st.sampled_from(LEAVES), unique=True),
    st.lists(
        st.tuples(
            st.lists(KEYS, min_size=1, max_size=2),
            st.lists(st.sampled_from(LEAVES), min_size=1, max_size=2, unique=True),
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_flow_calls_missing_what_the_chain_misses(given_keys, chain):
    data = TensorDict({}, [2])
    for key in given_keys:
        data[key] = torch.zeros(2, 1)
    modules = TensorDictSequential(*(TensorDictModule(Answer(len(writes)), reads, writes) for reads, writes in chain))
    found = trace(modules, data)
    try:
        modules(data.clone())
        assert not found.missing
    except KeyError:
        assert found.missing
    text = flow(modules, data).text
    assert all(f"MISSING: {key!r}" in text for key in found.missing)
    for key in found.outside:
        assert (key in data.keys(True)) != (key in found.missing)
