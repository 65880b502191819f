"""Exercises of lesson 00."""

import torch

from course_utils.exercises.drawn import happens, mixed, whole
from course_utils.exercises.exercise import Draw, Exercise, Mutant


def _returns(draw: Draw) -> dict:
    # Whole returns up to 500, as CartPole gives them, whose mean is often 475 exactly or misses it by less than 1. The
    # middle episode lies above 475 where the mean does not, or below it where the mean does.
    count = whole(draw, 15, 80)
    if happens(draw, 0.7):
        returns = torch.where(draw.flags(0.75, count), 500, draw.integers(300, 470, count))
    else:
        returns = torch.where(draw.flags(0.3, count), 500, draw.integers(455, 475, count))
    kind = (draw.turn(16) + draw.uniform(0, 1)) / 16  # each kind comes in every check
    if kind < 0.4:
        beside = 0
    elif kind < 0.75:
        beside = -whole(draw, 1, count - 1)
    elif kind < 0.85:
        beside = whole(draw, 1, count - 1)
    else:
        beside = whole(draw, -8 * count, 8 * count)
    missing = 475 * count + beside - int(returns.sum())
    for place in mixed(draw, count):
        step = max(1 - int(returns[place]), min(500 - int(returns[place]), missing))
        returns[place], missing = returns[place] + step, missing - step
    return {"returns": returns.float()}


EXERCISES = [
    Exercise(
        number="0.1",
        tests="Your rule looks at the mean of all episodes, as this course does whenever it says solved.",
        draw=_returns,
        reference=lambda returns: returns.mean() >= 475,
        mutants=[
            Mutant(
                "every episode",
                lambda returns: (returns >= 475).all(),
                "You ask that *every* episode reaches 475. The rule is milder: the mean over the episodes does.",
            ),
            Mutant(
                "best episode",
                lambda returns: returns.max() >= 475,
                "You look at the best episode. One lucky episode out of many solves nothing: take the mean.",
            ),
            Mutant(
                "last episode",
                lambda returns: returns[-1] >= 475,
                "You look at the last episode only. One episode says little: take the mean over all of them.",
            ),
            Mutant(
                "median",
                lambda returns: returns.median() >= 475,
                "You look at the episode in the middle (the median). Almost half of the others can be as bad as they "
                "like: take the mean.",
            ),
            Mutant(
                "more than",
                lambda returns: returns.mean() > 475,
                "A mean of exactly 475 counts as solved: *at least* 475 is `>=`.",
            ),
            Mutant(
                "other way round",
                lambda returns: returns.mean() < 475,
                "Your answer is the opposite: a mean of *at least* 475 is solved.",
            ),
            Mutant(
                "returns the mean",
                lambda returns: returns.mean(),
                "You return the mean itself. Compare it with 475, so that the answer is True or False.",
            ),
        ],
    ),
]
