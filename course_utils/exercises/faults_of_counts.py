"""What a loop does too often, too seldom or never: counts that were asked for, evaluations, the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from torchrl.collectors import BaseCollector

from course_utils.exercises.fault import Asked, Fault, counted
from course_utils.exercises.notes import Watched


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
    trained = [note for note in seen.of("collect") if note.used]
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
