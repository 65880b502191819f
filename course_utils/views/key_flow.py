"""Which keys each module of a policy or a loss reads and writes, as a drawing."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape

from tensordict import NestedKey, TensorDictBase, unravel_key, unravel_key_list
from tensordict.nn import ProbabilisticTensorDictModule, TensorDictModule, TensorDictSequential
from torchrl.envs import EnvBase
from torchrl.objectives import LossModule

from course_utils.views.display import View, image_tag
from course_utils.views.plotting import PALETTE

INSIDE = "(inside the loss)"
COLUMN, ROW, HEAD, LETTER, LEGEND = 118, 30, 52, 7.4, 400  # pixels
ALARM = "#A63D00"  # vermillion, dark enough for text on white


@dataclass(frozen=True)
class Column:
    """One module: its name, the keys it reads and those it writes, each in its own order."""

    name: str
    reads: tuple[NestedKey, ...]
    writes: tuple[NestedKey, ...]


@dataclass(frozen=True)
class Flow:
    """A chain of modules.

    Attributes:
        columns: the modules in the order they run.
        outside: keys that are read before any module has written them.
        missing: those of `outside` that are not there, or that look misspelt, each with the key that was probably
            meant, or None.
    """

    columns: tuple[Column, ...]
    outside: tuple[NestedKey, ...]
    missing: Mapping[NestedKey, NestedKey | None]

    @property
    def keys(self) -> list[NestedKey]:
        """All keys, in the order they are first met."""
        return list(dict.fromkeys(key for column in self.columns for key in [*column.reads, *column.writes]))


def trace(module, available=None) -> Flow:
    """Follow the keys through a module, as `flow` draws them; same arguments and errors."""
    columns = tuple(_columns(module))
    written: set[NestedKey] = set()
    outside: dict[NestedKey, None] = {}
    for column in columns:
        outside.update(dict.fromkeys(key for key in column.reads if key not in written))
        written.update(column.writes)
    there = None if available is None else _keys_of(available)
    return Flow(columns, tuple(outside), _missing(list(outside), written, there))


def _columns(module) -> Iterable[Column]:
    if isinstance(module, Mapping):
        return [_column(name, part) for name, part in module.items()]
    if isinstance(module, LossModule):
        return _loss_columns(module)
    if isinstance(module, TensorDictSequential):
        return [column for name, part in _parts(module) for column in _named(name, part)]
    return [_column(_name_of(module), module)]


def _column(name: str, module) -> Column:
    if not hasattr(module, "in_keys") or not hasattr(module, "out_keys"):
        raise TypeError(
            f"{name} is a {type(module).__name__} and has no in_keys and out_keys. "
            "Wrap it: TensorDictModule(network, in_keys=[...], out_keys=[...])."
        )
    return Column(name, tuple(unravel_key_list(list(module.in_keys))), tuple(unravel_key_list(list(module.out_keys))))


def _parts(chain: TensorDictSequential) -> list[tuple[str, TensorDictModule]]:
    return list(chain.module.named_children())


def _named(name: str, part) -> Iterable[Column]:
    """A named member of a chain is one column; an unnamed one that is a chain itself is taken apart."""
    if not name.isdigit():
        return [_column(name, part)]
    return _columns(part)


def _name_of(module) -> str:
    if isinstance(module, ProbabilisticTensorDictModule):
        return f"draw: {module.distribution_class.__name__}"
    inner = getattr(module, "module", None) if isinstance(module, TensorDictModule) else None
    if inner is None:
        return type(module).__name__
    return getattr(inner, "__name__", type(inner).__name__).strip("<>")


def _loss_columns(loss: LossModule) -> list[Column]:
    """The networks of a loss, the delayed copies that answer for the next state, and the loss itself."""
    names = [name.removesuffix("_params") for name, _ in loss.named_children() if name.endswith("_params")]
    reads = unravel_key_list(list(loss.in_keys))
    networks = {name: getattr(loss, name) for name in names if not name.startswith("target_")}
    computed = {("next", key) for network in networks.values() for key in unravel_key_list(list(network.out_keys))}
    columns, taken = [], set(computed)
    for name, network in networks.items():
        now = [key for key in unravel_key_list(list(network.in_keys)) if key in reads]
        after = [("next", key) for key in now if ("next", key) in reads and ("next", key) not in computed]
        delayed = f"target_{name}" in names
        looks_ahead = [] if delayed or "actor" in name else after
        columns.append(Column(name, (*now, *looks_ahead), (INSIDE,)))
        if delayed and after:
            columns.append(Column(f"target_{name}", tuple(after), (INSIDE,)))
        taken |= {*now, *after}
    # Written by the networks, or only read where it is there: a loss lists such keys too.
    optional = getattr(loss.tensor_keys, "priority_weight", None)
    formula = sorted((key for key in reads if key not in taken and key != optional), key=_label)
    columns.append(Column(type(loss).__name__, (INSIDE, *formula), tuple(unravel_key_list(list(loss.out_keys)))))
    return columns


def _keys_of(available) -> set[NestedKey]:
    if isinstance(available, EnvBase):
        return {*available.full_observation_spec.keys(True, True), *available.full_done_spec.keys(True, True)}
    if isinstance(available, TensorDictBase):
        return set(available.keys(True, True))
    if isinstance(available, str) or not isinstance(available, Iterable):
        raise TypeError(
            f"available is a {type(available).__name__}; give a TensorDict, an environment or a list of keys."
        )
    return {unravel_key(key) for key in available}


def _missing(outside: list, written: set, there: set | None) -> dict[NestedKey, NestedKey | None]:
    """Keys nobody supplies, with the one that was probably meant. Where it is not known what is there, only keys that
    look like a slip of the pen: nearly the name of a key that some module writes.
    """
    known = {_label(key): key for key in {*written, *(there or ())} if key != INSIDE}
    found = {}
    for key in outside:
        near = difflib.get_close_matches(_label(key), known, n=1, cutoff=0.8)
        meant = known[near[0]] if near else None
        slip = meant is not None and meant not in (key, ("next", key))  # "next" is carried over by the environment
        if (there is not None and key not in there) or (there is None and slip):
            found[key] = meant if slip else None
    return found


def _label(key: NestedKey) -> str:
    return key if isinstance(key, str) else ", ".join(key)


def flow(module, available=None) -> View:
    """Draw which keys each module reads and writes.

    A row is a key, a column is a module; the line of a key begins where it is first written, or at the left where it
    comes from outside. See TensorDictModule's keys: https://docs.pytorch.org/tensordict/stable/reference/nn.html

    Args:
        module: a TensorDictModule, a chain of them (TensorDictSequential, an actor, an actor-value operator), a loss
            of TorchRL, or a mapping {name: module} of things with `in_keys` and `out_keys`.
        available: what is there before the chain starts: a TensorDict, an environment, or a list of keys. With it,
            keys that are read but not there are marked as missing; without it only misspelt ones are.

    Raises:
        TypeError: something has no `in_keys` and `out_keys`, or `available` is none of the above.
    """
    found = trace(module, available)
    return View(image_tag(_svg(found).encode(), "image/svg+xml", _text(found)), _text(found))


def _text(found: Flow) -> str:
    lines = []
    for column in found.columns:
        reads, writes = (", ".join(map(repr, keys)) or "nothing" for keys in (column.reads, column.writes))
        lines.append(f"{column.name} reads {reads} and writes {writes}")
    lines.append(f"from outside: {', '.join(map(repr, found.outside)) or 'nothing'}")
    for key, meant in found.missing.items():
        lines.append(f"MISSING: {key!r}, which nobody writes" + (f" (did you mean {meant!r}?)" if meant else ""))
    return "Flow of keys. " + ";\n".join(lines) + "."


def _svg(found: Flow) -> str:
    keys, columns = found.keys, found.columns
    labels = [key if key == INSIDE else repr(key).replace("'", '"') if isinstance(key, tuple) else key for key in keys]
    notes = {key: "missing" + (f": {_label(meant)}?" if meant else "") for key, meant in found.missing.items()}
    left = 24 + LETTER * max(map(len, labels), default=0)
    right = left + COLUMN * len(columns) + 10
    width = max(right + 10 + LETTER * max(map(len, notes.values()), default=0), left + LEGEND)
    height = HEAD + ROW * len(keys) + 26

    def x_of(column: int) -> float:
        return left + COLUMN * (column + 0.5)

    def y_of(key: NestedKey) -> float:
        return HEAD + ROW * (keys.index(key) + 0.5)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" '
        f'height="{height}" font-family="sans-serif" font-size="13"><rect width="100%" height="100%" fill="white"/>'
    ]
    born = {key: x_of(number) for number, column in reversed(list(enumerate(columns))) for key in column.writes}
    for key, label in zip(keys, labels, strict=True):
        y, bad = y_of(key), key in notes
        start = left - 6 if key in found.outside else born[key]
        style = f'stroke="{ALARM}" stroke-dasharray="5 4"' if bad else f'stroke="{PALETTE["blue"]}"'
        parts.append(f'<path d="M{start:.0f} {y}H{right}" {style} stroke-width="1.5"/>')
        colour = f' fill="{ALARM}" font-weight="bold"' if bad else ""
        parts.append(f'<text x="{left - 12:.0f}" y="{y + 4}" text-anchor="end"{colour}>{escape(label)}</text>')
        if bad:
            parts.append(f'<text x="{right + 4}" y="{y + 4}"{colour}>{escape(notes[key])}</text>')
    for number, column in enumerate(columns):
        x, rows = x_of(number), [y_of(key) for key in [*column.reads, *column.writes]]
        for line, words in enumerate(_wrapped(column.name)):
            parts.append(f'<text x="{x}" y="{18 + 15 * line}" text-anchor="middle">{escape(words)}</text>')
        parts.append(f'<path d="M{x} {min(rows)}V{max(rows)}" stroke="black" stroke-width="2"/>')
        parts += [f'<circle cx="{x}" cy="{y_of(key)}" r="6" fill="white" stroke="black"/>' for key in column.reads]
        parts += [
            f'<rect x="{x - 5}" y="{y_of(key) - 5}" width="10" height="10" fill="{PALETTE["vermillion"]}"/>'
            for key in column.writes
        ]
    legend = "circle: reads    square: writes    a line from the left edge: comes from outside"
    parts.append(f'<text x="{left - 6:.0f}" y="{height - 8}" font-size="11" xml:space="preserve">{legend}</text>')
    return "".join([*parts, "</svg>"])


def _wrapped(name: str) -> list[str]:
    """A module's name in at most two lines that fit above its column."""
    letters = int(COLUMN / LETTER)
    if len(name) <= letters:
        return [name]
    word_starts = [found.start() for found in re.finditer(r"(?<=[ _])|(?=[A-Z][a-z])", name)]
    cut = max((start for start in word_starts if 0 < start <= letters), default=letters)
    return [name[:cut], name[cut:]]
