"""What a watched training loop does wrong, in the order in which it hurts, each as one sentence."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from torchrl.collectors import BaseCollector
from torchrl.objectives import A2CLoss, PPOLoss, ReinforceLoss

from course_utils.exercises.watching import Note, Watched

ON_POLICY = (A2CLoss, PPOLoss, ReinforceLoss)
LEARNING = ("loss", "zero_grad", "backward", "clip", "step")


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        sentence: what was seen, and what mends it.
        missing: the kind of note that should be there and is not, for the picture.
        notes: those at which it shows.
        certain: true also of a loop that broke off with an error.
    """

    sentence: str
    missing: str = ""
    notes: tuple[Note, ...] = ()
    certain: bool = False


@dataclass(frozen=True)
class Asked:
    """What a loop has to do beyond what its parts need.

    Attributes:
        given: the parts it was handed, by their names in `tiny_parts.NAMES`: it has to use them.
        frames: that it has to collect.
        updates: that it has to make after each collected batch.
        batch_size: of the frames that each update learns from.
        whole: every collected frame is stored once, every loss counts in full, and each update draws its own sample.
    """

    given: dict[str, Any] = field(default_factory=dict)
    frames: int | None = None
    updates: int | None = None
    batch_size: int | None = None
    whole: bool = False


def faults(seen: Watched, asked: Asked | None = None) -> list[Fault]:
    """All that is wrong with what was seen; what hurts most comes first."""
    asked = asked or Asked()
    if not seen.notes:
        return [Fault("Nothing happened: your loop used none of its parts. Is it only defined, and never called?")]
    return [fault for look in LOOKS for fault in look(seen, asked)]


# Data


def collecting(seen: Watched, asked: Asked) -> Iterator[Fault]:
    if asked.given.keys() & {"collector", "env", "policy"} and not seen.of("collect"):
        yield Fault(
            "Your loop never collects: it was given what plays and asked it for no frame. Begin with "
            "`for batch in collector:`.",
            "collect",
        )


def storing(seen: Watched, asked: Asked) -> Iterator[Fault]:
    samples, stores = seen.of("sample"), seen.of("store")
    failed = [note for note in samples if note.wrong and not note.size]
    if failed and not stores and not seen.of("loss", "backward"):
        yield Fault(
            "You sample before anything is stored: the buffer was empty at its first `sample`. `extend` it with the "
            "collected batch first.",
            "store",
            tuple(failed[:1]),
            certain=True,
        )
    elif not stores and ("buffer" in asked.given or failed) and seen.of("collect"):
        yield Fault(
            "Your loop never stores: what it collects does not reach the buffer. `buffer.extend(batch)` is missing.",
            "store",
        )
    if asked.whole and stores:
        kept, collected = rows_in(stores), rows_in(seen.of("collect"))
        lost = [row for row in collected if row not in kept]
        if lost:
            yield Fault(
                f"{len(lost)} of the {len(collected)} frames you collected never reached the buffer. Store each batch "
                "whole, before you go on.",
                notes=tuple(stores),
            )
        elif sum(kept.values()) > len(collected):
            yield Fault(
                f"You collected {len(collected)} frames and stored {sum(kept.values())}: some are stored more than "
                "once.",
                notes=tuple(stores),
            )


def rebuilt(seen: Watched, asked: Asked) -> Iterator[Fault]:
    stores = seen.of("store")
    if not stores or on_policy(seen):
        return
    buffers = list({id(note.part): note.part for note in stores}.values())
    turns = [{note.turn for note in stores if note.part is buffer} for buffer in buffers]
    if len(buffers) > 1 and all(len(turn) == 1 for turn in turns) and len(set().union(*turns)) > 1:
        yield Fault(
            f"You stored into {len(buffers)} buffers, a new one each turn: each forgets what was played before. Build "
            "the buffer once, before the loop.",
            notes=tuple(stores[1:]),
        )
        return
    for buffer in buffers:
        own = [note for note in stores if note.part is buffer]
        room = getattr(getattr(buffer, "_storage", None), "max_size", 0)
        if len(own) > 1 and all(note.size <= note.items < room for note in own):
            yield Fault(
                f"After each `extend` the buffer holds only the newest {own[-1].frames} frames, though it has room for "
                f"{room:,} items: something empties it each turn. Let it keep what was played before.",
                notes=tuple(own[1:]),
            )


