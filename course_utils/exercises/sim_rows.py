"""What many copies in one batched environment do to one another, and what a reset of some of them does to the rest."""

from __future__ import annotations

import numpy as np

from course_utils.exercises.running import seed_all
from course_utils.exercises.sim_case import SEED, Case, equal, is_library
from course_utils.exercises.sim_forms import as_array, shown
from course_utils.exercises.sim_places import GENERATORS, attributes, changed, prints
from course_utils.exercises.sim_torchrl import TorchSim, entries

WARM = 3  # steps before some copies are reset


def look_at_rows(case: Case) -> None:
    sim = case.first.sim
    if not isinstance(sim, TorchSim) or len(sim.batch) != 1 or sim.batch[0] < 2 or case.first.error is not None:
        return
    if is_library(sim.base):
        return
    alike(case)
    if case.repeatable:
        mixed(case)
        partial(case)


def rows_of(values: np.ndarray, count: int) -> np.ndarray | None:
    return values if values.ndim and values.shape[0] == count else None


def alike(case: Case) -> None:
    """Is chance drawn once for all copies?"""
    starts = [trace.moments[0] for trace in (case.first, case.play(case.new(), seed=SEED + 3, steps=0))]
    if len(starts) < 2 or all(equal(starts[0].values[key], starts[1].values[key]) for key in starts[0].values):
        return
    count = case.first.sim.batch[0]
    for key, first in starts[0].values.items():
        if equal(first, starts[1].values[key]) or rows_of(first, count) is None:
            continue
        if not all((values[:1] == values).all() for values in (first, starts[1].values[key])):
            return
    case.fault(
        11,
        f"All {count} copies begin alike, and with another seed all alike elsewhere: chance is drawn once for all. "
        "Draw "
        "with the batch size: `torch.rand(*self.batch_size, n, generator=self.rng)`.",
    )


def mixed(case: Case) -> None:
    """Does another action of the first copy change what the others see?"""
    one, other = case.new(), case.new()
    case.begin(one, SEED)
    case.begin(other, SEED)
    count = one.batch[0]
    for number in range(WARM):
        usual = one.draw(number)
        changed = other.draw(number)
        elsewhere = other.draw(500_000 + number)
        for key in changed.keys(True, True):
            changed[key][0] = elsewhere[key][0]
        left, right = one.step(usual), other.step(changed)
        for key, values in left.values.items():
            if rows_of(values, count) is None:
                continue
            for row in range(1, count):
                if not equal(values[row], right.values[key][row]):
                    case.fault(
                        11,
                        f"Copies are not on their own: another action in row 0 changes `{key}` of row {row} at "
                        f"{left.words}, from {shown(values[row])} to {shown(right.values[key][row])}. Does a `sum`, "
                        "`mean`, `max` or `any` run over the copies? Give it the last dimension: `dim=-1`.",
                    )
                    return
        if left.ended.any() or right.ended.any():
            return


def partial(case: Case) -> None:
    """Reset every other copy: do these begin anew, and do the rest go on?"""
    count = case.first.sim.batch[0]
    rows = np.arange(count) % 2 == 0
    reset, kept = case.new(), case.new()
    warm(case, reset)
    warm(case, kept)
    if reset.last.ended.any():
        return
    there = root_values(reset)
    action, seed = kept.draw(9), SEED + 21
    reset.partial_reset(rows)
    held = prints(state_of(kept))
    reseed(case, reset, seed)
    reseed(case, kept, seed)
    if changed(held, prints(state_of(kept))):  # its `_set_seed` resets, too
        return
    after, before = reset.step(action), kept.step(action)
    wrong_stay = differing(after.values, before.values, ~rows)
    moved_on = {row for bad in differing(after.values, before.values, rows).values() for row in bad}
    stayed = [row for row in np.nonzero(rows)[0] if row not in moved_on]
    said, named = listed(np.nonzero(rows)[0]), listed(np.nonzero(~rows)[0])
    if wrong_stay:
        key, bad = next(iter(wrong_stay.items()))
        row = bad[0]
        words = (
            f"A reset of rows {said} resets the others, too: after the next step `{key}` of row {row} is "
            f"{shown(after.values[key][row])} instead of {shown(before.values[key][row])}. `_reset` has to look at "
            '`tensordict["_reset"]`, which is True for the rows that begin anew: '
            "`torch.where(mask, start, self.state)`."
        )
        if ends_together(case):
            case.note(11, words + " (Here all rows were seen to end together, so it does not show.)")
        else:
            case.fault(11, words)
        return
    moved = any(not equal(values, case.first.moments[0].values.get(key, values)) for key, values in there.items())
    if len(stayed) == int(rows.sum()) and moved:
        case.fault(
            11,
            f"A reset of rows {said} resets none of them: after the next step they are where they would have been "
            f"without it (row {stayed[0]}). `_reset` has to give a new start to the rows where "
            f'`tensordict["_reset"]` is True, and '
            f"leave {named} alone.",
        )


def reseed(case: Case, sim: TorchSim, seed: int) -> None:
    if case.pinned:
        with sim.alone():
            seed_all(seed)
    sim.set_seed(seed)


def warm(case: Case, sim: TorchSim) -> None:
    case.begin(sim, SEED)
    for number in range(WARM):
        sim.step(sim.draw(number))
        if sim.last.ended.any():
            return


def state_of(sim: TorchSim) -> dict:
    """What it holds besides generators and the seed."""
    held = attributes(sim.bases())
    return {name: value for name, value in held.items() if not isinstance(value, GENERATORS) and "seed" not in name}


def root_values(sim: TorchSim) -> dict[str, np.ndarray]:
    found = entries(sim.last.root)
    return {name: as_array(value) for name, value in found.items() if name in sim.promises}


def differing(one: dict, other: dict, rows: np.ndarray) -> dict[str, list[int]]:
    found = {}
    for key, values in one.items():
        if key not in other or rows_of(values, len(rows)) is None:
            continue
        bad = [int(row) for row in np.nonzero(rows)[0] if not equal(values[row], other[key][row])]
        if bad:
            found[key] = bad
    return found


def ends_together(case: Case) -> bool:
    ends = [moment.ended for trace in [case.first, *case.long] for moment in trace.moments if moment.ended.any()]
    return len(ends) >= 2 and all(one.all() for one in ends)


def listed(rows: np.ndarray) -> str:
    return "[" + ", ".join(str(int(row)) for row in rows[:6]) + (", ..." if len(rows) > 6 else "") + "]"
