from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeEmbedding, MemoryEntryStore
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cache.embedded.sqlite_store import SqliteEntryStore
from cache.embedded.vault import AesVault
from cache.errors import EntryRefused
from cache.ports import EntryStore
from cache.types import Draft, EntryId, PartitionKey, Vector

HERE, THERE = PartitionKey(b"h" * 32), PartitionKey(b"t" * 32)

MAKERS: dict[str, Callable[[Path], EntryStore]] = {
    "memory": lambda folder: MemoryEntryStore(),
    "sqlite": lambda folder: SqliteEntryStore(folder / "cache.sqlite3"),
    "sealed": lambda folder: SqliteEntryStore(
        folder / "cache.sqlite3", vault=AesVault([b"k" * 32])
    ),
}


@pytest.fixture(params=MAKERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EntryStore]:
    store = MAKERS[request.param](tmp_path)
    yield store
    store.close()


def unit(seed: int = 0) -> Vector:
    row = np.random.default_rng(seed).standard_normal(384).astype(np.float32)
    row /= np.linalg.norm(row)
    return row


def draft(**changes: object) -> Draft:
    plain = Draft(
        partition=HERE,
        namespace="shop",
        text="as it came",
        answer=b"\x00answer\xff",
        model="small",
        input_tokens=None,
        output_tokens=7,
        ttl_s=60,
        embedding=FakeEmbedding(unit(), b"tokens"),
        scores=(0.25, 1.0),
        user="ann",
        conversation="c1",
        tags=("a", "b"),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


async def test_what_was_put_is_read_byte_for_byte(store: EntryStore) -> None:
    """Answer, text and every field of the head; n_bytes counts UTF-8."""
    head = await store.put(draft(), text="naïve ☃", encoder_id="e", now_s=100.5)

    entry = store.read([head.id])[head.id]

    assert (entry.head, entry.text, entry.answer) == (head, "naïve ☃", b"\x00answer\xff")
    assert (head.created_at_s, head.expires_at_s) == (100.5, 160.5)
    assert head.n_bytes == len("naïve ☃".encode()) + 8
    assert (head.scores, head.tags, head.input_tokens) == ((0.25, 1.0), ("a", "b"), None)
    assert list(store.heads()) == [(head, "naïve ☃")]


@given(text=st.text(), answer=st.binary())
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_any_text_and_any_bytes_come_back(
    store: EntryStore, text: str, answer: bytes
) -> None:
    """NUL, quotes and emptiness included."""
    head = await store.put(draft(answer=answer), text=text, encoder_id="e", now_s=0)

    entry = store.read([head.id])[head.id]

    assert (entry.text, entry.answer) == (text, answer)


async def test_the_same_partition_and_text_is_replaced(store: EntryStore) -> None:
    """Another partition's is not; the new entry has a higher id."""
    old = await store.put(draft(), text="t", encoder_id="e", now_s=1)
    other = await store.put(draft(partition=THERE), text="t", encoder_id="e", now_s=1)

    new = await store.put(draft(answer=b"new"), text="t", encoder_id="e", now_s=2)

    assert new.id > other.id > old.id
    assert set(store.read([old.id, other.id, new.id])) == {other.id, new.id}


async def test_removing_is_counted_and_repeatable(store: EntryStore) -> None:
    """Unknown ids count nothing, and an id is never given again."""
    head = await store.put(draft(), text="t", encoder_id="e", now_s=1)

    assert await store.remove([head.id, EntryId(999)]) == 1
    assert await store.remove([head.id]) == 0
    again = await store.put(draft(), text="t", encoder_id="e", now_s=1)

    assert store.read([head.id]) == {}
    assert again.id > head.id


async def test_vectors_come_back_nearly_unchanged_for_their_encoder(store: EntryStore) -> None:
    """Cosines err by less than 0.004; another encoder's vectors are not shown."""
    one = await store.put(
        draft(embedding=FakeEmbedding(unit(1))), text="a", encoder_id="e", now_s=1
    )
    await store.put(draft(embedding=FakeEmbedding(unit(2))), text="b", encoder_id="other", now_s=1)
    await store.put(draft(embedding=None), text="c", encoder_id="e", now_s=1)
    await store.put(draft(exact_only=True), text="d", encoder_id="e", now_s=1)

    [(ids, rows)] = store.vectors("e")

    assert ids == [one.id]
    assert rows.dtype == np.float32
    assert float(np.linalg.norm(rows[0])) == pytest.approx(1, abs=1e-5)
    for seed in range(50):
        assert float(rows[0] @ unit(seed)) == pytest.approx(float(unit(1) @ unit(seed)), abs=4e-3)


async def test_what_lacks_a_vector_is_told_and_can_be_embedded(store: EntryStore) -> None:
    """Entries of another encoder or of none; those for exact repeats never want one."""
    old = await store.put(draft(), text="a", encoder_id="old", now_s=1)
    bare = await store.put(draft(embedding=None), text="b", encoder_id="new", now_s=1)
    await store.put(draft(exact_only=True), text="c", encoder_id="new", now_s=1)
    await store.put(draft(), text="d", encoder_id="new", now_s=1)
    assert store.unembedded("new") == [old.id, bare.id]

    made = [FakeEmbedding(unit(seed), bytes([seed])) for seed in (3, 4, 5)]
    await store.embed([old.id, bare.id, EntryId(999)], made, "new")

    assert store.unembedded("new") == []
    assert [store.read([one.id])[one.id].tokens for one in (old, bare)] == [b"\x03", b"\x04"]
    assert sum(len(ids) for ids, _ in store.vectors("new")) == 3


async def test_refuted_pairs_are_kept_whatever_becomes_of_entries(store: EntryStore) -> None:
    """Twice the same is one; the oldest comes first."""
    one = await store.put(draft(), text="a", encoder_id="e", now_s=1)
    for stored, asked in [(b"x", b"1"), (b"w", b"1"), (b"x", b"1"), (b"x", b"2")]:
        await store.refute(stored, asked)
    await store.remove([one.id])

    assert list(store.refuted()) == [(b"x", b"1"), (b"w", b"1"), (b"x", b"2")]


async def test_a_lone_surrogate_is_refused(store: EntryStore) -> None:
    """The caller's fault, and nothing is kept."""
    with pytest.raises(EntryRefused):
        await store.put(draft(), text="\ud800", encoder_id="e", now_s=1)
    assert list(store.heads()) == []


async def test_every_head_has_its_own_scores(store: EntryStore) -> None:
    """Also among entries that were never scored, read one by one or all together."""
    given = [(), (0.5,), (), (0.125, 0.25), (1.0,)]
    for n, scores in enumerate(given):
        await store.put(draft(scores=scores), text=f"text {n}", encoder_id="e", now_s=1)

    heads = [head for head, _ in store.heads()]

    assert [head.scores for head in heads] == given
    assert [store.read([head.id])[head.id].head.scores for head in heads] == given
    assert [entry.head for entry in store.read([head.id for head in heads]).values()] == heads


async def test_freeing_what_was_removed_harms_nothing(store: EntryStore) -> None:
    """Entries, marks and ids are as before, and the next one is new."""
    gone = await store.put(draft(), text="gone", encoder_id="e", now_s=1)
    kept = await store.put(draft(), text="kept", encoder_id="e", now_s=1)
    await store.refute(b"s" * 16, b"a" * 16)
    await store.remove([gone.id])

    assert await store.free(2.0)
    await store.tend(3.0)

    assert store.read([kept.id])[kept.id].text == "kept"
    assert list(store.refuted()) == [(b"s" * 16, b"a" * 16)]
    again = await store.put(draft(), text="gone", encoder_id="e", now_s=4)
    assert again.id > kept.id > gone.id
