"""Erasure by user: what a user wrote or received goes, what was paid and saved stays.

Every step is one transaction that can be taken again: a process that dies in between leaves lines
that are the user's still, and beside each of them all that hangs on it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from cache.embedded.tidying import due_now
from router.ledger.evidence import take_words, take_words_of_reports
from router.ledger.kept import key_bytes
from router.ledger.schema import TEXT_TABLES
from router.ledger.types import Erased, RequestKey

LINES_AT_ONCE = 20_000  # row ids that one transaction looks at

_ID_TABLE = "CREATE TEMP TABLE IF NOT EXISTS made (entry_id INTEGER PRIMARY KEY)"
_LINE_TABLE = (
    "CREATE TEMP TABLE IF NOT EXISTS erased "
    "(id INTEGER PRIMARY KEY, line_id BLOB, is_open INTEGER, key BLOB)"
)
_OTHERS = (
    "NOT EXISTS (SELECT 1 FROM lines AS own WHERE own.line_id = {table}.line_id "
    "AND own.user = ? AND ? IN ('', own.namespace))"
)
"""Rows of the user's own lines go with those lines, and are counted there."""

_OF_USER = "user = ? AND ? IN ('', namespace)"


def last_line(connection: sqlite3.Connection) -> int:
    """Return the row id of the latest line; 0 where there is none."""
    return int(connection.execute("SELECT coalesce(max(id), 0) FROM lines").fetchone()[0])


def entries_made_by(connection: sqlite3.Connection, user: str, namespace: str) -> set[int]:
    """Return the entries that answers to a user's own requests became, as far as lines tell."""
    rows = connection.execute(
        f"SELECT DISTINCT entry_id FROM lines WHERE {_OF_USER} AND entry_id <> 0 "
        "AND outcome IN ('miss', 'bypass')",
        (user, namespace),
    )
    return {row[0] for row in rows}


def erase_copies(
    connection: sqlite3.Connection, entries: Iterable[int], user: str, namespace: str
) -> Erased:
    """Forget the texts of a user's entries that others' requests were compared with."""
    connection.execute(_ID_TABLE)
    connection.execute("DELETE FROM made")
    connection.executemany("INSERT INTO made VALUES (?)", ((entry,) for entry in entries))
    is_made = "entry_id IN (SELECT entry_id FROM made)"
    n_pairs = connection.execute(
        "DELETE FROM pairs WHERE EXISTS (SELECT 1 FROM lines JOIN made USING (entry_id) "
        f"WHERE lines.line_id = pairs.line_id) AND {_OTHERS.format(table='pairs')}",
        (user, namespace),
    ).rowcount
    n_labels = connection.execute(
        f"DELETE FROM labels WHERE {is_made} AND {_OTHERS.format(table='labels')}",
        (user, namespace),
    ).rowcount
    others = f"{is_made} AND {_OTHERS.format(table='evidence')}"
    n_observations = take_words(connection, others, (user, namespace))
    connection.execute(
        f"UPDATE tickets SET traits = seal('[]', 'tickets.traits', digest) "
        f"WHERE NOT is_over AND {is_made}"
    )
    take_words_of_reports(connection, "? IN ('', namespace)", (namespace,))
    connection.execute("DELETE FROM made")
    due_now(connection)
    return Erased(n_pairs=n_pairs, n_labels=n_labels, n_observations=n_observations)


def erase_lines(
    connection: sqlite3.Connection, user: str, namespace: str, after: int
) -> tuple[Erased, list[bytes]]:
    """Take from a user the lines with ids in (``after``, ``after + LINES_AT_ONCE``].

    What hangs on them goes: kept outcomes, tickets, pairs, labels, notes, words. An open line is
    closed as usage unknown, as its answer can not be brought any more.

    Returns:
        How many, and the keys of the outcomes.
    """
    connection.execute(_LINE_TABLE)
    connection.execute("DELETE FROM erased")
    found = connection.execute(
        f"SELECT id, line_id, state = 0, namespace, caller, request_id FROM lines "
        f"WHERE id > ? AND id <= ? AND {_OF_USER}",
        (after, after + LINES_AT_ONCE, user, namespace),
    ).fetchall()
    if not found:
        return Erased(), []
    connection.executemany(
        "INSERT INTO erased VALUES (?, ?, ?, ?)",
        ((*row[:3], _key(*row[3:])) for row in found),
    )
    keys = connection.execute(
        "DELETE FROM kept WHERE key IN (SELECT key FROM erased) AND (line_id = x'' OR line_id IN "
        "(SELECT line_id FROM erased)) RETURNING key"
    ).fetchall()
    of_lines = "line_id IN (SELECT line_id FROM erased)"
    n_tickets, n_pairs, n_labels, n_verdicts = (
        connection.execute(f"DELETE FROM {table} WHERE {of_lines}").rowcount
        for table in ("tickets", "pairs", "labels", "verdicts")
    )
    n_observations = take_words(connection, of_lines, ())
    connection.execute(f"UPDATE evidence SET line_id = x'' WHERE line_id <> x'' AND {of_lines}")
    n_notes = connection.execute(
        "UPDATE feedback SET note = '' WHERE note <> '' AND line IN (SELECT id FROM erased)"
    ).rowcount
    connection.execute(
        "UPDATE lines SET state = 1, cost_nanos = NULL, baseline_nanos = NULL WHERE state = 0 "
        "AND id IN (SELECT id FROM erased WHERE is_open)"
    )
    connection.execute(
        "UPDATE lines SET user = '', conversation = '', request_id = '' "
        "WHERE id IN (SELECT id FROM erased)"
    )
    connection.execute("DELETE FROM erased")
    due_now(connection)
    erased = Erased(
        n_lines=len(found),
        n_kept=len(keys),
        n_tickets=n_tickets,
        n_pairs=n_pairs,
        n_labels=n_labels,
        n_notes=n_notes,
        n_observations=n_observations,
        n_verdicts=n_verdicts,
    )
    return erased, [key for (key,) in keys]


def rewrite_texts(connection: sqlite3.Connection) -> None:
    """Write every table that holds texts anew; the lines, which hold none, stay where they are."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for table in TEXT_TABLES:
            connection.execute(f"CREATE TABLE moving AS SELECT * FROM {table}")
            connection.execute(f"DELETE FROM {table}")
            connection.execute(f"INSERT INTO {table} SELECT * FROM moving")
            connection.execute("DROP TABLE moving")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _key(namespace: str, caller: str, request_id: str) -> bytes | None:
    if not request_id:
        return None
    return key_bytes(RequestKey(namespace=namespace, caller=caller, request_id=request_id))
