"""What a grid world that a learner has written does wrong, seen from outside: it is made, reset, stepped and seeded.

Where it keeps its state, in the tensordict or in the environment, is not asked for.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass, replace
from typing import Any

import torch
from tensordict import TensorDictBase
from torchrl.envs import EnvBase
from torchrl.envs.utils import check_env_specs, step_mdp

from course_utils.exercises.exercise import Draw

MOVES = torch.tensor([[-1, 0], [0, 1], [1, 0], [0, -1]])
NAMES = ("up", "right", "down", "left")
COPIES = 48
STEPS = 80  # two walks of 20 towards the goal: the farthest corner of the largest grid is 8 moves away


@dataclass(frozen=True)
class Played:
    """What was seen of an environment, first dimension time, second copies: positions are [time, copies, 2]."""

    before: torch.Tensor
    action: torch.Tensor
    after: torch.Tensor
    reward: torch.Tensor
    terminated: torch.Tensor
    done: torch.Tensor
    following: torch.Tensor  # where the next step starts, after what is done was reset


def examine_grid(make: Any, draw: Draw) -> str:
    """The first thing that is wrong with an environment class, or "".

    Args:
        make: called as `make(count, size)`: `count` copies of a square of `size` times `size` cells.
        draw: where actions and seeds come from.
    """
    for count, size in ((COPIES, 3 + draw.turn(3)), (1, 3 + (draw.turn(3) + 1) % 3)):
        env = build(make, count, size)
        if isinstance(env, str):
            return env
        words = next(filter(None, (look(env, size, draw) for look in LOOKS)), "")
        if words:
            return words if count > 1 else f"With a single copy, `Grid(1, {size})`: {words}"
    return ""


def build(make: Any, count: int, size: int, called: tuple[str, str] = ("Grid", "size")) -> EnvBase | str:
    """An environment of a learner's class, or what is wrong with the class; `called`: its name, its second argument."""
    name, second = called
    if isinstance(make, EnvBase):
        return f"Give the class itself: the check makes several environments of it, `{name}(count, {second})`."
    if missing := sorted(getattr(make, "__abstractmethods__", ())):
        named = " and ".join(f"`{method}`" for method in missing)
        return (
            f"The class has no {named} yet. `EnvBase` leaves three methods to you: `_reset`, `_step` and `_set_seed`."
        )
    env = make(count, size)
    if not isinstance(env, EnvBase):
        return f"`{name}(count, {second})` gave a {type(env).__name__}. It has to be a subclass of `EnvBase`."
    if list(env.batch_size) != [count]:
        return (
            f"`{name}({count}, {size})` has the batch size {list(env.batch_size)}. One dimension, the copies: "
            "`super().__init__(batch_size=[count])`, before anything else."
        )
    return env


def about_specs(env: EnvBase, size: int, draw: Draw) -> str:
    count = env.batch_size[0]
    keys = list(env.observation_spec.keys(True, True))
    if "position" not in keys:
        return f"The observation spec has the entries {keys}. It has to promise `position`."
    spec = env.observation_spec["position"]
    if list(spec.shape) != [count, 2]:
        return (
            f"The spec of `position` has shape {list(spec.shape)} where `count` is {count}. A row and a column for "
            "each copy are [count, 2]."
        )
    if spec.dtype != torch.int64:
        return f"The spec of `position` promises {kind(spec.dtype)}. Rows and columns are whole numbers, torch.int64."
    for cell in ([0, 0], [size - 1, size - 1], [0, size - 1]):
        if not holds(spec, torch.tensor(cell).expand(count, 2)):
            return f"The spec of `position` does not allow {cell}, a cell of a grid of size {size}."
    for cell in ([size, 0], [0, size], [-1, 0]):
        if holds(spec, torch.tensor(cell).expand(count, 2)):
            return (
                f"The spec of `position` allows {cell}, which is outside a grid of size {size}. Say the limits: "
                "`Bounded(0, size - 1, ...)` holds both its ends."
            )
    return about_action_spec(env, count) or about_reward_spec(env, count)


