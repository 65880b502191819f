"""Exercises of lesson 06."""

import torch
from tensordict import TensorDict

from course_utils.exercises.drawn import endings, happens, mixed, rollout, whole
from course_utils.exercises.exercise import Build, Draw, Exercise, Mutant
from course_utils.exercises.probing import tensors
from course_utils.runs.shipped import load_results


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


# The lesson shows this many runs of each fault; the check keeps the others.
SHOWN = 3
# Where to look for each fault.
LOOK = {
    "learning rate too high": "Look at the first points of `train/loss`: what explodes there may look dead later.",
    "no target network": "`check/lag` compares the network with its slower copy.",
    "falls stored as done, not as terminated": "Compare `memory/terminated` with `memory/done`.",
    "dead ReLUs": "`check/spread` says whether the network tells states apart, and since when.",
    "epsilon stuck": "Does `train/epsilon` move at all?",
    "rewards scaled up": "Compare what a step pays, `train/return` by `train/length`, with `memory/reward`.",
    "evaluation explores": "`eval/off_greedy` says how often the judged agent did not do what it thinks best.",
    "memory of one batch": "Compare `memory/frames` with `frames`.",
}


def _without_gaps(log: dict, rows: int) -> dict[str, torch.Tensor]:
    """The first rows of a stored log, as the exercise hands them over."""
    return {name: torch.tensor([v for v in values[:rows] if v is not None]) for name, values in log.items()}


