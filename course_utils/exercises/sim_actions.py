"""Whether actions do something, and what a step costs."""

from __future__ import annotations

import cProfile
import pstats
import time
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import torch
from torchrl.data import Bounded

from course_utils.exercises.sim_case import SEED, Case, equal, first_difference, is_library
from course_utils.exercises.sim_forms import Sim, Theirs, shown
from course_utils.exercises.sim_gymnasium import PlainSim, VectorSim
from course_utils.exercises.sim_torchrl import TorchSim

SLOW = 0.005  # seconds a step, from which on it is said
DRAWING = ("render", "draw", "plot", "imshow", "savefig", "flip", "display", "show")


WAITS = ("sleep", "recv", "poll", "select", "acquire", "posix.read", "readline")


def look_at_actions(case: Case) -> None:
    if not case.repeatable or case.first.error is not None:
        return
    others = [case.play(case.new(), actions=number) for number in (4, 5)]
    drawn = [str(action) for trace in others for action in trace.actions if action is not None]
    steps = sum(action is not None for action in case.first.actions)
    differ = any(first_difference(case.first, other) is not None for other in others)
    if not differ and steps > 7 and varied(case, others) and drawn:
        case.fault(
            14,
            f"Actions do nothing: three series of {steps} random actions after the same seed gave the same "
            "observations, "
            "rewards and ends. Does `step` use its action?",
        )
    elif differ:
        beyond(case)


def varied(case: Case, others: list) -> bool:
    """Were different actions drawn at all?"""
    for one, other in zip(case.first.actions, others[0].actions, strict=False):
        if one is None or other is None:
            continue
        if isinstance(case.first.sim, TorchSim):
            if not all(torch.equal(one.get(key), other.get(key)) for key in one.keys(True, True)):
                return True
        elif repr(one) != repr(other):
            return True
    return False


def beyond(case: Case) -> None:
    """An action outside of its spec: refused, clipped, or taken?"""
    if is_library(case.first.sim.bases()[-1]) or isinstance(case.first.sim, (PlainSim, VectorSim)):
        return
    limit, far = case.new(), case.new()
    pair = edge(limit)
    if pair is None:
        return
    try:
        case.begin(limit, SEED)
        case.begin(far, SEED)
        one, other = limit.step(pair[0]), far.step(pair[1])
    except Theirs:
        return
    if any(not equal(values, other.values[key]) for key, values in one.values.items()):
        case.note(
            85,
            f"An action of {pair[2]}, beyond the spec's {pair[3]}, is neither refused nor clipped. A network may "
            "send one: "
            "clip it at the beginning of the step, or raise an error.",
        )


def edge(sim: Sim) -> tuple[Any, Any, str, str] | None:
    """An action at the upper limit, and one far beyond."""
    if isinstance(sim, TorchSim):
        keys = sim.env.action_keys
        spec = sim.env.full_action_spec[keys[0]]
        if (
            len(keys) != 1
            or type(spec) is not Bounded
            and not isinstance(spec, Bounded)
            or not spec.dtype.is_floating_point
        ):
            return None
        high = spec.space.high
        if not torch.isfinite(high).all():
            return None
        sim.reset(SEED)
        most = sim.draw(0)
        far = most.clone()
        most.set(keys[0], high.clone()), far.set(keys[0], high * 10 + 1)
        return most, far, shown((high * 10 + 1).reshape(-1)[:1].numpy()), shown(high.reshape(-1)[:1].numpy())
    space = sim.env.action_space
    if not isinstance(space, gymnasium.spaces.Box) or not np.isfinite(space.high).all():
        return None
    if space.dtype.kind != "f":
        return None
    far = (space.high * 10 + 1).astype(space.dtype)
    return space.high.copy(), far, shown(far.reshape(-1)[:1]), shown(space.high.reshape(-1)[:1])


def look_at_speed(case: Case) -> None:
    """What a step costs, and where that goes."""
    log = case.log
    if not log.steps or case.first.error is not None:
        return
    computing, waiting = log.computing, log.waiting
    if waiting > 2e-3 and waiting > computing and sleeps(case):
        case.fault(
            15,
            f"A step takes {(waiting + computing) * 1e3:.0f} ms, of which it computes for {computing * 1e3:.1f}: it "
            "waits, by `time.sleep` or for another program. Training needs no real time: wait only where somebody "
            "watches.",
        )
        return
    drawing = draws(case)
    if drawing and drawing[1] > 0.3 and computing > 2e-4:
        case.fault(
            15,
            f"`step` draws a picture each time: `{drawing[0]}` takes {drawing[1]:.0%} of a step's "
            f"{computing * 1e3:.1f} ms. "
            "Draw only where somebody asks for it, in `render`.",
        )
    elif computing > SLOW:
        case.note(
            85,
            f"A step takes {computing * 1e3:.0f} ms: about {max(1, int(1 / computing)):,} steps a second in each "
            "process." + (f" Most of it goes into `{drawing[2]}`." if drawing and drawing[2] else ""),
        )


def profile(case: Case, clock: Callable[[], float]) -> list[tuple[str, str, float]] | None:
    """(file, function, share of the time) of what a few steps call."""
    sim = case.new()
    recorder = cProfile.Profile(clock)
    try:
        case.begin(sim, SEED)
        for number in range(5):
            action = sim.draw(number)
            if sim.one_by_one and sim.last.ended:
                sim.reset()
            recorder.enable()
            try:
                sim.step(action)
            finally:
                recorder.disable()
    except (Theirs, ValueError):  # another profiler runs
        return None
    stats = pstats.Stats(recorder)
    whole = max((row[3] for (_, _, name), row in stats.stats.items() if name in ("_step", "_call_step")), default=0.0)
    if not whole:
        return None
    return [(file, name, row[3] / whole) for (file, _, name), row in stats.stats.items()]


def sleeps(case: Case) -> bool:
    """Is most of a step's time on the clock spent in a function of Python's own that waits?"""
    found = profile(case, time.perf_counter) or []
    return sum(share for file, name, share in found if file == "~" and any(word in name for word in WAITS)) > 0.5


def draws(case: Case) -> tuple[str, float, str] | None:
    """The function that draws, its share of a step, and the most expensive function of the learner's besides `step`."""
    sim = case.first.sim
    if any(
        getattr(base, "render_mode", None) == "human" for base in sim.bases() if not isinstance(base, torch.nn.Module)
    ):
        return None
    pictures = any(
        values.ndim - len(getattr(sim, "batch", ())) >= 2 for values in case.first.moments[0].values.values()
    )
    found = [
        row
        for row in profile(case, time.thread_time) or []
        if "course_utils" not in row[0].replace("\\", "/").split("/")
    ]
    theirs = [row for row in found if "site-packages" not in row[0] and "/lib/python" not in row[0] and row[0] != "~"]
    costly = max(
        (row for row in theirs if row[1] not in ("step", "_step")), key=lambda row: row[2], default=("", "", 0.0)
    )
    named = [row for row in found if row[1].strip("_").startswith(DRAWING)] if not pictures else []
    top = max(named, key=lambda row: row[2], default=("", "", 0.0))
    return top[1], top[2], costly[1]
