"""Lesson 11: memory and pixels."""

from __future__ import annotations

import torch

from course_utils.exercises.exercise import Build, Draw, Exercise, Mutant
from course_utils.exercises.recurrent_mutants import MUTANTS, build
from course_utils.exercises.recurrent_round import examine


def _observations(draw: Draw) -> dict:
    # Two dimensions or more, and no first or second one of fewer than three: whoever picks from them gets a sentence.
    return {"observation": draw.normal(*((5, 4), (3, 5, 4), (4, 3, 2, 4))[draw.turn(3)])}


def _memories(draw: Draw) -> dict:
    # As many layers as copies, or one: a flag without its third dimension then raises nothing, and gets a sentence.
    copies = int(draw.integers(3, 6))
    is_init = draw.flags(0.5, copies, 1)
    is_init[0], is_init[1] = draw.turn(4) < 2, draw.turn(4) >= 2
    if draw.turn(4) == 3:
        is_init[:] = draw.turn(8) == 3  # all copies at once, or none
    return {"memory": draw.normal(copies, (copies, 1)[draw.turn(2)], int(draw.integers(3, 6))), "is_init": is_init}


def _ends(draw: Draw) -> dict:
    # Recordings that end with an episode and such that do not, an episode of one step, and a recording without an end.
    done = draw.flags(0.2, int(draw.integers(14, 22)))
    done[4:6], done[-1] = True, bool(draw.turn(2))
    if draw.turn(8) == 4:
        done[:] = False
    return {"done": done, "length": int(draw.integers(2, 6))}


def _starts(done: torch.Tensor, length: int) -> list[int]:
    return [s for s in range(len(done) - length + 1) if not done[s : s + length - 1].any()]


def _frames(draw: Draw) -> dict:
    time = int(draw.integers(7, 11))
    is_init = draw.flags(0.3, time)
    is_init[:4] = torch.tensor([True, False, True, False])
    return {"frames": draw.normal(time, 3, 2), "is_init": is_init}


def _stack(frames: torch.Tensor, is_init: torch.Tensor) -> torch.Tensor:
    before = torch.where(is_init[:, None, None], frames, frames.roll(1, 0))
    return torch.stack([before, frames], 1)