def sampling(seen: Watched, asked: Asked) -> Iterator[Fault]:
    samples, learns = seen.of("sample"), seen.of("loss", "backward")
    if ("buffer" in asked.given or seen.of("store") and learns) and not samples and seen.of("store"):
        yield Fault(
            "Your loop never samples: the buffer is filled and nobody draws from it. `buffer.sample()` is missing.",
            "sample",
        )
    elif samples and not learns and not on_error(samples) and "loss_module" not in asked.given:
        yield Fault("You sample, and nothing is learned from the samples: no loss was computed.", "loss")


def the_loss(seen: Watched, asked: Asked) -> Iterator[Fault]:
    losses, backs = seen.of("loss"), seen.of("backward")
    if "loss_module" in asked.given and not losses and (asked.whole or not backs):
        yield Fault(
            "Your loop never computes a loss: `loss_module` was not called. Give it the sample: "
            "`loss_module(buffer.sample())`.",
            "loss",
        )
        return
    if losses and all(note.idle for note in losses) and (backs or seen.of("step")):
        yield Fault(
            "The loss asks for no gradient: it was computed under `torch.no_grad()`, or its weights are frozen. "
            "Compute it outside.",
            notes=tuple(losses),
            certain=True,
        )


def what_is_learned_from(seen: Watched, asked: Asked) -> Iterator[Fault]:
    losses = [note for note in seen.of("loss") if note.rows and not note.idle]
    samples = [note for note in seen.of("sample") if note.rows]
    if not losses or not samples:
        return
    drawn, collected = rows_in(samples), rows_in(seen.of("collect"))
    beside = [note for note in losses if any(row not in drawn for row in note.rows)]
    played = [note for note in beside if all(row in collected for row in note.rows)]
    if len(played) > len(losses) / 2:
        yield Fault(
            "The loss is given the batch just collected, not a sample: what the buffer draws is not learned from. "
            "Use `loss_module(buffer.sample())`.",
            notes=tuple(played),
        )
    yield from old_batches(seen, asked)


def old_batches(seen: Watched, asked: Asked) -> Iterator[Fault]:
    """One batch, learned from again and again by the same optimiser."""
    if on_policy(seen):
        return
    last: Note | None = None
    learned: dict[tuple, int] = {}
    old, again = [], []
    for note in seen.notes:
        if note.kind == "loss":
            last = note
        elif note.kind == "step" and last is not None and last.rows and not note.idle:
            key = (last.rows, id(note.part))
            turn = note.turn
            if key in learned:
                (old if learned[key] != turn else again).append(last)
            learned.setdefault(key, turn)
    if old:
        yield Fault(
            f"{len(old)} updates learned from an old sample, drawn before the newest frames were stored. Call "
            "`buffer.sample()` inside of the loop, anew for each update.",
            notes=tuple(old),
        )
    elif again and asked.whole:
        yield Fault(
            f"{len(again)} updates learned from the very sample that the update before them had used. Draw a new one "
            "for each update.",
            notes=tuple(again),
        )


# Gradients


def backward(seen: Watched, asked: Asked) -> Iterator[Fault]:
    losses, backs, steps = seen.of("loss"), seen.of("backward"), seen.of("step")
    asking = [note for note in losses if not note.idle]
    if asking and not backs:
        yield Fault(
            "Your loop never calls `backward`: the loss is computed, and no gradient of it.",
            "backward",
        )
    elif backs and all(note.idle and not note.wrong for note in backs):
        yield Fault(
            "`backward` ran, but no gradient reached any weight: the loss was cut off from the network. `detach`, "
            "`item`, `torch.no_grad` and a new tensor made of numbers do that.",
            notes=tuple(backs),
        )
    elif not backs and not losses and steps and not all(note.by_hand for note in steps):
        yield Fault("The optimiser steps, but no loss and no gradient was computed.", "backward")


