"""What has to be done from time to time: end what is overdue, forget what outlived its use."""

from __future__ import annotations

import sqlite3

from router.ledger.evidence import expire_evidence
from router.ledger.kept import delete_expired
from router.ledger.labels import trim_labels
from router.ledger.routing import trim_choices
from router.ledger.tickets import expire
from router.ledger.verdicts import trim_verdicts

EXPIRY_BATCH = 500  # rows of each kind that one call looks at


def expire_all(connection: sqlite3.Connection, now_ms: int) -> int:
    """Do up to ``EXPIRY_BATCH`` of each kind of work; return how many tickets expired."""
    for table in ("kept", "pairs", "labels"):
        delete_expired(connection, table, now_ms, EXPIRY_BATCH)
    expire_evidence(connection, now_ms / 1e3, EXPIRY_BATCH)
    trim_labels(connection)
    trim_choices(connection)
    trim_verdicts(connection, now_ms / 1e3)
    return expire(connection, now_ms, EXPIRY_BATCH)


def overwrite_what_is_deleted(connection: sqlite3.Connection) -> None:
    """Make SQLite write zeros over erased texts instead of only forgetting where they were."""
    connection.execute("PRAGMA secure_delete = ON").fetchall()
