"""Checks in the background, with scripted models and a ledger in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import repeat
from typing import Any

import pytest
from fakes import FakeClock
from fakes_ledger import MemoryLedger, a_hit, a_line, an_open_line
from fakes_ledger import a_ticket as a_bare_ticket
from fakes_requests import chat

from cache.calibration import Observation, Source
from cache.traits import wordless
from cache.types import EntryId, Head, Hit, Miss, MissReason, PartitionKey
from router.audits import Audits, near_miss
from router.comparator import Comparator
from router.decision import Clock, Decision
from router.errors import ProviderTimeout
from router.fallback import Fallback, Patience, Upstream
from router.ledger.types import Cause, LedgerLine, LineState, Outcome, Ticket
from router.metrics import Metrics
from router.providers.scripted import Scripted, ScriptedProvider
from router.reuse import judge
from router.settings import parse
from router.stored_answer import pack
from router.types import Answer, CacheControl, ChatRequest, Completion, Mode, Usage

USAGE = Usage(input_tokens=1_000, output_tokens=100)
NANOS = 1_000 * 150 + 100 * 600
STORED = "how can I cancel a plan?"
ASKED = "how do I cancel a plan?"
RIGHT = "Open Billing and press Cancel plan."
WRONG = "I'm sorry, but I can't help with that."
SERVED = Completion(answer=Answer(text=RIGHT), usage=USAGE)

SETTINGS = """
[routing]
baseline = "small"
[providers.p]
kind = "scripted"
[models.small]
provider = "p"
input_usd_per_mtok = 0.15
output_usd_per_mtok = 0.6
[models.unpriced]
provider = "p"
"""


@dataclass(slots=True)
class Seen:
    """Evidence that remembers what it was told."""

    observations: list[tuple[str, Observation]] = field(default_factory=list)
    twins: list[tuple[str, bool]] = field(default_factory=list)

    def observe(self, namespace: str, observation: Observation) -> None:
        self.observations.append((namespace, observation))

    def twin(self, namespace: str, is_different: bool) -> None:
        self.twins.append((namespace, is_different))


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored entry."""

    head: Head
    text: str
    answer: bytes
    tokens: bytes = b""


@dataclass(slots=True)
class Shelf:
    """Entries by id."""

    entries: dict[int, Stored] = field(default_factory=dict)

    async def read(self, entry_id: EntryId) -> Stored | None:
        return self.entries.get(entry_id)


