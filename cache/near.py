"""Near-duplicate lookups for a batch of queries, in a worker thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cache.hot import Hot
from cache.normalize import canonical
from cache.policy import Candidate, Decision, Wording, decide
from cache.ports import PairVerifier
from cache.shelf import Shelf, refusal
from cache.types import Embedding, EntryId, Head, Hit, Miss, MissReason, Neighbor, Query


@dataclass(slots=True)
class _Lookup:
    """One query on its way: what it asks, and what was found near it."""

    query: Query
    asked: Wording
    near: list[tuple[Neighbor, Head]]


def find_near(
    shelf: Shelf,
    verifier: PairVerifier,
    queries: Sequence[Query],
    embeddings: Sequence[Embedding],
    now_s: float,
) -> list[Hit | Miss]:
    """Answer each query from entries near it, or say why not.

    Args:
        shelf: the entries.
        verifier: judges pairs.
        queries: what is asked.
        embeddings: one for each query.
        now_s: seconds since the epoch.

    Raises:
        CacheError: index or store failed.
    """
    lookups = [
        _search(shelf, query, embedding)
        for query, embedding in zip(queries, embeddings, strict=True)
    ]
    known = _texts(shelf, lookups)
    return [_judge(shelf, verifier, lookup, known, now_s) for lookup in lookups]


def _search(shelf: Shelf, query: Query, embedding: Embedding) -> _Lookup:
    asked = shelf.wording(canonical(query.text), embedding.tokens)
    if query.exact_only is not None:
        return _Lookup(query, asked, [])
    policy = query.policy
    found = shelf.index.search(
        query.partition, embedding.vector, policy.n_candidates, policy.min_similarity
    )
    near: list[tuple[Neighbor, Head]] = []
    for neighbor in found:
        head = shelf.catalog.head(neighbor.id)
        if head is not None and head.partition == query.partition:
            near.append((neighbor, head))
    return _Lookup(query, asked, near)


def _texts(shelf: Shelf, lookups: Sequence[_Lookup]) -> dict[EntryId, Hot]:
    """Return text and answer of every candidate above its floor, with one read for the batch."""
    known: dict[EntryId, Hot] = {}
    unread: list[EntryId] = []
    for lookup in lookups:
        floor = lookup.query.policy.min_similarity
        for neighbor, _ in lookup.near:
            if neighbor.similarity < floor or neighbor.id in known:
                continue
            hot = shelf.hot.get(neighbor.id)
            if hot is None:
                unread.append(neighbor.id)
            else:
                known[neighbor.id] = hot
    if unread:
        known.update(shelf.read(list(dict.fromkeys(unread))))
    return known


def _judge(
    shelf: Shelf,
    verifier: PairVerifier,
    lookup: _Lookup,
    known: dict[EntryId, Hot],
    now_s: float,
) -> Hit | Miss:
    query = lookup.query
    if query.exact_only is not None:
        return Miss(reason=query.exact_only)
    near = [(neighbor, head) for neighbor, head in lookup.near if neighbor.id in known]
    candidates = [
        Candidate(
            known[head.id].wording,
            neighbor.similarity,
            refusal(head, query, now_s),
            *shelf.refutations(head.id, lookup.asked.text),
        )
        for neighbor, head in near
    ]
    decision = decide(lookup.asked, candidates, query.policy, query.point, verifier)
    if decision.served is None:
        return _miss(decision, lookup, near, known)
    neighbor, head = near[decision.served]
    shelf.catalog.visit(head.id)
    return Hit(
        head=head,
        answer=known[head.id].answer,
        text=known[head.id].wording.text,
        is_exact=decision.is_exact,
        similarity=1.0 if decision.is_exact else neighbor.similarity,
        p_right=decision.p_right or 0.0,
        age_s=max(0.0, now_s - head.created_at_s),
        asked=lookup.asked.text,
    )


def _miss(
    decision: Decision,
    lookup: _Lookup,
    near: Sequence[tuple[Neighbor, Head]],
    known: dict[EntryId, Hot],
) -> Miss:
    reason = decision.reason or MissReason.NOTHING_SIMILAR
    if decision.best is not None:
        neighbor, head = near[decision.best]
        text = known[head.id].wording.text
    elif lookup.near:
        neighbor, text = lookup.near[0][0], ""
    else:
        return Miss(reason=reason)
    return Miss(
        reason=reason,
        similarity=neighbor.similarity,
        nearest=neighbor.id,
        p_right=decision.p_right,
        nearest_text=text,
        asked=lookup.asked.text,
    )
