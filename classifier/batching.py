"""Many waiting calls share one run of a model.

A worker thread takes everything that waits, up to a limit, as soon as it is free: under light load
a call runs alone and at once, under heavy load runs grow by themselves. Nothing waits on purpose.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from classifier.errors import BatcherClosed, Overloaded

Req = TypeVar("Req")
Res = TypeVar("Res")


@dataclass(slots=True, eq=False)
class _Call(Generic[Req, Res]):
    """One waiting call; ``outcome`` is written by a worker and read by the loop."""

    request: Req
    future: asyncio.Future[Res]
    outcome: Res | BaseException | None = None
    failed: bool = False


class Batcher(Generic[Req, Res]):
    """Runs a batch function on worker threads for callers on one event loop.

    Attributes:
        name: of the threads, and in the errors.
        max_batch: the most requests per run.
        max_waiting: the most requests that wait for a worker; beyond it calls are refused.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Req]], Sequence[Res]],
        *,
        max_batch: int,
        workers: int,
        max_waiting: int,
        name: str,
    ) -> None:
        """Start the worker threads.

        Args:
            run: maps n requests to n results, in order; called from several threads at once.
            max_batch: at least 1.
            workers: threads, at least 1; each runs one batch at a time.
            max_waiting: at least 1.
            name: for threads and messages.

        Raises:
            ValueError: a number is below 1.
        """
        for label, value in (
            ("max_batch", max_batch),
            ("workers", workers),
            ("max_waiting", max_waiting),
        ):
            if value < 1:
                raise ValueError(f"{label} is at least 1, got {value}")
        self.name = name
        self.max_batch = max_batch
        self.max_waiting = max_waiting
        self._run = run
        self._waiting: deque[_Call[Req, Res]] = deque()
        self._changed = threading.Condition(threading.Lock())
        self._closed = False
        # A worker that nobody joins must not keep the process alive.
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{i}", daemon=True)
            for i in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def __repr__(self) -> str:
        """Show the state that an operator asks for."""
        state = "closed" if self._closed else f"{len(self._waiting)} waiting"
        return f"Batcher({self.name!r}, {state}, workers={len(self._threads)})"

    async def submit(self, request: Req) -> Res:
        """Return the result for one request.

        A caller that is cancelled while it waits costs nothing: its request is skipped.

        Raises:
            Overloaded: ``max_waiting`` requests wait already.
            BatcherClosed: the batcher is closed.
            Exception: whatever ``run`` raised for this very request.
        """
        call: _Call[Req, Res] = _Call(request, asyncio.get_running_loop().create_future())
        with self._changed:
            if self._closed:
                raise BatcherClosed(f"{self.name} is closed; the service is shutting down")
            if len(self._waiting) >= self.max_waiting:
                raise Overloaded(
                    f"{self.name} holds {len(self._waiting)} waiting requests, its limit; retry "
                    "later, or allow more workers"
                )
            self._waiting.append(call)
            self._changed.notify()
        return await call.future

    async def close(self) -> None:
        """Refuse new calls, fail those that wait, and let running batches end."""
        for call in self._refuse():
            if not call.future.done():
                call.future.set_exception(
                    BatcherClosed(f"{self.name} was closed before this call ran")
                )
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    def shut(self) -> None:
        """Do as ``close``, blocking, before the first call or after the last one."""
        self._refuse()
        for thread in self._threads:
            thread.join()

    def _refuse(self) -> list[_Call[Req, Res]]:
        """Take no more calls, and send the threads home; return the calls that waited."""
        with self._changed:
            self._closed = True
            abandoned = list(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
        return abandoned

    def _work(self) -> None:
        while batch := self._take():
            self._fill(batch)
            try:  # one wake-up for the whole batch
                batch[0].future.get_loop().call_soon_threadsafe(_deliver, batch)
            except RuntimeError:  # the loop is gone, and with it everyone who waited
                return

    def _take(self) -> list[_Call[Req, Res]]:
        """Wait for work; return what waits, up to the limit, or nothing once closed."""
        with self._changed:
            while True:
                batch: list[_Call[Req, Res]] = []
                while self._waiting and len(batch) < self.max_batch:
                    call = self._waiting.popleft()
                    if not call.future.cancelled():
                        batch.append(call)
                if batch or self._closed:
                    return batch
                self._changed.wait()

    def _fill(self, batch: list[_Call[Req, Res]]) -> None:
        """Run the batch; where it fails as a whole, run each request alone."""
        try:
            self._run_on(batch)
        except Exception as error:  # noqa: BLE001 - carried to the caller, whatever it is
            if len(batch) == 1:
                batch[0].outcome, batch[0].failed = error, True
                return
            for call in batch:
                self._fill([call])

    def _run_on(self, batch: list[_Call[Req, Res]]) -> None:
        results = self._run([call.request for call in batch])
        if len(results) != len(batch):
            raise RuntimeError(
                f"{self.name}: the run returned {len(results)} results for {len(batch)} requests"
            )
        for call, result in zip(batch, results, strict=True):
            call.outcome = result


def _deliver(batch: list[_Call[Req, Res]]) -> None:
    """Wake the callers of one batch; runs on the event loop."""
    for call in batch:
        if call.future.done():  # cancelled while its batch ran
            continue
        if call.failed:
            call.future.set_exception(call.outcome)  # type: ignore[arg-type]
        else:
            call.future.set_result(call.outcome)  # type: ignore[arg-type]
