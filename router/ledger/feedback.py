"""What callers say of what they received, with the pair of texts it speaks of."""

from __future__ import annotations

import sqlite3

from router.ledger.errors import FeedbackUnfit, LineUnknown
from router.ledger.lines import find_line
from router.ledger.types import Feedback, FeedbackKind, FeedbackTaken, LedgerLine, Outcome, Pair

_ON_HITS = (FeedbackKind.HIT_WRONG, FeedbackKind.HIT_RIGHT)
_HITS = (Outcome.EXACT, Outcome.NEAR)


def check_feedback(
    feedback: Feedback, line: LedgerLine | None, *, namespace: str, caller: str
) -> LedgerLine:
    """Return the line that is spoken of.

    Raises:
        LineUnknown: no such line, or not received by this caller in this namespace.
        FeedbackUnfit: the kind says nothing about such a line.
    """
    if line is None or (line.namespace, line.caller) != (namespace, caller):
        raise LineUnknown(feedback.line_id)
    if feedback.kind in _ON_HITS and line.outcome not in _HITS:
        raise FeedbackUnfit(
            f"{feedback.kind} is said of hits, request {feedback.line_id} is a "
            f"{line.outcome}; say {FeedbackKind.ADEQUATE} or {FeedbackKind.NOT_ADEQUATE}"
        )
    if line.outcome is Outcome.FAILED:
        raise FeedbackUnfit(f"request {feedback.line_id} failed: there is no answer to speak of")
    return line


def write_pair(connection: sqlite3.Connection, line_id: bytes, pair: Pair) -> None:
    """Keep the two texts of a hit for a while."""
    connection.execute(
        "INSERT OR REPLACE INTO pairs (line_id, asked, stored, expires_at_ms) VALUES (?, ?, ?, ?)",
        (line_id, pair.asked, pair.stored, pair.expires_at_ms),
    )


def take_feedback(
    connection: sqlite3.Connection, feedback: Feedback, *, namespace: str, caller: str
) -> FeedbackTaken:
    """Keep a feedback with a copy of its pair; the same kind for the same line only once.

    Raises:
        LineUnknown: no such line, or not received by this caller in this namespace.
        FeedbackUnfit: the kind says nothing about such a line.
    """
    row_id, found = find_line(connection, feedback.line_id) or (0, None)
    line = check_feedback(feedback, found, namespace=namespace, caller=caller)
    asked, stored = connection.execute(
        "SELECT asked, stored FROM pairs WHERE line_id = ?", (bytes.fromhex(line.line_id),)
    ).fetchone() or ("", "")
    cursor = connection.execute(
        "INSERT INTO feedback (line, kind, at_ms, note, asked, stored) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (line, kind) DO NOTHING",
        (row_id, feedback.kind.value, feedback.at_ms, feedback.note, asked, stored),
    )
    return FeedbackTaken(line=line, is_new=cursor.rowcount == 1)
