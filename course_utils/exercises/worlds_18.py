"""Exercises of lesson 18, part one: traps in a rollout, and the log-probability of an action of two parts."""

from __future__ import annotations

from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torch.distributions import Categorical, Normal

from course_utils.exercises.drawn import happens, whole
from course_utils.exercises.exercise import Draw, Exercise, Mutant


def _played(draw: Draw) -> dict:
    """A rollout of one copy; over the draws each of the three traps is there and absent, in company and alone."""
    steps, kind = whole(draw, 9, 14), draw.turn(16)
    double, clock, resets, variant = kind & 1, kind & 2, kind & 4, kind >> 3
    places = torch.tensor([first := whole(draw, 1, 3), first + 3])  # of two ends that have a following step
    ends = torch.zeros(steps, dtype=torch.bool)
    ends[places] = True
    if resets and clock and variant:
        ends[:] = True  # episodes of one step
    ends[-1] = variant
    stays = places[:0] if resets else places if variant and clock else places[kind & 1, None]
    goes_on = ~ends[:-1]
    goes_on[stays] = True
    following, observation = draw.normal(steps, 3), draw.normal(steps, 3)
    if variant:  # one of the three numbers is the same on both sides of a reset
        observation[1:, 0] = following[:-1, 0]
    observation[1:] = torch.where(goes_on.unsqueeze(1), following[:-1], observation[1:])
    clocked = torch.zeros(steps, dtype=torch.bool)
    if clock:  # what is not reset was once a fall, once a clock
        clocked[places[(kind & 1) ^ happens(draw, 0.3)]] = True
    flags = {"done": ends, "terminated": ends & ~clocked, "truncated": clocked}
    if not clock and happens(draw, 0.5):
        del flags["truncated"]
    whole_numbers = torch.int64 if (variant + kind) % 2 else torch.int32
    after = {"reward": draw.normal(steps), "count": torch.arange(steps, dtype=whole_numbers), **flags}
    after = {"observation": following, **{name: entry.unsqueeze(1) for name, entry in after.items()}}
    # Flags at the root say nothing of this step; in every second rollout some are set.
    often = 0.4 * happens(draw, 0.5)
    start = {name: draw.flags(often, steps, 1) for name in ("done", "terminated", "truncated")}
    root = {"observation": observation, "action": draw.integers(0, 4, steps).to(whole_numbers)} | start
    data = TensorDict(root | {"next": TensorDict(after, [steps])}, [steps])
    if double:
        where = ["observation", ("next", "reward"), ("info", "height"), "speed"][kind >> 1 & 3]
        entry = data.get(where)
        data[where] = (draw.normal(steps, 1) if entry is None else entry).double()
    return {"data": data}


def _double(data: TensorDictBase) -> bool:
    return any(leaf.dtype == torch.float64 for leaf in data.values(True, True))


def _no_clock(data: TensorDictBase) -> bool:
    truncated = data["next"].get("truncated")
    return truncated is None or not bool(truncated.any())


def _went_on(data: TensorDictBase) -> torch.Tensor:
    return (data["observation"][1:] == data["next", "observation"][:-1]).all(-1)


def _done(data: TensorDictBase, flag: str = "done") -> torch.Tensor:
    return data["next", flag][:-1].squeeze(-1)


def _traps(data: TensorDictBase, double=_double, no_clock=_no_clock, no_reset=None) -> dict:
    stayed = (_done(data) & _went_on(data)).any() if no_reset is None else no_reset(data)
    return {"double": double(data), "no clock": no_clock(data), "no reset": bool(stayed)}


def _answers(value: Any, inputs: dict) -> dict[str, bool]:
    """The three answers as plain booleans; a tensor of one is one, too.

    Raises:
        TypeError: something else than a dictionary of booleans with the three names.
    """
    names = ["double", "no clock", "no reset"]
    if not isinstance(value, dict) or sorted(value) != names:
        raise TypeError(f"a dictionary with the names {names} is asked for")
    for name, one in value.items():
        one = one.item() if hasattr(one, "item") and getattr(one, "size", 1) != 0 else one
        if not isinstance(one, bool):
            raise TypeError(f"{name!r} has to be True or False")
        value = value | {name: one}
    return value


