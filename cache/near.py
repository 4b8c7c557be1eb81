"""Near-duplicate lookups for a batch of queries, in a worker thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cache.hot import Hot
from cache.normalize import canonical
from cache.policy import Candidate, Decision, Question, Wording, decide
from cache.ports import PairVerifier
from cache.shelf import Shelf, refusal
from cache.types import Embedding, EntryId, Head, Hit, Miss, MissReason, Neighbor, Query


@dataclass(slots=True)
class _Lookup:
    """One query on its way: what it asks, and what was found near it.

    Attributes:
        query: what came in.
        asked: its text.
        nearest: the most similar entry, below the floor too; None in an empty partition.
        near: the entries to judge, most similar first.
    """

    query: Query
    asked: Wording
    nearest: Neighbor | None
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
    for lookup in lookups:
        lookup.near = [(neighbor, head) for neighbor, head in lookup.near if head.id in known]
    decisions = decide([_question(shelf, lookup, known, now_s) for lookup in lookups], verifier)
    return [
        _answer(shelf, lookup, decision, known, now_s)
        for lookup, decision in zip(lookups, decisions, strict=True)
    ]


def _search(shelf: Shelf, query: Query, embedding: Embedding) -> _Lookup:
    asked = shelf.wording(canonical(query.text), embedding.tokens)
    if query.exact_only is not None:
        return _Lookup(query, asked, None, [])
    policy = query.policy
    found = shelf.index.search(
        query.partition, embedding.vector, policy.n_candidates, policy.min_similarity
    )
    near: list[tuple[Neighbor, Head]] = []
    nearest = None
    for neighbor in found:
        head = shelf.catalog.head(neighbor.id)
        if head is not None and head.partition == query.partition:
            nearest = nearest or neighbor
            if neighbor.similarity >= policy.min_similarity:
                near.append((neighbor, head))
    return _Lookup(query, asked, nearest, near)


def _texts(shelf: Shelf, lookups: Sequence[_Lookup]) -> dict[EntryId, Hot]:
    """Return text and answer of every candidate, with one read for the batch."""
    known: dict[EntryId, Hot] = {}
    unread: list[EntryId] = []
    for lookup in lookups:
        for _, head in lookup.near:
            if head.id in known:
                continue
            hot = shelf.hot.get(head.id)
            if hot is None:
                unread.append(head.id)
            else:
                known[head.id] = hot
    if unread:
        known.update(shelf.read(list(dict.fromkeys(unread))))
    return known


def _question(
    shelf: Shelf, lookup: _Lookup, known: Mapping[EntryId, Hot], now_s: float
) -> Question:
    query = lookup.query
    candidates = [
        Candidate(
            known[head.id].wording,
            neighbor.similarity,
            refusal(head, query, now_s),
            *shelf.refutations.of(head.namespace, known[head.id].wording.text, lookup.asked.text),
        )
        for neighbor, head in lookup.near
    ]
    return Question(
        asked=lookup.asked, candidates=candidates, policy=query.policy, point=query.point
    )


def _answer(
    shelf: Shelf,
    lookup: _Lookup,
    decision: Decision,
    known: Mapping[EntryId, Hot],
    now_s: float,
) -> Hit | Miss:
    if lookup.query.exact_only is not None:
        return Miss(reason=lookup.query.exact_only)
    if decision.served is None:
        return _miss(decision, lookup, known)
    neighbor, head = lookup.near[decision.served]
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


def _miss(decision: Decision, lookup: _Lookup, known: Mapping[EntryId, Hot]) -> Miss:
    reason = decision.reason or MissReason.NOTHING_SIMILAR
    nearest, text = lookup.nearest, ""
    if decision.best is not None:
        nearest, head = lookup.near[decision.best]
        text = known[head.id].wording.text
    if nearest is None:
        return Miss(reason=reason)
    return Miss(
        reason=reason,
        similarity=nearest.similarity,
        nearest=nearest.id,
        p_right=decision.p_right,
        nearest_text=text,
        asked=lookup.asked.text,
    )
