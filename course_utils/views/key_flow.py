"""Which keys each module of a policy or a loss reads and writes, as a drawing."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from html import escape

from tensordict import NestedKey, TensorDictBase, is_tensor_collection, unravel_key, unravel_key_list
from tensordict.nn import ProbabilisticTensorDictModule, TensorDictModule, TensorDictSequential
from torch import Tensor, nn
from torch.optim import Optimizer
from torchrl import objectives
from torchrl.data import ReplayBuffer, TensorSpec
from torchrl.envs import EnvBase, Transform
from torchrl.objectives import LossModule, TargetNetUpdater
from torchrl.objectives.multiagent import QMixerLoss

from course_utils.views.display import View, image_tag
from course_utils.views.entries import Ragged, leaves_of
from course_utils.views.language_losses import INSTEAD, read_language_loss
from course_utils.views.plotting import PALETTE
from course_utils.views.tree_facts import Plain, is_unset

INSIDE = "(inside the loss)"
COLUMN, ROW, HEAD, LETTER, LEGEND = 118, 30, 52, 7.4, 400  # pixels
LONGEST = 50  # letters of a key in the picture; its text has all
ALARM = "#A63D00"  # vermillion, dark enough for text on white
# What a loss takes out of its networks' answers, and where it looks for it: {network: names in loss.tensor_keys}.
WANTED: dict[type[LossModule], dict[str, tuple[str, ...]]] = {
    objectives.PPOLoss: {"critic_network": ("value",)},
    objectives.A2CLoss: {"critic_network": ("value",)},
    objectives.ReinforceLoss: {"critic_network": ("value",)},
    objectives.DQNLoss: {"value_network": ("action_value", "value")},
    QMixerLoss: {"local_value_network": ("action_value", "local_value"), "mixer_network": ("global_value",)},
    objectives.DDPGLoss: {"value_network": ("state_action_value",)},
    objectives.TD3Loss: {"qvalue_network": ("state_action_value",)},
    objectives.SACLoss: {"qvalue_network": ("state_action_value",), "value_network": ("value",)},
    objectives.IQLLoss: {"qvalue_network": ("state_action_value",), "value_network": ("value",)},
    objectives.REDQLoss: {"qvalue_network": ("state_action_value",)},
    objectives.CQLLoss: {"qvalue_network": ("state_action_value",)},
    objectives.DiscreteSACLoss: {"qvalue_network": ("action_value",)},
}


@dataclass(frozen=True)
class Column:
    """One module: its name, the keys it reads and those it writes, each in its own order.

    Attributes:
        module: what computes it; None for the formula of a loss.
        opaque: does it take a whole TensorDict and tell no keys? Then it may write anything.
    """

    name: str
    reads: tuple[NestedKey, ...]
    writes: tuple[NestedKey, ...]
    module: nn.Module | None = field(default=None, compare=False, repr=False)
    opaque: bool = False


@dataclass(frozen=True)
class Flow:
    """A chain of modules.

    Attributes:
        columns: the modules in the order they run.
        outside: keys that are read before any module has written them, a part of them, or what they are a part of.
        missing: those of `outside` that are not there, or that look misspelt, each with the key that was probably
            meant, or None.
        shapeless: keys without a dimension of features that a Linear layer reads, each with what to say of it.
    """

    columns: tuple[Column, ...]
    outside: tuple[NestedKey, ...]
    missing: Mapping[NestedKey, NestedKey | None]
    shapeless: Mapping[NestedKey, str] = field(default_factory=dict)

    @property
    def keys(self) -> list[NestedKey]:
        """All keys, in the order they are first met."""
        return list(dict.fromkeys(key for column in self.columns for key in [*column.reads, *column.writes]))

    def origin(self, key: NestedKey) -> int | None:
        """The number of the first column that writes the key, or a part of it, or what it is a part of."""
        return next((n for n, column in enumerate(self.columns) if _supplied(key, column.writes)), None)


def trace(module, available=None) -> Flow:
    """Follow the keys through a module, as `flow` draws them; same arguments and errors."""
    columns = tuple(_columns(module))
    if not any([*column.reads, *column.writes] or column.opaque for column in columns):
        raise ValueError("There is nothing to draw: no module in it reads or writes a key.")
    wanted = dict(_wanted_inside(module)) if isinstance(module, LossModule) else {}
    data = _as_data(available, columns, isinstance(module, LossModule))
    written: set[NestedKey] = set()
    outside: dict[NestedKey, None] = {}
    unsure: set[NestedKey] = set()
    opaque = False
    for column in columns:
        for key in column.reads:
            if not _supplied(key, written):
                outside[key] = None
                unsure |= {key} if opaque else set()
        written.update(column.writes)
        opaque = opaque or column.opaque
    missing = _missing([key for key in outside if key not in unsure and key not in wanted], written, data)
    if isinstance(module, LossModule) and data:
        missing = {key: meant for key, meant in missing.items() if INSTEAD.get(key) not in data}
    return Flow(columns, tuple(outside), {**missing, **wanted}, _shapeless(columns, data or {}))


def _path(key: NestedKey) -> tuple[str, ...]:
    return (key,) if isinstance(key, str) else key


def _ahead(key: NestedKey) -> NestedKey:
    return ("next", *_path(key))


def _supplied(key: NestedKey, keys: Iterable[NestedKey], parents: bool = True) -> bool:
    """Is the key among them, or a part of it, or (with `parents`) a TensorDict that it may be a part of?"""
    path = _path(key)
    others = map(_path, keys)
    return any(o[: len(path)] == path or (parents and path[: len(o)] == o) for o in others)


def _columns(module) -> Iterable[Column]:
    if isinstance(module, Mapping) and not is_tensor_collection(module):
        return [_column(name, part) for name, part in module.items()]
    if isinstance(module, LossModule):
        return _loss_columns(module)
    if isinstance(module, TensorDictSequential):
        return [column for name, part in _parts(module) for column in _named(name, part)]
    return [_column(None, module)]


def _column(name: str | None, module) -> Column:
    has_keys = not isinstance(module, type) and hasattr(module, "in_keys") and hasattr(module, "out_keys")
    reads, writes = (_keys(module, which) if has_keys else () for which in ("in_keys", "out_keys"))
    if not has_keys or (isinstance(module, Transform) and not reads and not writes):
        raise TypeError(_what_instead(name, module))
    # A TensorDictModule over a function of a whole TensorDict has no keys to tell.
    opaque = not reads and not writes and not isinstance(module, TensorDictSequential)
    return Column(_name_of(module) if name is None else str(name), reads, writes, module, opaque)


def _keys(module, which: str) -> tuple[NestedKey, ...]:
    return tuple(key for key in unravel_key_list(list(getattr(module, which) or [])) if key != "_")  # "_": thrown away


def _what_instead(name: str | None, thing) -> str:
    """What a thing without keys is, and what to give instead of it."""
    from torchrl.collectors import BaseCollector  # needed for a message alone

    kind, given = type(thing).__name__, f"{name} is" if name else "This is"
    wrap = "Wrap it: TensorDictModule({}, in_keys=[...], out_keys=[...])."
    if isinstance(thing, type):
        return f"{given} the class {thing.__name__} and not an object of it. Make one first: {thing.__name__}(...)."
    if isinstance(thing, EnvBase):
        return f"{given} an environment, a {kind}, and has no in_keys and out_keys. Give it second: flow(policy, env)."
    if isinstance(thing, Transform):
        return (
            f"{given} a {kind}: transforms run inside an environment, before and after its steps, and this one has no "
            "in_keys and out_keys. Give what reads their results: flow(policy, env)."
        )
    if is_tensor_collection(thing):
        return f"{given} data, a {kind}. Give the module first and the data second, flow(module, td), or show(td)."
    if isinstance(thing, nn.Module):
        return f"{given} a {kind} and has no in_keys and out_keys. {wrap.format('network')}"
    if isinstance(thing, TargetNetUpdater | Optimizer):
        return f"{given} of type {kind}: it changes parameters and has no in_keys and out_keys. Try flow(loss)."
    if isinstance(thing, ReplayBuffer):
        return f"{given} a replay buffer, and has no in_keys and out_keys. To look into it: ReplayLens(buffer)."
    if isinstance(thing, BaseCollector):
        return f"{given} a collector, and has no in_keys and out_keys. Give what it plays: flow(policy, env)."
    if isinstance(thing, TensorSpec):
        return f"{given} a spec, {kind}: it describes values. Give the module first and the environment second."
    if isinstance(thing, list | tuple):
        return f"{given} a {kind}. For a chain, give TensorDictSequential(*modules); for a few, {{name: module}}."
    if isinstance(thing, Tensor):
        return f"{given} a tensor. Give the module that reads it. {wrap.format('network')}"
    if callable(thing) and hasattr(thing, "__name__"):
        own = thing.__name__.strip("<>")
        return f"{given} a plain function, {own}: it does not tell which keys it reads. {wrap.format(own)}"
    return (
        f"{given} a {kind} and has no in_keys and out_keys. Give a TensorDictModule, a chain of them, a loss, "
        "or a mapping {name: module}."
    )


def _parts(chain: TensorDictSequential) -> Iterable[tuple[str, nn.Module]]:
    """The members by name; one that stands in it twice comes twice."""
    members = chain.module
    return members.items() if isinstance(members, nn.ModuleDict) else [(str(n), part) for n, part in enumerate(members)]


def _named(name: str, part) -> Iterable[Column]:
    """A named member of a chain is one column; an unnamed one that is a chain itself is taken apart."""
    if not name.isdigit():
        return [_column(name, part)]
    return _columns(part)


def _name_of(module) -> str:
    if isinstance(module, ProbabilisticTensorDictModule):
        return f"draw: {module.distribution_class.__name__}"
    inner = getattr(module, "func", None) or (module.module if isinstance(module, TensorDictModule) else None)
    if inner is None:
        return type(module).__name__
    return getattr(inner, "__name__", type(inner).__name__).strip("<>")


def _networks(loss: LossModule) -> dict[str, nn.Module]:
    names = [name.removesuffix("_params") for name, _ in loss.named_children() if name.endswith("_params")]
    return {name: getattr(loss, name) for name in names if not name.startswith("target_")}


def _loss_columns(loss: LossModule) -> list[Column]:
    """The networks of a loss, the delayed copies that answer for the next state, and the loss itself."""
    if language := read_language_loss(loss):
        actor = Column("actor_network", language.network_keys, (INSIDE,), language.network)
        return [actor, Column(type(loss).__name__, (INSIDE, *language.keys), language.writes)]
    children = {name for name, _ in loss.named_children()}
    reads = _keys(loss, "in_keys")
    networks = _networks(loss)
    computed = {_ahead(key) for network in networks.values() for key in _keys(network, "out_keys")}
    columns, taken = [], set(computed)
    for name, network in networks.items():
        now = [key for key in _keys(network, "in_keys") if key in reads]
        after = [_ahead(key) for key in now if _ahead(key) in reads and _ahead(key) not in computed]
        delayed = f"target_{name}_params" in children
        looks_ahead = [] if delayed or "actor" in name else after
        columns.append(Column(name, (*now, *looks_ahead), (INSIDE,), network))
        if delayed and after:
            columns.append(Column(f"target_{name}", tuple(after), (INSIDE,), network))
        taken |= {*now, *after}
    # Written by the networks, or only read where it is there: a loss lists such keys too.
    optional = getattr(loss.tensor_keys, "priority_weight", None)
    formula = sorted((key for key in reads if key not in taken and key != optional), key=_label)
    inside = [INSIDE] if networks else []
    wanted = [key for key, _ in _wanted_inside(loss)]
    columns.append(Column(type(loss).__name__, (*inside, *wanted, *formula), _keys(loss, "out_keys")))
    return columns


def _wanted_inside(loss: LossModule) -> Iterator[tuple[NestedKey, NestedKey | None]]:
    """Keys that the loss wants from its networks and that they do not write, each with the one probably meant."""
    found = next((names for kind, names in WANTED.items() if isinstance(loss, kind)), {})
    networks = _networks(loss)
    for network, names in found.items():
        if network not in networks:
            continue
        writes = _keys(networks[network], "out_keys")
        for key in unravel_key_list([getattr(loss.tensor_keys, name) for name in names]):
            if not _supplied(key, writes):
                near = difflib.get_close_matches(_label(key), map(_label, writes), n=1, cutoff=0.5)
                yield key, next((w for w in writes if [_label(w)] == near), writes[-1] if len(writes) == 1 else None)


def _as_data(available, columns: Iterable[Column], for_loss: bool) -> dict[NestedKey, tuple | None] | None:
    """What is there, each with its shape beyond the batch size, or None where that is not known."""
    if available is None:
        return None
    if isinstance(available, EnvBase):
        steps = dict(_shapes(available.fake_tensordict()))
        if for_loss:  # a loss sees what a rollout left, and its actor played it
            actors = [column.module for column in columns if column.module is not None and "actor" in column.name]
            return {key: None for actor in actors for key in _keys(actor, "out_keys")} | steps
        later = {*available.action_keys, *available.reward_keys}
        return {key: shape for key, shape in steps.items() if _path(key)[0] != "next" and key not in later}
    if is_tensor_collection(available):
        unset = [path for path, leaf in leaves_of(available) if _is_unset(leaf.value)]
        return {key: shape for key, shape in _shapes(available) if _path(key) not in unset}
    if isinstance(available, str) or not isinstance(available, Iterable):
        raise TypeError(
            f"available is a {type(available).__name__}; give a TensorDict, an environment or a list of keys."
        )
    return {unravel_key(key): None for key in available}


def _shapes(td: TensorDictBase) -> Iterator[tuple[NestedKey, tuple | None]]:
    for path, leaf in leaves_of(td):
        shape = tuple(leaf.value.shape[leaf.batch_dims :]) if isinstance(leaf.value, Tensor) else None
        yield (path if len(path) > 1 else path[0]), shape


def _is_unset(value) -> bool:
    """Is it a field of a tensorclass to which nothing was given? TorchRL's `LogProbs` have some."""
    if isinstance(value, Ragged):
        return all(map(_is_unset, value.members))
    return value is None or (isinstance(value, Plain) and is_unset(value))


