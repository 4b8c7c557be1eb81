"""What has to be done from time to time: end what is overdue, forget what outlived its use."""

from __future__ import annotations

import sqlite3

from router.ledger.evidence import expire_evidence, expire_words
from router.ledger.kept import delete_expired
from router.ledger.labels import trim_labels
from router.ledger.retention import expire_notes
from router.ledger.routing import trim_choices
from router.ledger.tickets import expire
from router.ledger.verdicts import trim_verdicts

EXPIRY_BATCH = 500  # rows of each kind that one call looks at


def expire_all(connection: sqlite3.Connection, now_ms: int) -> int:
    """Do up to ``EXPIRY_BATCH`` of each kind of work; return how many tickets expired."""
    for table in ("kept", "pairs", "labels"):
        delete_expired(connection, table, now_ms, EXPIRY_BATCH)
    expire_evidence(connection, now_ms / 1e3, EXPIRY_BATCH)
    expire_words(connection, now_ms / 1e3, EXPIRY_BATCH)
    expire_notes(connection, now_ms, EXPIRY_BATCH)
    trim_labels(connection)
    trim_choices(connection)
    trim_verdicts(connection, now_ms / 1e3)
    return expire(connection, now_ms, EXPIRY_BATCH)