class HeldProvider(ScriptedProvider):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = asyncio.Event()

    async def complete(self, call: Any) -> Completion:
        self.reached.set()
        await asyncio.Event().wait()
        raise AssertionError("nobody opens the door")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Audits at work, with all that they touch."""

    audits: Audits
    ledger: MemoryLedger
    seen: Seen
    shelf: Shelf
    metrics: Metrics
    provider: ScriptedProvider

    def audit_lines(self) -> list[LedgerLine]:
        return [line for line in self.ledger.lines.values() if line.outcome is Outcome.AUDIT]

    def shown(self, name: str) -> dict[tuple[str, ...], float]:
        """Return the samples of a counter, by label values."""
        return {
            tuple(sample.labels.values()): sample.value
            for family in self.metrics.collect()
            for sample in family.samples
            if sample.name == f"scrimp_{name}_total"
        }


@asynccontextmanager
async def bench(
    *script: Scripted,
    more: str = "[audits]\nshare = 1.0\ntwin_share = 0.0\nshadow_share = 1.0\n",
    draws: Iterator[float] | None = None,
    provider: ScriptedProvider | None = None,
    ledger: MemoryLedger | None = None,
    is_started: bool = True,
) -> AsyncIterator[Bench]:
    settings = parse(SETTINGS + more, {})
    provider = provider or ScriptedProvider({"small": list(script)} if script else None)
    upstreams = {
        name: [Upstream(model=name, provider_name="p", provider=provider, provider_model=name)]
        for name in settings.models
    }
    price = settings.prices.cost_nanos
    made = Bench(
        audits=Audits(
            settings=settings,
            comparator=Comparator(None),
            evidence=(seen := Seen()),
            fallback=Fallback(upstreams, Patience(tries_per_model=1), price),
            price=price,
            entries=(shelf := Shelf()),
            ledger=(ledger := ledger or MemoryLedger()),
            metrics=(metrics := Metrics()),
            now_s=FakeClock(),
            draw=partial(next, draws or repeat(0.0)),
        ),
        ledger=ledger,
        seen=seen,
        shelf=shelf,
        metrics=metrics,
        provider=provider,
    )
    if is_started:
        await made.audits.start()
    yield made
    await made.audits.stop()


def says(text: str) -> Completion:
    return Completion(answer=Answer(text=text), usage=USAGE)


def a_head(model: str = "small") -> Head:
    return Head(
        id=EntryId(7),
        partition=PartitionKey(b"p" * 32),
        namespace="acme",
        model=model,
        input_tokens=1_000,
        output_tokens=100,
        scores=(),
        user="",
        conversation="",
        tags=(),
        created_at_s=0.0,
        expires_at_s=1e12,
        n_bytes=100,
    )


def decided(
    request: ChatRequest | None = None,
    *,
    outcome: Outcome = Outcome.NEAR,
    model: str = "small",
    settings: str = "[audits]\nshare = 1.0\n",
    **changes: Any,
) -> Decision:
    """Return the decision on a near-duplicate that is served."""
    request = request or chat(ASKED)
    policy = parse(SETTINGS + settings, {}).policy("acme")
    decision = Decision(
        request=request,
        policy=policy,
        mode=Mode.ON,
        outcome=outcome,
        clock=Clock(),
        reuse=judge(request, policy),
        hit=Hit(
            head=a_head(model),
            answer=pack(SERVED),
            text=STORED,
            is_exact=outcome is Outcome.EXACT,
            similarity=0.98,
            p_right=0.96,
            age_s=1.0,
            asked="how can I cancel a contract?",
        ),
    )
    return replace(decision, **changes)


def missed(**changes: Any) -> Decision:
    """Return the decision on a near miss."""
    miss = Miss(
        reason=MissReason.BELOW_THRESHOLD,
        similarity=0.9,
        nearest=EntryId(7),
        p_right=0.8,
        nearest_text=STORED,
        asked="how can I cancel a cheap plan?",
    )
    return replace(decided(outcome=Outcome.MISS, hit=None, miss=miss), **changes)


HIT = a_hit(outcome=Outcome.NEAR, cause=Cause.NEAR, namespace="acme", similarity=0.98)


async def served(tested: Bench, decision: Decision) -> None:
    tested.audits.served(decision, SERVED, HIT)
    await tested.audits.idle()


# --- audits of the gateway's hits


@pytest.mark.parametrize(("fresh", "is_right"), [(RIGHT, True), (WRONG, False)])
async def test_an_audited_hit_is_compared_with_the_models_own_answer(
    fresh: str, is_right: bool
) -> None:
    """Evidence hears what the decision thought and what the comparison says."""
    more = "[audits]\nshare = 0.02\ntwin_share = 0.0\n"
    async with bench(says(fresh), more=more) as tested:
        await served(tested, decided(settings="[audits]\nshare = 0.02\n"))

    ((namespace, seen),) = tested.seen.observations
    assert namespace == "acme"
    assert (seen.p_right, seen.is_right, seen.weight) == (0.96, is_right, 50.0)
    assert seen.traits == ("slot:a", "words:contract|plan", "kind:word")
    assert seen.source == "audit"


async def test_an_audit_is_a_line_of_its_own() -> None:
    """Cost without baseline, under its own cause: savings fall by exactly what it cost."""
    async with bench(says(RIGHT)) as tested:
        await served(tested, decided())

    (line,) = tested.audit_lines()
    assert (line.cause, line.state) == (Cause.AUDIT, LineState.CLOSED)
    assert (line.cost_nanos, line.baseline_nanos, line.saved_nanos) == (NANOS, 0, -NANOS)
    assert [attempt.model for attempt in line.attempts] == ["small"]
    assert (line.attribution.user, line.request_id) == ("", "")
    assert tested.shown("cost_usd") == {("acme", "audit"): NANOS / 1e9}


async def test_labelled_pairs_come_of_audits() -> None:
    """Both texts with the verdict, for as long as the settings say."""
    async with bench(says(RIGHT)) as tested:
        await served(tested, decided())

    (pair,) = tested.ledger.labels
    assert (pair.asked, pair.stored, pair.is_same) == (ASKED, STORED, True)
    assert (pair.source, pair.line_id) == (Source.AUDIT, HIT.line_id)
    assert pair.expires_at_ms - pair.at_ms == 30 * 86_400_000


async def test_an_unsure_comparison_counts_as_wrong_and_labels_nothing() -> None:
    """A wrong hit cannot hide there; twins correct for the right ones."""
    async with bench(says("Go to the plans page, there is a button for it.")) as tested:
        await served(tested, decided())

    ((_, seen),) = tested.seen.observations
    assert not seen.is_right
    assert tested.ledger.labels == []
    assert tested.shown("checks") == {("acme", "audit", "unsure"): 1}


@pytest.mark.parametrize(
    "decision",
    [
        decided(outcome=Outcome.EXACT),
        decided(chat(ASKED, cache_control=CacheControl(is_no_store=True))),
        decided(settings=""),
        decided(outcome=Outcome.MISS, mode=Mode.SHADOW),
    ],
    ids=["exact", "no-store", "share 0", "not served"],
)
async def test_what_may_not_be_audited_is_not(decision: Decision) -> None:
    """No call is made, and nothing is kept of it."""
    async with bench(says(RIGHT)) as tested:
        await served(tested, decision)

    assert tested.provider.calls == []
    assert tested.seen.observations == []
    assert tested.ledger.labels == []


async def test_so_many_hits_are_audited_as_the_share_says() -> None:
    """Each with its own draw, against the namespace's share."""
    policy = "[audits]\nshare = 0.25\n"
    async with bench(draws=iter([0.24, 0.9, 0.25, 0.1, 0.9]), more=policy) as tested:
        for _ in range(3):
            await served(tested, decided(settings=policy))

    assert len(tested.audit_lines()) == 2


