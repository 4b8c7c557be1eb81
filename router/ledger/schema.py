"""The ledger's file: its tables, and every step that led to them.

Lines are found by id and by time, nothing else is indexed: an index is paid for by every request,
a scan only by whoever asks for a report.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from cache.embedded.sqlite_schema import SEALS, UPKEEP, Schema, Sealed, statements
from router.ledger import routing, verdicts
from router.ledger.kept import key_bytes
from router.ledger.types import RequestKey

FILE_NAME = "ledger.sqlite"

_LINES = """
CREATE TABLE lines (
    id INTEGER PRIMARY KEY,
    line_id BLOB NOT NULL UNIQUE,          -- 16 bytes; sorts by time
    at_ms INTEGER NOT NULL,
    namespace TEXT NOT NULL, caller TEXT NOT NULL,
    user TEXT NOT NULL, feature TEXT NOT NULL, task TEXT NOT NULL, conversation TEXT NOT NULL,
    face TEXT NOT NULL, mode TEXT NOT NULL,
    state INTEGER NOT NULL,                -- 0 open, 1 usage unknown, 2 closed; never goes back
    outcome TEXT NOT NULL, cause TEXT NOT NULL,
    request_id TEXT NOT NULL, miss_reason TEXT NOT NULL,
    entry_id INTEGER NOT NULL, similarity REAL, p_right REAL, age_s REAL,
    model TEXT NOT NULL, baseline_model TEXT NOT NULL,
    input_tokens INTEGER, output_tokens INTEGER,
    cache_read_tokens INTEGER, cache_write_tokens INTEGER,
    cost_nanos INTEGER, baseline_nanos INTEGER,
    shadow_outcome TEXT, shadow_model TEXT, shadow_saved_nanos INTEGER,
    exact_ms REAL, near_ms REAL, route_ms REAL, upstream_ms REAL, store_ms REAL, total_ms REAL,
    status TEXT NOT NULL, scorer TEXT NOT NULL,
    -- sums over the line's attempts, so that a report reads one table
    n_attempts INTEGER NOT NULL, n_failed_attempts INTEGER NOT NULL,
    known_cost_nanos INTEGER NOT NULL, failed_cost_nanos INTEGER NOT NULL,
    billed_input_tokens INTEGER NOT NULL, billed_output_tokens INTEGER NOT NULL
)
"""

_ATTEMPTS = """
CREATE TABLE attempts (
    line INTEGER NOT NULL, n INTEGER NOT NULL,
    model TEXT NOT NULL, provider TEXT NOT NULL, status TEXT NOT NULL,
    input_tokens INTEGER, output_tokens INTEGER,
    cache_read_tokens INTEGER, cache_write_tokens INTEGER,
    cost_nanos INTEGER, wall_ms REAL NOT NULL,
    PRIMARY KEY (line, n)
) WITHOUT ROWID
"""

_TICKETS = """
CREATE TABLE tickets (
    digest BLOB PRIMARY KEY,               -- SHA-256 of the token; the token is nowhere
    line_id BLOB NOT NULL,
    namespace TEXT NOT NULL, caller TEXT NOT NULL,
    partition BLOB NOT NULL, text TEXT NOT NULL,
    is_no_store INTEGER NOT NULL, is_audit INTEGER NOT NULL, entry_id INTEGER NOT NULL,
    models TEXT NOT NULL, ttl_s INTEGER NOT NULL, scores TEXT NOT NULL,
    user TEXT NOT NULL, conversation TEXT NOT NULL, tags TEXT NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    spent_at_ms INTEGER,
    is_over INTEGER NOT NULL DEFAULT 0,    -- spent or expired: only what is above is still known
    due_at_ms INTEGER NOT NULL             -- when to expire it; once over, when to delete it
) WITHOUT ROWID
"""

_KEPT = """
CREATE TABLE kept (
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,              -- 16 bytes of SHA-256 over namespace, caller, request id
    body_digest BLOB NOT NULL,
    response BLOB NOT NULL,
    expires_at_ms INTEGER NOT NULL
)
"""

_MODES = "CREATE TABLE modes (namespace TEXT PRIMARY KEY, mode TEXT NOT NULL) WITHOUT ROWID"

_PAIRS = """
CREATE TABLE pairs (
    line_id BLOB PRIMARY KEY, asked TEXT NOT NULL, stored TEXT NOT NULL,
    expires_at_ms INTEGER NOT NULL
)
"""

_FEEDBACK = """
CREATE TABLE feedback (
    line INTEGER NOT NULL REFERENCES lines (id), kind TEXT NOT NULL,
    at_ms INTEGER NOT NULL, note TEXT NOT NULL,
    asked TEXT NOT NULL, stored TEXT NOT NULL,   -- empty where no pair was kept
    PRIMARY KEY (line, kind)
) WITHOUT ROWID
"""

_LABELLED = """
CREATE VIEW labelled AS
SELECT hex(lines.line_id) AS line_id, feedback.at_ms, lines.namespace, feedback.kind,
       lines.outcome, lines.entry_id, lines.similarity, lines.p_right, lines.model, lines.scorer,
       feedback.asked, feedback.stored, feedback.note
