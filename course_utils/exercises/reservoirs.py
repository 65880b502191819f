"""What a world of reservoirs that a learner has written does wrong, seen from outside: made, reset, stepped, seeded.

Where it keeps its state, in the tensordict or in the environment, is not asked for.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDictBase
from torchrl.envs import EnvBase
from torchrl.envs.utils import check_env_specs, step_mdp

from course_utils.exercises.exercise import Draw
from course_utils.exercises.grids import about_entry, build, holds

COPIES, STEPS = 48, 60
FULL, GATE, RAIN = 10.0, 2.0, 2.0
FLAGS = ("terminated", "truncated", "done")
CLOSE = 1e-4  # levels are float32, and may be added up in any order


@dataclass(frozen=True)
class Seen:
    """A play; all are [time, copies] and copied at once.

    Attributes:
        before, action, after, reward, terminated, truncated, done: of each step.
        following: the level at which the next step starts.
        begun: True where a row began anew after the step: it was done, or was asked to.
        asked: True where it was asked to.
        age: days of the episode, that of the step among them, counted here.
    """

    before: torch.Tensor
    action: torch.Tensor
    after: torch.Tensor
    reward: torch.Tensor
    terminated: torch.Tensor
    truncated: torch.Tensor
    done: torch.Tensor
    following: torch.Tensor
    begun: torch.Tensor
    asked: torch.Tensor
    age: torch.Tensor


def examine_reservoirs(make: Any, draw: Draw) -> str:
    """The first thing that is wrong with an environment class, or "".

    Args:
        make: called as `make(count, days)`: `count` reservoirs whose episodes last `days` days at most.
        draw: where actions and seeds come from.
    """
    for count, days in ((COPIES, 14 + draw.turn(3)), (1, 9 + draw.turn(2))):
        env = build(make, count, days, ("Reservoirs", "days"))
        if isinstance(env, str):
            return env
        words = next(filter(None, (look(env, days, draw) for look in LOOKS)), "")
        if words:
            return words if count > 1 else f"With a single copy, `Reservoirs(1, {days})`: {words}"
    return by_the_simulators_check(make)


def about_specs(env: EnvBase, days: int, draw: Draw) -> str:
    count = env.batch_size[0]
    seen = list(env.observation_spec.keys(True, True))
    if "level" not in seen:
        return f"The observation spec has the entries {seen}; `level` is missing."
    for name, keys in (("action", env.full_action_spec), ("reward", env.full_reward_spec)):
        if list(keys.keys(True, True)) != [name]:
            return f"The {name} spec has the entries {list(keys.keys(True, True))}. It has to promise `{name}` alone."
    allowed = {"level": (0.0, 5.0, FULL), "action": (0.0, 0.5, 1.0), "reward": (-5.0, -0.1, 0.0)}
    refused = {"level": (-0.5, FULL + 0.5), "action": (-0.5, 1.5), "reward": ()}
    specs = {"level": env.observation_spec["level"], "action": env.full_action_spec["action"]}
    for name, spec in (specs | {"reward": env.full_reward_spec["reward"]}).items():
        if list(spec.shape) != [count, 1] or spec.dtype != torch.float32:
            return (
                f"The spec of `{name}` promises {spec.dtype} of shape {list(spec.shape)} where `count` is {count}. It "
                "has to be torch.float32 of shape [count, 1]."
            )
        for value in (*allowed[name], *refused[name]):
            if holds(spec, torch.full((count, 1), value)) != (value in allowed[name]):
                verb = "does not allow" if value in allowed[name] else "allows"
                return f"The spec of `{name}` {verb} {value:g}. Say the limits: `Bounded(low, high, [count, 1])`."
    missing = [name for name in FLAGS if name not in list(env.full_done_spec.keys(True, True))]
    if missing:
        return (
            f"The done spec has no {' and '.join(f'`{name}`' for name in missing)}. `EnvBase` knows `done` and "
            "`terminated` by itself; a time limit needs a `done_spec` of three flags."
        )
    return ""


def about_entries(env: EnvBase, days: int, draw: Draw) -> str:
    """Does it play at all, and do entries have the shapes that were promised?"""
    shape = [env.batch_size[0], 1]
    answers: dict[str, Any] = {}
    plain = env._step

    def listening(given: TensorDictBase) -> Any:
        answers["step"] = plain(given)
        return answers["step"].copy() if isinstance(answers["step"], TensorDictBase) else answers["step"]

    object.__setattr__(env, "_step", listening)
    try:
        first = env.reset()
        first["action"] = env.action_spec.rand()
        step = env.step(first)
    except Exception as error:
        if isinstance(answers.get("step"), TensorDictBase) and (words := of_the_reward(answers["step"], shape)):
            return words
        if not of_a_library(error):
            raise
        return (
            f"TorchRL could not take the first step: {type(error).__name__}: {str(error).splitlines()[0]} Do `_reset` "
            "and `_step` return a TensorDict of batch size [count], with the entries themselves and without `next`?"
        )
    finally:
        object.__delattr__(env, "_step")
    if words := of_the_reward(answers["step"], shape):
        return words
    for where, td in (("after `reset`", first), ("under `next`, after a step", step["next"])):
        if words := about_entry(td, "level", torch.float32, shape, where):
            return words
    for name, dtype in (("reward", torch.float32), *((flag, torch.bool) for flag in FLAGS)):
        if words := about_entry(step["next"], name, dtype, shape, "under `next`, after a step"):
            return words
    return ""


def of_the_reward(answer: TensorDictBase, shape: list[int]) -> str:
    """TorchRL mends a reward without its last dimension, and so says nothing of it."""
    reward = answer.get("reward", None)
    if not isinstance(reward, torch.Tensor):
        return "`_step` returns no `reward`."
    if list(reward.shape) != shape:
        return f"`_step` returns a `reward` of shape {list(reward.shape)}. A reward ends in a dimension of 1: {shape}."
    return ""


def about_memory(env: EnvBase, days: int, draw: Draw) -> str:
    """Is what was handed out left alone when the world moves on?"""
    td = env.reset()
    for _ in range(3):
        root = td["level"].clone()
        td["action"] = torch.full((*env.batch_size, 1), 0.5)
        td = env.step(td)
        if not torch.equal(td["level"], root):
            return (
                "`_step` writes into the `level` that it was given or has handed out before: the root of the step "
                "changes with it. Compute a new tensor: `level + rain`, not `level += rain`."
            )
        after, seen = td["next", "level"], td["next", "level"].clone()
        td = step_mdp(td)
        td["action"] = torch.full((*env.batch_size, 1), 0.5)
        td = step_mdp(env.step(td))
        if not torch.equal(after, seen):
            return (
                "A level that was handed out changes when the world moves on. Hand out a clone, or make a new tensor."
            )
    return ""


# What it does


def play(env: EnvBase, draw: Draw) -> Seen:
    """A third of the rows lets all run in, a third all out, and the rest holds its level; twice some are reset."""
    count = env.batch_size[0]
    kinds = torch.arange(count).unsqueeze(1) % 3 if count > 1 else torch.full((1, 1), 2)
    rows: list[dict[str, torch.Tensor]] = []
    td = env.reset()
    age = torch.zeros(count, 1)
    for number in range(STEPS):
        if count == 1:
            kinds = torch.full((1, 1), (2, 2, 0, 1)[number * 4 // STEPS])
        before = td["level"].clone()
        held = ((before - 5) / GATE + 0.5 + 0.1 * draw.normal(count, 1)).clamp(0, 1)
        chance = draw.normal(count, 1).abs().clamp(max=1)
        action = torch.where(kinds == 0, 0.3 * chance, torch.where(kinds == 1, 1 - 0.3 * chance, held))
        td["action"] = action.clone()
        step, td = env.step_and_maybe_reset(td)
        age = age + 1
        row = {name: step["next", name].clone() for name in ("reward", *FLAGS)}
        row |= {"before": before, "action": action, "after": step["next", "level"].clone(), "age": age.clone()}
        asked = torch.zeros(count, 1, dtype=torch.bool)
        if number in (5, 31) and count > 1:
            asked = draw.flags(0.5, count, 1)
            asked[:2] = torch.tensor([[True], [False]])
            td = env.reset(td.clone().set("_reset", asked.clone())).exclude("_reset")
        row |= {"following": td["level"].clone(), "asked": asked, "begun": row["done"] | asked}
        age = torch.where(row["begun"], 0.0, age)
        rows.append(row)
    return Seen(**{name: torch.stack([row[name] for row in rows]).squeeze(-1) for name in rows[0]})


def about_rules(env: EnvBase, days: int, draw: Draw) -> str:
    try:
        seen = play(env, draw)
    except RuntimeError as error:
        if not of_a_library(error):
            raise
        return (
            f"TorchRL says, after some days: {' '.join(str(error).split())[:200]} A row that begins anew has a level "
            "between 4 and 6, a clock at 0, and none of its flags is True."
        )
    fresh = torch.cat([torch.zeros_like(seen.begun[:1]), seen.begun[:-1]])
    beside = fresh.any(1, keepdim=True) & ~fresh  # another row began anew just before
    return (
        about_water(seen, ~beside)
        or about_reward(seen)
        or about_resets(seen, beside)
        or about_ends(seen, days)
        or about_rain(seen)
    )


def rain_of(seen: Seen) -> torch.Tensor:
    """How much it must have rained, where the level is neither at the bottom nor at the rim."""
    return seen.after - seen.before + GATE * seen.action


def impossible(seen: Seen) -> torch.Tensor:
    """Where no rain between 0 and 2 leads from the level before to the one after."""
    left = seen.before - GATE * seen.action
    low, high = left.clamp(0, FULL) - CLOSE, (left + RAIN).clamp(0, FULL) + CLOSE
    return (seen.after < low) | (seen.after > high)


def about_water(seen: Seen, judged: torch.Tensor) -> str:
    beyond = (seen.after < 0) | (seen.after > FULL)
    if beyond.any():
        return (
            f"The level is {float(seen.after[beyond][0]):.2f} after a step. It stays between 0 and 10: `clamp(0, 10)`."
        )
    if (seen.after == seen.before).all():
        return "The level never changes."
    wrong = impossible(seen) & judged
    if not wrong.any():
        return ""
    time, row = wrong.nonzero()[0].tolist()
    before, gate, after = (float(values[time, row]) for values in (seen.before, seen.action, seen.after))
    return (
        f"From a level of {before:.2f} a gate at {gate:.2f}, which lets out {GATE * gate:.2f}, leads to {after:.2f}. "
        f"It would have to rain {after - before + GATE * gate:.2f}, and rain is between 0 and 2."
    )


def about_reward(seen: Seen) -> str:
    right = -(seen.after - 5).abs()
    wrong = (seen.reward - right).abs() > CLOSE
    if not wrong.any():
        return ""
    time, row = wrong.nonzero()[0].tolist()
    paid = f"A step from {float(seen.before[time, row]):.2f} to {float(seen.after[time, row]):.2f} is paid "
    if torch.allclose(seen.reward, -(seen.before - 5).abs(), atol=CLOSE):
        return paid + f"{float(seen.reward[time, row]):.2f}. That is for the level *before*: pay for the new one."
    return paid + f"{float(seen.reward[time, row]):.2f}; it should be {float(right[time, row]):.2f}: -|level - 5|."


def about_ends(seen: Seen, days: int) -> str:
    lost = (seen.after <= 0) | (seen.after >= FULL)
    late = seen.age == days
    either = seen.terminated | seen.truncated
    if (seen.done != either).any():
        time, row = (seen.done != either).nonzero()[0].tolist()
        return (
            f"`done` is {bool(seen.done[time, row])} where `terminated` is {bool(seen.terminated[time, row])} and "
            f"`truncated` is {bool(seen.truncated[time, row])}. It is True where one of the two is."
        )
    if (seen.terminated & late & ~lost).any() and not (seen.terminated & ~late & ~lost).any():
        return (
            f"After {days} days an episode is `terminated`, at a level of {float(seen.after[late & ~lost][0]):.2f}. A "
            "time limit is `truncated`: the water stays, only the clock has stopped."
        )
    if (seen.terminated != lost).any():
        time, row = (seen.terminated != lost).nonzero()[0].tolist()
        flag, level = bool(seen.terminated[time, row]), float(seen.after[time, row])
        if flag and lost[time].any():
            return (
                f"A reservoir at {level:.2f} is `terminated` because another one is dry or full. Each ends by itself: "
                "no `any` over copies."
            )
        return f"A step to the level {level:.2f} has `terminated` {flag}. It is True at 0 and at 10, and nowhere else."
    counts = seen.truncated & ~late
    if (wrong := (counts | late & ~seen.truncated) & ~lost).any():
        time, row = wrong.nonzero()[0].tolist()
        age, flag = int(seen.age[time, row]), bool(seen.truncated[time, row])
        if not seen.truncated.any():
            return f"An episode of {age} days is not `truncated`, though `days` is {days}."
        return (
            f"Day {age} of an episode has `truncated` {flag}; it is True on day {days}. Each row has a clock of its "
            "own, which begins at 0 where that row begins anew."
        )
    if (counts & lost).any():
        return f"A reservoir that is dry or full before day {days} is `truncated`, too. That flag is the clock's alone."
    return ""


def about_resets(seen: Seen, beside: torch.Tensor) -> str:
    moved = (seen.following != seen.after) & ~seen.begun
    late = impossible(seen) & beside
    if moved.any() or late.any():
        time, row = (moved if moved.any() else late).nonzero()[0].tolist()
        begun = seen.begun[time if moved.any() else time - 1].nonzero().flatten().tolist()
        return (
            f"After the reset of rows {begun} row {row} has moved, too. `_reset` gets `tensordict['_reset']`, True "
            "where a copy begins anew: leave the other rows as they were."
        )
    starts = seen.following[seen.begun]
    outside = (starts < 4 - CLOSE) | (starts > 6 + CLOSE)
    if outside.any():
        return f"An episode begins at the level {float(starts[outside][0]):.2f}. It begins between 4 and 6."
    return ""


def about_rain(seen: Seen) -> str:
    if seen.after.shape[1] == 1:
        return ""
    inside = (seen.after > 0) & (seen.after < FULL)
    rain = rain_of(seen)
    every = inside.all(1)
    if every.any() and (rain[every].std(1) < 0.01).all() or alike(rain, inside):
        return "It rains the same on all reservoirs, at every step. Draw a number for each row: shape [count, 1]."
    if ((rain[1:] - rain[:-1]).abs()[inside[1:] & inside[:-1]] < CLOSE).float().mean() > 0.5:
        return "It rains the same every day. Draw the rain anew in each step."
    held = seen.after[:, 2::3]  # those rows never reach an end, so all of their rain is seen
    return uneven(rain[:, 2::3][(held > 0.5) & (held < FULL - 0.5)], 0, RAIN, "days", "rain")


def alike(rain: torch.Tensor, inside: torch.Tensor) -> bool:
    """Does what is common to all rows explain more than chance would?"""
    counts = inside.sum(1).clamp(min=1)
    means = (rain * inside).sum(1) / counts
    return bool((((means - 1) ** 2 * counts).mean() / (RAIN**2 / 12)) > 4)


def uneven(values: torch.Tensor, low: float, high: float, what: str, name: str) -> str:
    """Eight equal parts of the range have to be about equally full."""
    count = torch.histc(values, 8, low - CLOSE, high + CLOSE)
    share = count / count.mean()
    if share.max() < 1.5 and share.min() > 0.5:
        return ""
    part = int((share - 1).abs().argmax())
    edges = [low + (high - low) * place / 8 for place in (part, part + 1)]
    return (
        f"In {int(count[part])} of {len(values)} {what} the {name} was between {edges[0]:.2f} and {edges[1]:.2f}. All "
        f"numbers from {low:g} to {high:g} are equally likely, so an eighth is to be expected."
    )


def about_starts(env: EnvBase, days: int, draw: Draw) -> str:
    count = env.batch_size[0]
    starts = torch.stack([env.reset()["level"].clone() for _ in range(1 + 1_000 // count)]).squeeze(-1)
    if (starts == starts[0]).all():
        return "Every reset begins at the same levels. Draw them anew for each episode, from your generator."
    if count > 1 and (starts == starts[:, :1]).all():
        return "All reservoirs begin at the same level. Draw a number for each row: shape [count, 1]."
    outside = (starts < 4 - CLOSE) | (starts > 6 + CLOSE)
    if outside.any():
        return f"An episode begins at the level {float(starts[outside][0]):.2f}. It begins between 4 and 6."
    return uneven(starts.flatten(), 4, 6, "episodes", "first level")


def about_limits(env: EnvBase, days: int, draw: Draw) -> str:
    """A network's action may lie beyond the spec."""
    for action, limit in ((2.5, 1.0), (-1.5, 0.0)):
        td = env.reset()
        before = td["level"].clone()
        td["action"] = torch.full((*env.batch_size, 1), action)
        after = env.step(td)["next", "level"]
        rain = after - before + GATE * limit
        if ((rain < -CLOSE) | (rain > RAIN + CLOSE)).any():
            return (
                f"A gate at {action:g} leads from {float(before[0]):.2f} to {float(after[0]):.2f}. A gate cannot be "
                f"opened beyond its limits; {action:g} counts as {limit:g}: `clamp(0, 1)`."
            )
    return ""


