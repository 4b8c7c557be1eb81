"""What the cache needs of others. The classifier's encoder and the stores happen to fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from cache.refutations import Marks
from cache.types import Draft, Embedding, EntryId, Head, Neighbor, PartitionKey, Vector, Vectors

EVERY_COSINE: Final = -2.0
"""A floor that no cosine is below, whatever it was rounded to."""


class Encoder(Protocol):
    """Text to vector. Sync and slow: never called on the event loop."""

    @property
    def encoder_id(self) -> str:
        """Names weights, tokenizer and window; vectors of two ids are never compared."""

    @property
    def dim(self) -> int:
        """Length of a vector."""

    def embed(self, texts: Sequence[str]) -> Sequence[Embedding]:
        """Return one embedding for each text, in order."""

    def unseen(self, text: str) -> str:
        """Return the part of ``text`` outside the encoder's window; empty when all was seen."""


class Prompt(Protocol):
    """A text as a verifier sees it."""

    @property
    def text(self) -> str:
        """Canonical text."""

    @property
    def tokens(self) -> bytes:
        """Its token vectors, as the encoder wrote them; empty where there are none."""


class PairVerifier(Protocol):
    """The reuse decision's judge: P(the answer to the candidate serves the query).

    Calibrated: of the pairs given 0.9, nine in ten are right. Sync; called in worker threads.
    """

    def p_same_answer(
        self,
        asked: Sequence[Prompt],
        stored: Sequence[Prompt],
        similarities: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """Return shape (n,), each in [0, 1]; 0 for what it can not judge.

        Args:
            asked: n prompts that ask, at least one; a prompt with several candidates comes often.
            stored: the n candidates.
            similarities: shape (n,), cosine of the two.
        """


class VectorIndex(Protocol):
    """Nearest neighbours within a partition. Thread-safe; every call is sync and short.

    Raises, each method: IndexFailed, and IndexMismatch for a vector of another length.
    """

    def add(self, partition: PartitionKey, ids: Sequence[EntryId], vectors: Vectors) -> None:
        """Add entries; an id that is known already moves to the new vector and partition."""

    def search(
        self, partition: PartitionKey, vector: Vector, k: int, floor: float = EVERY_COSINE
    ) -> list[Neighbor]:
        """Return up to ``k`` (at least 1) neighbours of the partition.

        Most similar first, and of equally similar ones the lower id. Those below the cosine
        ``floor`` are left out; where all are, the nearest one comes alone.
        """

    def remove(self, ids: Iterable[EntryId]) -> None:
        """Forget entries at once; unknown ids are no error."""

    def settle(self) -> None:
        """Say that a bulk of ``add`` is over, so that what speeds up searches may be made."""

    def close(self) -> None:
        """End background work and keep what spares it the next time."""

    def __len__(self) -> int:
        """Return the number of entries."""


class StoredEntry(Protocol):
    """A row of the store, whole."""

    @property
    def head(self) -> Head:
        """All but text and answer."""

    @property
    def text(self) -> str:
        """Canonical text."""

    @property
    def tokens(self) -> bytes:
        """Token vectors of its embedding; empty where it has none."""

    @property
    def answer(self) -> bytes:
        """Bytes as they were put."""


class EntryStore(Protocol):
    """Where entries survive. ``put``, ``embed`` and ``remove`` return when it is durable.

    Async methods are called on the event loop, sync ones off it. All raise StoreUnavailable when
    the database can not be read or written now, and then nothing of the call was kept.
    """

    async def put(self, draft: Draft, *, text: str, encoder_id: str, now_s: float) -> Head:
        """Keep a draft under its canonical ``text``; replaces the entry of that partition and text.

        Ids grow in the order in which puts became durable.

        Args:
            draft: its ``embedding`` is kept when it has one.
            text: what the draft is found by.
            encoder_id: names what made ``draft.embedding``.
            now_s: becomes ``created_at_s``.

        Raises:
            EntryRefused: the text can not be written as UTF-8.
        """

    async def remove(self, ids: Sequence[EntryId]) -> int:
        """Remove entries, return how many there were."""

    async def embed(
        self, ids: Sequence[EntryId], embeddings: Sequence[Embedding], encoder_id: str
    ) -> None:
        """Keep other embeddings for entries; those that are gone meanwhile are skipped."""

    async def refute(self, stored: bytes, asked: bytes) -> None:
        """Keep that a stored text's answer was wrong for an asked one, by their marks.

        The last ``MOST_REFUTED`` pairs are kept, whatever becomes of the entries.
        """

    async def tend(self, now_s: float) -> None:
        """Keep what was removed from resting where it was; call it every second or so."""

    async def free(self, now_s: float) -> bool:
        """Leave nothing of what was removed before, anywhere; may take seconds.

        Returns:
            False: somebody reads just now, and the next ``tend`` that finds nobody ends it.
        """

    def refuted(self) -> Iterator[Marks]:
        """Yield every refuted pair, oldest first."""

    def read(self, ids: Sequence[EntryId]) -> Mapping[EntryId, StoredEntry]:
        """Return the entries that exist, whole."""

    def heads(self) -> Iterator[tuple[Head, str]]:
        """Yield every entry's head with its canonical text, oldest first."""

    def vectors(self, encoder_id: str) -> Iterator[tuple[list[EntryId], Vectors]]:
        """Yield in bulks the vectors that this encoder made, oldest entry first."""

    def unembedded(self, encoder_id: str) -> list[EntryId]:
        """Return the entries whose vector another encoder made or nobody, oldest first.

        Entries put as ``exact_only`` are none of them.
        """

    def close(self) -> None:
        """Finish what is under way and close; blocks."""