def about_action_spec(env: EnvBase, count: int) -> str:
    keys = list(env.full_action_spec.keys(True, True))
    if keys != ["action"]:
        return f"The action spec has the entries {keys}. It has to promise `action`, and nothing else."
    spec = env.full_action_spec["action"]
    if list(spec.shape) != [count] or spec.dtype != torch.int64:
        return (
            f"The spec of `action` promises {kind(spec.dtype)} of shape {list(spec.shape)} where `count` is {count}. "
            "One whole number for each copy: torch.int64 of shape [count], as `Categorical(4, [count])` has it."
        )
    allowed = [number for number in range(-1, 6) if holds(spec, torch.full((count,), number))]
    if allowed != [0, 1, 2, 3]:
        return f"Of the actions -1 to 5 your spec allows {allowed}. There are four: 0, 1, 2 and 3."
    return ""


def about_reward_spec(env: EnvBase, count: int) -> str:
    keys = list(env.full_reward_spec.keys(True, True))
    if keys != ["reward"]:
        return f"The reward spec has the entries {keys}. It has to promise `reward`, and nothing else."
    spec = env.full_reward_spec["reward"]
    if list(spec.shape) != [count, 1] or spec.dtype != torch.float32:
        return (
            f"The spec of `reward` promises {kind(spec.dtype)} of shape {list(spec.shape)}. A reward ends in a "
            "dimension of 1: torch.float32 of shape [count, 1]."
        )
    for value in (1.0, -0.1):
        if not holds(spec, torch.full((count, 1), value)):
            return f"The spec of `reward` does not allow {value}, which this world pays."
    return ""


def about_entries(env: EnvBase, size: int, draw: Draw) -> str:
    """Does it play at all, and do entries have the shapes that were promised?"""
    count = env.batch_size[0]
    try:
        first = env.reset()
        first["action"] = env.action_spec.rand()
        step = env.step(first)
    except Exception as error:
        if not of_a_library(error):
            raise
        return (
            f"TorchRL could not take the first step: {type(error).__name__}: {str(error).splitlines()[0]} Do `_reset` "
            "and `_step` return a TensorDict of batch size [count], with the entries themselves and without `next`?"
        )
    for where, td in (("after `reset`", first), ("under `next`, after a step", step["next"])):
        words = about_entry(td, "position", torch.int64, [count, 2], where)
        if words:
            return words
    for name, dtype in (("reward", torch.float32), ("terminated", torch.bool), ("done", torch.bool)):
        words = about_entry(step["next"], name, dtype, [count, 1], "under `next`, after a step")
        if words:
            return words
    return ""


def about_entry(td: TensorDictBase, name: str, dtype: torch.dtype, shape: list[int], where: str) -> str:
    entry = td.get(name, None)
    if entry is None:
        return f"There is no `{name}` {where}. Is it in the TensorDict that your method returns?"
    if entry.dtype != dtype:
        return f"`{name}` is {kind(entry.dtype)} {where}. It has to be {kind(dtype)}."
    if list(entry.shape) != shape:
        return f"`{name}` has shape {list(entry.shape)} {where}. It has to be {shape}."
    return ""


def about_memory(env: EnvBase, size: int, draw: Draw) -> str:
    """Is what was handed out left alone when the world moves on?"""
    td = env.reset()
    for _ in range(4):
        root = td["position"].clone()
        td["action"] = draw.integers(0, 4, *env.batch_size)
        td = env.step(td)
        if not torch.equal(td["position"], root):
            return (
                "`_step` writes into the `position` that it was given, so the root of the step changes with it. "
                "Compute a new tensor: `position + move`, not `position += move`."
            )
        after = td["next", "position"]
        seen = after.clone()
        following = step_mdp(td)
        following["action"] = draw.integers(0, 4, *env.batch_size)
        env.step(following)
        if not torch.equal(after, seen):
            return (
                "An observation of an earlier step changes when the world moves on: `_step` hands out the tensor that "
                "it goes on writing into. Hand out a clone of it."
            )
        td = env.reset()
    return ""


