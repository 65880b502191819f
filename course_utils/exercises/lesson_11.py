"""Lesson 11: memory and pixels."""

from __future__ import annotations

import torch

from course_utils.exercises.exercise import Draw, Exercise, Mutant


def _observations(draw: Draw) -> dict:
    return {"observation": draw.normal(5, 3, 4)}


def _memories(draw: Draw) -> dict:
    # as many layers as copies: a flag without its third dimension then raises nothing, and gets a sentence
    return {"memory": draw.normal(3, 3, 4), "is_init": draw.flags(0.5, 3, 1)}


def _ends(draw: Draw) -> dict:
    return {"done": draw.flags(0.2, 20), "length": int(draw.integers(2, 6))}


def _starts(done: torch.Tensor, length: int) -> list[int]:
    return [s for s in range(len(done) - length + 1) if not done[s : s + length - 1].any()]


def _frames(draw: Draw) -> dict:
    is_init = draw.flags(0.3, 8)
    is_init[0] = True
    return {"frames": draw.normal(8, 3, 2), "is_init": is_init}


def _stack(frames: torch.Tensor, is_init: torch.Tensor) -> torch.Tensor:
    before = torch.where(is_init[:, None, None], frames, frames.roll(1, 0))
    return torch.stack([before, frames], 1)


def _filters(draw: Draw) -> dict:
    kernel = int(draw.integers(2, 6))
    return {"size": kernel + int(draw.integers(3, 20)), "kernel": kernel, "stride": int(draw.integers(2, 5))}


