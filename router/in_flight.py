"""Identical work in flight is done once: late comers get what has come so far, then the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Hashable
from contextlib import suppress
from typing import Generic, TypeVar

from router.errors import Stopping

T = TypeVar("T")


class Broadcast(Generic[T]):
    """One producer, any number of listeners, each of whom hears everything from the start.

    The producer runs in a task of its own, so it outlives the listener that started it. When the
    last listener leaves early, it is cancelled: nobody wants its work any more.

    Attributes:
        mark: what its starter wants late comers to know; may be empty.
        ends_at: when the producer gives up for want of time, by the monotonic clock; None: never.
    """

    def __init__(
        self,
        source: AsyncIterator[T],
        on_end: Callable[[Broadcast[T]], None],
        mark: bytes = b"",
        ends_at: float | None = None,
    ) -> None:
        self.mark = mark
        self.ends_at = ends_at
        self._events: list[T] = []
        self._error: BaseException | None = None
        self._is_over = False
        self._news = asyncio.Event()
        self._n_listeners = 0
        self._on_end = on_end
        self._task = asyncio.create_task(self._produce(source))

    async def _produce(self, source: AsyncIterator[T]) -> None:
        try:
            async for event in source:
                self._events.append(event)
                self._wake()
        except asyncio.CancelledError as error:
            self._error = error
            raise
        except Exception as error:  # noqa: BLE001  every listener gets it; there is nobody above
            self._error = error
        finally:
            self._is_over = True
            self._on_end(self)
            self._wake()

    def _abandon(self) -> None:
        self._on_end(self)  # nobody may join what is being torn down
        self._task.cancel()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def listen(self) -> AsyncGenerator[T, None]:
        """Yield every event from the first on; raise what the producer raised.

        Begin to iterate before the next ``await``: a broadcast that nobody listens to is dropped.

        Raises:
            Stopping: the producer was cancelled from outside.
        """
        self._n_listeners += 1
        heard = 0
        try:
            while True:
                news = self._news
                while heard < len(self._events):
                    event = self._events[heard]
                    heard += 1
                    yield event
                if self._is_over:
                    break
                if heard == len(self._events) and news is self._news:
                    await news.wait()
            if isinstance(self._error, asyncio.CancelledError):
                raise Stopping("the service is stopping; send the request to another instance")
            if self._error is not None:
                raise self._error
        finally:
            self._n_listeners -= 1
            if self._n_listeners == 0 and not self._is_over:
                self._abandon()

    async def stop(self) -> None:
        """Cancel the producer and wait until it has cleaned up."""
        self._abandon()
        with suppress(asyncio.CancelledError):
            await self._task


class InFlight(Generic[T]):
    """The broadcasts that run, by key."""

    def __init__(self) -> None:
        self._running: dict[Hashable, Broadcast[T]] = {}

    def __len__(self) -> int:
        """Return how many run."""
        return len(self._running)

    def find(self, key: Hashable) -> Broadcast[T] | None:
        """Return what runs under the key, if anything does."""
        return self._running.get(key)

    def start(
        self,
        key: Hashable,
        source: AsyncIterator[T],
        mark: bytes = b"",
        ends_at: float | None = None,
    ) -> Broadcast[T]:
        """Run ``source`` under a key that nothing runs under; the rest is the broadcast's.

        Raises:
            KeyError: something does; look with ``find`` first.
        """
        if key in self._running:
            raise KeyError(key)
        broadcast: Broadcast[T] = Broadcast(
            source, lambda ended: self._forget(key, ended), mark, ends_at
        )
        self._running[key] = broadcast
        return broadcast

    def _forget(self, key: Hashable, ended: Broadcast[T]) -> None:
        if self._running.get(key) is ended:  # an abandoned one may have a successor
            del self._running[key]

    async def stop_all(self) -> None:
        """Cancel everything that runs."""
        for broadcast in list(self._running.values()):
            await broadcast.stop()
