"""The values of the cache: what is asked of it, what it keeps, what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType, Protocol

import numpy as np
from numpy.typing import NDArray

from cache.traits import traits_of_pair

Vector = NDArray[np.float32]
"""Shape (dim,), float32, unit length."""

Vectors = NDArray[np.float32]
"""Shape (n, dim), float32, every row of unit length."""

PartitionKey = NewType("PartitionKey", bytes)
"""32 bytes; everything besides the compared text that must be equal. Lookups never cross it."""


class Embedding(Protocol):
    """What an encoder makes of a text."""

    @property
    def vector(self) -> Vector:
        """Its direction, for finding what is near."""

    @property
    def tokens(self) -> bytes:
        """Its words in context, for judging pairs, as the verifier reads them.

        At most some 1,100 bytes, opaque to the cache; empty where the encoder makes none.
        """


EntryId = NewType("EntryId", int)
"""A positive 63-bit integer that is never given twice within one data folder."""


class MissReason(StrEnum):
    """Why no stored answer was served. One per miss, the first that applies in this order."""

    MODE_OFF = "mode_off"  # the namespace's mode is off: nothing was looked up
    PERSONAL_WITHOUT_USER = "personal_without_user"  # personal text, and nobody to keep it for
    TIME_BOUND = "time_bound"  # "today", "latest": no freshness is configured for such text
    REGENERATE = "regenerate"  # the same user repeated it in the same conversation just now
    EXPIRED = "expired"  # the stored answer is older than its TTL or the request's max age
    MODEL_NOT_ALLOWED = "model_not_allowed"  # made by a model that may not answer this request
    MAX_TOKENS = (
        "max_tokens"  # the stored answer is longer than the request allows, or of unknown length
    )
    CONTENT_FREE = "content_free"  # "yes", "continue": only an exact repeat could be served
    LANGUAGE = "language"  # outside the calibrated languages: only an exact repeat could be served
    NOT_COMPARABLE = "not_comparable"  # the last message is no user text: only an exact repeat
    NOTHING_SIMILAR = "nothing_similar"  # no entry in the partition is near enough to be judged
    NEEDS_CONTEXT = "needs_context"  # the same, of a follow-up that would stand on its own
    BEYOND_WINDOW = "beyond_window"  # alike where the encoder looks, different where it does not
    GUARD_NUMBER = "guard_number"
    GUARD_NEGATION = "guard_negation"
    GUARD_QUOTE = "guard_quote"
    GUARD_FORM = "guard_form"  # case or marks where they mean something: "-d" and "-D", mW and MW
    GUARD_CODE = "guard_code"
    GUARD_URL = "guard_url"
    GUARD_ENTITY = "guard_entity"  # two names of a kind: Paris and Rome, Monday and Friday
    REFUTED = "refuted"  # this stored answer was reported wrong for this very text
    BARRED = "barred"  # pairs that differ in this way turned out wrong too often here
    THIN_EVIDENCE = "thin_evidence"  # the target asks for more than is known: exact hits only
    BELOW_THRESHOLD = "below_threshold"  # judged, and not sure enough for the target
    CACHE_DEGRADED = "cache_degraded"  # the cache failed; counted and logged, never an error


@dataclass(frozen=True, slots=True, kw_only=True)
class ReusePolicy:
    """When a stored answer may be replayed.

    Attributes:
        max_error_rate: accepted share of wrong answers among the near-duplicates served, in
            [0, 1]; 0: exact hits only.
        min_similarity: cosine floor in [-1, 1]; candidates below it are not judged.
        n_candidates: how many nearest neighbours are judged together, at least 1.
        ttl_s: seconds an entry may be replayed after it was stored; hits do not extend it.
        freshness_s: the same for time-bound texts; 0: such texts are never reused.
        regenerate_s: within so many seconds a repeat by the same user in the same conversation
            asks for another answer; 0: a repeat is served as any other.
    """

    max_error_rate: float = 0.02
    min_similarity: float = 0.80
    n_candidates: int = 4
    ttl_s: int = 7 * 24 * 3600
    freshness_s: int = 0
    regenerate_s: int = 120

    def __post_init__(self) -> None:
        """Check every bound, so that no other place has to.

        Raises:
            ValueError: a setting is outside its range; names the setting, range and value.
        """
        if not -1.0 <= self.min_similarity <= 1.0:
            raise ValueError(f"min_similarity is a cosine in [-1, 1], got {self.min_similarity}")
        if not 0.0 <= self.max_error_rate <= 1.0:
            raise ValueError(f"max_error_rate is a share in [0, 1], got {self.max_error_rate}")
        if not 1 <= self.n_candidates <= 64:
            raise ValueError(f"n_candidates is a count in [1, 64], got {self.n_candidates}")
        for name in ("ttl_s", "freshness_s", "regenerate_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is a number of seconds >= 0, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """From which P(right) on near-duplicates are served, and how far that is known to be enough.

    Attributes:
        min_p_right: in [0, 1]; None: evidence is too thin for the target, exact hits only.
        is_certified: evidence of the namespace's own bounds the error per served near-duplicate
            by the target; else the shipped calibration, which is a prior and no bound.
        barred: traits of pairs (``cache.traits``) that turned out wrong too often here.
    """

    min_p_right: float | None
    is_certified: bool = False
    barred: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Check the bound.

        Raises:
            ValueError: the threshold is no probability.
        """
        if self.min_p_right is not None and not 0.0 <= self.min_p_right <= 1.0:
            raise ValueError(f"min_p_right is in [0, 1] or None, got {self.min_p_right}")


