"""Stand-ins for what is slow, outside or random: small, deterministic, promise-keeping."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from cache.errors import EntryRefused, StoreUnavailable
from cache.ports import EVERY_COSINE
from cache.refutations import Marks
from cache.types import (
    Draft,
    Embedding,
    EntryId,
    Head,
    Neighbor,
    PartitionKey,
    Vector,
    Vectors,
)


class FakeClock:
    """Time that passes when told to."""

    def __init__(self, now_s: float = 1_700_000_000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds


@dataclass(frozen=True, slots=True, eq=False)
class FakeEmbedding:
    """A vector, and no tokens unless given."""

    vector: Vector
    tokens: bytes = b""


class FakeEncoder:
    """Bags of words: every word has a random but fixed direction, a text is the sum of its words.

    Texts that share most words are near, whatever their order; ``window`` words are seen.
    """

    def __init__(self, dim: int = 64, *, window: int = 128, encoder_id: str = "fake-1") -> None:
        self._dim = dim
        self._window = window
        self._encoder_id = encoder_id
        self.n_encoded = 0

    @property
    def encoder_id(self) -> str:
        return self._encoder_id

    @property
    def dim(self) -> int:
        return self._dim

    def encode(self, texts: Sequence[str]) -> Vectors:
        self.n_encoded += len(texts)
        rows = np.stack([self._sum(text) for text in texts]) if texts else np.zeros((0, self._dim))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows.astype(np.float32)

    def embed(self, texts: Sequence[str]) -> list[FakeEmbedding]:
        return [FakeEmbedding(vector) for vector in self.encode(texts)]

    def unseen(self, text: str) -> str:
        return " ".join(text.split()[self._window :])

    def _sum(self, text: str) -> NDArray[np.float64]:
        total: NDArray[np.float64] = np.full(self._dim, 1e-3)
        for word in text.lower().strip("?!. ").split()[: self._window]:
            seed = blake2b(f"{self._encoder_id} {word}".encode(), digest_size=8).digest()
            total = total + np.random.default_rng(int.from_bytes(seed)).standard_normal(self._dim)
        return total


class FlatIndex:
    """The exact ``VectorIndex``: every vector of the partition is looked at. The oracle."""

    def __init__(self) -> None:
        self._rows: dict[EntryId, tuple[PartitionKey, Vector]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, partition: PartitionKey, ids: Sequence[EntryId], vectors: Vectors) -> None:
        for entry_id, vector in zip(ids, vectors, strict=True):
            self._rows[entry_id] = (partition, vector.copy())

    def search(
        self, partition: PartitionKey, vector: Vector, k: int, floor: float = EVERY_COSINE
    ) -> list[Neighbor]:
        found = [
            Neighbor(id=entry_id, similarity=float(row @ vector))
            for entry_id, (where, row) in self._rows.items()
            if where == partition
        ]
        best = sorted(found, key=lambda n: (-n.similarity, n.id))[:k]
        return [n for n in best if n.similarity >= floor] or best[:1]

    def remove(self, ids: Iterable[EntryId]) -> None:
        for entry_id in ids:
            self._rows.pop(entry_id, None)

    def settle(self) -> None:
        pass

    def close(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class MemoryEntry:
    """A row of ``MemoryEntryStore``."""

    head: Head
    text: str
    answer: bytes
    embedding: Embedding | None
    encoder_id: str | None

    @property
    def tokens(self) -> bytes:
        return b"" if self.embedding is None else self.embedding.tokens


class MemoryEntryStore:
    """An ``EntryStore`` that forgets at the end; ``broken`` makes every call fail."""

    def __init__(self) -> None:
        self.broken = False
        self._entries: dict[EntryId, MemoryEntry] = {}
        self._refuted: dict[Marks, None] = {}
        self._next_id = 1

    async def put(self, draft: Draft, *, text: str, encoder_id: str, now_s: float) -> Head:
        self._check()
        try:
            n_bytes = len(text.encode()) + len(draft.answer)
        except UnicodeEncodeError as error:
            raise EntryRefused("no valid Unicode") from error
        for entry in list(self._entries.values()):
            if (entry.head.partition, entry.text) == (draft.partition, text):
                del self._entries[entry.head.id]
        head = Head(
            id=EntryId(self._next_id),
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
        self._next_id += 1
        made_by = None if draft.exact_only else encoder_id
        embedding = None if draft.exact_only else draft.embedding
        self._entries[head.id] = MemoryEntry(head, text, draft.answer, embedding, made_by)
        return head

    async def remove(self, ids: Sequence[EntryId]) -> int:
        self._check()
        return sum(self._entries.pop(entry_id, None) is not None for entry_id in ids)

    async def embed(
        self, ids: Sequence[EntryId], embeddings: Sequence[Embedding], encoder_id: str
    ) -> None:
        self._check()
        for entry_id, one in zip(ids, embeddings, strict=True):
            if entry_id in self._entries:
                e = self._entries[entry_id]
                self._entries[entry_id] = MemoryEntry(e.head, e.text, e.answer, one, encoder_id)

    async def tend(self, now_s: float) -> None:
        """Do nothing: what is removed is gone."""

    async def free(self, now_s: float) -> bool:
        """Do nothing: what is removed is gone."""
        return True

    async def refute(self, stored: bytes, asked: bytes) -> None:
        self._check()
        self._refuted.setdefault((stored, asked))

    def refuted(self) -> Iterator[Marks]:
        self._check()
        yield from self._refuted

    def read(self, ids: Sequence[EntryId]) -> dict[EntryId, MemoryEntry]:
        self._check()
        return {i: self._entries[i] for i in ids if i in self._entries}

    def heads(self) -> Iterator[tuple[Head, str]]:
        self._check()
        yield from [(entry.head, entry.text) for entry in self._entries.values()]

    def vectors(self, encoder_id: str) -> Iterator[tuple[list[EntryId], Vectors]]:
        self._check()
        for entry in list(self._entries.values()):
            if entry.encoder_id == encoder_id and entry.embedding is not None:
                yield [entry.head.id], entry.embedding.vector[np.newaxis, :]

    def unembedded(self, encoder_id: str) -> list[EntryId]:
        self._check()
        return [
            entry.head.id
            for entry in self._entries.values()
            if entry.encoder_id is not None
            and (entry.encoder_id != encoder_id or entry.embedding is None)
        ]

    def close(self) -> None:
        pass

    def _check(self) -> None:
        if self.broken:
            raise StoreUnavailable("the store was told to fail")
