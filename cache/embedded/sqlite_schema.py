"""Opening an SQLite file of ours: whose it is, which schema it has, how it moves to the next."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cache.embedded.vault import PLAIN, Vault, lend
from cache.errors import (
    DatabaseCorrupt,
    DatabaseForeign,
    DatabaseTooNew,
    SealMismatch,
    StoreUnavailable,
)

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


@dataclass(frozen=True, slots=True)
class Sealed:
    """A column whose values are sealed; see ``cache.embedded.vault``.

    Attributes:
        table: its table.
        column: its name.
        of: the SQL expression of what a row belongs to.
        is_text: it takes TEXT only.
        rows: which rows, as an SQL condition.
    """

    table: str
    column: str
    of: str
    is_text: bool = False
    rows: str = "1"

    @property
    def resealed(self) -> str:
        """The statement that seals anew what is there."""
        where = f"'{self.table}.{self.column}', {self.of}"
        seal = "seal_text" if self.is_text else "seal"
        return (
            f"UPDATE {self.table} SET {self.column} = "
            f"{seal}(unseal({self.column}, {where}), {where}) WHERE {self.rows}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """What a database file is for, and every step that led to its present form.

    Attributes:
        name: what people call it in messages, e.g. "scrimp cache".
        application_id: written into the file's header; 32-bit, not 0, unique per purpose.
        migrations: step n leads from ``user_version`` n to n + 1; only ever appended to.
        sealed: the columns that hold texts, and what is made of texts; where there are any, the
            database has a table ``seals`` and a table ``upkeep`` (``SEALS``, ``UPKEEP``).
    """

    name: str
    application_id: int
    migrations: Sequence[Migration]
    sealed: Sequence[Sealed] = ()

    @property
    def version(self) -> int:
        """The schema version this program writes."""
        return len(self.migrations)


SEALS = """
CREATE TABLE seals (                       -- the keys that values may be sealed with; none: plain
    key_id BLOB PRIMARY KEY, probe BLOB NOT NULL
) WITHOUT ROWID
"""

UPKEEP = """
CREATE TABLE upkeep (                      -- one row
    rewritten_at_s REAL NOT NULL           -- when the file was last freed of what was deleted;
                                           -- -1: never, 0: it is to be, whatever the settings say
)
"""

_PROBE = "scrimp"


def connect(path: Path, *, read_only: bool = False, vault: Vault = PLAIN) -> sqlite3.Connection:
    """Open a connection in autocommit mode that any one thread at a time may use.

    Args:
        path: the file; it exists.
        read_only: nothing can be written.
        vault: what its statements seal and unseal with.

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
    lend(vault, connection)
    return connection


def open_database(
    path: Path, schema: Schema, *, synchronous: str = "NORMAL", vault: Vault | None = PLAIN
) -> sqlite3.Connection:
    """Open or create the file for writing: checked, migrated, in WAL mode, readable by its owner.

    What is deleted is overwritten; see ``cache.embedded.tidying`` for what that leaves.

    Args:
        path: the file.
        schema: what it is.
        synchronous: as SQLite has it.
        vault: what is sealed with; None: whoever opens it sees to that.

    SQLite gives its ``-wal`` and ``-shm`` files the mode of the main file, so that they are
    owner-only too.

    Raises:
        DatabaseForeign: the file belongs to another program or purpose.
        DatabaseTooNew: the file's schema is later than ours.
        DatabaseCorrupt: the file can not be read as a database.
        SealMismatch: it is sealed with a key that is not there, or not at all.
        StoreUnavailable: it can not be opened or written now.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
        connection = connect(path, vault=vault or PLAIN)
    except (OSError, sqlite3.Error) as error:
        raise StoreUnavailable(
            f"{path} can not be opened for writing ({error}); check the folder's owner and rights"
        ) from error
    try:
        _check_identity(connection, path, schema)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA secure_delete = ON").fetchall()
        _migrate(connection, schema)
        if schema.sealed and vault is not None:
            _adopt_key(connection, path, schema, vault)
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


def check_seals(connection: sqlite3.Connection, path: Path, vault: Vault) -> set[bytes]:
    """Return the names of the keys that a database is sealed with; all of them are there.

    Raises:
        SealMismatch: one is missing; says what to do.
    """
    sealed = dict(connection.execute("SELECT key_id, probe FROM seals").fetchall())
    missing = sorted(set(sealed) - set(vault.key_ids))
    if missing and not vault.key_ids:
        raise SealMismatch(
            f"{path} is encrypted (with the key {missing[0].hex()}) and the settings name no key; "
            f"set key_env or key_file under [encryption]"
        )
    if missing:
        known = ", ".join(name.hex() for name in vault.key_ids)
        raise SealMismatch(
            f"{path} holds values encrypted with the key {missing[0].hex()}, and the settings have "
            f"only {known}; add that key behind the new one until `scrimp encrypt` has run, or "
            f"choose another data folder"
        )
    for name, probe in sealed.items():
        vault.unseal(probe, "seals.probe", name)
    return set(sealed)


def _adopt_key(connection: sqlite3.Connection, path: Path, schema: Schema, vault: Vault) -> None:
    """Check the keys, and note the first one before anything is sealed with it.

    Raises:
        SealMismatch: see ``check_seals``; also where what is there is plain, and a key is set.
    """
    sealed = check_seals(connection, path, vault)
    if not vault.key_ids or vault.key_ids[0] in sealed:
        return
    if not sealed and holds_values(connection, schema):
        raise SealMismatch(
            f"{path} is not encrypted, and the settings name a key; run `scrimp encrypt`, which "
            f"rewrites it, or leave key_env and key_file out of [encryption]"
        )
    note_key(connection, vault)


def holds_values(connection: sqlite3.Connection, schema: Schema) -> bool:
    """Tell whether anything is there that would be sealed, were there a key."""
    return any(
        connection.execute(
            f"SELECT EXISTS (SELECT 1 FROM {one.table} WHERE {one.rows} AND "
            f"length({one.column}) > 0)"
        ).fetchone()[0]
        for one in schema.sealed
    )


def note_key(connection: sqlite3.Connection, vault: Vault) -> None:
    """Note that values may be sealed with the vault's first key."""
    name = vault.key_ids[0]
    probe = vault.seal(_PROBE, "seals.probe", name)
    connection.execute("INSERT OR REPLACE INTO seals VALUES (?, ?)", (name, probe))


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
