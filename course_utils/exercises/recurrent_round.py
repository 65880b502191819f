"""What exercise 11.6 watches: rounds of play and learning of a policy with a memory, on parts that are real but tiny.

The environment notes what is played, the recurrent cell what memory it is given, and the optimiser is plain gradient
descent, so that the way of a weight is its gradient times the learning rate.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from course_utils.exercises.exercise import Draw
from course_utils.exercises.plain_descent import CountingSGD, alike, compare, flat, gradient

COPIES, STEPS, ROUNDS = 12, 14, 3
SEEN, HIDDEN = 3, 5
RATE = 0.02


@dataclass
class Played:
    """One step of all copies: what was seen, whether it was a first step, and what came of the action."""

    observation: torch.Tensor
    is_init: torch.Tensor
    action: torch.Tensor
    reward: torch.Tensor
    done: torch.Tensor


@dataclass
class Notes:
    """What happened in a round; copies of the parts write into the same notes."""

    steps: list[Played] = field(default_factory=list)
    calls: list[tuple[int, torch.Tensor, torch.Tensor, torch.Tensor]] = field(default_factory=list)
    resets: int = 0  # of all copies at once, after the first step
    overdue: list[int] = field(default_factory=list)  # copies that were stepped though their episode was over
    shape: tuple[int, ...] = (COPIES,)  # of the last action

    def __deepcopy__(self, memo: dict) -> Notes:
        return self

    def clear(self) -> None:
        self.__init__()


class NotingCell(torch.nn.GRUCell):
    """A GRU cell that notes, at each call, how many steps were played, its input, its memory and what it wrote."""

    def __init__(self, notes: Notes) -> None:
        super().__init__(SEEN, HIDDEN)
        self.notes = notes

    def forward(self, input: torch.Tensor, hx: torch.Tensor | None = None) -> torch.Tensor:
        written = super().forward(input, hx)
        given = torch.zeros_like(written) if hx is None else hx
        self.notes.calls.append((len(self.notes.steps), *(part.detach().clone() for part in (input, given, written))))
        return written


def ragged_env(draw: Draw, notes: Notes) -> Any:
    """Copies whose episodes last 2 to 5 steps, each its own number, with a reward at every step, and `is_init`."""
    from tensordict import TensorDict
    from torchrl.data import Categorical, Composite, Unbounded
    from torchrl.envs import EnvBase, InitTracker, TransformedEnv

    class Ragged(EnvBase):
        def __init__(self) -> None:
            super().__init__(batch_size=[COPIES])
            self.observation_spec = Composite(observation=Unbounded([COPIES, SEEN]), shape=[COPIES])
            self.action_spec = Categorical(2, shape=[COPIES])
            self.reward_spec = Unbounded([COPIES, 1])
            self.first = torch.ones(COPIES, dtype=torch.bool)
            self.left = torch.zeros(COPIES, dtype=torch.long)

        def _set_seed(self, seed: int | None) -> None:
            pass

        def _reset(self, tensordict: Any = None) -> Any:
            again = torch.ones(COPIES, dtype=torch.bool)
            if tensordict is not None and "_reset" in tensordict:
                again = tensordict["_reset"].reshape(COPIES)
            else:
                notes.resets += bool(notes.steps)
            self.left = torch.where(again, draw.integers(2, 6, COPIES), self.left)
            self.first = again | self.first
            fresh = draw.normal(COPIES, SEEN)
            self.seen = torch.where(again.unsqueeze(-1), fresh, self.seen) if hasattr(self, "seen") else fresh
            over = torch.zeros(COPIES, 1, dtype=torch.bool)
            return TensorDict({"observation": self.seen, "done": over, "terminated": over.clone()}, [COPIES])

        def _step(self, tensordict: Any) -> Any:
            action = tensordict["action"]
            notes.overdue += (self.left == 0).nonzero().flatten().tolist()
            notes.shape = tuple(action.shape)
            self.left = (self.left - 1).clamp(min=0)
            reward, over = draw.normal(COPIES, 1), (self.left == 0).unsqueeze(-1)
            taken = action.detach().clone()
            notes.steps.append(Played(self.seen, self.first, taken, reward.squeeze(-1), over.squeeze(-1)))
            self.first, self.seen = torch.zeros(COPIES, dtype=torch.bool), draw.normal(COPIES, SEEN)
            after = {"observation": self.seen, "reward": reward, "done": over, "terminated": over.clone()}
            return TensorDict(after, [COPIES])

    return TransformedEnv(Ragged(), InitTracker())


@dataclass
class Parts:
    env: Any
    cell: NotingCell
    head: torch.nn.Linear
    optimiser: CountingSGD
    notes: Notes

    def weights(self) -> dict[str, torch.Tensor]:
        return {"cell": flat(self.cell.parameters()), "head": flat(self.head.parameters())}


def tiny_parts(draw: Draw) -> Parts:
    torch.manual_seed(int(draw.integers(0, 2**31, 1)))
    notes = Notes()
    cell, head = NotingCell(notes), torch.nn.Linear(HIDDEN, 2)
    head.weight.data *= 12  # so that the two actions are not equally likely
    optimiser = CountingSGD([*cell.parameters(), *head.parameters()], lr=RATE)
    return Parts(ragged_env(draw, notes), cell, head, optimiser, notes)


def examine(play_and_learn: Callable[..., Any], draw: Draw) -> str:
    """The first thing that is wrong with a round of play and learning, or ""."""
    parts = tiny_parts(draw)
    notes, before_this = parts.notes, torch.zeros(())
    surprise, spread = [], []
    for number in range(1, ROUNDS + 1):
        notes.clear()
        before, parts.optimiser.steps = parts.weights(), 0
        cell, head = copy.deepcopy((parts.cell, parts.head))
        play_and_learn(parts.env, parts.cell, parts.head, parts.optimiser, STEPS)
        words = about_play(notes) or about_memory(notes)
        if words:
            return words
        likely = log_likelihoods(cell, head, notes)
        if words := about_actions(likely, notes):
            return words
        chosen = likely.gather(-1, actions(notes).unsqueeze(-1)).squeeze(-1)
        expected = (likely.exp() * likely).sum(-1)
        surprise.append((chosen - expected).flatten())
        spread.append(((likely.exp() * likely**2).sum(-1) - expected**2).flatten())
        went = {name: (before[name] - now) / RATE for name, now in parts.weights().items()}
        if parts.optimiser.steps > 1:
            return f"The optimiser made {parts.optimiser.steps} steps in round {number}. One round, one step."
        if words := about_learning(cell, head, notes, went, before_this, number):
            return words
        before_this = torch.cat(list(went.values()))
    z = torch.cat(surprise).sum() / torch.cat(spread).sum().sqrt()
    if z.abs() > 5:
        return "The actions do not follow the head's two numbers: draw them from `Categorical(logits=...)`."
    return ""


# --- play -------------------------------------------------------------------------------------------------------------


def actions(notes: Notes) -> torch.Tensor:
    return torch.stack([step.action for step in notes.steps])


def about_play(notes: Notes) -> str:
    if not notes.steps:
        return "Nothing was played: the environment made no step."
    if notes.shape != (COPIES,):
        return (
            f"The environment was given actions of shape {list(notes.shape)}; it takes one number a copy, [{COPIES}]."
        )
    if notes.resets:
        return (
            "All copies were reset together, in the middle of the episodes of others. Each begins anew for itself: "
            "`step_and_maybe_reset`."
        )
    if notes.overdue:
        return (
            "Copies were played on after their episode was over. They begin a new one: `step_and_maybe_reset`. "
            f"(Seen in copy {notes.overdue[0]}.)"
        )
    if len(notes.steps) != STEPS:
        return f"{len(notes.steps)} steps were played; `steps` says {STEPS}."
    return ""


def while_playing(notes: Notes) -> list[tuple[torch.Tensor, ...]] | str:
    """What the cell got and wrote just before each step, or what is wrong with that."""
    rows = []
    for step in range(STEPS):
        found = [parts for played, *parts in notes.calls if played == step]
        if not found:
            return f"The cell was not called before step {step}. A memory has to see every step."
        if all(part.ndim == 1 for part in found[-1]):  # asked copy by copy
            found = [[torch.stack(part) for part in zip(*found, strict=True)]]
        rows.append(tuple(found[-1]))
    return rows


def about_memory(notes: Notes) -> str:
    rows = while_playing(notes)
    if isinstance(rows, str):
        return rows
    written = None
    for step, (seen, given, now) in enumerate(rows):
        played = notes.steps[step]
        if seen.shape != played.observation.shape or given.shape != (COPIES, HIDDEN):
            return (
                f"At step {step} the cell was given an input of shape {list(seen.shape)} and a memory of shape "
                f"{list(given.shape)}; there are {COPIES} copies."
            )
        if not torch.equal(seen, played.observation):
            return f"At step {step} the cell was given something else than the present observation."
        if words := about_given(step, given, written, played.is_init):
            return words
        written = now
    return ""


def about_given(step: int, given: torch.Tensor, written: torch.Tensor | None, is_init: torch.Tensor) -> str:
    leaks = is_init & (given != 0).any(-1)
    if leaks.any():
        where = f"(Seen in copy {leaks.nonzero()[0].item()} at step {step}.)"
        if written is None:
            return f"The memory is not zero at the start of a round. {where}"
        return f"The memory of one episode leaks into the next: clear it where `is_init` is True. {where}"
    if written is None:
        return ""
    forgets = ~is_init & (given == 0).all(-1)
    if forgets.any():
        where = f"(Seen in copy {forgets.nonzero()[0].item()} at step {step}.)"
        if forgets.sum() == (~is_init).sum() and not is_init.any():
            return f"The memory is not carried: the cell begins with zeros in the middle of an episode. {where}"
        return f"When one copy begins an episode, others forget, too. Clear the memory copy by copy. {where}"
    other = ~is_init & ((given - written).abs() > 1e-5).any(-1)
    if other.any():
        return (
            "In the middle of an episode the cell was given something else than what it wrote at the step before. "
            f"(Seen in copy {other.nonzero()[0].item()} at step {step}.)"
        )
    return ""


# --- actions and learning ---------------------------------------------------------------------------------------------


def log_likelihoods(
    cell: torch.nn.Module, head: torch.nn.Module, notes: Notes, carried: str = "within episodes"
) -> torch.Tensor:
    """Of both actions at each step, [steps, copies, 2]; `carried` says what becomes of the memory from step to step."""
    memory, rows = torch.zeros(COPIES, HIDDEN), []
    for step in notes.steps:
        if carried == "detached":
            memory = memory.detach()
        if carried == "never":
            memory = torch.zeros_like(memory)
        elif carried != "over ends":
            memory = memory * ~step.is_init.unsqueeze(-1)
        memory = torch.nn.GRUCell.forward(cell, step.observation, memory)
        rows.append(head(memory).log_softmax(-1))
    return torch.stack(rows)


def about_actions(likely: torch.Tensor, notes: Notes) -> str:
    taken = actions(notes)
    if torch.equal(taken, likely.argmax(-1)):
        return (
            "Every action was the likelier one. Who never tries the other learns nothing about it: draw the action "
            "from the distribution."
        )
    return ""


def returns(notes: Notes, over_ends: bool = False) -> torch.Tensor:
    """What is still to come in the episode of each step, [steps, copies]."""
    to_come, rows = torch.zeros(COPIES), []
    for step in reversed(notes.steps):
        to_come = step.reward + (to_come if over_ends else to_come * ~step.done)
        rows.append(to_come)
    return torch.stack(rows[::-1])


def totals(notes: Notes) -> torch.Tensor:
    """The whole return of the episode that a step belongs to, [steps, copies]."""
    result, to_go = returns(notes), torch.zeros(COPIES)
    for step, row in zip(notes.steps, result, strict=True):
        to_go = torch.where(step.is_init, row, to_go)
        row.copy_(to_go)
    return result


def finished(notes: Notes) -> torch.Tensor:
    """Whether the end of a step's episode was played, [steps, copies]."""
    done = torch.stack([step.done for step in notes.steps])
    return done.flip(0).cumsum(0).flip(0) > 0


