"""A rollout as something to look at step by step: what was seen, believed and done, by one agent or by many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from tensordict import TensorDictBase, is_non_tensor

from course_utils.views.finite import plain_values, readable
from course_utils.views.frames import Film, film_of

KEPT = 64  # numbers of an observation
ENDS = ("done", "terminated", "truncated")
MASKS = ("action_mask", "mask")
BELIEFS = {"action_value": "Q-value", "logits": "probability", "probs": "probability"}
WRITTEN = {  # what policies write beside the action, by TorchRL's names
    *BELIEFS,
    *("chosen_action_value", "action_log_prob", "sample_log_prob", "log_prob", "state_value", "state_action_value"),
    *("loc", "scale", "param", "params", "hidden", "embedding", "embed", "entropy", "advantage", "value_target"),
}
NO_NUMBERS = {"is_init", "pixels", "_reset", "_ts", "_step"}

Path = tuple[str | int, ...]


def words_of(path: Path) -> str:
    """("agents", 0, "action") as "agents 0 action"."""
    return " ".join(map(str, path))


def leaves(step: TensorDictBase, path: Path = ()) -> Iterator[tuple[Path, object]]:
    """Every leaf of one step, but for `next`; a group of agents is taken apart, so that each has its own."""
    for key, value in step.items():
        place = (*path, key)
        if key == "next" and not path:
            continue
        if not isinstance(value, TensorDictBase):
            yield place, value
        elif value.batch_dims > step.batch_dims and value.shape:
            for number, agent in enumerate(value.unbind(0)):
                yield from leaves(agent, (*place, number))
        else:
            yield from leaves(value, place)


@dataclass
class Part:
    """One action: that of an agent, or one of several that together are the action.

    Attributes:
        label: whose or which it is; empty where there is only one.
        values: for each step what was written, flat; None where it was not.
        counted: the values are indices of actions or one-hot; else they are numbers in themselves.
        one_hot: each step's value is a vector with a single one.
        real: the values were written as floating-point numbers.
        belief: what `beliefs` are, "Q-value" or "probability"; empty where there are none.
        beliefs: for each step one number per action.
        allowed: for each step, for each action whether it may be taken; None where nothing is said.
        acts: for each step whether the agent acts in it; None where nothing is said.
    """

    label: str
    values: list[np.ndarray | None]
    counted: bool
    one_hot: bool
    real: bool
    belief: str = ""
    beliefs: list[np.ndarray] | None = None
    allowed: list[np.ndarray] | None = None
    acts: list[bool] | None = None

    def waits(self, step: int) -> bool:
        """Does the agent not act at this step? What stands there as its action is then a filler."""
        return self.acts is not None and not self.acts[step]

    def index(self, step: int) -> int | None:
        """Which action was taken, where actions are counted and this one has a single part."""
        value = self.values[step]
        if not self.counted or value is None or self.waits(step):
            return None
        return int(value.argmax()) if self.one_hot else int(value[0])

    def value(self, step: int) -> int | np.ndarray | None:
        """The index of the action, or all its numbers; None where the agent does not act."""
        if self.waits(step):
            return None
        index = self.index(step)
        return self.values[step] if index is None else index


@dataclass(frozen=True)
class Moment:
    """One step of one episode.

    Attributes:
        step: its number, from 0.
        frame: uint8 array [height, width, 3], what there was to see before the action.
        observation: float array [n], of what was seen at most the first 64 numbers; None once the episode is over.
        action: what the agent did: an index, or an array of numbers; where there are several, {whose: that}. None
            once the episode is over, or where none was written.
        reward: what it got for that, several agents together; None once the episode is over.
        total: the rewards of the episode up to and including this step.
        beliefs: one number per action (Q-values or probabilities), or {whose: those}; None where there are none.
        end: how the episode ended at this step or before it; empty while it goes on.
        over: the last step is behind.
    """

    step: int
    frame: np.ndarray
    observation: np.ndarray | None
    action: int | np.ndarray | dict | None
    reward: float | None
    total: float
    beliefs: np.ndarray | dict | None
    end: str
    over: bool = False


@dataclass
class _Read:
    """What the steps hold: for each path its value at each step, as a flat array."""

    values: dict[Path, list[np.ndarray | None]] = field(default_factory=dict)
    floating: dict[Path, bool] = field(default_factory=dict)
    narrow: dict[Path, bool] = field(default_factory=dict)
    single: dict[Path, bool] = field(default_factory=dict)
    other: set[str] = field(default_factory=set)
    sizes: set[str] = field(default_factory=set)
    words: dict[Path, list[str | None]] = field(default_factory=dict)

    def note(self, count: int, step: int, path: Path, value) -> None:
        value = value.data if is_non_tensor(value) else value
        if isinstance(value, str) and "action" in path:
            self.words.setdefault(path, [None] * count)[step] = value
            return
        if not isinstance(value, torch.Tensor) or not readable(value):
            self.other.add(words_of(path))
            return
        self.floating[path] = self.floating.get(path, False) or value.is_floating_point()
        self.narrow[path] = value.dtype == torch.int8
        self.single[path] = value.ndim == 0
        flat = plain_values(value).reshape(-1)
        if flat.is_complex():
            self.sizes.add(words_of(path))
            flat = flat.abs()
        kept = flat.double().numpy()
        self.values.setdefault(path, [None] * count)[step] = kept


class Track:
    """A rollout of T steps with its frames, ready to be looked at step by step; arguments as in `EpisodeScrubber`."""

    def __init__(self, rollout: TensorDictBase, frames=None) -> None:
        if not isinstance(rollout, TensorDictBase):
            raise TypeError(
                f"A rollout is a TensorDict; this is a {type(rollout).__name__}. Use env.rollout(100, policy)."
            )
        if rollout.ndim == 1 and len(rollout) == 0:
            raise ValueError("This rollout has no step: there is nothing to step through.")
        if rollout.ndim == 0:
            raise ValueError("A rollout has shape [time]; this is a single step. Stack several: torch.stack(steps).")
        if rollout.ndim != 1:
            raise ValueError(
                f"A rollout has shape [time]; this one has {list(rollout.shape)}. Take one row: rollout[0]."
            )
        self.steps = len(rollout)
        self.frames = _frames_of(rollout, frames)
        now, after = _Read(), _Read()
        for step, one in enumerate(rollout.unbind(0)):
            for path, value in leaves(one):
                if path[-1] not in NO_NUMBERS:
                    now.note(self.steps, step, path, value)
            following = one.get("next", None)
            for path, value in leaves(following) if isinstance(following, TensorDictBase) else ():
                if path[-1] not in NO_NUMBERS:
                    after.note(self.steps, step, path, value)
        acting = _action_paths(now, after)
        self.parts = [_part(now, path, len(acting) > 1) for path in acting]
        self.words = {words_of(path): words for path, words in now.words.items()}
        self.unread = any("action" in name.split() for name in now.other)
        rewards = {path[:-1]: values for path, values in after.values.items() if path[-1] == "reward"}
        self.reward_parts = {
            path: [None if value is None or not len(value) else value for value in values]
            for path, values in rewards.items()
        }
        self.rewards = _sums(self.reward_parts, self.steps)
        self.ends, self.some_ended = _ends_of(after, self.steps)
        self.totals = _totals(self.rewards, self.ends)
        seen = _observed(now, after, acting)
        self.labels = _labels(now, seen)
        rows = [_row_of(now, seen, step) for step in range(self.steps)]
        self.observations, self.there = np.stack([row for row, _ in rows]), np.stack([there for _, there in rows])
        self.seen_numbers = sum(max((len(v) for v in now.values[path] if v is not None), default=0) for path in seen)
        self.notes = [*_bad_numbers(now, after, acting, seen, self.parts), *_left_out(now, acting, seen, self.parts)]
        if complex_ones := sorted(now.sizes | {name for name in after.sizes if name.split()[-1] == "reward"}):
            self.notes.append(f"Complex numbers, shown by their size: {', '.join(complex_ones)}.")

    def __len__(self) -> int:
        """How many moments there are: one more than steps where the frame after the last step was kept."""
        return len(self.frames)

    @property
    def belief(self) -> str:
        """What all beliefs of the track are: "Q-value" or "probability"; empty where there are none, or both."""
        kinds = {part.belief for part in self.parts}
        return kinds.pop() if len(kinds) == 1 else ""

    def at(self, step: int) -> Moment:
        """What there is to see at a step; the last moment stays when the episode is over."""
        step = min(step, len(self) - 1)
        last, over = min(step, self.steps - 1), step == self.steps
        end = self.ends[last] or ("cut off" if over else "")
        total, frame = float(self.totals[last]), self.frames[step]
        if over:
            return Moment(step, frame, None, None, None, total, None, end, over=True)
        action = _single({part.label: part.value(step) for part in self.parts})
        beliefs = _single({part.label: part.beliefs[step] for part in self.parts if part.beliefs is not None})
        reward = float(self.rewards[step])
        return Moment(step, frame, self.observations[step], action, reward, total, beliefs, end)

    def rewarded(self, step: int) -> bool:
        """Does the step have a reward?"""
        return any(values[step] is not None for values in self.reward_parts.values())

    def rewards_at(self, step: int) -> dict[str, np.ndarray]:
        """Each agent's reward, where there are several."""
        found = {words_of(path): values[step] for path, values in self.reward_parts.items() if values[step] is not None}
        return found if len(found) > 1 or any(len(value) > 1 for value in found.values()) else {}

    def chosen(self) -> dict[str, list[tuple[int, float]]]:
        """What was believed of the actions taken, for each part with beliefs: (step, belief) where one was taken."""
        return {
            part.label: [
                (step, _at(part.beliefs[step], index))
                for step in range(self.steps)
                if (index := part.index(step)) is not None
            ]
            for part in self.parts
            if part.beliefs is not None
        }


