"""Exercises of lesson 10."""

import torch

from course_utils.exercises.exercise import Draw, Exercise, Mutant


def _visits(draw: Draw) -> dict:
    # Cells 0 and 1 saw both actions, cell 2 one of them, and the last cells nobody.
    cells, actions = draw.integers(0, 6, 12), draw.integers(0, 2, 12)
    cells = torch.cat([torch.tensor([0, 0, 1, 1, 2, 2]), 3 + cells % 4])
    actions = torch.cat([torch.tensor([0, 1, 1, 0, 1, 1]), actions])
    return {"cells": cells, "actions": actions, "cell_count": 10}


def _seen(cells, actions, cell_count):
    seen = torch.zeros(cell_count, 2, dtype=torch.bool)
    seen[cells, actions] = True
    return seen


def _both_tried(cells, actions, cell_count):
    seen = _seen(cells, actions, cell_count)
    return seen.all(1).sum() / seen.any(1).sum()


def _choices(draw: Draw) -> dict:
    return {"logits": 2 * draw.normal(8, 3), "action": draw.integers(0, 3, 8)}


def _cloning_loss(logits, action):
    return -logits.log_softmax(1).gather(1, action[:, None]).mean()


def _returns(draw: Draw) -> dict:
    return {"returns": 100 + 30 * draw.normal(20), "share": draw.uniform(0.1, 0.4)}


def _kept(returns, share, largest=True):
    count = max(1, round(share * len(returns)))
    mask = torch.zeros(len(returns), dtype=torch.bool)
    mask[returns.topk(count, largest=largest).indices] = True
    return mask


def _values(draw: Draw) -> dict:
    return {"values": draw.normal(8, 3), "action": draw.integers(0, 3, 8)}


def _of_action(values, action):
    return values.gather(1, action[:, None]).squeeze(1)


def _penalty(values, action):
    return (values.logsumexp(1) - _of_action(values, action)).mean()


def _differences(draw: Draw) -> dict:
    return {"difference": draw.normal(12), "expectile": draw.uniform(0.7, 0.95)}


def _expectile_loss(difference, expectile):
    weight = torch.where(difference > 0, expectile, 1 - expectile)
    return (weight * difference**2).mean()