def _grip(draw: Draw) -> dict:
    batch, joints = whole(draw, 5, 8), whole(draw, 2, 3)
    logits, mask = 2 * draw.normal(batch, 4), draw.flags(0.5, batch, 4)
    gripper = draw.integers(0, 4, batch)
    mask[torch.arange(batch), gripper] = True  # what was drawn was allowed
    mask[0] = True
    loc, scale = draw.normal(batch, joints), 0.3 + draw.normal(batch, joints).abs()
    joint = loc + scale * draw.normal(batch, joints)
    return {"loc": loc, "scale": scale, "logits": logits, "mask": mask, "joint": joint, "gripper": gripper}


def _moves(loc, scale, joint):
    return Normal(loc, scale).log_prob(joint)


def _held(logits, mask, gripper, forbidden=-torch.inf):
    return Categorical(logits=torch.where(mask, logits, forbidden)).log_prob(gripper)


def _log_prob(loc, scale, logits, mask, joint, gripper):
    return _moves(loc, scale, joint).sum(-1) + _held(logits, mask, gripper)


EXERCISES = [
    Exercise(
        number="18.1",
        tests="float64 is found at any depth, a clock by `truncated` alone, a missing reset by what follows an end.",
        draw=_played,
        probe=_answers,
        reference=_traps,
        mutants=[
            Mutant(
                "the observation only",
                lambda data: _traps(data, double=lambda data: data["observation"].dtype == torch.float64),
                "`double`: you look at the observation alone. Rewards and entries of `info` can be float64, too.",
            ),
            Mutant(
                "not below the root",
                lambda data: _traps(
                    data,
                    double=lambda data: any(
                        leaf.dtype == torch.float64 for leaf in data.values() if isinstance(leaf, torch.Tensor)
                    ),
                ),
                "`double`: you look at the root alone. Ask the leaves at all depths: `data.values(True, True)`.",
            ),
            Mutant(
                "any float",
                lambda data: _traps(
                    data, double=lambda data: any(leaf.is_floating_point() for leaf in data.values(True, True))
                ),
                "`double`: you count float32 as well, which is what networks want. The trap is float64.",
            ),
            Mutant(
                "64 bits",
                lambda data: _traps(
                    data, double=lambda data: any(leaf.element_size() == 8 for leaf in data.values(True, True))
                ),
                "`double`: you count int64 as well. Actions and counts are int64 by right; the trap is float64.",
            ),
            Mutant(
                "the root's flag",
                lambda data: _traps(data, no_clock=lambda data: not bool(data["truncated"].any())),
                "`no clock`: you read `truncated` at the root, which belongs to the step before. Look under `next`.",
            ),
            Mutant(
                "done for truncated",
                lambda data: _traps(data, no_clock=lambda data: not bool(data["next", "done"].any())),
                "`no clock`: you ask `done`. A fall is done, too: only `truncated` tells of a clock.",
            ),
            Mutant(
                "a flag that is there",
                lambda data: _traps(data, no_clock=lambda data: data["next"].get("truncated") is None),
                "`no clock`: you ask whether the entry is *there*. It may be there and never be set.",
            ),
            Mutant(
                "every end a clock",
                lambda data: _traps(
                    data,
                    no_clock=lambda data: (
                        data["next"].get("truncated") is None
                        or bool((data["next", "done"] & ~data["next", "truncated"]).any())
                    ),
                ),
                "`no clock`: some ends may be falls. One step that is truncated proves that there is a clock.",
            ),
            Mutant(
                "within an episode",
                lambda data: _traps(data, no_reset=lambda data: _went_on(data).any()),
                "`no reset`: within an episode each step *should* begin where the last one ended. Ask at ends only.",
            ),
            Mutant(
                "falls only",
                lambda data: _traps(
                    data,
                    no_reset=lambda data: (_done(data) & data["next", "terminated"][:-1, 0] & _went_on(data)).any(),
                ),
                "`no reset`: you look at falls alone. After a clock a new episode begins, too: ask `done`.",
            ),
            Mutant(
                "all ends",
                lambda data: _traps(data, no_reset=lambda data: _went_on(data)[_done(data)].all()),
                "`no reset`: you ask whether it went on after *every* end. Once is enough to spoil an episode.",
            ),
            Mutant(
                "one number is the same",
                lambda data: _traps(
                    data,
                    no_reset=lambda data: (
                        _done(data) & (data["observation"][1:] == data["next", "observation"][:-1]).any(-1)
                    ).any(),
                ),
                "`no reset`: one equal number is not the same observation. All of them have to agree: `.all(-1)`.",
            ),
            Mutant(
                "the same row",
                lambda data: _traps(
                    data,
                    no_reset=lambda data: (
                        data["next", "done"].squeeze(-1) & (data["observation"] == data["next", "observation"]).all(-1)
                    ).any(),
                ),
                "`no reset`: you compare root and `next` of *one* step. What follows a step stands in the next row.",
            ),
            Mutant(
                "inverted",
                lambda data: _traps(data, no_reset=lambda data: (_done(data) & ~_went_on(data)).any()),
                "`no reset`: True is for the trap. You say True where a new episode did begin.",
            ),
        ],
    ),
    Exercise(
        number="18.2",
        tests="The joints' log-densities and that of the gripper among what is allowed add up, one number a step.",
        draw=_grip,
        reference=_log_prob,
        gradient=("loc", "scale", "logits"),
        mutants=[
            Mutant(
                "a mean over the joints",
                lambda loc, scale, logits, mask, joint, gripper: (
                    _moves(loc, scale, joint).mean(-1) + _held(logits, mask, gripper)
                ),
                "You take the mean over the joints. They are independent, so their log-probabilities add up.",
            ),
            Mutant(
                "each joint for itself",
                lambda loc, scale, logits, mask, joint, gripper: (
                    _moves(loc, scale, joint) + _held(logits, mask, gripper).unsqueeze(-1)
                ),
                "You have one number for each joint, each with the gripper in it. One number for the whole action is "
                "asked for: add up over the joints first.",
            ),
            Mutant(
                "no gripper",
                lambda loc, scale, logits, mask, joint, gripper: _moves(loc, scale, joint).sum(-1),
                "The gripper is missing: a loss with this number would never teach it anything.",
            ),
            Mutant(
                "no joints",
                lambda loc, scale, logits, mask, joint, gripper: _held(logits, mask, gripper),
                "The joints are missing: a loss with this number would never move them.",
            ),
            Mutant(
                "mask not used",
                lambda loc, scale, logits, mask, joint, gripper: (
                    _moves(loc, scale, joint).sum(-1) + _held(logits, torch.ones_like(mask), gripper)
                ),
                "You leave `mask` out, or use it after the softmax. What is forbidden has probability 0, and what "
                "is allowed shares *all* of it.",
            ),
            Mutant(
                "mask the wrong way round",
                lambda loc, scale, logits, mask, joint, gripper: (
                    _moves(loc, scale, joint).sum(-1) + _held(logits, ~mask | mask.all(-1, keepdim=True), gripper)
                ),
                "You keep what is forbidden. `mask` is True where an action is allowed.",
            ),
            Mutant(
                "zeros for what is forbidden",
                lambda loc, scale, logits, mask, joint, gripper: (
                    _moves(loc, scale, joint).sum(-1) + _held(logits, mask, gripper, 0.0)
                ),
                "You give a *score* of 0 to what is forbidden, and a score of 0 is a fair chance. It takes minus "
                "infinity.",
            ),
            Mutant(
                "probabilities",
                lambda loc, scale, logits, mask, joint, gripper: _log_prob(
                    loc, scale, logits, mask, joint, gripper
                ).exp(),
                "That is the probability. Its logarithm is asked for.",
            ),
            Mutant(
                "multiplied",
                lambda loc, scale, logits, mask, joint, gripper: (
                    _moves(loc, scale, joint).sum(-1) * _held(logits, mask, gripper)
                ),
                "You multiply log-probabilities. Probabilities multiply; their logarithms add up.",
            ),
            Mutant(
                "log of one, probability of the other",
                lambda loc, scale, logits, mask, joint, gripper: (
                    _moves(loc, scale, joint).sum(-1) + _held(logits, mask, gripper).exp()
                ),
                "You add the gripper's probability to the joints' *log*-probability. Take the logarithm of both.",
            ),
            Mutant(
                "variance",
                lambda loc, scale, logits, mask, joint, gripper: (
                    _moves(loc, scale.sqrt(), joint).sum(-1) + _held(logits, mask, gripper)
                ),
                "You take `scale` for the variance. It is the standard deviation.",
            ),
            Mutant(
                "greedy",
                lambda loc, scale, logits, mask, joint, gripper: (
                    _moves(loc, scale, joint).sum(-1) + torch.where(mask, logits, -torch.inf).log_softmax(-1).amax(-1)
                ),
                "That is the log-probability of the *likeliest* gripper, not of the one that was drawn.",
            ),
        ],
    ),
]