def _at(beliefs: np.ndarray, index: int) -> float:
    return float(beliefs[index]) if 0 <= index < len(beliefs) else float("nan")


def _single(found: dict):
    if len(found) == 1:
        return next(iter(found.values()))
    return found or None


def _frames_of(rollout: TensorDictBase, frames) -> Film:
    if frames is None:
        if "pixels" not in rollout:
            raise ValueError(
                "There are no frames. Record them with record_episode(...).frames, or make the environment with "
                "GymEnv(name, from_pixels=True, pixels_only=False)."
            )
        after = rollout.get(("next", "pixels"), None)
        frames = rollout["pixels"] if after is None else torch.cat([rollout["pixels"], after[-1:]])
    film = film_of(frames)
    if len(film) - len(rollout) not in (0, 1):
        raise ValueError(f"{len(rollout)} steps need as many frames, or one more for the end; there are {len(film)}.")
    return film


def _action_paths(now: _Read, after: _Read) -> list[Path]:
    """The leaves that are actions: those of that name, else what a policy wrote under names of its own (a Dict)."""
    named = [path for path in now.values if path[-1] == "action"]
    if named:
        return named
    below = [path for path in now.values if "action" in path[:-1] and path[-1] not in (*WRITTEN, *MASKS)]
    if below:
        return below
    if not any(path[-1] not in (*ENDS, "reward") for path in after.values):
        return []  # what was seen next was not kept, so what was written cannot be told from what was seen
    return [
        path for path in now.values if path not in after.values and path[-1] not in (*WRITTEN, *MASKS, *ENDS, "reward")
    ]