def _examine_diagnosis(diagnose, draw: Draw) -> str:
    """Let an answer diagnose runs whose seeds the lesson does not show, each cut off somewhere in its last quarter."""
    runs = load_results("06_sabotaged")["runs"]["sabotaged"]
    cases = [(fault, log) for fault, logs in runs.items() for log in list(logs.values())[SHOWN:]]
    said: dict[str, list[str]] = {fault: [] for fault in runs}
    for place in mixed(draw, len(cases)):
        fault, log = cases[place]
        rows = whole(draw, 3 * len(log["frames"]) // 4, len(log["frames"]))
        given = _without_gaps(log, rows)
        name = diagnose(given)
        if not isinstance(name, str) or name not in runs:
            return f"It returned {name!r}, which is none of the names. Return one of: {', '.join(map(repr, runs))}."
        if any(not torch.equal(values, given.get(key, values[:0])) for key, values in _without_gaps(log, rows).items()):
            return "It changes the curves that it is given, and whoever gave them still needs them."
        said[fault].append(name)
    return _first_mistake(said)


def _first_mistake(said: dict[str, list[str]]) -> str:
    """The sentence about the worst that was said of runs; empty where all was right.

    Args:
        said: for each fault, the healthy case first, what its runs were called.
    """
    names = [name for answers in said.values() for name in answers]
    if len(set(names)) == 1:
        return f"It says {names[0]!r} of every run."
    healthy, *faults = said
    wrong = {fault: [name for name in said[fault] if name != fault] for fault in said}
    if alarms := wrong[healthy]:
        return (
            f"{len(alarms)} of {len(said[healthy])} healthy runs are called sick: {alarms[0]!r}. An alarm that rings "
            "for the healthy is soon ignored; look at what healthy runs show there."
        )
    for fault in faults:
        if healthy in wrong[fault]:
            return (
                f"{wrong[fault].count(healthy)} of {len(said[fault])} runs with {fault!r} pass as healthy. "
                f"{LOOK[fault]}"
            )
    for fault in faults:
        if wrong[fault]:
            return (
                f"{len(wrong[fault])} of {len(said[fault])} runs with {fault!r} are taken for "
                f"{wrong[fault][0]!r}. {LOOK[fault]} Two signs can be there at once: ask first for the one that "
                "explains the other."
            )
    return ""


def _bound(curves):
    return curves["train/return"][-1] / curves["train/length"][-1] / (1 - curves["gamma"][0])


_SIGNS = {
    "rewards scaled up": lambda c: c["memory/reward"][-1] > 2 * c["train/return"][-1] / c["train/length"][-1],
    "learning rate too high": lambda c: c["train/loss"].max() > _bound(c) ** 2,
    "dead ReLUs": lambda c: c["check/spread"].max() < 1e-6,
    "no target network": lambda c: c["check/lag"].max() < 1e-6,
    "falls stored as done, not as terminated": lambda c: c["memory/terminated"][-1] < c["memory/done"][-1],
    "epsilon stuck": lambda c: c["train/epsilon"][0] == c["train/epsilon"][-1],
    "evaluation explores": lambda c: c["eval/off_greedy"].max() > 0,
    "memory of one batch": lambda c: c["memory/frames"][-1] < c["frames"][-1],
}


def _diagnose(curves, first=(), signs=_SIGNS):
    """The first fault whose sign is there, those in `first` asked for first."""
    order = [*first, *(name for name in signs if name not in first)]
    return next((name for name in order if signs[name](curves)), "nothing is wrong")


def _with_sign(name, sign, first=()):
    """A mutant that knows one fault by another sign."""
    return lambda curves: _diagnose(curves, first, {**_SIGNS, name: sign})


def _number(curves):
    return ["nothing is wrong", *_SIGNS].index(_diagnose(curves))


def _overwriting(curves):
    name = _diagnose(curves)
    curves["train/loss"] /= curves["train/loss"].max()
    return name


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
    Build(
        number="6.6",
        tests="It names the fault of runs that it has not seen, and leaves the healthy ones alone.",
        reference=_diagnose,
        examine=_examine_diagnosis,
        mutants=[
            Mutant(
                "never alarmed",
                lambda curves: "nothing is wrong",
                "It says 'nothing is wrong' of every run.",
            ),
            Mutant(
                "epsilon above zero",
                _with_sign("epsilon stuck", lambda c: c["train/epsilon"][-1] > 0.05),
                "3 of 3 healthy runs are called sick: 'epsilon stuck'. An alarm that rings for the healthy is soon "
                "ignored; look at what healthy runs show there.",
            ),
            Mutant(
                "judges the return alone",
                lambda curves: "nothing is wrong" if curves["eval/reward"].max() > 50 else _diagnose(curves),
                "runs with 'no target network' pass as healthy. `check/lag` compares the network with its slower copy.",
            ),
            Mutant(
                "believes the evaluation",
                _with_sign("evaluation explores", lambda c: c["eval/reward"].max() < 30),
                "3 of 3 runs with 'evaluation explores' pass as healthy. `eval/off_greedy` says how often the judged "
                "agent did not do what it thinks best.",
            ),
            Mutant(
                "dead before exploded",
                _with_sign("dead ReLUs", lambda c: c["check/spread"][-1] < 1e-6, first=["dead ReLUs"]),
                "3 of 3 runs with 'learning rate too high' are taken for 'dead ReLUs'. Look at the first points of "
                "`train/loss`: what explodes there may look dead later.",
            ),
            Mutant(
                "every large loss",
                lambda curves: _diagnose(curves, first=["learning rate too high"]),
                "3 of 3 runs with 'rewards scaled up' are taken for 'learning rate too high'. Compare what a step "
                "pays, `train/return` by `train/length`, with `memory/reward`.",
            ),
            Mutant(
                "reward and done alone",
                _with_sign("falls stored as done, not as terminated", lambda c: c["memory/done"][-1] == 0),
                "3 of 3 runs with 'falls stored as done, not as terminated' pass as healthy. Compare "
                "`memory/terminated` with `memory/done`.",
            ),
            Mutant(
                "a number for a name",
                _number,
                "which is none of the names. Return one of: 'nothing is wrong', 'learning rate too high',",
            ),
            Mutant(
                "scales in place",
                _overwriting,
                "It changes the curves that it is given, and whoever gave them still needs them.",
            ),
        ],
    ),
]