def _missing(
    outside: list, written: set, there: Mapping[NestedKey, tuple | None] | None
) -> dict[NestedKey, NestedKey | None]:
    """Keys nobody supplies, with the one that was probably meant. Where it is not known what is there, only keys that
    look like a slip of the pen: nearly the name of a key that some module writes.
    """
    known = {_label(key): key for key in {*written, *(there or ())} if key != INSIDE}
    found = {}
    for key in outside:
        near = difflib.get_close_matches(_label(key), known, n=1, cutoff=0.8)
        meant = known[near[0]] if near else None
        slip = meant is not None and meant not in (key, _ahead(key))  # "next" is carried over by the environment
        if slip if there is None else not _is_there(key, there):
            found[key] = meant if slip else None
    return found


def _is_there(key: NestedKey, there: Mapping[NestedKey, tuple | None]) -> bool:
    """A key of known shape is a tensor and holds no other."""
    return _supplied(key, there, parents=False) or _supplied(key, [k for k, shape in there.items() if shape is None])


def _shapeless(columns: Iterable[Column], data: Mapping[NestedKey, tuple | None]) -> dict[NestedKey, str]:
    """Keys of shape [] that a module passes to a Linear layer, which takes features in a last dimension."""
    found = {}
    for column in columns:
        modules = column.module.modules() if isinstance(column.module, nn.Module) else []
        for part in (module for module in modules if isinstance(module, TensorDictModule)):
            if (sure := _begins_with_linear(part.module)) is None:
                continue
            own = _keys(part, "in_keys")
            for key in [key for key in column.reads if data.get(key) == () and {key, _behind(key)} & {*own}]:
                doubt = "" if sure else ", unless it adds one itself"
                found[key] = (
                    f"it has shape [] beyond the batch size, and {column.name} begins with a Linear layer, which wants "
                    f"a last dimension of features{doubt}; UnsqueezeTransform(-1, in_keys=[{_behind(key)!r}]) adds one"
                )
    return found


