"""Exercises of lesson 07."""

import torch

from course_utils.exercises import build_07
from course_utils.exercises.drawn import endings, whole
from course_utils.exercises.exercise import Draw, Exercise, Mutant
from course_utils.exercises.probing import numbers, tensors


def _rollout(draw: Draw) -> dict:
    # Rows that end often, once, or never; an end may come with the very first step, or with the last.
    copies, time = whole(draw, 4, 7), whole(draw, 5, 12)
    done = draw.flags(0.3, copies, time)
    done[0], done[1], done[2, whole(draw, 0, time - 1)] = False, False, True
    done[1, whole(draw, 0, time - 1)] = True
    order = torch.argsort(draw.normal(copies))
    return {"reward": 1 + draw.normal(copies, time), "done": done[order]}


def _first_returns(reward: torch.Tensor, done: torch.Tensor) -> torch.Tensor:
    first_episode = done.cumsum(1) - done.int() == 0
    return (reward * first_episode).sum(1)


def _transitions(draw: Draw) -> dict:
    batch = whole(draw, 5, 9)
    terminated, truncated = endings(draw, batch)
    return {
        "reward": draw.normal(batch, 1),
        "next_values": draw.normal(batch, whole(draw, 2, 4)),
        "terminated": terminated,
        "truncated": truncated,
        "gamma": draw.uniform(0.8, 0.99),
    }


def _target(reward, next_values, terminated, truncated, gamma):
    return reward + gamma * next_values.max(1, keepdim=True).values * ~terminated


def _schedule(draw: Draw) -> dict:
    # Before, at and after the end of the annealing.
    length, kind = whole(draw, 1000, 10_000), draw.uniform(0, 1)
    share = 0 if kind < 0.1 else 1 if kind < 0.2 else draw.uniform(1, 2) if kind < 0.6 else draw.uniform(0.05, 1)
    return {
        "frame": int(length * share),
        "length": length,
        "start": draw.uniform(0.5, 1.0),
        "end": draw.uniform(0.05, 0.2),
    }


def _epsilon(frame, length, start, end):
    return start + (end - start) * min(frame / length, 1.0)


def _two_networks(draw: Draw) -> dict:
    batch, actions = whole(draw, 5, 9), whole(draw, 2, 5)
    return {
        "reward": draw.normal(batch, 1),
        "online_next": draw.normal(batch, actions),
        "target_next": draw.normal(batch, actions),
        "terminated": endings(draw, batch)[0],
        "gamma": draw.uniform(0.8, 0.99),
    }


def _double_target(reward, online_next, target_next, terminated, gamma):
    best = online_next.argmax(1, keepdim=True)
    return reward + gamma * target_next.gather(1, best) * ~terminated


