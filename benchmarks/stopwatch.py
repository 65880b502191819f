"""Tells how the time of a run is shared out among functions, which are timed while they run and left as they were."""

from __future__ import annotations

import functools
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopwatch:
    """Tells how the time of a run is shared out: each part's own time, without the parts it calls.

    Attributes:
        seconds: for each part.
        calls: for each part.
    """

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.calls: Counter[str] = Counter()
        self._open: list[tuple[str, list[float]]] = []
        self._blind = 0

    def part(self, name: str, function: Callable, *, within: str = "", whole: bool = False) -> Callable:
        """`function`, timed from now on.

        Args:
            name: of the part.
            function: what to time.
            within: count calls only while this part is the one that runs.
            whole: count all it calls as its own.
        """

        @functools.wraps(function)
        def timed(*args, **kwargs):
            if self._blind or (within and (not self._open or self._open[-1][0] != within)):
                return function(*args, **kwargs)
            inner: list[float] = []
            self._open.append((name, inner))
            self._blind += whole
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                spent = time.perf_counter() - start
                self._blind -= whole
                self._open.pop()
                self.seconds[name] += spent - sum(inner)
                self.calls[name] += 1
                if self._open:
                    self._open[-1][1].append(spent)

        return timed


@contextmanager
def replaced(owner: object, attribute: str, value: object) -> Iterator[None]:
    mine = attribute in vars(owner)
    before = getattr(owner, attribute)
    setattr(owner, attribute, value)
    try:
        yield
    finally:
        if mine:
            setattr(owner, attribute, before)
        else:
            delattr(owner, attribute)
