"""Outcomes kept for retries: in the file for as long as promised, in memory as far as it helps.

Nearly every request id is new. So the keys of all live outcomes are in memory, 16 bytes each, and
"new" is known without the disk. Beyond ``max_keys`` the file is asked, until those that did not
fit are too old to matter.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections import OrderedDict
from dataclasses import dataclass

from router.ledger.types import KeptOutcome, RequestKey

KeptRow = tuple[bytes, bytes, bytes, int, int, bytes]

_WRITE = (
    "INSERT INTO kept (key, body_digest, response, expires_at_ms, since_ms, line_id) "
    "VALUES (?1, ?2, seal(?3, 'kept.response', ?1), ?4, ?5, ?6) "
    "ON CONFLICT (key) DO UPDATE SET body_digest = excluded.body_digest, "
    "response = excluded.response, expires_at_ms = excluded.expires_at_ms, "
    "since_ms = excluded.since_ms, line_id = excluded.line_id"
)


def key_bytes(key: RequestKey) -> bytes:
    """Return 16 bytes that stand for a request's id in its scope; no two scopes run together."""
    hashed = hashlib.sha256()
    for part in (key.namespace, key.caller, key.request_id):
        encoded = part.encode("utf-8", "surrogatepass")
        hashed.update(len(encoded).to_bytes(8, "big"))
        hashed.update(encoded)
    return hashed.digest()[:16]


def kept_row(key: bytes, kept: KeptOutcome, line_id: bytes, at_ms: int) -> KeptRow:
    """Return the values of the row of an outcome that a line of this moment came to."""
    since_ms = kept.since_ms or at_ms
    return key, kept.body_digest, kept.response, kept.expires_at_ms, since_ms, line_id


def write_kept(connection: sqlite3.Connection, row: KeptRow) -> None:
    """Insert an outcome, or put a later one in its place."""
    connection.execute(_WRITE, row)


def find_kept(connection: sqlite3.Connection, key: bytes) -> KeptOutcome | None:
    """Return an outcome, however old."""
    row = connection.execute(
        "SELECT body_digest, unseal(response, 'kept.response', key), expires_at_ms FROM kept "
        "WHERE key = ?",
        (key,),
    ).fetchone()
    if row is None:
        return None
    return KeptOutcome(body_digest=row[0], response=row[1], expires_at_ms=row[2])


def delete_expired(connection: sqlite3.Connection, table: str, now_ms: int, limit: int) -> None:
    """Delete up to ``limit`` rows of ``kept``, ``pairs`` or ``labels`` whose time is over."""
    connection.execute(
        f"DELETE FROM {table} WHERE rowid IN "
        f"(SELECT rowid FROM {table} WHERE expires_at_ms <= ? LIMIT ?)",
        (now_ms, limit),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptBounds:
    """How much of what is kept is in memory.

    Attributes:
        max_keys: live keys; about 130 bytes each.
        max_outcomes: whole outcomes, the latest ones.
        max_bytes: their responses together.
    """

    max_keys: int = 250_000
    max_outcomes: int = 4096
    max_bytes: int = 32 * 1024 * 1024


class KeptIndex:
    """What is known in memory of kept outcomes. For one event loop."""

    def __init__(self, bounds: KeptBounds) -> None:
        self._bounds = bounds
        self._expiry_of: dict[bytes, int] = {}
        self._recent: OrderedDict[bytes, KeptOutcome] = OrderedDict()
        self._n_bytes = 0
        self._incomplete_until_ms = 0

    def __repr__(self) -> str:
        """Show how much it holds."""
        return f"KeptIndex({len(self._expiry_of)} keys, {len(self._recent)} outcomes)"

    def load(self, connection: sqlite3.Connection) -> None:
        """Learn the keys in the file; those that end last, when there are too many."""
        rows = connection.execute(
            "SELECT key, expires_at_ms FROM kept ORDER BY expires_at_ms DESC LIMIT ?",
            (self._bounds.max_keys + 1,),
        ).fetchall()
        if len(rows) > self._bounds.max_keys:
            self._incomplete_until_ms = rows.pop()[1]
        self._expiry_of = dict(reversed(rows))

    def put(self, key: bytes, kept: KeptOutcome) -> None:
        """Learn an outcome that is being written."""
        self._expiry_of.pop(key, None)
        self._expiry_of[key] = kept.expires_at_ms
        if len(self._expiry_of) > self._bounds.max_keys:
            oldest = next(iter(self._expiry_of))
            until_ms = self._expiry_of.pop(oldest)
            self._incomplete_until_ms = max(self._incomplete_until_ms, until_ms)
        self.remember(key, kept)

    def remember(self, key: bytes, kept: KeptOutcome) -> None:
        """Keep a whole outcome at hand, as the latest one."""
        self._forget(key)
        self._recent[key] = kept
        self._n_bytes += len(kept.response)
        while (
            len(self._recent) > self._bounds.max_outcomes or self._n_bytes > self._bounds.max_bytes
        ):
            self._forget(next(iter(self._recent)))

    def recent(self, key: bytes) -> KeptOutcome | None:
        """Return an outcome that is at hand, however old."""
        return self._recent.get(key)

    def is_new(self, key: bytes, now_ms: int) -> bool:
        """Tell whether certainly nothing is kept under the key; False: ask the file."""
        expires_at_ms = self._expiry_of.get(key)
        if expires_at_ms is not None:
            return expires_at_ms <= now_ms
        return self._incomplete_until_ms <= now_ms

    def drop_expired(self, now_ms: int) -> None:
        """Forget what is too old; looks only at the oldest ones."""
        while self._expiry_of:
            oldest, expires_at_ms = next(iter(self._expiry_of.items()))
            if expires_at_ms > now_ms:
                break
            del self._expiry_of[oldest]
            self._forget(oldest)

    def forget(self, key: bytes) -> None:
        """Forget an outcome that is gone from the file."""
        self._expiry_of.pop(key, None)
        self._forget(key)

    def forget_outcomes(self) -> None:
        """Forget all outcomes that are at hand, as they changed in the file; their keys stay."""
        self._recent.clear()
        self._n_bytes = 0

    def _forget(self, key: bytes) -> None:
        kept = self._recent.pop(key, None)
        if kept is not None:
            self._n_bytes -= len(kept.response)
