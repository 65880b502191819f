"""Exercises of lesson 19, part four: when a trainer saves, and a hook that examines without disturbing."""

from __future__ import annotations

from course_utils.exercises import trainer_exam
from course_utils.exercises.drawn import whole
from course_utils.exercises.exercise import Build, Draw, Exercise, Mutant


def _run(draw: Draw) -> dict:
    """Four kinds: the interval is whole batches or not, and the last batch goes beyond `total` or not."""
    batch, kind = whole(draw, 20, 60), draw.turn(4)
    interval = batch * whole(draw, 2, 3) + (whole(draw, 3, batch - 3) if kind % 2 else 0)
    total = batch * whole(draw, 13, 17) - (whole(draw, 3, batch - 3) if kind > 1 else 0)
    return {"batch": batch, "total": total, "interval": interval}


def _saved_at(batch, total, interval, due=lambda since, interval: since > interval, at_end=True, remember=True):
    saved, last, frames = [], 0, 0
    for frames in range(batch, total + batch, batch):  # ends, whatever it is asked while an explanation is looked for
        if due(frames - last, interval):
            saved.append(frames)
            last = frames if remember else last
    if at_end and frames not in saved:
        saved.append(frames)
    return saved


def _on_a_grid(batch, total, interval):
    ends = range(batch, total + batch, batch)
    return [frames for frames in ends if frames // interval > (frames - batch) // interval or frames >= total]


EXERCISES = [
    Exercise(
        number="19.5",
        tests="More than `interval` frames since the last time, counted at the ends of batches; and always at the end.",
        draw=_run,
        reference=_saved_at,
        mutants=[
            Mutant(
                "from the interval on",
                lambda batch, total, interval: _saved_at(batch, total, interval, lambda since, limit: since >= limit),
                "You save as soon as `interval` frames have passed. The trainer waits for *more* than that: where the "
                "interval is a whole number of batches, a batch longer.",
            ),
            Mutant(
                "not at the end",
                lambda batch, total, interval: _saved_at(batch, total, interval, at_end=False),
                "The last save is missing. When the frames are used up, the trainer saves in any case.",
            ),
            Mutant(
                "never remembers",
                lambda batch, total, interval: _saved_at(batch, total, interval, remember=False),
                "Once the first save was due, you save after every batch. Count from the *last* save.",
            ),
            Mutant(
                "on a grid",
                _on_a_grid,
                "You save whenever a multiple of `interval` was passed. Count from the last save, wherever that was.",
            ),
            Mutant(
                "only whole multiples",
                lambda batch, total, interval: [
                    frames for frames in range(batch, total + batch, batch) if frames % interval == 0 or frames >= total
                ],
                "You save where the frames are a multiple of `interval`. Batches seldom end there: take a difference.",
            ),
            Mutant(
                "in the middle of a batch",
                lambda batch, total, interval: [*range(interval, total, interval), total],
                "You save in the middle of a batch. The trainer looks only where a batch ends.",
            ),
            Mutant(
                "ends at total",
                lambda batch, total, interval: [min(frames, total) for frames in _saved_at(batch, total, interval)],
                "Your last save is at `total`. The last batch is played to its end, beyond `total` if it does not fit.",
            ),
            Mutant(
                "drops the last batch",
                lambda batch, total, interval: _saved_at(batch, total // batch * batch, interval),
                "You leave out the last batch where it goes beyond `total`. It is played, and learned from.",
            ),
        ],
    ),
    Build(
        number="19.6",
        tests="Held when it is due, greedily; training as without it; the best weights kept; an end when they do.",
        reference=trainer_exam.Exam,
        examine=trainer_exam.examine,
        mutants=trainer_exam.MUTANTS,
    ),
]
"""Exercises of lesson 19, one part of them."""