def _filters(draw: Draw) -> dict:
    # Sometimes the filter fits exactly once, moves on by one pixel, or jumps over some.
    kernel, further, stride = int(draw.integers(2, 6)), int(draw.integers(3, 20)), int(draw.integers(2, 5))
    match draw.turn(4):
        case 0:
            further = 0 if draw.turn(8) else further
        case 1:
            stride = 1
        case 2:
            stride = kernel + int(draw.integers(1, 3))
    return {"size": kernel + further, "kernel": kernel, "stride": stride}


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
            Mutant(
                "side by side",
                lambda observation: torch.cat([observation[..., 0], observation[..., 2]], -1),
                "You lay the two columns end to end, and the last dimension is gone. Each row has the two side by "
                "side: `stack(..., -1)`, or `[..., [0, 2]]`.",
            ),
            Mutant(
                "stacked in front",
                lambda observation: torch.stack([observation[..., 0], observation[..., 2]]),
                "Your two columns are the *first* dimension. They belong into the last one: `stack(..., -1)`.",
            ),
            Mutant(
                "last two",
                lambda observation: observation[..., 2:],
                "You keep the last two columns, and the last one is the pole's velocity. Keep 0 and 2.",
            ),
            Mutant(
                "position and velocity of the pole",
                lambda observation: observation[..., [0, 3]],
                "Column 3 is the velocity of the pole. Its angle is column 2.",
            ),
            Mutant(
                "counted from one",
                lambda observation: observation[..., [1, 2]],
                "Columns count from 0: the cart's position is column 0, and column 1 is its velocity.",
            ),
            Mutant(
                "position only",
                lambda observation: observation[..., :1],
                "The angle of the pole is missing: column 2.",
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
            Mutant(
                "flag per layer, the other way round",
                lambda memory, is_init: memory * is_init,
                "Two things: your flags clear layers instead of copies (they need the shape [batch, 1, 1]), and they "
                "keep what they should clear.",
            ),
            Mutant(
                "copy 0 for all",
                lambda memory, is_init: memory * ~is_init[0],
                "You ask the flag of copy 0 alone. Each copy has one of its own.",
            ),
            Mutant(
                "all at once",
                lambda memory, is_init: torch.zeros_like(memory) if is_init.all() else memory,
                "You clear the memory only where *all* copies begin an episode. Each has a flag of its own.",
            ),
            Mutant(
                "only those that begin",
                lambda memory, is_init: memory[~is_init.squeeze(-1)],
                "You leave out the copies that begin an episode, so the batch is smaller than before. Keep them, with "
                "a memory of zeros.",
            ),
            Mutant(
                "ones",
                lambda memory, is_init: torch.where(is_init.unsqueeze(-1), 1.0, memory),
                "You fill the memory of those that begin with ones. An empty memory is zeros.",
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
            Mutant(
                "no slice of the last episode",
                lambda done, length: [s for s in _starts(done, length) if done[s:].any()],
                "You forget the last episode where the recording cuts it off. Its steps belong to one episode, too.",
            ),
            Mutant(
                "looks at its first step",
                lambda done, length: [s for s in range(len(done) - length + 1) if not done[s]],
                "You look at the first step of each slice alone. An episode can end at any later step of it.",
            ),
            Mutant(
                "looks at its last step but one",
                lambda done, length: [s for s in range(len(done) - length + 1) if not done[s + length - 2]],
                "You look at one step of each slice alone. An episode can end at any step before the last.",
            ),
            Mutant(
                "looks at its last step",
                lambda done, length: [s for s in range(len(done) - length + 1) if not done[s + length - 1]],
                "You look at the last step of each slice, where an end does no harm. Look at all those before it.",
            ),
            Mutant(
                "slices that end an episode",
                lambda done, length: [s for s in _starts(done, length) if done[s + length - 1]],
                "You keep only slices that end with their episode. An end on the last step is allowed, not asked for.",
            ),
            Mutant(
                "slices with an end",
                lambda done, length: [s for s in range(len(done) - length + 1) if done[s : s + length - 1].any()],
                "The other way round: these are the slices that *cross* an end.",
            ),
            Mutant(
                "not at a last step",
                lambda done, length: [s for s in range(len(done) - length + 1) if not done[s + 1 : s + length].any()],
                "You look at steps s + 1 to s + length - 1. An end at step s itself is forbidden, one at the last step "
                "of the slice is allowed: look at s to s + length - 2.",
            ),
            Mutant(
                "looks one step back",
                lambda done, length: [s for s in _starts(done, length) if s == 0 or not done[s - 1]],
                "You also leave out slices that begin right after an end. They are fine: they begin an episode.",
            ),
            Mutant(
                "with their ends",
                lambda done, length: [(s, s + length) for s in _starts(done, length)],
                "You return pairs. Return the starts alone.",
            ),
            Mutant(
                "slices themselves",
                lambda done, length: len(_starts(done, length)),
                "You return how many slices there are. Return a list of their first steps.",
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
            Mutant(
                "flag one step late",
                lambda frames, is_init: _stack(frames, is_init.roll(1, 0)),
                "You repeat the frame one step too late. `is_init` is True on the first step of an episode itself: do "
                "not roll it.",
            ),
            Mutant(
                "flag one step early",
                lambda frames, is_init: _stack(frames, is_init.roll(-1, 0)),
                "You repeat the frame one step too early, on the *last* step of an episode. `is_init` is True on the "
                "first one.",
            ),
            Mutant(
                "stacked in front",
                lambda frames, is_init: _stack(frames, is_init).transpose(0, 1),
                "Your pairs are the first dimension. The shape is [time, 2, height, width]: `stack(..., 1)`.",
            ),
            Mutant(
                "stacked behind",
                lambda frames, is_init: _stack(frames, is_init).permute(0, 2, 3, 1),
                "Your pairs are the last dimension. The shape is [time, 2, height, width]: `stack(..., 1)`.",
            ),
            Mutant(
                "one picture",
                lambda frames, is_init: _stack(frames, is_init).flatten(1, 2),
                "You put the two frames into one high picture. They need a dimension of their own: `stack`, not `cat`.",
            ),
            Mutant(
                "twice the present",
                lambda frames, is_init: torch.stack([frames, frames], 1),
                "You show the present frame twice at every step. That is for the first step of an episode alone; later "
                "comes the frame before first.",
            ),
            Mutant(
                "first frame of the episode",
                lambda frames, is_init: torch.stack(
                    [frames[torch.where(is_init, torch.arange(len(frames)), 0).cummax(0).values], frames], 1
                ),
                "You show the first frame of the episode at each of its steps. Show the frame right before.",
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
            Mutant(
                "only the stops",
                lambda size, kernel, stride: (size - kernel) // stride + 1,
                "The stops are right. The pixels that are never reached are asked for as well: return both numbers.",
            ),
            Mutant(
                "one pixel too many",
                lambda size, kernel, stride: ((size - kernel + 1) // stride, (size - kernel + 1) % stride),
                "`size - kernel + 1` counts the places where the filter fits. It stops at the first of them, and then "
                "moves over `size - kernel` pixels.",
            ),
            Mutant(
                "padded",
                lambda size, kernel, stride: (-(-size // stride), 0),
                "These are the stops with padding, where the filter may hang over the edge. Here it must fit as a "
                "whole.",
            ),
            Mutant(
                "side by side",
                lambda size, kernel, stride: (size // kernel, size % kernel),
                "You put the filters side by side. They move on by `stride`, and may overlap.",
            ),
            Mutant(
                "no division",
                lambda size, kernel, stride: (size - kernel + 1, 0),
                "You move on by one pixel each time. The filter moves on by `stride`.",
            ),
            Mutant(
                "stops times stride",
                lambda size, kernel, stride: (
                    (size - kernel) // stride + 1,
                    size - ((size - kernel) // stride + 1) * stride,
                ),
                "The stops are right. The last one starts at `(stops - 1) * stride` and covers `kernel` pixels from "
                "there; what lies behind is never reached.",
            ),
            Mutant(
                "not a whole number",
                lambda size, kernel, stride: ((size - kernel) / stride + 1, (size - kernel) % stride),
                "A filter cannot stop two and a half times: divide with `//`.",
            ),
        ],
    ),
    Build(
        number="11.6",
        tests="The memory lives exactly as long as an episode, and only steps whose return is known are learned from.",
        reference=build(),
        examine=examine,
        mutants=MUTANTS,
    ),
]
