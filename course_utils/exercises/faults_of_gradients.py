"""What a loop does wrong with its losses and gradients: `backward`, `step`, `zero_grad`, clipping."""

from __future__ import annotations

from collections.abc import Iterator

from course_utils.exercises.fault import Asked, Fault, counted, listed, next_is_backward, since
from course_utils.exercises.notes import Note, Watched


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
