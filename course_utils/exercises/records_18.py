"""Exercises of lesson 18, one part of them: records, and pixels."""

from __future__ import annotations

import torch

from course_utils.exercises.exercise import Draw, Exercise, Mutant


def _ends(draw: Draw) -> dict:
    # Records that end with an episode and such that do not, an episode of one step, and a record without an end.
    done = draw.flags(0.25, int(draw.integers(9, 16)))
    done[3:5], done[-1] = True, bool(draw.turn(2))
    if draw.turn(8) == 5:
        done[:] = False
    return {"done": done}


def _numbers(done: torch.Tensor) -> torch.Tensor:
    return done.cumsum(0) - done.long()


def _positions(done: torch.Tensor) -> torch.Tensor:
    numbers = _numbers(done).tolist()
    return torch.tensor([place - numbers.index(number) for place, number in enumerate(numbers)])


def _stacks(draw: Draw) -> dict:
    # All frames are kept, one, or some of them.
    looks = int(draw.integers(3, 6))
    kept = (looks - 1, 2, looks, 1)[draw.turn(4)]
    return {"pixels": draw.normal(int(draw.integers(2, 4)), looks, 3, 2), "kept": kept}


def _kept(pixels: torch.Tensor, kept: int) -> torch.Tensor:
    looks = pixels.shape[1]
    return pixels[:, torch.arange(looks).clamp(min=looks - kept)]


def _older(pixels: torch.Tensor, kept: int) -> torch.Tensor:
    """Which frames are to be hidden, in a shape that fits the pictures."""
    looks = pixels.shape[1]
    return (torch.arange(looks) < looks - kept).view(1, -1, 1, 1)


EXERCISES = [
    Exercise(
        "18.3",
        tests="Records whose last step ends an episode and such whose last step does not, an episode of one step, and "
        "a record without any end.",
        reference=_numbers,
        draw=_ends,
        mutants=[
            Mutant(
                "an end counts to the next episode",
                lambda done: done.cumsum(0),
                "You gave the last step of each episode the number of the next one: slices run across the end. The "
                "number may go up only *after* a step that is done.",
            ),
            Mutant(
                "the last step comes round to the front",
                lambda done: done.roll(1, 0).cumsum(0),
                "`roll` brings the flag of the very last step round to the front: where the record ends with an "
                "episode, you count from 1. No step comes before the first one.",
            ),
            Mutant(
                "counts from one",
                lambda done: _numbers(done) + 1,
                "The episodes are told apart, but the first one is to have the number 0.",
            ),
            Mutant(
                "says where episodes begin",
                lambda done: torch.cat([torch.zeros(1, dtype=torch.long), done[:-1].long()]),
                "You mark the steps with which an episode begins (after the first), and do not count them: two "
                "episodes must not have the same number. Add them up along the record.",
            ),
            Mutant(
                "the place within the episode",
                _positions,
                "You count the steps within each episode; asked is the number of the episode, the same at all of its "
                "steps.",
            ),
        ],
    ),
    Exercise(
        "18.4",
        tests="Stacks of three to five frames, of which one, two, all but one, or all are kept.",
        reference=_kept,
        draw=_stacks,
        mutants=[
            Mutant(
                "keeps the oldest",
                lambda pixels, kept: pixels[:, torch.arange(pixels.shape[1]).clamp(max=kept - 1)],
                "You kept the *oldest* frames: the agent would look at the past and not see where it is. The newest "
                "frame stands last.",
            ),
            Mutant(
                "black pictures",
                lambda pixels, kept: torch.where(_older(pixels, kept), 0.0, pixels),
                "You replaced the older frames by zeros. A black road is something the agent has never seen; what it "
                "does then shows nothing of what it needs. Repeat a frame, as `CatFrames` does at the first step.",
            ),
            Mutant(
                "the newest everywhere",
                lambda pixels, kept: torch.where(_older(pixels, kept), pixels[:, -1:], pixels),
                "You put the *newest* frame in the place of older ones: cars would jump forward, back, and forward "
                "again. Repeat the oldest of the frames that are kept.",
            ),
            Mutant(
                "cut off",
                lambda pixels, kept: pixels[:, -kept:],
                "You cut the older frames off; the network was built for all of them. The stack keeps its shape, and a "
                "kept frame stands in their places.",
            ),
            Mutant(
                "one too many",
                lambda pixels, kept: pixels[:, torch.arange(pixels.shape[1]).clamp(min=pixels.shape[1] - kept - 1)],
                "You kept one frame more than was asked for.",
            ),
        ],
    ),
]
