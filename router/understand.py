"""One run for many: encode the texts that wait, look for near-duplicates, score complexity.

This is the one place where a request waits for a model on this machine. What fails here degrades
visibly: without the encoder there are exact hits only and the rules score; the answer still comes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cache.language import is_english
from cache.normalize import canonical
from cache.types import Embedding, Hit, Miss, MissReason, Query
from classifier.shape import PromptShape
from router.types import UNFAMILIAR

_log = logging.getLogger(__name__)


class TextEncoder(Protocol):
    """Text to embedding; sync, called in worker threads only."""

    def embed(self, texts: Sequence[str]) -> Sequence[Embedding]:
        """Return one embedding for each text, in order."""


class NearLookup(Protocol):
    """The cache, as far as this stage needs it; sync."""

    def find_near(
        self, queries: Sequence[Query], embeddings: Sequence[Embedding]
    ) -> Sequence[Hit | Miss]:
        """Return the verdict on each query, in order."""


class Scorer(Protocol):
    """Prompt to P(adequate) per tier of ability; sync."""

    @property
    def tiers(self) -> Sequence[float]:
        """Abilities the first scores stand for, ascending."""

    @property
    def models(self) -> Sequence[str]:
        """Models that the other scores stand for."""

    @property
    def scorer_id(self) -> str:
        """What the figures come from."""

    def score(
        self, vectors: NDArray[np.float32], shapes: Sequence[PromptShape]
    ) -> NDArray[np.float32]:
        """Return shape (len(shapes), len(tiers) + len(models)), each in [0, 1]."""

    def head(self, model_name: str) -> int | None:
        """Return which score is a model's own, None where it has none."""

    def ability(self, model_name: str) -> float | None:
        """Return a model's ability on the tiers' scale, None for a model it never met."""

    def ability_prior(
        self, input_usd_per_mtok: float | None, output_usd_per_mtok: float | None
    ) -> float:
        """Return the stated guess for such a model, from its price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What one request wants of the run; ``query`` is None when nothing is to be looked up."""

    shape: PromptShape
    query: Query | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Understanding:
    """What the run found.

    Attributes:
        found: the cache's verdict; None when nothing was looked up.
        embedding: of the text; None when the encoder failed.
        scores: P(adequate) per tier, then per model the scorer knows; empty for a prompt unlike
            anything that the scorer was calibrated on, or in another language than English.
        scorer_id: what scored; ``UNFAMILIAR`` where it claims nothing.
    """

    found: Hit | Miss | None
    embedding: Embedding | None
    scores: tuple[float, ...]
    scorer_id: str


class Understand:
    """The batched stage; ``run`` is called in worker threads.

    Args:
        encoder: None when its artifact is missing or unfit.
        cache: where near-duplicates are looked up.
        scorer: None when its artifact is missing or unfit.
        rules: scores without any model.
        on_degraded: told which part failed, once per run.
    """

    def __init__(
        self,
        encoder: TextEncoder | None,
        cache: NearLookup,
        scorer: Scorer | None,
        rules: Scorer,
        on_degraded: Callable[[str], None],
    ) -> None:
        self._encoder = encoder
        self._cache = cache
        self._scorer = scorer
        self._rules = rules
        self._on_degraded = on_degraded

    def run(self, asks: Sequence[Ask]) -> list[Understanding]:
        """Return what is found for each, in order; never raises for a part that failed."""
        embeddings = self._embed([canonical(ask.shape.text) for ask in asks])
        found = self._look_up(asks, embeddings)
        scores, scorer_id = self._score(asks, embeddings)
        return [
            Understanding(
                found=found[n],
                embedding=None if embeddings is None else embeddings[n],
                scores=of_prompt,
                scorer_id=scorer_id if of_prompt else UNFAMILIAR,
            )
            for n, of_prompt in enumerate(self._claims(asks, scores, scorer_id))
        ]

    def _claims(
        self, asks: Sequence[Ask], scores: NDArray[np.float32], scorer_id: str
    ) -> list[tuple[float, ...]]:
        """Return each prompt's scores, empty where the fitted model claims nothing of it.

        Rules judge by length and marks alone, in any language.
        """
        if scorer_id == self._rules.scorer_id:
            return [tuple(row) for row in scores.tolist()]
        return [
            tuple(row) if row[0] == row[0] and is_english(ask.shape.text) else ()  # NaN is no score
            for ask, row in zip(asks, scores.tolist(), strict=True)
        ]

    def _embed(self, texts: Sequence[str]) -> Sequence[Embedding] | None:
        if self._encoder is None:
            return None
        try:
            return self._encoder.embed(texts)
        except Exception:  # noqa: BLE001  the model's runtime raises what it likes
            self._degrade("encoder")
            return None

    def _look_up(
        self, asks: Sequence[Ask], embeddings: Sequence[Embedding] | None
    ) -> list[Hit | Miss | None]:
        found: list[Hit | Miss | None] = [None] * len(asks)
        rows = [n for n, ask in enumerate(asks) if ask.query is not None]
        if not rows:
            return found
        queries = [query for ask in asks if (query := ask.query) is not None]
        verdicts: Sequence[Hit | Miss] | None = None
        if embeddings is not None:
            try:
                verdicts = self._cache.find_near(queries, [embeddings[row] for row in rows])
            except Exception:  # noqa: BLE001  guards and facts are many; none may fail a request
                self._degrade("cache")
        if verdicts is None:
            verdicts = [_degraded(query) for query in queries]
        for row, verdict in zip(rows, verdicts, strict=True):
            found[row] = verdict
        return found

    def _score(
        self, asks: Sequence[Ask], embeddings: Sequence[Embedding] | None
    ) -> tuple[NDArray[np.float32], str]:
        shapes = [ask.shape for ask in asks]
        if self._scorer is not None and embeddings is not None:
            vectors = np.stack([embedding.vector for embedding in embeddings])
            try:
                return self._scorer.score(vectors, shapes), self._scorer.scorer_id
            except Exception:  # noqa: BLE001  as above
                self._degrade("classifier")
        empty = np.zeros((len(shapes), 0), dtype=np.float32)
        return self._rules.score(empty, shapes), self._rules.scorer_id

    def _degrade(self, part: str) -> None:
        _log.exception("the %s failed; requests go on without it", part)
        self._on_degraded(part)


def _degraded(query: Query) -> Miss:
    return Miss(reason=query.exact_only or MissReason.CACHE_DEGRADED)
