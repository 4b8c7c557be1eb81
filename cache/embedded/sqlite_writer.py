"""One thread that writes one SQLite file, many operations to a commit.

What is waited for is durable against the death of the process (``kill -9`` at any moment): it is
in the write-ahead log before the waiting future resolves. Power loss or a crash of the kernel may
take the commits since the last checkpoint with ``synchronous="NORMAL"`` (by default a checkpoint
follows about every 4 MB of log), whole transactions from the end, never a part of one and never
the file's integrity; ``synchronous="FULL"`` loses none, at one fsync per commit.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from cache.embedded.sqlite_schema import Schema, open_database
from cache.embedded.vault import PLAIN, Vault
from cache.errors import StoreOverloaded, StoreUnavailable

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], T]
"""Reads and writes inside a transaction that it neither begins nor ends. It may be run twice, its
first run rolled back, so it changes nothing but the database."""

_log = logging.getLogger(__name__)

_MAX_BATCH = 512  # operations per commit; bounds what one failing commit takes with it
_ENVIRONMENT = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
    }
)


@dataclass(slots=True)
class _Queued:
    """An operation with the one who waits for it; ``future`` is None when nobody does."""

    operation: Operation[Any]
    future: asyncio.Future[Any] | None
    is_apart: bool = False
    result: Any = None
    error: BaseException | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterStats:
    """What the writer did since it was opened.

    Attributes:
        n_waiting: operations queued now.
        n_done: operations committed.
        n_failed: operations that were not.
        n_commits: transactions; ``n_done / n_commits`` operations share one.
    """

    n_waiting: int
    n_done: int
    n_failed: int
    n_commits: int


class SqliteWriter:
    """Owns the writing connection of one file. ``submit`` and ``post`` never block.

    Args:
        path: the database file; created owner-only when missing.
        schema: whose file it is and how it came to be.
        synchronous: see the module's docstring.
        max_waiting: operations that may wait; the next one is refused with StoreOverloaded.
        linger_s: posted operations gather so long before they are committed, unless a submitted
            one comes along; spares a wake-up and a commit for each.
        on_failure: called in the writer's thread with the error of a posted operation.
        vault: what statements seal and unseal with.

    Raises:
        OpenRefused: the file is foreign, too new or damaged, or sealed otherwise.
        StoreUnavailable: the file can not be opened now.
    """

    def __init__(
        self,
        path: Path,
        schema: Schema,
        *,
        synchronous: Literal["NORMAL", "FULL"] = "NORMAL",
        max_waiting: int = 20_000,
        linger_s: float = 0.01,
        on_failure: Callable[[BaseException], None] | None = None,
        vault: Vault = PLAIN,
    ) -> None:
        self.path = path
        self._connection = open_database(path, schema, synchronous=synchronous, vault=vault)
        self._max_waiting = max_waiting
        self._linger_s = linger_s
        self._on_failure = on_failure
        self._queue: deque[_Queued] = deque()
        self._something = threading.Event()
        self._urgent = threading.Event()
        self._closing = False
        self._gate = threading.Lock()  # between the last append and the closing of the queue
        self._n_done = self._n_failed = self._n_commits = 0
        self._thread = threading.Thread(target=self._work, name=f"write-{path.stem}", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        """Show the file and the counters."""
        return f"SqliteWriter({self.path.name!r}, {self.stats()})"

    def submit(self, operation: Operation[T]) -> asyncio.Future[T]:
        """Queue an operation; the future gives its result once it is committed.

        Call it on a running event loop. Cancelling the future does not take the operation back.
        An exception of the operation itself comes out unchanged and leaves its neighbours alone.

        Raises:
            StoreOverloaded: too many operations wait.
            StoreUnavailable: the writer is closed; from the future: disk full, file locked or
                damaged, and nothing of the operation was kept.
        """
        return self._submit(operation, is_apart=False)

    def apart(self, operation: Operation[T]) -> asyncio.Future[T]:
        """Queue what runs outside of any transaction, after all that was queued before.

        For what SQLite does in no transaction, as VACUUM; everything queued later waits for it.

        Raises:
            StoreOverloaded, StoreUnavailable: see ``submit``.
        """
        return self._submit(operation, is_apart=True)

    def _submit(self, operation: Operation[T], *, is_apart: bool) -> asyncio.Future[T]:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._enqueue(_Queued(operation, future, is_apart))
        if not self._urgent.is_set():
            self._urgent.set()
        if not self._something.is_set():
            self._something.set()
        return future

    def post(self, operation: Operation[Any]) -> None:
        """Queue an operation that nobody waits for, from any thread; a failure is only counted.

        Raises:
            StoreOverloaded: too many operations wait.
            StoreUnavailable: the writer is closed.
        """
        self._enqueue(_Queued(operation, None))
        if not self._something.is_set():
            self._something.set()

    def stats(self) -> WriterStats:
        """Return the counters as they are now."""
        return WriterStats(
            n_waiting=len(self._queue),
            n_done=self._n_done,
            n_failed=self._n_failed,
            n_commits=self._n_commits,
        )

    def close(self) -> None:
        """Commit what waits, then close the file. Blocks; a second call does nothing."""
        with self._gate:
            self._closing = True
        self._urgent.set()
        self._something.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _enqueue(self, queued: _Queued) -> None:
        with self._gate:
            if self._closing:
                raise StoreUnavailable(f"{self.path.name} is closed")
            if len(self._queue) >= self._max_waiting:
                raise StoreOverloaded(
                    f"{self._max_waiting} writes to {self.path.name} wait already; the disk is "
                    f"slower than the traffic"
                )
            self._queue.append(queued)

    def _work(self) -> None:
        try:
            while self._wait():
                self._round()
        finally:
            self._connection.close()

    def _round(self) -> None:
        """Commit one batch; its references end here, so that no answer outlives its commit."""
        batch = self._take()
        if not batch:
            return
        try:
            self._commit(batch)
        except Exception as error:  # noqa: BLE001 - the thread's edge: those who wait must hear
            self._roll_back()
            self._fail(batch, error)
        self._resolve(batch)

    def _wait(self) -> bool:
        """Sleep until there is something to commit; False when there will never be."""
        if not self._queue:
            if self._closing:
                return False
            self._something.wait()
        if not self._urgent.is_set() and not self._closing:
            self._urgent.wait(self._linger_s)
        self._something.clear()
        self._urgent.clear()
        return True

    def _take(self) -> list[_Queued]:
        queue = self._queue
        batch: list[_Queued] = []
        while queue and len(batch) < _MAX_BATCH and not (batch and queue[0].is_apart):
            batch.append(queue.popleft())
            if batch[0].is_apart:
                break
        if queue:
            self._urgent.set()  # a backlog does not linger
        return batch

    def _commit(self, batch: Sequence[_Queued]) -> None:
        """Run a batch in one transaction; when one operation fails, again with savepoints."""
        if batch[0].is_apart:
            batch[0].result = batch[0].operation(self._connection)
            return
        if not self._try_together(batch):
            self._try_apart(batch)

    def _try_together(self, batch: Sequence[_Queued]) -> bool:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        for queued in batch:
            try:
                queued.result = queued.operation(connection)
            except Exception as error:  # it belongs to whoever gave the operation
                self._roll_back()
                if _is_environment(error):
                    raise
                return False
        self._finish(len(batch), 0)
        return True

    def _try_apart(self, batch: Sequence[_Queued]) -> None:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        n_failed = 0
        for queued in batch:
            connection.execute("SAVEPOINT one")
            try:
                queued.result = queued.operation(connection)
            except Exception as error:  # it belongs to whoever gave the operation
                if _is_environment(error):
                    raise
                queued.error = error
                n_failed += 1
                connection.execute("ROLLBACK TO one")
            connection.execute("RELEASE one")
        self._finish(len(batch) - n_failed, n_failed)

    def _finish(self, n_done: int, n_failed: int) -> None:
        self._connection.execute("COMMIT")
        self._n_done += n_done
        self._n_failed += n_failed
        self._n_commits += 1

    def _fail(self, batch: Sequence[_Queued], error: Exception) -> None:
        _log.warning("%d writes to %s failed: %s", len(batch), self.path.name, error)
        self._n_failed += len(batch)
        for queued in batch:
            queued.error = StoreUnavailable(f"{self.path.name} could not be written: {error}")
            queued.error.__cause__ = error

    def _roll_back(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as error:  # the next BEGIN will say so again
            _log.warning("rolling back in %s failed: %s", self.path.name, error)

    def _resolve(self, batch: Sequence[_Queued]) -> None:
        """Wake those who wait, with one call into each event loop."""
        by_loop: dict[asyncio.AbstractEventLoop, list[_Queued]] = {}
        for queued in batch:
            if queued.future is not None:
                by_loop.setdefault(queued.future.get_loop(), []).append(queued)
            elif queued.error is not None and self._on_failure is not None:
                _tell(self._on_failure, queued.error)
        for loop, waiting in by_loop.items():
            try:
                loop.call_soon_threadsafe(_settle, waiting)
            except RuntimeError:  # the loop was closed: nobody waits any more
                _log.debug("%d writes finished after their event loop", len(waiting))


def _settle(batch: Sequence[_Queued]) -> None:
    for queued in batch:
        future = queued.future
        if future is None or future.done():
            continue
        if queued.error is None:
            future.set_result(queued.result)
        else:
            future.set_exception(queued.error)


def _tell(on_failure: Callable[[BaseException], None], error: BaseException) -> None:
    try:
        on_failure(error)
    except Exception:  # noqa: BLE001 - not ours, and the thread has to go on
        _log.exception("the listener for failed writes failed itself")


def _is_environment(error: BaseException) -> bool:
    """Tell whether the disk or the file is at fault, and with it every operation of the batch."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, sqlite3.Error) and code is not None and (code & 0xFF) in _ENVIRONMENT
