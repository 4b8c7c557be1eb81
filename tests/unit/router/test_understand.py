from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from fakes import FakeEmbedding
from numpy.typing import NDArray

from cache.errors import IndexFailed
from cache.types import Embedding, Hit, Miss, MissReason, PartitionKey, Query, ReusePolicy
from classifier.shape import PromptShape
from router.types import UNFAMILIAR
from router.understand import Ask, Scorer, Understand


class FakeScorer:
    """Scores everything alike; raises when told to."""

    def __init__(self, scorer_id: str, score: float, *, fails: bool = False) -> None:
        self.scorer_id = scorer_id
        self.tiers = (0.0,)
        self._score = score
        self._fails = fails

    def score(
        self, vectors: NDArray[np.float32], shapes: Sequence[PromptShape]
    ) -> NDArray[np.float32]:
        if self._fails:
            raise RuntimeError("model broke")
        return np.full((len(shapes), 1), self._score, dtype=np.float32)

    models: tuple[str, ...] = ()

    def head(self, model_name: str) -> int | None:
        return None

    def ability(self, model_name: str) -> float | None:
        return None

    def ability_prior(
        self, input_usd_per_mtok: float | None, output_usd_per_mtok: float | None
    ) -> float:
        return 0.0


class FakeEncoder:
    """Counts what it encodes; raises when told to."""

    def __init__(self, *, fails: bool = False) -> None:
        self.texts: list[str] = []
        self._fails = fails

    def embed(self, texts: Sequence[str]) -> Sequence[Embedding]:
        if self._fails:
            raise RuntimeError("model broke")
        self.texts += texts
        return [FakeEmbedding(np.ones(2, dtype=np.float32)) for _ in texts]


class FakeCache:
    """Misses; raises when told to."""

    def __init__(self, *, fails: bool = False) -> None:
        self._fails = fails

    def find_near(
        self, queries: Sequence[Query], embeddings: Sequence[Embedding]
    ) -> Sequence[Hit | Miss]:
        if self._fails:
            raise IndexFailed("broke")
        assert len(queries) == len(embeddings)
        return [Miss(reason=MissReason.NOTHING_SIMILAR) for _ in queries]


RULES = FakeScorer("rules", 0.1)
MODEL = FakeScorer("model", 0.9)


def ask(text: str, *, is_looked_up: bool = True) -> Ask:
    query = Query(
        partition=PartitionKey(b"p"), text=text, policy=ReusePolicy(), permit=lambda _: None
    )
    return Ask(shape=PromptShape(text=text), query=query if is_looked_up else None)


def stage(
    encoder: FakeEncoder | None, cache: FakeCache, scorer: Scorer | None
) -> tuple[Understand, list[str]]:
    degraded: list[str] = []
    return Understand(encoder, cache, scorer, RULES, degraded.append), degraded


def test_one_run_serves_all_that_wait() -> None:
    """Texts are encoded together, once, and each gets its own verdict and score."""
    encoder = FakeEncoder()
    tested, degraded = stage(encoder, FakeCache(), MODEL)

    results = tested.run([ask("a"), ask("b", is_looked_up=False), ask("c")])

    assert encoder.texts == ["a", "b", "c"]
    assert [r.found is not None for r in results] == [True, False, True]
    assert {r.scorer_id for r in results} == {"model"}
    assert degraded == []


def test_without_an_encoder_rules_score_and_nothing_is_near() -> None:
    """Losing the encoder is a miss that says so, not an error."""
    tested, _ = stage(None, FakeCache(), MODEL)

    (result,) = tested.run([ask("a")])

    assert isinstance(result.found, Miss)
    assert result.found.reason is MissReason.CACHE_DEGRADED
    assert (result.embedding, result.scorer_id) == (None, "rules")


def test_a_failing_encoder_degrades_visibly() -> None:
    """The failure is counted, and the request goes on."""
    tested, degraded = stage(FakeEncoder(fails=True), FakeCache(), MODEL)

    (result,) = tested.run([ask("a")])

    assert result.scorer_id == "rules"
    assert degraded == ["encoder"]


def test_a_failing_cache_leaves_the_score() -> None:
    """Losing the index costs hits, not the routing."""
    tested, degraded = stage(FakeEncoder(), FakeCache(fails=True), MODEL)

    (result,) = tested.run([ask("a")])

    assert isinstance(result.found, Miss)
    assert result.found.reason is MissReason.CACHE_DEGRADED
    assert result.scorer_id == "model"
    assert degraded == ["cache"]


def test_a_failing_classifier_leaves_the_cache() -> None:
    """Losing the score costs routing, not hits."""
    tested, degraded = stage(FakeEncoder(), FakeCache(), FakeScorer("model", 0, fails=True))

    (result,) = tested.run([ask("a")])

    assert isinstance(result.found, Miss)
    assert result.found.reason is MissReason.NOTHING_SIMILAR
    assert result.scorer_id == "rules"
    assert degraded == ["classifier"]


def test_nothing_is_claimed_of_a_prompt_unlike_any_other() -> None:
    """A score that is no number, or another language: no scores, and it says so; rules do claim."""
    unlike, _ = stage(FakeEncoder(), FakeCache(), FakeScorer("model", float("nan")))
    alike, _ = stage(FakeEncoder(), FakeCache(), MODEL)
    by_rules, _ = stage(None, FakeCache(), MODEL)
    french = "Pourquoi est-ce que je ne peux pas ouvrir ce fichier avec mon ordinateur ?"

    assert [(r.scores, r.scorer_id) for r in unlike.run([ask("a")])] == [((), UNFAMILIAR)]
    assert [r.scorer_id for r in alike.run([ask("why is it so?"), ask(french)])] == [
        "model",
        UNFAMILIAR,
    ]
    assert [r.scorer_id for r in by_rules.run([ask(french)])] == ["rules"]
