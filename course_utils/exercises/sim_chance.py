"""Where a simulator's chance comes from, and whether a seed repeats it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np

from course_utils.exercises.sim_case import SEED, Case, Difference, equal, first_difference
from course_utils.exercises.sim_forms import shown
from course_utils.exercises.sim_gymnasium import PlainSim
from course_utils.exercises.sim_places import GENERATORS, attributes, changed, prints, shared_places
from course_utils.exercises.sim_torchrl import TorchSim

CALLS = {"np.random": "`np.random.rand()`", "random": "`random.random()`", "torch": "`torch.rand(n)`"}


def look_at_chance(case: Case) -> None:
    first = case.first
    sim = first.sim
    if isinstance(sim, TorchSim) and first.moments and sim.seeded is None:
        case.fault(
            12,
            "`set_seed(0)` returned nothing. It returns the seed for the next copy, which collectors and `ParallelEnv` "
            "hand on. Do not write `set_seed` yourself: write `_set_seed(self, seed)`, and `EnvBase` does the rest.",
        )
    seedless = isinstance(sim, PlainSim) and sim.seedless()
    again = case.play(case.new())
    parted = first_difference(first, again)
    drawn = sorted(set(sim.drew) | set(again.sim.drew))
    if parted is None:
        if drawn:
            seeded_for_all(case, drawn[0])
        if not seedless:
            other_seed(case)
        return
    moved = changed(case.places, prints(shared_places(sim.bases())))
    case.repeatable = False
    if drawn:
        if not seedless:
            not_reached(case, drawn[0], parted)
        case.pinned = True
        case.first, again = case.play(case.new()), case.play(case.new())
        case.repeatable = first_difference(case.first, again) is None
    elif generators := [name for name in moved if isinstance(shared_places(sim.bases())[name], GENERATORS)]:
        case.fault(
            12,
            f"All copies draw from one generator, {generators[0]}, and the seed does not reach it: {parts(parted)} "
            "after "
            f"the same seed. {mend(case)}",
        )
    elif moved:
        case.fault(
            10,
            "A second copy does not play like the first one, after the same seed and the same actions: "
            f"{parts(parted)}. "
            f"Both use {moved[0]}, which the first one changed. Keep what an episode changes in the object: "
            "`self.x = ...` in `__init__` and in the reset.",
        )
    elif not seedless:
        unreached(case, again.sim, parted)
    if seedless and not case.repeatable:
        case.note(12, "`reset` takes no seed, so what depends on repeating an episode could not be checked.")


def parts(parted: Difference) -> str:
    return f"`{parted.key}` is {shown(parted.one)} and {shown(parted.other)} at {parted.words}"


def mend(case: Case) -> str:
    if isinstance(case.first.sim, TorchSim):
        return (
            "Make it `self.rng = torch.Generator().manual_seed(seed)` in `_set_seed(seed)`, and draw with "
            "`generator=self.rng`."
        )
    return "Begin `reset` with `super().reset(seed=seed)`, and draw from `self.np_random`."


def not_reached(case: Case, name: str, parted: Difference) -> None:
    case.fault(
        12,
        f"The seed is ignored: {parts(parted)} after the same seed. The simulator draws from the global generator "
        f"({CALLS[name]}), which belongs to everybody. {mend(case)}",
    )


def unreached(case: Case, other, parted: Difference) -> None:
    if "seed" in case.log.odd:  # it takes none, which was said
        return
    states = []
    for sim in (case.new(), other):
        case.begin(sim, SEED)
        states.append(prints(generators_of(sim)))
    own = changed(*states)
    unseeded = "`np_random`" if "_np_random" in own else f"`self.{own[0]}`" if own else ""
    if own:
        case.fault(
            12,
            f"The seed does not reach {unseeded}, from which the simulator draws: {parts(parted)} after the same "
            f"seed. {mend(case)}",
        )
    else:
        case.fault(
            12,
            f"Two copies with the same seed and the same actions part: {parts(parted)}. Is there a generator that is "
            f"made anew without the seed, a clock, or the order of a set? {mend(case)}",
        )


def seeded_for_all(case: Case, name: str) -> None:
    words = (
        f"Chance comes from the global generator ({CALLS[name]}), which the seed sets for everybody: a second copy, or "
        f"an agent that explores, changes what this world does. {mend(case)}"
    )
    if isinstance(case.first.sim, (TorchSim, PlainSim)):
        case.note(12, words)
    else:
        case.fault(12, words)


def other_seed(case: Case) -> None:
    """What another seed changes, and what a reset without one does."""
    sim = case.new()
    other = case.play(sim, seed=SEED + 1)
    if other.error is not None:
        return
    if first_difference(case.first, other) is None:
        draws = bool(sim.drew) or bool(moves(case, sim))
        if draws:
            case.fault(
                12,
                f"Another seed changes nothing: seeds {SEED} and {SEED + 1} give the same episode to the last number, "
                "though the world draws from a generator. Does it begin with a fixed number each time? "
                f"{mend(case)}",
            )
            case.repeatable = False
        else:
            case.note(90, f"Nothing here is left to chance: seeds {SEED} and {SEED + 1} give the same episode.")
        return
    case.begin(sim, SEED)
    starts = [sim.reset().values for _ in range(8)]
    seeded = case.first.moments[0].values, other.moments[0].values
    if not same(*seeded) and all(same(starts[0], start) for start in starts):
        case.fault(
            12,
            "Every `reset` without a seed begins the same episode. A seed is set once; later resets go on drawing from "
            "the same generator: make it anew only where a seed is given.",
        )


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)


def generators_of(sim) -> dict:
    return {name: value for name, value in attributes(sim.bases()).items() if isinstance(value, GENERATORS)}


def moves(case: Case, sim) -> bool:
    """Does a play move a generator on, or make one?"""
    with made_generators() as made:
        case.begin(sim, SEED)
        before = prints(generators_of(sim))
        sim.reset()
        for number in range(min(10, case.steps)):
            if sim.one_by_one and sim.last.ended:
                sim.reset()
            sim.step(sim.draw(number))
    return bool(made or changed(before, prints(generators_of(sim))))


@contextlib.contextmanager
def made_generators() -> Iterator[list[str]]:
    """Notes each generator of NumPy's that is made with a number of its own, which is not the seed."""
    made: list[str] = []
    usual = np.random.default_rng

    def noting(seed=None):
        if seed is not None and seed != SEED:
            made.append("np.random.default_rng")
        return usual(seed)

    np.random.default_rng = noting
    try:
        yield made
    finally:
        np.random.default_rng = usual