FROM feedback JOIN lines ON lines.id = feedback.line
"""

_LABELS = """
CREATE TABLE labels (                      -- pairs of texts for training, with who says what
    id INTEGER PRIMARY KEY,
    line_id BLOB NOT NULL, source TEXT NOT NULL,   -- feedback, audit, shadow
    at_ms INTEGER NOT NULL, namespace TEXT NOT NULL,
    asked TEXT NOT NULL, stored TEXT NOT NULL,
    is_same INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    UNIQUE (line_id, source)
)
"""

# Texts labelled by feedback so far move over, and from now on they have an end.
_MOVE_LABELS = """
INSERT OR REPLACE INTO labels
    (line_id, source, at_ms, namespace, asked, stored, is_same, expires_at_ms)
SELECT lines.line_id, 'feedback', feedback.at_ms, lines.namespace, feedback.asked, feedback.stored,
       feedback.kind = 'hit_right', feedback.at_ms + 30 * 86400000
FROM feedback JOIN lines ON lines.id = feedback.line
WHERE feedback.kind IN ('hit_right', 'hit_wrong') AND feedback.asked <> ''
ORDER BY feedback.at_ms
"""

_LABELLED_LINES = """
CREATE VIEW labelled AS
SELECT hex(lines.line_id) AS line_id, feedback.at_ms, lines.namespace, feedback.kind,
       lines.outcome, lines.entry_id, lines.similarity, lines.p_right, lines.model, lines.scorer,
       labels.asked, labels.stored, feedback.note