EXERCISES = [
    Exercise(
        number="10.1",
        tests="Of the cells the record visits, the share in which both actions were tried.",
        draw=_visits,
        reference=_both_tried,
        mutants=[
            Mutant(
                "share of all cells",
                lambda cells, actions, cell_count: _seen(cells, actions, cell_count).all(1).float().mean(),
                "You divide by all cells of the grid. Ask only about those the record visits: no method can learn of "
                "the others, and no agent may ever get there.",
            ),
            Mutant(
                "share that was visited",
                lambda cells, actions, cell_count: _seen(cells, actions, cell_count).any(1).float().mean(),
                "That is the share of cells that were visited at all. Here we ask where *both* actions were tried.",
            ),
            Mutant(
                "at least one action",
                lambda cells, actions, cell_count: (
                    _seen(cells, actions, cell_count).any(1).sum() / _seen(cells, actions, cell_count).any(1).sum()
                ),
                "Your share is always 1: every visited cell saw *some* action. Ask for both: `all`, not `any`.",
            ),
            Mutant(
                "share of pairs",
                lambda cells, actions, cell_count: (
                    _seen(cells, actions, cell_count).sum() / (2 * _seen(cells, actions, cell_count).any(1).sum())
                ),
                "You count pairs of cell and action, so a cell where one action was tried counts half. It does not "
                "count at all: what the other one does there is unknown.",
            ),
            Mutant(
                "how many",
                lambda cells, actions, cell_count: _seen(cells, actions, cell_count).all(1).sum(),
                "That is how many cells saw both actions. Divide by the number of cells that were visited.",
            ),
            Mutant(
                "counts frames",
                lambda cells, actions, cell_count: _seen(cells, actions, cell_count).all(1)[cells].float().mean(),
                "You count frames, so a cell visited a hundred times counts a hundred times. Count each cell once.",
            ),
        ],
    ),
    Exercise(
        number="10.2",
        tests="The mean of minus the log-probability of the recorded action: cross-entropy.",
        draw=_choices,
        reference=_cloning_loss,
        mutants=[
            Mutant(
                "no log",
                lambda logits, action: -logits.softmax(1).gather(1, action[:, None]).mean(),
                "You sum up probabilities. Take the *log*-probability: only so does being sure and wrong cost a lot.",
            ),
            Mutant(
                "no softmax",
                lambda logits, action: -logits.gather(1, action[:, None]).mean(),
                "You take the logits as they are. They are not log-probabilities yet, and a network could make them as "
                "large as it likes: `log_softmax` first.",
            ),
            Mutant(
                "wrong sign",
                lambda logits, action: -_cloning_loss(logits, action),
                "The sign is turned round: an optimiser makes the loss *small*, so it would avoid what was recorded.",
            ),
            Mutant(
                "softmax twice",
                lambda logits, action: _cloning_loss(logits.softmax(1), action),
                "There are two softmaxes in it: `cross_entropy` and `log_softmax` take the logits as they are. With "
                "two, the loss cannot come near 0, however sure and right the network is.",
            ),
            Mutant(
                "over the batch",
                lambda logits, action: -logits.log_softmax(0).gather(1, action[:, None]).mean(),
                "Your softmax runs over the batch, so the states compete with each other. The actions of one state do: "
                "`log_softmax(1)`.",
            ),
            Mutant(
                "own choice",
                lambda logits, action: -logits.log_softmax(1).max(1).values.mean(),
                "You take the action the network likes best. That makes it sure of itself; the *recorded* one is the "
                "teacher.",
            ),
            Mutant(
                "sum",
                lambda logits, action: len(action) * _cloning_loss(logits, action),
                "You sum over the batch. Take the mean, or the size of a step depends on the size of the batch.",
            ),
        ],
    ),
    Exercise(
        number="10.3",
        tests="How far the soft maximum of the values lies above the value of the recorded action.",
        draw=_values,
        reference=_penalty,
        mutants=[
            Mutant(
                "hard maximum",
                lambda values, action: (values.max(1).values - _of_action(values, action)).mean(),
                "You take the largest value alone. `logsumexp` is its soft form: it presses *all* values down, high "
                "ones most, and has a gradient where the recorded action is already the best one.",
            ),
            Mutant(
                "mean",
                lambda values, action: (values.mean(1) - _of_action(values, action)).mean(),
                "You press down the mean of the values. `logsumexp` presses hardest on the *highest* value, and that is"
                " the one the target would believe.",
            ),
            Mutant(
                "best action",
                lambda values, action: (values.logsumexp(1) - values.max(1).values).mean(),
                "You lift the action the network likes best. Lift the *recorded* one: for it there is evidence.",
            ),
            Mutant(
                "unrecorded only",
                lambda values, action: (
                    values.scatter(1, action[:, None], -torch.inf).logsumexp(1) - _of_action(values, action)
                ).mean(),
                "You press down the unrecorded actions alone. The sum runs over *all* actions, so the term is never "
                "below 0; yours has no floor, and the values would drift apart for ever.",
            ),
            Mutant(
                "no log",
                lambda values, action: (values.exp().sum(1) - _of_action(values, action)).mean(),
                "You forgot the logarithm of the sum: `logsumexp`. Without it a value of 20 would cost five hundred "
                "million.",
            ),
            Mutant(
                "sum",
                lambda values, action: len(action) * _penalty(values, action),
                "You sum over the batch. Take the mean, or CQL's weight means something else with each batch size.",
            ),
            Mutant(
                "wrong sign",
                lambda values, action: -_penalty(values, action),
                "The sign is turned round: this would lift what was never tried and press down what was recorded.",
            ),
            Mutant(
                "press only",
                lambda values, action: values.logsumexp(1).mean(),
                "You press down everything and lift nothing. Subtract the value of the recorded action.",
            ),
        ],
    ),
    Exercise(
        number="10.4",
        tests="Surprises upwards weigh `expectile`, surprises downwards `1 - expectile`.",
        draw=_differences,
        reference=_expectile_loss,
        mutants=[
            Mutant(
                "plain square",
                lambda difference, expectile: (difference**2).mean(),
                "That is the plain squared error: V becomes the *mean* of what was recorded, good and bad alike. Weigh "
                "the two sides differently.",
            ),
            Mutant(
                "sides swapped",
                lambda difference, expectile: _expectile_loss(-difference, expectile),
                "The sides are swapped: V would follow the *worst* recorded actions. A positive difference (better than"
                " V) gets the large weight.",
            ),
            Mutant(
                "quantile",
                lambda difference, expectile: (
                    torch.where(difference > 0, expectile, 1 - expectile) * difference.abs()
                ).mean(),
                "You weigh absolute differences: that is a quantile. An expectile weighs *squares*.",
            ),
            Mutant(
                "no square",
                lambda difference, expectile: (
                    torch.where(difference > 0, expectile, 1 - expectile) * difference
                ).mean(),
                "You weigh the differences themselves: the more V overshoots, the smaller that is, without end. "
                "Square them.",
            ),
            Mutant(
                "weight squared",
                lambda difference, expectile: (
                    (torch.where(difference > 0, expectile, 1 - expectile) * difference) ** 2
                ).mean(),
                "You square the weight too, so 0.8 against 0.2 becomes 16 to 1. Square the difference, then weigh it.",
            ),
            Mutant(
                "sum",
                lambda difference, expectile: len(difference) * _expectile_loss(difference, expectile),
                "You sum over the batch. Average: divide by the number of differences, not by the sum of the weights.",
            ),
            Mutant(
                "upper side only",
                lambda difference, expectile: (expectile * difference.clamp(min=0) ** 2).mean(),
                "You drop the differences below zero. Then nothing pulls V down again; they count too, with "
                "`1 - expectile`.",
            ),
        ],
    ),
    Exercise(
        number="10.5",
        tests="The episodes with the largest returns, as many as the share asks for.",
        draw=_returns,
        reference=_kept,
        mutants=[
            Mutant(
                "the worst",
                lambda returns, share: _kept(returns, share, largest=False),
                "You keep the *worst* episodes. The largest returns are the ones worth copying.",
            ),
            Mutant(
                "share of the best return",
                lambda returns, share: returns >= share * returns.max(),
                "You keep all returns above a share of the best one. Count episodes: `round(share * n)` of them.",
            ),
            Mutant(
                "all but",
                lambda returns, share: ~_kept(returns, share, largest=False),
                "You drop the worst share and keep the rest. Keep the best share, and drop the rest.",
            ),
            Mutant(
                "order as rank",
                lambda returns, share: returns.argsort(descending=True) < max(1, round(share * len(returns))),
                "`argsort` names the episodes in order: its first entry is the *number* of the best one, not the rank "
                "of episode 0. Use these numbers as an index into a mask.",
            ),
            Mutant(
                "the first ones",
                lambda returns, share: torch.arange(len(returns)) < max(1, round(share * len(returns))),
                "You keep the first episodes of the record, whatever their returns. Rank them first: `topk`.",
            ),
        ],
    ),
]
