"""Exercise 8.6: an update of PPO, judged at each step of its optimiser by the frames and the gradient it used."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from course_utils.exercises.exercise import Draw
from course_utils.exercises.plain_descent import alike, compare, gradient
from course_utils.exercises.ppo_parts import (
    FRAMES,
    MINIBATCH,
    SIZES,
    Watched,
    frames_of,
    rows_of,
    tiny_run,
    twin_of,
    watch,
)


def examine(update: Callable[[Any, Any], Any], draw: Draw) -> str:
    """The first thing that is wrong with an update of PPO, or ""."""
    return (
        about_steps(update, draw)
        or about_norm(update, draw)
        or about_stop(update, draw)
        or about_other_policy(update, draw)
    )


def about_steps(update: Callable, draw: Draw) -> str:
    """Ratios beyond both sides of the clip range from the first step on, nothing to shorten and nothing to stop."""
    run = tiny_run(draw)
    sides = torch.tensor([0.7, -0.7, 0.7, -0.7, 0.0]).repeat(FRAMES)[:FRAMES]
    watched = watch(update, run, frames_of(draw, run, sides + 0.05 * draw.normal(FRAMES)))
    words = about_moving(watched) or about_frames(watched)
    if words:
        return words
    epochs = epochs_of(watched)
    made, wanted = len(epochs), watched.run.epochs
    if made != wanted:
        if made < wanted:
            return (
                f"Your update went through the frames {times(made)}; `run.epochs` is {wanted}, and the KL was below "
                "`run.max_kl`."
            )
        return f"Your update went through the frames {times(made)}; `run.epochs` is {wanted}."
    return about_order(epochs) or about_gradients(watched) or about_batch(watched)


def times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


# --- what moved at all ------------------------------------------------------------------------------------------------


def about_moving(watched: Watched) -> str:
    if not watched.steps:
        if not torch.equal(watched.start, watched.end):
            return "The networks have moved, and `run.optimiser` made no step. Let it make them: it is theirs."
        if watched.left.any():
            return "The weights have gradients, and `run.optimiser` made no step."
        return "After your update no weight has moved, and `run.optimiser` made no step."
    if not watched.steps[0].gradient.any():
        return (
            "At the first step of `run.optimiser` all gradients were 0. In this order: `zero_grad`, `backward`, `step`."
        )
    ends = [*(step.before for step in watched.steps[1:]), watched.end]
    if any(not torch.equal(step.after, following) for step, following in zip(watched.steps, ends, strict=True)):
        return "Weights have moved between two steps of `run.optimiser`. Nothing but its steps should move them."
    step = watched.steps[0]
    if not alike(step.before - step.after, watched.rate * step.gradient):
        return "The first step did not go as far as the optimiser's learning rate says. Leave its settings as they are."
    return ""


# --- which frames each step used --------------------------------------------------------------------------------------


def about_frames(watched: Watched) -> str:
    """Whether each step used a minibatch, and each epoch all frames once."""
    for number, rows in enumerate(rows_of(watched), start=1):
        if rows is None:
            return (
                f"Before step {number} of `run.optimiser` the actor was not asked about any frames. Each minibatch is "
                "one step, for actor and critic together."
            )
        if (rows < 0).any():
            return f"Before step {number} the actor was asked about observations that are not in the frames."
        if len(rows) == FRAMES:
            return (
                f"Step {number} used all {FRAMES} frames at once. Cut them into minibatches of {MINIBATCH}, "
                "`run.minibatch`."
            )
        if len(rows) > MINIBATCH:
            return f"Step {number} used {len(rows)} frames; `run.minibatch` is {MINIBATCH}."
        if len(set(rows.tolist())) < len(rows):
            return f"Step {number} used a frame twice. {ONCE}"
    for number, epoch in enumerate(epochs_of(watched), start=1):
        words = about_epoch(number, sum(map(len, epoch)), sorted(map(len, epoch), reverse=True))
        if words:
            return words
    return ""


def about_epoch(number: int, used: int, sizes: list[int]) -> str:
    if sizes == SIZES[:-1]:
        return (
            f"{FRAMES - used} frames were not used in epoch {number}: the last minibatch is smaller than the others, "
            "and you drop it."
        )
    if used < FRAMES:
        return f"In epoch {number} {used} of {FRAMES} frames were used, and then one came again or the end came. {ONCE}"
    if sizes != SIZES:
        return (
            f"The minibatches of epoch {number} hold {', '.join(map(str, sizes))} frames. With `run.minibatch` = "
            f"{MINIBATCH} they hold {', '.join(map(str, SIZES))}."
        )
    return ""


ONCE = "In an epoch each frame comes once before any comes again."


def epochs_of(watched: Watched) -> list[list[torch.Tensor]]:
    """The frames of each step, by epochs: a new one begins where a frame comes again."""
    epochs, used = [], set(range(FRAMES))
    for rows in rows_of(watched):
        if used & set(rows.tolist()):
            epochs.append([])
            used = set()
        epochs[-1].append(rows)
        used |= set(rows.tolist())
    return epochs


def about_order(epochs: list[list[torch.Tensor]]) -> str:
    cuts = [{frozenset(rows.tolist()) for rows in epoch} for epoch in epochs]
    if all(rows.max() - rows.min() == len(rows) - 1 for rows in epochs[0]):
        return "The minibatches are neighbours: the frames come in the order of the batch. Shuffle them."
    if any(one == other for one, other in zip(cuts, cuts[1:], strict=False)):
        return "Two epochs cut the same minibatches. Shuffle anew in each epoch."
    return ""


# --- the gradient of each step ----------------------------------------------------------------------------------------


def normalised(advantage: torch.Tensor, unbiased: bool = True) -> torch.Tensor:
    return (advantage - advantage.mean()) / advantage.std(unbiased=unbiased)


def clipped(ratio: torch.Tensor, advantage: torch.Tensor, low: float, high: float) -> torch.Tensor:
    return -torch.min(ratio * advantage, ratio.clamp(low, high) * advantage).mean()


def right_losses(watched: Watched, weights: torch.Tensor, part: Any) -> list[torch.Tensor]:
    """The total loss of a minibatch; with either formula of the spread."""
    logits, values = watched.asked(weights, part)
    chosen = torch.distributions.Categorical(logits=logits)
    ratio = (chosen.log_prob(part["action"]) - part["action_log_prob"]).exp()
    advantage, run = part["advantage"].squeeze(-1), watched.run
    rest = run.critic_coeff * ((values - part["value_target"].squeeze(-1)) ** 2).mean()
    rest = rest - run.entropy_coeff * chosen.entropy().mean()
    low, high = 1 - run.clip, 1 + run.clip
    return [rest + clipped(ratio, normalised(advantage, formula), low, high) for formula in (True, False)]


def right_gradients(watched: Watched, weights: torch.Tensor, part: Any) -> list[torch.Tensor]:
    return [gradient(loss, watched.leaves()) for loss in right_losses(watched, weights, part)]


def about_gradients(watched: Watched) -> str:
    """Each step went down the total loss of its own minibatch."""
    for number, (step, rows) in enumerate(zip(watched.steps, rows_of(watched), strict=True), start=1):
        wanted = right_gradients(watched, step.before, watched.frames[rows])
        if any(both_alike(watched, step.gradient, one) for one in wanted):
            continue
        if number > 1:
            before = watched.steps[number - 2].gradient
            if any(both_alike(watched, step.gradient, one + before) for one in wanted):
                return (
                    f"At step {number} the gradient of the step before is in it, too. Gradients add up until "
                    "`zero_grad` removes them."
                )
        return about_way(watched, number, wanted[0])
    return ""


def both_alike(watched: Watched, found: torch.Tensor, wanted: torch.Tensor) -> bool:
    return all(alike(*pair) for pair in zip(watched.parts(found), watched.parts(wanted), strict=True))


def about_way(watched: Watched, number: int, wanted: torch.Tensor) -> str:
    step = watched.steps[number - 1]
    went_actor, went_critic = watched.parts(step.gradient)
    want_actor, want_critic = watched.parts(wanted)
    if both_alike(watched, step.gradient, -wanted):
        return "Your update goes *up* the loss."
    factor, _, _ = compare(step.gradient, wanted)
    if both_alike(watched, step.gradient, factor * wanted):
        return (
            f"The gradient of step {number} is {factor:.2g} times that of the loss that the text describes. "
            "(`run.max_norm` was so large that there was nothing to shorten.)"
        )
    if not alike(went_actor, want_actor):
        found = mistake(watched, number, wrong_actor_losses, 0)
        if found:
            return found
        if watched.notes.drawn:
            return (
                "The gradient is not that of the actions in the frames, and `run.actor(...)` was called, which draws "
                "new actions over them. `run.actor.get_dist(part).log_prob(part['action'])` asks about those taken."
            )
        return about_length("actor", number, went_actor, want_actor)
    return mistake(watched, number, wrong_critic_losses, 1) or about_length("critic", number, went_critic, want_critic)


def mistake(watched: Watched, number: int, losses: Callable, place: int) -> str:
    """What is said of the loss whose gradient a network used at this step and, of several, at most of the first steps.

    `place` is 0 for the actor and 1 for the critic. In one minibatch two mistakes may come to the same.
    """
    steps = dict(enumerate(zip(watched.steps, rows_of(watched), strict=True), start=1))
    fitting: dict[int, set[str]] = {}
    for one in {number, *range(1, len(SIZES) + 1)}:
        step, rows = steps[one]
        went = watched.parts(step.gradient)[place]
        tried = losses(watched, step.before, watched.frames[rows])
        slopes = {name: watched.parts(gradient(loss, watched.leaves()))[place] for name, loss in tried.items()}
        fitting[one] = {name for name, slope in slopes.items() if alike(went, slope)}
    names = [name for name in SAID if name in fitting[number]]
    return SAID[max(names, key=lambda name: sum(name in found for found in fitting.values()))] if names else ""


def about_length(name: str, number: int, went: torch.Tensor, wanted: torch.Tensor) -> str:
    factor, parallel, cosine = compare(went, wanted)
    if parallel:
        return f"At step {number} the {name}'s gradient is {factor:.2g} times that of the loss that the text describes."
    return (
        f"At step {number} the {name}'s gradient is not that of the loss that the text describes: the two have a "
        f"cosine of {cosine:.2f}."
    )


def wrong_actor_losses(watched: Watched, weights: torch.Tensor, part: Any) -> dict[str, torch.Tensor]:
    """What learners write for the actor's part of the loss, by the name of its sentence in `SAID`."""
    run, (logits, _) = watched.run, watched.asked(weights, part)
    chosen = torch.distributions.Categorical(logits=logits)
    log_prob = chosen.log_prob(part["action"])
    old, raw = part["action_log_prob"], part["advantage"].squeeze(-1)
    every, gain = watched.frames["advantage"].squeeze(-1), normalised(raw)
    ratio, low, high = (log_prob - old).exp(), 1 - run.clip, 1 + run.clip
    fresh = (log_prob - log_prob.detach()).exp()
    surrogates = {
        "not normalised": clipped(ratio, raw, low, high),
        "normalised over the batch": clipped(ratio, (raw - every.mean()) / every.std(), low, high),
        "only centred": clipped(ratio, raw - raw.mean(), low, high),
        "only scaled": clipped(ratio, raw / raw.std(), low, high),
        "old recomputed": clipped(fresh, gain, low, high),
        "upside down": clipped(1 / ratio, gain, low, high),
        "no exp": clipped(log_prob - old, gain, low, high),
        "max": -torch.max(ratio * gain, ratio.clamp(low, high) * gain).mean(),
        "not clipped": -(ratio * gain).mean(),
        "always clipped": -(ratio.clamp(low, high) * gain).mean(),
        "clipped above": clipped(ratio, gain, 0, high),
        "clipped below": clipped(ratio, gain, low, math.inf),
        "0.2": clipped(ratio, gain, 0.8, 1.2),
        "uphill": -clipped(ratio, gain, low, high),
        "broadcast": clipped(ratio, gain[:, None], low, high),
        "none": torch.zeros(()),
    }
    right, entropy = clipped(ratio, gain, low, high), chosen.entropy().mean()
    bonuses = {
        "entropy missing": 0 * entropy,
        "entropy punished": -run.entropy_coeff * entropy,
        "entropy whole": entropy,
        "entropy of the actions taken": -run.entropy_coeff * log_prob.mean(),
    }
    losses = {name: loss - run.entropy_coeff * entropy for name, loss in surrogates.items()}
    return losses | {name: right - bonus for name, bonus in bonuses.items()}


