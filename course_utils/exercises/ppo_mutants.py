"""Exercise 8.6's right answer in parts, and wrong ones: each swaps one part for what learners write in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from course_utils.exercises.exercise import Mutant
from course_utils.exercises.ppo_update import LATE, ONCE, PLAIN_MEAN, SAID, TOO_EARLY, TOO_LONG


def shuffled(run: Any, frames: Any) -> Iterable[Any]:
    return frames[torch.randperm(len(frames))].split(run.minibatch)


def ratio_of(run: Any, part: Any) -> torch.Tensor:
    return (run.actor.get_dist(part).log_prob(part["action"]) - part["action_log_prob"]).exp()


def gain_of(part: Any) -> torch.Tensor:
    advantage = part["advantage"].squeeze(-1)
    return (advantage - advantage.mean()) / advantage.std()


def clipped(run: Any, part: Any, ratio: Callable = ratio_of, gain: Callable = gain_of) -> torch.Tensor:
    moved, better = ratio(run, part), gain(part)
    return -torch.min(moved * better, moved.clamp(1 - run.clip, 1 + run.clip) * better).mean()


def squared(run: Any, part: Any) -> torch.Tensor:
    return run.critic_coeff * ((run.critic(part)["state_value"] - part["value_target"]) ** 2).mean()


def bonus(run: Any, part: Any) -> torch.Tensor:
    return run.entropy_coeff * run.actor.get_dist(part).entropy().mean()


def shorten(run: Any) -> None:
    torch.nn.utils.clip_grad_norm_([*run.actor.parameters(), *run.critic.parameters()], run.max_norm)


def minimise(run: Any, loss: torch.Tensor) -> None:
    run.optimiser.zero_grad()
    loss.backward()
    shorten(run)
    run.optimiser.step()


def too_far(run: Any, frames: Any) -> bool:
    with torch.no_grad():
        ratio = ratio_of(run, frames)
    return bool((ratio - 1 - ratio.log()).mean() > run.max_kl)


def build(
    order: Callable = shuffled,
    policy: Callable = clipped,
    value: Callable = squared,
    extra: Callable = bonus,
    learn: Callable = minimise,
    stop: Callable = too_far,
) -> Callable[[Any, Any], None]:
    """An update of PPO, `update(run, frames)`, from its parts."""

    def ppo_update(run: Any, frames: Any) -> None:
        for _ in range(run.epochs):
            for part in order(run, frames):
                learn(run, policy(run, part) + value(run, part) - extra(run, part))
            if stop(run, frames):
                break

    return ppo_update


# --- what learners write in the place of a part -----------------------------------------------------------------------


def one_epoch(run: Any, frames: Any) -> None:
    for part in shuffled(run, frames):
        minimise(run, clipped(run, part) + squared(run, part) - bonus(run, part))


def shuffled_once(run: Any, frames: Any) -> None:
    parts = shuffled(run, frames)
    build(order=lambda run, frames: parts)(run, frames)


def stops_within(run: Any, frames: Any) -> None:
    for _ in range(run.epochs):
        for part in shuffled(run, frames):
            minimise(run, clipped(run, part) + squared(run, part) - bonus(run, part))
            if too_far(run, frames):
                return


def whole(run: Any, frames: Any) -> list[Any]:
    return [frames]


def in_order(run: Any, frames: Any) -> Iterable[Any]:
    return frames.split(run.minibatch)


def last_dropped(run: Any, frames: Any) -> list[Any]:
    return [part for part in shuffled(run, frames) if len(part) == run.minibatch]


def with_replacement(run: Any, frames: Any) -> Iterable[Any]:
    return frames[torch.randint(len(frames), (2 * len(frames),))[: len(frames)]].split(run.minibatch)


def equal_parts(run: Any, frames: Any) -> Iterable[Any]:
    return frames[torch.randperm(len(frames))].chunk(-(-len(frames) // run.minibatch))


def of_ratio(make: Callable) -> Callable:
    """A clipped objective whose ratio is made of the new and the old log-probability by `make`."""

    def policy(run: Any, part: Any) -> torch.Tensor:
        new = run.actor.get_dist(part).log_prob(part["action"])
        return clipped(run, part, lambda run, part: make(new, part["action_log_prob"]))

    return policy


def of_gain(make: Callable) -> Callable:
    return lambda run, part: clipped(run, part, gain=lambda part: make(part["advantage"].squeeze(-1)))


def of_products(combine: Callable) -> Callable:
    """An objective made of the ratio, the advantage and the clip range by `combine`."""
    return lambda run, part: -combine(ratio_of(run, part), gain_of(part), 1 - run.clip, 1 + run.clip).mean()


def redrawn(run: Any, part: Any) -> torch.Tensor:
    old = part["action_log_prob"].clone()
    return clipped(run, part, lambda run, part: (run.actor(part)["action_log_prob"] - old).exp())


def normalised_over_the_batch(run: Any, frames: Any) -> None:
    frames = frames.clone()
    frames["advantage"] = (frames["advantage"] - frames["advantage"].mean()) / frames["advantage"].std()
    build(policy=of_gain(lambda advantage: advantage))(run, frames)


def overwrites(run: Any, frames: Any) -> None:
    build()(run, frames)
    frames["action_log_prob"] = run.actor.get_dist(frames).log_prob(frames["action"]).detach()


def adding_up(run: Any, loss: torch.Tensor) -> None:
    loss.backward()
    shorten(run)
    run.optimiser.step()


def never_steps(run: Any, loss: torch.Tensor) -> None:
    run.optimiser.zero_grad()
    loss.backward()


def cleared_too_late(run: Any, loss: torch.Tensor) -> None:
    loss.backward()
    run.optimiser.zero_grad()
    run.optimiser.step()


def never_shortened(run: Any, loss: torch.Tensor) -> None:
    run.optimiser.zero_grad()
    loss.backward()
    run.optimiser.step()


def shortened_late(run: Any, loss: torch.Tensor) -> None:
    never_shortened(run, loss)
    shorten(run)


def shortened_apart(run: Any, loss: torch.Tensor) -> None:
    run.optimiser.zero_grad()
    loss.backward()
    for network in (run.actor, run.critic):
        torch.nn.utils.clip_grad_norm_(network.parameters(), run.max_norm)
    run.optimiser.step()


def cut_off(run: Any, loss: torch.Tensor) -> None:
    run.optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_value_([*run.actor.parameters(), *run.critic.parameters()], run.max_norm)
    run.optimiser.step()


def two_steps(run: Any, frames: Any) -> None:
    for _ in range(run.epochs):
        for part in shuffled(run, frames):
            minimise(run, clipped(run, part) - bonus(run, part))
            minimise(run, squared(run, part))


def looks_before(run: Any, frames: Any) -> None:
    for _ in range(run.epochs):
        if too_far(run, frames):
            break
        for part in shuffled(run, frames):
            minimise(run, clipped(run, part) + squared(run, part) - bonus(run, part))


def plain_mean(run: Any, frames: Any) -> bool:
    with torch.no_grad():
        return bool(-ratio_of(run, frames).log().mean() > run.max_kl)


def value_of_the_other_shape(run: Any, part: Any) -> torch.Tensor:
    error = run.critic(part)["state_value"] - part["value_target"].squeeze(-1)
    return run.critic_coeff * (error**2).mean()


MUTANTS = [
    Mutant(
        "no step",
        build(learn=never_steps),
        "The weights have gradients, and `run.optimiser` made no step.",
    ),
    Mutant("cleared too late", build(learn=cleared_too_late), "In this order: `zero_grad`, `backward`, `step`."),
    Mutant("all at once", build(order=whole), "Step 1 used all 44 frames at once."),
    Mutant("drawn with replacement", build(order=with_replacement), ONCE),
    Mutant("last minibatch dropped", build(order=last_dropped), "the last minibatch is smaller than the others, and"),
    Mutant("equal parts", build(order=equal_parts), "With `run.minibatch` = 16 they hold 16, 16, 12."),
    Mutant("one epoch", one_epoch, "Your update went through the frames once; `run.epochs` is 3"),
    Mutant("not shuffled", build(order=in_order), "the frames come in the order of the batch. Shuffle them."),
    Mutant("shuffled once", shuffled_once, "Shuffle anew in each epoch."),
    Mutant("two steps", two_steps, "Each minibatch is one step, for actor and critic together."),
    Mutant("gradients add up", build(learn=adding_up), "Gradients add up until `zero_grad` removes them."),
    Mutant("not normalised", build(policy=of_gain(lambda advantage: advantage)), SAID["not normalised"]),
    Mutant("normalised over the batch", normalised_over_the_batch, SAID["normalised over the batch"]),
    Mutant("only centred", build(policy=of_gain(lambda advantage: advantage - advantage.mean())), SAID["only centred"]),
    Mutant(
        "old recomputed",
        build(policy=of_ratio(lambda new, old: (new - new.detach()).exp())),
        SAID["old recomputed"],
    ),
    Mutant("new actions", build(policy=redrawn), "`run.actor(...)` was called, which draws new actions over them."),
    Mutant("upside down", build(policy=of_ratio(lambda new, old: (old - new).exp())), SAID["upside down"]),
    Mutant("no exp", build(policy=of_ratio(lambda new, old: new - old)), SAID["no exp"]),
    Mutant(
        "max for min",
        build(
            policy=of_products(lambda moved, gain, low, high: torch.max(moved * gain, moved.clamp(low, high) * gain))
        ),
        SAID["max"],
    ),
    Mutant("not clipped", build(policy=of_products(lambda moved, gain, low, high: moved * gain)), SAID["not clipped"]),
    Mutant(
        "always clipped",
        build(policy=of_products(lambda moved, gain, low, high: moved.clamp(low, high) * gain)),
        SAID["always clipped"],
    ),
    Mutant(
        "clipped above only",
        build(policy=of_products(lambda moved, gain, low, high: torch.min(moved * gain, moved.clamp(max=high) * gain))),
        SAID["clipped above"],
    ),
    Mutant(
        "clipped below only",
        build(policy=of_products(lambda moved, gain, low, high: torch.min(moved * gain, moved.clamp(min=low) * gain))),
        SAID["clipped below"],
    ),
    Mutant("uphill", build(policy=lambda run, part: -clipped(run, part)), SAID["uphill"]),
    Mutant(
        "spread out",
        build(policy=lambda run, part: clipped(run, part, gain=lambda part: gain_of(part)[:, None])),
        SAID["broadcast"],
    ),
    Mutant("entropy punished", build(extra=lambda run, part: -bonus(run, part)), SAID["entropy punished"]),
    Mutant("entropy missing", build(extra=lambda run, part: 0.0), SAID["entropy missing"]),
    Mutant("entropy whole", build(extra=lambda run, part: bonus(run, part) / run.entropy_coeff), SAID["entropy whole"]),
    Mutant("value missing", build(value=lambda run, part: 0.0), SAID["value missing"]),
    Mutant("value whole", build(value=lambda run, part: squared(run, part) / run.critic_coeff), SAID["value whole"]),
    Mutant("value spread out", build(value=value_of_the_other_shape), SAID["value broadcast"]),
    Mutant("frames changed", overwrites, "Your update changed `action_log_prob` in the frames it was given."),
    Mutant("never shortened", build(learn=never_shortened), TOO_LONG),
    Mutant("shortened late", build(learn=shortened_late), LATE),
    Mutant("shortened apart", build(learn=shortened_apart), "Shorten that of all weights together."),
    Mutant("cut off", build(learn=cut_off), "Each number of the gradient is cut off on its own, which bends it."),
    Mutant("never stops", build(stop=lambda run, frames: False), "and another epoch followed. Stop there."),
    Mutant("stops within an epoch", stops_within, "Your update stopped in the middle of epoch"),
    Mutant("looks before the epoch", looks_before, TOO_EARLY),
    Mutant("mean of the logarithms", build(stop=plain_mean), PLAIN_MEAN),
]
