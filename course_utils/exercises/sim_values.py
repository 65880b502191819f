"""What the entries that a simulator hands out do against its specs: missing, of other shapes or types, outside, NaN."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import torch
from tensordict import TensorDictBase

from course_utils.exercises.sim_case import Case, is_library
from course_utils.exercises.sim_forms import FLAGS, Moment, Promise, dtype_name, shown
from course_utils.exercises.sim_gymnasium import GymnasiumSim, PlainSim, VectorSim, form_of
from course_utils.exercises.sim_torchrl import TorchSim, leaf_specs, name_of


def look_at_values(case: Case) -> None:
    moments = list(seen(case))
    sim = case.first.sim
    promises = sim.promises
    numbers(case, moments)
    if isinstance(sim, TorchSim):
        answers(case, sim)
        scalars(case, promises, "`Unbounded(shape=[..., 1])`")
    elif not isinstance(sim, PlainSim):
        scalars(case, promises, "`Box(low, high, shape=(1,))`, and `np.array([x], dtype=np.float32)`")
    about: set[tuple[str, str]] = set()
    for moment in moments:
        for key, promise in promises.items():
            if key in moment.raw:
                for kind, rank, sentence in wrong_entry(sim, moment, key, promise):
                    if (kind, key) not in about:
                        about.add((kind, key))
                        case.fault(rank, sentence)
            elif promise.role == "observation" and isinstance(sim, GymnasiumSim) and ("missing", key) not in about:
                about.add(("missing", key))
                case.fault(3, missing(sim, moment, key))
        if not isinstance(sim, TorchSim):
            for kind, rank, sentence in wrong_scalars(sim, moment):
                if (kind, "") not in about:
                    about.add((kind, ""))
                    case.fault(rank, sentence)


def seen(case: Case) -> Iterator[Moment]:
    for trace in [case.first, *case.long]:
        yield from trace.moments


def numbers(case: Case, moments: list[Moment]) -> None:
    """NaN and infinite values."""
    told: set[str] = set()
    for moment in moments:
        for key, values in moment.values.items():
            if key in told or values.dtype.kind not in "fc" or np.isfinite(values).all():
                continue
            nan = bool(np.isnan(values).any())
            told.add(key)
            case.fault(
                1,
                f"`{key}` is {'NaN' if nan else 'infinite'} at {moment.words}. One such number makes every weight of a "
                "network NaN. Look for a division by zero, a root or a logarithm of something negative, or a state "
                "that "
                "grows without limit.",
            )


def missing(sim: Any, moment: Moment, key: str) -> str:
    have = ", ".join(f"`{name}`" for name in moment.raw if name not in ("reward", *FLAGS)) or "nothing"
    return (
        f"The observation of {moment.words} lacks `{key}`, which `observation_space` promises; it has {have}. Give "
        "every entry at every `reset` and `step`."
    )


def scalars(case: Case, promises: dict[str, Promise], how: str) -> None:
    """Observations without a dimension of their own."""
    batch = getattr(case.first.sim, "batch", ())
    bare = [
        key
        for key, promise in promises.items()
        if promise.role == "observation" and promise.shape == batch and promise.dtype.startswith("float")
    ]
    if bare:
        others = f" (and of {len(bare) - 1} more)" if bare[1:] else ""
        words = (
            f"The spec of `{bare[0]}`{others} has the shape {list(batch)}: no dimension of its own. A network reads "
            "the "
            "last dimension as features, so a batch of such numbers looks like a single observation, and `cat` with "
            f"others fails. Give it a dimension of 1: {how}."
        )
        if is_library(case.first.sim.bases()[-1]):
            case.note(4, words + " (A library's own: `UnsqueezeTransform` does it from outside.)")
        else:
            case.fault(4, words)


def wrong_entry(sim: Any, moment: Moment, key: str, promise: Promise) -> Iterator[tuple[str, int, str]]:
    raw = moment.raw[key]
    values = moment.values.get(key)
    if values is None or isinstance(promise.spec, gymnasium.spaces.Text):
        return
    torch_like = isinstance(sim, TorchSim)
    spec = "spec" if torch_like else "space"
    discrete = isinstance(promise.spec, gymnasium.spaces.Discrete)
    if not isinstance(raw, (np.ndarray, np.generic, torch.Tensor)) and not (discrete and isinstance(raw, int)):
        if isinstance(promise.spec, gymnasium.spaces.Box):
            yield (
                "kind",
                5,
                f"`{key}` of {moment.words} is {form_of(raw)}, and its space promises an array of {promise.dtype}: "
                f"`np.array(..., dtype=np.{promise.dtype})`.",
            )
        elif discrete:
            yield (
                "kind",
                5,
                f"`{key}` of {moment.words} is {form_of(raw)} ({shown(raw)}); its space, {promise.spec}, holds whole "
                "numbers: `int(...)`.",
            )
        return
    judged = promise.role == "observation" or torch_like
    if judged and values.shape != promise.shape and not (discrete and values.shape == ()):
        yield (
            "shape",
            4,
            f"`{key}` has the shape {list(values.shape)} at {moment.words}; its {spec} promises "
            f"{list(promise.shape)}. Make them equal, or the first network stumbles.",
        )
        return
    kind = dtype_name(raw)
    integers = discrete and values.dtype.kind in "iu"
    if promise.dtype and kind != promise.dtype and not integers:
        cast = f"`.to(torch.{promise.dtype})`" if torch_like else f"`.astype(np.{promise.dtype})`"
        why = " NumPy counts with 64 bits unless told otherwise." if kind == "float64" else ""
        yield (
            "dtype",
            6,
            f"`{key}` is {kind} at {moment.words}; its {spec} says {promise.dtype}.{why} Mend the value, {cast}, or "
            f"the {spec}.",
        )
        if promise.low is None:
            return
    yield from outside(moment, key, promise, values, spec)


def outside(
    moment: Moment, key: str, promise: Promise, values: np.ndarray, spec: str
) -> Iterator[tuple[str, int, str]]:
    if promise.low is not None and values.dtype.kind in "fiu":
        with np.errstate(all="ignore"):
            room = 1e-5 * (1 + np.abs(np.where(np.isfinite(values), values, 0)))
            wrong = (values < promise.low - room) | (values > promise.high + room)
        if wrong.any():
            low, high = np.broadcast_to(promise.low, values.shape), np.broadcast_to(promise.high, values.shape)
            place = tuple(axis[0] for axis in np.nonzero(wrong))
            where = f"`{key}`" + (f"{list(map(int, place))}" if place and values.size > 1 else "")
            yield (
                "outside",
                7,
                f"{where} is {shown(values[place])} at {moment.words}, outside of its {spec}, which goes from "
                f"{shown(low[place])} to {shown(high[place])}. Say wider limits, or keep the value within them.",
            )
    elif promise.spec is not None and not holds(promise.spec, moment.raw[key]):
        yield (
            "outside",
            7,
            f"`{key}` is {shown(values)} at {moment.words}, which its {spec} does not hold: {one_line(promise.spec)}.",
        )


def holds(spec: Any, value: Any) -> bool:
    try:
        if isinstance(spec, gymnasium.Space):
            return bool(spec.contains(value))
        return bool(spec.is_in(value))
    except Exception:  # shape and type have been judged already
        return True


def one_line(spec: Any) -> str:
    words = " ".join(str(spec).split())
    return words if len(words) < 100 else words[:97] + "..."


# Gymnasium: reward and flags have no spec


def wrong_scalars(sim: Any, moment: Moment) -> Iterator[tuple[str, int, str]]:
    if "reward" not in moment.raw:
        return
    reward, wanted = moment.raw["reward"], (sim.env.num_envs,) if isinstance(sim, VectorSim) else ()
    if reward is None or moment.values["reward"].dtype.kind not in "fiub":
        yield "reward", 4, f"The reward of {moment.words} is {form_of(reward)}; it is a number: `float(reward)`."
    elif np.shape(reward) != wanted:
        yield (
            "reward",
            4,
            f"The reward of {moment.words} is {form_of(reward)}; it is a single number: `float(reward)`. Did a "
            "calculation with the action, which is an array, make it one?",
        )
    for flag in ("terminated", "truncated"):
        value = moment.raw.get(flag, False)
        if isinstance(sim, VectorSim):
            continue
        if not isinstance(value, (bool, np.bool_)):
            yield (
                flag,
                6,
                f"`{flag}` is {form_of(value)} ({shown(value)}) at {moment.words}; it is True or False: "
                f"`bool({flag})`.",
            )


# TorchRL: what `_reset` and `_step` returned, before the common part of `EnvBase` mended it


def answers(case: Case, sim: TorchSim) -> None:
    specs = {**leaf_specs(sim.base.full_reward_spec), **leaf_specs(sim.base.full_done_spec)}
    rewards = list(leaf_specs(sim.base.full_reward_spec))
    flags = list(leaf_specs(sim.base.full_done_spec))
    observations = leaf_specs(sim.base.observation_spec)
    if is_library(sim.base):
        return
    unexpected: dict[Any, list[str]] = {}
    for name in ("_reset", "_step"):
        answer = sim.answers.get(name)
        if answer is None:
            continue
        if not isinstance(answer, TensorDictBase):
            case.fault(2, f"`{name}` returned {form_of(answer)}. It returns a `TensorDict(entries, batch_size)`.")
            continue
        if tuple(answer.batch_size) != sim.batch and sim.base.batch_locked:
            case.fault(
                5,
                f"What `{name}` returns has the batch size {list(answer.batch_size)}; the environment says "
                f"{list(sim.batch)}: `TensorDict(entries, self.batch_size)`.",
            )
        have = {key if isinstance(key, str) else tuple(key) for key in answer.keys(True, True)}
        wanted = {**observations, **({key: specs[key] for key in rewards} if name == "_step" else {})}
        lacking = [key for key in wanted if key not in have]
        for key in lacking:
            role = "reward_spec" if key in rewards else "observation_spec"
            case.fault(
                3,
                f"`{name}` returns no `{name_of(key)}`, which `{role}` promises; it returns "
                f"{', '.join(f'`{name_of(one)}`' for one in sorted(have, key=str))}.",
            )
        for key in have - set(observations) - set(specs) - set(leaf_specs(sim.base.state_spec)):
            if not starts_hidden(key) and not (name == "_reset" and name_of(key) == "reward"):
                unexpected.setdefault(key, []).append(f"`{name}`")
        if name == "_step":
            shapes_of_answer(case, sim, answer, rewards, flags, specs)
    for key, names in sorted(unexpected.items(), key=str):
        unnamed(case, key, " and ".join(names) + (" return" if names[1:] else " returns"), flags)


def unnamed(case: Case, key: Any, who: str, flags: list) -> None:
    if (key if isinstance(key, str) else key[-1]) in FLAGS:
        case.fault(
            3,
            f"{who} `{name_of(key)}`, but `full_done_spec` has only "
            f"{' and '.join(f'`{name_of(flag)}`' for flag in flags)}: buffers and losses will not see it. Say all "
            "three: "
            "`self.done_spec = Composite(done=..., terminated=..., truncated=...)`, each a "
            "`Categorical(2, shape, dtype=torch.bool)`.",
        )
    else:
        case.fault(
            3,
            f"{who} `{name_of(key)}`, which no spec names: what reads the specs, a collector's storage for one, will "
            "not "
            "expect it. Give it a spec in `observation_spec`, or leave it out.",
        )


def starts_hidden(key: Any) -> bool:
    return str(key if isinstance(key, str) else key[-1]).startswith("_")


def shapes_of_answer(case: Case, sim: TorchSim, answer: Any, rewards: list, flags: list, specs: dict) -> None:
    loose = not sim.base.batch_locked
    for key in [*rewards, *flags]:
        value = answer.get(key, None)
        if not isinstance(value, torch.Tensor) or loose:
            continue
        said = list(specs[key].shape)
        if list(value.shape) != said:
            what = "Rewards" if key in rewards else "Flags"
            case.fault(
                4,
                f"`_step` returns `{name_of(key)}` of shape {list(value.shape)}; its spec says {said}. {what} end in a "
                "dimension of 1: `.unsqueeze(-1)`. `EnvBase` mends it in silence here; what works with the raw numbers "
                "multiplies [n] with [n, 1] to [n, n].",
            )
    for key in rewards:
        shape = tuple(specs[key].shape)
        if shape == sim.batch or shape[-1:] != (1,):
            case.fault(
                4,
                f"The spec of `{name_of(key)}` has the shape {list(shape)}. Rewards end in a dimension of 1, as values "
                f"do: {[*sim.batch, 1]}.",
            )