EXERCISES = [
    Exercise(
        number="7.1",
        tests="One return per environment, of its first episode only, its last reward included.",
        draw=_rollout,
        reference=_first_returns,
        probe=numbers,
        mutants=[
            Mutant(
                "all rewards",
                lambda reward, done: reward.sum(1),
                "You add up all rewards of a row. After `done` a *new* episode begins: its rewards do not belong here.",
            ),
            Mutant(
                "drops the last reward",
                lambda reward, done: (reward * (done.cumsum(1) == 0)).sum(1),
                "You leave out the step on which `done` becomes True. Its reward was still earned in that episode.",
            ),
            Mutant(
                "length",
                lambda reward, done: (done.cumsum(1) - done.int() == 0).sum(1),
                "You count the steps. That equals the return only where every reward is 1; here the rewards differ.",
            ),
            Mutant(
                "masks only the ends",
                lambda reward, done: (reward * ~done).sum(1),
                "You switch off the steps that are `done`, but keep the episodes that follow. Everything after the "
                "first `done` must go.",
            ),
            Mutant(
                "second episode too",
                lambda reward, done: (reward * (done.cumsum(1) <= 1)).sum(1),
                "You run on into the second episode: `done.cumsum(1)` is 1 there, too. Count only the ends *before* a "
                "step.",
            ),
            Mutant(
                "last rewards only",
                lambda reward, done: (reward * done).sum(1),
                "You add up the rewards of the steps that are `done`. Those before them belong to the episode, too.",
            ),
            Mutant(
                "mean",
                lambda reward, done: _first_returns(reward, done) / (done.cumsum(1) - done.int() == 0).sum(1),
                "You give the mean reward of each first episode. A return is the sum.",
            ),
            Mutant(
                "never ended is first step",
                lambda reward, done: torch.stack(
                    [row[: int(ends.int().argmax()) + 1].sum() for row, ends in zip(reward, done, strict=True)]
                ),
                "Where a row has no `done` you keep its first reward only: `argmax` of nothing but False is 0. There "
                "the episode is still running, and all rewards belong to it.",
            ),
            Mutant(
                "never ended is nothing",
                lambda reward, done: _first_returns(reward, done) * done.any(1),
                "Where a row has no `done` you give 0. The episode is still running there: all its rewards count.",
            ),
            Mutant(
                "the last episode goes",
                lambda reward, done: (reward * (done.flip(1).cumsum(1).flip(1) > 0)).sum(1),
                "You add up everything until the *last* `done` of a row. Stop at the first.",
            ),
            Mutant(
                "over the copies",
                lambda reward, done: (reward * (done.cumsum(1) - done.int() == 0)).sum(0),
                "You sum over the copies. Give one return per copy: sum over time, dimension 1.",
            ),
            Mutant(
                "one number",
                lambda reward, done: _first_returns(reward, done).mean(),
                "You return one number for all. Give one return per environment: sum over time, dimension 1.",
            ),
        ],
    ),
    Exercise(
        number="7.2",
        tests="The exploration rate falls in a straight line and then stays where it ended.",
        draw=_schedule,
        reference=_epsilon,
        mutants=[
            Mutant(
                "never stops",
                lambda frame, length, start, end: start + (end - start) * frame / length,
                "After `length` frames your rate goes on falling below `end`, even below zero. Stop it there.",
            ),
            Mutant(
                "falls to zero",
                lambda frame, length, start, end: start * (1 - min(frame / length, 1.0)),
                "Your rate falls to 0 instead of `end`. An agent that never explores cannot find out it is wrong.",
            ),
            Mutant(
                "never moves",
                lambda frame, length, start, end: start + (end - start) * max(frame / length, 1.0),
                "You take the larger of the two, so your rate begins at `end` and falls on below it. `min` keeps the "
                "way you have gone at 1.",
            ),
            Mutant(
                "rises",
                lambda frame, length, start, end: end + (start - end) * min(frame / length, 1.0),
                "Your rate rises from `end` to `start`. Exploration is for the beginning: swap them.",
            ),
            Mutant(
                "minus the share",
                lambda frame, length, start, end: max(end, start - frame / length),
                "You subtract the share of the way itself, as if the rate had to fall by 1. It falls by `start - end`: "
                "multiply the share by that.",
            ),
            Mutant(
                "a curve",
                lambda frame, length, start, end: start * (end / start) ** min(frame / length, 1.0),
                "Your rate falls by a constant *factor*, in a curve. A straight line falls by the same amount each "
                "frame.",
            ),
            Mutant(
                "jumps",
                lambda frame, length, start, end: start if frame < length else end,
                "Your rate jumps from `start` to `end`. Let it fall in a straight line between them. (`//` gives whole "
                "numbers, so no way in between: divide with `/`.)",
            ),
            Mutant(
                "product",
                lambda frame, length, start, end: max(end, start * (1 - frame / length)),
                "Your line aims at 0 and is cut off at `end`, so it falls too fast. Aim at `end`: the way to go is "
                "`end - start`.",
            ),
        ],
    ),
    Exercise(
        number="7.3",
        tests="The future counts unless the episode terminated, and it counts with the best action's value.",
        draw=_transitions,
        reference=_target,
        probe=tensors,
        mutants=[
            Mutant(
                "stops at truncation",
                lambda reward, next_values, terminated, truncated, gamma: (
                    reward + gamma * next_values.max(1, keepdim=True).values * ~(terminated | truncated)
                ),
                "Your target ends at *every* end. A clock that ran out is not the end of the world: only `terminated` "
                "switches the future off.",
            ),
            Mutant(
                "never stops",
                lambda reward, next_values, terminated, truncated, gamma: (
                    reward + gamma * next_values.max(1, keepdim=True).values
                ),
                "Your target gives a fallen pole a future. Where `terminated` is True nothing follows: only the reward "
                "is left.",
            ),
            Mutant(
                "clock only",
                lambda reward, next_values, terminated, truncated, gamma: (
                    reward + gamma * next_values.max(1, keepdim=True).values * ~truncated
                ),
                "You switch the future off where the clock ran out, and leave it to fallen poles. It is the other "
                "flag: `terminated`.",
            ),
            Mutant(
                "both flags",
                lambda reward, next_values, terminated, truncated, gamma: (
                    reward + gamma * next_values.max(1, keepdim=True).values * ~(terminated & truncated)
                ),
                "You switch the future off only where both flags are True. `terminated` alone decides.",
            ),
            Mutant(
                "unless the clock ran out",
                lambda reward, next_values, terminated, truncated, gamma: (
                    reward + gamma * next_values.max(1, keepdim=True).values * ~(terminated & ~truncated)
                ),
                "Where the pole fell on the very step on which the clock ran out, you leave it a future. `terminated` "
                "alone decides.",
            ),
            Mutant(
                "not inverted",
                lambda reward, next_values, terminated, truncated, gamma: (
                    reward + gamma * next_values.max(1, keepdim=True).values * terminated
                ),
                "You give a future to fallen poles, and to nobody else: the flag has to be inverted, `~terminated`.",
            ),
            Mutant(
                "places",
                lambda reward, next_values, terminated, truncated, gamma: (
                    reward + gamma * next_values.argmax(1, keepdim=True) * ~terminated
                ),
                "You use the *place* of the best action. What counts is its value: `max`, not `argmax`.",
            ),
            Mutant(
                "lowest",
                lambda reward, next_values, terminated, truncated, gamma: (
                    reward + gamma * next_values.min(1, keepdim=True).values * ~terminated
                ),
                "You take the *worst* next action. Q-learning values the next state by its best one: the max.",
            ),
            Mutant(
                "best of the batch",
                lambda reward, next_values, terminated, truncated, gamma: (
                    reward + gamma * next_values.max() * ~terminated
                ),
                "You take the largest value of the whole batch. Each row has its own best action: `max(1, "
                "keepdim=True)`.",
            ),
            Mutant(
                "reward switched off too",
                lambda reward, next_values, terminated, truncated, gamma: (
                    (reward + gamma * next_values.max(1, keepdim=True).values) * ~terminated
                ),
                "You switch off the reward of a fall as well. It was still earned: only the future goes.",
            ),
            Mutant(
                "mean over actions",
                lambda reward, next_values, terminated, truncated, gamma: (
                    reward + gamma * next_values.mean(1, keepdim=True) * ~terminated
                ),
                "You average over the next actions. Q-learning values the next state by its *best* action: the max.",
            ),
            Mutant(
                "no discount",
                lambda reward, next_values, terminated, truncated, gamma: (
                    reward + next_values.max(1, keepdim=True).values * ~terminated
                ),
                "The next value is not discounted. It comes one step later: multiply it by `gamma`.",
            ),
            Mutant(
                "lost dimension",
                lambda reward, next_values, terminated, truncated, gamma: (
                    reward + gamma * next_values.max(1).values * ~terminated
                ),
                "Your result is [batch, batch]: `max(1)` gives shape [batch], and that with [batch, 1] broadcasts to a "
                "square, every reward with every value. Keep the dimension: `keepdim=True`.",
            ),
        ],
    ),
    Exercise(
        number="7.4",
        tests="One network chooses, the other one judges: that is double Q-learning.",
        draw=_two_networks,
        reference=_double_target,
        probe=tensors,
        mutants=[
            Mutant(
                "plain DQN",
                lambda reward, online_next, target_next, terminated, gamma: (
                    reward + gamma * target_next.max(1, keepdim=True).values * ~terminated
                ),
                "This is the plain target: the target network both chooses and judges. Let the online network choose.",
            ),
            Mutant(
                "networks swapped",
                lambda reward, online_next, target_next, terminated, gamma: (
                    reward + gamma * online_next.gather(1, target_next.argmax(1, keepdim=True)) * ~terminated
                ),
                "The roles are swapped: the *online* network chooses the action, the *target* network says its value.",
            ),
            Mutant(
                "online only",
                lambda reward, online_next, target_next, terminated, gamma: (
                    reward + gamma * online_next.max(1, keepdim=True).values * ~terminated
                ),
                "The online network both chooses and judges, so its own mistakes flatter it. Take the value from "
                "`target_next`.",
            ),
            Mutant(
                "no discount",
                lambda reward, online_next, target_next, terminated, gamma: (
                    reward + target_next.gather(1, online_next.argmax(1, keepdim=True)) * ~terminated
                ),
                "The next value is not discounted. It comes one step later: multiply it by `gamma`.",
            ),
            Mutant(
                "not inverted",
                lambda reward, online_next, target_next, terminated, gamma: (
                    reward + gamma * target_next.gather(1, online_next.argmax(1, keepdim=True)) * terminated
                ),
                "You give a future to terminated episodes, and to no others: the flag has to be inverted, "
                "`~terminated`.",
            ),
            Mutant(
                "smaller of the two",
                lambda reward, online_next, target_next, terminated, gamma: (
                    reward
                    + gamma
                    * torch.minimum(online_next.max(1, keepdim=True).values, target_next.max(1, keepdim=True).values)
                    * ~terminated
                ),
                "You take the smaller of two maxima. In double DQN the online network chooses *one* action, and the "
                "target network says the value of that very action.",
            ),
            Mutant(
                "best of the smaller",
                lambda reward, online_next, target_next, terminated, gamma: (
                    reward + gamma * torch.minimum(online_next, target_next).max(1, keepdim=True).values * ~terminated
                ),
                "You take the smaller value of each action (that is *clipped* double Q-learning). In double DQN the "
                "online network chooses, and the target network says the value.",
            ),
            Mutant(
                "smaller at the chosen",
                lambda reward, online_next, target_next, terminated, gamma: (
                    reward
                    + gamma
                    * torch.minimum(online_next, target_next).gather(1, online_next.argmax(1, keepdim=True))
                    * ~terminated
                ),
                "You take the smaller of the two values of the chosen action. Double DQN takes the target network's.",
            ),
            Mutant(
                "one action for all",
                lambda reward, online_next, target_next, terminated, gamma: (
                    reward + gamma * target_next[:, online_next.sum(0).argmax()].unsqueeze(1) * ~terminated
                ),
                "You choose one action for the whole batch. Each row has its own best one: `argmax(1, keepdim=True)`.",
            ),
            Mutant(
                "rows for actions",
                lambda reward, online_next, target_next, terminated, gamma: (
                    reward + gamma * target_next[online_next.argmax(1)].max(1, keepdim=True).values * ~terminated
                ),
                "`target_next[best]` takes *rows* of the batch by the numbers of actions. An entry of each row is "
                "`gather(1, best)`.",
            ),
            Mutant(
                "reward switched off too",
                lambda reward, online_next, target_next, terminated, gamma: (
                    (reward + gamma * target_next.gather(1, online_next.argmax(1, keepdim=True))) * ~terminated
                ),
                "You switch off the reward of a terminated step as well. It was still earned: only the future goes.",
            ),
            Mutant(
                "worst action",
                lambda reward, online_next, target_next, terminated, gamma: (
                    reward + gamma * target_next.gather(1, online_next.argmin(1, keepdim=True)) * ~terminated
                ),
                "You choose the action that the online network likes *least*: `argmax`, not `argmin`.",
            ),
            Mutant(
                "lost dimension",
                lambda reward, online_next, target_next, terminated, gamma: (
                    reward + gamma * target_next.gather(1, online_next.argmax(1, keepdim=True)).squeeze(1) * ~terminated
                ),
                "Your result is [batch, batch]: the values lost their last dimension, and [batch, 1] with [batch] "
                "broadcasts to a square. Keep them [batch, 1].",
            ),
            Mutant(
                "forgets the end",
                lambda reward, online_next, target_next, terminated, gamma: (
                    reward + gamma * target_next.gather(1, online_next.argmax(1, keepdim=True))
                ),
                "Right network for each role, but a terminated episode has no future: multiply by `~terminated`.",
            ),
        ],
    ),
    build_07.BUILD,
]