def wrong_critic_losses(watched: Watched, weights: torch.Tensor, part: Any) -> dict[str, torch.Tensor]:
    """As `wrong_actor_losses`, for the critic's part."""
    _, values = watched.asked(weights, part)
    target, share = part["value_target"].squeeze(-1), watched.run.critic_coeff
    return {
        "value missing": 0 * values.sum(),
        "value whole": ((values - target) ** 2).mean(),
        "value broadcast": share * ((values[:, None] - target) ** 2).mean(),
        "value absolute": share * (values - target).abs().mean(),
        "value smooth": share * torch.nn.functional.smooth_l1_loss(values, target),
        "value of the advantage": share * ((values - part["advantage"].squeeze(-1)) ** 2).mean(),
    }


SAID = {
    "not normalised": "The advantages are used as they are. Give those of each minibatch the mean 0 and the spread 1.",
    "normalised over the batch": (
        "The advantages are normalised over all frames. Here it is done with those of each minibatch."
    ),
    "only centred": "The advantages are not divided by their spread.",
    "only scaled": "The mean of the advantages is not taken away before they are divided by their spread.",
    "old recomputed": (
        "Your ratio is 1 at the first step, though the frames were drawn by another policy. The old log-probability is "
        "the one that was noted, `action_log_prob`; it stands still."
    ),
    "upside down": "Your ratio is upside down: the new probability over the old one.",
    "no exp": "Your ratio is a difference of logarithms: `exp` is missing.",
    "max": "You take the larger of the two products. PPO promises itself the smaller one.",
    "not clipped": "Nothing is clipped: frames whose ratio has left the clip range still push further out.",
    "always clipped": (
        "You use the clipped ratio alone. A step in the wrong direction could not be undone: take the smaller of the "
        "two products, with and without clipping."
    ),
    "clipped above": "The ratio is clipped above only: bad actions are pushed below 1 - `run.clip` without end.",
    "clipped below": "The ratio is clipped below only: good actions are pushed above 1 + `run.clip` without end.",
    "0.2": "Your clip range is always 0.2. Here it is given: `run.clip`.",
    "uphill": "The actor makes its objective *small*: an optimiser goes down, so give it minus the objective.",
    "broadcast": (
        "Each ratio was multiplied with the advantages of all frames, not with its own: shapes [frames] and "
        "[frames, 1] spread out to [frames, frames]."
    ),
    "none": "The clipped objective does not reach the actor: only the entropy moves it.",
    "entropy missing": "The entropy bonus is missing, or has no gradient.",
    "entropy punished": "Entropy is punished: a bonus is *subtracted* from what is made small.",
    "entropy whole": "The entropy bonus is not multiplied by `run.entropy_coeff`.",
    "entropy of the actions taken": (
        "You take minus the log-probability of the actions taken for the entropy. Other actions count as well: "
        "`run.actor.get_dist(part).entropy()`."
    ),
    "value missing": "The critic does not learn: its squared error is missing in the loss, or its optimiser's step.",
    "value whole": "The critic's squared error is not multiplied by `run.critic_coeff`.",
    "value broadcast": (
        "Each value was compared with the targets of all frames, not with its own: shapes [frames, 1] and [frames] "
        "spread out to [frames, frames]."
    ),
    "value absolute": "The critic's loss is the size of its error. Take the square.",
    "value smooth": "The critic's loss is the smooth L1 loss. Take the square of the error.",
    "value of the advantage": "The critic learns the advantage. It learns `value_target`.",
}


