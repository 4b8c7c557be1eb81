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
from cache.text_rules import is_personal
from router.ledger.reader import open_to_read
from router.ledger.types import LabelledPair

MAX_LABELS = 100_000  # the oldest give way

_WRITE = (
    "INSERT OR REPLACE INTO labels "
    "(line_id, source, at_ms, namespace, asked, stored, is_same, expires_at_ms) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_READ = (
    "SELECT hex(line_id), namespace, asked, stored, is_same, source, at_ms, expires_at_ms "
    "FROM labels ORDER BY id"
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
        ),
    )


def trim_labels(connection: sqlite3.Connection, max_labels: int = MAX_LABELS) -> None:
    """Forget the oldest beyond the bound; ids only grow, so that counting is not needed."""
    connection.execute(
        "DELETE FROM labels WHERE id <= (SELECT max(id) FROM labels) - ?", (max_labels,)
    )


def read_labels(connection: sqlite3.Connection) -> Iterator[LabelledPair]:
    """Yield every pair, oldest first. What the rules of today call personal is left out."""
    for (
        line_id,
        namespace,
        asked,
        stored,
        is_same,
        source,
        at_ms,
        expires_at_ms,
    ) in connection.execute(_READ):
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
        )


def labelled_pairs(folder: Path) -> list[LabelledPair]:
    """Return every labelled pair of a data folder; a service may be running on it.

    Raises:
        LedgerUnavailable, LedgerRefused: see ``open_to_read``.
    """
    with closing(open_to_read(folder)) as connection:
        return list(read_labels(connection))
