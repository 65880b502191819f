"""What is asked of a planner in small worlds (exercise 16.6): which actions it chooses, and what explains them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from course_utils.exercises.exercise import Draw, Mutant

MOVES = torch.tensor([[-1, 0], [0, 1], [1, 0], [0, -1], [0, 0]])
SIZES = [(3, 3, 4), (5, 2, 4), (5, 3, 4), (4, 4, 2)]  # actions, horizon, worlds
ENOUGH = 0.9  # of all states in which the action has to be a best one; random shooting misses a few
EXPLAINS = 0.97


@dataclass(frozen=True)
class World:
    """A grid, as a table from cell and action to the next cell, the reward and the end; it goes on paying after one."""

    size: int
    actions: int
    following: torch.Tensor  # [cells, actions]
    reward: torch.Tensor
    ends: torch.Tensor

    def step(self, state: torch.Tensor, action: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        cell = state[:, 0] * self.size + state[:, 1]
        to = self.following[cell, action]
        return places(to, self.size), self.reward[cell, action].clone(), self.ends[cell, action].clone()

    def cells(self) -> torch.Tensor:
        return places(torch.arange(self.size**2), self.size)


def places(cell: torch.Tensor, size: int) -> torch.Tensor:
    return torch.stack([cell // size, cell % size], -1)


def make_world(draw: Draw, actions: int) -> World:
    size = int(draw.integers(4, 6))
    place = places(torch.arange(size**2), size).unsqueeze(1)
    to = (place + MOVES[:actions]).clamp(0, size - 1)
    wall = draw.flags(0.15, size, size)
    to = torch.where(wall[to[..., 0], to[..., 1]].unsqueeze(-1), place, to)
    ends = draw.flags(0.25, size**2, actions)
    reward = draw.normal(size**2, actions) + 1.5 * ends  # so that ends are worth going to, and worth passing over
    return World(size, actions, to[..., 0] * size + to[..., 1], reward, ends)


def futures(world: World, horizon: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """All sequences `[sequences, horizon]`, and for each cell what they are paid and whether they are still alive
    before each step, `[cells, sequences, horizon]`."""
    sequences = torch.cartesian_prod(*[torch.arange(world.actions)] * horizon).reshape(-1, horizon)
    cell = torch.arange(world.size**2).unsqueeze(1).expand(-1, len(sequences))
    alive = torch.ones_like(cell, dtype=torch.bool)
    paid, lives = [], []
    for action in sequences.unbind(1):
        paid.append(world.reward[cell, action])
        lives.append(alive)
        alive = alive & ~world.ends[cell, action]
        cell = world.following[cell, action]
    return sequences, torch.stack(paid, -1), torch.stack(lives, -1)


def per_action(value: torch.Tensor, by: torch.Tensor, actions: int) -> torch.Tensor:
    """The largest value `[cells, sequences]` of the sequences that have each action at this place."""
    return torch.stack([value[:, by == action].amax(1) for action in range(actions)], 1)


def worths(world: World, horizon: int) -> dict[str, torch.Tensor]:
    """What each first action is worth in each cell `[cells, actions]`: rightly, and by each misunderstanding."""
    sequences, paid, alive = futures(world, horizon)
    first, counted = sequences[:, 0], paid * alive
    right = per_action(counted.sum(-1), first, world.actions)
    stays = torch.cat([alive[..., 1:], torch.zeros_like(alive[..., :1])], -1)
    survived = paid * stays
    survived[..., -1] = counted[..., -1]  # whether the last step ends is not seen any more
    averaged = [counted.sum(-1)[:, first == action].mean(1) for action in range(world.actions)]
    return {
        "right": right,
        "worst": per_action(-counted.sum(-1), first, world.actions),
        "one step": world.reward,
        "after the end": per_action(paid.sum(-1), first, world.actions),
        "last reward": per_action(counted[..., -1], first, world.actions),
        "mean": torch.stack(averaged, 1),
        "end unpaid": per_action(survived.sum(-1), first, world.actions),
        "shorter": per_action(counted[..., :-1].sum(-1), first, world.actions),
        "largest": per_action(counted.amax(-1), first, world.actions),
        "last action": per_action(counted.sum(-1), sequences[:, -1], world.actions),
    }


SAID = {
    "worst": "It takes the *worst* action: the sum of rewards is to be as high as possible.",
    "one step": "It looks one step ahead only: it takes what pays most at once, whatever follows.",
    "after the end": "It counts what the model pays *after* the end. Once a step has terminated, nothing counts.",
    "last reward": "It counts the reward of the last step only. It is the sum over all steps that has to be highest.",
    "mean": "It takes the action whose futures are best *on average*. You choose what follows, so the best one counts.",
    "end unpaid": "It leaves out the reward of the step that terminates. That step was made: its reward counts.",
    "shorter": "It looks one step less far than `horizon` says.",
    "largest": "It looks for the largest single reward. It is the sum over all steps that has to be highest.",
    "last action": "It returns the *last* action of the best sequence. What is to be done now is the first one.",
}


def share(worth: torch.Tensor, chosen: torch.Tensor) -> float:
    got = worth.gather(1, chosen.unsqueeze(1)).squeeze(1)
    return (got >= worth.amax(1) - 1e-4).float().mean().item()


def about_the_answer(chosen: Any, copies: int, actions: int) -> str:
    if not isinstance(chosen, torch.Tensor):
        return f"`plan` has to return a tensor of actions, one for each copy; it returned {type(chosen).__name__}."
    if list(chosen.shape) != [copies]:
        return (
            f"For {copies} copies `plan` returns shape {list(chosen.shape)}; one action each has the shape [{copies}]."
        )
    if chosen.is_floating_point() or chosen.dtype == torch.bool:
        return f"Actions are whole numbers (int64); `plan` returned {chosen.dtype}."
    if chosen.min() < 0 or chosen.max() >= actions:
        low, high = chosen.min().item(), chosen.max().item()
        return f"There are actions from 0 to {actions - 1}; `plan` returned {low} to {high}."
    return ""


def examine(plan: Callable, draw: Draw) -> str:
    """The sentence about the first thing that is wrong with a planner; "" where nothing is."""
    seed = int(draw.integers(0, 10_000))
    torch.manual_seed(seed)
    for actions, horizon, count in SIZES:
        worlds = [make_world(draw, actions) for _ in range(count)]
        choices = []
        for world in worlds:
            state = world.cells()
            given = state.clone()
            chosen = plan(world.step, state, actions, horizon)
            words = about_the_answer(chosen, len(given), actions)
            if words:
                return words
            if not torch.equal(state, given):
                return "`plan` moved the copies: `state` has changed. Planning is imagining; work on a copy."
            choices.append(chosen.long())
        found = [worths(world, horizon) for world in worlds]
        reached = {
            name: sum(share(one[name], chosen) for one, chosen in zip(found, choices, strict=True)) / len(worlds)
            for name in found[0]
        }
        if reached["right"] >= ENOUGH:
            continue
        ahead = (
            f"With {actions} actions and {horizon} steps ahead, a best action in {reached['right']:.0%} of the states. "
        )
        explained = max(SAID, key=reached.__getitem__)
        if reached[explained] >= EXPLAINS:
            return ahead + SAID[explained]
        if all((chosen == chosen[0]).all() for chosen in choices):
            return ahead + "All copies do the same, wherever they are. Each has to plan from its own state."
        return ahead + miss(worlds[0], found[0]["right"], choices[0])
    return ""


def miss(world: World, worth: torch.Tensor, chosen: torch.Tensor) -> str:
    """The state in which most is lost by what was chosen."""
    lost = worth.amax(1) - worth.gather(1, chosen.unsqueeze(1)).squeeze(1)
    cell = int(lost.argmax())
    best = int(worth[cell].argmax())
    return (
        f"In state {world.cells()[cell].tolist()} it takes {chosen[cell].item()}, with which at most "
        f"{worth[cell, chosen[cell]].item():.2f} can be had; with {best} it is {worth[cell, best].item():.2f}."
    )


# --- right and wrong planners -----------------------------------------------------------------------------------------


def dreamt(step: Callable, state: torch.Tensor, actions: int, horizon: int) -> tuple[torch.Tensor, ...]:
    """All sequences, and for each copy and sequence the rewards and who is alive before each step."""
    sequences = torch.cartesian_prod(*[torch.arange(actions)] * horizon).reshape(-1, horizon)
    many = len(sequences)
    place, todo = state.repeat_interleave(many, 0), sequences.repeat(len(state), 1)
    alive = torch.ones(len(place), dtype=torch.bool)
    rewards, lives = [], []
    for action in todo.unbind(1):
        place, reward, over = step(place, action)
        rewards.append(reward)
        lives.append(alive)
        alive = alive & ~over
    shape = (len(state), many, horizon)
    return sequences, torch.stack(rewards, 1).reshape(shape), torch.stack(lives, 1).reshape(shape)


def plan(step, state, actions, horizon):
    sequences, reward, alive = dreamt(step, state, actions, horizon)
    return sequences[(reward * alive).sum(-1).argmax(1), 0]


def _worst(step, state, actions, horizon):
    sequences, reward, alive = dreamt(step, state, actions, horizon)
    return sequences[(reward * alive).sum(-1).argmin(1), 0]


def _after_the_end(step, state, actions, horizon):
    sequences, reward, _ = dreamt(step, state, actions, horizon)
    return sequences[reward.sum(-1).argmax(1), 0]


def _last_reward(step, state, actions, horizon):
    sequences, reward, alive = dreamt(step, state, actions, horizon)
    return sequences[(reward * alive)[..., -1].argmax(1), 0]


def _last_action(step, state, actions, horizon):
    sequences, reward, alive = dreamt(step, state, actions, horizon)
    return sequences[(reward * alive).sum(-1).argmax(1), -1]


def _largest(step, state, actions, horizon):
    sequences, reward, alive = dreamt(step, state, actions, horizon)
    return sequences[(reward * alive).amax(-1).argmax(1), 0]


def _mean(step, state, actions, horizon):
    _, reward, alive = dreamt(step, state, actions, horizon)
    return (reward * alive).sum(-1).unflatten(1, (actions, -1)).mean(-1).argmax(1)


def _end_unpaid(step, state, actions, horizon):
    sequences, reward, alive = dreamt(step, state, actions, horizon)
    stays = torch.cat([alive[..., 1:], alive[..., -1:]], -1)
    return sequences[(reward * stays).sum(-1).argmax(1), 0]


def _together(step, state, actions, horizon):
    sequences, reward, alive = dreamt(step, state, actions, horizon)
    return sequences[(reward * alive).sum(-1).mean(0).argmax(), 0].expand(len(state))


def _sequence(step, state, actions, horizon):
    sequences, reward, alive = dreamt(step, state, actions, horizon)
    return sequences[(reward * alive).sum(-1).argmax(1)]


def _moves_the_copies(step, state, actions, horizon):
    chosen = plan(step, state, actions, horizon)
    state.copy_(step(state, chosen)[0])
    return chosen


MUTANTS = [
    Mutant("a sequence for each copy", _sequence, "one action each has the shape"),
    Mutant("moves the copies", _moves_the_copies, "`plan` moved the copies"),
    Mutant("worst", _worst, SAID["worst"]),
    Mutant("one step", lambda step, state, actions, horizon: plan(step, state, actions, 1), SAID["one step"]),
    Mutant("after the end", _after_the_end, SAID["after the end"]),
    Mutant("last reward", _last_reward, SAID["last reward"]),
    Mutant("mean", _mean, SAID["mean"]),
    Mutant("end unpaid", _end_unpaid, SAID["end unpaid"]),
    Mutant("shorter", lambda step, state, actions, horizon: plan(step, state, actions, horizon - 1), SAID["shorter"]),
    Mutant("largest", _largest, SAID["largest"]),
    Mutant("last action", _last_action, SAID["last action"]),
    Mutant("together", _together, "All copies do the same, wherever they are"),
    Mutant(
        "four actions",
        lambda step, state, actions, horizon: plan(step, state, min(actions, 4), horizon) % actions,
        "with which at most",
    ),
]
