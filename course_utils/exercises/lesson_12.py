"""Exercises of lesson 12."""

import itertools
import math

import torch

from course_utils.exercises.collector_built import BUILD
from course_utils.exercises.exercise import Draw, Exercise, Mutant


def _times(draw: Draw) -> dict:
    # All three large enough to matter, and no two alike.
    return {"simulate": draw.uniform(0.2, 0.5), "learn": draw.uniform(0.02, 0.05), "carry": draw.uniform(0.06, 0.1)}


def _times_perhaps_even(draw: Draw) -> dict:
    # Where it comes out even, to the last bit, so many workers are enough, and one more is too many. Where playing is
    # quicker than learning, one is enough.
    match draw.turn(3):
        case 0:
            return {"simulate": int(draw.integers(2, 6)) / 16, "learn": 1 / 64, "carry": 3 / 64}
        case 1:
            return _times(draw)
    return {"simulate": draw.uniform(0.005, 0.02), "learn": draw.uniform(0.02, 0.05), "carry": draw.uniform(0.06, 0.1)}


def _workers(draw: Draw) -> dict:
    # So few that they wait for nobody, or so many that they wait for the learner.
    return {"workers": int(draw.integers(*((1, 4), (8, 40))[draw.turn(2)])), **_times(draw)}


def _speed_up(workers, simulate, learn, carry):
    return workers * (simulate + learn) / (simulate + workers * (learn + carry))


# One machine or more; playing takes longer, as long, or less; fresh frames or not.
_SITUATIONS = list(itertools.product([False, True], ["longer", "as long", "less"], [False, True]))


def _machines(draw: Draw) -> dict:
    # They take turns: the answer is one word, and if they were drawn, most checks would lack a situation that tells
    # right from wrong.
    several, playing, fresh = _SITUATIONS[draw.turn(len(_SITUATIONS))]
    learn = draw.uniform(0.05, 0.2)
    factor = {"longer": draw.uniform(1.02, 1.4), "as long": 1.0, "less": draw.uniform(0.6, 0.98)}[playing]
    return {
        "machines": (2 if fresh else int(draw.integers(2, 9))) if several else 1,
        "simulate": learn * factor,
        "learn": learn,
        "needs_fresh_frames": fresh,
    }


def _which(machines, simulate, learn, needs_fresh_frames):
    if machines > 1:
        return "RayCollector"
    if simulate <= learn:
        return "Collector"
    return "MultiSyncCollector" if needs_fresh_frames else "MultiAsyncCollector"


def _one_machine(machines, simulate, learn, needs_fresh_frames):
    return _which(1, simulate, learn, needs_fresh_frames)


def _fast_alone(machines, simulate, learn, needs_fresh_frames):
    return "Collector" if simulate <= learn else _which(machines, simulate, learn, needs_fresh_frames)


def _fresh_first(machines, simulate, learn, needs_fresh_frames):
    return "MultiSyncCollector" if needs_fresh_frames else _which(machines, simulate, learn, False)


def _only_if_shorter(machines, simulate, learn, needs_fresh_frames):
    return _which(machines, simulate + 1e-9, learn, needs_fresh_frames)


def _always_many(machines, simulate, learn, needs_fresh_frames):
    return _which(machines, 1.0, 0.0, needs_fresh_frames)


def _ages(draw: Draw) -> dict:
    # Early in the training, where frames were trained on fewer batches than the limit, or later.
    batches, limit = int(draw.integers(*((9, 12), (20, 40))[draw.turn(2)])), int(draw.integers(2, 6))
    workers, steps = int(draw.integers(4, 7)), int(draw.integers(7, 11))
    lag = draw.integers(0, 9, workers, steps, 1)
    lag[0, :3] = limit  # exactly at the limit
    lag[1, :] = limit + 1  # a worker that is too old as a whole
    lag[2, 0] = 0
    lag[3, :] = draw.integers(0, limit + 1, steps, 1)  # and one that is young enough as a whole
    lag = lag[draw.normal(workers).argsort()]
    return {"trained_on": (batches - lag).float(), "batches": batches, "limit": limit}


def _share(trained_on, batches, limit):
    return (batches - trained_on > limit).float().mean()


def _log_probs(draw: Draw) -> dict:
    # Ratios on both sides of every limit that a mutant might set; now and then the limit is below 1.
    shape = ((24,), (3, 8, 1))[draw.turn(2)]
    mu = -1 - draw.normal(*shape).abs()
    moved = torch.tensor([-1.5, -0.6, -0.1, 0.0, 0.1, 0.9, 1.2, 1.6] * 3).reshape(shape) + 0.02 * draw.normal(*shape)
    return {"log_pi": mu + moved, "log_mu": mu, "limit": draw.uniform(*((0.5, 0.9), (1.2, 2.0))[min(1, draw.turn(4))])}


