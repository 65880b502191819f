"""Exercises of lesson 05."""

import math

import torch
from tensordict import TensorDict

from course_utils.exercises import training_loops
from course_utils.exercises.drawn import happens, whole
from course_utils.exercises.exercise import Build, Draw, Exercise, Mutant
from course_utils.exercises.probing import tensors


def _two_environments(draw: Draw) -> dict:
    # Pieces of a few frames, now of one environment, now of the other; trajectories run on across the pieces. Ids need
    # not begin at 0, and one of the two environments may have ended with its last frame.
    size, pieces = whole(draw, 3, 7), whole(draw, 3, 5)
    done = draw.flags(0.2, 2, pieces * size)
    done[0, whole(draw, 1, size)], done[1, whole(draw, size, 2 * size)] = True, True
    done[:, -1] = False
    done[whole(draw, 0, 1), -1] = happens(draw, 0.5)
    first = whole(draw, 0, 9)
    ids = first + (done.cumsum(1) - done.int()) * 2 + torch.tensor([[0], [1]])
    frames = {"ids": ids, "reward": 1 + draw.normal(2, pieces * size), "done": done}
    return {name: rows.reshape(2, pieces, size).transpose(0, 1).flatten() for name, rows in frames.items()}


def _finished_returns(ids, reward, done):
    return torch.stack([reward[ids == number].sum() for number in ids[done].sort().values])


def _cut_at_done(ids, reward, done):
    episode = done.cumsum(0) - done.int()
    return torch.stack([reward[episode == number].sum() for number in range(int(done.sum()))])


def _asked_for(draw: Draw) -> dict:
    # Both numbers fit the batches exactly, or miss that by one, or by any number; the random frames may reach into the
    # last batch, and there may be none. A batch may be larger than all that is asked for.
    batch, batches = whole(draw, 5, 200), whole(draw, 1, 9)
    piece, kind = whole(draw, 1, batch - 1), draw.uniform(0, 1)
    if kind < 0.3:
        total = batch * (batches - 1) + piece
        random = total - whole(draw, 0, piece - 1)
    elif kind < 0.6:
        total = batch * batches
        random = batch * whole(draw, 0, batches - 1) + (1, batch - 1, piece)[whole(draw, 0, 2)]
    else:
        total = batch * batches + whole(draw, -1, 1)
        random = 0 if happens(draw, 0.75) else batch * whole(draw, 0, batches - 1)
    return {"total_frames": total, "frames_per_batch": batch, "init_random_frames": random}


def _frames(total_frames, frames_per_batch, init_random_frames):
    return tuple(
        math.ceil(wanted / frames_per_batch) * frames_per_batch for wanted in (total_frames, init_random_frames)
    )


def _sizes(draw: Draw) -> dict:
    batch_size = whole(draw, 3, 5)
    return {"size": batch_size * whole(draw, 3, 5) + whole(draw, 0, batch_size - 1), "batch_size": batch_size}


def _memory(size, batch_size, **options):
    from torchrl.data import LazyTensorStorage, SamplerWithoutReplacement, TensorDictReplayBuffer

    sampler = SamplerWithoutReplacement(**options)
    return TensorDictReplayBuffer(storage=LazyTensorStorage(size), sampler=sampler, batch_size=batch_size)


def _with_replacement(size, batch_size):
    from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer

    return TensorDictReplayBuffer(storage=LazyTensorStorage(size), batch_size=batch_size)


def _two_passes(buffer, inputs: dict) -> dict:
    """What two passes through a filled buffer have to do with the frames in it."""
    if len(buffer):
        raise ValueError(f"a new one has to be empty, and this holds {len(buffer)} frames")
    frames = torch.arange(inputs["size"] + 4)
    buffer.extend(TensorDict({"x": frames}, frames.shape))
    count = math.ceil(inputs["size"] / inputs["batch_size"])
    first, second = ([buffer.sample()["x"] for _ in range(count)] for _ in range(2))
    order, again, full = torch.cat(first), torch.cat(second), torch.cat(first[:-1])
    return {
        "frames kept": len(buffer),
        "sample sizes": [len(sample) for sample in first],
        "no frame twice before the last piece": len(full.unique()) == len(full),
        "each frame once": torch.equal(order.sort().values, buffer[:]["x"].sort().values),
        "a new order": not torch.equal(order, again),
    }


def _priorities(draw: Draw) -> dict:
    return {
        "priority": 0.1 + 5 * draw.normal(whole(draw, 5, 12)).abs(),
        "alpha": draw.uniform(0.3, 0.8),
        "beta": draw.uniform(0.3, 0.8),
    }