# --- what became of the batch -----------------------------------------------------------------------------------------


def about_batch(watched: Watched) -> str:
    for key, entry in watched.frames.items():
        now = watched.now.get(key, None)
        if now is None or now.shape != entry.shape or not torch.equal(now.detach(), entry):
            return f"Your update changed `{key}` in the frames it was given. Whoever gave them may still need them."
    return ""


# --- a gradient that is too long --------------------------------------------------------------------------------------


def about_norm(update: Callable, draw: Draw) -> str:
    run = tiny_run(draw, max_norm=draw.uniform(0.05, 0.1), epochs=1)
    watched = watch(update, run, frames_of(draw, run, 0.1 * draw.normal(FRAMES)))
    words = about_moving(watched) or about_frames(watched)
    if words:
        return words
    limit = watched.run.max_norm
    for number, (step, rows) in enumerate(zip(watched.steps, rows_of(watched), strict=True), start=1):
        whole = right_gradients(watched, step.before, watched.frames[rows])
        shorter = [one * min(1.0, limit / one.norm().item()) for one in whole]
        if any(alike(step.gradient, one) for one in shorter):
            continue
        found = step.gradient.norm().item()
        if any(alike(step.gradient, one) for one in whole):
            late = watched.left.norm() <= 1.01 * limit and watched.left.any()
            return LATE if late else f"The gradient of step {number} has length {found:.2g}. {TOO_LONG}"
        apart = [torch.cat([shortened(piece, limit) for piece in watched.parts(one)]) for one in whole]
        if any(alike(step.gradient, one) for one in apart):
            return "The gradients of actor and critic are shortened apart. Shorten that of all weights together."
        if any(alike(step.gradient, one.clamp(-limit, limit)) for one in whole):
            return "Each number of the gradient is cut off on its own, which bends it. Shorten the whole: its norm."
        return (
            f"At step {number} the gradient has length {found:.2g}, where one of length {whole[0].norm():.2g} is to be "
            f"shortened to {limit:.2g}, `run.max_norm`, in its own direction."
        )
    return ""


