"""What exercise 9.6 watches: an update of TD3 on parts that are real but tiny, and what moved by it.

The optimisers are plain gradient descent, so that a weight's way is its gradient times the learning rate: whatever an
update did to the networks can be read from the weights alone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch

from course_utils.exercises.exercise import Draw
from course_utils.exercises.plain_descent import CountingSGD, alike, compare, flat, gradient

ROWS = 512
RATE = 0.05  # of both optimisers
ORDINAL = ("first", "second")


class Questions:
    """What target critics were asked, as (critic, observation and action side by side); copies of a critic share it."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, torch.Tensor]] = []

    def __deepcopy__(self, memo: dict) -> Questions:
        return self


def tiny_run(draw: Draw) -> SimpleNamespace:
    """Networks, targets with other weights, optimisers and numbers, as the lesson's text describes them."""
    from tensordict.nn import TensorDictModule, TensorDictSequential
    from torchrl.data import Bounded
    from torchrl.modules import MLP, TanhModule, ValueOperator

    torch.manual_seed(int(draw.integers(0, 2**31, 1)))
    low, high = -1.0 - draw.uniform(0.2, 0.5), 1.0 + draw.uniform(0.6, 0.9)
    torque = Bounded(low, high, shape=(1,))

    def actor() -> TensorDictSequential:
        network = MLP(in_features=3, out_features=1, num_cells=[8])
        network[-1].weight.data *= 6  # so that some of its actions are near the limits
        raw = TensorDictModule(network, ["observation"], ["raw"])
        return TensorDictSequential(raw, TanhModule(in_keys=["raw"], out_keys=["action"], spec=torque))

    def critic() -> ValueOperator:
        network = MLP(in_features=4, out_features=1, num_cells=[8], activation_class=torch.nn.ReLU)
        return ValueOperator(network, in_keys=["observation", "action"])

    run = SimpleNamespace(
        actor=actor(),
        critics=[critic(), critic()],
        target_actor=actor(),
        target_critics=[critic(), critic()],
        gamma=draw.uniform(0.8, 0.95),
        tau=draw.uniform(0.05, 0.3),
        noise=draw.uniform(0.15, 0.25),
        low=low,
        high=high,
        actor_every=2 + draw.turn(2),
        updates=0,
    )
    run.clip = 1.3 * run.noise
    run.questions = Questions()
    for number, network in enumerate(run.target_critics):
        network.module.register_forward_pre_hook(Notes(number, run.questions))
    run.critic_optimiser = CountingSGD([w for network in run.critics for w in network.parameters()], lr=RATE)
    run.actor_optimiser = CountingSGD(run.actor.parameters(), lr=RATE)
    for network in (run.target_actor, *run.target_critics):
        network.requires_grad_(False)
    return run


class Notes:
    """A hook that writes down what a target critic is asked."""

    def __init__(self, critic: int, questions: Questions) -> None:
        self.critic, self.questions = critic, questions

    def __call__(self, module: torch.nn.Module, inputs: tuple) -> None:
        self.questions.asked.append((self.critic, torch.cat(inputs, -1).detach().clone()))


def transitions(draw: Draw) -> Any:
    """A batch of `ROWS`: a fifth of the steps terminate, a fifth are truncated."""
    from tensordict import TensorDict

    terminated, truncated = draw.flags(0.2, ROWS, 1), draw.flags(0.2, ROWS, 1)
    after = {
        "observation": draw.normal(ROWS, 3),
        "reward": draw.normal(ROWS, 1),
        "terminated": terminated,
        "truncated": truncated,
        "done": terminated | truncated,
    }
    action = draw.normal(ROWS, 1).clamp(-1, 1)
    return TensorDict({"observation": draw.normal(ROWS, 3), "action": action, "next": after}, [ROWS])


def networks(run: SimpleNamespace) -> dict[str, torch.nn.Module]:
    """All six by name: those that learn, and after each the target that follows it."""
    pairs = {"the actor": (run.actor, run.target_actor)}
    for place, word in enumerate(ORDINAL):
        pairs[f"the {word} critic"] = (run.critics[place], run.target_critics[place])
    named = {}
    for name, (online, target) in pairs.items():
        named |= {name: online, f"the target of {name}": target}
    return named


def weights(run: SimpleNamespace) -> dict[str, torch.Tensor]:
    return {name: flat(network.parameters()) for name, network in networks(run).items()}