def _prioritize(priority, alpha, beta):
    probability = priority**alpha / (priority**alpha).sum()
    weight = probability**-beta
    return probability, weight / weight.max()


def _largest_one(probability, beta):
    weight = probability**-beta
    return probability, weight / weight.max()


def _more_weight(priority, alpha, beta):
    probability = _prioritize(priority, alpha, beta)[0]
    return probability, (probability / probability.max()) ** beta


def _unscaled(priority, alpha, beta):
    probability = _prioritize(priority, alpha, beta)[0]
    return probability, (len(priority) * probability) ** -beta


def _episodes(draw: Draw) -> dict:
    frames, n = whole(draw, 10, 18), whole(draw, 1, 5)
    done = draw.flags(0.2, frames)
    done[whole(draw, 0, 4)] = True
    return {"reward": 1 + draw.normal(frames), "done": done, "gamma": draw.uniform(0.7, 0.95), "n": n}


def _n_step_rewards(reward, done, gamma, n, *, frames=None, stop=True, keep_last=True):
    sums = []
    for first in range(len(reward) - n if frames is None else frames):
        total = torch.zeros(())
        for place in range(first, min(first + n, len(reward))):
            if done[place] and not keep_last:
                break
            total = total + gamma ** (place - first) * reward[place]
            if done[place] and stop:
                break
        sums.append(total)
    return torch.stack(sums)


def _n_steps_around_ends(reward, done, gamma, n):
    return torch.stack(
        [
            sum(
                (gamma**later * reward[first + later] for later in range(n) if not done[first + later]),
                torch.zeros(()),
            )
            for first in range(len(reward) - n)
        ]
    )


