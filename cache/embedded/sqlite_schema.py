"""Opening an SQLite file of ours: whose it is, which schema it has, how it moves to the next."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cache.errors import DatabaseCorrupt, DatabaseForeign, DatabaseTooNew, StoreUnavailable

Migration = Callable[[sqlite3.Connection], None]
"""One step from schema n to n + 1, inside a transaction that it neither begins nor ends."""

_NOT_READABLE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_BUSY_TIMEOUT_S = 5.0


def statements(*sql: str) -> Migration:
    """Return a migration step that executes the statements in order."""

    def step(connection: sqlite3.Connection) -> None:
        for statement in sql:
            connection.execute(statement)

    return step


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """What a database file is for, and every step that led to its present form.

    Attributes:
        name: what people call it in messages, e.g. "scrimp cache".
        application_id: written into the file's header; 32-bit, not 0, unique per purpose.
        migrations: step n leads from ``user_version`` n to n + 1; only ever appended to.
    """

    name: str
    application_id: int
    migrations: Sequence[Migration]

    @property
    def version(self) -> int:
        """The schema version this program writes."""
        return len(self.migrations)


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open a connection in autocommit mode that any one thread at a time may use.

    Raises:
        sqlite3.Error: as it comes.
    """
    mode = "ro" if read_only else "rw"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def open_database(path: Path, schema: Schema, *, synchronous: str = "NORMAL") -> sqlite3.Connection:
    """Open or create the file for writing: checked, migrated, in WAL mode, readable by its owner.

    SQLite gives its ``-wal`` and ``-shm`` files the mode of the main file, so that they are
    owner-only too.

    Raises:
        DatabaseForeign: the file belongs to another program or purpose.
        DatabaseTooNew: the file's schema is later than ours.
        DatabaseCorrupt: the file can not be read as a database.
        StoreUnavailable: it can not be opened or written now.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
        connection = connect(path)
    except (OSError, sqlite3.Error) as error:
        raise StoreUnavailable(
            f"{path} can not be opened for writing ({error}); check the folder's owner and rights"
        ) from error
    try:
        _check_identity(connection, path, schema)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        _migrate(connection, schema)
    except sqlite3.Error as error:
        connection.close()
        raise _open_error(path, schema, error) from error
    except BaseException:
        connection.close()
        raise
    return connection


def quick_check(path: Path) -> list[str]:
    """Return what SQLite finds wrong with the file, empty when nothing; reads all of it."""
    try:
        connection = connect(path, read_only=True)
        try:
            found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(20)")]
        finally:
            connection.close()
    except sqlite3.Error as error:
        return [str(error)]
    return [] if found == ["ok"] else found


def is_corruption(error: sqlite3.Error) -> bool:
    """Tell whether SQLite says that the file itself is damaged."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _NOT_READABLE


def corrupt(path: Path, name: str, error: object) -> DatabaseCorrupt:
    """Return the error for a damaged file, with the way out."""
    return DatabaseCorrupt(
        f"{path} is not a readable {name} database ({error}); restore it from a backup, or move "
        f"it and its -wal and -shm files aside to start with an empty one"
    )


def _check_identity(connection: sqlite3.Connection, path: Path, schema: Schema) -> None:
    found = _pragma(connection, "application_id")
    version = _pragma(connection, "user_version")
    is_empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    if found != schema.application_id and not (found == 0 and version == 0 and is_empty):
        raise DatabaseForeign(
            f"{path} is an SQLite database with application id {found:#010x}, a {schema.name} "
            f"database has {schema.application_id:#010x}; choose another data folder or move the "
            f"file away"
        )
    if version > schema.version:
        raise DatabaseTooNew(
            f"{path} has schema {version}, this version of scrimp knows {schema.name} schemas up "
            f"to {schema.version}; start the newer scrimp, or choose another data folder"
        )


def _migrate(connection: sqlite3.Connection, schema: Schema) -> None:
    """Take every missing step, each in a transaction of its own together with its number."""
    for version in range(_pragma(connection, "user_version"), schema.version):
        connection.execute("BEGIN IMMEDIATE")
        try:
            schema.migrations[version](connection)
            connection.execute(f"PRAGMA application_id = {schema.application_id}")
            connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _open_error(path: Path, schema: Schema, error: sqlite3.Error) -> Exception:
    if is_corruption(error):
        return corrupt(path, schema.name, error)
    return StoreUnavailable(
        f"{path} can not be opened as the {schema.name} database ({error}); check free disk space, "
        f"the file's owner and rights, and whether another program holds it"
    )


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