def step(seen: Watched, asked: Asked) -> Iterator[Fault]:
    backs, steps = [note for note in seen.of("backward") if not note.idle], seen.of("step")
    if not backs:
        return
    if not steps:
        yield Fault(
            "Your loop never calls the optimiser's `step`: gradients are computed, and no weight moves.",
            "step",
        )
        return
    wrong = list(wrong_weights(seen, backs, steps))
    yield from wrong
    if not wrong:
        yield from without_gradient(seen, steps)


def wrong_weights(seen: Watched, backs: list[Note], steps: list[Note]) -> Iterator[Fault]:
    held = frozenset().union(*(note.held for note in steps))
    reached = frozenset().union(*(note.trained for note in backs))
    online, targets = (frozenset().union(*weights.values()) for weights in (seen.online, seen.targets))
    if not held & reached:
        yield Fault(
            "The optimiser holds other weights than those that get a gradient: each `step` leaves the network as it "
            "is. Build it with `loss_module.parameters()`.",
            notes=tuple(steps),
        )
        return
    if held & targets:
        yield Fault(
            f"The optimiser holds {len(held & targets)} tensors of the target network, too. Only the target updater "
            "moves those: `loss_module.parameters()` leaves them out.",
            notes=tuple(steps),
        )
    if reached & targets:
        yield Fault(
            "Gradients reach the target network. It is to stand still: compute its values without a gradient.",
            notes=tuple(backs),
        )
    outside = reached - held - online - targets
    if outside and not any(note.by_hand for note in steps):
        yield Fault(
            f"Gradients reach {counted(len(outside), 'weight tensor')} of a network that no optimiser holds. If it is "
            "a target network, compute its values under `torch.no_grad()`; else give its weights to the optimiser.",
            notes=tuple(backs),
        )
    left = (reached & online) - held
    if left and not any(note.by_hand for note in steps):
        names = sorted({seen.names.get(address, "?").split(".")[0] for address in left})
        yield Fault(
            f"{len(left)} of {len(reached & online)} weight tensors get a gradient, but no optimiser moves them (of "
            f"{' and '.join(f'`{name}`' for name in names)}). Give the optimiser all of `loss_module.parameters()`.",
            notes=tuple(steps),
        )


def without_gradient(seen: Watched, steps: list[Note]) -> Iterator[Fault]:
    """Steps whose gradient was not there yet, or was not there any more."""
    real = [note for note in steps if not note.by_hand]
    erased, early = [], []
    for note in real:
        before = since(seen, note, "backward", "step")
        if any(one.kind == "loss" and not one.idle for one in before) and next_is_backward(seen, note):
            early.append(note)
        elif note.idle and any(one.kind == "zero_grad" and one.trained & before[0].trained for one in before):
            erased.append(note)
    if len(erased) > len(real) / 2:
        yield Fault(
            "`zero_grad` stands between `backward` and `step`: the gradient is gone before the optimiser uses it. Call "
            "`zero_grad` before `backward`, or after `step`.",
            notes=tuple(erased),
        )
    elif early and len(early) > len(real) / 2:
        yield Fault(
            "The optimiser steps before `backward`: it has no gradient yet, or that of the update before. First "
            "`backward`, then `step`.",
            notes=tuple(early),
            certain=True,
        )


def zero_grad(seen: Watched, asked: Asked) -> Iterator[Fault]:
    backs = seen.of("backward")
    stale = [note for note in backs if note.stale]
    if not stale:
        return
    if not seen.of("zero_grad"):
        yield Fault(
            "Your loop never calls `zero_grad`: gradients add up, and each step follows all the updates before it, "
            "too. Call `optimiser.zero_grad()` before `backward`.",
            "zero_grad",
        )
    else:
        yield Fault(
            f"In {len(stale)} of {len(backs)} updates the gradients of earlier ones were still there, and the new ones "
            "were added: `zero_grad` does not come once in each update, or clears other weights.",
            "zero_grad",
            tuple(stale),
        )