async def test_of_a_personal_text_no_word_is_kept() -> None:
    """It is audited for its user as it would have been answered; what is learned names nothing."""
    request = chat("how do I cancel my order 12345678?", attribution=a_line().attribution)
    async with bench(says(RIGHT)) as tested:
        await served(tested, decided(request))

    ((_, seen),) = tested.seen.observations
    assert seen.traits == ("kind:word",)
    assert tested.ledger.labels == []


async def test_twins_measure_the_comparison_itself() -> None:
    """One audit, two calls on one line; the two answers are compared with each other as well."""
    more = "[audits]\nshare = 1.0\ntwin_share = 1.0\n"
    async with bench(says(RIGHT), says(WRONG), more=more) as tested:
        await served(tested, decided())

    (line,) = tested.audit_lines()
    assert (line.cost_nanos, len(line.attempts)) == (2 * NANOS, 2)
    assert [seen.is_right for _, seen in tested.seen.observations] == [True]
    assert tested.seen.twins == [("acme", True)]


async def test_a_failed_audit_says_nothing_and_is_accounted() -> None:
    """What may have been billed is unknown, never 0; the next audit is made all the same."""
    slow = ProviderTimeout("slow", kind="timeout", is_billable=True)
    async with bench(slow, says(RIGHT)) as tested:
        await served(tested, decided())
        await served(tested, decided())

    failed, worked = tested.audit_lines()
    assert (failed.state, failed.cost_nanos, failed.status) == (
        LineState.USAGE_UNKNOWN,
        None,
        "NoModelAvailable",
    )
    assert worked.state is LineState.CLOSED
    assert len(tested.seen.observations) == 1
    assert tested.shown("unchecked") == {("audit", "unanswered"): 1}


@pytest.mark.parametrize(
    "fresh",
    [
        replace(says("Open Billing and"), answer=Answer(text="Open", finish_reason="length")),
        says(""),
    ],
)
async def test_an_answer_that_is_not_whole_says_nothing(fresh: Completion) -> None:
    """It is paid for, and neither right nor wrong."""
    async with bench(fresh) as tested:
        await served(tested, decided())

    assert tested.seen.observations == []
    assert tested.shown("unchecked") == {("audit", "not_whole"): 1}
    assert len(tested.audit_lines()) == 1


# --- money


async def test_no_audit_is_begun_beyond_the_budget() -> None:
    """An estimate is set aside first; what does not fit is not called and is counted."""
    budget = 2.5 * NANOS / 1e9
    more = f"[audits]\nshare = 1.0\ntwin_share = 0.0\nbudget_usd_per_day = {budget}\n"
    async with bench(says(RIGHT), more=more) as tested:
        for _ in range(4):
            await served(tested, decided())

    assert len(tested.provider.calls) == 2
    assert tested.shown("unchecked") == {("audit", "budget"): 2}


async def test_a_restart_is_no_new_budget() -> None:
    """What audits cost today is read from the ledger."""
    budget = 1.5 * NANOS / 1e9
    more = f"[audits]\nshare = 1.0\ntwin_share = 0.0\nbudget_usd_per_day = {budget}\n"
    ledger = MemoryLedger()
    now_ms = int(FakeClock()() * 1e3)
    await ledger.record(
        a_line(
            at_ms=now_ms,
            outcome=Outcome.AUDIT,
            cause=Cause.AUDIT,
            cost_nanos=NANOS,
            baseline_nanos=0,
        )
    )
    async with bench(says(RIGHT), more=more, ledger=ledger) as tested:
        await served(tested, decided())

    assert tested.provider.calls == []


