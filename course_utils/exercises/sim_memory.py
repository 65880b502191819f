"""Arrays that a simulator hands out and goes on using, and what a reset leaves behind or copies share."""

from __future__ import annotations

import numpy as np
import torch

from course_utils.exercises.sim_case import SEED, Case, Difference, Trace, equal, first_difference, is_library
from course_utils.exercises.sim_forms import Moment, Sim, Theirs, as_array, shown
from course_utils.exercises.sim_places import attributes, changed, prints, shared_places
from course_utils.exercises.sim_torchrl import TorchSim


def look_at_reuse(case: Case) -> None:
    """Does what was handed out change later?"""
    copy = ".clone()" if isinstance(case.first.sim, TorchSim) else ".copy()"
    told = set()
    moments = case.first.moments
    for number, moment in enumerate(moments[:-1]):
        for key, values in moment.values.items():
            now = as_array(moment.raw[key])
            if key not in told and not equal(values, now):
                told.add(key)
                later = moments[number + 1].words
                case.fault(
                    9,
                    f"`{key}` of {moment.words} was {shown(values)} and is {shown(now)} after {later}: the simulator "
                    f"writes into the array that it has handed out, so all that was stored shows the last step. Return "
                    f"a copy: `self.state{copy}`.",
                )
    infos = [moment.info for moment in moments if isinstance(moment.info, dict) and moment.info]
    if len(infos) > 2 and len({id(info) for info in infos}) == 1:
        case.fault(
            9,
            "`info` is the same dictionary at each step, so all those that were kept show the last step. Make a new "
            "one "
            "each time: `info = {...}`.",
        )
    if told or not case.repeatable or case.first.error is not None or is_library(case.first.sim.bases()[-1]):
        return
    written = overwritten(case)
    parted = first_difference(case.first, written)
    if parted is not None or written.error is not None:
        seen = (
            f": `{parted.key}` is {shown(parted.other)} instead of {shown(parted.one)} at {parted.words}"
            if parted
            else ""
        )
        case.note(
            60,
            f"The observation is a view of the simulator's own array: who writes into it, to scale it for one, moves "
            f"the world{seen}. A copy is safer: `self.state{copy}`.",
        )


def overwritten(case: Case) -> Trace:
    """A play like the first one, by somebody who writes into each observation he was given."""
    sim = case.new()
    trace = Trace(sim)
    try:
        moment = case.begin(sim, SEED)
        trace.moments.append(moment)
        for number in range(min(12, case.steps)):
            action = sim.draw(number)
            scribble(moment, sim)
            moment = sim.step(action)
            trace.moments.append(moment)
            if sim.one_by_one and moment.ended:
                scribble(moment, sim)
                moment = sim.reset()
                trace.moments.append(moment)
    except Theirs as error:
        trace.error = error
    return trace


def scribble(moment: Moment, sim: Sim) -> None:
    if isinstance(sim, TorchSim):
        sim.last.root = sim.last.root.clone()
    for key, value in moment.raw.items():
        if key in ("reward", "terminated", "truncated", "done"):
            continue
        if isinstance(value, torch.Tensor) and value.numel() and not value.requires_grad:
            if not any(size == 0 for size in value.stride()) and not value.is_inference():
                value.fill_(0) if value.dtype == torch.bool else value.mul_(0).add_(1)
        elif isinstance(value, np.ndarray) and value.flags.writeable and value.dtype.kind in "fiub":
            value[...] = 1


def look_at_resets(case: Case) -> None:
    """Does a copy that has been used play like a new one after a reset?"""
    if not case.repeatable or case.first.error is not None:
        return
    sim = case.new()
    case.play(sim, seed=SEED + 5, steps=min(29, case.steps - 1), actions=3)  # no multiple of a usual time limit
    again = case.play(sim)
    parted = first_difference(case.first, again)
    if parted is None:
        return
    fresh = case.new()
    case.begin(fresh, SEED)
    case.begin(sim, SEED)
    new, used = attributes(fresh.bases()), attributes(sim.bases())
    left = [
        name
        for name in changed(prints(new), prints(used))
        if isinstance(used[name], (bool, int, float, np.ndarray, torch.Tensor, list, np.generic))
    ]
    what = [f"`self.{name}` is {brief(used[name])} after it, and {brief(new[name])} in a new one" for name in left[:2]]
    because = f" {'; '.join(what)}." if what else ""
    case.fault(
        8,
        "The reset does not reset all: a used copy does not play like a new one after the same seed: "
        f"{difference(parted)}."
        f"{because} Set all that an episode changes in the reset.",
    )


def difference(parted: Difference) -> str:
    if not parted.key:
        return f"at {parted.one}, the other was at {parted.other} already"
    return f"`{parted.key}` is {shown(parted.other)} instead of {shown(parted.one)} at {parted.words}"


def brief(value: object) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return shown(as_array(value))


def look_at_sharing(case: Case) -> None:
    """Does a copy play the same while another one plays beside it?"""
    if case.first.error is not None or not case.repeatable:
        return
    one, other = case.new(), case.new()
    if any(one_base is other_base for one_base in one.bases() for other_base in other.bases()):
        case.fault(
            10,
            "`make` gave the same simulator twice. It has to make a new one at each call: many copies play side by "
            "side. Write `lambda: MySimulator()`, with the call inside.",
        )
        return
    try:
        case.begin(other, SEED + 9)
    except Theirs:
        return

    def elsewhere(number: int) -> None:
        if other.one_by_one and other.last.ended:
            other.reset()
        other.step(other.draw(70_000 + number))

    before = prints(shared_places(one.bases()))
    beside = case.play(one, between=elsewhere)
    parted = first_difference(case.first, beside)
    if parted is None:
        return
    moved = changed(before, prints(shared_places(one.bases())))
    mutual = [
        name for name, value in attributes(one.bases()).items() if is_shared(value, attributes(other.bases()).get(name))
    ]
    case.repeatable = False  # what follows from it need not be said
    where = moved[0] if moved else f"`self.{mutual[0]}`, the same object in both" if mutual else ""
    case.fault(
        10,
        f"Copies share their state: while a second one plays, `{parted.key}` of the first is {shown(parted.other)} "
        "instead "
        f"of {shown(parted.one)} at {parted.words}. {f'Both use {where}. ' if where else ''}Give each its own: "
        "`self.x = ...` in `__init__`, never a class's attribute, a global or a default that is a list or an array.",
    )


def is_shared(one: object, other: object) -> bool:
    return one is other and isinstance(one, (list, dict, set, np.ndarray, torch.Tensor))