def clipping(seen: Watched, asked: Asked) -> Iterator[Fault]:
    late, early = [], []
    for note in seen.of("clip"):
        before = since(seen, note, "backward", "step")
        if note.by_hand:
            late.append(note)
        elif not before or before[0].kind != "backward":
            (early if any(one.kind == "loss" for one in before) else late).append(note)
    if late:
        yield Fault(
            "The gradient is clipped after the `step`, which has used it already. Clip between `backward` and `step`.",
            notes=tuple(late),
        )
    if early:
        yield Fault(
            "The gradient is clipped before `backward` has computed it. Clip between `backward` and `step`.",
            notes=tuple(early),
        )


def loss_entries(seen: Watched, asked: Asked) -> Iterator[Fault]:
    losses = [note for note in seen.of("loss") if not note.idle]
    for module in {id(note.part): note.part for note in losses}.values():
        own = [note for note in losses if note.part is module]
        factors: dict[str, list[float]] = {}
        for note in own:
            for name, entry in note.entries.items():
                if entry.asks and entry.value != 0:
                    factors.setdefault(name, []).extend(entry.factors)
        if not any(factors.values()):
            continue
        left = sorted(name for name, got in factors.items() if name.startswith("loss") and not got)
        if left:
            yield Fault(
                f"{listed(left)} {'is' if len(left) == 1 else 'are'} left out: no `backward` starts from "
                f"{'it' if len(left) == 1 else 'them'}. Add up every entry whose name begins with `loss`.",
                notes=tuple(own),
            )
        added = sorted(name for name, got in factors.items() if not name.startswith("loss") and got)
        if added:
            yield Fault(
                f"{listed(added)} {'is' if len(added) == 1 else 'are'} trained on, too, and no loss. Add up only the "
                "entries whose names begin with `loss`.",
                notes=tuple(own),
            )
        against = sorted(name for name, got in factors.items() if got and sum(got) < 0)
        if against:
            yield Fault(
                f"{listed(against)} goes into `backward` with a minus sign: the optimiser makes it larger.",
                notes=tuple(own),
            )
        elif asked.whole:
            yield from not_in_full(own)


def not_in_full(losses: list[Note]) -> Iterator[Fault]:
    for note in losses:
        for name, entry in note.entries.items():
            got = sum(entry.factors)
            if entry.asks and entry.factors and abs(got - 1) > 1e-3:
                yield Fault(
                    f"`{name}` goes into `backward` {got:.3g} times, not once: the gradient is "
                    f"{'too small' if got < 1 else 'too large'}. Call `backward` once on the loss as it is.",
                    notes=(note,),
                )
                return


# Weights that play, and weights that judge


def players(seen: Watched, asked: Asked) -> Iterator[Fault]:
    """Do those weights play that are trained, and do they hear of the training?"""
    steps = seen.of("step")
    trained = frozenset().union(*(note.trained for note in steps))
    if not trained:
        return
    first = steps[0].place
    later = [note for note in seen.notes[first:] if note.kind == "collect" and note.players]
    others = [note for note in later if not note.players & trained]
    if others and len(others) == len(later):
        weights = [note.weights for note in seen.of("collect") if note.players == others[-1].players]
        if len(weights) > 1 and len(set(weights)) == 1:
            if any(others[-1].part is one for one in seen.copies):
                yield NO_SYNC
            else:
                yield Fault(
                    "The network you train is not the one that plays: the weights that choose the actions never "
                    "moved. Give the loss and whoever plays the same network; to a collector that plays a copy, send "
                    "the new weights with `update_policy_weights_()`.",
                    notes=tuple(others),
                )
    elif any(note.part is one and not note.players for note in seen.of("collect") for one in seen.copies) and not (
        seen.of("sync")
    ):
        yield NO_SYNC


NO_SYNC = Fault(
    "The collector plays with a copy of the weights, and nobody sends it the new ones: it goes on as before the first "
    "update. Call `collector.update_policy_weights_()` after the updates of each turn.",
    "sync",
)


