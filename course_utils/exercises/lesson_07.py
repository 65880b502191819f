"""Exercises of lesson 07."""

import torch

from course_utils.exercises.exercise import Draw, Exercise, Mutant


def _rollout(draw: Draw) -> dict:
    # At least two ends in every row, never at the very first step, as in a rollout of 12 steps with resets.
    done = draw.flags(0.2, 5, 12)
    done[:, 0], done[:, 3], done[:, 8] = False, True, True
    return {"reward": 1 + draw.normal(5, 12), "done": done}


def _first_returns(reward: torch.Tensor, done: torch.Tensor) -> torch.Tensor:
    first_episode = done.cumsum(1) - done.int() == 0
    return (reward * first_episode).sum(1)


def _transitions(draw: Draw) -> dict:
    terminated = draw.flags(0.4, 8, 1)
    truncated = draw.flags(0.4, 8, 1)
    terminated[:3], truncated[:3] = torch.tensor([[True], [False], [False]]), torch.tensor([[False], [True], [False]])
    return {
        "reward": draw.normal(8, 1),
        "next_values": draw.normal(8, 2),
        "terminated": terminated,
        "truncated": truncated,
        "gamma": draw.uniform(0.8, 0.99),
    }


def _target(reward, next_values, terminated, truncated, gamma):
    return reward + gamma * next_values.max(1, keepdim=True).values * ~terminated


def _schedule(draw: Draw) -> dict:
    # Before, at and after the end of the annealing.
    length = int(draw.integers(1000, 10_000, 1))
    return {
        "frame": int(length * draw.uniform(0.05, 2.0)),
        "length": length,
        "start": 1.0,
        "end": draw.uniform(0.05, 0.2),
    }


def _epsilon(frame, length, start, end):
    return start + (end - start) * min(frame / length, 1.0)


def _two_networks(draw: Draw) -> dict:
    return {
        "reward": draw.normal(8, 1),
        "online_next": draw.normal(8, 3),
        "target_next": draw.normal(8, 3),
        "terminated": draw.flags(0.3, 8, 1),
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
                "jumps",
                lambda frame, length, start, end: start if frame < length else end,
                "Your rate jumps from `start` to `end`. Let it fall in a straight line between them.",
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
                "Your result is [8, 8]: `max(1)` gives shape [8], and [8, 1] with [8] broadcasts to a square, every "
                "reward with every value. Keep the dimension: `keepdim=True`.",
            ),
        ],
    ),
    Exercise(
        number="7.4",
        tests="One network chooses, the other one judges: that is double Q-learning.",
        draw=_two_networks,
        reference=_double_target,
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
                "forgets the end",
                lambda reward, online_next, target_next, terminated, gamma: (
                    reward + gamma * target_next.gather(1, online_next.argmax(1, keepdim=True))
                ),
                "Right network for each role, but a terminated episode has no future: multiply by `~terminated`.",
            ),
        ],
    ),
]
