"""What is asked of a team of several groups (exercise 15.6): by what it does in a small world, the worst first."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import torch
from tensordict import TensorDict
from torchrl.data import Bounded, Composite, Unbounded
from torchrl.envs import EnvBase, ExplorationType, StepCounter, TransformedEnv, set_exploration_type

from course_utils.exercises.exercise import Draw

COPIES, TIME, BATCHES = 64, 8, 12
GAIN = 0.08  # of reward, which an untrained team misses by 0.4 or more
LOUD = 20.0
AGREED = 0.4  # of a correlation of 1; actions that also explore reach 0.6
NAMES = [("tugs", "buoys"), ("cranes", "lorries"), ("bees", "flowers"), ("pipers", "drummers")]


class Echo(EnvBase):
    """Each agent sees numbers and is paid for answering with the first; in the second group, with its negative.

    Observations are drawn anew at each step, so nothing depends on what was done before.

    Args:
        sizes: for each group its agents, the numbers that each sees, and the numbers in its answer.
        loud: a group that is paid large random numbers in place of what it deserves.
    """

    def __init__(self, count: int, sizes: dict[str, tuple[int, int, int]], seed: int, loud: str = "") -> None:
        super().__init__(batch_size=[count])
        self.sizes, self.loud = sizes, loud
        self.group_map = {group: [f"{group}_{n}" for n in range(size[0])] for group, size in sizes.items()}
        specs: dict[str, dict] = {"observation": {}, "action": {}, "reward": {}}
        for group, (agents, inputs, moves) in sizes.items():
            shape = [count, agents]
            entries = {
                "observation": Unbounded([*shape, inputs]),
                "action": Bounded(-1.0, 1.0, [*shape, moves]),
                "reward": Unbounded([*shape, 1]),
            }
            for name, spec in entries.items():
                specs[name][group] = Composite({name: spec}, shape=shape)
        for name, groups in specs.items():
            setattr(self, f"{name}_spec", Composite(groups, shape=[count]))
        self.state_spec = self.observation_spec.clone()
        self.set_seed(seed)

    def _set_seed(self, seed: int | None) -> None:
        self.chance = torch.Generator().manual_seed(seed or 0)

    def seen(self) -> TensorDict:
        count = self.batch_size[0]
        groups = {
            group: TensorDict(
                {"observation": 2 * torch.rand(count, agents, inputs, generator=self.chance) - 1}, [count, agents]
            )
            for group, (agents, inputs, _) in self.sizes.items()
        }
        return TensorDict(groups, [count])

    def _reset(self, tensordict: Any) -> TensorDict:
        return self.seen()

    def _step(self, tensordict: Any) -> TensorDict:
        answer = self.seen()
        for sign, group in zip((1, -1), self.sizes, strict=True):
            paid = deserved(tensordict, group, sign)
            if group == self.loud:
                paid = LOUD * torch.randn(paid.shape, generator=self.chance)
            answer[group, "reward"] = paid
        over = torch.zeros(*self.batch_size, 1, dtype=torch.bool)
        return answer.update({"done": over, "terminated": over.clone()})


def deserved(tensordict: Any, group: str, sign: int) -> torch.Tensor:
    asked = sign * tensordict[group, "observation"][..., :1]
    return -(tensordict[group, "action"] - asked).square().mean(-1, keepdim=True)


def world_of(sizes: dict, seed: int, loud: str = "") -> TransformedEnv:
    return TransformedEnv(Echo(COPIES, sizes, seed, loud), StepCounter(TIME))


def examine(answer: Callable, draw: Draw) -> str:
    """The sentence about the first thing that is wrong with a class `Team`; "" where nothing is."""
    first, second = NAMES[int(draw.integers(0, len(NAMES)))]
    sizes = {first: (2, int(draw.integers(3, 5)), 2), second: (3, int(draw.integers(5, 7)), 1)}
    seed = int(draw.integers(1, 10_000))
    world = world_of(sizes, seed)
    torch.manual_seed(seed)
    team = answer(world)
    for part in ("policy", "learn"):
        if not callable(getattr(team, part, None)):
            return f"`Team(env)` gives a {type(team).__name__} without `{part}`, which is needed as a function."
    words = about_acting(team, world, sizes) or about_a_batch(team, world, sizes)
    if words:
        return words
    words = about_learning(answer, sizes, seed)
    if words:
        return words
    for loud in sizes:
        words = about_noise(answer, sizes, seed, loud)
        if words:
            return words
    return ""


def asked(team: Any, seen: TensorDict, seed: int = 0, kind: ExplorationType = ExplorationType.RANDOM) -> Any:
    """What the policy answers, with the same chance each time."""
    random.seed(seed)
    torch.manual_seed(seed)
    with torch.no_grad(), set_exploration_type(kind):
        return team.policy(seen.clone())


# --- acting -----------------------------------------------------------------------------------------------------------


def about_acting(team: Any, world: EnvBase, sizes: dict) -> str:
    seen = world.reset()
    found = asked(team, seen)
    if not hasattr(found, "keys"):
        return f"`policy` has to return the tensordict it was given, with actions in it; it returned {kind_of(found)}."
    for group, (agents, _, moves) in sizes.items():
        action = found.get((group, "action"), None)
        if action is None:
            return f'`policy` writes no ("{group}", "action"): every group of `env.group_map` has to act.'
        if list(action.shape) != [COPIES, agents, moves]:
            return (
                f'("{group}", "action") has the shape {list(action.shape)}, and its spec says '
                f"{[COPIES, agents, moves]}: [copies, agents, moves]."
            )
        if not action.isfinite().all() or action.abs().max() > 1:
            return f"Actions of `{group}` leave the limits of their spec, -1 to 1: {action.abs().max().item():.2g}."
    return about_sight(team, seen, sizes) or about_exploring(team, seen, sizes)


def about_sight(team: Any, seen: TensorDict, sizes: dict) -> str:
    found = asked(team, seen)
    for group in sizes:
        others = seen.clone()
        for other in sizes:
            if other != group:
                others[other, "observation"] = -others[other, "observation"]
        if changed(found, asked(team, others), group).any():
            return f"What the other group sees changes how `{group}` act. Each agent acts by its own observation alone."
        mates = seen.clone()
        mates[group, "observation"][:, 0] = -mates[group, "observation"][:, 0]
        moved = changed(found, asked(team, mates), group)
        if moved[:, 1:].any():
            return (
                f"What the first of the `{group}` sees changes how its mates act. Each agent acts by its own "
                "observation alone: an actor must not be centralized."
            )
        if not moved[:, 0].any():
            return f"The first of the `{group}` acts alike, whatever it sees."
    return ""


def about_exploring(team: Any, seen: TensorDict, sizes: dict) -> str:
    once, again = asked(team, seen, 1), asked(team, seen, 2)
    for group in sizes:
        if not changed(once, again, group).any():
            return f"`{group}` do not explore: under `ExplorationType.RANDOM` they do the same twice."
    return ""


def changed(one: TensorDict, other: TensorDict, group: str) -> torch.Tensor:
    """For each agent of each copy: does it act otherwise?"""
    return ((one[group, "action"] - other[group, "action"]).abs() > 1e-5).any(-1)


# --- one batch --------------------------------------------------------------------------------------------------------


def about_a_batch(team: Any, world: EnvBase, sizes: dict) -> str:
    seen = world.reset()
    before, batch = asked(team, seen, 3), play(team, world)
    given = batch.clone()
    team.learn(batch)
    for key, entry in given.items(True, True):
        now = batch.get(key, None)
        if now is None or now.shape != entry.shape or not torch.equal(now, entry):
            return f"`learn` changed {key!r} in the batch. Whoever gave it may still need it."
    after = asked(team, seen, 3)
    for group in sizes:
        if not changed(before, after, group).any():
            return f"After `learn` the `{group}` act exactly as before. Every group has to learn."
    return ""


def play(team: Any, world: EnvBase) -> TensorDict:
    with torch.no_grad(), set_exploration_type(ExplorationType.RANDOM):
        return world.rollout(TIME, team.policy)


# --- learning ---------------------------------------------------------------------------------------------------------


def trained(answer: Callable, sizes: dict, seed: int, loud: str = "") -> tuple[dict, dict, dict]:
    """What comes of some batches of learning, for each group.

    Returns:
        What it deserves for a step before and after, and how its actions correlate with those that pay best, after.
    """
    torch.manual_seed(seed)
    world = world_of(sizes, seed, loud)
    team = answer(world)
    rewards: dict[str, list[float]] = {group: [] for group in sizes}
    for _ in range(BATCHES):
        batch = play(team, world)
        for sign, group in zip((1, -1), sizes, strict=True):
            rewards[group].append(deserved(batch, group, sign).mean().item())
        team.learn(batch)
    first = {group: sum(values[:2]) / 2 for group, values in rewards.items()}
    last = {group: sum(values[-3:]) / 3 for group, values in rewards.items()}
    return first, last, agreements(play(team, world), sizes)


def agreements(batch: TensorDict, sizes: dict) -> dict[str, float]:
    found = {}
    for sign, group in zip((1, -1), sizes, strict=True):
        action = batch[group, "action"]
        asked_for = sign * batch[group, "observation"][..., :1].expand_as(action)
        found[group] = torch.corrcoef(torch.stack([action.flatten(), asked_for.flatten()]))[0, 1].item()
    return found


def about_learning(answer: Callable, sizes: dict, seed: int) -> str:
    first, last, _ = trained(answer, sizes, seed)
    for group in sizes:
        gained = last[group] - first[group]
        paid = f"the mean reward of a step goes from {first[group]:.2f} to {last[group]:.2f} in {BATCHES} batches"
        if gained < -GAIN:
            return f"`{group}` learn the wrong way: {paid}."
        if gained < GAIN:
            own, other = influences(answer, sizes, seed, group)
            if other and not own:
                return f"`{group}` learn from what the *other* group is paid, and from nothing else: {paid}."
            if not own:
                return f"What `{group}` are paid has no influence on what they learn: {paid}."
            return f"`{group}` hardly learn: {paid}."
    return ""


def influences(answer: Callable, sizes: dict, seed: int, group: str) -> tuple[bool, bool]:
    """Does what this group learns depend on its own reward? On the other's?"""
    acted = []
    for change in ("", group, next(other for other in sizes if other != group)):
        torch.manual_seed(seed)
        world = world_of(sizes, seed)
        team = answer(world)
        batch = play(team, world)
        if change:
            batch["next", change, "reward"] = batch["next", change, "reward"].flip(0)
        torch.manual_seed(seed)
        team.learn(batch)
        acted.append(asked(team, world.reset(), 4))
    given, own, other = acted
    return changed(given, own, group).any().item(), changed(given, other, group).any().item()


def about_noise(answer: Callable, sizes: dict, seed: int, loud: str) -> str:
    """With large random rewards for one group, the other one learns as before.

    Its own rewards do not tell: by chance alone they rise where actions get smaller.
    """
    quiet = next(group for group in sizes if group != loud)
    *_, agreement = trained(answer, sizes, seed + 1, loud)
    if agreement[quiet] >= AGREED:
        return ""
    return (
        f"When `{loud}` were paid large random numbers, `{quiet}` no longer learned (their actions and those that pay: "
        f"a correlation of {agreement[quiet]:.2f}). What one group is paid must not reach the other's loss."
    )


def kind_of(thing: object) -> str:
    return "None" if thing is None else f"a {type(thing).__name__}"