def target(seen: Watched, asked: Asked) -> Iterator[Fault]:
    steps, targets = seen.of("step"), seen.of("target")
    real = [note for note in steps if not note.by_hand]
    learning = {id(note.part) for note in seen.of("loss") if not note.idle}
    need = any(seen.targets.get(module) for module in learning) or "target_updater" in asked.given
    if steps and need and not targets:
        yield Fault(
            "The target network never follows: it judges as it did at the beginning. Call `target_updater.step()` "
            "after `optimiser.step()`.",
            "target",
        )
        return
    early = []
    for note in targets:
        before = since(seen, note, "target", "step")
        kinds = [one.kind for one in before if not one.idle]
        if not note.by_hand and ("backward" in kinds or "loss" in kinds and kinds[0] != "step"):
            early.append(note)
    if early and real and len(early) > len(targets) / 2:
        yield Fault(
            "The target network follows before the optimiser has moved the network: it lags one update behind. Call "
            "`target_updater.step()` after `optimiser.step()`.",
            notes=tuple(early),
        )
    elif targets and real and targets[0].place < real[0].place and not early:
        yield Fault(
            "The target network follows before the optimiser has moved anything. Call `target_updater.step()` after "
            "`optimiser.step()`.",
            notes=tuple(targets[:1]),
        )
    elif asked.whole and targets and len(targets) not in (len(real), len(seen.of("collect"))):
        yield Fault(
            f"The target network followed {times(len(targets))}, and the optimiser made {counted(len(real), 'step')}. "
            "Let it follow once after each, or once after the updates of each batch.",
            notes=tuple(targets),
        )


def epsilon(seen: Watched, asked: Asked) -> Iterator[Fault]:
    told = seen.of("epsilon")
    modules = [module for module in seen.noise if anneals(module)]
    given = asked.given.get("egreedy")
    if given is not None and anneals(given) and not any(given is module for module in modules):
        modules.append(given)
    silent = [module for module in modules if not any(note.part is module for note in told)]
    if silent and seen.of("collect"):
        yield Fault(
            f"Exploration never becomes less: `{type(silent[0]).__name__}` was never told to `step`. Call its "
            "`step(frames)` once after each collected batch.",
            "epsilon",
        )
        return
    for module in modules:
        own = [note for note in told if note.part is module]
        frames, collected = sum(note.frames for note in own), sum(note.frames for note in seen.of("collect"))
        in_a_turn = Counter(note.turn for note in own)
        batches = len(seen.of("collect"))
        if frames != collected and any(
            count > 1 and between_updates(seen, own, turn) for turn, count in in_a_turn.items()
        ):
            yield Fault(
                f"Exploration falls with the updates, not with the frames: it was told {times(len(own))} of a step, "
                f"while {batches} batches were collected. Step it once a batch, by the number of frames.",
                notes=tuple(own),
            )
        elif frames > collected:
            yield Fault(
                f"Exploration was told of {frames} frames, and {collected} were collected. Step it by `batch.numel()`, "
                "once a batch.",
                notes=tuple(own),
            )
        elif asked.whole and frames != collected:
            yield Fault(
                f"Exploration was told of {counted(frames, 'frame')}, and {collected} were collected. Step it by the "
                "number of frames: `step(batch.numel())`.",
                notes=tuple(own),
            )


def between_updates(seen: Watched, told: list[Note], turn: int) -> bool:
    """Were there updates between the epsilon steps of one turn?"""
    own = [note.place for note in told if note.turn == turn]
    return any(note.kind == "step" for note in seen.notes[min(own) : max(own)])


def anneals(module: Any) -> bool:
    pairs = (("eps_init", "eps_end"), ("sigma_init", "sigma_end"))
    return any(float(getattr(module, a, 0)) != float(getattr(module, b, 0)) for a, b in pairs)


# Counts and ends


