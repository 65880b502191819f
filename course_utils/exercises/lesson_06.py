"""Exercises of lesson 06."""

import torch
from tensordict import TensorDict

from course_utils.exercises.exercise import Draw, Exercise, Mutant


def _curve(draw: Draw) -> dict:
    # Far from zero, so that a start at zero shows.
    return {"values": 5 + draw.normal(10), "weight": draw.uniform(0.6, 0.9)}


def _smooth(values, weight, start=None):
    smoothed = [values[0] if start is None else weight * start + (1 - weight) * values[0]]
    for value in values[1:]:
        smoothed.append(weight * smoothed[-1] + (1 - weight) * value)
    return torch.stack(smoothed)


def _neighbours(values, weight):
    return torch.cat([values[:1], weight * values[:-1] + (1 - weight) * values[1:]])


def _running_mean(values, weight):
    return values.cumsum(0) / torch.arange(1, len(values) + 1)


def _batch(draw: Draw) -> dict:
    # Four copies, eight steps; some episodes began before the batch; in about a third of the batches none ends.
    reward = 1 + 0.5 * draw.normal(4, 8, 1)
    done = draw.flags(0.2, 4, 8, 1)
    done[1, 4] = True
    if draw.uniform(0, 1) < 0.35:
        done = torch.zeros_like(done)
    running, before, after = 5 * draw.normal(4, 1).abs(), [], []
    for step in range(8):
        before.append(running)
        after.append(running + reward[:, step])
        running = torch.where(done[:, step], torch.zeros_like(running), after[-1])
    following = TensorDict(reward=reward, episode_reward=torch.stack(after, 1), done=done, batch_size=[4, 8])
    batch = TensorDict(episode_reward=torch.stack(before, 1), next=following, batch_size=[4, 8])
    return {"batch": batch}


def _return(batch, empty=None):
    done = batch["next", "done"]
    return batch["next", "episode_reward"][done].mean().item() if done.any() else empty


def _only_if_ended(value):
    """A mutant that also gives None where no episode ended."""
    return lambda batch: value(batch).item() if batch["next", "done"].any() else None


def _gradients(draw: Draw) -> dict:
    return {"gradients": [draw.normal(8, 4), draw.normal(8), draw.normal(2, 8), draw.normal(2)]}


def _norm(gradients):
    return torch.cat([gradient.flatten() for gradient in gradients]).norm()


def _transitions(draw: Draw) -> dict:
    position, following = 1.2 * draw.normal(8, 4).clamp(-1.9, 1.9), 1.2 * draw.normal(8, 4).clamp(-1.9, 1.9)
    following[0, 0], following[1, 0] = -1.0, 1.0
    terminated, truncated = draw.flags(0.3, 8, 1), draw.flags(0.3, 8, 1)
    terminated[:4, 0] = torch.tensor([False, True, False, False])
    truncated[:4, 0] = torch.tensor([False, False, True, False])
    after = TensorDict(
        observation=following,
        terminated=terminated,
        truncated=truncated,
        done=terminated | truncated,
        batch_size=[8],
    )
    return {"td": TensorDict(observation=position, next=after, batch_size=[8])}


def _centred(td):
    return (1 - td["next", "observation"][..., :1].abs() / 2.4) * ~td["next", "terminated"]


EXERCISES = [
    Exercise(
        number="6.1",
        tests="It starts at the first value, and each later one leans on the smoothed value before it.",
        draw=_curve,
        reference=_smooth,
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
                "before the last step",
                _only_if_ended(lambda batch: batch["episode_reward"][batch["next", "done"]].mean()),
                "You read `episode_reward` before the step, so each return lacks its last reward. Read it under "
                "`next`.",
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
        tests="The movements add up to 2.4 metres, so the speeds add up to 2.4 / 0.02.",
        reference=120.0,
        mutants=[
            Mutant(
                "the way itself",
                2.4,
                "2.4 is the way, the sum of the movements. A movement is 0.02 times a speed, so the speeds add up to "
                "more.",
            ),
            Mutant(
                "multiplied",
                2.4 * 0.02,
                "You multiplied by the length of a step. The way is 0.02 times the sum of the speeds: solve for the "
                "sum.",
            ),
            Mutant(
                "steps of the clock",
                500.0,
                "500 is the largest number of steps. The reward is not 1 a step but the speed, and the track ends "
                "the sum before the clock does.",
            ),
            Mutant(
                "both sides",
                240.0,
                "You let the cart run from one edge of the track to the other. It starts in the middle, so 2.4 metres "
                "are all it has.",
            ),
            Mutant(
                "what it reached",
                10.0,
                "That is about what this agent reached. Ask what the track allows: add up the movements of all steps.",
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
                "before the step",
                lambda td: (1 - td["observation"][..., :1].abs() / 2.4) * ~td["next", "terminated"],
                "You read the position *before* the step, which the action did not cause. Read it under `next`.",
            ),
            Mutant(
                "lost dimension",
                lambda td: (1 - td["next", "observation"][..., 0].abs() / 2.4) * ~td["next", "terminated"],
                "Your result is [8, 8]: `[..., 0]` gives shape [8], and [8] with [8, 1] broadcasts to a square, every "
                "position with every flag. Keep the dimension with `[..., :1]`.",
            ),
        ],
    ),
]
