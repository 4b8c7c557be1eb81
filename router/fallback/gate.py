"""How many calls a provider gets at once, and how many may wait for their turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from router.errors import Overloaded


class Gate:
    """Lets so many in, in the order in which they came; so many may wait; one more is sent away.

    Args:
        name: of the provider, for the sentence that sends away.
        limit: calls at once.
        max_waiting: calls that wait for one of them to end.
        on_change: told how many are in and how many wait.
    """

    def __init__(
        self,
        name: str,
        limit: int,
        max_waiting: int,
        on_change: Callable[[int, int], None] = lambda *_: None,
    ) -> None:
        self._name = name
        self._limit = limit
        self._max_waiting = max_waiting
        self._on_change = on_change
        self._slots = asyncio.Semaphore(limit)
        self._n_in = 0
        self._n_waiting = 0

    @property
    def bounds(self) -> tuple[int, int]:
        """Calls at once, and calls that wait."""
        return self._limit, self._max_waiting

    def hush(self) -> None:
        """Tell nobody any more: another gate stands in its place, and these calls end."""
        self._on_change = lambda *_: None

    def __repr__(self) -> str:
        return f"Gate({self._name}, in={self._n_in}, waiting={self._n_waiting})"

    @asynccontextmanager
    async def passed(self, within_s: float) -> AsyncIterator[None]:
        """Hold a place while the block runs.

        Raises:
            Overloaded: too many wait already, or no place was free within ``within_s``.
        """
        if self._slots.locked():
            await self._wait(within_s)
        else:
            await self._slots.acquire()  # at once
        self._n_in += 1
        self._tell()
        try:
            yield
        finally:
            self._slots.release()
            self._n_in -= 1
            self._tell()

    async def _wait(self, within_s: float) -> None:
        if self._n_waiting >= self._max_waiting:
            raise Overloaded(
                f"{self._name} has {self._n_in} calls in flight and {self._n_waiting} waiting, "
                f"which is the limit"
            )
        self._n_waiting += 1
        self._tell()
        try:
            async with asyncio.timeout(within_s):
                await self._slots.acquire()
        except TimeoutError as error:
            raise Overloaded(
                f"{self._name} has {self._limit} calls in flight, and none ended within "
                f"{within_s:g} s"
            ) from error
        finally:
            self._n_waiting -= 1
            self._tell()

    def _tell(self) -> None:
        self._on_change(self._n_in, self._n_waiting)