def _clipped(log_pi, log_mu, limit):
    return (log_pi - log_mu).exp().clamp(max=limit)


EXERCISES = [
    Exercise(
        number="12.1",
        tests="All play at once, then every batch is carried and learned from in turn; compared with one process.",
        draw=_workers,
        reference=_speed_up,
        mutants=[
            Mutant(
                "as many times as workers",
                lambda workers, simulate, learn, carry: float(workers),
                "This is the speed-up of *playing*. Learning and carrying stay in one place, and there are n batches "
                "to learn from.",
            ),
            Mutant(
                "one batch to learn from",
                lambda workers, simulate, learn, carry: workers * (simulate + learn) / (simulate + learn + carry),
                "Your learner learns from one batch while n were played. Each of the n has to be carried and learned "
                "from: n times (L + C).",
            ),
            Mutant(
                "carried once",
                lambda workers, simulate, learn, carry: (
                    workers * (simulate + learn) / (simulate + workers * learn + carry)
                ),
                "You carry once for all workers. Each of the n batches has to be carried: n times C.",
            ),
            Mutant(
                "asynchronous",
                lambda workers, simulate, learn, carry: (
                    min(workers / simulate, 1 / (learn + carry)) * (simulate + learn)
                ),
                "This is the third row of the table, workers that play on. Synchronous ones wait while the learner "
                "learns: the second row.",
            ),
            Mutant(
                "nothing is carried",
                lambda workers, simulate, learn, carry: _speed_up(workers, simulate, learn, 0.0),
                "You forgot what it takes to carry a batch over. With workers, each batch costs L + C.",
            ),
            Mutant(
                "batches per second",
                lambda workers, simulate, learn, carry: workers / (simulate + workers * (learn + carry)),
                "These are batches per second. How many times those of one process are they? Multiply by its S + L.",
            ),
            Mutant(
                "one process carries too",
                lambda workers, simulate, learn, carry: (
                    workers * (simulate + learn + carry) / (simulate + workers * (learn + carry))
                ),
                "The one process that you compare with carries nothing: it needs S + L for a batch.",
            ),
            Mutant(
                "upside down",
                lambda workers, simulate, learn, carry: 1 / _speed_up(workers, simulate, learn, carry),
                "Your fraction is upside down: more than 1 should mean that the workers pay.",
            ),
            Mutant(
                "gain",
                lambda workers, simulate, learn, carry: _speed_up(workers, simulate, learn, carry) - 1,
                "That is by what share they deliver *more*. '1.2 times as many' is 1.2, not 0.2.",
            ),
            Mutant(
                "gain in per cent",
                lambda workers, simulate, learn, carry: 100 * (_speed_up(workers, simulate, learn, carry) - 1),
                "That is the gain in per cent. '1.2 times as many' is 1.2, not 20.",
            ),
            Mutant(
                "difference",
                lambda workers, simulate, learn, carry: (
                    workers / (simulate + workers * (learn + carry)) - 1 / (simulate + learn)
                ),
                "That is a difference, in batches per second. 'How many times as many' is a quotient.",
            ),
            Mutant(
                "the ceiling",
                lambda workers, simulate, learn, carry: (simulate + learn) / (learn + carry),
                "That is the ceiling, which no number of workers passes. How near do these `workers` come to it?",
            ),
            Mutant(
                "one batch in all",
                lambda workers, simulate, learn, carry: (simulate + learn) / (simulate + workers * (learn + carry)),
                "Your workers deliver one batch in all. Each of the n plays one: n batches in S + n (L + C) seconds.",
            ),
            Mutant(
                "one at a time",
                lambda workers, simulate, learn, carry: (simulate + learn) / (simulate + learn + carry),
                "Your workers play one after the other. All of them play at once: S seconds for n batches.",
            ),
        ],
    ),
    Exercise(
        number="12.2",
        tests="The smallest whole number of workers that play at least as fast as the learner learns and carries.",
        draw=_times_perhaps_even,
        reference=lambda simulate, learn, carry: math.ceil(simulate / (learn + carry)),
        mutants=[
            Mutant(
                "rounded down",
                lambda simulate, learn, carry: math.floor(simulate / (learn + carry)),
                "You round down, and with that number the learner still waits a little. Round up.",
            ),
            Mutant(
                "nothing is carried",
                lambda simulate, learn, carry: math.ceil(simulate / learn),
                "You forgot that the learner carries as well: it is busy for L + C with each batch.",
            ),
            Mutant(
                "down, and one more",
                lambda simulate, learn, carry: math.floor(simulate / (learn + carry)) + 1,
                "Nearly: where the fraction is a whole number already, that many are enough. `math.ceil` knows it.",
            ),
            Mutant(
                "one more for the learner",
                lambda simulate, learn, carry: math.ceil((simulate + learn + carry) / (learn + carry)),
                "One too many: an asynchronous worker plays on while the learner learns, so it needs S for a batch, "
                "not S + L + C.",
            ),
            Mutant(
                "not a whole number",
                lambda simulate, learn, carry: simulate / (learn + carry),
                "Nobody can hire a part of a worker: round up, `math.ceil`.",
            ),
            Mutant(
                "upside down",
                lambda simulate, learn, carry: math.ceil((learn + carry) / simulate),
                "Your fraction is upside down: the longer it takes to play, the more workers are needed.",
            ),
            Mutant(
                "rounded to the nearest",
                lambda simulate, learn, carry: round(simulate / (learn + carry)),
                "You round to the nearest whole number, so down as well, and then the learner waits. Round *up*.",
            ),
            Mutant(
                "down, but at least one",
                lambda simulate, learn, carry: max(1, math.floor(simulate / (learn + carry))),
                "You round down, if never below 1, and with that number the learner often waits a little. Round up.",
            ),
            Mutant(
                "learning only on top",
                lambda simulate, learn, carry: math.ceil((simulate + learn) / (learn + carry)),
                "An asynchronous worker plays on while the learner learns: it needs S for a batch, not S + L.",
            ),
            Mutant(
                "learning forgotten",
                lambda simulate, learn, carry: math.ceil(simulate / carry),
                "You forgot that the learner learns: it is busy for L + C with each batch.",
            ),
            Mutant(
                "difference",
                lambda simulate, learn, carry: math.ceil(simulate / learn + carry),
                "Python divides before it adds. Put the sum in brackets: `simulate / (learn + carry)`.",
            ),
        ],
    ),
    Exercise(
        number="12.3",
        tests="The number of machines first, then which half takes longer, then whether frames have to be fresh.",
        draw=_machines,
        reference=_which,
        mutants=[
            Mutant(
                "never leaves the machine",
                _one_machine,
                "You never ask how many machines there are. The processes of the `Multi...` collectors stay on one.",
            ),
            Mutant(
                "always many",
                _always_many,
                "You start workers even where playing takes no longer than learning. There they have nothing to gain: "
                "`Collector`.",
            ),
            Mutant(
                "sync and async swapped",
                lambda machines, simulate, learn, needs_fresh_frames: _which(
                    machines, simulate, learn, not needs_fresh_frames
                ),
                "Synchronous and asynchronous are swapped: it is the *asynchronous* workers that play with old "
                "weights.",
            ),
            Mutant(
                "always async",
                lambda machines, simulate, learn, needs_fresh_frames: _which(machines, simulate, learn, False),
                "Your choice is asynchronous even where frames have to be fresh. Ask `needs_fresh_frames`.",
            ),
            Mutant(
                "always sync",
                lambda machines, simulate, learn, needs_fresh_frames: _which(machines, simulate, learn, True),
                "Your choice is synchronous even where old frames do no harm. There `MultiAsyncCollector` lets nobody "
                "wait.",
            ),
            Mutant(
                "quick means alone",
                _fast_alone,
                "Ask for the machines first: with several of them it is `RayCollector`, whichever half takes longer.",
            ),
            Mutant(
                "fresh means sync",
                _fresh_first,
                "That frames have to be fresh is the last question. `Collector` gives fresh ones too, and "
                "`MultiSyncCollector` stays on one machine.",
            ),
            Mutant(
                "only if shorter",
                _only_if_shorter,
                "Where playing takes exactly as long as learning, it takes *no longer*: `Collector`.",
            ),
            Mutant(
                "learning is longer",
                lambda machines, simulate, learn, needs_fresh_frames: _which(
                    machines, learn, simulate, needs_fresh_frames
                ),
                "The comparison is the wrong way round: workers pay where *playing* takes longer than learning.",
            ),
            Mutant(
                "fresh before quick",
                lambda machines, simulate, learn, needs_fresh_frames: (
                    "MultiSyncCollector"
                    if machines == 1 and needs_fresh_frames
                    else _which(machines, simulate, learn, needs_fresh_frames)
                ),
                "On one machine, ask first whether playing takes longer than learning. Where it does not, `Collector` "
                "is enough, and its frames are always fresh.",
            ),
            Mutant(
                "more than two",
                lambda machines, simulate, learn, needs_fresh_frames: _which(
                    machines - 1, simulate, learn, needs_fresh_frames
                ),
                "Two machines are more than one: `RayCollector`.",
            ),
            Mutant(
                "one machine is enough",
                lambda machines, simulate, learn, needs_fresh_frames: "RayCollector",
                "You always choose `RayCollector`. It is for more than *one* machine; `machines` is often 1.",
            ),
            Mutant(
                "one machine and several swapped",
                lambda machines, simulate, learn, needs_fresh_frames: _which(
                    3 - min(machines, 2), simulate, learn, needs_fresh_frames
                ),
                "You choose `RayCollector` on one machine, and the others on several. The other way round.",
            ),
            Mutant(
                "older names",
                lambda machines, simulate, learn, needs_fresh_frames: {
                    "RayCollector": "RayCollector",
                    "Collector": "SyncDataCollector",
                    "MultiSyncCollector": "MultiSyncDataCollector",
                    "MultiAsyncCollector": "MultiaSyncDataCollector",
                }[_which(machines, simulate, learn, needs_fresh_frames)],
                "Your choice is right, but these are the names that older versions of TorchRL use. Today's are in the "
                "table above.",
            ),
            Mutant(
                "longest means alone",
                lambda machines, simulate, learn, needs_fresh_frames: _which(
                    machines, learn + 1e-9, simulate, needs_fresh_frames
                ),
                "The comparison is the wrong way round, and equal times count for workers. `Collector` if "
                "`simulate <= learn`.",
            ),
        ],
    ),
    Exercise(
        number="12.4",
        tests="The lag of each frame, how many lie beyond the limit (not on it), and their share.",
        draw=_ages,
        reference=_share,
        mutants=[
            Mutant(
                "the limit counts",
                lambda trained_on, batches, limit: (batches - trained_on >= limit).float().mean(),
                "You count frames that lag exactly `limit` batches. Too old is *more* than the limit.",
            ),
            Mutant(
                "counts the fresh",
                lambda trained_on, batches, limit: 1 - _share(trained_on, batches, limit),
                "This is the share that is young enough. Lag is `batches - trained_on`, and too old is above the "
                "limit.",
            ),
            Mutant(
                "a number of frames",
                lambda trained_on, batches, limit: (batches - trained_on > limit).float().sum(),
                "You count the frames. A share is the mean.",
            ),
            Mutant(
                "trained on, not lag",
                lambda trained_on, batches, limit: (trained_on > limit).float().mean(),
                "`trained_on` is not a lag: it grows with the training. How far is it *behind* `batches`?",
            ),
            Mutant(
                "any of its frames",
                lambda trained_on, batches, limit: (batches - trained_on > limit).any(2).any(1).float().mean(),
                "You count workers that have an old frame. Count frames: one old frame does not make the others old.",
            ),
            Mutant(
                "share of the workers",
                lambda trained_on, batches, limit: (batches - trained_on.mean((1, 2)) > limit).float().mean(),
                "You take the mean of each worker first. A worker's frames can differ in age: look at each frame.",
            ),
            Mutant(
                "lag upside down",
                lambda trained_on, batches, limit: (trained_on - batches > limit).float().mean(),
                "Your lag is never above 0: it is `batches - trained_on`, since the weights are *older*.",
            ),
            Mutant(
                "number over workers",
                lambda trained_on, batches, limit: (batches - trained_on > limit).sum() / len(trained_on),
                "You divide by the number of workers. The share of frames: divide by the number of frames.",
            ),
            Mutant(
                "number over steps",
                lambda trained_on, batches, limit: (batches - trained_on > limit).sum() / trained_on.shape[1],
                "You divide by the number of steps. The share of frames: divide by the number of frames, which is "
                "workers times steps.",
            ),
            Mutant(
                "each worker",
                lambda trained_on, batches, limit: (batches - trained_on > limit).float().mean(1),
                "You return a share for each worker. One number was asked for: the mean over everything.",
            ),
            Mutant(
                "each frame",
                lambda trained_on, batches, limit: batches - trained_on > limit,
                "You return for each frame whether it is too old. Their share is the mean of that, made `float`.",
            ),
            Mutant(
                "mean lag",
                lambda trained_on, batches, limit: (batches - trained_on).mean(),
                "That is the mean lag. Which share of the frames lags more than `limit`?",
            ),
            Mutant(
                "one later",
                lambda trained_on, batches, limit: (batches - trained_on > limit + 1).float().mean(),
                "You count only frames that lag two or more beyond the limit. Already one beyond it is too old.",
            ),
            Mutant(
                "whole workers",
                lambda trained_on, batches, limit: (batches - trained_on > limit).all(2).all(1).float().mean(),
                "You count workers whose frames are all too old. Count frames.",
            ),
        ],
    ),
    Exercise(
        number="12.5",
        tests="The probability under the learner over that under the player, cut off above the limit and nowhere else.",
        draw=_log_probs,
        reference=_clipped,
        mutants=[
            Mutant(
                "upside down",
                lambda log_pi, log_mu, limit: _clipped(log_mu, log_pi, limit),
                "Your ratio is upside down. The frame counts the more, the likelier the *learner* would have done the "
                "same: learner over player.",
            ),
            Mutant(
                "clipped on both sides",
                lambda log_pi, log_mu, limit: (log_pi - log_mu).exp().clamp(2 - limit, limit),
                "You clip on both sides, as PPO does. V-trace cuts off only what is too *large*: what the learner "
                "would hardly do shall count for little.",
            ),
            Mutant(
                "not clipped",
                lambda log_pi, log_mu, limit: (log_pi - log_mu).exp(),
                "Nothing is cut off: a single frame that the player found unlikely can outweigh all others.",
            ),
            Mutant(
                "always clipped at 1",
                lambda log_pi, log_mu, limit: _clipped(log_pi, log_mu, 1.0),
                "You cut off at 1, as the formula does. Here the limit is given: `limit`.",
            ),
            Mutant(
                "quotient of logarithms",
                lambda log_pi, log_mu, limit: (log_pi / log_mu).clamp(max=limit),
                "You divide the logarithms. The ratio of the probabilities is `exp` of the *difference* of their "
                "logarithms.",
            ),
            Mutant(
                "no exp",
                lambda log_pi, log_mu, limit: (log_pi - log_mu).clamp(max=limit),
                "The difference of two logarithms is the *logarithm* of the ratio. Take `exp` of it.",
            ),
            Mutant(
                "clipped before exp",
                lambda log_pi, log_mu, limit: (log_pi - log_mu).clamp(max=limit).exp(),
                "You clip the logarithm, and `exp` makes it larger than the limit again. Clip the ratio.",
            ),
            Mutant(
                "not below one over the limit",
                lambda log_pi, log_mu, limit: (log_pi - log_mu).exp().clamp(1 / limit, limit),
                "You clip on both sides, at `limit` and at one over it. Small ratios stay as they are: what the "
                "learner would hardly do shall count for little.",
            ),
            Mutant(
                "not below one",
                lambda log_pi, log_mu, limit: (log_pi - log_mu).exp().clamp(1.0, limit),
                "You lift all ratios below 1 to 1. They stay as they are: what the learner would hardly do shall "
                "count for little.",
            ),
            Mutant(
                "around one",
                lambda log_pi, log_mu, limit: (log_pi - log_mu).exp().clamp(1 - limit, 1 + limit),
                "You clip to 1 - limit ... 1 + limit, as PPO does with its eps. Here `limit` is the largest ratio "
                "itself.",
            ),
            Mutant(
                "cut off below",
                lambda log_pi, log_mu, limit: (log_pi - log_mu).exp().clamp(min=limit),
                "You lift everything below the limit to it. Cut off what is above: `clamp(max=limit)`.",
            ),
            Mutant(
                "left out",
                lambda log_pi, log_mu, limit: (log_pi - log_mu).exp() * ((log_pi - log_mu).exp() <= limit),
                "Ratios above the limit become 0, so those frames teach nothing. They count as much as the limit "
                "allows: `clamp(max=limit)`.",
            ),
            Mutant(
                "difference of probabilities",
                lambda log_pi, log_mu, limit: (log_pi.exp() - log_mu.exp()).clamp(max=limit),
                "You subtract one probability from the other. The ratio is `exp` of the difference of the "
                "*logarithms*.",
            ),
            Mutant(
                "learner alone",
                lambda log_pi, log_mu, limit: log_pi.exp().clamp(max=limit),
                "That is the probability under the learner's policy. Divide it by that under the policy that played.",
            ),
        ],
    ),
    BUILD,
]