def _part(now: _Read, path: Path, several: bool) -> Part:
    values, floating = now.values[path], now.floating[path]
    given = [value for value in values if value is not None]
    sizes = {len(value) for value in given}
    size = sizes.pop() if len(sizes) == 1 else 0
    kind, beliefs = _beliefs_of(now, path[:-1])
    agree = beliefs is not None and all(len(row) == size for row in beliefs)
    # int8 is how TorchRL writes MultiBinary, where a single one is an accident.
    one_hot = (
        size > 1
        and not floating
        and (agree or not now.narrow[path])
        and all(np.isin(value, (0, 1)).all() and value.sum() == 1 for value in given)
    )
    counted = not floating and (size == 1 or one_hot)
    label = words_of(path[:-1] if path[-1] == "action" else path) if several else ""
    part = Part(label, values, counted, one_hot, floating)
    if counted and beliefs is not None and _belong(part, beliefs):
        part.belief, part.beliefs = kind, beliefs
    part.acts = _acts(now, path[: path.index("action")] if "action" in path else path[:-1])
    part.allowed = _allowed(now, path[:-1], part)
    return part


def _acts(now: _Read, place: Path) -> list[bool] | None:
    """PettingZoo's mask of a group: one value for each agent, whether it acts in this step."""
    path = (*place, "mask")
    rows = now.values.get(path)
    if rows is None or not place or not isinstance(place[-1], int) or not now.single[path]:
        return None
    return [row is None or bool(row[0]) for row in rows]


def _belong(part: Part, beliefs: list[np.ndarray]) -> bool:
    """Is there one belief for each action that could have been taken?"""
    for value, row in zip(part.values, beliefs, strict=True):
        if value is not None and (len(row) != len(value) if part.one_hot else not 0 <= value[0] < len(row)):
            return False
    return len({len(row) for row in beliefs}) == 1


def _beliefs_of(now: _Read, place: Path) -> tuple[str, list[np.ndarray] | None]:
    for name, kind in BELIEFS.items():
        rows = now.values.get((*place, name))
        if rows is not None and all(row is not None for row in rows):
            return kind, [_softmax(row) for row in rows] if name == "logits" else rows
    return "", None


def _softmax(logits: np.ndarray) -> np.ndarray:
    return torch.as_tensor(logits).softmax(-1).numpy()


def _allowed(now: _Read, place: Path, part: Part) -> list[np.ndarray] | None:
    for name in MASKS:
        rows = now.values.get((*place, name))
        if rows is None or any(row is None for row in rows) or not part.counted or now.single[(*place, name)]:
            continue
        counts = {len(row) for row in rows}
        if len(counts) == 1 and (part.beliefs is None or counts == {len(part.beliefs[0])}):
            return [row.astype(bool) for row in rows]
    return None


