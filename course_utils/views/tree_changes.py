"""What an operation did to a TensorDict, computed and not yet drawn: `course_utils.views.tree` draws it."""

from __future__ import annotations

import json
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import torch

from course_utils.views import tree_facts as facts
from course_utils.views.finite import SEARCHED, in_words
from course_utils.views.tree_facts import read_entry

Path = tuple[str, ...]
SIGNS = {"added": "+", "removed": "−", "changed": "~", "moved": "→", "unchanged": "=", "not compared": "?"}


@dataclass
class Change:
    """What became of one entry.

    Attributes:
        kind: a key of SIGNS.
        path: its key, from the outermost level on.
        words: what there is to say.
        source: the key it had before, if it was moved.
    """

    kind: str
    path: Path
    words: str = ""
    source: Path | None = None


@dataclass
class Difference:
    """What an operation did: to the TensorDict and its levels, in words; to each entry; and a caution, if need be."""

    levels: list[str]
    changes: list[Change]
    caution: str = ""

    def of(self, *kinds: str) -> list[Change]:
        return [change for kind in kinds for change in self.changes if change.kind == kind]

    @property
    def words(self) -> str:
        return ", ".join(f"{len(self.of(kind))} {kind}" for kind in SIGNS if self.of(kind)) or "no entries"


def compare(before, after) -> Difference:
    """What happened between two TensorDicts.

    An entry counts as moved if its tensor is the one that had another key, or else if its values were those of exactly
    one entry that is no longer there. A single value, as in flags that are all False, proves nothing, and neither do
    values that several entries had; then the last name must be the same, and only one may have it.
    """
    (old, old_levels), (new, new_levels) = _flatten(before), _flatten(after)
    old, new = _without_filled(old, new, new_levels), _without_filled(new, old, old_levels)
    by_memory = _group({path: _memory(value) for path, value in old.items()})
    held = {path: by_memory.get(_memory(value), []) for path, value in new.items()}  # who had its memory before
    same_tensor = {path for path, value in new.items() if path in old and (path in held[path] or value is old[path])}
    verdicts = {path: _judge(path, old.get(path), new[path], path in same_tensor) for path in new}
    gone = {path for path in old if path not in verdicts or verdicts[path].kind == "changed"}
    for path in new.keys() - same_tensor:
        if source := _choose(path, held[path], telling=True):
            verdicts[path] = _from(source, verdicts[path], "the same memory", source in gone)
    by_values = _group({path: _values_key(old[path]) for path in old if path in gone})
    for path, verdict in verdicts.items():
        if verdict.kind in ("added", "changed") and not held[path]:
            candidates = by_values.get(_values_key(new[path]), [])
            if source := _choose(path, candidates, telling=bool(candidates) and _is_telling(new[path])):
                verdicts[path] = _from(source, verdict, "the same values", True)
    sources = {verdict.source for verdict in verdicts.values()}
    removed = [_describe("removed", path, old[path]) for path in old if path not in new and path not in sources]
    blind = bool(new) and not removed and same_tensor == new.keys()
    return Difference(
        _level_changes(old_levels, new_levels),
        [*verdicts.values(), *removed],
        "All is the same memory as before: what was changed in place is not seen. Compare with td.clone()." * blind,
    )


def _from(source: Path, verdict: Change, proof: str, is_gone: bool) -> Change:
    """The verdict on an entry that has what stood under `source` before."""
    if is_gone:
        replaced = "" if verdict.kind == "added" else "; what stood here before is gone"
        return Change("moved", verdict.path, proof + replaced, source)
    if verdict.kind == "unchanged":
        return verdict
    return Change(verdict.kind, verdict.path, f"{proof} as {spell(source)}")


def _flatten(node, path: Path = ()) -> tuple[dict[Path, object], dict[Path, object]]:
    """All entries and all levels by path; an empty level is an entry too."""
    opened, entries, levels = facts.open_level(node), {}, {path: node}
    for key, value in opened.items():
        if facts.sort_of(value) == "level":
            inner_entries, inner_levels = _flatten(value, (*path, key))
            entries |= inner_entries
            levels |= inner_levels
        else:
            entries[(*path, key)] = value
    return (entries if opened or not path else {path: node}), levels


def _without_filled(entries: dict, others: dict, levels: dict) -> dict:
    """Leaves out the empty levels that have entries on the other side: those entries tell."""
    return {
        path: value
        for path, value in entries.items()
        if facts.sort_of(value) != "level" or path in others or path not in levels
    }


def _group(keys: dict[Path, Hashable | None]) -> dict[Hashable, list[Path]]:
    """The paths that have the same key; None is no key."""
    groups: dict[Hashable, list[Path]] = {}
    for path, key in keys.items():
        if key is not None:
            groups.setdefault(key, []).append(path)
    return groups


def _choose(path: Path, candidates: list[Path], telling: bool) -> Path | None:
    others = [candidate for candidate in candidates if candidate != path]
    if not telling or len(others) > 1:
        others = [candidate for candidate in others if candidate[-1] == path[-1]]
    return others[0] if len(others) == 1 else None


def _memory(value) -> Hashable | None:
    """What two entries share only if they are the same tensors; None where that cannot be told."""
    tensors = facts.tensors_in(value)
    if facts.sort_of(value) != "tensor" or any(t.layout != torch.strided or not t.data_ptr() for t in tensors):
        return None
    return facts.shape_of(value), *((t.data_ptr(), t.shape, t.stride(), t.dtype, t.device) for t in tensors)


