"""Requests that come at about the same time are decided together: one call of the network for all of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np


class Busy(Exception):
    """More rows are waiting than may wait."""


class Batcher:
    """A small queue before a policy.

    The first request that waits opens a batch. It is closed when `most` rows are in it, when the next request would not
    fit, or when the first has waited for `wait` seconds. While a batch is decided, the next one fills.

    Args:
        decide: actions, a row each, for observations of shape [rows, numbers]; called in a thread of its own.
        most: rows of a batch; 1 lets every request be decided alone.
        wait: seconds.
        room: rows that may wait.

    Attributes:
        sizes: how many batches of how many rows were decided.
    """

    def __init__(self, decide: Callable[[np.ndarray], np.ndarray], most: int, wait: float, room: int) -> None:
        self.decide, self.most, self.wait, self.room = decide, most, wait, room
        self.sizes: Counter[int] = Counter()
        self._waiting: asyncio.Queue = asyncio.Queue()
        self._rows = 0
        self._kept = None  # a request that did not fit into the batch before

    async def act(self, observations: np.ndarray) -> np.ndarray:
        """The actions for one request, once its batch was decided.

        Raises:
            Busy: too many rows wait already.
            Exception: what `decide` raised.
        """
        if self._rows + len(observations) > self.room:
            raise Busy
        answer = asyncio.get_running_loop().create_future()
        self._rows += len(observations)
        self._waiting.put_nowait((observations, answer))
        return await answer

    async def run(self) -> None:
        """Decide batch after batch, until cancelled."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1) as thread:
            while True:
                batch = [one for one in await self._next_batch() if not one[1].done()]  # whose client has gone
                if not batch:
                    continue
                together = np.concatenate([observations for observations, _ in batch])
                self.sizes[len(together)] += 1
                try:
                    actions = await loop.run_in_executor(thread, self.decide, together)
                except Exception as error:
                    for _, answer in batch:
                        answer.done() or answer.set_exception(error)
                    continue
                place = 0
                for observations, answer in batch:
                    answer.done() or answer.set_result(actions[place : place + len(observations)])
                    place += len(observations)

    async def _next_batch(self) -> list:
        first, self._kept = self._kept or await self._waiting.get(), None
        batch, rows = [first], len(first[0])
        closes = asyncio.get_running_loop().time() + self.wait
        while rows < self.most:
            try:
                async with asyncio.timeout_at(closes):
                    one = await self._waiting.get()
            except TimeoutError:
                break
            if rows + len(one[0]) > self.most:
                self._kept = one
                break
            batch.append(one)
            rows += len(one[0])
        self._rows -= rows
        return batch
