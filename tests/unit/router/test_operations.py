"""Feedback: what a word on a hit does to the cache, to the evidence and to what is trained on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from fakes import FakeClock
from fakes_ledger import NOW_MS, MemoryLedger, a_hit

from cache.calibration import Observation
from cache.errors import StoreUnavailable
from cache.normalize import canonical
from cache.policy import certainty
from cache.types import EntryId, Invalidation, Selector
from router.churn import Churn
from router.ledger.types import Cause, FeedbackKind, Outcome, Pair
from router.metrics import Metrics
from router.operations import FEEDBACK_WEIGHT, Operations
from router.settings import parse

PAIR = Pair(asked="is it open?  for guests", stored="is it open? for staff", expires_at_ms=2**60)
NEAR = a_hit(outcome=Outcome.NEAR, cause=Cause.NEAR, similarity=0.97, p_right=0.95)
WRONG, RIGHT = FeedbackKind.HIT_WRONG, FeedbackKind.HIT_RIGHT


@dataclass(slots=True)
class Entries:
    """A cache that remembers what was removed and refuted."""

    refuted: list[tuple[str, str, str]] = field(default_factory=list)
    removed: list[Selector] = field(default_factory=list)
    is_broken: bool = False

    async def refute(self, namespace: str, stored: str, asked: str) -> None:
        if self.is_broken:
            raise StoreUnavailable("the disk is full")
        self.refuted.append((namespace, stored, asked))

    async def invalidate(self, selector: Selector, *, dry_run: bool = False) -> Invalidation:
        self.removed.append(selector)
        return Invalidation(n_entries=1, ids=selector.ids)

    async def free(self) -> bool:
        return True


@dataclass(slots=True)
class Seen:
    """Evidence that remembers what it was told."""

    observations: list[tuple[str, Observation]] = field(default_factory=list)

    def observe(self, namespace: str, observation: Observation) -> None:
        self.observations.append((namespace, observation))

    def twin(self, namespace: str, is_different: bool) -> None:
        raise AssertionError("feedback is no twin")


@dataclass(frozen=True, slots=True)
class Desk:
    """Operations with all that they touch."""

    operations: Operations
    ledger: MemoryLedger
    entries: Entries
    seen: Seen

    async def say(self, kind: FeedbackKind, line_id: str = NEAR.line_id) -> None:
        await self.operations.feedback(line_id, kind, "", namespace="shop", caller="app")


def desk(more: str = "") -> Desk:
    ledger, entries, seen = MemoryLedger(), Entries(), Seen()
    operations = Operations(
        settings=parse(more, {}),
        modes={},
        cache=entries,
        ledger=ledger,
        churn=Churn(lambda namespace, name: None),
        evidence=seen,
        metrics=Metrics(),
        now_s=FakeClock(NOW_MS / 1e3),
    )
    return Desk(operations, ledger, entries, seen)


async def test_a_near_hit_reported_wrong_is_refuted_for_that_text() -> None:
    """Its entry stays for those whom it serves."""
    tested = desk()
    await tested.ledger.record(NEAR, pair=PAIR)

    await tested.say(WRONG)

    assert tested.entries.refuted == [("shop", PAIR.stored, PAIR.asked)]
    assert tested.entries.removed == []


@pytest.mark.parametrize(
    ("outcome", "pair"), [(Outcome.EXACT, None), (Outcome.NEAR, None)], ids=["exact", "no pair"]
)
async def test_an_entry_is_removed_where_no_pair_can_be_refuted(
    outcome: Outcome, pair: Pair | None
) -> None:
    """It was wrong for its own text, or for one that nobody knows any more."""
    tested = desk()
    await tested.ledger.record(a_hit(outcome=outcome), pair=pair)

    await tested.say(WRONG)

    assert tested.entries.removed == [Selector(ids=(EntryId(7),))]
    assert tested.entries.refuted == []


@pytest.mark.parametrize(("kind", "is_right"), [(WRONG, False), (RIGHT, True)])
async def test_a_word_on_a_near_hit_is_a_little_evidence(
    kind: FeedbackKind, is_right: bool
) -> None:
    """Less than any audit, with the traits of the pair, and as sure as the decision took it."""
    tested = desk()
    await tested.ledger.record(NEAR, pair=PAIR)

    await tested.say(kind)

    ((namespace, seen),) = tested.seen.observations
    assert namespace == "shop"
    assert seen.p_right == certainty(0.95, canonical(PAIR.asked), PAIR.stored)
    assert seen.p_right < 0.95  # they say other words
    assert (seen.is_right, seen.source) == (is_right, "feedback")
    assert seen.weight == FEEDBACK_WEIGHT < 1
    assert "words:guests|staff" in seen.traits


async def test_the_same_word_again_is_no_more_evidence() -> None:
    """But it is acted on again: the first time the disk may have refused it."""
    tested = desk()
    await tested.ledger.record(NEAR, pair=PAIR)
    tested.entries.is_broken = True
    with pytest.raises(StoreUnavailable):
        await tested.say(WRONG)

    tested.entries.is_broken = False
    await tested.say(WRONG)
    await tested.say(WRONG)

    assert tested.entries.refuted == [("shop", PAIR.stored, PAIR.asked)] * 2


@pytest.mark.parametrize("kind", [FeedbackKind.ADEQUATE, FeedbackKind.NOT_ADEQUATE])
async def test_a_word_on_the_model_says_nothing_of_the_pair(kind: FeedbackKind) -> None:
    """Neither evidence nor a reason to refute."""
    tested = desk()
    await tested.ledger.record(NEAR, pair=PAIR)

    await tested.say(kind)

    assert (tested.seen.observations, tested.entries.refuted, tested.ledger.labels) == ([], [], [])


async def test_an_exact_hit_is_no_evidence_on_pairs() -> None:
    """There is no pair that was judged."""
    tested = desk()
    await tested.ledger.record(a_hit())

    await tested.say(RIGHT)

    assert tested.seen.observations == []


@pytest.mark.parametrize(("days", "n_kept"), [(30, 1), (0, 0)])
async def test_labelled_pairs_are_kept_as_the_settings_say(days: int, n_kept: int) -> None:
    """For so many days, or not at all."""
    tested = desk(f"[audits]\nkeep_pairs_days = {days}\n")
    await tested.ledger.record(NEAR, pair=PAIR)

    await tested.say(WRONG)

    kept: list[Any] = [pair.expires_at_ms for pair in tested.ledger.labels]
    assert kept == [NOW_MS + days * 86_400_000] * n_kept


async def test_of_a_personal_pair_only_the_kind_of_difference_is_learned() -> None:
    """It is refuted for its user all the same."""
    tested = desk()
    personal = Pair(asked=PAIR.asked, stored=PAIR.stored, expires_at_ms=2**60, is_personal=True)
    await tested.ledger.record(NEAR, pair=personal)

    await tested.say(WRONG)

    ((_, seen),) = tested.seen.observations
    assert seen.traits == ("kind:word",)
    assert tested.ledger.labels == []
    assert tested.entries.refuted == [("shop", PAIR.stored, PAIR.asked)]
