"""Everything that is in memory about the entries, changed together: catalog, index, hot answers.

One rule: what is not in the catalog is not in the cache, whatever index and hot answers still say.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from cache.catalog import Catalog
from cache.errors import IndexFailed
from cache.hot import Hot, HotAnswers
from cache.policy import Wording
from cache.ports import Encoder, EntryStore, VectorIndex
from cache.refutations import Refutations
from cache.types import Bounds, Embedding, EntryId, Head, MissReason, PartitionKey, Query, Vectors

_log = logging.getLogger(__name__)


class Shelf:
    """The entries as lookups see them. Changed on the event loop, read by any thread."""

    def __init__(
        self,
        encoder: Encoder | None,
        index: VectorIndex,
        store: EntryStore,
        bounds: Bounds,
        keep_s: Callable[[str], float] | None = None,
    ) -> None:
        self.catalog = Catalog()
        self.index = index
        self.hot = HotAnswers(bounds.hot_bytes)
        self.unremoved: set[EntryId] = set()  # gone here, still in the store
        self.unembedded: dict[EntryId, None] = {}  # in the catalog, not in the index
        self.refutations = Refutations()
        self.n_evicted = 0
        self.n_failures = 0
        self.keep_s = keep_s  # for how long entries of a namespace are kept at most
        self._encoder = encoder
        self._unseen = str if encoder is None else encoder.unseen  # without eyes all is unseen
        self._store = store
        self._bounds = bounds

    def load(self, now_s: float) -> None:
        """Fill the empty shelf from the store. Slow: call it off the event loop, before use."""
        with _no_collection():
            for stored, text in self._store.heads():
                head = self._kept_shorter(stored)
                gone = head.id if head.expires_at_s <= now_s else self.catalog.add(head, text)
                if gone is not None:
                    self.unremoved.add(gone)
            self.refutations.load(self._store.refuted())
            self._make_room(0, now_s, n_entries=0)
            if self._encoder is not None:
                self._load_index(self._encoder.encoder_id)

    def _kept_shorter(self, head: Head) -> Head:
        """Return a head that ends when its namespace's bound of today says so."""
        if self.keep_s is None:
            return head
        ends_at_s = head.created_at_s + self.keep_s(head.namespace)
        return head if head.expires_at_s <= ends_at_s else replace(head, expires_at_s=ends_at_s)

    def end_earlier(self, heads: Iterable[Head]) -> None:
        """Let entries end when the bound of now says so; it may be another than when they came."""
        for head in heads:
            shorter = self._kept_shorter(head)
            if shorter is not head:
                self.catalog.end_earlier(shorter)

    def show(self, head: Head, text: str, answer: bytes, embedding: Embedding | None) -> bool:
        """Make a stored entry visible; tell whether another one gave way to it, or it to one."""
        head = self._kept_shorter(head)  # the bound may have been lowered while it was stored
        self._make_room(head.n_bytes, head.created_at_s, n_entries=1)
        gone = self.catalog.add(head, text)
        if gone is not None:
            self.unremoved.discard(gone)  # the store replaced it in the same transaction
            self._forget_vectors([gone])
        if gone == head.id:
            return True
        tokens = b"" if embedding is None else embedding.tokens
        self.hot.put(head.id, self.wording(text, tokens), answer)
        if embedding is not None:
            self.show_embeddings([head.id], [embedding])
        return gone is not None

    def show_embeddings(self, ids: Sequence[EntryId], embeddings: Sequence[Embedding]) -> None:
        """Make entries findable as near-duplicates; those not in the catalog are left out."""
        for entry_id, embedding in zip(ids, embeddings, strict=True):
            head = self.catalog.head(entry_id)
            if head is None:
                continue
            try:
                self.index.add(head.partition, [entry_id], embedding.vector[None, :])
                self.unembedded.pop(entry_id, None)
            except IndexFailed as error:
                self.failed("adding to the index", error)
                self.unembedded[entry_id] = None

    def hide(self, ids: Iterable[EntryId]) -> int:
        """Let entries vanish from every lookup at once; they have to leave the store as well."""
        gone = [entry_id for entry_id in ids if self.catalog.remove(entry_id) is not None]
        self.unremoved.update(gone)
        self._forget_vectors(gone)
        return len(gone)

    def hide_expired(self, now_s: float, limit: int) -> int:
        """Hide up to ``limit`` entries that have expired, return how many there were."""
        gone: list[EntryId] = []
        while len(gone) < limit and (head := self.catalog.pop_expired(now_s)) is not None:
            gone.append(head.id)
        self.unremoved.update(gone)
        self._forget_vectors(gone)
        return len(gone)

    def wording(self, text: str, tokens: bytes = b"") -> Wording:
        """Return a canonical text ready to be compared."""
        return Wording(text, self._unseen, tokens)

    def read(self, ids: Sequence[EntryId]) -> dict[EntryId, Hot]:
        """Read entries from the store and keep them at hand. Sync: call it off the event loop."""
        found = self._store.read(ids)
        return {
            entry_id: self.hot.put(entry_id, self.wording(entry.text, entry.tokens), entry.answer)
            for entry_id, entry in found.items()
        }

    def failed(self, what: str, error: Exception) -> None:
        """Count and log a failure that no caller hears of."""
        self.n_failures += 1
        _log.warning("%s failed: %s", what, error)

    def _make_room(self, n_bytes: int, now_s: float, *, n_entries: int) -> None:
        """Hide entries until so much more fits: the expired first, then those the policy names."""
        catalog, bounds, gone = self.catalog, self._bounds, []
        while (
            len(catalog) + n_entries > bounds.max_entries
            or catalog.n_bytes + n_bytes > bounds.max_bytes
        ):
            head = catalog.pop_expired(now_s)
            if head is None:
                head = catalog.evict()
                self.n_evicted += head is not None
            if head is None:
                break
            gone.append(head.id)
        self.unremoved.update(gone)
        self._forget_vectors(gone)

    def _forget_vectors(self, ids: Sequence[EntryId]) -> None:
        for entry_id in ids:
            self.hot.discard(entry_id)
            self.unembedded.pop(entry_id, None)
        if not ids:
            return
        try:
            self.index.remove(ids)
        except IndexFailed as error:  # lookups ask the catalog too, so nothing stale is served
            self.failed("removing from the index", error)

    def _load_index(self, encoder_id: str) -> None:
        for ids, vectors in self._store.vectors(encoder_id):
            self._load_vectors(ids, vectors)
        for entry_id in self._store.unembedded(encoder_id):
            if self.catalog.head(entry_id) is not None:
                self.unembedded[entry_id] = None
        self.index.settle()

    def _load_vectors(self, ids: Sequence[EntryId], vectors: Vectors) -> None:
        """Add a bulk to the index, one call for each partition in it."""
        rows_of: dict[PartitionKey, list[int]] = {}
        for row, entry_id in enumerate(ids):
            head = self.catalog.head(entry_id)
            if head is not None:
                rows_of.setdefault(head.partition, []).append(row)
        for partition, rows in rows_of.items():
            whole = len(rows) == len(ids)
            self.index.add(
                partition,
                ids if whole else [ids[row] for row in rows],
                vectors if whole else vectors[rows],
            )


def refusal(head: Head, query: Query, now_s: float) -> MissReason | None:
    """Return why an entry may not answer a query whatever it says, None when it may."""
    if head.expires_at_s <= now_s:
        return MissReason.EXPIRED
    if query.max_age_s is not None and now_s - head.created_at_s > query.max_age_s:
        return MissReason.EXPIRED
    return query.permit(head)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Spare Python's collector the search for garbage among objects that are all here to stay."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