def about_starts(env: EnvBase, size: int, draw: Draw) -> str:
    goal, copies = size - 1, env.batch_size[0]
    resets = 1 + 200 * size * size // copies
    cells = torch.stack([env.reset()["position"].clone() for _ in range(resets)])
    if ((cells < 0) | (cells > goal)).any():
        return f"An episode starts outside the grid, in {outside(cells, size)}."
    if (cells == cells[0]).all():
        return "Every reset starts in the same cells. The start is drawn anew for each episode, from your generator."
    if copies > 1 and (cells == cells[:, :1]).all():
        return "All copies start in the same cell. Draw one start for each copy."
    if (cells == goal).all(-1).any():
        return f"An episode starts on the goal, {[goal, goal]}. Start in any cell but the goal."
    counts = torch.bincount((cells[..., 0] * size + cells[..., 1]).flatten(), minlength=size * size)[:-1]
    if not counts.all():
        number = int((counts == 0).nonzero()[0])
        return (
            f"In {cells[..., 0].numel()} starts none was in {[number // size, number % size]}. An episode may start in "
            "any cell but the goal."
        )
    if counts.max() > 1.5 * counts.float().mean() or counts.min() < 0.6 * counts.float().mean():
        number = int((counts.float() - counts.float().mean()).abs().argmax())
        return (
            f"{int(counts[number])} of {int(counts.sum())} episodes start in {[number // size, number % size]}. All "
            "cells but the goal are to be equally likely."
        )
    return ""


def about_rules(env: EnvBase, size: int, draw: Draw) -> str:
    """Does the world do what the text says: moves, rewards, ends, and starts of those that are done?"""
    seen = play(env, draw)
    goal = size - 1
    fresh = torch.cat([torch.zeros_like(seen.done[:1]), seen.done[:-1]])
    beside = fresh.any(1, keepdim=True) & ~fresh  # another row was reset just before
    wrong = (seen.after != wanted(seen, size)).any(-1)
    if (wrong & ~beside).any():
        return about_move(seen, wrong & ~beside, size)
    home = (seen.after == goal).all(-1)
    return (
        about_reward(seen, home, size)
        or about_ends(seen, home, goal)
        or about_reset(seen, wrong, goal)
        or about_asked_reset(env, size, draw)
    )


def play(env: EnvBase, draw: Draw) -> Played:
    """Random actions, and walks towards the goal, which chance alone may miss; each row that is done is reset.

    What was seen is copied at once.
    """
    rows: list[dict[str, torch.Tensor]] = []
    td = env.reset()
    for step_number in range(STEPS):
        homeward = step_number // 20 % 2 == 1
        td["action"] = draw.integers(*((1, 3) if homeward else (0, 4)), *env.batch_size)
        before = td["position"].clone()
        step, td = env.step_and_maybe_reset(td)
        flags = {name: step["next", name].squeeze(-1).clone() for name in ("reward", "terminated", "done")}
        after = step["next", "position"].clone()
        rows.append(
            {"before": before, "action": step["action"].clone(), "after": after, "following": td["position"].clone()}
            | flags
        )
    return Played(**{name: torch.stack([row[name] for row in rows]) for name in rows[0]})


def wanted(seen: Played, size: int, moves: torch.Tensor = MOVES) -> torch.Tensor:
    return (seen.before + moves[seen.action]).clamp(0, size - 1)


