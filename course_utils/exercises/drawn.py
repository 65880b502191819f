"""What several exercises draw: whole numbers, chances, and rollouts like those the lessons make."""

from __future__ import annotations

import torch
from tensordict import TensorDict

from course_utils.exercises.exercise import Draw


def whole(draw: Draw, low: int, high: int) -> int:
    """A whole number from `low` to `high`, both included."""
    return int(draw.integers(low, high + 1, 1))


def happens(draw: Draw, probability: float) -> bool:
    return draw.uniform(0, 1) < probability


def mixed(draw: Draw, count: int) -> list[int]:
    """The numbers from 0 to `count - 1` in random order."""
    return torch.argsort(draw.normal(count)).tolist()


def endings(draw: Draw, *batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The flags `terminated` and `truncated`, of shape `[*batch, 1]`.

    Where there is room, each of the four things that can happen at a step happens: a fall, the clock, both, neither.
    """
    terminated, truncated = draw.flags(0.25, *batch, 1), draw.flags(0.25, *batch, 1)
    kinds = [(False, False), (True, False), (False, True), (True, True)]
    for place, (fall, clock) in zip(mixed(draw, terminated.numel()), kinds, strict=False):
        terminated.view(-1)[place], truncated.view(-1)[place] = fall, clock
    return terminated, truncated


def rollout(draw: Draw, *batch: int) -> TensorDict:
    """Steps of CartPole with the entries of a rollout of `GymEnv("CartPole-v1")`; time is the last batch dimension.

    As in a rollout that goes on after an end, the flags at the root are False, and a root is the `next` before it but
    for the first one of an episode.
    """
    terminated, truncated = endings(draw, *batch)
    done = terminated | truncated
    following, observation = draw.normal(*batch, 4), draw.normal(*batch, 4)
    goes_on = ~done[..., :-1, :]
    observation[..., 1:, :] = torch.where(goes_on, following[..., :-1, :], observation[..., 1:, :])
    after = {
        "observation": following,
        "reward": 1 + draw.normal(*batch, 1),
        "done": done,
        "terminated": terminated,
        "truncated": truncated,
    }
    root = {
        "observation": observation,
        "action": torch.nn.functional.one_hot(draw.integers(0, 2, *batch), 2),
        "done": torch.zeros_like(done),
        "terminated": torch.zeros_like(done),
        "truncated": torch.zeros_like(done),
    }
    return TensorDict(root | {"next": TensorDict(after, batch)}, batch)