def value(critic: torch.nn.Module, observation: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
    return critic.module(observation, action)


def act(actor: torch.nn.Module, observation: torch.Tensor) -> torch.Tensor:
    from tensordict import TensorDict

    return actor(TensorDict({"observation": observation}, observation.shape[:1]))["action"]


def examine(update: Callable[[Any, Any], Any], draw: Draw) -> str:
    """The first thing that is wrong with an update of TD3, or ""."""
    run = tiny_run(draw)
    left: dict[str, list[tuple[str, torch.Tensor]]] = {}  # gradients that a `zero_grad` should have removed
    smoothing = []
    for number in range(1, 2 * run.actor_every + 2):
        batch, run.updates = transitions(draw), number
        before, given = copy.deepcopy(run), batch.clone()
        run.questions.asked.clear()
        run.critic_optimiser.steps = run.actor_optimiser.steps = 0
        update(run, batch)
        asked = list(run.questions.asked)
        try:
            if run.updates != number:
                return f"`run.updates` was {number} before your update and is {run.updates} after it. The loop counts."
            words = (
                about_moving(before, run, number)
                or about_questions(before, given, asked)
                or about_critics(before, run, given, asked, left, number)
                or about_actor(before, run, given, left, number)
                or about_targets(before, run, number)
            )
        except (AttributeError, KeyError, TypeError) as error:
            return f"After your update the parts in `run` cannot be read any more ({type(error).__name__}: {error})."
        if words:
            return words
        noise = noise_of(before, given, asked)
        if smoothing and torch.isclose(noise, smoothing[-1], atol=1e-5).float().mean() > 0.5:
            return "The noise around the next action is the same in two updates. Draw it anew each time."
        smoothing.append(noise)
    return ""


# --- what moved at all ------------------------------------------------------------------------------------------------


def about_moving(before: SimpleNamespace, run: SimpleNamespace, number: int) -> str:
    was, now = weights(before), weights(run)
    still = [word for word in ORDINAL if torch.equal(was[f"the {word} critic"], now[f"the {word} critic"])]
    if len(still) == 2:
        if any(weight.grad is not None for critic in run.critics for weight in critic.parameters()):
            return "The critics have gradients, and not one of their weights has moved: the step is missing."
        return "After your update no weight of the critics has moved, and none has a gradient."
    if still:
        return f"The {still[0]} critic has not moved at update {number}. Both learn from the same target."
    if run.critic_optimiser.steps != 1:
        times = run.critic_optimiser.steps
        return (
            f"The critics have moved, and `run.critic_optimiser` made {times} steps at update {number}. It makes one."
        )
    return ""


# --- what the target critics were asked -------------------------------------------------------------------------------


def asked_actions(batch: Any, asked: list[tuple[int, torch.Tensor]]) -> dict[int, torch.Tensor]:
    """The action each target critic was asked about, of the questions about all next observations.

    With `vmap`, one module is called for both of them: what it was asked, both were asked.
    """
    found = {}
    for critic, question in asked:
        if question.shape == (ROWS, 4) and torch.equal(question[:, :3], batch["next", "observation"]):
            found[critic] = question[:, 3:]
    return {critic: found.get(critic, action) for action in found.values() for critic in (0, 1)}


def noise_of(before: SimpleNamespace, batch: Any, asked: list[tuple[int, torch.Tensor]]) -> torch.Tensor:
    actions = asked_actions(batch, asked)
    return actions[0] - act(before.target_actor, batch["next", "observation"])


def about_questions(before: SimpleNamespace, batch: Any, asked: list[tuple[int, torch.Tensor]]) -> str:
    if not asked:
        return (
            "The target critics were not asked anything. Critics that learn from what they say themselves chase their "
            "own tail: the target comes from `run.target_critics`."
        )
    actions = asked_actions(batch, asked)
    if not actions:
        shapes = sorted({tuple(question.shape) for _, question in asked})
        return (
            f"The target critics were asked about something else than the {ROWS} *next* observations with an action "
            f"for each (what came to their networks had shape {', '.join(map(str, shapes))})."
        )
    if not torch.equal(actions[0], actions[1]):
        return "The two target critics were asked about different actions. Draw the noise once, and ask both."
    with torch.no_grad():
        follower = act(before.target_actor, batch["next", "observation"])
        leader = act(before.actor, batch["next", "observation"])
    return about_noise(before, actions[0], follower, leader)


def about_noise(before: SimpleNamespace, action: torch.Tensor, follower: torch.Tensor, leader: torch.Tensor) -> str:
    noise, limit = action - follower, before.clip + 1e-5
    outside = action[(action < before.low - 1e-5) | (action > before.high + 1e-5)]
    if (noise.abs() > limit).any() and ((action - leader).abs() <= limit).all():
        return "The next action comes from `run.actor`. The target asks the slow one, `run.target_actor`."
    if torch.allclose(noise, torch.zeros_like(noise), atol=1e-6):
        return (
            "The target critics were asked about exactly what the target actor does. Smoothing asks about actions "
            "around it: noise is missing."
        )
    if outside.numel():
        worst = outside[outside.abs().argmax()].item()
        return (
            "A target critic was asked about an action that does not exist: cut the sum off, too. It was "
            f"{worst:.2f}; actions go from {before.low:.2f} to {before.high:.2f}."
        )
    if (noise.abs() > limit).any():
        return (
            f"The noise on the next action is to be cut off at `run.clip`. That is {before.clip:.2f}, and noise of "
            f"{noise.abs().max().item():.2f} was seen."
        )
    inside = (follower - before.clip > before.low) & (follower + before.clip < before.high)
    free = noise[inside]
    if free.std() < 1e-4:
        return f"All {ROWS} next actions got the same noise. Each transition draws a number of its own."
    if free.mean().abs() > 5 * before.noise / free.numel() ** 0.5:
        return f"The mean of the noise is {free.mean().item():+.2f}. It goes both ways: standard normal numbers."
    draws = (torch.randn(20_000) * before.noise).clamp(-before.clip, before.clip)
    if not 0.8 < free.std() / draws.std() < 1.25:
        return (
            f"The noise (cut off) spreads by {free.std().item():.2f} where standard normal numbers times `run.noise` "
            f"spread by {draws.std().item():.2f}."
        )
    return ""


# --- where the critics went -------------------------------------------------------------------------------------------


def about_critics(
    before: SimpleNamespace,
    run: SimpleNamespace,
    batch: Any,
    asked: list[tuple[int, torch.Tensor]],
    left: dict[str, list[tuple[str, torch.Tensor]]],
    number: int,
) -> str:
    was, now = weights(before), weights(run)
    action = asked_actions(batch, asked)[0]
    wanted = critic_gradients(before, batch, targets(before, batch, action)["right"])
    went = [(was[f"the {word} critic"] - now[f"the {word} critic"]) / RATE for word in ORDINAL]
    climbing = gradient_of_climbing(before, batch)
    for place, word in enumerate(ORDINAL):
        name = f"the {word} critic"
        if alike(went[place], wanted[place]):
            left[name] = [("the update before", wanted[place])]
            if number % before.actor_every == 0 and place == 0:
                late = SimpleNamespace(actor=before.actor, critics=run.critics)
                left[name] += [("the actor", climbing), ("the actor", gradient_of_climbing(late, batch))]
            continue
        if place == 0 and alike(went[0], wanted[0] + climbing):
            return ACTOR_MOVES_CRITIC
        for source, gradient_left in left.get(name, []):
            if alike(went[place], wanted[place] + gradient_left, 0.02):
                return ACTOR_MOVES_CRITIC if source == "the actor" else still_there(name, number)
        return about_target(before, batch, action, went) or about_way(name, went[place], wanted[place], number)
    return ""


ACTOR_MOVES_CRITIC = (
    "The actor's loss has moved the first critic, too: it was made better by flattery. The gradient that the actor's "
    "loss leaves in the critics must not reach their optimiser."
)


def still_there(name: str, number: int) -> str:
    return (
        f"At update {number} {name} also went along a gradient of the update before. Gradients add up until "
        "`zero_grad` removes them."
    )


def about_way(name: str, went: torch.Tensor, wanted: torch.Tensor, number: int) -> str:
    factor, parallel, cosine = compare(went, wanted)
    if parallel:
        return (
            f"The gradient of {name} is {factor:.2g} times that of the mean squared error between its value and the "
            "target."
        )
    return (
        f"At update {number} {name} did not go down the mean of (its value - target) squared: its way and that "
        f"gradient have a cosine of {cosine:.2f}."
    )


def critic_gradients(before: SimpleNamespace, batch: Any, target: Any) -> list[torch.Tensor]:
    """Of each critic's mean squared error; `target` is one for both, or one for each."""
    each = target if isinstance(target, list) else [target, target]
    found = []
    for critic, goal in zip(before.critics, each, strict=True):
        error = value(critic, batch["observation"], batch["action"]) - goal
        found.append(gradient((error**2).mean(), critic.parameters()))
    return found


def targets(before: SimpleNamespace, batch: Any, action: torch.Tensor) -> dict[str, Any]:
    """The right target, and those of known mistakes."""
    after = batch["next"]
    with torch.no_grad():
        values = torch.stack([value(critic, after["observation"], action) for critic in before.target_critics])

    def goal(believed: torch.Tensor, ends: torch.Tensor = after["terminated"], gamma: float = before.gamma) -> Any:
        return after["reward"] + gamma * believed * ~ends

    right = goal(values.amin(0))
    return {
        "right": right,
        "larger": goal(values.amax(0)),
        "mean": goal(values.mean(0)),
        "own": [goal(values[0]), goal(values[1])],
        "each the other's": [goal(values[1]), goal(values[0])],
        "first": goal(values[0]),
        "second": goal(values[1]),
        "smallest of all": goal(values.min()),
        "done": goal(values.amin(0), after["done"]),
        "truncated": goal(values.amin(0), after["truncated"]),
        "never ends": goal(values.amin(0), torch.zeros_like(after["done"])),
        "ends where it goes on": goal(values.amin(0), ~after["terminated"]),
        "no gamma": goal(values.amin(0), gamma=1.0),
        "no reward": right - after["reward"],
        "broadcast": right.mean(),
    }


SAID = {
    "larger": "The target is the larger value of the two target critics. Mistrust takes the smaller.",
    "mean": "The target is the mean of the two target critics' values. Mistrust takes the smaller.",
    "own": "Each critic learns from its own target critic. Both learn from one target, the smaller value of the two.",
    "each the other's": "Each critic learns from the other's target critic. Both learn from the smaller value.",
    "first": "Both critics learn from the first target critic alone. The target is the smaller value of the two.",
    "second": "Both critics learn from the second target critic alone. The target is the smaller value of the two.",
    "smallest of all": "Your target takes the smallest value of the whole batch. Compare the two for each transition.",
    "done": "Your target stops at every `done`. A clock that runs out is not the end of the world: ask `terminated`.",
    "truncated": "Your target stops after `truncated`, and goes on after `terminated`. It is the other way round.",
    "never ends": "Your target goes on after a `terminated` step. Nothing follows there.",
    "ends where it goes on": "Your target has a future after `terminated` steps alone. Turn the flag round.",
    "no gamma": "Your target does not discount the next value by `run.gamma`.",
    "no reward": "The reward is missing in your target.",
    "broadcast": (
        "Each value was compared with the targets of all transitions, not with its own: shapes [batch, 1] and [batch] "
        "spread out to [batch, batch]."
    ),
}


def about_target(before: SimpleNamespace, batch: Any, action: torch.Tensor, went: list[torch.Tensor]) -> str:
    for name, goal in targets(before, batch, action).items():
        if name == "right":
            continue
        theirs = critic_gradients(before, batch, goal)
        if all(alike(way, wish) for way, wish in zip(went, theirs, strict=True)):
            return SAID[name]
    overwritten = batch.clone().set("action", act(before.actor, batch["observation"]).detach())
    theirs = critic_gradients(before, overwritten, targets(before, batch, action)["right"])
    if all(alike(way, wish) for way, wish in zip(went, theirs, strict=True)):
        return (
            "The critics learn about what the actor does now, not about the action that was played. A module writes "
            "its `action` over the one in the batch: give it a copy."
        )
    return ""


# --- where the actor went ---------------------------------------------------------------------------------------------


def climbs(critic: torch.nn.Module, actor: torch.nn.Module, batch: Any) -> torch.Tensor:
    """The gradient of minus a critic's mean value of what the actor does, for the actor."""
    return gradient(-value(critic, batch["observation"], act(actor, batch["observation"])).mean(), actor.parameters())


def gradient_of_climbing(before: SimpleNamespace, batch: Any) -> torch.Tensor:
    """What the actor's loss would do to the first critic."""
    said = act(before.actor, batch["observation"]).detach()
    return gradient(-value(before.critics[0], batch["observation"], said).mean(), before.critics[0].parameters())


def about_actor(
    before: SimpleNamespace,
    run: SimpleNamespace,
    batch: Any,
    left: dict[str, list[tuple[str, torch.Tensor]]],
    number: int,
) -> str:
    was, now = weights(before)["the actor"], weights(run)["the actor"]
    moved, turn = not torch.equal(was, now), number % before.actor_every == 0
    if moved and not turn:
        return (
            "The actor waits for its turn, `run.actor_every`, so that the critics can settle. Here that is "
            f"{before.actor_every}, and it has moved at update {number}."
        )
    if not turn:
        return ""
    if not moved:
        return (
            f"The actor has not moved at its turn. `run.actor_every` is {before.actor_every}, and this was update "
            f"{number}."
        )
    went = (was - now) / RATE
    # Before the critics' step or after it: papers do the one, the lesson's loop the other.
    rights = [climbs(parts.critics[0], before.actor, batch) for parts in (before, run)]
    if any(alike(went, right) for right in rights):
        left["the actor"] = [("the update before", went)]
        return ""
    if any(alike(went, -right) for right in rights):
        return "The actor goes *down* its critic: an optimiser makes small, so give it minus the value."
    for _, rest in left.get("the actor", []):
        if any(alike(went, right + rest, 0.02) for right in rights):
            return still_there("the actor", number)
    for parts in (before, run):
        if words := about_climbed(before, parts, batch, went):
            return words
    return about_actors_way(went, rights[1], number)


def about_climbed(before: SimpleNamespace, parts: SimpleNamespace, batch: Any, went: torch.Tensor) -> str:
    if alike(went, climbs(parts.critics[1], before.actor, batch)):
        return "The actor climbs the second critic. In TD3 it climbs the first."
    if any(alike(went, climbs(critic, before.actor, batch)) for critic in parts.target_critics):
        return "The actor climbs a target critic. It climbs the first of those that learn, `run.critics[0]`."
    said = act(before.actor, batch["observation"])
    both = torch.stack([value(critic, batch["observation"], said) for critic in parts.critics])
    if alike(went, gradient(-both.amin(0).mean(), before.actor.parameters())):
        return (
            "The actor climbs the smaller value of the two critics, as SAC's does. In TD3 it climbs the first critic."
        )
    mean = gradient(-both.mean(), before.actor.parameters())
    if alike(went, mean) or alike(went, 2 * mean):
        return "The actor climbs both critics at once. In TD3 it climbs the first."
    if alike(went, climbs(parts.critics[0], before.actor, batch["next"])):
        return "The actor is asked about the *next* observations. It learns what to do at the present ones."
    return ""


def about_actors_way(went: torch.Tensor, wanted: torch.Tensor, number: int) -> str:
    factor, parallel, cosine = compare(went, wanted)
    if parallel:
        return f"The actor's gradient is {factor:.2g} times that of minus the mean value of the first critic."
    return (
        f"At update {number} the actor did not climb the first critic's mean value of what the actor does: its way and "
        f"that gradient have a cosine of {cosine:.2f}."
    )


# --- where the targets went -------------------------------------------------------------------------------------------


def about_targets(before: SimpleNamespace, run: SimpleNamespace, number: int) -> str:
    was, now, tau = weights(before), weights(run), before.tau
    for name in ("the first critic", "the second critic", "the actor"):
        target = f"the target of {name}"
        gone, way, old_way = now[target] - was[target], now[name] - was[target], was[name] - was[target]
        if alike(gone, tau * way, 1e-3):
            continue
        said = target[0].upper() + target[1:]
        if not gone.any():
            return f"{said} has not moved at update {number}. All three targets follow at each update."
        if alike(gone, tau * old_way, 1e-3):
            return f"{said} went to where {name} was *before* its step. First the optimisers, then the targets."
        if alike(gone, way, 1e-3):
            return f"{said} was copied whole. It goes the share `run.tau` of the way."
        if alike(gone, (1 - tau) * way, 1e-3):
            return (
                "A target keeps the share `run.tau` of itself, and takes over the rest. It is the other way round. "
                f"(Seen with {target}.)"
            )
        share = (gone @ way / (way @ way)).item()
        return f"{said} went {share:.2f} of the way to {name} at update {number}; `run.tau` is {tau:.2f}."
    return ""
