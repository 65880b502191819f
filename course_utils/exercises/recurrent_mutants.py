"""Exercise 11.6's right answer in parts, and wrong ones: each swaps one part for what learners write in its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from course_utils.exercises.exercise import Mutant
from course_utils.exercises.recurrent_round import WHAT_WENT_WRONG


def cleared(memory: torch.Tensor, is_init: torch.Tensor) -> torch.Tensor:
    return memory * ~is_init


def drawn(logits: torch.Tensor) -> torch.Tensor:
    return torch.distributions.Categorical(logits=logits).sample()


def each_for_itself(env: Any, now: Any) -> tuple[Any, Any]:
    return env.step_and_maybe_reset(now)


def play(env: Any, cell: Any, head: Any, steps: int, clear: Callable, choose: Callable, go_on: Callable) -> list[tuple]:
    """What is known of each step: the log-probability of its action, its reward, and whether its episode ended."""
    now, memory, known = env.reset(), torch.zeros(*env.batch_size, cell.hidden_size), []
    for _ in range(steps):
        memory = cell(now["observation"], clear(memory, now["is_init"]))
        logits = head(memory)
        action = choose(logits)
        log_prob = torch.distributions.Categorical(logits=logits).log_prob(action)
        step, now = go_on(env, now.set("action", action))
        known.append((log_prob, step["next", "reward"].squeeze(-1), step["next", "done"].squeeze(-1)))
    return known


def to_come(reward: torch.Tensor, done: torch.Tensor) -> torch.Tensor:
    """The return from each step on, [steps, copies]."""
    rows, later = [], torch.zeros_like(reward[0])
    for gained, over in zip(reward.flip(0), done.flip(0), strict=True):
        later = gained + later * ~over
        rows.append(later)
    return torch.stack(rows[::-1])


def ended(done: torch.Tensor) -> torch.Tensor:
    return done.flip(0).cumsum(0).flip(0) > 0


def masked_mean(log_prob: torch.Tensor, returns: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return -(log_prob * returns)[mask].mean()


def learn(optimiser: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def build(
    clear: Callable = cleared,
    choose: Callable = drawn,
    returns: Callable = to_come,
    mask: Callable = ended,
    loss: Callable = masked_mean,
    update: Callable = learn,
    go_on: Callable = each_for_itself,
) -> Callable[..., None]:
    """A round, `play_and_learn(env, cell, head, optimiser, steps)`, from its parts."""

    def play_and_learn(env: Any, cell: Any, head: Any, optimiser: Any, steps: int) -> None:
        rows = play(env, cell, head, steps, clear, choose, go_on)
        log_prob, reward, done = (torch.stack(part) for part in zip(*rows, strict=True))
        update(optimiser, loss(log_prob, returns(reward, done), mask(done)))

    return play_and_learn


# --- what learners write in the place of a part -----------------------------------------------------------------------


def forget_together(memory: torch.Tensor, is_init: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(memory) if is_init.any() else memory


def detached(memory: torch.Tensor, is_init: torch.Tensor) -> torch.Tensor:
    return memory.detach() * ~is_init


def over_ends(reward: torch.Tensor, done: torch.Tensor) -> torch.Tensor:
    return reward.flip(0).cumsum(0).flip(0)


def divided_by_all(log_prob: torch.Tensor, returns: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return -(log_prob * returns * mask).mean()


def downhill(log_prob: torch.Tensor, returns: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return (log_prob * returns)[mask].mean()


def without_returns(log_prob: torch.Tensor, returns: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return -log_prob[mask].mean()


def adding_up(optimiser: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    loss.backward()
    optimiser.step()


def step_only(env: Any, now: Any) -> tuple[Any, Any]:
    from torchrl.envs.utils import step_mdp

    step = env.step(now)
    return step, step_mdp(step)


def reset_all(env: Any, now: Any) -> tuple[Any, Any]:
    step, later = step_only(env, now)
    return step, env.reset() if step["next", "done"].any() else later


MUTANTS = [
    Mutant(
        "never forgets",
        build(clear=lambda memory, is_init: memory),
        "The memory of one episode leaks into the next: clear it where `is_init` is True.",
    ),
    Mutant(
        "never carried",
        build(clear=lambda memory, is_init: torch.zeros_like(memory)),
        "The memory is not carried: the cell begins with zeros in the middle of an episode.",
    ),
    Mutant(
        "all forget together",
        build(clear=forget_together),
        "When one copy begins an episode, others forget, too. Clear the memory copy by copy.",
    ),
    Mutant("cut off", build(clear=detached), WHAT_WENT_WRONG["detached"]),
    Mutant(
        "plays on after the end",
        build(go_on=step_only),
        "Copies were played on after their episode was over. They begin a new one: `step_and_maybe_reset`.",
    ),
    Mutant(
        "resets all",
        build(go_on=reset_all),
        "All copies were reset together, in the middle of the episodes of others. Each begins anew for itself: "
        "`step_and_maybe_reset`.",
    ),
    Mutant(
        "always the likelier one",
        build(choose=lambda logits: logits.argmax(-1)),
        "Every action was the likelier one. Who never tries the other learns nothing about it: draw the action from "
        "the distribution.",
    ),
    Mutant(
        "any action",
        build(choose=lambda logits: torch.randint(0, 2, logits.shape[:-1])),
        "The actions do not follow the head's two numbers: draw them from `Categorical(logits=...)`.",
    ),
    Mutant("no mask", build(mask=torch.ones_like), WHAT_WENT_WRONG["no mask"]),
    Mutant("padding in the mean", build(loss=divided_by_all), WHAT_WENT_WRONG["padding in the mean"]),
    Mutant("ends left out", build(mask=lambda done: ended(done) & ~done), WHAT_WENT_WRONG["ends left out"]),
    Mutant("returns cross ends", build(returns=over_ends), WHAT_WENT_WRONG["over ends"]),
    Mutant("the step's reward", build(returns=lambda reward, done: reward), WHAT_WENT_WRONG["reward"]),
    Mutant("no returns", build(loss=without_returns), WHAT_WENT_WRONG["reinforce without return"]),
    Mutant("uphill", build(loss=downhill), WHAT_WENT_WRONG["uphill"]),
    Mutant(
        "gradients add up",
        build(update=adding_up),
        "Gradients of the round before are still in this one: they add up until `zero_grad` removes them.",
    ),
    Mutant(
        "nothing is learned",
        build(update=lambda optimiser, loss: loss.backward()),
        "No weight of the cell has moved in round 1.",
    ),
]
