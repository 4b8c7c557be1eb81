"""The tables that entries are kept in, and the statements on what of them may be sealed."""

from __future__ import annotations

import sqlite3
from hashlib import blake2b
from typing import NamedTuple

from cache.embedded.sqlite_schema import SEALS, UPKEEP, Schema, Sealed, statements
from cache.embedded.vault import Vault
from cache.refutations import stored_mark


def _refutations_by_text(connection: sqlite3.Connection) -> None:
    """Let refuted pairs outlive their entries."""
    connection.execute(
        """CREATE TABLE refutations (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            stored BLOB NOT NULL, asked BLOB NOT NULL,     -- see cache/refutations.py
            UNIQUE (stored, asked)
        ) STRICT"""
    )
    found = connection.execute(
        "SELECT namespace, text, mark FROM refuted JOIN entries ON entries.id = entry_id"
    )
    connection.executemany(
        "INSERT OR IGNORE INTO refutations (stored, asked) VALUES (?, ?)",
        [(stored_mark(namespace, text), mark) for namespace, text, mark in found],
    )
    connection.execute("DROP TABLE refuted")


SCHEMA = Schema(
    name="scrimp cache",
    application_id=0x53435243,  # "SCRC"
    migrations=(
        statements(
            """CREATE TABLE entries (
                id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice
                key INTEGER NOT NULL,                  -- 64 bits of a hash of partition and text
                partition BLOB NOT NULL,
                namespace TEXT NOT NULL,
                model TEXT NOT NULL,
                input_tokens INTEGER,
                output_tokens INTEGER,
                scores TEXT NOT NULL,                  -- JSON list of numbers, or empty
                user TEXT NOT NULL,
                conversation TEXT NOT NULL,
                tags TEXT NOT NULL,                    -- JSON list of strings, or empty
                created_at_s REAL NOT NULL,
                expires_at_s REAL NOT NULL,
                n_bytes INTEGER NOT NULL,
                encoder TEXT,                          -- NULL: only exact repeats, no vector
                text TEXT NOT NULL,
                vector BLOB                            -- float16, little endian
            ) STRICT""",
            "CREATE INDEX entries_by_key ON entries (key)",
            """CREATE TABLE answers (
                id INTEGER PRIMARY KEY REFERENCES entries (id) ON DELETE CASCADE,
                answer BLOB NOT NULL
            ) STRICT""",
        ),
        statements(
            # Vectors become int8; those that are there are made anew.
            "UPDATE entries SET vector = NULL",
            "ALTER TABLE entries ADD COLUMN tokens BLOB",
            """CREATE TABLE refuted (
                entry_id INTEGER NOT NULL REFERENCES entries (id) ON DELETE CASCADE,
                mark BLOB NOT NULL,                    -- of the text the answer was wrong for
                PRIMARY KEY (entry_id, mark)
            ) STRICT, WITHOUT ROWID""",
        ),
        _refutations_by_text,
        statements(
            f"{SEALS.strip()}, STRICT",
            f"{UPKEEP.strip()} STRICT",
            "INSERT INTO upkeep VALUES (-1)",
        ),
    ),
    sealed=(
        Sealed("entries", "text", "partition", is_text=True),
        Sealed("entries", "vector", "partition"),
        Sealed("entries", "tokens", "partition"),
        Sealed(
            "answers", "answer", "(SELECT partition FROM entries WHERE entries.id = answers.id)"
        ),
    ),
)

_HEAD = (
    "id, partition, namespace, model, input_tokens, output_tokens, scores, user, conversation, "
    "tags, created_at_s, expires_at_s, n_bytes"
)
_OPEN_TEXT = "unseal(text, 'entries.text', partition)"


class Statements(NamedTuple):
    """The statements that touch what may be sealed."""

    heads: str
    entry: str
    vectors: str
    replaced: str
    put: str
    put_answer: str
    embed: str


def _statements(*, is_sealed: bool) -> Statements:
    """Return the statements; where nothing is sealed, without the calls that would do nothing."""

    def opened(column: str) -> str:
        return f"unseal({column}, 'entries.{column}', partition)" if is_sealed else column

    def sealed(column: str, value: str = "?", of: str = "?2", by: str = "seal") -> str:
        return f"{by}({value}, '{column}', {of})" if is_sealed else value

    answer = "unseal(answer, 'answers.answer', partition)" if is_sealed else "answer"
    vector, tokens = "entries.vector", "entries.tokens"
    return Statements(
        heads=f"SELECT {_HEAD}, {opened('text')} FROM entries ORDER BY id",
        entry=f"SELECT {_HEAD}, {opened('text')}, {opened('tokens')}, {answer} "
        "FROM entries JOIN answers USING (id) WHERE id IN ",
        vectors=f"SELECT id, {opened('vector')} FROM entries "
        "WHERE encoder = ? AND vector IS NOT NULL AND id > ? ORDER BY id LIMIT ?",
        replaced=f"DELETE FROM entries WHERE key = ? AND partition = ? AND {opened('text')} = ?",
        put="INSERT INTO entries (key, partition, namespace, model, input_tokens, output_tokens, "
        "scores, user, conversation, tags, created_at_s, expires_at_s, n_bytes, encoder, text, "
        "vector, tokens) VALUES (?, ?2, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
        f"{sealed('entries.text', by='seal_text')}, {sealed(vector)}, {sealed(tokens)})",
        put_answer=f"INSERT INTO answers VALUES (?, {sealed('answers.answer', '?3')})",
        embed=f"UPDATE entries SET vector = {sealed(vector, of='partition')}, "
        f"tokens = {sealed(tokens, of='partition')}, encoder = ? WHERE id = ?",
    )


PLAIN_SQL, SEALED_SQL = _statements(is_sealed=False), _statements(is_sealed=True)


def text_keys(vault: Vault, partition: bytes, text: str) -> list[int]:
    """Return the hashes that an entry's row may have, the one that new rows get first."""
    data = text.encode()
    digests = [
        blake2b(data, digest_size=8, key=partition[:32] + key).digest() for key in vault.hash_keys
    ]
    return [int.from_bytes(digest, "big", signed=True) for digest in digests]


def rehash(connection: sqlite3.Connection, opens: Vault, target: Vault) -> None:
    """Make the hashes anew that depend on keys; texts can be opened still."""

    def text_key(partition: bytes, text: str) -> int:
        return text_keys(target, partition, text)[0]

    def hidden(mark: bytes) -> bytes:
        return target.hide(opens.show(mark))

    connection.create_function("text_key", 2, text_key)
    connection.create_function("hidden", 1, hidden)
    connection.execute(f"UPDATE entries SET key = text_key(partition, {_OPEN_TEXT})")
    connection.execute("UPDATE refutations SET stored = hidden(stored), asked = hidden(asked)")