EXERCISES = [
    Exercise(
        number="11.1",
        tests="Position and angle are left, whatever the leading dimensions.",
        draw=_observations,
        reference=lambda observation: observation[..., [0, 2]],
        mutants=[
            Mutant(
                "first two",
                lambda observation: observation[..., :2],
                "You keep the first two columns, and the second is the cart's velocity. Keep 0 and 2.",
            ),
            Mutant(
                "keeps the velocities",
                lambda observation: observation[..., [1, 3]],
                "You keep exactly what was to be hidden: columns 1 and 3 are the velocities.",
            ),
            Mutant(
                "zeros",
                lambda observation: observation * torch.tensor([1.0, 0.0, 1.0, 0.0]),
                "You set the velocities to zero, and the shape is still [..., 4]. Leave the columns out.",
            ),
            Mutant(
                "rows",
                lambda observation: observation[[0, 2]],
                "You pick from the first dimension, which is a batch. The columns are the last one: `[..., [0, 2]]`.",
            ),
            Mutant(
                "second dimension",
                lambda observation: observation[:, [0, 2]],
                "You pick from the second dimension, which are the columns only if there is one dimension before them. "
                "`...` stands for any number.",
            ),
            Mutant(
                "angle first",
                lambda observation: observation[..., [2, 0]],
                "The columns are right, their order is not: position first, then angle.",
            ),
        ],
    ),
    Exercise(
        number="11.2",
        tests="Copies on their first step forget, all others remember.",
        draw=_memories,
        reference=lambda memory, is_init: memory * ~is_init.unsqueeze(-1),
        mutants=[
            Mutant(
                "the other way round",
                lambda memory, is_init: memory * is_init.unsqueeze(-1),
                "You clear the memory of those in the middle of an episode, and keep it where a new one begins.",
            ),
            Mutant(
                "all forget",
                lambda memory, is_init: torch.zeros_like(memory) if is_init.any() else memory,
                "When one copy begins an episode, all of yours forget. Each has a flag of its own.",
            ),
            Mutant(
                "never forgets",
                lambda memory, is_init: memory,
                "Nobody forgets: the memory of the old episode leaks into the new one.",
            ),
            Mutant(
                "first layer only",
                lambda memory, is_init: torch.cat([memory[:, :1] * ~is_init.unsqueeze(-1), memory[:, 1:]], 1),
                "Only the first layer forgets. The flag holds for all layers of the memory.",
            ),
            Mutant(
                "flag per layer",
                lambda memory, is_init: memory * ~is_init,
                "Shapes are matched from the right: your flags [batch, 1] meet [layers, hidden], and clear layers "
                "instead of copies. They need the shape [batch, 1, 1].",
            ),
        ],
    ),
    Exercise(
        number="11.3",
        tests="Each slice lies in one episode, and may end with its last step.",
        draw=_ends,
        reference=_starts,
        mutants=[
            Mutant(
                "crosses ends",
                lambda done, length: list(range(len(done) - length + 1)),
                "Your slices cross the ends of episodes. Leave out those with a `done` before their last step.",
            ),
            Mutant(
                "loses the end",
                lambda done, length: [s for s in range(len(done) - length + 1) if not done[s : s + length].any()],
                "No slice of yours holds the last step of an episode, which is where falling is learned. A `done` on "
                "the last step of a slice is allowed.",
            ),
            Mutant(
                "beyond the recording",
                lambda done, length: [s for s in range(len(done)) if not done[s : s + length - 1].any()],
                "Your last slices reach beyond the recording. The last possible start is `len(done) - length`.",
            ),
            Mutant(
                "one too few",
                lambda done, length: [s for s in range(len(done) - length) if not done[s : s + length - 1].any()],
                "You miss the very last start: `len(done) - length` is possible too, and `range` leaves its end out.",
            ),
            Mutant(
                "side by side",
                lambda done, length: [s for s in _starts(done, length) if s % length == 0],
                "Your slices never overlap. They may: the next one can begin a step later.",
            ),
            Mutant(
                "first steps only",
                lambda done, length: [s for s in _starts(done, length) if s == 0 or done[s - 1]],
                "You begin at the first step of an episode only. A slice may begin anywhere in it.",
            ),
        ],
    ),
    Exercise(
        number="11.4",
        tests="The frame before and the present one, and no frame of another episode.",
        draw=_frames,
        reference=_stack,
        mutants=[
            Mutant(
                "looks into the episode before",
                lambda frames, is_init: torch.stack([frames.roll(1, 0), frames], 1),
                "At the first step of an episode you show a frame of another one: the ball seems to jump. Repeat the "
                "present frame there.",
            ),
            Mutant(
                "only the very first",
                lambda frames, is_init: torch.stack([torch.cat([frames[:1], frames[:-1]]), frames], 1),
                "You repeat the frame at step 0 only. Every step with `is_init` begins an episode.",
            ),
            Mutant(
                "black",
                lambda frames, is_init: torch.stack([frames.roll(1, 0) * ~is_init[:, None, None], frames], 1),
                "You put a black frame before each episode (`CatFrames` does so with `padding='constant'`). Here the "
                "first frame is repeated.",
            ),
            Mutant(
                "swapped",
                lambda frames, is_init: _stack(frames, is_init).flip(1),
                "The order is swapped: the frame before comes first, the present one last.",
            ),
            Mutant(
                "the frame after",
                lambda frames, is_init: torch.stack(
                    [torch.where(is_init[:, None, None], frames, frames.roll(-1, 0)), frames], 1
                ),
                "You roll the other way: at each step you show the frame after, which nobody has seen yet.",
            ),
            Mutant(
                "chosen the wrong way",
                lambda frames, is_init: torch.stack(
                    [torch.where(is_init[:, None, None], frames.roll(1, 0), frames), frames], 1
                ),
                "`torch.where` takes its second argument where the flag is True: there it must be the present frame.",
            ),
        ],
    ),
    Exercise(
        number="11.5",
        tests="Stops and unseen pixels are counted as a convolution without padding has them.",
        draw=_filters,
        reference=lambda size, kernel, stride: ((size - kernel) // stride + 1, (size - kernel) % stride),
        mutants=[
            Mutant(
                "forgets the first",
                lambda size, kernel, stride: ((size - kernel) // stride, (size - kernel) % stride),
                "You count the moves, not the stops: before the first move the filter has already stopped once.",
            ),
            Mutant(
                "kernel ignored",
                lambda size, kernel, stride: (size // stride, size % stride),
                "You let the filter start everywhere. It must fit as a whole: only `size - kernel` pixels are left to "
                "move over.",
            ),
            Mutant(
                "rounds up",
                lambda size, kernel, stride: (-(-(size - kernel) // stride) + 1, 0),
                "You round up, so your last stop hangs over the edge. Without padding the filter stays inside, so some "
                "pixels may remain unseen.",
            ),
            Mutant(
                "nothing unseen",
                lambda size, kernel, stride: ((size - kernel) // stride + 1, 0),
                "The stops are right. But where the strides do not come out even, pixels remain at the end.",
            ),
            Mutant(
                "rest of the whole line",
                lambda size, kernel, stride: ((size - kernel) // stride + 1, size % stride),
                "The stops are right. The rest is that of the pixels left after the first stop, `size - kernel`.",
            ),
            Mutant(
                "swapped",
                lambda size, kernel, stride: ((size - kernel) % stride, (size - kernel) // stride + 1),
                "Both numbers are right, in the wrong order: the stops first, then the unseen pixels.",
            ),
        ],
    ),
]