def about_seeds(env: EnvBase, days: int, draw: Draw) -> str:
    first, other = 1000 + int(draw.integers(0, 1000, 1)), 5000 + int(draw.integers(0, 1000, 1))

    def levels(seed: int, agent: int) -> torch.Tensor:
        env.set_seed(seed)
        torch.manual_seed(agent)
        found = []
        for _ in range(3):
            td = env.reset()
            found.append(td["level"].clone())
            for _ in range(3):
                torch.rand(3)
                td["action"] = torch.full((*env.batch_size, 1), 0.5)
                td = step_mdp(env.step(td))
                found.append(td["level"].clone())
        return torch.stack(found)

    once, again, third = levels(first, 11), levels(first, 11), levels(first, 12)
    if not torch.equal(once, again):
        return f"`set_seed({first})` twice, and the levels differ. `_set_seed` has to restart your generator."
    if not torch.equal(once, third):
        return (
            "The levels change with `torch.manual_seed`, the agent's seed. Draw from a generator of the world's own: "
            "`torch.Generator().manual_seed(seed)` in `_set_seed`."
        )
    if torch.equal(once, levels(other, 11)):
        return f"`set_seed({first})` and `set_seed({other})` give the same levels. Does `_set_seed` use its seed?"
    return ""


def about_check(env: EnvBase, days: int, draw: Draw) -> str:
    try:
        check_env_specs(env)
    except Exception as error:
        if not of_a_library(error):
            raise
        return f"`check_env_specs` says: {' '.join(str(error).split())[:300]}"
    return ""


def by_the_simulators_check(make: Any) -> str:
    """What `check_simulator` finds besides: copies that share their state, rows that mix, and so forth."""
    from course_utils.exercises.sim_case import Case
    from course_utils.exercises.simulator_check import examine

    case = Case(lambda: make(4, 10))
    examine(case, ["simulator"])
    faults = sorted((finding for finding in case.findings if finding.fault), key=lambda finding: finding.rank)
    return f"`check_simulator` says: {faults[0].sentence}" if faults else ""


LOOKS = (about_specs, about_entries, about_memory, about_rules, about_starts, about_limits, about_seeds, about_check)


def of_a_library(error: BaseException) -> bool:
    """Did it happen inside TorchRL or tensordict, with no line of the learner's in between?"""
    ours = (str(Path(__file__).parent), "site-packages", "dist-packages", "<frozen")
    return all(any(part in frame.filename for part in ours) for frame in traceback.extract_tb(error.__traceback__))
