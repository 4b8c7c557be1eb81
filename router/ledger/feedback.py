"""What callers say of what they received, with the pair of texts it speaks of."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from cache.calibration import Source
from router.ledger.errors import FeedbackUnfit, LineUnknown
from router.ledger.evidence import KEEP_S
from router.ledger.labels import write_label
from router.ledger.lines import find_line
from router.ledger.routing import chosen_for
from router.ledger.types import (
    Feedback,
    FeedbackKind,
    FeedbackTaken,
    LabelledPair,
    LedgerLine,
    Outcome,
    Pair,
)

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
    if line.outcome is Outcome.AUDIT:
        raise LineUnknown(feedback.line_id)  # nobody received its answer
    if feedback.kind in _ON_HITS and line.outcome not in _HITS:
        raise FeedbackUnfit(
            f"{feedback.kind} is said of hits, request {feedback.line_id} is a "
            f"{line.outcome}; say {FeedbackKind.ADEQUATE} or {FeedbackKind.NOT_ADEQUATE}"
        )
    if line.outcome is Outcome.FAILED:
        raise FeedbackUnfit(f"request {feedback.line_id} failed: there is no answer to speak of")
    return line


def write_pair(connection: sqlite3.Connection, line_id: bytes, at_ms: int, pair: Pair) -> None:
    """Keep the two texts of a hit of this moment for a while."""
    connection.execute(
        "INSERT OR REPLACE INTO pairs "
        "(line_id, asked, stored, expires_at_ms, is_personal, since_ms) "
        "VALUES (?1, seal(?2, 'pairs.asked', ?1), seal(?3, 'pairs.stored', ?1), ?, ?, ?)",
        (
            line_id,
            pair.asked,
            pair.stored,
            pair.expires_at_ms,
            pair.is_personal,
            pair.since_ms or at_ms,
        ),
    )


def find_pair(connection: sqlite3.Connection, line_id: bytes) -> Pair | None:
    """Return the two texts of a hit, None where they are not, or no longer, kept."""
    row = connection.execute(
        "SELECT unseal(asked, 'pairs.asked', line_id), unseal(stored, 'pairs.stored', line_id), "
        "expires_at_ms, is_personal, since_ms FROM pairs WHERE line_id = ?",
        (line_id,),
    ).fetchone()
    if row is None:
        return None
    return Pair(
        asked=row[0],
        stored=row[1],
        expires_at_ms=row[2],
        is_personal=bool(row[3]),
        since_ms=row[4],
    )


def labelled_by(feedback: Feedback, line: LedgerLine, pair: Pair | None) -> LabelledPair | None:
    """Return what a word on a hit says of its pair, None where that is not to be kept."""
    is_kept = pair is not None and not pair.is_personal and feedback.keep_pair_until_ms > 0
    if pair is None or not is_kept or feedback.kind not in _ON_HITS:
        return None
    return LabelledPair(
        line_id=line.line_id,
        namespace=line.namespace,
        asked=pair.asked,
        stored=pair.stored,
        is_same=feedback.kind is FeedbackKind.HIT_RIGHT,
        source=Source.FEEDBACK,
        at_ms=feedback.at_ms,
        expires_at_ms=feedback.keep_pair_until_ms,
        since_ms=pair.since_ms,
        entry_id=line.entry_id,
    )


def take_feedback(
    connection: sqlite3.Connection,
    feedback: Feedback,
    *,
    namespace: str,
    caller: str,
    bounded: Callable[[LabelledPair], LabelledPair] = lambda pair: pair,
    note_s: float = KEEP_S,
) -> FeedbackTaken:
    """Keep a feedback, and its pair with the label; the same kind for the same line only once.

    Args:
        connection: to the ledger.
        feedback: what is said.
        namespace: whose line it is said of.
        caller: who received it.
        bounded: keeps a labelled pair no longer than the settings allow.
        note_s: seconds that the note is kept.

    Raises:
        LineUnknown: no such line, or not received by this caller in this namespace.
        FeedbackUnfit: the kind says nothing about such a line.
    """
    row_id, found = find_line(connection, feedback.line_id) or (0, None)
    line = check_feedback(feedback, found, namespace=namespace, caller=caller)
    cursor = connection.execute(
        "INSERT INTO feedback (line, kind, at_ms, note, note_until_ms) "
        "VALUES (?1, ?, ?, seal(?, 'feedback.note', ?1), ?) ON CONFLICT (line, kind) DO NOTHING",
        (
            row_id,
            feedback.kind.value,
            feedback.at_ms,
            feedback.note,
            feedback.at_ms + int(note_s * 1e3),
        ),
    )
    is_new = cursor.rowcount == 1
    pair = find_pair(connection, bytes.fromhex(line.line_id))
    labelled = labelled_by(feedback, line, pair)
    if is_new and labelled is not None:
        write_label(connection, bounded(labelled))
    chosen = chosen_for(connection, row_id)
    return FeedbackTaken(line=line, is_new=is_new, pair=pair, chosen=chosen)
