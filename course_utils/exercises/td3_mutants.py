"""Exercise 9.6's right answer in parts, and wrong ones: each swaps one part for what learners write in its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from course_utils.exercises.exercise import Mutant
from course_utils.exercises.td3_update import ACTOR_MOVES_CRITIC, SAID


def values(critics: Any, steps: Any, action: torch.Tensor) -> torch.Tensor:
    asked = steps.select("observation").set("action", action)
    return torch.stack([critic(asked.clone())["state_action_value"] for critic in critics])


def noise(run: Any, action: torch.Tensor) -> torch.Tensor:
    return (torch.randn_like(action) * run.noise).clamp(-run.clip, run.clip)


def smoothed(run: Any, after: Any) -> torch.Tensor:
    action = run.target_actor(after.select("observation"))["action"]
    return (action + noise(run, action)).clamp(run.low, run.high)


def smaller(run: Any, after: Any, ask: Callable) -> torch.Tensor:
    believed = values(run.target_critics, after, ask(run, after)).amin(0)
    return after["reward"] + run.gamma * believed * ~after["terminated"]


def critics_step(run: Any, batch: Any, target: torch.Tensor) -> None:
    loss = ((values(run.critics, batch, batch["action"]) - target) ** 2).mean((1, 2)).sum()
    run.critic_optimiser.zero_grad()
    loss.backward()
    run.critic_optimiser.step()


def first_value(run: Any, batch: Any) -> torch.Tensor:
    return values(run.critics, batch, run.actor(batch.select("observation"))["action"])[0]


def actor_step(run: Any, batch: Any, climbed: Callable = first_value) -> None:
    run.actor_optimiser.zero_grad()
    (-climbed(run, batch).mean()).backward()
    run.actor_optimiser.step()


def every(run: Any) -> bool:
    return run.updates % run.actor_every == 0


def go(target: torch.nn.Module, online: torch.nn.Module, share: float) -> None:
    with torch.no_grad():
        for old, new in zip(target.parameters(), online.parameters(), strict=True):
            old.lerp_(new, share)


def follow(run: Any) -> None:
    for target, online in zip(run.target_critics, run.critics, strict=True):
        go(target, online, run.tau)
    go(run.target_actor, run.actor, run.tau)


def build(
    ask: Callable = smoothed,
    goal: Callable = smaller,
    critics: Callable = critics_step,
    actor: Callable = actor_step,
    turn: Callable = every,
    targets: Callable = follow,
) -> Callable[[Any, Any], None]:
    """An update of TD3, `update(run, batch)`, from its parts."""

    def td3_update(run: Any, batch: Any) -> None:
        with torch.no_grad():
            target = goal(run, batch["next"], ask)
        critics(run, batch, target)
        if turn(run):
            actor(run, batch)
        targets(run)

    return td3_update


# --- what learners write in the place of a part -----------------------------------------------------------------------


def believed_goal(combine: Callable, ends: str = "terminated") -> Callable:
    def goal(run: Any, after: Any, ask: Callable) -> torch.Tensor:
        believed = combine(values(run.target_critics, after, ask(run, after)))
        return after["reward"] + run.gamma * believed * ~after[ends]

    return goal


def goal_of_learning_critics(run: Any, after: Any, ask: Callable) -> torch.Tensor:
    believed = values(run.critics, after, ask(run, after)).amin(0)
    return after["reward"] + run.gamma * believed * ~after["terminated"]


def goal_with_two_draws(run: Any, after: Any, ask: Callable) -> torch.Tensor:
    one, other = (values([critic], after, ask(run, after))[0] for critic in run.target_critics)
    return after["reward"] + run.gamma * torch.minimum(one, other) * ~after["terminated"]


def ask_exactly(run: Any, after: Any) -> torch.Tensor:
    return run.target_actor(after.select("observation"))["action"]


def ask_far(run: Any, after: Any) -> torch.Tensor:
    action = ask_exactly(run, after)
    return (action + torch.randn_like(action) * run.noise).clamp(run.low, run.high)


def ask_beyond(run: Any, after: Any) -> torch.Tensor:
    action = ask_exactly(run, after)
    return action + noise(run, action)


def ask_with_one_number(run: Any, after: Any) -> torch.Tensor:
    action = ask_exactly(run, after)
    return (action + noise(run, action[:1])).clamp(run.low, run.high)


def ask_the_learning_actor(run: Any, after: Any) -> torch.Tensor:
    action = run.actor(after.select("observation"))["action"]
    return (action + noise(run, action)).clamp(run.low, run.high)


def no_critics_step(run: Any, batch: Any, target: torch.Tensor) -> None:
    loss = ((values(run.critics, batch, batch["action"]) - target) ** 2).mean((1, 2)).sum()
    run.critic_optimiser.zero_grad()
    loss.backward()


def first_critic_only(run: Any, batch: Any, target: torch.Tensor) -> None:
    loss = ((values(run.critics[:1], batch, batch["action"]) - target) ** 2).mean()
    run.critic_optimiser.zero_grad()
    loss.backward()
    run.critic_optimiser.step()


def adding_up(run: Any, batch: Any, target: torch.Tensor) -> None:
    ((values(run.critics, batch, batch["action"]) - target) ** 2).mean((1, 2)).sum().backward()
    run.critic_optimiser.step()


def cleared_too_early(run: Any, batch: Any, target: torch.Tensor) -> None:
    ((values(run.critics, batch, batch["action"]) - target) ** 2).mean((1, 2)).sum().backward()
    run.critic_optimiser.step()
    run.critic_optimiser.zero_grad()


def down(run: Any, batch: Any) -> torch.Tensor:
    return -first_value(run, batch)


def smaller_value(run: Any, batch: Any) -> torch.Tensor:
    return values(run.critics, batch, run.actor(batch.select("observation"))["action"]).amin(0)


def target_value(run: Any, batch: Any) -> torch.Tensor:
    return values(run.target_critics, batch, run.actor(batch.select("observation"))["action"])[0]


def climbing(climbed: Callable) -> Callable:
    return lambda run, batch: actor_step(run, batch, climbed)


def targets_first() -> Callable[[Any, Any], None]:
    def td3_update(run: Any, batch: Any) -> None:
        with torch.no_grad():
            target = smaller(run, batch["next"], smoothed)
        follow(run)
        critics_step(run, batch, target)
        if every(run):
            actor_step(run, batch)

    return td3_update


def follow_the_critics_alone(run: Any) -> None:
    for target, online in zip(run.target_critics, run.critics, strict=True):
        go(target, online, run.tau)


def follow_whole(run: Any) -> None:
    for target, online in zip(run.target_critics, run.critics, strict=True):
        go(target, online, 1.0)
    go(run.target_actor, run.actor, 1.0)


def follow_the_wrong_way(run: Any) -> None:
    for target, online in zip(run.target_critics, run.critics, strict=True):
        go(target, online, 1 - run.tau)
    go(run.target_actor, run.actor, 1 - run.tau)


def follow_with_the_actor(run: Any) -> None:
    if every(run):
        follow(run)


MUTANTS = [
    Mutant(
        "no step",
        build(critics=no_critics_step),
        "The critics have gradients, and not one of their weights has moved: the step is missing.",
    ),
    Mutant(
        "one critic learns",
        build(critics=first_critic_only),
        "The second critic has not moved at update 1. Both learn from the same target.",
    ),
    Mutant(
        "learning critics make the target",
        build(goal=goal_of_learning_critics),
        "Critics that learn from what they say themselves chase their own tail: the target comes from "
        "`run.target_critics`.",
    ),
    Mutant("the larger value", build(goal=believed_goal(lambda both: both.amax(0))), SAID["larger"]),
    Mutant("the mean", build(goal=believed_goal(lambda both: both.mean(0))), SAID["mean"]),
    Mutant("no minimum", build(goal=believed_goal(lambda both: both)), SAID["own"]),
    Mutant("smallest of the batch", build(goal=believed_goal(torch.min)), SAID["smallest of all"]),
    Mutant("stops at done", build(goal=believed_goal(lambda both: both.amin(0), "done")), SAID["done"]),
    Mutant("no smoothing", build(ask=ask_exactly), "Smoothing asks about actions around it: noise is missing."),
    Mutant("noise not cut off", build(ask=ask_far), "The noise on the next action is to be cut off at `run.clip`."),
    Mutant(
        "impossible actions",
        build(ask=ask_beyond),
        "A target critic was asked about an action that does not exist: cut the sum off, too.",
    ),
    Mutant("one number for all", build(ask=ask_with_one_number), "Each transition draws a number of its own."),
    Mutant(
        "two draws",
        build(goal=goal_with_two_draws),
        "The two target critics were asked about different actions. Draw the noise once, and ask both.",
    ),
    Mutant(
        "the learning actor is asked",
        build(ask=ask_the_learning_actor),
        "The next action comes from `run.actor`. The target asks the slow one, `run.target_actor`.",
    ),
    Mutant("gradients add up", build(critics=adding_up), "Gradients add up until `zero_grad` removes them."),
    Mutant("the actor's gradient stays", build(critics=cleared_too_early), ACTOR_MOVES_CRITIC),
    Mutant(
        "the actor moves always",
        build(turn=lambda run: True),
        "The actor waits for its turn, `run.actor_every`, so that the critics can settle.",
    ),
    Mutant(
        "the actor never moves",
        build(turn=lambda run: False),
        "The actor has not moved at its turn.",
    ),
    Mutant(
        "downhill",
        build(actor=climbing(down)),
        "The actor goes *down* its critic: an optimiser makes small, so give it minus the value.",
    ),
    Mutant(
        "climbs the smaller",
        build(actor=climbing(smaller_value)),
        "The actor climbs the smaller value of the two critics, as SAC's does. In TD3 it climbs the first critic.",
    ),
    Mutant(
        "climbs a target",
        build(actor=climbing(target_value)),
        "The actor climbs a target critic. It climbs the first of those that learn, `run.critics[0]`.",
    ),
    Mutant("targets before steps", targets_first(), "First the optimisers, then the targets."),
    Mutant(
        "target actor forgotten",
        build(targets=follow_the_critics_alone),
        "The target of the actor has not moved at update 1. All three targets follow at each update.",
    ),
    Mutant(
        "targets wait for the actor",
        build(targets=follow_with_the_actor),
        "The target of the first critic has not moved at update 1. All three targets follow at each update.",
    ),
    Mutant("targets copied", build(targets=follow_whole), "was copied whole. It goes the share `run.tau` of the way."),
    Mutant(
        "tau on the wrong side",
        build(targets=follow_the_wrong_way),
        "A target keeps the share `run.tau` of itself, and takes over the rest. It is the other way round.",
    ),
]
