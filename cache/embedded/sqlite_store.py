"""Entries in one SQLite file: the truth that map and index are made from.

An acknowledged ``put``, ``embed`` or ``remove`` survives the death of the process at any moment.
Power loss or a kernel crash may undo the last of them, back to a checkpoint of the write-ahead log
(the last 4 MB or so of writes), in whole transactions and without damage to the file: answers that
are lost so are asked for again, and entries removed just before come back (an invalidation that
must outlast power loss is repeated after it, or the store is opened with ``synchronous="FULL"``).

Vectors are kept as int8 beside the text, 384 bytes for 384 dimensions (of unit length, so that no
scale is needed), and token vectors as the encoder wrote them: what a decision needs of an entry
stays under 1.6 KB. A cosine errs by up to 0.0023 for it; float16, at twice the size, by 0.0001.
Answers stand in a table of their own, so that a start reads none of them.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cache.embedded.sqlite_entries import PLAIN_SQL, SCHEMA, SEALED_SQL, text_keys
from cache.embedded.sqlite_schema import connect, corrupt, is_corruption, quick_check
from cache.embedded.sqlite_writer import SqliteWriter
from cache.embedded.tidying import Tidying, due_now
from cache.embedded.vault import PLAIN, Vault
from cache.errors import DatabaseCorrupt, EntryRefused, StoreUnavailable
from cache.refutations import MOST_REFUTED, Marks
from cache.types import Draft, Embedding, EntryId, Head, Vector, Vectors

_UNEMBEDDED = (
    "SELECT id FROM entries WHERE encoder IS NOT NULL AND (encoder != ? OR vector IS NULL) "
    "ORDER BY id"
)
_READ_AT_ONCE = 500
_BULK = 4096


@dataclass(frozen=True, slots=True)
class Entry:
    """A row, whole. See ``cache.ports.StoredEntry``."""

    head: Head
    text: str
    tokens: bytes
    answer: bytes


class SqliteEntryStore:
    """The embedded ``EntryStore``. Writes go through one thread, reads use the caller's.

    Args:
        path: the database file.
        synchronous: "FULL" also survives power loss, at one fsync per commit.
        vault: seals texts, vectors and answers.
        rewrite_every_s: how often the file is freed of what was deleted; None: when asked for.

    Raises:
        OpenRefused: the file is foreign, too new or damaged, or sealed otherwise.
        StoreUnavailable: the file can not be opened now.
    """

    def __init__(
        self,
        path: Path,
        *,
        synchronous: Literal["NORMAL", "FULL"] = "NORMAL",
        vault: Vault = PLAIN,
        rewrite_every_s: float | None = None,
    ) -> None:
        self.path = path
        self.writer = SqliteWriter(path, SCHEMA, synchronous=synchronous, vault=vault)
        self.tidying = Tidying(self.writer, every_s=rewrite_every_s)
        self._vault = vault
        self._sql = SEALED_SQL if vault.key_ids else PLAIN_SQL
        self._own = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._readers_lock = threading.Lock()
        self._is_closed = False

    async def put(self, draft: Draft, *, text: str, encoder_id: str, now_s: float) -> Head:
        """Keep a draft; see ``EntryStore.put``."""
        try:
            n_bytes = len(text.encode()) + len(draft.answer)
        except UnicodeEncodeError as error:
            raise EntryRefused(f"the text is no valid Unicode ({error.reason})") from error
        keys, sql = text_keys(self._vault, draft.partition, text), self._sql
        row = (
            keys[0],
            draft.partition,
            draft.namespace,
            draft.model,
            draft.input_tokens,
            draft.output_tokens,
            json.dumps(draft.scores) if draft.scores else "",
            draft.user,
            draft.conversation,
            json.dumps(draft.tags) if draft.tags else "",
            now_s,
            now_s + draft.ttl_s,
            n_bytes,
            None if draft.exact_only else encoder_id,
            text,
            *((None, None) if draft.exact_only else _packed(draft.embedding)),
        )

        def operation(connection: sqlite3.Connection) -> int:
            for key in keys:
                connection.execute(sql.replaced, (key, draft.partition, text))
            entry_id = connection.execute(sql.put, row).lastrowid
            connection.execute(sql.put_answer, (entry_id, draft.partition, draft.answer))
            return entry_id or 0

        entry_id = await self.writer.submit(operation)
        return Head(
            id=EntryId(entry_id),
            partition=draft.partition,
            namespace=draft.namespace,
            model=draft.model,
            input_tokens=draft.input_tokens,
            output_tokens=draft.output_tokens,
            scores=draft.scores,
            user=draft.user,
            conversation=draft.conversation,
            tags=draft.tags,
            created_at_s=now_s,
            expires_at_s=now_s + draft.ttl_s,
            n_bytes=n_bytes,
        )

    async def remove(self, ids: Sequence[EntryId]) -> int:
        """Remove entries, answers with them."""
        wanted = [(entry_id,) for entry_id in ids]

        def operation(connection: sqlite3.Connection) -> int:
            return connection.executemany("DELETE FROM entries WHERE id = ?", wanted).rowcount

        return await self.writer.submit(operation) if wanted else 0

    async def embed(
        self, ids: Sequence[EntryId], embeddings: Sequence[Embedding], encoder_id: str
    ) -> None:
        """Keep other embeddings for entries."""
        rows = [
            (*_packed(embedding), encoder_id, entry_id)
            for entry_id, embedding in zip(ids, embeddings, strict=True)
        ]

        def operation(connection: sqlite3.Connection) -> None:
            connection.executemany(self._sql.embed, rows)

        await self.writer.submit(operation)

    async def refute(self, stored: bytes, asked: bytes) -> None:
        """Keep a refuted pair; beyond the bound the oldest go."""
        hidden = self._vault.hide(stored), self._vault.hide(asked)

        def operation(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT OR IGNORE INTO refutations (stored, asked) VALUES (?, ?)", hidden
            )
            connection.execute(
                "DELETE FROM refutations WHERE id <= (SELECT max(id) FROM refutations) - ?",
                (MOST_REFUTED,),
            )

        await self.writer.submit(operation)

    def refuted(self) -> Iterator[Marks]:
        """Yield every refuted pair, oldest first."""
        show = self._vault.show
        for stored, asked in self._select("SELECT stored, asked FROM refutations ORDER BY id", ()):
            yield show(stored), show(asked)

    def read(self, ids: Sequence[EntryId]) -> dict[EntryId, Entry]:
        """Return the entries that exist, whole."""
        found: dict[EntryId, Entry] = {}
        for start in range(0, len(ids), _READ_AT_ONCE):
            wanted = ids[start : start + _READ_AT_ONCE]
            marks = ",".join("?" * len(wanted))
            rows = self._select(f"{self._sql.entry}({marks})", wanted)
            for row, scores in zip(rows, _scores_of(rows), strict=True):
                *_, text, tokens, answer = row
                found[row[0]] = Entry(_head(row, scores, {}), text, tokens or b"", answer)
        return found

    def heads(self) -> Iterator[tuple[Head, str]]:
        """Yield every head with its text, oldest first; one consistent view of the database."""
        same: dict[Any, Any] = {}
        try:
            found = self._reader().execute(self._sql.heads)
            while rows := found.fetchmany(_BULK):
                for row, scores in zip(rows, _scores_of(rows), strict=True):
                    yield _head(row, scores, same), row[-1]
        except sqlite3.Error as error:
            raise self._error(error) from error

    def vectors(self, encoder_id: str) -> Iterator[tuple[list[EntryId], Vectors]]:
        """Yield the encoder's vectors in bulks of up to 4,096, as float32 of unit length."""
        last = 0
        while rows := self._select(self._sql.vectors, (encoder_id, last, _BULK)):
            ids = [row[0] for row in rows]
            try:
                vectors = _unpack([row[1] for row in rows])
            except ValueError as error:
                raise corrupt(
                    self.path, SCHEMA.name, f"vectors of several lengths: {error}"
                ) from error
            yield ids, vectors
            last = ids[-1]

    def unembedded(self, encoder_id: str) -> list[EntryId]:
        """Return the entries that lack a vector of this encoder; reads every row."""
        return [row[0] for row in self._select(_UNEMBEDDED, (encoder_id,))]

    async def tend(self, now_s: float) -> None:
        """Keep what was removed from resting in the file; see ``EntryStore.tend``."""
        await self.tidying.tend(now_s)

    async def free(self, now_s: float) -> bool:
        """Rewrite the file without what was removed; see ``EntryStore.free``."""
        await self.writer.submit(due_now)
        return await self.tidying.free(now_s)

    def quick_check(self) -> list[str]:
        """Return what SQLite finds wrong with the file; reads all of it."""
        return quick_check(self.path)

    def close(self) -> None:
        """Commit what waits, then close every connection. Blocks."""
        with self._readers_lock:
            self._is_closed = True
            for connection in self._readers:
                connection.close()
            self._readers.clear()
        self.writer.close()  # last, so that it can fold the log into the file

    def _select(self, sql: str, values: Sequence[Any]) -> list[Any]:
        try:
            return self._reader().execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise self._error(error) from error

    def _reader(self) -> sqlite3.Connection:
        """Return the calling thread's reading connection."""
        connection: sqlite3.Connection | None = getattr(self._own, "connection", None)
        if connection is None or self._is_closed:
            with self._readers_lock:
                if self._is_closed:
                    raise StoreUnavailable(f"{self.path.name} is closed")
                connection = connect(self.path, read_only=True, vault=self._vault)
                self._readers.append(connection)
            self._own.connection = connection
        return connection

    def _error(self, error: sqlite3.Error) -> StoreUnavailable | DatabaseCorrupt:
        if is_corruption(error):
            return corrupt(self.path, SCHEMA.name, error)
        return StoreUnavailable(f"{self.path.name} could not be read: {error}")


