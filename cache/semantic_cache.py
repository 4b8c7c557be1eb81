"""The semantic cache: exact lookups on the event loop, near ones in a worker, durable stores.

A lookup goes ``find_exact`` (memory, or one read), then, when that says nothing, ``find_near``
with the query's vector. A store is durable first and visible then; if it fails nothing is seen of
it. Who leaves when the bounds are reached is described in ``cache.eviction``; no hit ever writes.

Threads: every coroutine runs on one event loop, which alone changes what is in the cache;
``find_near`` and ``explain_pair`` are sync and belong in worker threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from cache.catalog import matches
from cache.errors import CacheError, EntryRefused
from cache.near import find_near
from cache.normalize import canonical
from cache.policy import (
    JUDGE_ALL,
    Candidate,
    Decision,
    Question,
    WordingVerifier,
    decide,
    forget_facts,
)
from cache.ports import Encoder, EntryStore, PairVerifier, StoredEntry, VectorIndex
from cache.refutations import marks_of
from cache.shelf import Shelf, refusal
from cache.types import (
    Bounds,
    CacheStats,
    Draft,
    Embedding,
    EntryId,
    Head,
    Hit,
    Invalidation,
    Miss,
    OperatingPoint,
    PartitionKey,
    Query,
    ReusePolicy,
    Selector,
)
from cache.upkeep import Upkeep

_HIDDEN_AT_ONCE = 512  # entries removed between two breaths of the event loop


class SemanticCache:
    """Answers that were given before, found by text or by meaning, within one partition.

    ``await start()`` before the first use, ``await close()`` after the last one; it closes index
    and store too.

    Args:
        encoder: used here for drafts and entries without an embedding. None, where there is none:
            exact hits only, and every embedding in the store is kept for later.
        verifier: judges pairs; None: by cosine and wording.
        index: finds neighbours; filled at start.
        store: keeps entries.
        bounds: how much may be held.
        clock: seconds since the epoch.
        keep_s: for how many seconds at most a namespace's entries are kept, whatever they were
            stored with; None: their TTL decides alone.
    """

    def __init__(
        self,
        encoder: Encoder | None,
        verifier: PairVerifier | None,
        index: VectorIndex,
        store: EntryStore,
        bounds: Bounds,
        clock: Callable[[], float],
        keep_s: Callable[[str], float] | None = None,
    ) -> None:
        self._encoder = encoder
        self._verifier = verifier or WordingVerifier()
        self._store = store
        self._bounds = bounds
        self._clock = clock
        self._shelf = Shelf(encoder, index, store, bounds, keep_s)
        self._upkeep = Upkeep(self._shelf, encoder, store, clock)
        self._storing: dict[asyncio.Task[Head], list[Selector]] = {}
        self._n_stored = self._n_replaced = self._n_invalidated = 0

    async def start(self) -> None:
        """Load what the store holds, then tend it in the background.

        Raises:
            CacheError: the store can not be read, or the index not be made.
        """
        await asyncio.to_thread(self._shelf.load, self._clock())
        self._upkeep.start()

    async def close(self) -> None:
        """Finish stores under way, stop the background work, close index and store."""
        await asyncio.gather(*self._storing, return_exceptions=True)
        await self._upkeep.stop()
        await asyncio.to_thread(self._shelf.index.close)
        await asyncio.to_thread(self._store.close)

    async def find_exact(self, query: Query) -> Hit | Miss | None:
        """Look the query's canonical text up in its partition.

        Does not suspend when the answer is in memory.

        Returns:
            None where the partition has no such text; a Miss where it has one that may not be
            served now, with the reason.

        Raises:
            CacheError: the store could not be read.
        """
        text = canonical(query.text)
        head = self._shelf.catalog.find(query.partition, text)
        if head is None:
            return None
        now_s = self._clock()
        reason = refusal(head, query, now_s)
        if reason is not None:
            return Miss(reason=reason, similarity=1.0, nearest=head.id)
        hot = self._shelf.hot.get(head.id)
        if hot is None:
            hot = (await asyncio.to_thread(self._shelf.read, [head.id])).get(head.id)
            if hot is None or self._shelf.catalog.head(head.id) is None:
                return None  # it left while we were reading
        if hot.wording.text != text:
            return None
        self._shelf.catalog.visit(head.id)
        return Hit(
            head=head,
            answer=hot.answer,
            text=text,
            is_exact=True,
            similarity=1.0,
            p_right=1.0,
            age_s=max(0.0, now_s - head.created_at_s),
        )

    def holds(self, entry_id: EntryId) -> bool:
        """Tell whether an entry may still be found; it may leave while a batch is judged."""
        return self._shelf.catalog.head(entry_id) is not None

    def holds_any(self, partition: PartitionKey) -> bool:
        """Tell whether anything may be found in a partition; in an empty one nothing is near."""
        return self._shelf.catalog.holds_any(partition)

    async def read(self, entry_id: EntryId) -> StoredEntry | None:
        """Return an entry as it is stored, None when it has left. Nothing is decided about it.

        Raises:
            CacheError: the store could not be read.
        """
        if not self.holds(entry_id):
            return None
        found = await asyncio.to_thread(self._store.read, [entry_id])
        return found.get(entry_id) if self.holds(entry_id) else None

    def find_near(
        self, queries: Sequence[Query], embeddings: Sequence[Embedding]
    ) -> list[Hit | Miss]:
        """Answer a batch of queries from near entries. Sync: call it in a worker thread.

        Args:
            queries: those with ``exact_only`` get a Miss with that reason.
            embeddings: of the canonical texts, in order.

        Raises:
            CacheError: index or store failed.
        """
        return find_near(self._shelf, self._verifier, queries, embeddings, self._clock())

    def explain_pair(
        self, stored: str, asked: str, policy: ReusePolicy, point: OperatingPoint
    ) -> tuple[Decision, float]:
        """Decide, as a lookup would, whether the answer to ``stored`` serves ``asked``.

        Nothing is too far to be judged here, so that ``p_right`` is always given. Returns the
        cosine of the two as well. Sync and slow.

        Args:
            stored: the prompt that has an answer.
            asked: the prompt that has none.
            policy: the rules.
            point: the operating point.

        Raises:
            CacheError: there is no encoder.
        """
        if self._encoder is None:
            raise CacheError("two texts can not be compared without an encoder")
        texts = [canonical(stored), canonical(asked)]
        embeddings = self._encoder.embed(texts)
        one, other = (
            self._shelf.wording(text, embedding.tokens)
            for text, embedding in zip(texts, embeddings, strict=True)
        )
        similarity = float(embeddings[0].vector @ embeddings[1].vector)
        question = Question(
            asked=other,
            candidates=[Candidate(one, similarity)],
            policy=policy,
            point=point,
            floor=JUDGE_ALL,
        )
        (decision,) = decide([question], self._verifier)
        return decision, similarity

    async def refute(self, namespace: str, stored: str, asked: str) -> None:
        """Note that the answer to a stored text was wrong for another: it never serves that again.

        Nor does an answer that replaces it. For other texts it has to be surer from now on. Durable
        when this returns.

        Raises:
            StoreUnavailable: it holds until a restart only; call again.
        """
        marks = marks_of(namespace, canonical(stored), canonical(asked))
        self._shelf.refutations.add(*marks)
        await self._store.refute(*marks)

    async def store(self, draft: Draft) -> Head:
        """Keep an answer: durable when this returns, and found by the next lookup.

        A store that was begun is finished even if the caller is cancelled.

        Raises:
            EntryRefused: too large for the bounds, no valid Unicode, or a vector that is none.
            StoreUnavailable: nothing was kept and nothing is visible.
        """
        task = asyncio.create_task(self._keep(draft))
        self._storing[task] = []
        task.add_done_callback(self._stored)
        return await asyncio.shield(task)

    async def invalidate(self, selector: Selector, *, dry_run: bool = False) -> Invalidation:
        """Remove every entry that matches; gone from lookups at once, and durable on return.

        A store under way whose entry matches is undone too.

        Raises:
            ValueError: the selector is empty, so that everything would match.
            StoreUnavailable: the entries are gone from lookups but may be back after a restart;
                call again.
        """
        if selector.is_empty():
            raise ValueError("an invalidation needs at least one condition, got an empty selector")
        now_s = self._clock()
        if not dry_run:
            for selectors in self._storing.values():
                selectors.append(selector)
        heads = self._heads_of(selector)
        ids = await asyncio.to_thread(_select, heads, selector, now_s)
        if not dry_run:
            for start in range(0, len(ids), _HIDDEN_AT_ONCE):
                self._n_invalidated += self._shelf.hide(ids[start : start + _HIDDEN_AT_ONCE])
                await asyncio.sleep(0)
            await self._upkeep.remove_hidden()
        return Invalidation(n_entries=len(ids), ids=tuple(ids))

    def keep(self, keep_s: Callable[[str], float] | None) -> None:
        """Keep entries for other times from now on; what is there is held to them in a moment.

        What a time that was shorter has cut stays cut.

        Args:
            keep_s: as at the beginning.
        """
        self._shelf.keep_s = keep_s

    async def free(self) -> bool:
        """Leave nothing of what was removed before in the store's files; may take seconds.

        Returns:
            False: a reader is at work, and the background ends it.

        Raises:
            StoreUnavailable: it is still to be done; the background tries again.
        """
        await self._upkeep.remove_hidden()
        forget_facts()
        return await self._store.free(self._clock())

    async def sweep(self) -> int:
        """Remove what has expired now; the background does so by itself. Returns how many."""
        return await self._upkeep.sweep()

    def stats(self) -> CacheStats:
        """Return what the cache holds, and what happened since it was started."""
        shelf = self._shelf
        return CacheStats(
            n_entries=len(shelf.catalog),
            n_bytes=shelf.catalog.n_bytes,
            n_partitions=shelf.catalog.n_partitions,
            n_indexed=len(shelf.index),
            n_unembedded=len(shelf.unembedded),
            n_stored=self._n_stored,
            n_replaced=self._n_replaced,
            n_evicted=shelf.n_evicted,
            n_expired=self._upkeep.n_expired,
            n_invalidated=self._n_invalidated,
            n_unremoved=len(shelf.unremoved),
            n_failures=shelf.n_failures,
        )

    def _heads_of(self, selector: Selector) -> list[Head]:
        """Return the heads that may match, without a look at all where ids are given."""
        catalog = self._shelf.catalog
        if not selector.ids:
            return catalog.heads()
        named = (catalog.head(entry_id) for entry_id in sorted(set(selector.ids)))
        return [head for head in named if head is not None]

    async def _keep(self, draft: Draft) -> Head:
        text = canonical(draft.text)
        draft = await self._with_embedding(draft, text)
        self._refuse_oversized(text, draft)
        encoder_id = "" if self._encoder is None else self._encoder.encoder_id
        head = await self._store.put(draft, text=text, encoder_id=encoder_id, now_s=self._clock())
        self._n_stored += 1
        self._n_replaced += self._shelf.show(head, text, draft.answer, draft.embedding)
        if self._encoder is not None and draft.embedding is None and not draft.exact_only:
            self._shelf.unembedded[head.id] = None
        await self._undo_if_invalidated(head)
        return head

    async def _with_embedding(self, draft: Draft, text: str) -> Draft:
        if draft.exact_only or not text:
            return replace(draft, embedding=None, exact_only=True)
        if self._encoder is None:
            return replace(draft, embedding=None)
        if draft.embedding is None:
            try:
                embeddings = await asyncio.to_thread(self._encoder.embed, [text])
            except Exception as error:  # noqa: BLE001 - the model's runtime raises what it likes
                self._shelf.failed("embedding a new entry", error)
                return draft  # kept all the same; the background tries again
            return replace(draft, embedding=embeddings[0])
        vector = draft.embedding.vector
        if vector.shape != (self._encoder.dim,) or not np.isfinite(vector).all():
            raise EntryRefused(
                f"a vector has {self._encoder.dim} finite numbers, got shape {vector.shape}"
            )
        return draft

    def _refuse_oversized(self, text: str, draft: Draft) -> None:
        n_bytes = len(text.encode("utf-8", "surrogatepass")) + len(draft.answer)
        if n_bytes > self._bounds.max_bytes:
            raise EntryRefused(
                f"an entry of {n_bytes} bytes exceeds the whole cache's max_bytes of "
                f"{self._bounds.max_bytes}; raise the bound or do not store it"
            )

    async def _undo_if_invalidated(self, head: Head) -> None:
        task = asyncio.current_task()
        selectors = self._storing.get(task, []) if task is not None else []
        if any(matches(selector, head, self._clock()) for selector in selectors):
            self._n_invalidated += self._shelf.hide([head.id])
            await self._upkeep.remove_hidden()

    def _stored(self, task: asyncio.Task[Head]) -> None:
        self._storing.pop(task, None)
        if not task.cancelled() and task.exception() is not None:
            self._shelf.n_failures += 1  # the caller hears why, unless it was cancelled


def _select(heads: Sequence[Head], selector: Selector, now_s: float) -> list[EntryId]:
    return [head.id for head in heads if matches(selector, head, now_s)]
