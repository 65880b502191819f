"""What a loop does wrong with its data: collecting, storing, sampling."""

from __future__ import annotations

from collections.abc import Iterator

from course_utils.exercises.fault import Asked, Fault, on_error, on_policy, rows_in
from course_utils.exercises.inside_parts import Rows
from course_utils.exercises.notes import Note, Watched


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
    learned: dict[tuple, Note] = {}
    old, again = [], []
    for note in seen.notes:
        if note.kind == "loss":
            last = note
        elif note.kind == "step" and last is not None and last.rows and not note.idle:
            key = (last.rows, id(note.part))
            before = learned.setdefault(key, note)
            if before is not note and drawn_between(seen, last.rows, before, note):
                learned[key] = note  # in a world of few states two samples may look alike
            elif before is not note:
                (old if before.turn != note.turn else again).append(last)
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


def drawn_between(seen: Watched, rows: Rows, first: Note, last: Note) -> bool:
    """Was there a sample between two notes that holds these frames, in this order?"""
    samples = [note.rows or () for note in seen.notes[first.place : last.place] if note.kind == "sample"]
    return any(
        drawn[start : start + len(rows)] == rows
        for drawn in samples
        for start in range(len(drawn) - len(rows) + 1)
        if drawn[start] == rows[0]
    )