def _behind(key: NestedKey) -> NestedKey:
    """The key without "next"."""
    return unravel_key(key[1:]) if _path(key)[0] == "next" and len(_path(key)) > 1 else key


def _begins_with_linear(network) -> bool | None:
    """True: surely. False: the first layer it has is one, but what comes before is not known. None: no."""
    while isinstance(network, nn.Sequential) and len(network):
        network = network[0]
    if isinstance(network, nn.Linear):
        return True
    if not isinstance(network, nn.Module) or type(network).__module__.startswith("torch.nn"):
        return None
    first = next((layer for layer in network.modules() if any(True for _ in layer.parameters(recurse=False))), None)
    return False if isinstance(first, nn.Linear) else None


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
            keys that are read but not there are marked as missing, and so are keys of shape [] that a Linear layer
            reads; without it only misspelt ones are, and what a loss wants and its networks do not write.

    Raises:
        TypeError: something has no `in_keys` and `out_keys`, or `available` is none of the above.
        ValueError: no module reads or writes anything.
    """
    found = trace(module, available)
    return View(
        image_tag(_svg(found).encode(), "image/svg+xml", _text(found), drawing=True) + _one_by_one(found), _text(found)
    )


def _text(found: Flow) -> str:
    lines = []
    for column in found.columns:
        reads, writes = (", ".join(map(repr, keys)) or "nothing" for keys in (column.reads, column.writes))
        if column.opaque:
            reads = writes = "what it does not tell"
        lines.append(f"{column.name} reads {reads} and writes {writes}")
    lines.append(f"from outside: {', '.join(map(repr, found.outside)) or 'nothing'}")
    for key in found.keys:
        if parts := _parts_of(found, key):
            lines.append(f"{key!r} holds {', '.join(map(repr, parts))}")
    for key, meant in found.missing.items():
        lines.append(f"MISSING: {key!r}, which nobody writes" + (f" (did you mean {meant!r}?)" if meant else ""))
    for key, words in found.shapeless.items():
        lines.append(f"NO FEATURES: {key!r}: {words}")
    return "Flow of keys. " + ";\n".join(lines) + "."


def _parts_of(found: Flow, key: NestedKey) -> list[NestedKey]:
    """Keys below this one."""
    path = _path(key)
    return [other for other in found.keys if other != key and _path(other)[: len(path)] == path]


def _svg(found: Flow, only: NestedKey | None = None) -> str:
    """The drawing; with `only` a strip of it: the row of one key, and in full strength the modules that touch it."""
    keys, columns = found.keys if only is None else [only], found.columns
    labels = [key if key == INSIDE else repr(key).replace("'", '"') if isinstance(key, tuple) else key for key in keys]
    labels = [label if len(label) <= LONGEST else f"{label[:25]}…{label[25 - LONGEST :]}" for label in labels]
    notes = {key: "shape []" for key in found.shapeless}
    notes |= {key: "missing" + (f": {_label(meant)}?" if meant else "") for key, meant in found.missing.items()}
    notes = {key: words for key, words in notes.items() if key in keys}
    hollow = any(_parts_of(found, key) for key in keys)
    left = 24 + LETTER * max(map(len, labels), default=0)
    right = left + COLUMN * len(columns) + 10
    width = max(right + 10 + LETTER * max(map(len, notes.values()), default=0), left + LEGEND + 160 * hollow)
    height = HEAD + ROW * len(keys) + 26

    def x_of(column: int) -> float:
        return left + COLUMN * (column + 0.5)

    def y_of(key: NestedKey) -> float:
        return HEAD + ROW * (keys.index(key) + 0.5)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" '
        f'height="{height}" font-family="sans-serif" font-size="13"><rect width="100%" height="100%" fill="white"/>'
    ]
    for key, label in zip(keys, labels, strict=True):
        y, bad, born = y_of(key), key in notes, found.origin(key)
        start = left - 6 if key in found.outside or born is None else x_of(born)
        style = f'stroke="{ALARM}" stroke-dasharray="5 4"' if bad else f'stroke="{PALETTE["blue"]}"'
        parts.append(f'<path d="M{start:.0f} {y}H{right}" {style} stroke-width="{1.5 if only is None else 4}"/>')
        colour = f' fill="{ALARM}" font-weight="bold"' if bad else ""
        parts.append(f'<text x="{left - 12:.0f}" y="{y + 4}" text-anchor="end"{colour}>{escape(label)}</text>')
        if bad:
            parts.append(f'<text x="{right + 4}" y="{y + 4}"{colour}>{escape(notes[key])}</text>')
    for number, column in enumerate(columns):
        x, reads, writes = x_of(number), [k for k in column.reads if k in keys], [k for k in column.writes if k in keys]
        holds = [key for key in keys if key not in writes and _supplied(key, column.writes, parents=False)]
        weight = "" if only is None else ' font-weight="bold"' if reads or writes or holds else ' fill="#767676"'
        for line, words in enumerate(_wrapped(column.name)):
            parts.append(f'<text x="{x}" y="{18 + 15 * line}" text-anchor="middle"{weight}>{escape(words)}</text>')
        if rows := [y_of(key) for key in [*reads, *writes, *holds]]:
            parts.append(f'<path d="M{x} {min(rows)}V{max(rows)}" stroke="black" stroke-width="2"/>')
        parts += [f'<circle cx="{x}" cy="{y_of(key)}" r="6" fill="white" stroke="black"/>' for key in reads]
        for key in [*writes, *holds]:
            fill = PALETTE["vermillion"] if key in writes else f'white" stroke="{PALETTE["vermillion"]}'
            parts.append(f'<rect x="{x - 5}" y="{y_of(key) - 5}" width="10" height="10" fill="{fill}"/>')
    legend = "circle: reads    square: writes    a line from the left edge: comes from outside"
    legend += "    hollow square: writes a part of it" * hollow
    parts.append(f'<text x="{left - 6:.0f}" y="{height - 8}" font-size="11" xml:space="preserve">{legend}</text>')
    return "".join([*parts, "</svg>"])


def _one_by_one(found: Flow) -> str:
    """Each key by itself, folded: HTML alone, so that it also works where no script runs."""
    group = "flow-" + hashlib.sha256(_text(found).encode()).hexdigest()[:8]  # one open at a time
    items = "".join(
        f'<details name="{group}" style="margin:2px 0 2px 18px"><summary style="cursor:pointer">'
        f'<span style="font-family:monospace">{escape(_label(key))}</span></summary>'
        f"{image_tag(_svg(found, key).encode(), 'image/svg+xml', words, drawing=True)}"
        f"<div>{escape(words)}</div></details>"
        for key in found.keys
        for words in [_story(found, key)]
    )
    return f'<details style="margin:4px 0"><summary style="cursor:pointer">Follow one key</summary>{items}</details>'


def _story(found: Flow, key: NestedKey) -> str:
    """The way of one key in a sentence."""
    writers = [column.name for column in found.columns if key in column.writes]
    holders = [c.name for c in found.columns if key not in c.writes and _supplied(key, c.writes, parents=False)]
    readers = [column.name for column in found.columns if key in column.reads]
    if key in found.missing:
        start = "is missing"
    elif key in found.outside:
        start = "comes from outside"
    else:
        start = f"is written by {', '.join(writers)}" * bool(writers) or f"is filled by {', '.join(holders)}"
    again = f", is written again by {', '.join(writers)}" if writers and not start.startswith("is written") else ""
    words = f"{_label(key)}: {start}{again}, and is read by {', '.join(readers) or 'none of these'}."
    return words + (f" {found.shapeless[key][0].upper()}{found.shapeless[key][1:]}." if key in found.shapeless else "")


def _wrapped(name: str) -> list[str]:
    """A module's name in at most two lines that fit above its column."""
    letters = int(COLUMN / LETTER)
    if len(name) <= letters:
        return [name]
    word_starts = [found.start() for found in re.finditer(r"(?<=[ _])|(?=[A-Z][a-z])", name)]
    cut = max((start for start in word_starts if 0 < start <= letters), default=letters)
    return [name[:cut], name[cut:]]
