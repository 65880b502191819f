"""Exercises of lesson 10."""

import copy
from functools import partial

import torch

from course_utils.exercises import offline_exam
from course_utils.exercises.exercise import Build, Draw, Exercise, Mutant


def _visits(draw: Draw) -> dict:
    # Two cells saw both actions, one action 1 alone (twice) and one action 0 alone, some anything, and some nobody.
    cell_count, frames = int(draw.integers(9, 13)), int(draw.integers(6, 14))
    cells = torch.cat([torch.tensor([0, 0, 1, 1, 2, 2, 3]), draw.integers(4, 7, frames)])
    actions = torch.cat([torch.tensor([0, 1, 1, 0, 1, 1, 0]), draw.integers(0, 2, frames)])
    names, order = draw.normal(cell_count).argsort(), draw.normal(frames + 7).argsort()
    return {"cells": names[cells][order], "actions": actions[order], "cell_count": cell_count}


def _seen(cells, actions, cell_count):
    seen = torch.zeros(cell_count, 2, dtype=torch.bool)
    seen[cells, actions] = True
    return seen


def _both_tried(cells, actions, cell_count):
    seen = _seen(cells, actions, cell_count)
    return seen.all(1).sum() / seen.any(1).sum()


def _choices(draw: Draw) -> dict:
    batch, actions = int(draw.integers(6, 10)), int(draw.integers(3, 6))
    return {"logits": 2 * draw.normal(batch, actions), "action": draw.integers(0, actions, batch)}


def _cloning_loss(logits, action):
    return -logits.log_softmax(1).gather(1, action[:, None]).mean()


def _returns(draw: Draw) -> dict:
    # A share that is rounded down, one that is rounded up, one that rounds to no episode at all, and one that keeps
    # everybody; half the time with more equal returns at the border than can be kept.
    episodes = int(draw.integers(15, 24))
    returns = (-20 if draw.turn(3) == 0 else 100) + 30 * draw.normal(episodes)
    few = int(draw.integers(2, 5)) + draw.uniform(0.42, 0.48)
    many = int(draw.integers(9, 12)) + draw.uniform(0.55, 0.9)
    share = (few / episodes, many / episodes, 0.3 / episodes, 1.0)[draw.turn(4)]
    if draw.turn(8) < 4:
        last = max(1, round(share * episodes)) - 1
        order = returns.argsort(descending=True)
        returns[order[last : last + 3]] = returns[order[last]].clone()
    return {"returns": returns, "share": share}


def _first_of_equals(mask, inputs: dict):
    """The mask with those of equal returns that it keeps moved to the first ones: which of them it keeps is open."""
    returns = inputs["returns"]
    kept = torch.as_tensor(mask)
    if kept.dtype != torch.bool or kept.shape != returns.shape:
        return mask
    kept_first = (~kept).int().argsort(stable=True)
    moved = torch.empty_like(kept)
    moved[returns.argsort(stable=True)] = kept[kept_first[returns[kept_first].argsort(stable=True)]]
    return moved


def _kept(returns, share, largest=True):
    count = max(1, round(share * len(returns)))
    mask = torch.zeros(len(returns), dtype=torch.bool)
    mask[returns.topk(count, largest=largest).indices] = True
    return mask


def _values(draw: Draw) -> dict:
    batch, actions = int(draw.integers(6, 10)), int(draw.integers(3, 6))
    return {"values": draw.normal(batch, actions), "action": draw.integers(0, actions, batch)}


def _of_action(values, action):
    return values.gather(1, action[:, None]).squeeze(1)


def _penalty(values, action):
    return (values.logsumexp(1) - _of_action(values, action)).mean()


def _differences(draw: Draw) -> dict:
    return {"difference": draw.normal(int(draw.integers(8, 14))), "expectile": draw.uniform(0.7, 0.95)}


def _expectile_loss(difference, expectile):
    weight = torch.where(difference > 0, expectile, 1 - expectile)
    return (weight * difference**2).mean()


