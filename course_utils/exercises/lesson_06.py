"""Exercises of lesson 06."""

import torch
from tensordict import TensorDict

from course_utils.exercises.drawn import endings, happens, mixed, rollout, whole
from course_utils.exercises.exercise import Draw, Exercise, Mutant
from course_utils.exercises.probing import tensors


def _curve(draw: Draw) -> dict:
    # Far from zero, so that a start at zero shows.
    return {"values": 5 + draw.normal(whole(draw, 4, 12)), "weight": draw.uniform(0.6, 0.95)}


def _smooth(values, weight, start=None):
    smoothed = [values[0] if start is None else weight * start + (1 - weight) * values[0]]
    for value in values[1:]:
        smoothed.append(weight * smoothed[-1] + (1 - weight) * value)
    return torch.stack(smoothed)


def _neighbours(values, weight):
    return torch.cat([values[:1], weight * values[:-1] + (1 - weight) * values[1:]])


def _debiased(values, weight):
    smoothed = _smooth(values, weight, start=torch.tensor(0.0))
    return smoothed / (1 - weight ** torch.arange(1, len(values) + 1))


def _running_mean(values, weight):
    return values.cumsum(0) / torch.arange(1, len(values) + 1)


def _batch(draw: Draw) -> dict:
    # A batch of the lesson's collector, with episodes that began before it or outlast it. In some batches none ends, in
    # others one step is all there is, and every copy's last one.
    copies, time = whole(draw, 2, 5), whole(draw, 3, 9)
    kind = draw.uniform(0, 1)
    if kind < 0.33:
        terminated = truncated = torch.zeros(copies, time, 1, dtype=torch.bool)
    elif kind < 0.6:
        terminated = draw.flags(0.5, copies, 1, 1)
        truncated = ~terminated
    else:
        terminated, truncated = endings(draw, copies, time)
    done = terminated | truncated
    batch = rollout(draw, *done.shape[:2])
    reward, traj_ids = batch["next", "reward"], torch.zeros(done.shape[:2], dtype=torch.int64)
    total, count, number = 5 * draw.normal(copies, 1).abs(), draw.integers(0, 30, copies, 1), torch.arange(copies)
    before, after = [], []
    for step in range(done.shape[1]):
        before.append((total, count))
        after.append((total + reward[:, step], count + 1))
        traj_ids[:, step] = number
        ended = done[:, step]
        total, count = (torch.where(ended, torch.zeros_like(kept), kept) for kept in after[-1])
        number = torch.where(ended[:, 0], int(number.max()) + 1 + torch.arange(copies), number)
    for part, rows in ((batch, before), (batch["next"], after)):
        part["episode_reward"], part["step_count"] = (torch.stack(column, 1) for column in zip(*rows, strict=True))
        part["is_init"] = part["step_count"] == 0
    batch["next"].update({"terminated": terminated, "truncated": truncated, "done": done})
    values = draw.normal(*done.shape[:2], 2)
    batch["action_value"], batch["action"] = values, values.argmax(-1)
    batch["chosen_action_value"] = values.max(-1, keepdim=True).values
    batch["collector"] = TensorDict({"traj_ids": traj_ids}, done.shape[:2])
    return {"batch": batch}


def _return(batch, empty=None):
    done = batch["next", "done"]
    return batch["next", "episode_reward"][done].mean().item() if done.any() else empty


def _since_the_batch_began(batch):
    returns = []
    for rewards, ends in zip(batch["next", "reward"].flatten(1), batch["next", "done"].flatten(1), strict=True):
        total = 0.0
        for reward, end in zip(rewards.tolist(), ends.tolist(), strict=True):
            total += reward
            if end:
                returns.append(total)
                total = 0.0
    return sum(returns) / len(returns) if returns else None


def _only_if_ended(value):
    """A mutant that also gives None where no episode ended."""
    return lambda batch: value(batch).item() if batch["next", "done"].any() else None


def _gradients(draw: Draw) -> dict:
    inner, actions = whole(draw, 2, 8), whole(draw, 2, 4)
    layers = [draw.normal(inner, 4), draw.normal(inner), draw.normal(actions, inner), draw.normal(actions)]
    return {"gradients": layers[: whole(draw, 2, 4)]}


def _norm(gradients):
    return torch.cat([gradient.flatten() for gradient in gradients]).norm()


