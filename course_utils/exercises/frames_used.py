"""Which of the collected frames were learned from, and which were played to judge.

A frame is known by what was observed in it. In a world of few states many frames look alike: then what was stored or
learned from is laid to the collected batch that explains most of it; where several explain as much, to one that nothing
was laid to yet, to a collector's before a rollout's, and to the newest.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from torchrl.collectors import BaseCollector

from course_utils.exercises.notes import Note, Watched

NEWEST = 50  # so many batches that hold a frame are looked at, to be done in time


def mark_used(seen: Watched) -> None:
    """Set `used` of each note of frames that were stored, or that a loss has seen."""
    frames, stored = Frames(), set()
    for note in seen.notes:
        rows = note.rows or ()
        if note.kind == "collect":
            frames.add(note)
        elif note.kind == "store":
            frames.lay(rows)
            stored.update(rows)
        elif note.kind == "loss" and not note.idle:
            frames.lay(row for row in rows if row not in stored)  # the others were marked when they were stored


class Batch:
    """The frames of one note."""

    def __init__(self, note: Note, place: int) -> None:
        self.note, self.place = note, place
        self.rows = Counter(note.rows or ())
        self.left = Counter(self.rows)  # nothing was laid to these yet
        self.collector = isinstance(note.part, BaseCollector)

    def take(self, rows: Counter[int]) -> None:
        self.note.used = True
        self.left -= rows


class Singles:
    """All frames that the loop stepped itself."""

    def __init__(self) -> None:
        self.place, self.collector = -1, False
        self.rows: Counter[int] = Counter()
        self.left: Counter[int] = Counter()
        self.notes: dict[int, list[Note]] = defaultdict(list)

    def add(self, note: Note, place: int) -> None:
        self.place = place
        for row in note.rows or ():
            self.rows[row] += 1
            self.left[row] += 1
            self.notes[row].append(note)

    def take(self, rows: Counter[int]) -> None:
        for row in (rows & self.left).elements():
            self.notes[row].pop().used = True
            self.left[row] -= 1


class Frames:
    """What was collected so far."""

    def __init__(self) -> None:
        self.singles = Singles()
        self.batches: list[Batch] = []
        self.holding: dict[int, list[int]] = defaultdict(list)  # by frame: the batches that hold it

    def add(self, note: Note) -> None:
        if note.single:
            self.singles.add(note, len(self.batches))
            return
        batch = Batch(note, len(self.batches))
        self.batches.append(batch)
        for row in batch.rows:
            self.holding[row].append(batch.place)

    def lay(self, rows: Iterable[int]) -> None:
        """Find who collected these frames."""
        wanted = Counter(rows)
        while wanted:
            places = sorted({place for row in wanted for place in self.holding[row][-NEWEST:]})[-NEWEST:]
            holders = [self.singles, *(self.batches[place] for place in places)]
            worth = [(common(wanted, one.rows), common(wanted, one.left), one.collector, one.place) for one in holders]
            best = max(range(len(holders)), key=worth.__getitem__)
            if not worth[best][0]:
                return
            found = Counter({row: min(count, holders[best].rows[row]) for row, count in wanted.items()})
            holders[best].take(+found)
            wanted -= found


def common(some: Counter[int], others: Counter[int]) -> int:
    return sum(min(count, others[row]) for row, count in some.items() if row in others)