def _offline(
    record,
    make_env,
    used_seeds,
    weight=1.0,
    td_weight=1.0,
    mask="terminated",
    plays=False,
    explores=False,
    exam_seed=1_000,
    whole=False,
):
    """A right answer of 10.6, in plain torch; its options are what can go wrong."""
    from tensordict.nn import TensorDictSequential
    from torchrl.data import Categorical
    from torchrl.envs import ExplorationType, set_exploration_type
    from torchrl.modules import MLP, EGreedyModule, QValueActor

    network = MLP(in_features=record["observation"].shape[-1], out_features=2, num_cells=[32])
    agent = QValueActor(network, in_keys=["observation"], spec=Categorical(2))
    target = copy.deepcopy(network)
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    following, action = record["next"], record["action"]
    goes_on = ~following[mask] if mask else torch.ones_like(following["done"])
    for update in range(400):
        if plays and update == 200:
            make_env(4, exam_seed).rollout(3)
        values = network(record["observation"])
        with torch.no_grad():
            best = target(following["observation"]).max(1, keepdim=True).values
            wanted = following["reward"] + 0.9 * best * goes_on
        error = values.gather(1, action[:, None]) - wanted
        loss = td_weight * (error**2).mean() + weight * _penalty(values, action)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if update % 10 == 9:
            target.load_state_dict(network.state_dict())
    player = TensorDictSequential(agent, EGreedyModule(Categorical(2), 0.5, 0.5)) if explores else agent
    kind = ExplorationType.RANDOM if explores else ExplorationType.DETERMINISTIC
    with torch.no_grad(), set_exploration_type(kind):
        rollout = make_env(20, exam_seed).rollout(12, player, break_when_any_done=False)
    reward, done = rollout["next", "reward"].squeeze(-1), rollout["next", "done"].squeeze(-1)
    first = torch.ones_like(done) if whole else done.cumsum(1) - done.int() == 0
    return agent, (reward * first).sum(1)


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
            Mutant(
                "pairs of the whole grid",
                lambda cells, actions, cell_count: _seen(cells, actions, cell_count).float().mean(),
                "That is the share of all pairs of cell and action that were seen. Count *cells*: of those that were "
                "visited, the share with both.",
            ),
            Mutant(
                "visited twice",
                lambda cells, actions, cell_count: (
                    (cells.bincount(minlength=cell_count) > 1).sum() / _seen(cells, actions, cell_count).any(1).sum()
                ),
                "You count cells that were visited more than once. The same action twice is still one action.",
            ),
            Mutant(
                "divided by frames",
                lambda cells, actions, cell_count: _seen(cells, actions, cell_count).all(1).sum() / len(cells),
                "You divide by the number of frames. Divide by the number of cells that were visited.",
            ),
            Mutant(
                "only one action tried",
                lambda cells, actions, cell_count: 1 - _both_tried(cells, actions, cell_count),
                "That is the share in which only *one* action was tried. Ask for both.",
            ),
            Mutant(
                "action 1 tried",
                lambda cells, actions, cell_count: (
                    _seen(cells, actions, cell_count)[:, 1].sum() / _seen(cells, actions, cell_count).any(1).sum()
                ),
                "That is the share of visited cells in which action 1 was tried. Action 0 has to be tried as well.",
            ),
            Mutant(
                "all cells with one action",
                lambda cells, actions, cell_count: _seen(cells, actions, cell_count).all(0).float().mean(),
                "You ask of each action whether all cells tried it. Ask of each cell: dimension 1 is that of the "
                "actions.",
            ),
        ],
    ),
    Exercise(
        number="10.2",
        tests="The mean of minus the log-probability of the recorded action: cross-entropy.",
        draw=_choices,
        reference=_cloning_loss,
        gradient=("logits",),
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
            Mutant(
                "all actions of the batch",
                lambda logits, action: -logits.log_softmax(1)[:, action].mean(),
                "`[:, action]` takes from *every* row the actions of the whole batch. Each row has one recorded "
                "action: `gather`, or `[torch.arange(len(action)), action]`.",
            ),
            Mutant(
                "all actions",
                lambda logits, action: -logits.log_softmax(1).mean(),
                "You take the mean over all actions, recorded or not. Pick the recorded one from each row.",
            ),
            Mutant(
                "sigmoid",
                lambda logits, action: -logits.sigmoid().log().gather(1, action[:, None]).mean(),
                "You take a sigmoid, as if each action were a question of its own. One of them is chosen, so their "
                "probabilities share a sum of 1: `log_softmax(1)`.",
            ),
            Mutant(
                "one loss for each state",
                lambda logits, action: -logits.log_softmax(1).gather(1, action[:, None]).squeeze(1),
                "You return a loss for each state. The mean is missing.",
            ),
            Mutant(
                "log of the mean",
                lambda logits, action: -logits.softmax(1).gather(1, action[:, None]).mean().log(),
                "You take the logarithm of the mean probability. Take the mean of the logarithms: only so does one "
                "action that seemed impossible cost a lot.",
            ),
            Mutant(
                "squared error",
                lambda logits, action: (
                    (logits.softmax(1) - torch.nn.functional.one_hot(action, logits.shape[1])).pow(2).mean()
                ),
                "This is a squared error. Take minus the log-probability of the recorded action.",
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
            Mutant(
                "mean of exp",
                lambda values, action: (values.exp().mean(1).log() - _of_action(values, action)).mean(),
                "You take the logarithm of the *mean* of exp. It is that of the sum: `logsumexp`.",
            ),
            Mutant(
                "plain sum",
                lambda values, action: (values.sum(1) - _of_action(values, action)).mean(),
                "You add up the values as they are. `logsumexp` is the logarithm of the sum of their `exp`.",
            ),
            Mutant(
                "over all",
                lambda values, action: values.flatten().logsumexp(0) - _of_action(values, action).mean(),
                "Your `logsumexp` runs over the whole batch. Each state has actions of its own: `logsumexp(1)`.",
            ),
            Mutant(
                "all actions of the batch",
                lambda values, action: (values.logsumexp(1, keepdim=True) - values[:, action]).mean(),
                "`[:, action]` takes from *every* row the actions of the whole batch. Each row has one recorded "
                "action: `gather`, or `[torch.arange(len(action)), action]`.",
            ),
            Mutant(
                "one for each state",
                lambda values, action: values.logsumexp(1) - _of_action(values, action),
                "You return a number for each state. The mean over the batch is missing.",
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
            Mutant(
                "divided by the weights",
                lambda difference, expectile: (
                    _expectile_loss(difference, expectile)
                    / torch.where(difference > 0, expectile, 1 - expectile).mean()
                ),
                "You divide by the sum of the weights. The mean divides by the number of differences.",
            ),
            Mutant(
                "two means",
                lambda difference, expectile: (
                    expectile * (difference[difference > 0] ** 2).mean()
                    + (1 - expectile) * (difference[difference <= 0] ** 2).mean()
                ),
                "You take the mean of each side by itself. There is one mean, over all differences: a side with few of "
                "them counts for little.",
            ),
            Mutant(
                "full weight below",
                lambda difference, expectile: (torch.where(difference > 0, expectile, 1.0) * difference**2).mean(),
                "Your differences below zero weigh 1. They weigh `1 - expectile`.",
            ),
            Mutant(
                "full weight above",
                lambda difference, expectile: (torch.where(difference > 0, 1.0, 1 - expectile) * difference**2).mean(),
                "Your differences above zero weigh 1. They weigh `expectile`.",
            ),
            Mutant(
                "0.8 hard-wired",
                lambda difference, expectile: _expectile_loss(difference, 0.8),
                "Your weights are 0.8 and 0.2, whatever `expectile` is.",
            ),
            Mutant(
                "one for each difference",
                lambda difference, expectile: torch.where(difference > 0, expectile, 1 - expectile) * difference**2,
                "You return a number for each difference. The mean is missing.",
            ),
            Mutant(
                "expectile for all",
                lambda difference, expectile: expectile * (difference**2).mean(),
                "All your differences weigh `expectile`, so it is a plain squared error on another scale. Those that "
                "are not positive weigh `1 - expectile`.",
            ),
        ],
    ),
    Exercise(
        number="10.5",
        tests="The episodes with the largest returns, as many as the share asks for.",
        draw=_returns,
        reference=_kept,
        probe=_first_of_equals,
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
            Mutant(
                "nobody",
                lambda returns, share: _kept(returns, share) & (round(share * len(returns)) > 0),
                "Where the share rounds to 0 you keep nobody, and there is nothing to learn from. Keep at least one: "
                "`max(1, ...)`.",
            ),
            Mutant(
                "equals too",
                lambda returns, share: returns >= returns.topk(max(1, round(share * len(returns)))).values.min(),
                "Where several returns are alike, you keep more than you should. Keep as many as were asked for, "
                "whichever of the equal ones.",
            ),
            Mutant(
                "equals too, nobody",
                lambda returns, share: (
                    (returns >= returns.topk(max(1, round(share * len(returns)))).values.min())
                    & (round(share * len(returns)) > 0)
                ),
                "You keep too many where several returns are alike, and nobody where the share rounds to 0. Count "
                "them: `max(1, round(...))` of them, by `topk`.",
            ),
            Mutant(
                "without the last one",
                lambda returns, share: returns > returns.topk(max(1, round(share * len(returns)))).values.min(),
                "The last one of those to be kept is missing: `>` leaves out the return you compare with. Equal ones "
                "make it worse: use the indices of `topk`.",
            ),
            Mutant(
                "quantile",
                lambda returns, share: returns >= returns.quantile(1 - share),
                "A quantile does not count episodes: it lies between two returns, or on several. Count them: "
                "`max(1, round(share * n))` of them.",
            ),
            Mutant(
                "quantile, strictly",
                lambda returns, share: returns > returns.quantile(1 - share),
                "You compare with a quantile, which lies between two returns, or on several, and does not count "
                "episodes. Count them: `max(1, round(share * n))` of them.",
            ),
            Mutant(
                "rounded down",
                lambda returns, share: _kept(returns, int(share * len(returns)) / len(returns)),
                "You round down. `round` goes to the nearest whole number.",
            ),
            Mutant(
                "rounded up",
                lambda returns, share: _kept(returns, min(1.0, -int(-share * len(returns) // 1) / len(returns))),
                "You round up. `round` goes to the nearest whole number.",
            ),
            Mutant(
                "share of the way from the best return",
                lambda returns, share: returns >= (1 - share) * returns.max(),
                "You keep all returns that are near enough to the best one. Count episodes: `round(share * n)` of "
                "them.",
            ),
            Mutant(
                "the best one only",
                lambda returns, share: _kept(returns, 0.0),
                "You keep the best episode alone. Keep `round(share * n)` of them.",
            ),
            Mutant(
                "one more",
                lambda returns, share: _kept(returns, min(1.0, (round(share * len(returns)) + 1) / len(returns))),
                "You keep one too many. At least one means `max(1, count)`, not `count + 1`.",
            ),
        ],
    ),
    Build(
        number="10.6",
        tests="Learned without playing, with a mask and a term that hold, and examined greedily on fresh seeds.",
        reference=_offline,
        examine=offline_exam.examine,
        mutants=[
            Mutant("plays first", partial(_offline, plays=True), offline_exam.PLAYED),
            Mutant("no mask", partial(_offline, mask=""), offline_exam.NO_MASK),
            Mutant("masks every end", partial(_offline, mask="done"), offline_exam.CLOCK),
            Mutant("only clones", partial(_offline, td_weight=0.0), offline_exam.NO_REWARD),
            Mutant("no term", partial(_offline, weight=0.0), offline_exam.NO_TERM),
            Mutant("explores", partial(_offline, explores=True), offline_exam.EXPLORES),
            Mutant("old seeds", partial(_offline, exam_seed=5), offline_exam.OLD_SEEDS),
            Mutant("goes on after the end", partial(_offline, whole=True), offline_exam.WRONG_RETURNS),
        ],
    ),
]
