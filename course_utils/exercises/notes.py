"""The notes that a watch takes of a training loop: what happened, in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from course_utils.exercises.inside_parts import Rows


@dataclass
class Entry:
    """What became of one entry of a loss: the factor by which each `backward` reached it."""

    asks: bool  # does it ask for a gradient?
    value: float
    factors: list[float] = field(default_factory=list)


@dataclass(eq=False)
class Note:
    """One thing that happened.

    Attributes:
        kind: collect, evaluate, store, sample, loss, zero_grad, backward, clip, step, target, epsilon, sync, shutdown.
        part: what did it: the collector or environment, buffer, loss module, optimiser ...
        frames: how many frames it was about; for `epsilon`, how many frames it was told of.
        rows: one number for each frame, the same for the same observation; None where frames have none.
        items: how many items of a buffer they made; one may be a whole sequence of frames.
        size: of a buffer: how many items it held before a sample, and after a store.
        players: names (addresses) of the weights that chose the actions.
        weights: a sum of the players' values, to see whether they have moved.
        explores: random numbers took part in choosing the actions.
        entries: of a loss, by name.
        trained: addresses of the weights that a step moved, or that a `backward` reached.
        held: addresses of all weights that an optimiser holds.
        stale: a `backward` added to gradients that a step had used already.
        idle: a step found no gradient at all; a target update or a `backward` changed nothing.
        by_hand: noticed afterwards, by its effect.
        wrong: what an attempt failed with, such as a sample from an empty buffer.
        used: of collected frames: some were stored, or a loss has seen them.
        single: a frame that the loop stepped itself; such frames are put together where nothing was learned between.
        place: among all notes.
        turn: how many batches had been collected by then.
    """

    kind: str
    part: Any = None
    frames: int = 0
    rows: Rows | None = None
    items: int = 0
    size: int = 0
    players: frozenset[int] = frozenset()
    weights: float | None = None
    explores: bool = False
    entries: dict[str, Entry] = field(default_factory=dict)
    trained: frozenset[int] = frozenset()
    held: frozenset[int] = frozenset()
    stale: bool = False
    idle: bool = False
    by_hand: bool = False
    wrong: str = ""
    used: bool = False
    single: bool = False
    place: int = 0
    turn: int = 0


@dataclass
class Watched:
    """What a watch has seen.

    Attributes:
        notes: what happened, in order.
        names: of weights, by address, as their loss module calls them.
        online: the weights that each loss module trains, by its `id`; those that never ask for a gradient left out.
        targets: the weights of its target networks, likewise.
        noise: the modules whose noise chose actions while frames were collected.
        copies: the collectors that made a policy of their own, by a factory.
        elsewhere: the collectors that play in a thread of their own; what they do there is not noted.
    """

    notes: list[Note] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    online: dict[int, frozenset[int]] = field(default_factory=dict)
    targets: dict[int, frozenset[int]] = field(default_factory=dict)
    noise: list[Any] = field(default_factory=list)
    copies: list[Any] = field(default_factory=list)
    elsewhere: list[Any] = field(default_factory=list)

    def of(self, *kinds: str) -> list[Note]:
        return [note for note in self.notes if note.kind in kinds]


def put_together(notes: list[Note]) -> list[Note]:
    """One note for the frames that a loop stepped one by one, with what it stored and told of meanwhile."""
    found: list[Note] = []
    run: dict[tuple[str, int], Note] = {}
    for note in notes:
        key = (note.kind, id(note.part))
        if note.single and (key not in run or not run[key].single):
            run = {key: note}
        elif key in run:
            one = run[key]
            one.frames, one.rows = one.frames + note.frames, (one.rows or ()) + (note.rows or ())
            one.size, one.explores, one.used = note.size, one.explores or note.explores, one.used or note.used
            one.players, one.weights = one.players | note.players, note.weights
            continue
        elif run and note.kind in ("store", "epsilon"):
            run[key] = note
        else:
            run = {}
        found.append(note)
    return found