def shortened(piece: torch.Tensor, limit: float) -> torch.Tensor:
    return piece * min(1.0, limit / piece.norm().item())


TOO_LONG = "It is to be shortened to `run.max_norm` between `backward` and `step`."
LATE = "The gradient is shortened after the step, which has used it already. First shorten, then step."


# --- where it stops ---------------------------------------------------------------------------------------------------


def log_ratios(watched: Watched, weights: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        logits, _ = watched.asked(weights, watched.frames)
        log_prob = torch.distributions.Categorical(logits=logits).log_prob(watched.frames["action"])
    return log_prob - watched.frames["action_log_prob"]


def kl(log_ratio: torch.Tensor) -> float:
    return (log_ratio.exp() - 1 - log_ratio).mean().item()


def about_stop(update: Callable, draw: Draw) -> str:
    """A policy that begins as the old one and moves away, epoch by epoch, until it is too far."""
    run = tiny_run(draw, rate=0.1, epochs=8)
    frames = frames_of(draw, run, torch.zeros(FRAMES))
    trial = watch(rehearse, twin_of(run), frames)
    far = [kl(log_ratios(trial, step.after)) for step in trial.steps[len(SIZES) - 1 :: len(SIZES)]]
    run.max_kl = math.sqrt(far[1] * far[2])
    return about_epochs(watch(update, run, frames))


def about_other_policy(update: Callable, draw: Draw) -> str:
    """Actions that have all become likelier: the mean of log old - log new is below 0, and the KL is not."""
    run = tiny_run(draw, rate=0.001)
    log_ratio = 0.9 + 0.1 * draw.normal(FRAMES)
    run.max_kl = 0.8 * kl(log_ratio)
    return about_epochs(watch(update, run, frames_of(draw, run, log_ratio)))


def rehearse(run: Any, frames: Any) -> None:
    """All epochs of a right update, without a stop."""
    for _ in range(run.epochs):
        for part in frames[torch.randperm(FRAMES)].split(MINIBATCH):
            chosen = run.actor.get_dist(part)
            ratio = (chosen.log_prob(part["action"]) - part["action_log_prob"]).exp()
            gain = normalised(part["advantage"].squeeze(-1))
            loss = clipped(ratio, gain, 1 - run.clip, 1 + run.clip) - run.entropy_coeff * chosen.entropy().mean()
            run.optimiser.zero_grad()
            loss.backward()
            run.optimiser.step()


def about_epochs(watched: Watched) -> str:
    if not watched.steps:
        return TOO_EARLY
    nameless = any(rows is None for rows in rows_of(watched))
    words = about_moving(watched) or (about_frames(watched) if nameless else "")
    if words:
        return words
    epochs, limit, last = epochs_of(watched), watched.run.max_kl, watched.run.epochs
    used = sum(map(len, epochs[-1]))
    if used < FRAMES:
        return (
            f"Your update stopped in the middle of epoch {len(epochs)}, after {used} of {FRAMES} frames. The KL is "
            "looked at after each whole epoch."
        )
    words = about_frames(watched)
    if words:
        return words
    gone = [log_ratios(watched, step.after) for step in watched.steps[len(SIZES) - 1 :: len(SIZES)]]
    far, made = [kl(one) for one in gone], len(epochs)
    wanted = stops_after(far, limit, last)
    if made == wanted:
        return ""
    plain = made == stops_after([-one.mean().item() for one in gone], limit, last)
    other = f" {PLAIN_MEAN}" if plain else ""
    if made > wanted:
        return f"{seen(wanted, far, limit)}, and another epoch followed. Stop there.{other}"
    return f"{seen(made, far, limit)}, and your update stopped, of {last} epochs. Go on until it is above.{other}"


TOO_EARLY = "The KL was above `run.max_kl` from the beginning, and your update made no step. Look *after* each epoch."
PLAIN_MEAN = "(Is yours the mean of log old - log new, which can be below 0? The estimate of exercise 8.4 is meant.)"


def stops_after(far: list[float], limit: float, epochs: int) -> int:
    """After how many epochs these distances end an update."""
    return next((number for number, one in enumerate(far, start=1) if one > limit), epochs)


def seen(epoch: int, far: list[float], limit: float) -> str:
    return f"After epoch {epoch} the KL over all frames was {far[epoch - 1]:.3g}, `run.max_kl` is {limit:.3g}"
