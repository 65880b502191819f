"""Exercises of lesson 19, the part about servers: which requests are decided together."""

from __future__ import annotations

from course_utils.exercises.exercise import Draw, Exercise, Mutant


def _requests(draw: Draw) -> dict:
    """Eight requests in a hurry, then eight at leisure, and so again; now and then a pause in which a batch closes.

    All times are quarters of a millisecond, which floats hold exactly. The second request comes when the first has
    waited exactly `wait`, and the third when that batch is closed.
    """
    most, wait = int(draw.integers(5, 8)), 0.25 * int(draw.integers(10, 12))
    clock = 0.25 * int(draw.integers(4, 36))
    arrivals = [clock, clock + wait]
    clock += 2 * wait
    for request in range(30):
        hurry = request // 8 % 2 == 0
        pause = not hurry and draw.uniform(0, 1) < 0.2
        clock += 0.25 * int(draw.integers(1, 2) if hurry else draw.integers(12, 24) if pause else draw.integers(3, 6))
        arrivals.append(clock)
    rows = [1, 1, *(int(row) for row in draw.integers(1, 4, 30))]
    return {"arrivals": arrivals, "rows": rows, "most": most, "wait": wait}


def _numbers(arrivals, rows, most, wait, late=None, full=None, size=lambda count: count, first=0):
    """Batch numbers; `late(arrival, opened, before)` and `full(held, count)` say when the next one is opened."""
    late = late or (lambda arrival, opened, before: arrival - opened > wait)
    full = full or (lambda held, count: held + count > most)
    numbers, number, opened, before, held = [], first, arrivals[0], arrivals[0], 0
    for arrival, count in zip(arrivals, map(size, rows), strict=True):
        if late(arrival, opened, before) or full(held, count):
            number, opened, held = number + 1, arrival, 0
        held, before = held + count, arrival
        numbers.append(number)
    return numbers


def _never(*_):
    return False


def _by_the_clock(arrivals, rows, most, wait):
    return _numbers(arrivals, rows, most, wait, late=lambda arrival, opened, _: arrival // wait > opened // wait)


def _first_that_fits(arrivals, rows, most, wait):
    batches, numbers = [], []
    for arrival, count in zip(arrivals, rows, strict=True):
        fits = [
            place for place, (opened, held) in enumerate(batches) if arrival - opened <= wait and held + count <= most
        ]
        if not fits:
            batches.append((arrival, 0))
        place = fits[0] if fits else len(batches) - 1
        batches[place] = (batches[place][0], batches[place][1] + count)
        numbers.append(place)
    return numbers


EXERCISES = [
    Exercise(
        number="19.4",
        tests="Batches close when they are full or their first request has waited, in the order of arrival.",
        draw=_requests,
        reference=_numbers,
        mutants=[
            Mutant(
                "since the one before",
                lambda arrivals, rows, most, wait: _numbers(
                    arrivals, rows, most, wait, late=lambda arrival, _, before: arrival - before > wait
                ),
                "You measure the wait from the request *before*. While somebody comes now and then, such a batch never "
                "closes, and its first request waits and waits: measure from the first.",
            ),
            Mutant(
                "counts requests",
                lambda arrivals, rows, most, wait: _numbers(arrivals, rows, most, wait, size=lambda count: 1),
                "You count requests. `most` is about rows, and a request may bring several.",
            ),
            Mutant(
                "over the edge",
                lambda arrivals, rows, most, wait: _numbers(
                    arrivals, rows, most, wait, full=lambda held, count: held >= most
                ),
                "Some batches have more than `most` rows: ask whether the request still fits *before* you let it in.",
            ),
            Mutant(
                "one row to spare",
                lambda arrivals, rows, most, wait: _numbers(
                    arrivals, rows, most, wait, full=lambda held, count: held + count >= most
                ),
                "Your batches are never quite full: with it there may be exactly `most` rows, only not more.",
            ),
            Mutant(
                "by the clock",
                _by_the_clock,
                "You cut time into equal pieces. A batch's time begins when its first request comes.",
            ),
            Mutant(
                "never full",
                lambda arrivals, rows, most, wait: _numbers(arrivals, rows, most, wait, full=_never),
                "Only the time closes your batches. They have a limit of `most` rows, too.",
            ),
            Mutant(
                "never late",
                lambda arrivals, rows, most, wait: _numbers(arrivals, rows, most, wait, late=_never),
                "Only full batches close here. When few ask, somebody waits for ever: close after `wait`, too.",
            ),
            Mutant(
                "first that fits",
                _first_that_fits,
                "A small request slips into a batch that was left already. Once the next one is open, the old one is "
                "being decided.",
            ),
            Mutant(
                "from one on",
                lambda arrivals, rows, most, wait: _numbers(arrivals, rows, most, wait, first=1),
                "The batches are right, but their numbers are one too high: the first one is batch 0.",
            ),
        ],
    ),
]
