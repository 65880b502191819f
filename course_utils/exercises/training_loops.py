"""Exercise 5.6: a training loop, examined by watching it run; what people get wrong in one, as code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from course_utils.exercises.drawn import whole
from course_utils.exercises.exercise import Draw, Mutant

NEEDED = ("buffer", "loss_module", "optimiser", "target_updater", "egreedy")


def examine(loop: Callable[..., Any], draw: Draw) -> str:
    """The first thing that is wrong with a DQN loop on tiny parts, and what was seen of it; empty where nothing is."""
    from course_utils.exercises.fault import Asked
    from course_utils.exercises.loop_faults import faults
    from course_utils.exercises.loop_watch import Loop
    from course_utils.exercises.tiny_parts import TinyParts
    from course_utils.exercises.watching import watching

    numbers = {
        "updates": whole(draw, 2, 5),
        "blocks": whole(draw, 3, 5),
        "frames_per_batch": whole(draw, 9, 14),
        "batch_size": whole(draw, 4, 8),
    }
    tiny = TinyParts(numbers, seed=whole(draw, 0, 1_000_000))
    try:
        arguments = tiny.arguments(loop)
    except ValueError as error:
        return str(error)
    wanted = {name: tiny.get(name) for name in NEEDED} | {"env": tiny.get("env")}
    error = None
    with watching(tiny.parts.values()) as seen:
        try:
            loop(**arguments)
        except Exception as raised:  # it may say less than what was seen before it
            error = raised
    asked = Asked(wanted, tiny.get("total_frames"), numbers["updates"], numbers["batch_size"], whole=True)
    found = [fault for fault in faults(seen, asked) if fault.certain or error is None]
    if error is not None and not found:
        raise error
    return f"{found[0].sentence}\nSeen:\n{Loop(seen.notes, found[:1]).rows}" if found else ""


def right(collector, buffer, loss_module, optimiser, target_updater, egreedy, updates):
    for batch in collector:
        buffer.extend(batch)
        egreedy.step(batch.numel())
        for _ in range(updates):
            loss = loss_module(buffer.sample())["loss"]
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            target_updater.step()
    collector.shutdown()


def loop_of(block: Callable[..., Any]) -> Callable[..., Any]:
    """A loop in which `block` is done after each batch is stored; what it needs it takes from its one argument."""

    def loop(collector, buffer, loss_module, optimiser, target_updater, egreedy, updates):
        parts = Parts(buffer, loss_module, optimiser, target_updater, egreedy, updates)
        for batch in collector:
            buffer.extend(batch)
            block(parts, batch)
        collector.shutdown()

    return loop


class Parts:
    """What a block of updates needs."""

    def __init__(self, buffer, loss_module, optimiser, target_updater, egreedy, updates):
        self.buffer, self.loss_module, self.optimiser = buffer, loss_module, optimiser
        self.target_updater, self.egreedy, self.updates = target_updater, egreedy, updates
        self.old = None

    def loss(self, sample=None):
        return self.loss_module(self.buffer.sample() if sample is None else sample)["loss"]

    def learn(self, loss):
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()


@loop_of
def adds_up(parts, batch):
    parts.egreedy.step(batch.numel())
    for _ in range(parts.updates):
        parts.loss().backward()
        parts.optimiser.step()
        parts.target_updater.step()


@loop_of
def never_steps(parts, batch):
    parts.egreedy.step(batch.numel())
    for _ in range(parts.updates):
        parts.optimiser.zero_grad()
        parts.loss().backward()
        parts.target_updater.step()


@loop_of
def never_backward(parts, batch):
    parts.egreedy.step(batch.numel())
    for _ in range(parts.updates):
        parts.loss()
        parts.optimiser.zero_grad()
        parts.optimiser.step()
        parts.target_updater.step()


@loop_of
def no_target(parts, batch):
    parts.egreedy.step(batch.numel())
    for _ in range(parts.updates):
        parts.learn(parts.loss())


@loop_of
def target_twice(parts, batch):
    parts.egreedy.step(batch.numel())
    for _ in range(parts.updates):
        parts.learn(parts.loss())
        parts.target_updater.step()
        parts.target_updater.step()


@loop_of
def target_before_step(parts, batch):
    parts.egreedy.step(batch.numel())
    for _ in range(parts.updates):
        parts.optimiser.zero_grad()
        parts.loss().backward()
        parts.target_updater.step()
        parts.optimiser.step()


@loop_of
def fresh_batch(parts, batch):
    parts.egreedy.step(batch.numel())
    for _ in range(parts.updates):
        parts.learn(parts.loss(batch))
        parts.target_updater.step()


@loop_of
def one_sample_for_all(parts, batch):
    parts.egreedy.step(batch.numel())
    sample = parts.buffer.sample()
    for _ in range(parts.updates):
        parts.learn(parts.loss(sample))
        parts.target_updater.step()


@loop_of
def first_sample_for_ever(parts, batch):
    parts.egreedy.step(batch.numel())
    parts.old = parts.buffer.sample() if parts.old is None else parts.old
    parts.learn(parts.loss(parts.old))
    parts.target_updater.step()


@loop_of
def epsilon_in_the_updates(parts, batch):
    for _ in range(parts.updates):
        parts.learn(parts.loss())
        parts.target_updater.step()
        parts.egreedy.step()


@loop_of
def epsilon_by_one(parts, batch):
    parts.egreedy.step()
    for _ in range(parts.updates):
        parts.learn(parts.loss())
        parts.target_updater.step()


@loop_of
def no_epsilon(parts, batch):
    for _ in range(parts.updates):
        parts.learn(parts.loss())
        parts.target_updater.step()


@loop_of
def one_update(parts, batch):
    parts.egreedy.step(batch.numel())
    parts.learn(parts.loss())
    parts.target_updater.step()


@loop_of
def half_the_loss(parts, batch):
    parts.egreedy.step(batch.numel())
    for _ in range(parts.updates):
        parts.learn(parts.loss() / parts.updates)
        parts.target_updater.step()


@loop_of
def clipped_late(parts, batch):
    parts.egreedy.step(batch.numel())
    for _ in range(parts.updates):
        parts.learn(parts.loss())
        torch.nn.utils.clip_grad_norm_(parts.loss_module.parameters(), 1.0)
        parts.target_updater.step()


@loop_of
def cleared_too_late(parts, batch):
    parts.egreedy.step(batch.numel())
    for _ in range(parts.updates):
        parts.loss().backward()
        parts.optimiser.zero_grad()
        parts.optimiser.step()
        parts.target_updater.step()


def never_stored(collector, buffer, loss_module, optimiser, target_updater, egreedy, updates):
    for batch in collector:
        egreedy.step(batch.numel())
        for _ in range(updates):
            optimiser.zero_grad()
            loss_module(batch)["loss"].backward()
            optimiser.step()
            target_updater.step()
    collector.shutdown()


def sampled_too_early(collector, buffer, loss_module, optimiser, target_updater, egreedy, updates):
    for batch in collector:
        egreedy.step(batch.numel())
        for _ in range(updates):
            optimiser.zero_grad()
            loss_module(buffer.sample())["loss"].backward()
            optimiser.step()
            target_updater.step()
        buffer.extend(batch)
    collector.shutdown()


def left_open(collector, buffer, loss_module, optimiser, target_updater, egreedy, updates):
    for batch in collector:
        buffer.extend(batch)
        egreedy.step(batch.numel())
        for _ in range(updates):
            optimiser.zero_grad()
            loss_module(buffer.sample())["loss"].backward()
            optimiser.step()
            target_updater.step()


def one_batch(collector, buffer, loss_module, optimiser, target_updater, egreedy, updates):
    for batch in collector:
        buffer.extend(batch)
        egreedy.step(batch.numel())
        for _ in range(updates):
            optimiser.zero_grad()
            loss_module(buffer.sample())["loss"].backward()
            optimiser.step()
            target_updater.step()
        break
    collector.shutdown()


MUTANTS = [
    Mutant("never stored", never_stored, "`buffer.extend(batch)` is missing."),
    Mutant("sampled too early", sampled_too_early, "You sample before anything is stored"),
    Mutant("the fresh batch", fresh_batch, "Your loop never samples: the buffer is filled and nobody draws from it."),
    Mutant("the first sample for ever", first_sample_for_ever, "updates learned from an old sample"),
    Mutant("one sample for all", one_sample_for_all, "from the very sample that the update before them had used"),
    Mutant("never backward", never_backward, "Your loop never calls `backward`"),
    Mutant("never steps", never_steps, "Your loop never calls the optimiser's `step`"),
    Mutant("gradients add up", adds_up, "Your loop never calls `zero_grad`: gradients add up"),
    Mutant("cleared too late", cleared_too_late, "`zero_grad` stands between `backward` and `step`"),
    Mutant("clipped late", clipped_late, "The gradient is clipped after the `step`, which has used it already."),
    Mutant("half the loss", half_the_loss, "the gradient is too small. Call `backward` once on the loss as it is."),
    Mutant("no target", no_target, "The target network never follows: it judges as it did at the beginning."),
    Mutant("target before step", target_before_step, "before the optimiser has moved the network"),
    Mutant("target twice", target_twice, "Let it follow once after each, or once after the updates of each batch."),
    Mutant("no epsilon", no_epsilon, "Exploration never becomes less"),
    Mutant("epsilon in the updates", epsilon_in_the_updates, "Exploration falls with the updates, not with the frames"),
    Mutant("epsilon by one", epsilon_by_one, "Step it by the number of frames: `step(batch.numel())`."),
    Mutant("one update", one_update, "the optimiser made 1 step;"),
    Mutant("one batch", one_batch, "frames were collected, and"),
    Mutant("left open", left_open, "`collector.shutdown()` is never called"),
]
