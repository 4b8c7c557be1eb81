"""A cache file that is encrypted: what stands in it, who may open it, how it changes keys."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeEmbedding

from cache.embedded.resealing import reseal
from cache.embedded.sqlite_entries import SCHEMA, rehash
from cache.embedded.sqlite_store import SqliteEntryStore
from cache.embedded.vault import PLAIN, AesVault, Vault
from cache.errors import DatabaseCorrupt, SealMismatch
from cache.types import Draft, PartitionKey

HERE = PartitionKey(b"h" * 32)
ONE, TWO = AesVault([b"1" * 32]), AesVault([b"2" * 32])
TURNING = AesVault([b"2" * 32, b"1" * 32])
SECRETS = (b"the prompt marked", b"the answer marked", b"tokens marked", b"s" * 16, b"a" * 16)
VECTOR = np.linspace(-1, 1, 384, dtype=np.float32)
VECTOR /= np.linalg.norm(VECTOR)


def draft(text: str, answer: bytes) -> Draft:
    return Draft(
        partition=HERE,
        namespace="shop",
        text=text,
        answer=answer,
        model="small",
        input_tokens=1,
        output_tokens=7,
        ttl_s=60,
        embedding=FakeEmbedding(VECTOR, b"tokens marked"),
    )


async def put(store: SqliteEntryStore, text: str, answer: bytes = b"the answer marked") -> int:
    return (await store.put(draft(text, answer), text=text, encoder_id="e", now_s=1)).id


async def fill(path: Path, vault: Vault) -> None:
    store = SqliteEntryStore(path, vault=vault)
    for n in range(40):
        await put(store, f"the prompt marked {n}")
    await store.refute(b"s" * 16, b"a" * 16)
    store.close()


def files(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(path.parent.iterdir()))


def held(path: Path, vault: Vault) -> list[str]:
    """Return the texts in the file, having looked that everything else opens as well."""
    store = SqliteEntryStore(path, vault=vault)
    try:
        heads = list(store.heads())
        found = store.read([head.id for head, _ in heads])
        assert {entry.answer for entry in found.values()} == {b"the answer marked"}
        assert {entry.tokens for entry in found.values()} == {b"tokens marked"}
        [(_, rows)] = store.vectors("e")
        assert float(rows[0] @ VECTOR) > 0.999
        assert list(store.refuted()) == [(b"s" * 16, b"a" * 16)]
        return [text for _, text in heads]
    finally:
        store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache.sqlite"


@pytest.mark.parametrize("secret", SECRETS)
async def test_a_sealed_file_shows_nothing(path: Path, secret: bytes) -> None:
    """Text, answer, tokens and refuted pairs; a plain one shows all of them."""
    await fill(path, ONE)
    sealed = files(path)
    await fill(path.with_name("plain.sqlite"), PLAIN)

    assert secret not in sealed
    assert secret in files(path)


async def test_vectors_are_sealed(path: Path) -> None:
    """A vector tells much of its text."""
    await fill(path, ONE)

    packed = bytes(np.rint(VECTOR * (127.0 / np.abs(VECTOR).max())).astype(np.int8))
    assert packed[:24] not in files(path)


async def test_guesses_cannot_be_checked_by_the_hash(path: Path) -> None:
    """The hash that an entry is replaced by is another one under every key."""
    await fill(path, ONE)
    other = path.with_name("other.sqlite")
    await fill(other, TWO)

    keys = []
    for file in (path, other):
        with closing(sqlite3.connect(file)) as connection:
            keys.append({row[0] for row in connection.execute("SELECT key FROM entries")})
    assert len(keys[0]) == len(keys[1]) == 40
    assert keys[0].isdisjoint(keys[1])


@pytest.mark.parametrize(
    ("was", "asked", "words"),
    [
        (ONE, TWO, "encrypted with the key .* add that key behind the new one"),
        (ONE, PLAIN, "the settings name no key"),
        (PLAIN, ONE, "is not encrypted, .* run `scrimp encrypt`"),
    ],
)
async def test_what_does_not_fit_is_refused_at_start(
    path: Path, was: Vault, asked: Vault, words: str
) -> None:
    """With what was found and what helps, and the file stays as it was."""
    await fill(path, was)

    with pytest.raises(SealMismatch, match=words):
        SqliteEntryStore(path, vault=asked)

    assert len(held(path, was)) == 40


async def test_an_old_key_reads_until_all_is_rewritten(path: Path) -> None:
    """Behind the new one it opens what it sealed; once all is rewritten it may go."""
    await fill(path, ONE)

    store = SqliteEntryStore(path, vault=TURNING)
    await put(store, "the prompt marked 7")  # in place of one under the old key
    store.close()
    assert len(held(path, TURNING)) == 40
    with pytest.raises(SealMismatch):
        SqliteEntryStore(path, vault=TWO)

    assert reseal(path, SCHEMA, TURNING, target=TURNING, hashes=rehash)

    assert len(held(path, TWO)) == 40
    assert not reseal(path, SCHEMA, TURNING, target=TURNING, hashes=rehash)


@pytest.mark.parametrize(("was", "then"), [(PLAIN, ONE), (ONE, PLAIN), (ONE, TWO)])
async def test_all_of_it_is_rewritten(path: Path, was: Vault, then: Vault) -> None:
    """Plain to sealed, back, and to another key: all opens, and the same text is replaced still."""
    await fill(path, was)
    opens = was if was is not PLAIN else then

    assert reseal(path, SCHEMA, opens, target=then, hashes=rehash)

    if then is not PLAIN:
        assert all(secret not in files(path) for secret in SECRETS)
    assert len(held(path, then)) == 40
    store = SqliteEntryStore(path, vault=then)
    await put(store, "the prompt marked 7")
    store.close()
    assert len(held(path, then)) == 40


async def test_rewriting_that_fails_leaves_all_as_it_was(path: Path) -> None:
    """A value that does not open is told, and nothing is half done."""
    await fill(path, ONE)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE answers SET answer = x'0102' WHERE id = 40")
        connection.commit()

    with pytest.raises(DatabaseCorrupt, match="a value can not be opened"):
        reseal(path, SCHEMA, ONE, target=PLAIN, hashes=rehash)

    store = SqliteEntryStore(path, vault=ONE)
    assert len(list(store.heads())) == 40
    store.close()
