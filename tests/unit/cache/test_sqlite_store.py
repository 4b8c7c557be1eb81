from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeClock, FakeEmbedding, FakeEncoder

from cache.embedded.faiss_index import FaissIndex
from cache.embedded.sqlite_store import SqliteEntryStore
from cache.errors import DatabaseCorrupt, StoreUnavailable
from cache.semantic_cache import SemanticCache
from cache.types import Bounds, Draft, EntryId, PartitionKey

HERE = PartitionKey(b"h" * 32)


def draft(n: int) -> Draft:
    return Draft(
        partition=HERE,
        namespace="shop",
        text=f"text {n}",
        answer=b"x" * 500,
        model="small",
        input_tokens=1,
        output_tokens=7,
        ttl_s=60,
        embedding=FakeEmbedding(np.eye(384, dtype=np.float32)[n % 384]),
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache.sqlite3"


async def fill(path: Path, n_entries: int) -> None:
    store = SqliteEntryStore(path)
    for n in range(n_entries):
        await store.put(draft(n), text=f"text {n}", encoder_id="e", now_s=1)
    store.close()


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096 * 2 :] = b"\xaa" * (len(data) - 4096 * 2)
    path.write_bytes(data)


async def test_a_vector_of_384_takes_384_bytes(path: Path) -> None:
    """One for each number."""
    await fill(path, 1)

    with sqlite3.connect(path) as connection:
        [(n_bytes,)] = connection.execute("SELECT length(vector) FROM entries")
    connection.close()

    assert n_bytes == 384


async def test_a_closed_store_leaves_one_file(path: Path) -> None:
    """The log is folded in, so that a copy of the file is a backup."""
    await fill(path, 20)

    assert [file.name for file in path.parent.iterdir()] == [path.name]


async def test_removing_an_entry_removes_its_answer(path: Path) -> None:
    """No orphans, also when a newer answer takes the place."""
    store = SqliteEntryStore(path)
    head = await store.put(draft(1), text="a", encoder_id="e", now_s=1)
    await store.put(draft(1), text="b", encoder_id="e", now_s=1)
    await store.put(draft(1), text="b", encoder_id="e", now_s=1)
    await store.remove([head.id])
    store.close()

    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM answers").fetchone() == (1,)
    connection.close()


async def test_a_closed_store_says_so(path: Path) -> None:
    """Reading and writing both."""
    store = SqliteEntryStore(path)
    store.close()

    with pytest.raises(StoreUnavailable, match="closed"):
        store.read([EntryId(1)])
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.put(draft(1), text="a", encoder_id="e", now_s=1)


async def test_a_damaged_database_is_refused_at_start(path: Path) -> None:
    """With the file and the remedy, before anything is served from it."""
    await fill(path, 300)
    damage(path)

    with pytest.raises(DatabaseCorrupt, match=r"cache\.sqlite3 .* move it and its -wal"):
        await SemanticCache(
            FakeEncoder(384, encoder_id="e"),
            None,
            FaissIndex(384),
            SqliteEntryStore(path),
            Bounds(),
            FakeClock(),
        ).start()
