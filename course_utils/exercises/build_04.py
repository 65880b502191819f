"""Exercise 4.7: a loss of one's own, judged by its numbers, its gradients and what an optimiser makes of it."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from tensordict import TensorDict

from course_utils.exercises.drawn import endings, whole
from course_utils.exercises.exercise import Build, Draw, Mutant

CLOSE = {"rtol": 1e-4, "atol": 1e-6}


class QLoss(torch.nn.Module):
    """The mean squared TD error of a network, judged by a copy of it that moves only when told to."""

    def __init__(self, network: torch.nn.Module, gamma: float) -> None:
        super().__init__()
        self.network, self.gamma = network, gamma
        self.target = deepcopy(network).requires_grad_(False)

    def said(self, steps: TensorDict) -> torch.Tensor:
        return self.network(steps["observation"]).gather(-1, steps["action"].unsqueeze(-1))

    def best_next(self, steps: TensorDict) -> torch.Tensor:
        return self.target(steps["next", "observation"]).max(-1, keepdim=True).values

    def has_future(self, steps: TensorDict) -> torch.Tensor:
        return ~steps["next", "terminated"]

    def answer(self, steps: TensorDict) -> torch.Tensor:
        return steps["next", "reward"] + self.gamma * self.best_next(steps) * self.has_future(steps)

    def error(self, steps: TensorDict) -> torch.Tensor:
        with torch.no_grad():
            answer = self.answer(steps)
        return answer - self.said(steps)

    def forward(self, steps: TensorDict) -> torch.Tensor:
        return self.error(steps).pow(2).mean()

    def update_target(self) -> None:
        self.target.load_state_dict(self.network.state_dict())


def _network(draw: Draw) -> tuple[torch.nn.Module, int, int]:
    """A small network of random weights; how many numbers it takes, and how many actions it values."""
    inputs, actions = whole(draw, 2, 4), whole(draw, 3, 5)
    network = torch.nn.Sequential(torch.nn.Linear(inputs, 6), torch.nn.Tanh(), torch.nn.Linear(6, actions))
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(draw.normal(*weight.shape))
    return network, inputs, actions


def _steps(draw: Draw, inputs: int, actions: int, *batch: int) -> TensorDict:
    terminated, truncated = endings(draw, *batch)
    after = {
        "observation": draw.normal(*batch, inputs),
        "reward": 1 + draw.normal(*batch, 1),
        "terminated": terminated,
        "truncated": truncated,
        "done": terminated | truncated,
    }
    no = torch.zeros_like(terminated)
    root = {
        "observation": draw.normal(*batch, inputs),
        "action": draw.integers(0, actions, *batch),
        "terminated": no,
        "truncated": no.clone(),
        "done": no.clone(),
    }
    return TensorDict(root | {"next": TensorDict(after, batch)}, batch)


def _shake(network: torch.nn.Module, draw: Draw) -> None:
    """Move all weights in place, as training would."""
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.5 * draw.normal(*weight.shape))


def _number(result: Any) -> torch.Tensor | str:
    """The one number that was given, be it in a tensordict as `loss`, or a sentence on what there is instead."""
    if isinstance(result, (TensorDict, dict)):
        if result.get("loss") is None:
            return f"`loss(steps)` gave the entries {sorted(map(str, result.keys()))}; name the loss `loss`."
        result = result["loss"]
    if not isinstance(result, torch.Tensor):
        return f"`loss(steps)` gave {type(result).__name__}. Give one number, a tensor. Is the `return` missing?"
    if result.numel() != 1:
        return f"`loss(steps)` gave shape {list(result.shape)}. Give one number: the mean over all steps."
    return result.reshape(())


def _close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.allclose(one.detach(), other.detach().to(one.dtype), **CLOSE)


class _Done(QLoss):
    def has_future(self, steps):
        return ~steps["next", "done"]


class _Truncated(QLoss):
    def has_future(self, steps):
        return ~steps["next", "truncated"]


class _Inverted(QLoss):
    def has_future(self, steps):
        return steps["next", "terminated"]


class _AlwaysGoesOn(QLoss):
    def has_future(self, steps):
        return ~steps["terminated"]


class _NothingAtAnEnd(QLoss):
    def answer(self, steps):
        return super().answer(steps) * self.has_future(steps)


class _NoDiscount(QLoss):
    def answer(self, steps):
        return steps["next", "reward"] + self.best_next(steps) * self.has_future(steps)


class _DiscountsTheReward(QLoss):
    def answer(self, steps):
        return self.gamma * (steps["next", "reward"] + self.best_next(steps) * self.has_future(steps))


class _Mean(QLoss):
    def best_next(self, steps):
        return self.target(steps["next", "observation"]).mean(-1, keepdim=True)


class _SameAction(QLoss):
    def best_next(self, steps):
        return self.target(steps["next", "observation"]).gather(-1, steps["action"].unsqueeze(-1))


class _ThisState(QLoss):
    def best_next(self, steps):
        return self.target(steps["observation"]).max(-1, keepdim=True).values


class _BestSaid(QLoss):
    def said(self, steps):
        return self.network(steps["observation"]).max(-1, keepdim=True).values


class _Square(QLoss):
    def error(self, steps):
        return super().answer(steps).detach() - self.said(steps).squeeze(-1)


class _Sum(QLoss):
    def forward(self, steps):
        return self.error(steps).pow(2).sum()


class _Absolute(QLoss):
    def forward(self, steps):
        return self.error(steps).abs().mean()


class _Smooth(QLoss):
    def forward(self, steps):
        error = self.error(steps)
        return torch.nn.functional.smooth_l1_loss(error, torch.zeros_like(error))


class _Half(QLoss):
    def forward(self, steps):
        return super().forward(steps) / 2


class _Negative(QLoss):
    def forward(self, steps):
        return -super().forward(steps)


SAID = {  # what a number equals, and what to say of it
    _Done: "Steps that were only truncated have no future in your loss: ask `terminated`, not `done`.",
    _Truncated: "The future is switched off where the clock ran out, and not where the world ended: ask `terminated`.",
    _Inverted: "Only terminated steps have a future in your loss: the flag has to be inverted, `~terminated`.",
    _AlwaysGoesOn: "Terminated steps have a future in your loss. The flag that tells stands under `next`; the one "
    "outside says how things stood before the step.",
    _NothingAtAnEnd: "The reward of a terminated step is lost. It was earned: only the future goes.",
    _NoDiscount: "The next value is not discounted: multiply it by `gamma`.",
    _DiscountsTheReward: "The reward is discounted, too. It comes now; only the next value is multiplied by `gamma`.",
    _Mean: "You take the mean of the next actions' values. The target goes on with the best one: the max.",
    _SameAction: "In the next state you take the value of the action taken *before*. The target goes on with the best "
    "one: the max.",
    _ThisState: "The best value is that of the state before the step. Ask the target about the observation under "
    "`next`.",
    _BestSaid: "What the network said is read at its best action. The step tells about the action that was *taken*: "
    "`gather`.",
    _Sum: "You sum over the steps, so a larger batch means larger steps: take the mean.",
    _Absolute: "You take the size of the error, not its square: errors of 3 and of 0.3 would pull equally hard.",
    _Smooth: "This is the smooth L1 loss. The mean of the *squared* error is asked for.",
    _Half: "Your number is half of the right one, and so is every gradient: no 1/2 stands before the mean square.",
    _Negative: "Your number is negative: an optimiser makes a loss smaller, so this would make the errors larger.",
}
SQUARE = (
    "Your number is that of every answer with every value said: one of the two lost its last dimension, and [batch] "
    "with [batch, 1] broadcasts to a square."
)
COPY = (
    "The network was moved, and your loss did not notice: you train a copy of it. The agent that plays would never "
    "learn; keep the copy for the target."
)
RUNS_AWAY = (
    "The network was moved, and your targets moved with it at once. Keep a copy that stands still until "
    "`update_target()` is called."
)
NO_GRAPH = "Your number has no graph: `backward()` could not move the network. What it *said* stays outside `no_grad`."
INTO_TARGET = (
    "A gradient reaches the target network. It is the answer to aim at, not something to be moved: make the target "
    "inside `torch.no_grad()`."
)
WRONG_GRADIENT = (
    "The number is right, but its gradient is not: with respect to {name} it is off by up to {gap:.2g}. Does a part of "
    "the error carry no graph, or the target one?"
)
BACKWARDS = "`update_target()` changed the network in training: you copied the target into it, not it into the target."
NOT_COPIED = "After `update_target()` the targets are what they were before: nothing was copied."
NOT_WHOLE = "After `update_target()` the target is not the network's copy: it has to take over every weight, whole."
NOT_AGAIN = "The first `update_target()` copied, the second did not: after it, the targets are older than the network."
NOTHING_TO_TRAIN = "`loss.parameters()` gives {what}: an optimiser that takes them would not move the network."
OPTIMISER = "An optimiser over `loss.parameters()` moved the network to the wrong place: {name} is off by {gap:.2g}."
DATA = "Your loss changed the data it was given: {key}. A replay buffer would give it out again."


def _values(loss: Any, right: QLoss, steps: TensorDict) -> str:
    """The number for these steps against the right one."""
    given = steps.clone()
    found = _number(loss(given))
    if isinstance(found, str):
        return found
    changed = [key for key in steps.keys(True, True) if not torch.equal(steps[key], given[key])]
    if changed:
        return DATA.format(key=", ".join(map(repr, changed)))
    expected = right(steps)
    if _close(expected, found):
        return "" if found.requires_grad else NO_GRAPH
    for kind, sentence in SAID.items():
        if _close(_twin(kind, right)(steps), found):
            return sentence
    square = (right.answer(steps).reshape(-1, 1) - right.said(steps).reshape(1, -1)).pow(2).mean()
    if _close(square, found):
        return SQUARE
    return f"For {list(steps.shape)} steps your loss is {found.item():.4g}, and {expected.item():.4g} was expected."


def _twin(kind: type[QLoss], right: QLoss) -> QLoss:
    """A wrong loss of this kind, of the same two networks."""
    twin = kind(right.network, right.gamma)
    twin.target = right.target
    return twin


def _after_a_move(loss: Any, right: QLoss, steps: TensorDict, before: torch.Tensor) -> str:
    """The network has moved and the target has not: whose values are they?"""
    found = _number(loss(steps.clone()))
    if isinstance(found, str) or _close(right(steps), found):
        return found if isinstance(found, str) else ""
    if _close(before, found):
        return COPY
    follower = QLoss(right.network, right.gamma)
    if _close(follower(steps), found):
        return RUNS_AWAY
    return _values(loss, right, steps)


def _gradients(loss: Any, right: QLoss, steps: TensorDict) -> str:
    names, weights = zip(*right.network.named_parameters(), strict=True)
    expected = torch.autograd.grad(right(steps), weights)
    own = {weight.data_ptr() for weight in weights}
    others = [weight for weight in loss.parameters() if weight.data_ptr() not in own]
    for weight in [*weights, *others]:
        weight.grad = None
    _number(loss(steps.clone())).backward()
    if any(weight.grad is not None and weight.grad.abs().max() > 0 for weight in others):
        return INTO_TARGET
    for name, weight, right_one in zip(names, weights, expected, strict=True):
        found = torch.zeros_like(weight) if weight.grad is None else weight.grad
        if not _close(right_one, found):
            return WRONG_GRADIENT.format(name=f"`{name}`", gap=(found - right_one).abs().max().item())
    return ""


def _updates(loss: Any, right: QLoss, steps: TensorDict, draw: Draw) -> str:
    """Two updates of the target, with a move of the network before each."""
    for turn, stale in enumerate((NOT_COPIED, NOT_AGAIN)):
        if turn:
            _shake(right.network, draw)
        before, old = deepcopy(right.network.state_dict()), right(steps)
        loss.update_target()
        if any(not torch.equal(before[name], weight) for name, weight in right.network.state_dict().items()):
            return BACKWARDS
        right.update_target()
        found = _number(loss(steps.clone()))
        if isinstance(found, str):
            return found
        if not _close(right(steps), found):
            return stale if _close(old, found) else NOT_WHOLE
    return ""


def _training(loss: Any, right: QLoss, steps: TensorDict) -> str:
    """Three steps of gradient descent over what the loss calls its parameters."""
    twin = QLoss(deepcopy(right.network), right.gamma)
    twin.target = deepcopy(right.target)
    trained = [weight for weight in loss.parameters() if weight.requires_grad]
    own = {weight.data_ptr() for weight in right.network.parameters()}
    if not own <= {weight.data_ptr() for weight in trained}:
        return NOTHING_TO_TRAIN.format(what="no weight" if not trained else "not all of the network's weights")
    for one, weights in ((loss, trained), (twin, list(twin.network.parameters()))):
        optimiser = torch.optim.SGD(weights, lr=0.01)
        for _ in range(3):
            optimiser.zero_grad()
            _number(one(steps.clone())).backward()
            optimiser.step()
    for (name, found), expected in zip(right.network.named_parameters(), twin.network.parameters(), strict=True):
        if not _close(expected, found):
            return OPTIMISER.format(name=f"`{name}`", gap=(found - expected).abs().max().item())
    return _values(loss, right, steps)


def examine(make_loss: Callable[[torch.nn.Module, float], Any], draw: Draw) -> str:
    """Numbers first, then whose target it is, the gradients, the updates, and a little training."""
    for batch in ((whole(draw, 7, 9),), (whole(draw, 2, 3), whole(draw, 4, 6))):
        network, inputs, actions = _network(draw)
        gamma = draw.uniform(0.7, 0.9)
        loss, right = make_loss(network, gamma), QLoss(network, gamma)
        for name in ("update_target", "parameters"):
            if not callable(getattr(loss, name, None)):
                return f"`QLoss(network, gamma)` gives a {type(loss).__name__} without `{name}()`."
        steps = _steps(draw, inputs, actions, *batch)
        if wrong := _values(loss, right, steps):
            return wrong
        before = right(steps).detach()
        _shake(network, draw)
        if wrong := _after_a_move(loss, right, steps, before) or _gradients(loss, right, steps):
            return wrong
        if wrong := _updates(loss, right, steps, draw):
            return wrong
        _shake(network, draw)
        if wrong := _training(loss, right, steps):
            return wrong
    return ""


class _TrainsACopy(QLoss):
    def __init__(self, network, gamma):
        super().__init__(deepcopy(network), gamma)


class _NoCopy(QLoss):
    def __init__(self, network, gamma):
        super().__init__(network, gamma)
        self.target = network


class _IntoTarget(QLoss):
    def __init__(self, network, gamma):
        super().__init__(network, gamma)
        self.target.requires_grad_(True)

    def error(self, steps):
        return self.answer(steps) - self.said(steps)


class _NoGraph(QLoss):
    def forward(self, steps):
        with torch.no_grad():
            return super().forward(steps)


class _Backwards(QLoss):
    def update_target(self):
        self.network.load_state_dict(self.target.state_dict())


class _NeverUpdates(QLoss):
    def update_target(self):
        pass


class _Soft(QLoss):
    def update_target(self):
        for old, new in zip(self.target.parameters(), self.network.parameters(), strict=True):
            old.data.lerp_(new.data, 0.5)


class _Once(QLoss):
    def update_target(self):
        if not hasattr(self, "copied"):
            super().update_target()
        self.copied = True


class _NothingRegistered(QLoss):
    def parameters(self, recurse=True):
        return iter(self.target.parameters())


class _ForgetsDetach(QLoss):
    """The right number, and half of its gradient."""

    def error(self, steps):
        error = super().error(steps)
        return (error + error.detach()) / 2


class _WritesIntoTheData(QLoss):
    def answer(self, steps):
        steps["next", "reward"] += self.gamma * self.best_next(steps) * self.has_future(steps)
        return steps["next", "reward"]


MUTANTS = [
    *(Mutant(kind.__name__.strip("_"), kind, sentence) for kind, sentence in SAID.items()),
    Mutant("every answer with every value", _Square, SQUARE),
    Mutant("trains a copy", _TrainsACopy, COPY),
    Mutant("no copy", _NoCopy, RUNS_AWAY),
    Mutant("gradient into the target", _IntoTarget, INTO_TARGET),
    Mutant("no graph", _NoGraph, NO_GRAPH),
    Mutant("half of the gradient", _ForgetsDetach, "The number is right, but its gradient is not"),
    Mutant("the wrong way round", _Backwards, BACKWARDS),
    Mutant("never copied", _NeverUpdates, NOT_COPIED),
    Mutant("half way", _Soft, NOT_WHOLE),
    Mutant("copied once", _Once, NOT_AGAIN),
    Mutant("nothing to train", _NothingRegistered, "an optimiser that takes them would not move the network"),
    Mutant("writes into the data", _WritesIntoTheData, "Your loss changed the data it was given"),
]

BUILD = Build(
    number="4.7",
    tests="Numbers, gradients, the target's copy and a few steps of training are those of a right loss.",
    reference=QLoss,
    examine=examine,
    mutants=MUTANTS,
)