def about_move(seen: Played, wrong: torch.Tensor, size: int) -> str:
    time, row = wrong.nonzero()[0].tolist()
    before, after = seen.before[time, row].tolist(), seen.after[time, row].tolist()
    number = int(seen.action[time, row])
    moved = f"From {before} action {number} ({NAMES[number]}) leads to {after}"
    want = wanted(seen, size)
    if (seen.after == seen.before).all():
        return f"{moved}, and so does every other: nothing ever moves."
    if copies_move_alike(seen, size):
        return f"{moved}. Every copy does what the first one's action says. Each has an action of its own."
    if (seen.after == wanted(seen, size, MOVES.flip(-1))).all():
        return f"{moved}. Rows and columns have changed places: `position` is [row, column], and up is one row less."
    if (seen.after == wanted(seen, size, MOVES * torch.tensor([-1, 1]))).all():
        return f"{moved}. Row 0 is the top: up is one row less, down is one row more."
    if (((seen.after < 0) | (seen.after >= size)).any(-1))[time, row]:
        return f"{moved}. That is outside the grid. At the border a move changes nothing: `clamp(0, size - 1)`."
    if (seen.after == (seen.before + MOVES[seen.action]) % size).all():
        return f"{moved}. That is the other side. At the border a move changes nothing: `clamp(0, size - 1)`."
    return f"{moved}; it should lead to {want[time, row].tolist()}."


def copies_move_alike(seen: Played, size: int) -> bool:
    alike = replace(seen, action=seen.action[:, :1].expand_as(seen.action))
    return seen.action.shape[1] > 1 and bool((seen.after == wanted(alike, size)).all())


def about_reward(seen: Played, home: torch.Tensor, size: int) -> str:
    right = torch.where(home, 1.0, -0.1)
    if torch.allclose(seen.reward, right, atol=1e-6):
        return ""
    varies = (seen.reward != seen.reward[0, 0]).any()
    if varies and (seen.reward == seen.reward[:, :1]).all() and seen.reward.shape[1] > 1:
        return (
            "All copies always get the same reward. Each copy gets a reward of its own, by where it is: no `any` or "
            "`max` over copies."
        )
    time, row = ((seen.reward - right).abs() > 1e-6).nonzero()[0].tolist()
    place, value = seen.after[time, row].tolist(), round(float(seen.reward[time, row]), 4)
    if home[time, row]:
        if value == 0.9:
            return f"{place} is paid {value}. The step that reaches the goal costs nothing: its reward is 1."
        return f"A step that reaches the goal, {place}, is paid {value}. It should be 1, by the *new* position."
    if value == 1 and size - 1 in place:
        return (
            f"A step to {place}, which is not the goal, is paid {value}; it should be -0.1. Row *and* column have to "
            "be those of the goal: `(position == size - 1).all(-1)`."
        )
    return f"A step to {place}, which is not the goal, is paid {value}. It should be -0.1."


def about_ends(seen: Played, home: torch.Tensor, goal: int) -> str:
    if not seen.terminated.any():
        where = f"A step that reaches the goal, {[goal, goal]}, is not `terminated`"
        if seen.done.any():
            return f"{where}. `done` alone does not say that the world ended the episode: `terminated` does."
        return f"{where}. The world ends an episode there: `terminated` is True."
    if (seen.terminated != home).any():
        time, row = (seen.terminated != home).nonzero()[0].tolist()
        place, flag = seen.after[time, row].tolist(), bool(seen.terminated[time, row])
        if flag and home[time].any():
            return (
                f"A step to {place} is `terminated` because another copy is at the goal. Each copy ends by itself: no "
                "`any` over copies."
            )
        return f"A step to {place} has `terminated` {flag}. It is True at the goal, {[goal, goal]}, and nowhere else."
    if (seen.done != seen.terminated).any():
        return "`done` and `terminated` differ. Here nothing stops an episode but its world: both are the same."
    return ""