def _curves(draw: Draw) -> dict:
    """Runs in which the return and the length rise, fall or stay, in every combination and in any order.

    The noise is larger than what is to be seen, and the middle lies above both ends or below.
    """
    runs = [(up, longer) for up in (1, 0, -1) for longer in (1, 0, -1)]
    runs += runs[: whole(draw, 0, 3)]
    runs = [runs[place] for place in mixed(draw, len(runs))]
    points = whole(draw, 9, 14)

    def curve(size: int, direction: int) -> torch.Tensor:
        values = draw.integers(-size // 4, size // 4, points) + size
        values[4:-4] += size // 2 * (1 if happens(draw, 0.5) else -1)
        rise = direction * (whole(draw, 1, 3) if happens(draw, 0.3) else whole(draw, 4, size // 5))
        values[whole(draw, 1, 4) - 5] += values[:4].sum() + rise - values[-4:].sum()
        return values.float()

    sizes = {"returns": whole(draw, 40, 80), "lengths": whole(draw, 80, 200)}
    return {
        name: torch.stack([curve(size, run[place]) for run in runs]) for place, (name, size) in enumerate(sizes.items())
    }


def _rise(curves):
    return curves[:, -4:].mean(1) - curves[:, :4].mean(1)


def _parted(returns, lengths, rise=_rise):
    return (rise(returns) > 0) & (rise(lengths) < 0)


def _transitions(draw: Draw) -> dict:
    td = rollout(draw, whole(draw, 4, 9))
    for part in (td, td["next"]):
        part["observation"] = 1.2 * part["observation"].clamp(-1.9, 1.9)
    # Beyond the track it is over, too.
    fallen = mixed(draw, len(td))[0]
    td["next", "observation"][fallen, 0] = 2.41 if happens(draw, 0.5) else -2.41
    td["next", "terminated"][fallen], td["next", "done"][fallen] = True, True
    return {"td": td}


def _centred(td):
    return (1 - td["next", "observation"][..., :1].abs() / 2.4) * ~td["next", "terminated"]


EXERCISES = [
    Exercise(
        number="6.1",
        tests="It starts at the first value, and each later one leans on the smoothed value before it.",
        draw=_curve,
        reference=_smooth,
        probe=tensors,
        mutants=[
            Mutant(
                "starts at zero",
                lambda values, weight: _smooth(values, weight, start=torch.tensor(0.0)),
                "Your curve starts as if there had been a 0 before it, so its beginning is too low. The first "
                "smoothed value is the first value.",
            ),
            Mutant(
                "weights swapped",
                lambda values, weight: _smooth(values, 1 - weight),
                "The weights are swapped: `weight` belongs to the smoothed past, `1 - weight` to the new value. Yours "
                "gets rougher as the weight grows.",
            ),
            Mutant(
                "raw neighbour",
                _neighbours,
                "You mix each value with the *raw* value before it, so the past is forgotten after one step. Take "
                "the last *smoothed* value.",
            ),
            Mutant(
                "debiased",
                _debiased,
                "This is what TensorBoard really does: it starts at 0 and makes up for it. Here the simpler form is "
                "asked for: the first smoothed value is the first value, and later ones lean on it.",
            ),
            Mutant(
                "backwards",
                lambda values, weight: _smooth(values.flip(0), weight).flip(0),
                "You smooth from the end to the beginning, so that a value depends on what comes later.",
            ),
            Mutant(
                "running mean",
                _running_mean,
                "This is the mean of everything so far: it gets stiffer and stiffer and never forgets the start. Use "
                "`weight`.",
            ),
        ],
    ),
    Exercise(
        number="6.2",
        tests="Only finished episodes have a return, and where none finished there is nothing to log.",
        draw=_batch,
        reference=_return,
        mutants=[
            Mutant(
                "every step",
                _only_if_ended(lambda batch: batch["next", "episode_reward"].mean()),
                "You average the running sums of all steps. Most of them belong to episodes that are not over; take "
                "those where `done` is True.",
            ),
            Mutant(
                "zero where none ended",
                lambda batch: _return(batch, empty=0.0),
                "You report 0 for a batch in which no episode ended. The curve would show a collapse that never "
                "happened: return `None`.",
            ),
            Mutant(
                "rewards of this batch",
                _only_if_ended(lambda batch: batch["next", "reward"].sum() / batch["next", "done"].sum()),
                "You divide the rewards of this batch by the number of ends. Episodes reach over the borders of a "
                "batch; `episode_reward` has kept count across them.",
            ),
            Mutant(
                "since the batch began",
                _since_the_batch_began,
                "You add up rewards from the first step of the batch. An episode may have begun before it: "
                "`episode_reward` has kept count.",
            ),
            Mutant(
                "largest of each copy",
                _only_if_ended(lambda batch: batch["next", "episode_reward"].amax(1).mean()),
                "You take the largest running sum of each copy, ended or not. Take those where `done` is True.",
            ),
            Mutant(
                "before the last step",
                _only_if_ended(lambda batch: batch["episode_reward"][batch["next", "done"]].mean()),
                "You read `episode_reward` before the step, so each return lacks its last reward. Read it under "
                "`next`.",
            ),
            Mutant(
                "all have to end",
                lambda batch: _return(batch) if batch["next", "done"].all() else None,
                "You report a return only where *every* step of the batch was an end. One is enough: `done.any()`.",
            ),
            Mutant(
                "sum",
                _only_if_ended(lambda batch: batch["next", "episode_reward"][batch["next", "done"]].sum()),
                "You add the returns of the episodes up. Asked for is their mean.",
            ),
            Mutant(
                "zeros for the others",
                _only_if_ended(lambda batch: (batch["next", "episode_reward"] * batch["next", "done"]).mean()),
                "You count a 0 for every step that ended nothing. Pick the ends, `x[done]`, then take the mean.",
            ),
            Mutant(
                "median",
                _only_if_ended(lambda batch: batch["next", "episode_reward"][batch["next", "done"]].median()),
                "You take the median of the returns. Asked for is the mean.",
            ),
            Mutant(
                "length",
                _only_if_ended(lambda batch: batch["next", "step_count"][batch["next", "done"]].float().mean()),
                "You give the mean *length* of the episodes. Their return stands in `episode_reward`.",
            ),
            Mutant(
                "last rewards",
                _only_if_ended(lambda batch: batch["next", "reward"][batch["next", "done"]].mean()),
                "You average the rewards of the last steps alone. The return of an episode is in `episode_reward`.",
            ),
            Mutant(
                "falls only",
                lambda batch: (
                    batch["next", "episode_reward"][batch["next", "terminated"]].mean().item()
                    if batch["next", "terminated"].any()
                    else None
                ),
                "You leave out episodes that the clock ended. They ended as well: `done`.",
            ),
            Mutant(
                "not a number",
                lambda batch: batch["next", "episode_reward"][batch["next", "done"]].mean().item(),
                "Where no episode ended, you take the mean of nothing, which is NaN. Return `None` there.",
            ),
            Mutant(
                "best episode",
                _only_if_ended(lambda batch: batch["next", "episode_reward"][batch["next", "done"]].max()),
                "You report the luckiest episode of the batch. Take the mean.",
            ),
        ],
    ),
    Exercise(
        number="6.3",
        tests="One length for all gradients together: squares added over all tensors, one root at the end.",
        draw=_gradients,
        reference=_norm,
        mutants=[
            Mutant(
                "sum of norms",
                lambda gradients: sum(gradient.norm() for gradient in gradients),
                "You add up the lengths of the tensors. Lengths do not add, squares do: (3, 4) is 5 long, not 7. One "
                "square root, at the very end.",
            ),
            Mutant(
                "mean of norms",
                lambda gradients: torch.stack([gradient.norm() for gradient in gradients]).mean(),
                "You average the lengths of the tensors, so a bias of two numbers counts as much as a whole matrix. "
                "Treat all entries as one long row.",
            ),
            Mutant(
                "no root",
                lambda gradients: sum((gradient**2).sum() for gradient in gradients),
                "This is the sum of the squares, the square of the length. The square root is missing.",
            ),
            Mutant(
                "mean square",
                lambda gradients: torch.cat([gradient.flatten() for gradient in gradients]).pow(2).mean().sqrt(),
                "You take the root of the *mean* square. A length is the root of the sum of the squares.",
            ),
            Mutant(
                "mean squares",
                lambda gradients: sum(gradient.pow(2).mean() for gradient in gradients).sqrt(),
                "You add the *mean* squares of the tensors, so a bias of two numbers counts as much as a whole matrix. "
                "Add up all squares.",
            ),
            Mutant(
                "divided",
                lambda gradients: _norm(gradients) / len(gradients),
                "You divide by the number of tensors. A length is no mean: leave it as it is.",
            ),
            Mutant(
                "norm of sums",
                lambda gradients: torch.stack([gradient.sum() for gradient in gradients]).norm(),
                "You add up the entries of each tensor before you square, so that positive and negative ones cancel. "
                "Square each entry.",
            ),
            Mutant(
                "rows",
                lambda gradients: sum(gradient.norm(dim=-1).sum() for gradient in gradients),
                "You take a length for each row and add them up. Lengths do not add, squares do: one square root, at "
                "the very end.",
            ),
            Mutant(
                "no squares",
                lambda gradients: sum(gradient.abs().sum() for gradient in gradients),
                "You add up the absolute values. A length is the root of the sum of the *squares*.",
            ),
            Mutant(
                "one length each",
                lambda gradients: torch.stack([gradient.norm() for gradient in gradients]),
                "You give one length per tensor. Asked for is one number for all of them together.",
            ),
            Mutant(
                "the last one",
                lambda gradients: gradients[-1].norm(),
                "You give the length of the last tensor only. All of them count.",
            ),
            Mutant(
                "the first one",
                lambda gradients: gradients[0].norm(),
                "You give the length of the first tensor only. All of them count.",
            ),
            Mutant(
                "largest norm",
                lambda gradients: max(gradient.norm() for gradient in gradients),
                "You take the largest tensor only and leave out the others.",
            ),
            Mutant(
                "largest entry",
                lambda gradients: max(gradient.abs().max() for gradient in gradients),
                "This is the largest single entry. All entries count, each with its square.",
            ),
        ],
    ),
    Exercise(
        number="6.4",
        tests="It compares stretches instead of points, and calls where the return rises while the episodes shrink.",
        draw=_curves,
        reference=_parted,
        probe=tensors,
        mutants=[
            Mutant(
                "return only",
                lambda returns, lengths: _rise(returns) > 0,
                "You look at the return alone, the very curve that deceives. Ask for both: it rises *and* the length "
                "falls.",
            ),
            Mutant(
                "length only",
                lambda returns, lengths: _rise(lengths) < 0,
                "You look at the length alone. Where the return falls with it, the agent gets worse in plain sight: "
                "ask for both.",
            ),
            Mutant(
                "either",
                lambda returns, lengths: (_rise(returns) > 0) | (_rise(lengths) < 0),
                "You give the alarm where the return rises *or* the length falls. Only both together deceive: `&`.",
            ),
            Mutant(
                "the other way round",
                lambda returns, lengths: _parted(lengths, returns),
                "You ask where the length rises while the return falls. What deceives is the return that rises.",
            ),
            Mutant(
                "both rise",
                lambda returns, lengths: (_rise(returns) > 0) & (_rise(lengths) > 0),
                "You give the alarm where both rise. That is what one hopes for: the length has to fall.",
            ),
            Mutant(
                "different ways",
                lambda returns, lengths: _rise(returns) * _rise(lengths) < 0,
                "You give the alarm whenever the two go different ways. Where the length rises and the return falls, "
                "nobody is deceived.",
            ),
            Mutant(
                "all is well",
                lambda returns, lengths: ~_parted(returns, lengths),
                "Your answer is the opposite: True is the alarm.",
            ),
            Mutant(
                "or stays",
                lambda returns, lengths: (_rise(returns) > 0) & (_rise(lengths) <= 0),
                "You give the alarm also where the length stays as it was. It has to *fall*: `<`.",
            ),
            Mutant(
                "return may stay",
                lambda returns, lengths: (_rise(returns) >= 0) & (_rise(lengths) < 0),
                "You give the alarm also where the return stays as it was. It has to *rise*: `>`.",
            ),
            Mutant(
                "two points",
                lambda returns, lengths: _parted(returns, lengths, lambda curves: curves[:, -1] - curves[:, 0]),
                "You compare the last point with the first. Single points are noise: compare the means of four.",
            ),
            Mutant(
                "against all",
                lambda returns, lengths: _parted(
                    returns, lengths, lambda curves: curves[:, -4:].mean(1) - curves.mean(1)
                ),
                "You compare the last four points with the mean of all. Compare them with the *first* four.",
            ),
            Mutant(
                "halves",
                lambda returns, lengths: _parted(
                    returns,
                    lengths,
                    lambda curves: (
                        curves[:, curves.shape[1] // 2 :].mean(1) - curves[:, : curves.shape[1] // 2].mean(1)
                    ),
                ),
                "You compare the second half with the first. Compare the last four points with the first four.",
            ),
            Mutant(
                "highest",
                lambda returns, lengths: _parted(
                    returns, lengths, lambda curves: curves[:, -4:].amax(1) - curves[:, :4].amax(1)
                ),
                "You compare the highest points, and one lucky batch decides. Compare the means.",
            ),
            Mutant(
                "any run",
                lambda returns, lengths: _parted(returns, lengths).any(),
                "You give one answer for all runs together. Give one for each: leave out `any`.",
            ),
            Mutant(
                "first runs",
                lambda returns, lengths: _parted(
                    returns, lengths, lambda curves: curves[-4:].mean(0) - curves[:4].mean(0)
                ),
                "You compare the last four *runs* with the first four. Runs are dimension 0, points dimension 1: "
                "`curves[:, -4:].mean(1)`.",
            ),
        ],
    ),
    Exercise(
        number="6.5",
        tests="High in the middle, lower on both sides, nothing for a fall, and a clock that ran out costs nothing.",
        draw=_transitions,
        reference=_centred,
        mutants=[
            Mutant(
                "one side only",
                lambda td: (1 - td["next", "observation"][..., :1] / 2.4) * ~td["next", "terminated"],
                "You use the position with its sign, so left of the middle earns *more* than the middle. The agent "
                "would run to the left edge: take `abs()`.",
            ),
            Mutant(
                "falls are paid",
                lambda td: 1 - td["next", "observation"][..., :1].abs() / 2.4,
                "You pay for the step on which the pole fell as well. Where `terminated` is True the reward is 0.",
            ),
            Mutant(
                "punishes the clock",
                lambda td: (1 - td["next", "observation"][..., :1].abs() / 2.4) * ~td["next", "done"],
                "You also give 0 when the clock ran out: `done` is `terminated` or `truncated`. Only `terminated` is a "
                "fall.",
            ),
            Mutant(
                "squared",
                lambda td: (1 - (td["next", "observation"][..., :1] / 2.4) ** 2) * ~td["next", "terminated"],
                "Your reward falls in a curve: you square the position. A straight line takes its `abs()`.",
            ),
            Mutant(
                "clock for fall",
                lambda td: (1 - td["next", "observation"][..., :1].abs() / 2.4) * ~td["next", "truncated"],
                "You give 0 where the clock ran out, and pay for falls. It is `terminated` that tells of a fall.",
            ),
            Mutant(
                "minus one for a fall",
                lambda td: torch.where(
                    td["next", "terminated"], -1.0, 1 - td["next", "observation"][..., :1].abs() / 2.4
                ),
                "A fall costs 1 with you. Its reward is 0.",
            ),
            Mutant(
                "full width",
                lambda td: (1 - td["next", "observation"][..., :1].abs() / 4.8) * ~td["next", "terminated"],
                "Your reward is still one half at the edge: from the middle to the edge it is 2.4 metres, not 4.8.",
            ),
            Mutant(
                "metres",
                lambda td: (1 - td["next", "observation"][..., :1].abs()) * ~td["next", "terminated"],
                "Your reward falls by 1 for each metre. It has 2.4 metres to fall from 1 to 0: divide by them.",
            ),
            Mutant(
                "the angle",
                lambda td: (1 - td["next", "observation"][..., 2:3].abs() / 2.4) * ~td["next", "terminated"],
                "You use the angle of the pole, the third number. The position of the cart is the first: `[..., :1]`.",
            ),
            Mutant(
                "only falls",
                lambda td: (1 - td["next", "observation"][..., :1].abs() / 2.4) * td["next", "terminated"],
                "You pay for falls, and for nothing else: the flag has to be inverted, `~`.",
            ),
            Mutant(
                "before the step",
                lambda td: (1 - td["observation"][..., :1].abs() / 2.4) * ~td["next", "terminated"],
                "You read the position *before* the step, which the action did not cause. Read it under `next`.",
            ),
            Mutant(
                "lost dimension",
                lambda td: (1 - td["next", "observation"][..., 0].abs() / 2.4) * ~td["next", "terminated"],
                "Your result is [batch, batch]: `[..., 0]` gives shape [batch], and that with [batch, 1] broadcasts to "
                "a square, every position with every flag. Keep the dimension with `[..., :1]`.",
            ),
        ],
    ),
]
