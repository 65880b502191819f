"""A curve of any number of points in bounded memory: where there are many, what stands out of each stretch is kept."""

from __future__ import annotations

from collections.abc import Sequence

Point = tuple[float, float]
KEPT = 50_000  # points, about 6 MB


def drawable(point: Point) -> bool:
    """Can this point be drawn? NaN and infinities cannot, nor what is larger than 1e300."""
    return all(abs(number) <= 1e300 for number in point)


def standing_out(stretch: Sequence[Point]) -> list[Point]:
    """The lowest and the highest point of a stretch and the first that cannot be drawn, in the order they stand in."""
    places = range(len(stretch))
    fine = [place for place in places if drawable(stretch[place])]
    kept = {pick(fine, key=lambda place: stretch[place][1]) for pick in (min, max) if fine}
    kept |= set([place for place in places if place not in fine][:1]) if len(fine) < len(stretch) else set()
    return [stretch[place] for place in sorted(kept)]


class LongCurve(Sequence):
    """Points that are appended one at a time; the first 50,000 are all kept.

    Beyond that, of so many points in a row (`stretch`) the lowest and the highest are; stretches grow with the curve
    and are alike all along it. Its last point is always there. Indexing and iterating give the points that are kept.

    Attributes:
        count: how many points were appended.
        bad: how many of them cannot be drawn.
        stretch: of how many points in a row two are kept; 1 where all are.
    """

    def __init__(self) -> None:
        self.count, self.bad, self.stretch = 0, 0, 1
        self._kept: list[Point] = []
        self._open: list[Point] = []  # the stretch that is not full yet

    def append(self, point: Point) -> None:
        self.count += 1
        self.bad += not drawable(point)
        self._open.append(point)
        if len(self._open) >= self.stretch:
            self._kept += self._open if self.stretch == 1 else standing_out(self._open)
            self._open = []
            if len(self._kept) > KEPT:
                self._thin()

    def _thin(self) -> None:
        """Four points become two: those of two stretches are those of one twice as long."""
        kept, self._kept = self._kept, []
        for start in range(0, len(kept), 4):
            self._kept += standing_out(kept[start : start + 4])
        self.stretch = max(4, 2 * self.stretch)

    def __len__(self) -> int:
        return len(self._kept) + len(self._open)

    def __getitem__(self, place):
        if isinstance(place, slice):
            return (self._kept + self._open)[place]
        if -len(self._open) <= place < 0:
            return self._open[place]
        return (
            self._kept[place + len(self._open) * (place < 0)]
            if place < len(self._kept)
            else self._open[place - len(self._kept)]
        )

    def __iter__(self):
        yield from self._kept
        yield from self._open