def _values_key(value) -> Hashable | None:
    """What two entries share if their shapes, dtypes and (sampled) values are the same."""
    if facts.sort_of(value) == "non-tensor":
        return _repr(facts.content(value))
    if facts.sort_of(value) != "tensor" or (read := facts.sample(value)) is None:
        return None
    array = read[0]
    array = np.where(np.isnan(array), np.nan, array + 0) if array.dtype.kind == "f" else array  # one NaN, one zero
    return _shapes(value), facts.dtype_of(value), array.tobytes()


def _is_telling(value) -> bool:
    """Does it hold more than one value, so that it hardly equals another by chance?"""
    array = facts.sample(value)[0] if facts.sort_of(value) == "tensor" else []
    return len(array) > 0 and bool((array != array[0]).any())


def _shapes(value) -> tuple:
    """Its shape; where that varies in a stack, that of each tensor too."""
    shape = facts.shape_of(value)
    varies = None in shape or ... in shape
    return shape, tuple(tensor.shape for tensor in facts.tensors_in(value)) if varies else ()


def _form(value) -> tuple[str, str, str]:
    return f"[{facts.sizes_words(facts.shape_of(value))}]", facts.dtype_of(value), facts.device_of(value)


def _describe(kind: str, path: Path, value) -> Change:
    entry = read_entry(path[-1], value)
    alarms = [f"! {alarm}" for alarm in entry.alarms]
    words = [f"{entry.shape_words} {entry.dtype}".strip(), entry.words, *alarms]
    return Change(kind, path, ", ".join(filter(None, words)))


def _judge(path: Path, old, new, same_tensor: bool) -> Change:
    """What became of an entry that kept its key, or came without one to compare it with."""
    if old is None:
        return _describe("added", path, new)
    sort = facts.sort_of(new)
    if same_tensor or sort == facts.sort_of(old) == "level":  # an empty level stayed empty
        return Change("unchanged", path)
    if facts.is_unset(old) != facts.is_unset(new):
        was, is_now = (_describe("changed", path, value).words for value in (old, new))
        return Change("changed", path, f"{was} → {is_now}")
    if sort != facts.sort_of(old):
        return Change("changed", path, f"{facts.sort_of(old)} → {sort}")
    if sort == "mixed":
        return Change("not compared", path, "not the same sort of entry in the whole stack")
    if sort == "non-tensor":
        same = _equal(facts.content(old), facts.content(new))
        words = [] if same else [f"{facts.content_words(old)} → {facts.content_words(new)}"]
        return Change("changed" if words else "unchanged", path, *words)
    return _judge_tensor(path, old, new)


def _judge_tensor(path: Path, old, new) -> Change:
    words = [f"{was} → {is_now}" for was, is_now in zip(_form(old), _form(new), strict=True) if was != is_now]
    if _shapes(old) != _shapes(new):
        return Change("changed", path, ", ".join(words) or "the shapes in the stack")
    old_sample, new_sample = facts.sample(old), facts.sample(new)
    if old_sample is None or new_sample is None:
        return Change("changed" if words else "not compared", path, ", ".join([*words, "values cannot be compared"]))
    entries, ((old, total), (new, _)) = (old, new), (old_sample, new_sample)
    is_sample = len(old) < total
    if differ := _values_differ(old, new):
        words.append(differ.replace(" values", " sampled values") if is_sample else differ)
    if is_sample and total <= SEARCHED:
        was, is_now = (in_words(facts.count_not_finite(entry), total) or "all finite" for entry in entries)
        words += [f"{was} → {is_now}"] * (was != is_now)
    doubt = f"(as far as {len(old):,} sampled values tell)" if is_sample else ""
    return Change("changed", path, ", ".join(words)) if words else Change("unchanged", path, doubt)


def _equal(old, new) -> bool:
    try:
        return old is new or bool(old == new)
    except Exception:  # arrays, say, have no single answer
        return (words := _repr(old)) is not None and words == _repr(new)


def _repr(value) -> str | None:
    try:
        return repr(value)
    except Exception:  # anybody's class
        return None


def _values_differ(old: np.ndarray, new: np.ndarray) -> str:
    """How many values differ and by how much; empty if none does. NaN equals NaN."""
    differ = (old != new) & ~(np.isnan(old) & np.isnan(new))
    if not differ.any():
        return ""
    words = f"{differ.sum():,} of {len(old):,} values differ"
    old, new = old[differ], new[differ]
    if old.dtype.kind != "b" or new.dtype.kind != "b":
        with np.errstate(all="ignore"):
            gaps = np.abs(new.astype(float) - old)
        if np.isfinite(gaps).any():
            words += f", by at most {facts.number(float(gaps[np.isfinite(gaps)].max()))}"
    became_nan = int((np.isnan(new) & ~np.isnan(old)).sum())
    return words + (f", {became_nan:,} became NaN" if became_nan else "")


def _level_changes(old: dict, new: dict) -> list[str]:
    """In words, what happened to the TensorDict itself; of its levels, what did not happen to the whole."""
    words: list[str] = []
    for path in [path for path in new if path in old]:
        before, after = _level_form(old[path]), _level_form(new[path])
        for (name, was), is_now in zip(before.items(), after.values(), strict=True):
            change = f"{name} {was} → {is_now}".lstrip()
            if was != is_now and change not in words:
                words.append(f"{spell(path)}: {change}" if path else change)
    return words


def _level_form(node) -> dict[str, str]:
    return {
        "": facts.kind_of(node),
        "batch size": f"[{facts.sizes_words(facts.shape_of(node))}]",
        "device": facts.own_device(node) or "not set",
        "state:": ", ".join(facts.marks_of(node)) or "not locked",
    }


def spell(path: Path) -> str:
    """A key as one types it: "observation", ("next", "observation")."""
    names = [json.dumps(name, ensure_ascii=False) for name in path]
    return names[0] if len(names) == 1 else f"({', '.join(names)})"