EXACT_ONLY = OperatingPoint(min_p_right=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What is known of an entry without reading its text and answer; small, kept in memory.

    Attributes:
        id: the entry's id.
        partition: the partition it lives in.
        namespace: the tenant's word, for invalidation and reports.
        model: the model that made the answer.
        input_tokens: what the original call was billed for, None when it is not known.
        output_tokens: length of the answer in the model's tokens, None when it is not known.
        scores: P(adequate) per tier as the complexity model gave it for the text; may be empty.
        user: who asked first; empty when unknown.
        conversation: where it was asked first; empty when unknown.
        tags: the caller's words for later invalidation.
        created_at_s: seconds since the epoch.
        expires_at_s: seconds since the epoch; at this moment it is expired.
        n_bytes: text and answer together, as counted against the cache's bound.
    """

    id: EntryId
    partition: PartitionKey
    namespace: str
    model: str
    input_tokens: int | None
    output_tokens: int | None
    scores: tuple[float, ...]
    user: str
    conversation: str
    tags: tuple[str, ...]
    created_at_s: float
    expires_at_s: float
    n_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An answer that asks to be kept.

    Attributes:
        partition: the partition it will live in.
        namespace: the tenant's word.
        text: the compared text as it came; the cache normalizes it.
        answer: the bytes to replay.
        model: the model that made the answer.
        input_tokens: what the call was billed for, None when it is not known.
        output_tokens: length of the answer in the model's tokens, None when it is not known.
        ttl_s: seconds the answer may be replayed; 0: expired at once.
        embedding: of the text, None where the encoder was not at hand: the cache makes it.
        scores: P(adequate) per tier for the text; may be empty.
        user: who asked; empty when unknown.
        conversation: where it was asked; empty when unknown.
        tags: the caller's words for later invalidation.
        exact_only: only an exact repeat may be served by it, so it is not embedded.
    """

    partition: PartitionKey
    namespace: str
    text: str
    answer: bytes
    model: str
    input_tokens: int | None
    output_tokens: int | None
    ttl_s: int
    embedding: Embedding | None = None
    scores: tuple[float, ...] = ()
    user: str = ""
    conversation: str = ""
    tags: tuple[str, ...] = ()
    exact_only: bool = False


Permit = Callable[[Head], MissReason | None]
"""Says why an entry may not answer this request (its model, its length), or None when it may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One lookup.

    Attributes:
        partition: only its own entries are looked at.
        text: the compared text as it came; the cache normalizes it.
        policy: the namespace's rules.
        point: the namespace's operating point, now.
        permit: the caller's word on single entries.
        max_age_s: entries stored longer ago than this are too old; None: their TTL decides alone.
        exact_only: the reason why only an exact repeat may be served; None: near-duplicates too.
    """

    partition: PartitionKey
    text: str
    policy: ReusePolicy
    permit: Permit
    point: OperatingPoint = EXACT_ONLY
    max_age_s: float | None = None
    exact_only: MissReason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A stored answer that serves the query.

    Attributes:
        head: the entry.
        answer: the stored bytes.
        text: the entry's own text, canonical.
        is_exact: the canonical texts are equal.
        similarity: cosine to the query; 1.0 when exact.
        p_right: P(the answer serves the query) as the decision saw it; 1.0 when exact.
        age_s: seconds since it was stored.
        asked: the query's text, canonical.
    """

    head: Head
    answer: bytes
    text: str
    is_exact: bool
    similarity: float
    p_right: float
    age_s: float
    asked: str = ""

    @property
    def traits(self) -> tuple[str, ...]:
        """How the two texts differ (``cache.traits``); empty when exact. Not free: ask once."""
        return () if self.is_exact else traits_of_pair(self.text, self.asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Miss:
    """No stored answer serves the query.

    Attributes:
        reason: why.
        similarity: cosine of the most probable candidate, else of the most similar one that was
            looked at, None when there was none.
        nearest: the id of that candidate.
        p_right: the decision's probability for it: 0 where a guard vetoed, None when not judged.
        nearest_text: that candidate's text, canonical; empty where it was not judged.
        asked: the query's text, canonical.
    """

    reason: MissReason
    similarity: float | None = None
    nearest: EntryId | None = None
    p_right: float | None = None
    nearest_text: str = ""
    asked: str = ""

    @property
    def traits(self) -> tuple[str, ...]:
        """How the two texts differ (``cache.traits``); empty where none was judged."""
        return traits_of_pair(self.nearest_text, self.asked) if self.nearest_text else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbor:
    """An entry near a query vector, by cosine in [-1, 1]; higher is closer."""

    id: EntryId
    similarity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Which entries to invalidate: all given conditions must hold; empty fields say nothing.

    Attributes:
        ids: any of these entries.
        namespace: exactly this one.
        tag: carries this tag.
        model: made by this model.
        user: first asked by this user.
        conversation: first asked in this conversation.
        older_than_s: stored at least so many seconds ago.
    """

    ids: tuple[EntryId, ...] = ()
    namespace: str = ""
    tag: str = ""
    model: str = ""
    user: str = ""
    conversation: str = ""
    older_than_s: float | None = None

    def is_empty(self) -> bool:
        """Tell whether no condition is given, so that everything would match."""
        return self == Selector()


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalidation:
    """What an invalidation removed, or would remove.

    Attributes:
        n_entries: how many entries matched.
        ids: which ones, oldest first.
    """

    n_entries: int
    ids: tuple[EntryId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much the cache may hold; whatever is reached first evicts.

    Attributes:
        max_entries: at least 1; an entry costs about 2 KB of memory with its vector.
        max_bytes: texts and answers together, at least 1.
        hot_bytes: texts and answers kept in memory, at least 0; the rest is read from disk.
    """

    max_entries: int = 200_000
    max_bytes: int = 2 * 1024**3
    hot_bytes: int = 64 * 1024**2

    def __post_init__(self) -> None:
        """Check every bound.

        Raises:
            ValueError: a bound is outside its range; names the bound and the value.
        """
        for name, least in (("max_entries", 1), ("max_bytes", 1), ("hot_bytes", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is a number >= {least}, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """What the cache holds and what happened to it since it was started.

    Attributes:
        n_entries: entries that may be found now.
        n_bytes: their texts and answers.
        n_partitions: partitions with at least one entry.
        n_indexed: entries with a vector in the index.
        n_unembedded: entries that wait for a vector of the present encoder.
        n_stored: entries stored, replacements included.
        n_replaced: entries that gave way to a newer one of the same text.
        n_evicted: entries that left for lack of room.
        n_expired: entries that were swept after their time.
        n_invalidated: entries that were removed on request.
        n_unremoved: entries that are gone here and still wait to leave the disk.
        n_failures: stores that failed, and background work that will be tried again.
    """

    n_entries: int
    n_bytes: int
    n_partitions: int
    n_indexed: int
    n_unembedded: int
    n_stored: int
    n_replaced: int
    n_evicted: int
    n_expired: int
    n_invalidated: int
    n_unremoved: int
    n_failures: int