def _scores_of(rows: Sequence[Sequence[Any]]) -> list[tuple[float, ...]]:
    """Return the scores of many heads, read as one JSON text: a third of the time of one by one."""
    lists = json.loads(f"[{','.join([row[6] or '[]' for row in rows])}]")
    return [tuple(scores) for scores in lists]


def _head(row: Sequence[Any], scores: tuple[float, ...], same: dict[Any, Any]) -> Head:
    """Make a head of a row; ``same`` lets equal words of many heads share one object."""
    keep = same.setdefault
    return Head(
        id=row[0],
        partition=keep(row[1], row[1]),
        namespace=keep(row[2], row[2]),
        model=keep(row[3], row[3]),
        input_tokens=row[4],
        output_tokens=row[5],
        scores=scores,
        user=keep(row[7], row[7]),
        conversation=keep(row[8], row[8]),
        tags=_listed(row[9], same),
        created_at_s=row[10],
        expires_at_s=row[11],
        n_bytes=row[12],
    )


def _listed(value: str, same: dict[Any, Any]) -> tuple[Any, ...]:
    """Return a JSON list as a tuple; equal ones are read once."""
    if not value:
        return ()
    key = ("list", value)
    found: tuple[Any, ...] | None = same.get(key)
    if found is None:
        found = same[key] = tuple(json.loads(value))
    return found


def _packed(embedding: Embedding | None) -> tuple[bytes | None, bytes | None]:
    """Return what is kept of an embedding: its vector and its tokens."""
    return (None, None) if embedding is None else (_pack(embedding.vector), embedding.tokens)


def _pack(vector: Vector) -> bytes:
    """Return int8 numbers; their common scale is not kept, for the vector has unit length."""
    greatest = float(np.abs(vector).max()) or 1.0
    return bytes(np.rint(vector * (127.0 / greatest)).astype(np.int8))


def _unpack(blobs: Sequence[bytes]) -> Vectors:
    rows = np.frombuffer(b"".join(blobs), dtype=np.int8).reshape(len(blobs), -1).astype(np.float32)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return rows
