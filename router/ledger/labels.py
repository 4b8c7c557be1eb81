"""Pairs of texts of which is known whether one answer serves both: what the pair model learns from.

Written from feedback, audits and shadow misses, each for as long as the settings say and in bounded
number; read by ``scrimp pairs`` and by training.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from cache.calibration import Source
from cache.embedded.vault import PLAIN, Vault
from cache.text_rules import is_personal
from router.ledger.reader import open_to_read
from router.ledger.types import LabelledPair

MAX_LABELS = 100_000  # the oldest give way

_WRITE = (
    "INSERT OR REPLACE INTO labels "
    "(line_id, source, at_ms, namespace, asked, stored, is_same, expires_at_ms, since_ms, entry_id)"
    " VALUES (?1, ?, ?, ?, seal(?, 'labels.asked', ?1), seal(?, 'labels.stored', ?1), ?, ?, ?, ?)"
)
_READ = (
    "SELECT hex(line_id), namespace, unseal(asked, 'labels.asked', line_id), "
    "unseal(stored, 'labels.stored', line_id), is_same, source, at_ms, expires_at_ms, since_ms, "
    "entry_id FROM labels WHERE expires_at_ms > ? ORDER BY id"
)


def write_label(connection: sqlite3.Connection, pair: LabelledPair) -> None:
    """Keep a labelled pair, in place of an earlier word of the same source on the same line."""
    connection.execute(
        _WRITE,
        (
            bytes.fromhex(pair.line_id),
            pair.source.value,
            pair.at_ms,
            pair.namespace,
            pair.asked,
            pair.stored,
            pair.is_same,
            pair.expires_at_ms,
            pair.since_ms or pair.at_ms,
            pair.entry_id,
        ),
    )


def trim_labels(connection: sqlite3.Connection, max_labels: int = MAX_LABELS) -> None:
    """Forget the oldest beyond the bound; ids only grow, so that counting is not needed."""
    connection.execute(
        "DELETE FROM labels WHERE id <= (SELECT max(id) FROM labels) - ?", (max_labels,)
    )


def read_labels(connection: sqlite3.Connection, now_ms: int = 0) -> Iterator[LabelledPair]:
    """Yield every pair whose time is not over, oldest first.

    What the rules of today call personal is left out.

    Args:
        connection: to the ledger.
        now_ms: milliseconds since the epoch.
    """
    for (
        line_id,
        namespace,
        asked,
        stored,
        is_same,
        source,
        at_ms,
        expires_at_ms,
        since_ms,
        entry_id,
    ) in connection.execute(_READ, (now_ms,)):
        if is_personal(asked) or is_personal(stored):
            continue
        yield LabelledPair(
            line_id=line_id.lower(),
            namespace=namespace,
            asked=asked,
            stored=stored,
            is_same=bool(is_same),
            source=Source(source),
            at_ms=at_ms,
            expires_at_ms=expires_at_ms,
            since_ms=since_ms,
            entry_id=entry_id,
        )


def labelled_pairs(folder: Path, vault: Vault = PLAIN, *, now_ms: int = 0) -> list[LabelledPair]:
    """Return every labelled pair of a data folder; a service may be running on it.

    Args:
        folder: it.
        vault: what its ledger is sealed with.
        now_ms: pairs whose time is over by then are left out.

    Raises:
        LedgerUnavailable, LedgerRefused: see ``open_to_read``.
    """
    with closing(open_to_read(folder, vault)) as connection:
        return list(read_labels(connection, now_ms))
