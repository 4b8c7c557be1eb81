"""Rewriting a database with another key, with none, or with one for the first time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from cache.embedded.sqlite_schema import Schema, check_seals, corrupt, note_key, open_database
from cache.embedded.tidying import empty_log, rewritten
from cache.embedded.vault import PLAIN, SealBroken, Vault, lend
from cache.errors import StoreUnavailable

Hashes = Callable[[sqlite3.Connection, Vault, Vault], None]
"""Makes hashes anew: told the connection, what opens, and what seals from now on."""


def reseal(
    path: Path, schema: Schema, vault: Vault, *, target: Vault, hashes: Hashes | None = None
) -> bool:
    """Seal all that is in a database that no other process has open; one transaction.

    Nothing is left of how it was sealed before, or of plain texts, when this returns. A process
    that dies before leaves the database as it was, or only to be called again.

    Args:
        path: the database.
        schema: its.
        vault: opens what is there.
        target: seals it.
        hashes: for what is not sealed and yet depends on keys.

    Returns:
        False where it was sealed so already, and nothing was done but freeing the file.

    Raises:
        OpenRefused: foreign, too new, damaged, or sealed with a key that is not there.
        StoreUnavailable: it can not be written now, and is as it was.
    """
    with closing(open_database(path, schema, vault=None)) as connection:
        sealed = check_seals(connection, path, vault)
        opens = vault if sealed else PLAIN
        is_new = sealed != set(target.key_ids[:1])
        try:
            if is_new:
                _reseal(connection, schema, opens, target, hashes)
            lend(target, connection)
            rewritten(connection)
            empty_log(connection)
        except sqlite3.Error as error:
            if isinstance(error.__context__, SealBroken) or "user-defined" in str(error):
                raise corrupt(path, schema.name, "a value can not be opened") from error
            raise StoreUnavailable(f"{path} can not be rewritten: {error}") from error
    return is_new


def _reseal(
    connection: sqlite3.Connection,
    schema: Schema,
    opens: Vault,
    target: Vault,
    hashes: Hashes | None,
) -> None:
    lend(target, connection, opens=opens)
    connection.execute("BEGIN IMMEDIATE")
    try:
        if hashes is not None:
            hashes(connection, opens, target)
        for one in schema.sealed:
            connection.execute(one.resealed)
        connection.execute("DELETE FROM seals")
        if target.key_ids:
            note_key(connection, target)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