def about_reset(seen: Played, wrong: torch.Tensor, goal: int) -> str:
    stuck = (seen.following == goal).all(-1)[seen.done]
    if len(stuck) and stuck.all():
        return (
            "The next episode starts where the last one ended, at the goal. `_reset` has to give a copy that is done a "
            "fresh start."
        )
    moved = (seen.following != seen.after).any(-1) & ~seen.done
    late = torch.cat([torch.zeros_like(wrong[:1]), wrong[1:]])
    if moved.any() or late.any():
        time, row = (moved if moved.any() else late).nonzero()[0].tolist()
        begun = seen.done[time if moved.any() else time - 1].nonzero().flatten().tolist()
        return (
            f"After the reset of rows {begun} row {row} has moved, too. `_reset` gets `tensordict['_reset']`, True "
            "where a copy begins anew: leave the other rows as they were."
        )
    return ""


def about_asked_reset(env: EnvBase, size: int, draw: Draw) -> str:
    """The same, where somebody resets part of the batch in the middle of an episode."""
    count = env.batch_size[0]
    td = env.reset()
    chosen = draw.flags(0.5, count)
    known = td["position"].clone()
    again = env.reset(td.clone().set("_reset", chosen.unsqueeze(-1)))
    again["action"] = draw.integers(0, 4, count)
    here = again["position"].clone()
    after = env.step(again)["next", "position"]
    want = (here + MOVES[again["action"]]).clamp(0, size - 1)
    kept = (here == known).all(-1) & (after == want).all(-1)
    if (~kept & ~chosen).any():
        row = int((~kept & ~chosen).nonzero()[0])
        return f"After the reset of rows {chosen.nonzero().flatten().tolist()} row {row} has moved, too."
    if (after != want).any():
        return "After a reset of some rows, their next step does not start where the reset put them."
    return ""


def about_seeds(env: EnvBase, size: int, draw: Draw) -> str:
    first, other = 1000 + int(draw.integers(0, 1000, 1)), 5000 + int(draw.integers(0, 1000, 1))
    agents = 11, 12, 13

    def starts(seed: int, agent: int) -> torch.Tensor:
        env.set_seed(seed)
        torch.manual_seed(agent)
        found = []
        for _ in range(12):
            found.append(env.reset()["position"].clone())
            torch.rand(3)
        return torch.stack(found)

    once, again, third = starts(first, agents[0]), starts(first, agents[0]), starts(first, agents[1])
    if not torch.equal(once, again):
        return f"`set_seed({first})` twice, and the starts differ. `_set_seed` has to restart your generator."
    if not torch.equal(once, third):
        return (
            "The starts change with `torch.manual_seed`, the agent's seed. Draw the starts from a generator of the "
            "world's own: `torch.Generator().manual_seed(seed)`."
        )
    if torch.equal(once, starts(other, agents[2])):
        return f"`set_seed({first})` and `set_seed({other})` give the same starts. Does `_set_seed` use its seed?"
    return ""


def about_check(env: EnvBase, size: int, draw: Draw) -> str:
    try:
        check_env_specs(env)
    except Exception as error:
        if not of_a_library(error):
            raise
        return f"`check_env_specs` says: {' '.join(str(error).split())[:300]}"
    return ""


LOOKS = (about_specs, about_entries, about_memory, about_rules, about_starts, about_seeds, about_check)


def holds(spec: Any, value: torch.Tensor) -> bool:
    try:
        return bool(spec.is_in(value.to(spec.dtype)))
    except Exception:  # a spec of another kind may not even be able to look
        return False


def kind(dtype: torch.dtype) -> str:
    return f"{dtype}"


def outside(cells: torch.Tensor, size: int) -> list[int]:
    bad = ((cells < 0) | (cells >= size)).any(-1)
    return cells[bad][0].tolist()


def of_a_library(error: BaseException) -> bool:
    """Did it happen inside TorchRL or tensordict, with no line of the learner's in between?"""
    frames = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    packages = ("site-packages", "dist-packages", "<frozen", __file__)
    return all(any(part in name for part in packages) for name in frames)