EXERCISES = [
    Exercise(
        number="5.1",
        tests="One return for each trajectory that has ended, put together by its id, wherever its frames stand.",
        draw=_two_environments,
        reference=_finished_returns,
        probe=tensors,
        mutants=[
            Mutant(
                "unfinished too",
                lambda ids, reward, done: torch.stack([reward[ids == number].sum() for number in ids.unique()]),
                "You also count trajectories that are still running: their return is not known yet. Keep the ids that "
                "have a `done`.",
            ),
            Mutant(
                "cuts at done",
                _cut_at_done,
                "You cut the frames at each `done`. Two environments take turns here, so what lies between two ends "
                "can belong to two trajectories: select frames by their id.",
            ),
            Mutant(
                "last reward only",
                lambda ids, reward, done: reward[done][ids[done].argsort()],
                "You give the reward of the last frame of each trajectory. The return is the sum over all its frames.",
            ),
            Mutant(
                "mean",
                lambda ids, reward, done: torch.stack(
                    [reward[ids == number].mean() for number in ids[done].sort().values]
                ),
                "You give the mean reward of each trajectory. The return is the sum.",
            ),
            Mutant(
                "everything so far",
                lambda ids, reward, done: reward.cumsum(0)[done][ids[done].argsort()],
                "You add up all rewards up to each `done`, whoever earned them. Select the frames of one trajectory by "
                "its id.",
            ),
            Mutant(
                "everything so far, unsorted",
                lambda ids, reward, done: reward.cumsum(0)[done],
                "You add up all rewards up to each `done`, whoever earned them, and in the order of the ends. Select "
                "the frames of one trajectory by its id, and sort by it.",
            ),
            Mutant(
                "still running",
                lambda ids, reward, done: torch.cat(
                    [
                        reward[ids == number].sum().unsqueeze(0)
                        for number in ids.unique()
                        if not done[ids == number].any()
                    ]
                    or [torch.zeros(0)]
                ),
                "These are the trajectories that are still running. Asked for are those that have ended.",
            ),
            Mutant(
                "lengths",
                lambda ids, reward, done: torch.stack([(ids == number).sum() for number in ids[done].sort().values]),
                "You count the frames of each trajectory. The return is the sum of its rewards.",
            ),
            Mutant(
                "last id first",
                lambda ids, reward, done: _finished_returns(ids, reward, done).flip(0),
                "The returns are right, but sorted from the largest id to the smallest.",
            ),
            Mutant(
                "order of ending",
                lambda ids, reward, done: torch.stack([reward[ids == number].sum() for number in ids[done]]),
                "The returns are right, but in the order in which the trajectories ended. Sort them by id.",
            ),
        ],
    ),
    Exercise(
        number="5.2",
        tests="Only whole batches are played, and a batch that begins at random stays random.",
        draw=_asked_for,
        reference=_frames,
        mutants=[
            Mutant(
                "as asked",
                lambda total_frames, frames_per_batch, init_random_frames: (total_frames, init_random_frames),
                "You return what was asked for. A collector plays whole batches only: round both numbers up to them.",
            ),
            Mutant(
                "rounds down",
                lambda total_frames, frames_per_batch, init_random_frames: (
                    total_frames // frames_per_batch * frames_per_batch,
                    init_random_frames // frames_per_batch * frames_per_batch,
                ),
                "You round down. The collector never plays less than asked for: it fills the last batch, so round up.",
            ),
            Mutant(
                "random frames exactly",
                lambda total_frames, frames_per_batch, init_random_frames: (
                    _frames(total_frames, frames_per_batch, 0)[0],
                    init_random_frames,
                ),
                "The first number is right. The second is rounded up too: a batch that begins at random stays random.",
            ),
            Mutant(
                "batches",
                lambda total_frames, frames_per_batch, init_random_frames: (
                    math.ceil(total_frames / frames_per_batch),
                    math.ceil(init_random_frames / frames_per_batch),
                ),
                "You count batches. The question is about frames: multiply by `frames_per_batch`.",
            ),
            Mutant(
                "capped",
                lambda total_frames, frames_per_batch, init_random_frames: (
                    _frames(total_frames, frames_per_batch, 0)[0],
                    min(total_frames, _frames(1, frames_per_batch, init_random_frames)[1]),
                ),
                "You cap the random frames at `total_frames`. The last batch is played to its end, and one that begins "
                "random stays random.",
            ),
            Mutant(
                "total exactly",
                lambda total_frames, frames_per_batch, init_random_frames: (
                    total_frames,
                    _frames(1, frames_per_batch, init_random_frames)[1],
                ),
                "The second number is right. The first is rounded up too: a collector plays whole batches.",
            ),
            Mutant(
                "random on top",
                lambda total_frames, frames_per_batch, init_random_frames: (
                    sum(_frames(total_frames, frames_per_batch, init_random_frames)),
                    _frames(total_frames, frames_per_batch, init_random_frames)[1],
                ),
                "You add the random frames to the total. They are a part of it: the first of all frames.",
            ),
            Mutant(
                "by the policy",
                lambda total_frames, frames_per_batch, init_random_frames: (
                    _frames(total_frames, frames_per_batch, 0)[0],
                    _frames(total_frames, frames_per_batch, 0)[0] - _frames(1, frames_per_batch, init_random_frames)[1],
                ),
                "Your second number is how many frames the *policy* plays. Asked for are the random ones.",
            ),
            Mutant(
                "two parts",
                lambda total_frames, frames_per_batch, init_random_frames: (
                    _frames(init_random_frames, frames_per_batch, 0)[0]
                    + _frames(total_frames - init_random_frames, frames_per_batch, 0)[0],
                    _frames(1, frames_per_batch, init_random_frames)[1],
                ),
                "You round up the random frames and the others each for itself. The collector counts through: round up "
                "the total once.",
            ),
            Mutant(
                "total only",
                lambda total_frames, frames_per_batch, init_random_frames: _frames(total_frames, frames_per_batch, 0)[
                    0
                ],
                "You return one number, how many frames are played. The second one is missing: how many at random.",
            ),
            Mutant(
                "swapped",
                lambda total_frames, frames_per_batch, init_random_frames: _frames(
                    total_frames, frames_per_batch, init_random_frames
                )[::-1],
                "The right two numbers in the wrong order: first all frames, then the random ones.",
            ),
            Mutant(
                "nearest",
                lambda total_frames, frames_per_batch, init_random_frames: tuple(
                    round(wanted / frames_per_batch) * frames_per_batch for wanted in (total_frames, init_random_frames)
                ),
                "You round to the nearest whole batch. The collector never plays less than asked for: round up.",
            ),
            Mutant(
                "always one more",
                lambda total_frames, frames_per_batch, init_random_frames: tuple(
                    (wanted // frames_per_batch + 1) * frames_per_batch for wanted in (total_frames, init_random_frames)
                ),
                "You always add a batch. Where a number fits its batches exactly, none is begun: round up instead.",
            ),
            Mutant(
                "one more unless none",
                lambda total_frames, frames_per_batch, init_random_frames: tuple(
                    (wanted // frames_per_batch + 1) * frames_per_batch if wanted else 0
                    for wanted in (total_frames, init_random_frames)
                ),
                "You add a batch to what is not 0. Where a number fits its batches exactly, none is begun: round up "
                "instead.",
            ),
            Mutant(
                "one batch more",
                lambda total_frames, frames_per_batch, init_random_frames: (
                    _frames(total_frames, frames_per_batch, 0)[0],
                    (init_random_frames // frames_per_batch + 1) * frames_per_batch,
                ),
                "You always add a batch to the random frames. Where they fill their batches exactly, and where there "
                "are none, no batch is begun: round up instead.",
            ),
        ],
    ),
    Exercise(
        number="5.3",
        tests="A pass deals every frame once, the small last piece included, and the next pass shuffles again.",
        draw=_sizes,
        reference=_memory,
        probe=_two_passes,
        mutants=[
            Mutant(
                "with replacement",
                _with_replacement,
                "Your buffer draws with replacement, as it does unless told otherwise: in a pass some frames come "
                "twice and some never. Give it the sampler that does not put back.",
            ),
            Mutant(
                "no shuffling",
                lambda size, batch_size: _memory(size, batch_size, shuffle=False),
                "With `shuffle=False` each pass deals the frames in the same order. Leave the default.",
            ),
            Mutant(
                "drops the rest",
                lambda size, batch_size: _memory(size, batch_size, drop_last=True),
                "With `drop_last=True` the smaller last piece of each pass is thrown away. Every frame is to come: "
                "leave the default.",
            ),
            Mutant(
                "room for one sample",
                lambda size, batch_size: _memory(batch_size, batch_size),
                "Your storage has room for `batch_size` frames only, so most are overwritten. Its size is `size`.",
            ),
            Mutant(
                "one slot too few",
                lambda size, batch_size: _memory(size - 1, batch_size),
                "Your storage is one frame too small. Its size is `size`.",
            ),
            Mutant(
                "room for more",
                lambda size, batch_size: _memory(size + 4, batch_size),
                "Your storage has room for more than `size` frames: the oldest ones have to make way.",
            ),
            Mutant(
                "all at once",
                lambda size, batch_size: _memory(size, size),
                "Each of your samples is the whole buffer. A sample has `batch_size` frames.",
            ),
        ],
    ),
    Exercise(
        number="5.4",
        tests="Probabilities that add up to 1, and weights that are smallest for what is drawn most.",
        draw=_priorities,
        reference=_prioritize,
        probe=tensors,
        mutants=[
            Mutant(
                "no alpha",
                lambda priority, alpha, beta: _largest_one(priority / priority.sum(), beta),
                "Your probabilities are proportional to the priorities themselves. Raise these to the power `alpha` "
                "first.",
            ),
            Mutant(
                "power after the sum",
                lambda priority, alpha, beta: _largest_one((priority / priority.sum()) ** alpha, beta),
                "You divide by the sum first and take the power after it. Then the probabilities do not add up to 1: "
                "power first, then divide.",
            ),
            Mutant(
                "softmax",
                lambda priority, alpha, beta: _largest_one((alpha * priority).softmax(0), beta),
                "You take a softmax of the priorities. Here it is a power, not an exponential: `priority**alpha`.",
            ),
            Mutant(
                "weights the wrong way",
                _more_weight,
                "Your weights are largest for what is drawn most. They are there to make up for it: the exponent of "
                "the probability is `-beta`.",
            ),
            Mutant(
                "not divided",
                lambda priority, alpha, beta: (priority**alpha, _prioritize(priority, alpha, beta)[1]),
                "Your probabilities do not add up to 1: divide the powers by their sum.",
            ),
            Mutant(
                "sum without alpha",
                lambda priority, alpha, beta: _largest_one(priority**alpha / priority.sum(), beta),
                "You divide by the sum of the priorities. Then the probabilities do not add up to 1: divide by the sum "
                "of the *powers*.",
            ),
            Mutant(
                "no beta",
                lambda priority, alpha, beta: _largest_one(_prioritize(priority, alpha, beta)[0], 1.0),
                "Your weights put all of it right, as with beta = 1. Raise them to the power `beta`.",
            ),
            Mutant(
                "divided by the smallest",
                lambda priority, alpha, beta: (
                    (probability := _prioritize(priority, alpha, beta)[0]),
                    (probability / probability.max()) ** -beta,
                ),
                "You divide the weights by the *smallest*, so all are 1 or larger. Divide them by the largest.",
            ),
            Mutant(
                "weights add up to 1",
                lambda priority, alpha, beta: (
                    (probability := _prioritize(priority, alpha, beta)[0]),
                    probability**-beta / (probability**-beta).sum(),
                ),
                "Your weights add up to 1. They are to be scaled so that the *largest* is 1.",
            ),
            Mutant(
                "weights of the priorities",
                lambda priority, alpha, beta: (
                    _prioritize(priority, alpha, beta)[0],
                    _largest_one(priority, beta)[1],
                ),
                "You make the weights of the priorities. They make up for how often a frame is *drawn*: use the "
                "probabilities.",
            ),
            Mutant(
                "probabilities only",
                lambda priority, alpha, beta: _prioritize(priority, alpha, beta)[0],
                "You return the probabilities only. The weights are asked for as well: `return probability, weight`.",
            ),
            Mutant(
                "weights only",
                lambda priority, alpha, beta: _prioritize(priority, alpha, beta)[1],
                "You return the weights only. The probabilities are asked for as well: `return probability, weight`.",
            ),
            Mutant(
                "swapped",
                lambda priority, alpha, beta: _prioritize(priority, alpha, beta)[::-1],
                "The right two tensors in the wrong order: first the probabilities, then the weights.",
            ),
            Mutant(
                "weights not scaled",
                _unscaled,
                "Your weights are right up to their scale, and some are larger than 1. Divide them by the largest.",
            ),
        ],
    ),
    Exercise(
        number="5.5",
        tests="Sums of n discounted rewards that never reach into the next episode.",
        draw=_episodes,
        reference=_n_step_rewards,
        probe=tensors,
        mutants=[
            Mutant(
                "across episodes",
                lambda reward, done, gamma, n: _n_step_rewards(reward, done, gamma, n, stop=False),
                "Your sums run on across `done` and collect rewards of the next episode. Stop there.",
            ),
            Mutant(
                "drops the last reward",
                lambda reward, done, gamma, n: _n_step_rewards(reward, done, gamma, n, keep_last=False),
                "Your sums stop before the frame that is `done`. Its reward was still earned: add it, then stop.",
            ),
            Mutant(
                "no discount",
                lambda reward, done, gamma, n: _n_step_rewards(reward, done, 1.0, n),
                "Your rewards are not discounted. The k-th one counts `gamma**k`, starting with k = 0.",
            ),
            Mutant(
                "discounts the first",
                lambda reward, done, gamma, n: gamma * _n_step_rewards(reward, done, gamma, n),
                "You discount the first reward, too. It counts in full: exponents 0 to n - 1.",
            ),
            Mutant(
                "one step too few",
                lambda reward, done, gamma, n: _n_step_rewards(reward, done, gamma, n - 1, frames=len(reward) - n),
                "You add `n - 1` rewards. With its own reward first, a sum has `n` of them: exponents 0 to n - 1.",
            ),
            Mutant(
                "to the end",
                lambda reward, done, gamma, n: _n_step_rewards(
                    reward, done, gamma, len(reward), frames=len(reward) - n
                ),
                "Your sums run on to the end of the episode. They hold `n` rewards at most.",
            ),
            Mutant(
                "skips the last reward",
                _n_steps_around_ends,
                "You skip the frame that is `done` and go on behind it. Add its reward, then stop.",
            ),
            Mutant(
                "counted from the row's start",
                lambda reward, done, gamma, n: _n_step_rewards(
                    reward * gamma ** torch.arange(len(reward)), done, 1.0, n
                ),
                "You discount every reward as seen from the first frame of the row. In each sum the first reward "
                "counts in full.",
            ),
            Mutant(
                "one step too many",
                lambda reward, done, gamma, n: _n_step_rewards(reward, done, gamma, n + 1, frames=len(reward) - n),
                "You add `n + 1` rewards. With its own reward first, a sum has `n` of them: exponents 0 to n - 1.",
            ),
            Mutant(
                "nothing withheld",
                lambda reward, done, gamma, n: _n_step_rewards(reward, done, gamma, n, frames=len(reward)),
                "You return a sum for the last `n` frames as well, though nobody knows yet how they go on. Leave them "
                "out, as the transform withholds them.",
            ),
        ],
    ),
    Build(
        "5.6",
        "Watched with parts of random sizes: each frame is stored once, each update draws its own sample and takes "
        "one whole gradient, the target network follows, exploration hears of the frames, and nothing stays open.",
        training_loops.right,
        training_loops.examine,
        training_loops.MUTANTS,
    ),
]
