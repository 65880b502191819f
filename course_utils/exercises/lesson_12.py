"""Exercises of lesson 12."""

import itertools
import math

import torch

from course_utils.exercises.exercise import Draw, Exercise, Mutant


def _times(draw: Draw) -> dict:
    # All three large enough to matter, and no two alike.
    return {"simulate": draw.uniform(0.2, 0.5), "learn": draw.uniform(0.02, 0.05), "carry": draw.uniform(0.06, 0.1)}


def _times_perhaps_even(draw: Draw) -> dict:
    if draw.flags(0.5):
        return _times(draw)
    # It comes out even, to the last bit: so many workers are enough, and one more is too many.
    return {"simulate": int(draw.integers(2, 6, 1)) * 0.09375, "learn": 0.03125, "carry": 0.0625}


def _workers(draw: Draw) -> dict:
    return {"workers": int(draw.integers(2, 40, 1)), **_times(draw)}


def _speed_up(workers, simulate, learn, carry):
    return workers * (simulate + learn) / (simulate + workers * (learn + carry))


# One machine or more; playing takes longer, as long, or less; fresh frames or not. They take turns: the answer is one
# word, and if they were drawn, one check in six would lack a situation that tells right from wrong.
_SITUATIONS = itertools.cycle(itertools.product([False, True], [3.0, 1.0, 0.3], [False, True]))


def _machines(draw: Draw) -> dict:
    several, longer, fresh = next(_SITUATIONS)
    learn = draw.uniform(0.05, 0.2)
    return {
        "machines": max(2, int(draw.integers(-4, 9, 1))) if several else 1,
        "simulate": learn * longer,
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
    batches, limit = int(draw.integers(20, 40, 1)), int(draw.integers(2, 6, 1))
    lag = draw.integers(0, 9, 4, 8, 1)
    lag[0, :3] = limit  # exactly at the limit
    lag[1, :] = limit + 1  # a worker that is too old as a whole
    lag[2, 0] = 0
    lag[3, :] = draw.integers(0, limit + 1, 8, 1)  # and one that is young enough as a whole
    return {"trained_on": (batches - lag).float(), "batches": batches, "limit": limit}


def _share(trained_on, batches, limit):
    return (batches - trained_on > limit).float().mean()


def _log_probs(draw: Draw) -> dict:
    # Ratios on both sides of every limit that a mutant might set.
    mu = -1 - draw.normal(24).abs()
    moved = torch.tensor([-1.5, -0.6, -0.1, 0.0, 0.1, 0.9, 1.2, 1.6] * 3) + 0.02 * draw.normal(24)
    return {"log_pi": mu + moved, "log_mu": mu, "limit": draw.uniform(1.2, 2.0)}


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
        ],
    ),
]