def _sums(parts: dict[Path, list], steps: int) -> np.ndarray:
    totals = np.zeros(steps)
    for values in parts.values():
        for step, value in enumerate(values):
            totals[step] += 0.0 if value is None else value.sum()
    return totals


def _ends_of(after: _Read, steps: int) -> tuple[list[str], list[str]]:
    """For each step how the episode ended there, or ""; and how many of several agents ended, in words, or ""."""
    ends, some = [""] * steps, [""] * steps
    for name in ("truncated", "terminated"):
        root = after.values.get((name,))
        columns = [root] if root is not None else [values for path, values in after.values.items() if path[-1] == name]
        for step in range(steps):
            flags = [column[step] for column in columns if column[step] is not None]
            flat = np.concatenate(flags) if flags else np.zeros(0)
            if len(flat) and flat.all():
                ends[step] = name
            elif flat.any():
                some[step] = f"{int(flat.astype(bool).sum())} of {len(flat)} agents {name}"
    return ends, some


def _totals(rewards: np.ndarray, ends: list[str]) -> np.ndarray:
    totals, total = [], 0.0
    for reward, end in zip(rewards, ends, strict=True):
        total += reward
        totals.append(total)
        total = 0.0 if end else total
    return np.array(totals)


def _observed(now: _Read, after: _Read, acting: list[Path]) -> list[Path]:
    """What the environment showed: what `next` holds too, or, where that was not kept, what nobody else wrote."""
    hidden = {*ENDS, *MASKS, *WRITTEN, "reward", "action"}
    candidates = [path for path in now.values if path not in acting and not hidden & set(map(str, path))]
    again = [path for path in candidates if path in after.values]
    return sorted(again or candidates, key=lambda path: path[-1] != "observation")


def _labels(now: _Read, seen: list[Path]) -> list[str]:
    labels: list[str] = []
    for path in seen:
        size = max((len(value) for value in now.values[path] if value is not None), default=0)
        for number in range(min(size, KEPT)):
            name = "" if path == ("observation",) else f" ({words_of(path)}{f' {number}' if size > 1 else ''})"
            labels.append(f"observation {len(labels)}{name}")
    return labels[:KEPT]


def _row_of(now: _Read, seen: list[Path], step: int) -> tuple[np.ndarray, np.ndarray]:
    """The numbers seen at a step, each in its labelled place, and which of them this step has; NaN where it has not."""
    row, there = [np.zeros(0)], [np.zeros(0, bool)]
    for path in seen:
        size = min(max((len(value) for value in now.values[path] if value is not None), default=0), KEPT)
        value = now.values[path][step]
        value = np.zeros(0) if value is None else value[:size]
        row.append(np.concatenate([value, np.full(size - len(value), np.nan)]))
        there.append(np.arange(size) < len(value))
    return np.concatenate(row)[:KEPT], np.concatenate(there)[:KEPT]


def _bad_numbers(
    now: _Read, after: _Read, acting: Sequence[Path], seen: Sequence[Path], parts: list[Part]
) -> list[str]:
    """How many numbers of each kind are NaN or infinite."""
    kinds = {
        "rewards": [value for path, values in after.values.items() if path[-1] == "reward" for value in values],
        "numbers of actions": [value for path in acting for value in now.values[path]],
        "observed numbers": [value for path in seen for value in now.values[path]],
        "beliefs": [
            np.where(part.allowed[step], row, 0.0) if part.allowed is not None else row
            for part in parts
            for step, row in enumerate(part.beliefs or [])
        ],
    }
    notes = []
    for kind, arrays in kinds.items():
        numbers = Counter()
        for array in arrays:
            if array is not None:
                numbers["all"] += array.size
                numbers["NaN"] += int(np.isnan(array).sum())
                numbers["infinite"] += int(np.isinf(array).sum())
        found = " and ".join(f"{numbers[name]} {name}" for name in ("NaN", "infinite") if numbers[name])
        if found:
            notes.append(f"Of {numbers['all']:,} {kind}, {found}.")
    return notes


def _left_out(now: _Read, acting: Sequence[Path], seen: Sequence[Path], parts: list[Part]) -> list[str]:
    """What the rollout holds and the scrubber does not show."""
    shown = {*acting, *seen}
    places = {path[:-1] for path, part in zip(acting, parts, strict=True) if part.beliefs is not None}
    masked = {path[:-1] for path, part in zip(acting, parts, strict=True) if part.allowed or part.acts}
    left = sorted(
        words_of(path)
        for path in now.values
        if path not in shown
        and path[-1] not in ENDS
        and not (path[-1] in (*BELIEFS, "chosen_action_value") and path[:-1] in places)
        and not (path[-1] in MASKS and path[:-1] in masked)
    )
    left += sorted(now.other)
    if not left:
        return []
    more = f" and {len(left) - 6} more" if len(left) > 6 else ""
    return [f"Not shown: {', '.join(left[:6])}{more}."]
