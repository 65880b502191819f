"""What exercise 8.6 watches: an update of PPO on parts that are real but tiny, noted at each step of the optimiser."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch
from torch.nn.utils import vector_to_parameters

from course_utils.exercises.exercise import Draw
from course_utils.exercises.plain_descent import CountingSGD, flat

FRAMES = 44
MINIBATCH = 16  # so that the last of an epoch is smaller
SIZES = [16, 16, 12]


@dataclass
class Step:
    """One step of the optimiser: the weights before it, the gradient it used, what the actor was asked for it."""

    before: torch.Tensor
    gradient: torch.Tensor
    asked: list[torch.Tensor]
    after: torch.Tensor | None = None


@dataclass
class Notes:
    """Hooks write down here what networks are asked; copies of a network, such as a loss makes, share it."""

    asked: list[torch.Tensor] = field(default_factory=list)
    drawn: bool = False

    def __deepcopy__(self, memo: dict) -> Notes:
        return self

    def network(self, module: torch.nn.Module, inputs: tuple) -> None:
        if torch.is_grad_enabled():
            self.asked.append(inputs[0].detach().clone().reshape(-1, inputs[0].shape[-1]))

    def actor(self, module: torch.nn.Module, inputs: tuple) -> None:
        if torch.is_grad_enabled():
            self.drawn = True


class NotingSGD(CountingSGD):
    """Plain gradient descent that notes each of its steps."""

    def __init__(self, weights: list[torch.nn.Parameter], lr: float, notes: Notes) -> None:
        super().__init__(weights, lr=lr)
        self.weights, self.notes, self.noted = weights, notes, []

    def step(self, closure: Callable | None = None) -> Any:
        slopes = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in self.weights]
        self.noted.append(Step(flat(self.weights), flat(slopes), list(self.notes.asked)))
        self.notes.asked.clear()
        result = super().step(closure)
        self.noted[-1].after = flat(self.weights)
        return result


@dataclass
class Watched:
    """All that is known of one update: the parts, the frames as they were given, and each step."""

    run: SimpleNamespace
    frames: Any
    now: Any
    notes: Notes
    steps: list[Step]
    start: torch.Tensor
    end: torch.Tensor
    left: torch.Tensor  # the gradient that stands in the weights afterwards
    rate: float
    networks: tuple[torch.nn.Module, torch.nn.Module]  # copies for looking into, whose weights may be set

    def asked(self, weights: torch.Tensor, part: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of shape [frames, 3] and values of shape [frames] of networks with these weights."""
        vector_to_parameters(weights, self.leaves())
        actor, critic = self.networks
        return actor(part["observation"]), critic(part["observation"]).squeeze(-1)

    def leaves(self) -> list[torch.nn.Parameter]:
        return [weight for network in self.networks for weight in network.parameters()]

    def parts(self, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The actor's and the critic's share of a gradient."""
        count = sum(weight.numel() for weight in self.networks[0].parameters())
        return gradient[:count], gradient[count:]


def tiny_run(draw: Draw, **changes: float) -> SimpleNamespace:
    """Actor, critic, optimiser and numbers, as the lesson's text describes them; `changes` replace numbers of it."""
    from tensordict.nn import TensorDictModule
    from torchrl.modules import MLP, ProbabilisticActor, ValueOperator

    torch.manual_seed(int(draw.integers(0, 2**31, 1)))
    scores = MLP(in_features=3, out_features=3, num_cells=[8], activation_class=torch.nn.Tanh)
    scores[-1].weight.data *= 3  # so that it is more certain of some actions, and the entropy has a slope
    actor = ProbabilisticActor(
        TensorDictModule(scores, in_keys=["observation"], out_keys=["logits"]),
        in_keys=["logits"],
        distribution_class=torch.distributions.Categorical,
        return_log_prob=True,
    )
    values = MLP(in_features=3, out_features=1, num_cells=[8], activation_class=torch.nn.Tanh)
    run = SimpleNamespace(
        actor=actor,
        critic=ValueOperator(values, in_keys=["observation"]),
        epochs=3,
        minibatch=MINIBATCH,
        clip=draw.uniform(0.25, 0.35),
        critic_coeff=draw.uniform(0.3, 0.7),
        entropy_coeff=draw.uniform(0.2, 0.4),
        max_norm=1e6,
        max_kl=float("inf"),
    )
    rate = changes.pop("rate", 0.05)
    vars(run).update(changes)
    notes = Notes()
    scores.register_forward_pre_hook(notes.network)
    actor.register_forward_pre_hook(notes.actor)
    run.optimiser = NotingSGD([*actor.parameters(), *run.critic.parameters()], rate, notes)
    return run


def twin_of(run: SimpleNamespace) -> SimpleNamespace:
    """The same parts again, for a rehearsal that leaves those of `run` as they are."""
    twin = SimpleNamespace(**vars(run))
    twin.actor, twin.critic = copy.deepcopy(run.actor), copy.deepcopy(run.critic)
    weights = [*twin.actor.parameters(), *twin.critic.parameters()]
    twin.optimiser = NotingSGD(weights, run.optimiser.defaults["lr"], run.optimiser.notes)
    return twin


def frames_of(draw: Draw, run: SimpleNamespace, log_ratio: torch.Tensor) -> Any:
    """`FRAMES` frames whose ratios begin at `exp(log_ratio)`, all shapes as in the lesson."""
    from tensordict import TensorDict

    frames = TensorDict({"observation": draw.normal(FRAMES, 3)}, [FRAMES])
    with torch.no_grad():
        logits = scores(run)(frames["observation"])
        frames["action"] = draw.integers(0, 3, FRAMES)
        log_prob = torch.distributions.Categorical(logits=logits).log_prob(frames["action"])
        frames["action_log_prob"] = log_prob - log_ratio
    frames["advantage"] = 1.5 + 2.5 * draw.normal(FRAMES, 1)
    frames["value_target"] = 2 + 3 * draw.normal(FRAMES, 1)
    run.optimiser.notes.asked.clear()
    return frames


def scores(run: SimpleNamespace) -> torch.nn.Module:
    """The network of an actor."""
    return next(module for module in run.actor.modules() if isinstance(module, torch.nn.Sequential))


def watch(update: Callable[[Any, Any], Any], run: SimpleNamespace, frames: Any) -> Watched:
    """One update of these frames, on these parts."""
    kept, optimiser = SimpleNamespace(**vars(run)), run.optimiser
    networks = tuple(without_hooks(module) for module in (scores(run), run.critic.module))
    given, start, rate = frames.clone(), flat(optimiser.weights), optimiser.defaults["lr"]
    update(run, frames)
    left = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in optimiser.weights]
    return Watched(
        run=kept,
        frames=given,
        now=frames,
        notes=optimiser.notes,
        steps=optimiser.noted,
        start=start,
        end=flat(optimiser.weights),
        left=flat(left),
        rate=rate,
        networks=networks,
    )


def without_hooks(network: torch.nn.Module) -> torch.nn.Module:
    twin = copy.deepcopy(network)
    twin._forward_pre_hooks.clear()
    return twin


def rows_of(watched: Watched) -> Iterator[torch.Tensor | None]:
    """For each step the places of the frames it is about, -1 for something else; None where the actor was not asked.

    An actor can be asked about all frames besides, for the KL; a step's frames are the last few it was asked about.
    """
    observations = watched.frames["observation"]
    for step in watched.steps:
        if not step.asked:
            yield None
            continue
        few = [asked for asked in step.asked if len(asked) <= MINIBATCH]
        same = ((few or step.asked)[-1][:, None] == observations).all(-1)
        yield torch.where(same.any(-1), same.int().argmax(-1), -1)