FROM feedback JOIN lines ON lines.id = feedback.line
LEFT JOIN labels ON labels.line_id = lines.line_id AND labels.source = 'feedback'
"""

_HOURS = """
CREATE TABLE hours (                       -- hours of lines whose sums are in hour_sums
    hour INTEGER PRIMARY KEY,              -- since the epoch
    is_summed INTEGER NOT NULL             -- 0: sums are being made
)
"""

_HOUR_SUMS = """
CREATE TABLE hour_sums (
    hour INTEGER NOT NULL,
    namespace TEXT NOT NULL, feature TEXT NOT NULL, task TEXT NOT NULL, model TEXT NOT NULL,
    state INTEGER NOT NULL, outcome TEXT NOT NULL, cause TEXT NOT NULL, miss_reason TEXT NOT NULL,
    is_priced INTEGER NOT NULL,
    n INTEGER NOT NULL, cost_nanos INTEGER, baseline_nanos INTEGER, known_cost_nanos INTEGER,
    failed_cost_nanos INTEGER, n_attempts INTEGER, n_failed_attempts INTEGER,
    input_tokens INTEGER, output_tokens INTEGER,
    n_shadow_hits INTEGER, shadow_saved_nanos INTEGER, n_shadow_unknown INTEGER
)
"""

_EVIDENCE = """
CREATE TABLE evidence (
    id INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL, at_s REAL NOT NULL,
    source TEXT NOT NULL,                  -- audit, shadow, feedback; twin: one prompt asked twice
    verifier TEXT NOT NULL,                -- what gave p_right; empty for twins
    p_right REAL NOT NULL, is_right INTEGER NOT NULL,
    weight REAL NOT NULL,                  -- 1 / propensity
    traits TEXT NOT NULL                   -- one a line
)
"""

_ASSURANCE = """
CREATE TABLE assurance (                   -- how each namespace stands, as the service last knew it
    namespace TEXT PRIMARY KEY, verifier TEXT NOT NULL, at_s REAL NOT NULL,
    report TEXT NOT NULL                   -- JSON
) WITHOUT ROWID
"""


def _forgetting(event: str, row: str) -> str:
    """Return a trigger: sums of an hour whose lines change are forgotten, and made again later."""
    hour = f"{row}.at_ms / 3600000"
    return f"""
    CREATE TRIGGER lines_{event.lower()}_{row} AFTER {event} ON lines
    WHEN EXISTS (SELECT 1 FROM hours WHERE hour = {hour}) BEGIN
        DELETE FROM hour_sums WHERE hour = {hour};
        DELETE FROM hours WHERE hour = {hour};
    END
    """


_WORDED = "(traits LIKE '%words:%' OR traits LIKE '%slot:%')"


_CAME_S = verdicts.CAME_S.format(line_id="verdicts.line_id", at_s="at_s")


def _bound_texts(connection: sqlite3.Connection) -> None:
    """Let everything that holds a text say when the text came, whose it is and until when it may.

    What was kept finds its line by its key. Of pairs and labels only the time of their line is
    known; words that were taken from texts, and notes, get the 30 days that they would count for.
    """
    for statement in (
        "ALTER TABLE kept ADD COLUMN line_id BLOB NOT NULL DEFAULT x''",
        "ALTER TABLE kept ADD COLUMN since_ms INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE pairs ADD COLUMN since_ms INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE labels ADD COLUMN since_ms INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE labels ADD COLUMN entry_id INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE feedback ADD COLUMN note_until_ms INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE evidence ADD COLUMN line_id BLOB NOT NULL DEFAULT x''",
        "ALTER TABLE evidence ADD COLUMN entry_id INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE evidence ADD COLUMN texts_at_s REAL NOT NULL DEFAULT 0",
        "ALTER TABLE evidence ADD COLUMN words_until_s REAL",  # NULL: its traits name no word
        "ALTER TABLE assurance ADD COLUMN words_until_s REAL",
        "ALTER TABLE verdicts ADD COLUMN until_s REAL NOT NULL DEFAULT 0",
        SEALS,
        UPKEEP,
        "INSERT INTO upkeep VALUES (-1)",
        "UPDATE pairs SET since_ms = coalesce((SELECT at_ms FROM lines "
        "WHERE lines.line_id = pairs.line_id), expires_at_ms - 7 * 86400000)",
        "UPDATE labels SET since_ms = at_ms, entry_id = coalesce((SELECT entry_id FROM lines "
        "WHERE lines.line_id = labels.line_id AND outcome IN ('exact', 'near')), 0)",
        "UPDATE feedback SET note_until_ms = at_ms + 30 * 86400000 WHERE note <> ''",
        "UPDATE evidence SET texts_at_s = at_s",
        f"UPDATE evidence SET words_until_s = at_s + 30 * 86400 WHERE {_WORDED}",
        "UPDATE assurance SET words_until_s = at_s + 30 * 86400",
        f"UPDATE verdicts SET until_s = {_CAME_S} + {verdicts.KEEP_S}",
        "CREATE INDEX verdicts_until ON verdicts (until_s)",
        "CREATE INDEX feedback_noted ON feedback (note_until_ms) WHERE note <> ''",
        "CREATE INDEX evidence_worded ON evidence (words_until_s) WHERE words_until_s IS NOT NULL",
    ):
        connection.execute(statement)
    if connection.execute("SELECT EXISTS (SELECT 1 FROM kept)").fetchone()[0]:
        connection.executemany(
            "UPDATE kept SET line_id = ?, since_ms = ? WHERE key = ?",
            (
                (line_id, at_ms, key_bytes(RequestKey(namespace=n, caller=c, request_id=r)))
                for line_id, at_ms, n, c, r in connection.execute(
                    "SELECT line_id, at_ms, namespace, caller, request_id FROM lines "
                    "WHERE request_id <> '' ORDER BY id"
                ).fetchall()
            ),
        )


SCHEMA = Schema(
    name="scrimp ledger",
    application_id=0x5343_4C47,  # "SCLG"
    migrations=(
        statements(
            _LINES,
            "CREATE INDEX lines_at ON lines (at_ms)",
            _ATTEMPTS,
            _TICKETS,
            "CREATE INDEX tickets_due ON tickets (due_at_ms)",
            _KEPT,
            "CREATE INDEX kept_expires ON kept (expires_at_ms)",
            _MODES,
        ),
        statements(
            _PAIRS,
            "CREATE INDEX pairs_expires ON pairs (expires_at_ms)",
            _FEEDBACK,
            _LABELLED,
        ),
        statements(
            _HOURS,
            _HOUR_SUMS,
            "CREATE INDEX hour_sums_hour ON hour_sums (hour)",
            _forgetting("INSERT", "new"),
            _forgetting("UPDATE", "new"),
            _forgetting("UPDATE", "old"),
            _forgetting("DELETE", "old"),
        ),
        statements(
            _EVIDENCE,
            "CREATE INDEX evidence_at ON evidence (at_s)",
            "CREATE INDEX evidence_of ON evidence (namespace)",
            _ASSURANCE,
        ),
        statements(
            _LABELS,
            "CREATE INDEX labels_expires ON labels (expires_at_ms)",
            _MOVE_LABELS,
            "DROP VIEW labelled",
            "ALTER TABLE feedback DROP COLUMN asked",
            "ALTER TABLE feedback DROP COLUMN stored",
            _LABELLED_LINES,
            "ALTER TABLE pairs ADD COLUMN is_personal INTEGER NOT NULL DEFAULT 0",
            "ALTER TABLE tickets ADD COLUMN is_personal INTEGER NOT NULL DEFAULT 0",
            "ALTER TABLE tickets ADD COLUMN p_right REAL",
            "ALTER TABLE tickets ADD COLUMN traits TEXT NOT NULL DEFAULT '[]'",
            "ALTER TABLE tickets ADD COLUMN propensity REAL",
        ),
        statements(*routing.TABLES, verdicts.TABLE),
        _bound_texts,
    ),
    sealed=(
        Sealed("kept", "response", "key"),
        Sealed("tickets", "text", "digest"),
        Sealed("tickets", "traits", "digest", rows="NOT is_over"),
        Sealed("pairs", "asked", "line_id"),
        Sealed("pairs", "stored", "line_id"),
        Sealed("labels", "asked", "line_id"),
        Sealed("labels", "stored", "line_id"),
        Sealed("feedback", "note", "line"),
        Sealed("evidence", "traits", "namespace"),
        Sealed("assurance", "report", "namespace"),
        Sealed("verdicts", "vector", "line_id"),
    ),
)

TEXT_TABLES = (
    *("kept", "tickets", "pairs", "labels", "feedback", "evidence", "assurance", "verdicts"),
)
"""Where texts, words of texts, and vectors of texts rest; all else is numbers, names and times."""


def ledger_path(folder: Path) -> Path:
    """Return where a data folder keeps its ledger."""
    return folder / FILE_NAME