@pytest.mark.parametrize(("model", "why"), [("unpriced", "unpriced"), ("gone", "model_gone")])
async def test_what_no_budget_can_bound_is_not_audited(model: str, why: str) -> None:
    """A model without a price, or one that is not configured any more."""
    async with bench(says(RIGHT)) as tested:
        await served(tested, decided(model=model))

    assert tested.provider.calls == []
    assert tested.shown("unchecked") == {("audit", why): 1}


# --- never in a caller's way


async def test_a_full_queue_drops_the_check_and_frees_its_money() -> None:
    """The caller is not kept waiting, and what was set aside is given back."""
    more = (
        "[audits]\nshare = 1.0\ntwin_share = 0.0\nmax_waiting = 1\n"
        f"budget_usd_per_day = {2 * NANOS / 1e9}\n"
    )
    async with bench(says(RIGHT), more=more, is_started=False) as tested:
        for _ in range(3):
            tested.audits.served(decided(), SERVED, HIT)
        assert len(tested.audits) == 1
        await tested.audits.start()
        await tested.audits.idle()
        await served(tested, decided())

    assert len(tested.provider.calls) == 2
    assert tested.shown("unchecked") == {("audit", "queue_full"): 2}


async def test_stopping_writes_off_a_call_in_flight() -> None:
    """It may be billed, so its line says that nobody knows."""
    provider = HeldProvider()
    async with bench(provider=provider) as tested:
        tested.audits.served(decided(), SERVED, HIT)
        await provider.reached.wait()
        await tested.audits.stop()

    (line,) = tested.audit_lines()
    assert (line.state, line.status, line.cost_nanos) == (
        LineState.USAGE_UNKNOWN,
        "Cancelled",
        None,
    )
    assert [attempt.status for attempt in line.attempts] == ["cancelled"]


async def test_a_check_that_breaks_leaves_the_others_at_work() -> None:
    """Whatever is raised is logged and counted."""
    async with bench(says(RIGHT)) as tested:
        tested.shelf.entries[7] = Stored(a_head(), STORED, b"not an answer")
        tested.audits.answered(missed(), says(RIGHT), a_line(namespace="acme"))
        await served(tested, decided())

    assert tested.shown("degraded") == {("audits",): 1}
    assert len(tested.seen.observations) == 1


# --- near misses


async def shadowed(tested: Bench, decision: Decision, answer: str = RIGHT) -> None:
    tested.shelf.entries[7] = Stored(a_head(), STORED, pack(SERVED))
    tested.audits.answered(decision, says(answer), a_line(namespace="acme"))
    await tested.audits.idle()


async def test_a_needless_miss_is_found_without_a_call() -> None:
    """The answer that came anyway is compared with the nearest entry's."""
    async with bench() as tested:
        await shadowed(tested, missed())

    ((namespace, seen),) = tested.seen.observations
    assert (namespace, seen.source, seen.is_right, seen.weight) == ("acme", "shadow", True, 1.0)
    assert (seen.p_right, seen.traits) == (0.8, ("extra:word",))
    (pair,) = tested.ledger.labels
    assert (pair.asked, pair.stored, pair.is_same, pair.source) == (ASKED, STORED, True, "shadow")
    assert tested.provider.calls == []


async def test_an_unsure_comparison_of_a_near_miss_is_only_counted() -> None:
    """It is no evidence for either side."""
    async with bench() as tested:
        await shadowed(tested, missed(), "Go to the plans page, there is a button for it.")

    assert tested.seen.observations == []
    assert tested.shown("checks") == {("acme", "shadow", "unsure"): 1}


def a_miss(**changes: Any) -> Miss:
    found = missed().miss
    assert found is not None
    return replace(found, **changes)


@pytest.mark.parametrize(
    "decision",
    [
        missed(miss=a_miss(p_right=0.49)),
        missed(miss=a_miss(nearest_text="")),
        missed(miss=a_miss(nearest=None)),
        missed(miss=None),
        missed(reuse=None),
        missed(request=chat(ASKED, cache_control=CacheControl(is_no_store=True))),
    ],
    ids=["improbable", "vetoed", "nothing near", "no lookup", "mode off", "no-store"],
)
async def test_what_teaches_nothing_is_not_compared(decision: Decision) -> None:
    """Neither read nor counted."""
    async with bench() as tested:
        await shadowed(tested, decision)

    assert near_miss(decision) is None
    assert tested.shown("checks") == {}


