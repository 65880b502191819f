"""What is wrong with an actor that looks at several entries and chooses several parts of an action at once."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from tensordict import TensorDict
from torchrl.envs import ExplorationType, set_exploration_type

from course_utils.exercises.exercise import Draw

DRAWS = 4000
SIZES = ([3, 4], [2, 5], [4, 2])


def examine_actor(make: Any, draw: Draw) -> str:
    """The first thing that is wrong, or "".

    Args:
        make: called as `make(sizes)`; gives a module that reads `picture`, [..., 1, rows, columns], and `mirror`,
            [..., 1], and writes `action`, [..., 2], and `action_log_prob`, [...].
        draw: makes what the actor is shown.
    """
    sizes = SIZES[draw.turn(len(SIZES))]
    actor = make(list(sizes))
    if not isinstance(actor, torch.nn.Module):
        return f"`build_actor` returned a {type(actor).__name__}. It has to return the actor, a module with weights."
    return (
        about_batches(actor, sizes, draw)
        or about_inputs(actor, sizes, draw)
        or about_drawing(actor, sizes, draw)
        or about_the_best(actor, sizes, draw)
        or about_weights(actor, sizes, draw)
    )


def seen(sizes: list[int], draw: Draw, *batch: int) -> TensorDict:
    entries = {"picture": draw.normal(*batch, 1, *sizes), "mirror": draw.flags(0.5, *batch, 1).float()}
    return TensorDict(entries, batch)


def play(actor: torch.nn.Module, td: TensorDict, kind: ExplorationType) -> TensorDict:
    with set_exploration_type(kind):
        return actor(td.clone())


def about_batches(actor: torch.nn.Module, sizes: list[int], draw: Draw) -> str:
    for batch in ((5,), (), (2, 3)):
        td = seen(sizes, draw, *batch)
        try:
            got = play(actor, td, ExplorationType.RANDOM)
        except KeyError:
            return "The actor asks for an entry that is not there: only `picture` and `mirror` are to be read."
        except Exception as error:
            if batch == (5,):
                raise
            return (
                f"With batch size {list(batch)} it fails ({type(error).__name__}: {str(error).splitlines()[0][:120]}). "
                "Keep all leading dimensions: `picture.flatten(-3)`, and join along the last one."
            )
        words = about_answer(got, td, sizes, batch)
        if words:
            return words
    return ""


def about_answer(got: Any, td: TensorDict, sizes: list[int], batch: tuple[int, ...]) -> str:
    for name, dtype, shape in (("action", torch.int64, [*batch, 2]), ("action_log_prob", torch.float32, [*batch])):
        entry = got.get(name, None)
        if entry is None:
            return f"The actor writes no `{name}`. For the log-probability: `return_log_prob=True`."
        if list(entry.shape) != shape or entry.dtype != dtype:
            return (
                f"With batch size {list(batch)}, `{name}` is {entry.dtype} of shape {list(entry.shape)}. "
                f"{'Two whole numbers, row and column' if name == 'action' else 'One number for the whole action'}: "
                f"{dtype} of shape {shape}."
            )
    if ((got["action"] < 0) | (got["action"] >= torch.tensor(sizes))).any():
        return (
            f"The parts of an action are below {sizes}. Yours go up to {got['action'].reshape(-1, 2).amax(0).tolist()}."
        )
    if not all(torch.equal(got[key], td[key]) for key in ("picture", "mirror")):
        return "The actor writes into what it reads. `picture` and `mirror` are to stay as they are."
    return ""


def table(actor: torch.nn.Module, state: TensorDict) -> dict[tuple[int, ...], tuple[float, float]]:
    """Of each action that was drawn in one state: how often, and the probability that the actor says."""
    with torch.no_grad():
        got = play(actor, state.expand(DRAWS).clone(), ExplorationType.RANDOM)
    found: dict[tuple[int, ...], list[float]] = {}
    for action, said in zip(got["action"].tolist(), got["action_log_prob"].exp().tolist(), strict=True):
        found.setdefault(tuple(action), []).append(said)
    return {action: (len(said) / DRAWS, sum(said) / len(said)) for action, said in found.items()}


def about_inputs(actor: torch.nn.Module, sizes: list[int], draw: Draw) -> str:
    state = seen(sizes, draw)
    known = table(actor, state)
    for name in ("picture", "mirror"):
        other = table(actor, state.clone().set(name, 1 - state[name]))
        both = known.keys() & other.keys()
        if both and max(abs(known[action][1] - other[action][1]) for action in both) < 1e-6:
            return f"Another `{name}` changes nothing: the actor does not look at it. It has to read both entries."
    return ""


def about_drawing(actor: torch.nn.Module, sizes: list[int], draw: Draw) -> str:
    known = table(actor, seen(sizes, draw))
    if len(known) == 1:
        return "Under `RANDOM` the actor always does the same. It has to draw."
    if max(said for _, said in known.values()) > 1 + 1e-4:
        return "`action_log_prob` is above 0, as no logarithm of a probability is. Take the logarithm."
    total = sum(said for _, said in known.values())
    if total > 1.01:
        return (
            f"The probabilities of the {len(known)} actions drawn in one state, from `action_log_prob`, add up to "
            f"{total:.2f}. The parts are drawn independently: *add* their log-probabilities, all of them."
        )
    for action, (often, said) in known.items():
        if abs(often - said) > 5 * (max(often, said) / DRAWS) ** 0.5 + 0.003:
            return (
                f"In one state {list(action)} is drawn in {often:.1%} of all cases, and `action_log_prob` says "
                f"{said:.1%}. The log-probability has to be that of the action that was drawn, from the distribution "
                "it was drawn from."
            )
    return ""


def about_the_best(actor: torch.nn.Module, sizes: list[int], draw: Draw) -> str:
    state = seen(sizes, draw)
    first = play(actor, state.expand(50).clone(), ExplorationType.DETERMINISTIC)
    if (first["action"] != first["action"][0]).any():
        return "Under `DETERMINISTIC` the actor still draws. It has to give one fixed action."
    known, best = table(actor, state), tuple(first["action"][0].tolist())
    likely = max(known, key=lambda action: known[action][1])
    if best not in known or known[best][1] < known[likely][1] - 1e-4:
        return (
            f"Under `DETERMINISTIC` the actor does {list(best)}, though {list(likely)} is more likely. Take the most "
            "likely choice of each part."
        )
    if abs(first["action_log_prob"][0].exp().item() - known[best][1]) > 1e-4:
        return "Under `DETERMINISTIC` the log-probability is not the one that the same action has when it is drawn."
    rows = seen(sizes, draw, 2, 3)
    together = play(actor, rows, ExplorationType.DETERMINISTIC)
    for place in itertools.product(range(2), range(3)):
        alone = play(actor, rows[place], ExplorationType.DETERMINISTIC)
        if not torch.equal(alone["action"], together["action"][place]):
            return "A row of a batch gets another action than it gets alone. Rows must not look at each other."
    return ""


def about_weights(actor: torch.nn.Module, sizes: list[int], draw: Draw) -> str:
    got = play(actor, seen(sizes, draw, 64), ExplorationType.RANDOM)
    if not list(actor.parameters()):
        return "The actor has no weights that could learn. Is the network a module, and kept by the actor?"
    if not got["action_log_prob"].requires_grad:
        return "`action_log_prob` has no gradient, so nothing can be learned from it. No `detach`, no `no_grad`."
    (got["action_log_prob"] * draw.normal(64)).sum().backward()
    for name, weight in actor.named_parameters():
        if weight.grad is None or not weight.grad.any():
            return f"The weight `{name}` does not influence `action_log_prob`. Every part of the network is to learn."
    return ""