def counts(seen: Watched, asked: Asked) -> Iterator[Fault]:
    collects = seen.of("collect")
    frames = sum(note.frames for note in collects)
    if asked.frames is not None and frames != asked.frames:
        yield Fault(
            f"{counted(frames, 'frame')} were collected, and {asked.frames} were asked for.", notes=tuple(collects)
        )
    if asked.updates is not None:
        per_turn = Counter(note.turn for note in seen.of("step") if not note.idle)
        for turn in range(1, len(collects) + 1):
            if per_turn[turn] != asked.updates:
                yield Fault(
                    f"After batch {turn} of {len(collects)} the optimiser made {counted(per_turn[turn], 'step')}; "
                    f"{asked.updates} were asked for.",
                    notes=tuple(note for note in seen.of("step") if note.turn == turn),
                )
                break
    if asked.batch_size is not None:
        sizes = [note for note in seen.of("loss") if not note.idle and note.frames != asked.batch_size]
        if sizes:
            yield Fault(
                f"An update learned from {counted(sizes[0].frames, 'frame')}; a sample of {asked.batch_size} was asked "
                "for.",
                notes=tuple(sizes),
            )


def evaluation(seen: Watched, asked: Asked) -> Iterator[Fault]:
    """Frames that nobody learns from were played to judge; those are not to explore, and not to be stored."""
    used = seen.rows_used()
    trained = [note for note in seen.of("collect") if note.rows and not used.isdisjoint(note.rows)]
    exploring = [note for note in seen.of("evaluate") if note.explores]
    if exploring and trained:
        yield Fault(
            f"You evaluate with exploration: {counted(sum(note.frames for note in exploring), 'frame')} that nobody "
            "learns from were played with random actions among them. Put the evaluation under "
            "`set_exploration_type(ExplorationType.DETERMINISTIC)`.",
            notes=tuple(exploring),
        )
    greedy = [note for note in trained if not note.explores and note.players]
    noisy = [note for note in trained if note.explores]
    if greedy and noisy and not any(isinstance(note.part, BaseCollector) for note in greedy):
        yield Fault(
            f"Your evaluation trains: {counted(sum(note.frames for note in greedy), 'frame')} played without "
            "exploration were learned from. Do not store what is played to judge.",
            notes=tuple(greedy),
        )


def shutdown(seen: Watched, asked: Asked) -> Iterator[Fault]:
    used = {id(note.part): note.part for note in seen.of("collect") if isinstance(note.part, BaseCollector)}
    closed = {id(note.part) for note in seen.of("shutdown")}
    if used.keys() - closed:
        yield Fault(
            "`collector.shutdown()` is never called: its environment, and its workers if it has some, stay open. Call "
            "it when the loop is over.",
            "shutdown",
        )
    early = [
        note
        for note in seen.of("shutdown")
        if any(one.kind == "collect" and one.part is note.part for one in seen.notes[note.place :])
    ]
    if early:
        yield Fault(
            "`collector.shutdown()` is called while the collector still collects. Call it when the loop is over.",
            notes=tuple(early),
        )


LOOKS = (
    collecting,
    storing,
    sampling,
    the_loss,
    backward,
    step,
    zero_grad,
    what_is_learned_from,
    clipping,
    loss_entries,
    rebuilt,
    players,
    target,
    epsilon,
    counts,
    evaluation,
    shutdown,
)


# Where in the loop


def since(seen: Watched, note: Note, *kinds: str) -> list[Note]:
    """The notes before this one, back to the last one of these kinds, which comes first; all where there is none."""
    found = []
    for one in reversed(seen.notes[: note.place]):
        found.append(one)
        if one.kind in kinds:
            break
    return found[::-1]


def next_is_backward(seen: Watched, note: Note) -> bool:
    after = itertools.islice(seen.notes, note.place + 1, None)
    return next((one.kind for one in after if one.kind in ("backward", "step", "loss")), "") == "backward"


def rows_in(notes: list[Note]) -> Counter:
    return Counter(row for note in notes for row in note.rows or ())


def on_policy(seen: Watched) -> bool:
    return any(isinstance(note.part, ON_POLICY) for note in seen.of("loss"))


def on_error(notes: list[Note]) -> bool:
    return any(note.wrong for note in notes)


# Words


def listed(names: list[str]) -> str:
    return " and ".join(f"`{name}`" for name in names)


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number:,} times")