async def test_in_shadow_mode_the_hit_that_would_have_been_is_compared() -> None:
    """The model answers there in any case."""
    decision = decided(outcome=Outcome.MISS, mode=Mode.SHADOW)
    async with bench() as tested:
        await shadowed(tested, decision)

    ((_, seen),) = tested.seen.observations
    assert (seen.source, seen.p_right, seen.is_right) == ("shadow", 0.96, True)


async def test_an_entry_that_left_is_not_compared() -> None:
    """It is counted, and no error."""
    async with bench() as tested:
        tested.audits.answered(missed(), says(RIGHT), a_line(namespace="acme"))
        await tested.audits.idle()

    assert tested.shown("unchecked") == {("shadow", "entry_gone"): 1}


# --- the advisor's tickets


def an_audit_ticket(**changes: Any) -> tuple[Ticket, LedgerLine]:
    line = an_open_line(outcome=Outcome.AUDIT, cause=Cause.AUDIT, namespace="acme")
    ticket = a_bare_ticket(
        line,
        text=ASKED,
        is_audit=True,
        entry_id=7,
        p_right=0.96,
        traits=("slot:plan", "kind:word"),
        propensity=0.5,
    )
    closed = replace(line, state=LineState.CLOSED, cost_nanos=NANOS, baseline_nanos=0)
    return replace(ticket, **changes), closed


async def test_an_answer_brought_for_an_audit_is_compared_with_the_stored_one() -> None:
    """The ticket carries what the observation needs."""
    ticket, line = an_audit_ticket()
    async with bench() as tested:
        tested.shelf.entries[7] = Stored(a_head(), STORED, pack(SERVED))
        tested.audits.returned(ticket, Answer(text=RIGHT), line)
        await tested.audits.idle()

    ((namespace, seen),) = tested.seen.observations
    assert (namespace, seen.source, seen.is_right, seen.weight) == ("acme", "audit", True, 2.0)
    assert (seen.p_right, seen.traits) == (0.96, ("slot:plan", "kind:word"))


async def test_an_audit_the_app_could_not_make_says_nothing() -> None:
    """It is counted as failed."""
    ticket, line = an_audit_ticket()
    async with bench() as tested:
        tested.audits.returned(ticket, None, line)
        await tested.audits.idle()

    assert tested.seen.observations == []
    assert tested.shown("unchecked") == {("audit", "failed"): 1}


async def test_an_audit_that_another_model_answered_says_nothing() -> None:
    """Two models may differ where both are right."""
    ticket, line = an_audit_ticket()
    async with bench() as tested:
        tested.audits.returned(ticket, Answer(text=RIGHT), replace(line, model="other"))
        await tested.audits.idle()

    assert tested.seen.observations == []
    assert tested.shown("unchecked") == {("audit", "other_model"): 1}


async def test_apps_audits_share_the_budget() -> None:
    """Set aside when the ticket goes out, settled when it comes back."""
    more = f"[audits]\nshare = 1.0\nbudget_usd_per_day = {1.5 * NANOS / 1e9}\n"
    ticket, line = an_audit_ticket()
    async with bench(more=more) as tested:
        first = tested.audits.offered(decided(), SERVED, ticket.digest)
        second = tested.audits.offered(decided(), SERVED, b"2" * 32)
        tested.audits.returned(ticket, None, replace(line, cost_nanos=0))
        third = tested.audits.offered(decided(), SERVED, b"3" * 32)

    assert (first, second, third) == (1.0, None, 1.0)


async def test_an_answer_brought_for_a_near_miss_is_compared() -> None:
    """As the gateway's own; a ticket without a nearest entry is none of these."""
    line = an_open_line(namespace="acme")
    near = a_bare_ticket(line, text=ASKED, entry_id=7, p_right=0.8, traits=("extra:word",))
    async with bench() as tested:
        tested.shelf.entries[7] = Stored(a_head(), STORED, pack(SERVED))
        tested.audits.returned(near, Answer(text=RIGHT), line)
        tested.audits.returned(a_bare_ticket(line), Answer(text=RIGHT), line)
        await tested.audits.idle()

    ((_, seen),) = tested.seen.observations
    assert (seen.source, seen.p_right, seen.is_right) == ("shadow", 0.8, True)


def test_wordless_traits_name_the_kind_of_difference_only() -> None:
    """What may be kept of personal texts."""
    traits = ("slot:for", "words:acme|globex", "kind:name", "extra:word", "order", "form", "far")

    assert wordless(traits) == ("kind:name", "extra:word", "order", "form", "far")
