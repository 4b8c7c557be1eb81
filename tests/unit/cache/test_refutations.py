"""Refuted pairs: by text, within their namespace, bounded."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from cache import refutations
from cache.embedded.sqlite_entries import SCHEMA
from cache.embedded.sqlite_schema import Schema, connect, open_database
from cache.embedded.sqlite_store import SqliteEntryStore
from cache.refutations import Refutations, marks_of


def test_a_pair_is_refuted_in_its_namespace_and_direction() -> None:
    """For other texts the stored one is known to have been wrong once."""
    known = Refutations()
    known.add(*marks_of("shop", "a stored text", "an asked text"))

    assert known.of("shop", "a stored text", "an asked text") == (1, True)
    assert known.of("shop", "a stored text", "another") == (1, False)
    assert known.of("shop", "an asked text", "a stored text") == (0, False)
    assert known.of("other", "a stored text", "an asked text") == (0, False)


def test_no_two_places_share_a_mark() -> None:
    """Where the namespace ends and the text begins is part of it."""
    assert marks_of("a", "bc", "x") != marks_of("ab", "c", "x")


def test_the_oldest_pairs_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded; a pair that comes again counts once."""
    monkeypatch.setattr(refutations, "MOST_REFUTED", 2)
    known = Refutations()
    for text in ("a", "b", "b", "c"):
        known.add(*marks_of("n", text, "x"))

    known.add(*marks_of("n", "b", "y"))
    assert len(known) == 2
    assert known.of("n", "b", "y") == (1, True)
    assert [known.of("n", text, "x")[1] for text in "abc"] == [False, False, True]


async def test_what_an_older_schema_refuted_stays_refuted(tmp_path: Path) -> None:
    """Schema 2 kept marks by entry; schema 3 keeps them by text."""
    path = tmp_path / "cache.sqlite"
    before = Schema(
        name=SCHEMA.name,
        application_id=SCHEMA.application_id,
        migrations=SCHEMA.migrations[:2],
    )
    open_database(path, before).close()
    with sqlite3.connect(path) as old:
        old.execute(
            "INSERT INTO entries (id, key, partition, namespace, model, text, scores, user, "
            "conversation, tags, created_at_s, expires_at_s, n_bytes) "
            "VALUES (1, 1, x'00', 'shop', 'm', 'stored', '', '', '', '[]', 0, 1, 1)"
        )
        old.execute("INSERT INTO refuted VALUES (1, ?)", (marks_of("shop", "stored", "asked")[1],))
    old.close()

    store = SqliteEntryStore(path)
    try:
        assert list(store.refuted()) == [marks_of("shop", "stored", "asked")]
    finally:
        store.close()
    assert connect(path, read_only=True).execute("PRAGMA user_version").fetchone() == (4,)
