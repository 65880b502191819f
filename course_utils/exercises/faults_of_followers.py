"""What does not follow the training as it should: who plays, the target network, exploration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from course_utils.exercises.fault import Asked, Fault, counted, since, times
from course_utils.exercises.notes import Note, Watched


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
    for module in modules if not seen.elsewhere else []:
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
