"""Keeping what was deleted from resting in a file.

SQLite overwrites what is deleted with zeros (``secure_delete``), but copies of it stay in two
places: in the write-ahead log, until it is written over, and in the unused room of pages, where
rows stood before they were moved to other pages (seen: of 3,400 deleted rows up to five could still
be read in the file). So the log is emptied every half minute in which something was written, and
the file is rewritten as often as a bound on how long texts are kept asks for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final

from cache.embedded.sqlite_writer import SqliteWriter

LOG_EMPTIED_EVERY_S: Final = 30.0
_DUE: Final = 0.0


def empty_log(connection: sqlite3.Connection) -> bool:
    """Write the log into the file and cut it to nothing; False where a reader is at work on it."""
    (wait_ms,) = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute("PRAGMA busy_timeout = 0")  # the writer waits for no reader
    try:
        (is_busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(wait_ms)}")
    return not is_busy


def rewritten(connection: sqlite3.Connection) -> None:
    """Write the whole file anew, some 100 MB in a second or two; nothing else is written then."""
    connection.execute("VACUUM")


class Tidying:
    """Tends one file.

    Args:
        writer: of the file; its schema has a table ``upkeep``.
        every_s: seconds between two times it is rewritten; None: only when asked for. May be set
            to others at any time.
        rewrite: does so, outside of any transaction.
    """

    def __init__(
        self,
        writer: SqliteWriter,
        *,
        every_s: float | None = None,
        rewrite: Callable[[sqlite3.Connection], None] = rewritten,
    ) -> None:
        self._writer = writer
        self.every_s = every_s
        self._rewrite = rewrite
        self._rewritten_at_s: float | None = None
        self._emptied_at_s: float | None = None
        self._n_done = 0

    async def tend(self, now_s: float) -> None:
        """Empty the log and rewrite the file if it is time.

        Raises:
            StoreUnavailable: the file can not be written now.
        """
        if self._rewritten_at_s is None:
            self._rewritten_at_s = await self._writer.apart(_rewritten_at)
        if self._rewritten_at_s == _DUE:
            await self.free(now_s)  # an erasure died before it had freed the file
            return
        if self.every_s is not None and now_s - self._rewritten_at_s >= self.every_s:
            await self.free(now_s, self._rewrite)
            return
        n_done = self._writer.stats().n_done
        last_s = self._emptied_at_s
        if n_done == self._n_done or (last_s is not None and now_s - last_s < LOG_EMPTIED_EVERY_S):
            return
        if await self._writer.apart(empty_log):
            self._n_done, self._emptied_at_s = n_done, now_s

    async def free(
        self, now_s: float, rewrite: Callable[[sqlite3.Connection], None] = rewritten
    ) -> bool:
        """Rewrite the file now; of what was deleted before nothing is in it, or in its log, then.

        Returns:
            Whether the log could be emptied; False: a reader is at work, ``tend`` tries again.

        Raises:
            StoreUnavailable: the file can not be written now.
        """

        def act(connection: sqlite3.Connection) -> bool:
            rewrite(connection)
            connection.execute("UPDATE upkeep SET rewritten_at_s = ?", (now_s,))
            return empty_log(connection)

        is_empty = await self._writer.apart(act)
        self._rewritten_at_s = now_s
        if is_empty:
            self._n_done, self._emptied_at_s = self._writer.stats().n_done, now_s
        else:
            self._n_done, self._emptied_at_s = -1, None
        return is_empty


def due_now(connection: sqlite3.Connection) -> None:
    """Note that the file is to be rewritten as soon as can be, whatever becomes of this process."""
    connection.execute("UPDATE upkeep SET rewritten_at_s = ?", (_DUE,))


def _rewritten_at(connection: sqlite3.Connection) -> float:
    return float(connection.execute("SELECT rewritten_at_s FROM upkeep").fetchone()[0])