WHAT_WENT_WRONG = {
    "no mask": "Steps whose episode did not end count in your loss. Nobody knows their return: mask them out.",
    "padding in the mean": (
        "Steps that are masked out still count in the number you divide by. The mean is over the others alone."
    ),
    "ends left out": "The last step of each episode is masked out, too. It is over, and its return is known.",
    "over ends": "A return adds up rewards of the copy's next episode. It stops at `done`.",
    "reward": "Each action is weighed with the reward of its own step. What it brought may come later: use the return.",
    "total": "Each action is weighed with the return of its whole episode. What came before it is not its merit.",
    "uphill": "The likelihood of good actions falls: an optimiser makes small, so the loss is *minus* the mean.",
    "detached": (
        "No gradient runs back through the memory: it was cut off from step to step, and nothing tells the cell what "
        "it should have kept."
    ),
    "leak": "When learning, the memory of one episode leaks into the next. Clear it where it was cleared in play.",
    "forgets": "When learning, the cell begins each step with zeros. It was trained as if it had no memory.",
    "reinforce without return": "The returns are missing: all actions that were taken become likelier, good or bad.",
}


def ways(cell: torch.nn.Module, head: torch.nn.Module, notes: Notes) -> dict[str, torch.Tensor]:
    """The right gradient, and those of known mistakes, each as one vector."""
    to_go, mask, done = returns(notes), finished(notes), torch.stack([step.done for step in notes.steps])

    def way(weight: torch.Tensor, kept: torch.Tensor = mask, carried: str = "within episodes") -> torch.Tensor:
        likely = log_likelihoods(cell, head, notes, carried)
        chosen = likely.gather(-1, actions(notes).unsqueeze(-1)).squeeze(-1)
        loss = -(chosen * weight)[kept].mean()
        return gradient(loss, [*cell.parameters(), *head.parameters()])

    right = way(to_go)
    everything = torch.ones_like(mask)
    return {
        "right": right,
        "no mask": way(to_go, everything),
        "padding in the mean": right * mask.float().mean(),
        "ends left out": way(to_go, mask & ~done),
        "over ends": way(returns(notes, over_ends=True)),
        "over ends, no mask": way(returns(notes, over_ends=True), everything),
        "reward": way(torch.stack([step.reward for step in notes.steps])),
        "total": way(totals(notes)),
        "uphill": -right,
        "detached": way(to_go, carried="detached"),
        "leak": way(to_go, carried="over ends"),
        "forgets": way(to_go, carried="never"),
        "reinforce without return": way(torch.ones_like(to_go)),
    }


def about_learning(
    cell: torch.nn.Module,
    head: torch.nn.Module,
    notes: Notes,
    went: dict[str, torch.Tensor],
    before_this: torch.Tensor,
    number: int,
) -> str:
    for name, way in went.items():
        if not way.any():
            return f"No weight of the {name} has moved in round {number}."
    way, known = torch.cat(list(went.values())), ways(cell, head, notes)
    if alike(way, known["right"]):
        return ""
    if number > 1 and alike(way, known["right"] + before_this):
        return "Gradients of the round before are still in this one: they add up until `zero_grad` removes them."
    for name, theirs in known.items():
        if name != "right" and alike(way, theirs):
            return WHAT_WENT_WRONG[name.split(",")[0]]
    factor, parallel, cosine = compare(way, known["right"])
    if parallel:
        return f"The gradient is {factor:.3g} times that of the mean over the steps of finished episodes."
    return (
        f"In round {number} the weights did not go along the gradient of the loss that was asked for: their way and "
        f"that gradient have a cosine of {cosine:.2f}."
    )
