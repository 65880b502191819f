"""How episodes of a simulator end: never, always, by which flag, and what the last observation is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from course_utils.exercises.sim_case import LONG_SHARE, SEED, Case, Trace, equal, is_library
from course_utils.exercises.sim_forms import Moment, Sim, Theirs, shown
from course_utils.exercises.sim_gymnasium import PlainSim, VectorSim
from course_utils.exercises.sim_places import attributes
from course_utils.exercises.sim_torchrl import TorchSim

LONGEST = 500
BYTES = 30_000_000
LIMITS = ("max_steps", "max_episode_steps", "horizon", "time_limit", "episode_length", "max_length", "limit") + (
    "max_t",
    "max_episode_length",
    "episode_steps",
)


@dataclass(frozen=True)
class Episode:
    """One that came to its end.

    Attributes:
        row: of which copy.
        length: in steps.
        start, last: the moments at its ends.
        before: all moments between.
    """

    row: int
    length: int
    terminated: bool
    truncated: bool
    start: Moment
    last: Moment
    before: list[Moment]


def play_long(case: Case) -> None:
    """Play on until several episodes are over, or the time that there is for it."""
    if case.first.error is not None:
        return
    size = sum(values.nbytes for values in case.first.moments[-1].values.values())
    limit = limit_of(case.first.sim)
    most = min(LONGEST, BYTES // max(size, 1))
    if limit and limit[1] < 3_000:
        most = max(most, limit[1] + 20)
    steps = int(max(case.steps, min(most, LONG_SHARE / case.cost)))
    case.long.append(case.play(case.new(), seed=SEED + 2, steps=steps, actions=2))


def limit_of(sim: Sim) -> tuple[str, int] | None:
    """The longest episode that the simulator itself names."""
    for base in sim.bases():
        spec = getattr(base, "spec", None)
        if isinstance(getattr(spec, "max_episode_steps", None), int):
            return "spec.max_episode_steps", spec.max_episode_steps
    for name, value in attributes(sim.bases()).items():
        said = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if said and name.lower().strip("_") in LIMITS and value > 0:
            return f"self.{name}", int(value)
    for base in sim.bases():
        for name in LIMITS:
            value = getattr(type(base), name, None) or getattr(type(base), name.upper(), None)
            if isinstance(value, int) and not isinstance(value, bool) and value > 0 and not is_library(base):
                return name if hasattr(type(base), name) else name.upper(), value
    return None


def episodes_of(trace: Trace) -> list[Episode]:
    sim = trace.sim
    rows = int(np.prod(getattr(sim, "batch", ()))) if isinstance(sim, TorchSim) else 1
    if isinstance(sim, VectorSim):
        rows = sim.env.num_envs
    start, since = [trace.moments[0]] * rows, [0] * rows
    found = []
    for place, moment in enumerate(trace.moments):
        if moment.words == "reset":
            start, since = [moment] * rows, [place] * rows
            continue
        ended = moment.ended.reshape(-1)
        for row in range(rows):
            if ended[row]:
                flags = [flag_at(moment, name, row, rows) for name in ("terminated", "truncated")]
                between = trace.moments[since[row] + 1 : place]
                found.append(Episode(row, place - since[row], *flags, start[row], moment, between))
                since[row] = place
    return found


def flag_at(moment: Moment, name: str, row: int, rows: int) -> bool:
    for key, values in moment.values.items():
        if key == name or key.endswith(f'"{name}")'):
            flat = values.reshape(rows, -1) if values.size and values.size % rows == 0 else values.reshape(1, -1)
            if flat[min(row, len(flat) - 1)].astype(bool).any():
                return True
    return False


def look_at_ends(case: Case) -> None:
    trace = case.long[0] if case.long else case.first
    if not trace.moments or len(trace.moments) < 3:
        return
    steps = [moment for moment in trace.moments if moment.words != "reset"]
    found = episodes_of(trace)
    consistent(case, steps)
    lags(case, trace)
    unpaid(case, steps)
    if not found:
        never(case, trace, steps)
        return
    lengths = [one.length for one in found]
    if max(lengths) == 1 and len(lengths) > 2:
        always(case, trace)
        return
    too_late(case, trace, found)
    one_clock(case, trace, found)
    if not isinstance(trace.sim, VectorSim):
        mixed_up(case, trace, found)
        autoreset(case, trace, found)


def consistent(case: Case, steps: list[Moment]) -> None:
    if not isinstance(case.first.sim, TorchSim):
        return
    for moment in steps:
        for key, done in moment.values.items():
            if key != "done" and not key.endswith('"done")'):
                continue
            parts = [moment.values.get(key.replace("done", name)) for name in ("terminated", "truncated")]
            parts = [part.astype(bool) for part in parts if part is not None and part.shape == done.shape]
            if not parts:
                continue
            either = np.any(parts, axis=0)
            if not np.array_equal(either, done.astype(bool)):
                case.fault(
                    13,
                    f"`{key}` is {shown(done)} at {moment.words}, while `terminated` or `truncated` is "
                    f"{shown(either)}. "
                    "`done` has to be True exactly where one of the two is: `done = terminated | truncated`.",
                )
                return


def lags(case: Case, trace: Trace) -> None:
    """Does a step show what was before it?"""
    if not trace.sim.one_by_one:
        return
    starts = [n for n, moment in enumerate(trace.moments[:-3]) if moment.words == "reset"]
    pairs = [(observations(trace.moments[n]), observations(trace.moments[n + 1])) for n in starts]
    later = [
        alike(observations(one), observations(other))
        for one, other in zip(trace.moments, trace.moments[1:], strict=False)
        if one.words not in ("reset", "step 1") and other.words not in ("reset", "step 1")
    ]
    if len(later) > 10 and not any(later) and all(alike(*pair) for pair in pairs):
        case.fault(
            13,
            f"The observation after step 1 is still that of the reset, in all {len(starts)} episodes, though it "
            "changes "
            "with every later step: the step hands out what was seen before it moved. Look after the move.",
        )


def alike(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)


def unpaid(case: Case, steps: list[Moment]) -> None:
    """A reward that is always the same teaches nothing."""
    paid = {shown(moment.values["reward"]) for moment in steps if "reward" in moment.values}
    if paid == {"0"} and len(steps) > 50:
        case.note(83, f"The reward was 0 at all {len(steps):,} steps. Can a random player ever come upon another one?")


def one_clock(case: Case, trace: Trace, found: list[Episode]) -> None:
    """Are all rows cut off at once, though their episodes began at different steps?"""
    if not isinstance(trace.sim, TorchSim) or trace.sim.one_by_one:
        return
    rows = int(np.prod(trace.sim.batch))
    together = [[one for one in found if one.last is moment and one.truncated] for moment in trace.moments]
    together = [group for group in together if group]
    apart = [group for group in together if len({one.length for one in group}) > 1]
    if rows > 1 and apart and all(len(group) == rows for group in together):
        lengths = sorted({one.length for one in apart[0]})
        case.fault(
            11,
            f"All rows are truncated at once, after {lengths[0]} steps of one episode and {lengths[-1]} of another: "
            "they "
            "share one clock. Give each row its own, `self.steps = torch.zeros(count, 1)`, and set it to 0 where the "
            "row "
            "begins anew.",
        )


def never(case: Case, trace: Trace, steps: list[Moment]) -> None:
    if any(finding.rank == 1 for finding in case.findings):  # NaN or infinite: nothing can be said of what follows
        return
    count = len(steps)
    limit = limit_of(trace.sim)
    if limit and count > limit[1]:
        case.fault(
            13,
            f"`{limit[0]}` is {limit[1]}, and after {count:,} steps `truncated` has not been True. Count the steps "
            "of an "
            "episode, and set `truncated = steps >= limit`; `reset` sets the count to 0.",
        )
        return
    if still := stands_still(steps):
        case.fault(
            13,
            f"Done never came in {count:,} steps, and from step {still} on nothing changed any more, whatever the "
            "action. "
            "Say that the episode is over: `terminated` where the world ends.",
        )
        return
    if grown := runs_away(steps):
        case.fault(
            13,
            f"Done never came in {count:,} steps, and `{grown[0]}` grew to {shown(grown[1])}. Say where the world "
            "ends, "
            "`terminated`, or set a limit to it.",
        )
        return
    case.note(
        80,
        f"Done never came in {count:,} steps. If the task goes on for ever, that is right; give it a time limit all "
        "the "
        "same, so that episodes can be counted: "
        + (
            "`TransformedEnv(env, StepCounter(max_steps=500))`."
            if isinstance(trace.sim, TorchSim)
            else "`TimeLimit(env, 500)`."
        ),
    )


def observations(moment: Moment) -> dict[str, np.ndarray]:
    flags = ("reward", "terminated", "truncated", "done")
    return {
        k: v for k, v in moment.values.items() if k not in flags and not k.endswith(tuple(f'"{f}")' for f in flags))
    }


def stands_still(steps: list[Moment]) -> int:
    """From which step on all observations are the same, where that is for long and was not so before."""
    if len(steps) < 60:
        return 0
    last = observations(steps[-1])
    place = len(steps) - 1
    while place > 0 and all(
        equal(values, last[key]) for key, values in observations(steps[place - 1]).items() if key in last
    ):
        place -= 1
    return place + 1 if place > 0 and len(steps) - place > max(40, len(steps) // 3) else 0


def runs_away(steps: list[Moment]) -> tuple[str, float] | None:
    quarter = len(steps) // 4
    if quarter < 10:
        return None
    for key, values in observations(steps[0]).items():
        if values.dtype.kind != "f" or not values.size:
            continue
        sizes = [
            max((np.abs(m.values[key]).max() for m in part if key in m.values), default=0.0) for part in quarters(steps)
        ]
        if all(np.isfinite(sizes)) and sizes == sorted(sizes) and sizes[-1] > max(30 * sizes[0], 100):
            return key, sizes[-1]
    return None


def quarters(steps: list[Moment]) -> list[list[Moment]]:
    quarter = len(steps) // 4
    return [steps[n * quarter : (n + 1) * quarter] for n in range(4)]


def always(case: Case, trace: Trace) -> None:
    """Each step ended an episode: a bandit, or a mistake?"""
    count = sum(moment.ended.size for moment in trace.moments if moment.ended.any())
    one, other = case.new(), case.new()
    case.begin(one, SEED)
    case.begin(other, SEED)
    moves = False
    for number in range(12):
        left, right = one.step(one.draw(number)), other.step(other.draw(300_000 + number))
        seen = observations(left)
        moves = moves or any(not equal(values, observations(right)[key]) for key, values in seen.items())
        if moves or not case.repeatable:
            break
        if one.one_by_one:
            one.reset(), other.reset()
    if moves and case.repeatable:
        case.fault(
            13,
            f"Each of {count:,} steps ended its episode, though the world goes on: what is seen after a step depends "
            "on "
            "the action. Is a condition the wrong way round, or `done` an array where it should be one flag?",
        )
    else:
        case.note(80, f"Each of {count:,} steps ended its episode. In a bandit that is right.")


def too_late(case: Case, trace: Trace, found: list[Episode]) -> None:
    limit = limit_of(trace.sim)
    longest = max(one.length for one in found)
    running = len(trace.moments) if isinstance(trace.sim, TorchSim) and not trace.sim.one_by_one else 0
    if limit and longest > limit[1] + 1 and not running:
        case.fault(
            13,
            f"`{limit[0]}` is {limit[1]}, and an episode lasted {longest} steps. `truncated = steps >= limit` ends "
            "it in "
            "time.",
        )


def mixed_up(case: Case, trace: Trace, found: list[Episode]) -> None:
    """Terminated and truncated, where it can be seen which of them it should have been."""
    lengths = [one.length for one in found]
    if isinstance(trace.sim, PlainSim) and "truncated" not in trace.moments[-1].values:
        return
    both = [one for one in found if one.terminated and one.truncated]
    if len(found) > 2 and len(both) == len(found) and len(set(lengths)) > 1:
        case.fault(
            13,
            f"All {len(found)} episodes ended with `terminated` and `truncated` both True. They say different things: "
            "`terminated` the end of the world, after which nothing is to be had; `truncated` a time limit, after "
            "which "
            "the value of the last state still counts. Set each by its own condition.",
        )
        return
    timed = [one for one in found if one.truncated]
    ended = [one for one in found if one.terminated]
    if len(found) > 3 and len(timed) == len(found) and not ended and len(set(lengths)) > 2:
        case.fault(
            13,
            f"All {len(found)} episodes ended by `truncated`, after {few(lengths)} steps. A time limit comes at a "
            "fixed "
            "step; an end that the world brings is `terminated`. As it is, values are bootstrapped beyond the end.",
        )
        return
    same = {one.length for one in ended}
    if len(ended) > 2 and len(ended) == len(found) and len(same) == 1 and not timed:
        length = lengths[0]
        if length >= 5 and not special_reward(ended) and not clock(ended):
            case.fault(
                13,
                f"All {len(found)} episodes ended at step {length} exactly, as `terminated`, whatever was done, and "
                "nothing in the observation tells it. That is a time limit, so `truncated`: with `terminated` the "
                "agent "
                "learns that the future there is worth nothing.",
            )


def few(lengths: list[int]) -> str:
    return ", ".join(map(str, lengths[:4])) + (", ..." if len(lengths) > 4 else "")


def row_values(moment: Moment, key: str, one: Episode) -> np.ndarray:
    values = moment.values[key]
    return values[one.row] if moment.ended.ndim and values.ndim and values.shape[0] == moment.ended.shape[0] else values


def special_reward(found: list[Episode]) -> bool:
    """Is the last reward one that no other step pays?"""
    keys = [key for key in found[0].last.values if key == "reward" or key.endswith('"reward")')]
    for key in keys:
        last = [float(np.sum(row_values(one.last, key, one))) for one in found]
        rest = [float(np.sum(row_values(m, key, one))) for one in found for m in one.before if key in m.values]
        if rest and (
            min(last) > max(rest)
            or max(last) < min(rest)
            or not set(np.round(last, 6)) & set(np.round(rest, 6))
            and len(set(np.round(rest, 6))) < 4
        ):
            return True
    return False


def clock(found: list[Episode]) -> bool:
    """Does a number of the observation tell that the end has come: one that it has at each end and never before?"""
    for key, values in observations(found[0].last).items():
        if values.dtype.kind not in "fiub":
            continue
        ends = np.stack([row_values(one.last, key, one).reshape(-1) for one in found]).astype(float)
        rest = [row_values(m, key, one).reshape(-1) for one in found for m in one.before if key in m.values]
        if not rest:
            continue
        rest = np.stack(rest).astype(float)
        same = np.ptp(ends, axis=0) < 1e-6
        beyond = (ends.min(0) > rest.max(0) + 1e-9) | (ends.max(0) < rest.min(0) - 1e-9)
        if (same & beyond).any():
            return True
        # A picture: some pixel is lit at the end alone.
        if values.ndim >= 2 and ends.shape[1] >= 16 and beyond.any():
            return True
    return False


def autoreset(case: Case, trace: Trace, found: list[Episode]) -> None:
    """Is the last observation the first one of the next episode?"""
    starts = [moment for moment in trace.moments if moment.words == "reset"]
    if not trace.sim.one_by_one or len(starts) < 3 or len(found) < 3:
        return
    first = observations(starts[0])
    if not all(equal(values, observations(one)[key]) for one in starts for key, values in first.items()):
        return
    longer = [one for one in found if one.length > 2]
    back = [one for one in longer if all(equal(v, observations(one.last)[k]) for k, v in first.items())]
    if len(longer) > 2 and len(back) == len(longer):
        case.fault(
            13,
            f"At the end of all {len(longer)} episodes the observation is that of a start: `step` resets by itself. "
            "Then "
            "the last observation, from which values are bootstrapped, is lost. Leave the reset to who calls `reset`.",
        )


def look_after_the_end(case: Case) -> None:
    """A step after the end, which Gymnasium leaves open: only mentioned."""
    sim = case.first.sim
    if not sim.one_by_one or isinstance(sim, PlainSim) or is_library(sim.bases()[-1]):
        return
    trace = case.long[0] if case.long else case.first
    if not any(moment.ended for moment in trace.moments):
        return
    one = case.new()
    try:
        case.begin(one, SEED)
        for number in range(200):
            if one.step(one.draw(number)).ended:
                break
        else:
            return
        paid = one.step(one.draw(5)).values.get("reward")
    except Theirs:
        return
    if paid is not None:
        case.note(
            95,
            f"A step after the end of an episode is answered as any other (reward {shown(paid)}); raising an error "
            "there shows loops that forget to reset.",
        )
