"""Reading the ledger's file beside the thread, or the process, that writes it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from cache.embedded.sqlite_schema import check_seals, connect, is_corruption
from cache.embedded.vault import PLAIN, Vault
from cache.errors import SealMismatch
from router.ledger.errors import LedgerRefused, LedgerUnavailable
from router.ledger.schema import SCHEMA, ledger_path

T = TypeVar("T")


def open_to_read(folder: Path, vault: Vault = PLAIN) -> sqlite3.Connection:
    """Open a data folder's ledger to read what is committed, whether or not a service runs on it.

    Args:
        folder: it.
        vault: what its ledger is sealed with.

    Raises:
        LedgerUnavailable: there is no ledger, or it can not be opened now.
        LedgerRefused: it is foreign, damaged, sealed otherwise, or of another schema than this
            scrimp reads.
    """
    path = ledger_path(folder)
    if not folder.is_dir():
        raise LedgerUnavailable(
            f"there is no data folder {folder}; name the one that `scrimp serve` writes to"
        )
    if not path.is_file():
        raise LedgerUnavailable(
            f"{folder} holds no ledger ({path.name}); `scrimp serve` makes it when it starts"
        )
    try:
        connection = connect(path, read_only=True, vault=vault)
        try:
            _check_schema(connection, path)
            check_seals(connection, path, vault)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        kind = LedgerRefused if is_corruption(error) else LedgerUnavailable
        raise kind(f"{path} can not be read as a ledger: {error}") from error
    except SealMismatch as error:
        raise LedgerRefused(str(error)) from error
    return connection


def _check_schema(connection: sqlite3.Connection, path: Path) -> None:
    found, version = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("application_id", "user_version")
    )
    if found != SCHEMA.application_id:
        raise LedgerRefused(f"{path} is an SQLite database, but no ledger of scrimp")
    if version != SCHEMA.version:
        remedy = (
            "read it with the newer scrimp that wrote it"
            if version > SCHEMA.version
            else "start `scrimp serve` once, it brings the file up to date"
        )
        raise LedgerRefused(
            f"{path} has schema {version}, this scrimp reads schema {SCHEMA.version}; {remedy}"
        )


class Reader:
    """Reads what is committed, one query after the other, off the event loop."""

    def __init__(self, path: Path, name: str, vault: Vault = PLAIN) -> None:
        self._path = path
        self._vault = vault
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"read-{path.stem}-{name}")
        self._connection: sqlite3.Connection | None = None

    async def run(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run a query in the thread.

        Raises:
            LedgerUnavailable: the file can not be read, or the ledger is closed.
        """
        try:
            running = asyncio.get_running_loop().run_in_executor(self._thread, self._query, query)
        except RuntimeError as error:
            raise LedgerUnavailable(f"{self._path.name} is closed") from error
        try:
            return await running
        except sqlite3.Error as error:
            raise LedgerUnavailable(f"{self._path.name} can not be read: {error}") from error

    def close(self) -> None:
        """Wait for the query that runs, then close the connection."""
        self._thread.shutdown(cancel_futures=True)
        if self._connection is not None:
            self._connection.close()

    def _query(self, query: Callable[[sqlite3.Connection], T]) -> T:
        if self._connection is None:
            self._connection = connect(self._path, read_only=True, vault=self._vault)
        return query(self._connection)
