"""What every ledger promises; see ``router.ports.Ledger``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from fakes_ledger import (
    NOW_MS,
    TOKEN,
    USAGE,
    MemoryLedger,
    a_hit,
    a_line,
    a_ticket,
    an_attempt,
    an_open_line,
)

from cache.calibration import Source
from cache.embedded.vault import PLAIN, AesVault, Vault
from router.ledger.errors import (
    FeedbackUnfit,
    LineRefused,
    LineUnknown,
    TicketExpired,
    TicketSpent,
    TicketUnknown,
)
from router.ledger.sqlite_ledger import SqliteLedger
from router.ledger.tickets import GRACE_MS
from router.ledger.types import (
    Cause,
    Choice,
    Erased,
    Feedback,
    FeedbackKind,
    KeptOutcome,
    LabelledPair,
    LedgerLine,
    LineState,
    Outcome,
    Pair,
    RequestKey,
    SavingsQuery,
    Shadow,
    Ticket,
)
from router.ports import Ledger
from router.types import Attribution, Mode, Usage

KEY = RequestKey(namespace="shop", caller="app", request_id="r-1")
KEPT = KeptOutcome(body_digest=b"b" * 32, response=b"answer", expires_at_ms=NOW_MS + 86_400_000)
EVERYTHING = SavingsQuery()


VAULTS: dict[str, Vault] = {"sqlite": PLAIN, "sealed": AesVault([b"k" * 32])}


@pytest.fixture(params=[*VAULTS, "memory"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledger]:
    made: SqliteLedger | MemoryLedger = (
        SqliteLedger.open(tmp_path, on_failure=lambda error: None, vault=VAULTS[request.param])
        if request.param in VAULTS
        else MemoryLedger()
    )
    yield made
    await made.aclose()


async def opened(ledger: Ledger) -> tuple[Ticket, LedgerLine]:
    line = an_open_line()
    ticket = a_ticket(line)
    await ledger.open_ticket(ticket, line)
    return ticket, line


def closed(line: LedgerLine) -> LedgerLine:
    return replace(
        line,
        state=LineState.CLOSED,
        usage=USAGE,
        cost_nanos=520_000,
        baseline_nanos=2_600_000,
        attempts=(an_attempt(),),
    )


# --- lines


async def test_a_recorded_line_comes_back_as_it_was(ledger: Ledger) -> None:
    """Every field survives, attempts and shadow included."""
    usage = Usage(input_tokens=9, output_tokens=2, cache_read_tokens=4, cache_write_tokens=1)
    line = a_line(
        mode=Mode.SHADOW,
        attempts=(
            an_attempt(status="timeout", usage=None, cost_nanos=None),
            an_attempt(usage=usage, cost_nanos=0, wall_ms=1.5),
        ),
        cost_nanos=None,
        usage=usage,
        shadow=Shadow(outcome=Outcome.NEAR, model="small", saved_nanos=-3),
        p_right=0.25,
        request_id="r-1",
    )

    await ledger.record(line)

    assert await ledger.line(line.line_id) == line


async def test_an_unknown_line_is_none(ledger: Ledger) -> None:
    """Asking for a line that never was is no error, whatever was asked for."""
    assert await ledger.line("00" * 16) is None
    assert await ledger.line("not hexadecimal") is None


async def test_recording_twice_counts_once(ledger: Ledger) -> None:
    """The same line id again is the same request, attempts included."""
    await ledger.record(a_line())
    await ledger.record(a_line())

    totals = (await ledger.savings(EVERYTHING)).totals
    assert (totals.n_requests, totals.n_attempts, totals.cost_nanos) == (1, 1, 520_000)


async def test_the_later_state_of_a_line_wins(ledger: Ledger) -> None:
    """An open line closes, with the figures and attempts it closed with."""
    await ledger.record(an_open_line())
    await ledger.record(closed(an_open_line()))

    assert await ledger.line(a_line().line_id) == closed(an_open_line())


@pytest.mark.parametrize("earlier", [LineState.CLOSED, LineState.USAGE_UNKNOWN])
async def test_a_line_never_reopens(ledger: Ledger, earlier: LineState) -> None:
    """What arrives late and says less changes nothing."""
    line = replace(closed(an_open_line()), state=earlier)
    await ledger.record(line)
    await ledger.record(an_open_line())

    assert await ledger.line(line.line_id) == line


async def test_an_unknown_usage_may_still_become_known(ledger: Ledger) -> None:
    """Closed is the last state; usage unknown is not."""
    await ledger.record(an_open_line(state=LineState.USAGE_UNKNOWN))
    await ledger.record(closed(an_open_line()))

    assert (await ledger.savings(EVERYTHING)).totals.n_priced == 1


async def test_a_noted_line_is_read_and_summed_at_once(ledger: Ledger) -> None:
    """Whoever asks after a note sees it."""
    ledger.note(a_hit())

    assert await ledger.line(a_hit().line_id) == a_hit()
    assert (await ledger.savings(EVERYTHING)).totals.n_requests == 1


async def test_an_amount_beyond_reason_is_refused(ledger: Ledger) -> None:
    """One absurd count from a provider must not overflow every later sum."""
    absurd = Usage(input_tokens=2**62, output_tokens=0)

    with pytest.raises(LineRefused, match="at most"):
        await ledger.record(a_line(usage=absurd))
    ledger.note(a_line(cost_nanos=2**70))
    await ledger.record(a_line(1))

    assert (await ledger.savings(EVERYTHING)).totals.n_requests == 1


# --- outcomes kept for retries


async def test_a_kept_outcome_is_found_again(ledger: Ledger) -> None:
    """Recorded or noted, a retry gets what the request came to."""
    other = replace(KEY, request_id="r-2")
    await ledger.record(a_line(), key=KEY, kept=KEPT)
    ledger.note(a_hit(1), key=other, kept=KEPT)

    assert await ledger.kept(KEY, NOW_MS) == KEPT
    assert await ledger.kept(other, NOW_MS) == KEPT


@pytest.mark.parametrize(
    "other",
    [
        RequestKey(namespace="shop2", caller="app", request_id="r-1"),
        RequestKey(namespace="shop", caller="app2", request_id="r-1"),
        RequestKey(namespace="shop", caller="ap", request_id="pr-1"),
        RequestKey(namespace="shop", caller="app", request_id="r-2"),
    ],
)
async def test_a_request_id_means_nothing_outside_its_scope(
    ledger: Ledger, other: RequestKey
) -> None:
    """Another caller's equal id is another request; scopes do not run together."""
    await ledger.record(a_line(), key=KEY, kept=KEPT)

    assert await ledger.kept(other, NOW_MS) is None


async def test_a_kept_outcome_ends_at_its_time(ledger: Ledger) -> None:
    """At the moment of its end it is gone."""
    await ledger.record(a_line(), key=KEY, kept=KEPT)

    assert await ledger.kept(KEY, KEPT.expires_at_ms - 1) == KEPT
    assert await ledger.kept(KEY, KEPT.expires_at_ms) is None


# --- tickets


async def test_a_ticket_closes_its_line(ledger: Ledger) -> None:
    """Redeemed and settled: the line has its figures, and nothing is open any more."""
    ticket, line = await opened(ledger)

    async with ledger.redeem(TOKEN, namespace="shop", caller="app", now_ms=NOW_MS) as redemption:
        assert (redemption.ticket, redemption.line) == (ticket, line)
        await redemption.settle(closed(line), key=KEY, kept=KEPT)

    assert await ledger.line(line.line_id) == closed(line)
    assert await ledger.kept(KEY, NOW_MS) == KEPT
    assert (await ledger.savings(EVERYTHING)).totals.n_open == 0


async def test_an_open_ticket_is_counted_apart(ledger: Ledger) -> None:
    """Neither saved nor 0: an open line is outside the identity."""
    await opened(ledger)

    totals = (await ledger.savings(EVERYTHING)).totals
    assert (totals.n_open, totals.n_priced, totals.baseline_nanos) == (1, 0, 0)


@pytest.mark.parametrize(
    ("token", "namespace", "caller"),
    [
        (b"x" * 16, "shop", "app"),
        (b"", "shop", "app"),
        (TOKEN, "shop2", "app"),
        (TOKEN, "shop", "b"),
    ],
    ids=["forged", "empty", "other namespace", "other caller"],
)
async def test_somebody_elses_ticket_looks_like_none(
    ledger: Ledger, token: bytes, namespace: str, caller: str
) -> None:
    """Forged and foreign tickets get the same words."""
    await opened(ledger)

    with pytest.raises(TicketUnknown) as told:
        async with ledger.redeem(token, namespace=namespace, caller=caller, now_ms=NOW_MS):
            pytest.fail("a ticket was handed out")

    assert str(told.value) == str(TicketUnknown())


async def test_a_ticket_is_spent_once(ledger: Ledger) -> None:
    """The second store learns that there was a first, and when."""
    _, line = await opened(ledger)
    async with ledger.redeem(
        TOKEN, namespace="shop", caller="app", now_ms=NOW_MS + 5
    ) as redemption:
        await redemption.settle(closed(line))
        with pytest.raises(TicketSpent):
            await redemption.settle(closed(line))

    with pytest.raises(TicketSpent) as told:
        async with ledger.redeem(TOKEN, namespace="shop", caller="app", now_ms=NOW_MS + 9):
            pytest.fail("a ticket was handed out twice")

    assert told.value.spent_at_ms == NOW_MS + 5
    assert (await ledger.savings(EVERYTHING)).totals.n_priced == 1


async def test_of_two_redeemers_at_once_one_settles(ledger: Ledger) -> None:
    """The second waits for the first, so its answer never reaches the cache."""
    _, line = await opened(ledger)
    stored = []

    async def store(name: str) -> None:
        async with ledger.redeem(
            TOKEN, namespace="shop", caller="app", now_ms=NOW_MS
        ) as redemption:
            stored.append(name)
            await asyncio.sleep(0)
            await redemption.settle(closed(line))

    told = await asyncio.gather(store("first"), store("second"), return_exceptions=True)

    assert stored == ["first"]
    assert [type(result) for result in told] == [type(None), TicketSpent]


async def test_a_ticket_survives_a_block_that_did_not_settle(ledger: Ledger) -> None:
    """When the store of the answer fails, the app may bring it again."""
    _, line = await opened(ledger)
    with pytest.raises(OSError, match="disk"):
        async with ledger.redeem(TOKEN, namespace="shop", caller="app", now_ms=NOW_MS):
            raise OSError("disk")

    async with ledger.redeem(TOKEN, namespace="shop", caller="app", now_ms=NOW_MS) as redemption:
        await redemption.settle(closed(line))

    assert (await ledger.line(line.line_id)) == closed(line)


async def test_settling_with_an_unfit_line_leaves_the_ticket_whole(ledger: Ledger) -> None:
    """Another request's line, or one still open, is a programming error without consequences."""
    _, line = await opened(ledger)

    async with ledger.redeem(TOKEN, namespace="shop", caller="app", now_ms=NOW_MS) as redemption:
        with pytest.raises(ValueError, match="ticket is for line"):
            await redemption.settle(a_line(5))
        with pytest.raises(ValueError, match="still open"):
            await redemption.settle(line)
        await redemption.settle(closed(line))


async def test_a_ticket_opens_only_its_own_open_line(ledger: Ledger) -> None:
    """A closed line or another request's is a programming error."""
    line = an_open_line()

    with pytest.raises(ValueError, match="needs an open line"):
        await ledger.open_ticket(a_ticket(line), closed(line))
    with pytest.raises(ValueError, match="ticket is for line"):
        await ledger.open_ticket(a_ticket(line), an_open_line(1))


async def test_a_ticket_ends_at_its_time(ledger: Ledger) -> None:
    """At the moment of its end it is expired, whether or not anyone cleaned up."""
    ticket, _ = await opened(ledger)

    with pytest.raises(TicketExpired):
        async with ledger.redeem(
            TOKEN, namespace="shop", caller="app", now_ms=ticket.expires_at_ms
        ):
            pytest.fail("an expired ticket was handed out")


async def test_an_expired_ticket_closes_its_line_as_usage_unknown(ledger: Ledger) -> None:
    """Nobody said what the call used: neither saved nor 0."""
    ticket, line = await opened(ledger)

    assert await ledger.expire_tickets(ticket.expires_at_ms - 1) == 0
    assert await ledger.expire_tickets(ticket.expires_at_ms) == 1
    assert await ledger.expire_tickets(ticket.expires_at_ms) == 0

    totals = (await ledger.savings(EVERYTHING)).totals
    assert (totals.n_usage_unknown, totals.n_open, totals.n_priced) == (1, 0, 0)
    assert (await ledger.line(line.line_id)) == replace(line, state=LineState.USAGE_UNKNOWN)
    with pytest.raises(TicketExpired):
        async with ledger.redeem(TOKEN, namespace="shop", caller="app", now_ms=NOW_MS):
            pytest.fail("an expired ticket was handed out")


async def test_a_ticket_in_hand_outlives_its_end(ledger: Ledger) -> None:
    """An answer that was brought in time is accounted, however slow the disk."""
    ticket, line = await opened(ledger)

    async with ledger.redeem(
        TOKEN, namespace="shop", caller="app", now_ms=ticket.expires_at_ms - 1
    ) as redemption:
        await ledger.expire_tickets(ticket.expires_at_ms)
        await redemption.settle(closed(line))

    assert await ledger.line(line.line_id) == closed(line)


async def test_a_spent_ticket_is_known_as_spent_past_its_end(ledger: Ledger) -> None:
    """A late second store is told the truth for a while; then the ticket is forgotten."""
    ticket, line = await opened(ledger)
    async with ledger.redeem(TOKEN, namespace="shop", caller="app", now_ms=NOW_MS) as redemption:
        await redemption.settle(closed(line))
    end_ms = ticket.expires_at_ms

    assert await ledger.expire_tickets(end_ms + GRACE_MS - 1) == 0
    with pytest.raises(TicketSpent):
        async with ledger.redeem(TOKEN, namespace="shop", caller="app", now_ms=end_ms + 1):
            pytest.fail("a spent ticket was handed out")
    assert await ledger.expire_tickets(end_ms + GRACE_MS) == 0
    with pytest.raises(TicketUnknown):
        async with ledger.redeem(TOKEN, namespace="shop", caller="app", now_ms=end_ms + GRACE_MS):
            pytest.fail("a forgotten ticket was handed out")
    assert await ledger.line(line.line_id) == closed(line)


async def test_the_text_of_a_no_store_ticket_is_not_kept(ledger: Ledger) -> None:
    """No-store keeps neither text nor answer."""
    line = an_open_line()
    await ledger.open_ticket(a_ticket(line, is_no_store=True), line)

    async with ledger.redeem(TOKEN, namespace="shop", caller="app", now_ms=NOW_MS) as redemption:
        assert redemption.ticket.text == ""


# --- feedback


def said(line: LedgerLine, kind: FeedbackKind = FeedbackKind.HIT_WRONG) -> Feedback:
    return Feedback(line_id=line.line_id, kind=kind, at_ms=NOW_MS)


async def test_feedback_counts_once_per_kind_and_line(ledger: Ledger) -> None:
    """A repeated word is no second word; another kind is."""
    ledger.note(a_hit())

    first = await ledger.feedback(said(a_hit()), namespace="shop", caller="app")
    again = await ledger.feedback(said(a_hit()), namespace="shop", caller="app")
    other = await ledger.feedback(
        said(a_hit(), FeedbackKind.NOT_ADEQUATE), namespace="shop", caller="app"
    )

    assert [taken.is_new for taken in (first, again, other)] == [True, False, True]
    assert first.line == a_hit()


@pytest.mark.parametrize(("namespace", "caller"), [("shop2", "app"), ("shop", "other")])
async def test_only_who_received_an_answer_may_judge_it(
    ledger: Ledger, namespace: str, caller: str
) -> None:
    """Somebody else's line looks like none."""
    await ledger.record(a_hit())

    with pytest.raises(LineUnknown) as foreign:
        await ledger.feedback(said(a_hit()), namespace=namespace, caller=caller)
    with pytest.raises(LineUnknown) as absent:
        await ledger.feedback(said(a_hit(1)), namespace="shop", caller="app")

    assert str(foreign.value).replace(a_hit().line_id, a_hit(1).line_id) == str(absent.value)


async def test_a_word_on_hits_is_not_said_of_misses(ledger: Ledger) -> None:
    """A kind that does not fit is refused with the one that does; a failure has no answer."""
    failed = a_line(1, outcome=Outcome.FAILED, cause=Cause.FAILED, baseline_nanos=0)
    await ledger.record(a_line())
    await ledger.record(failed)

    with pytest.raises(FeedbackUnfit, match="not_adequate"):
        await ledger.feedback(said(a_line()), namespace="shop", caller="app")
    with pytest.raises(FeedbackUnfit, match="no answer"):
        await ledger.feedback(
            said(failed, FeedbackKind.NOT_ADEQUATE), namespace="shop", caller="app"
        )


async def test_feedback_labels_the_pair_it_speaks_of(ledger: Ledger) -> None:
    """Who acts on it gets both texts, also when the word is no news."""
    pair = Pair(asked="reset it", stored="how to reset it?", expires_at_ms=NOW_MS + 1)
    ledger.note(a_hit(outcome=Outcome.NEAR), pair=pair)

    first = await ledger.feedback(said(a_hit()), namespace="shop", caller="app")
    again = await ledger.feedback(said(a_hit()), namespace="shop", caller="app")

    assert (first.pair, again.pair) == (pair, pair)


async def test_an_audit_is_nobodys_answer(ledger: Ledger) -> None:
    """Its line looks like none to whoever wants to judge it."""
    await ledger.record(a_line(outcome=Outcome.AUDIT, cause=Cause.AUDIT, baseline_nanos=0))

    with pytest.raises(LineUnknown):
        await ledger.feedback(said(a_line(), FeedbackKind.ADEQUATE), namespace="shop", caller="app")


# --- audits


async def test_an_audits_ticket_comes_with_the_line_of_its_hit(ledger: Ledger) -> None:
    """One transaction; the hit's figures stand, the audit's are open and then its own."""
    hit = a_hit(outcome=Outcome.NEAR, cause=Cause.NEAR)
    audit = an_open_line(1, outcome=Outcome.AUDIT, cause=Cause.AUDIT)
    ticket = a_ticket(
        audit,
        is_audit=True,
        is_personal=True,
        entry_id=7,
        p_right=0.97,
        traits=("slot:for", "kind:name"),
        propensity=0.02,
    )
    pair = Pair(asked="a", stored="b", expires_at_ms=NOW_MS + 1)

    await ledger.open_ticket(ticket, audit, hit=hit, pair=pair)
    before = (await ledger.savings(EVERYTHING)).totals
    async with ledger.redeem(TOKEN, namespace="shop", caller="app", now_ms=NOW_MS) as redemption:
        found = redemption.ticket
        await redemption.settle(replace(closed(audit), baseline_nanos=0))
    after = (await ledger.savings(EVERYTHING)).totals
    taken = await ledger.feedback(said(hit), namespace="shop", caller="app")

    assert found == ticket
    assert await ledger.line(hit.line_id) == hit
    assert taken.pair == pair
    assert (before.n_requests, before.n_audits, before.n_open) == (1, 1, 1)
    assert (after.n_requests, after.n_audits, after.n_open) == (1, 1, 0)
    assert dict(after.saved_by_cause) == {"near": 2_600_000, "audit": -520_000}
    assert after.saved_nanos == 2_600_000 - 520_000
    assert dict(after.n_by_outcome) == {"near": 1}


# --- modes


async def test_the_last_mode_set_stands(ledger: Ledger) -> None:
    """Per namespace; what was never set is not listed."""
    await ledger.set_mode("shop", Mode.ON)
    await ledger.set_mode("shop", Mode.SHADOW)
    await ledger.set_mode("lab", Mode.OFF)

    assert await ledger.modes() == {"shop": Mode.SHADOW, "lab": Mode.OFF}


# --- savings


async def test_an_empty_ledger_saved_nothing(ledger: Ledger) -> None:
    """Sums over no lines are 0, and there are no stages; the assumptions stand."""
    report = await ledger.savings(SavingsQuery(group_by=("user",)))

    assert report.totals.n_requests == report.totals.saved_nanos == 0
    assert (report.groups, report.stages, report.totals.savings) == ((), (), None)
    assert any("same" in words or "as many tokens" in words for words in report.assumptions)


async def test_what_is_unknown_stays_outside_the_identity(ledger: Ledger) -> None:
    """Unpriced and unknown lines are counted apart; what they are known to have cost is told."""
    unknown_model = an_attempt(model="new", cost_nanos=None)
    for line in (
        a_line(0),
        a_line(1, baseline_nanos=None),
        a_line(2, cost_nanos=None, attempts=(unknown_model, an_attempt(cost_nanos=7))),
        a_line(3, state=LineState.USAGE_UNKNOWN, usage=None, cost_nanos=None, attempts=()),
    ):
        await ledger.record(line)

    totals = (await ledger.savings(EVERYTHING)).totals
    assert (totals.n_priced, totals.n_unpriced, totals.n_usage_unknown) == (1, 2, 1)
    assert (totals.cost_nanos, totals.baseline_nanos) == (520_000, 2_600_000)
    assert totals.unpriced_cost_nanos == 520_000 + 7


async def test_savings_may_be_negative(ledger: Ledger) -> None:
    """A failed call was paid and delivered nothing; it is not clamped to 0."""
    await ledger.record(
        a_line(
            outcome=Outcome.FAILED,
            cause=Cause.FAILED,
            baseline_nanos=0,
            attempts=(an_attempt(status="timeout"),),
        )
    )

    totals = (await ledger.savings(EVERYTHING)).totals
    assert totals.saved_nanos == -520_000
    assert totals.saved_by_cause == (("failed", -520_000),)
    assert (totals.n_failed_attempts, totals.failed_cost_nanos) == (1, 520_000)


async def test_hits_add_no_tokens(ledger: Ledger) -> None:
    """A replayed answer was billed once, when it was made."""
    await ledger.record(a_line())
    ledger.note(a_hit(1))

    totals = (await ledger.savings(EVERYTHING)).totals
    assert (totals.input_tokens, totals.output_tokens) == (900, 200)
    assert totals.n_by_model == (("small", 1),)


async def test_misses_carry_their_reasons_and_cost(ledger: Ledger) -> None:
    """What is still paid for is told by reason; a bypass is no miss."""
    await ledger.record(a_line(0))
    await ledger.record(a_line(1, miss_reason="guard_number", cost_nanos=9))
    await ledger.record(a_line(2))
    await ledger.record(a_line(3, outcome=Outcome.BYPASS))

    totals = (await ledger.savings(EVERYTHING)).totals
    assert totals.n_by_miss_reason == (("nothing_similar", 2), ("guard_number", 1))
    assert totals.miss_cost_by_reason == (("nothing_similar", 1_040_000), ("guard_number", 9))


async def test_shadow_sums_stand_apart(ledger: Ledger) -> None:
    """What would have been saved is in no other sum."""
    shadow = Shadow(outcome=Outcome.NEAR, model="small", saved_nanos=100)
    await ledger.record(a_line(0, mode=Mode.SHADOW, shadow=shadow))
    await ledger.record(a_line(1, shadow=replace(shadow, outcome=Outcome.MISS, saved_nanos=-30)))
    await ledger.record(a_line(2, shadow=replace(shadow, saved_nanos=None)))

    totals = (await ledger.savings(EVERYTHING)).totals
    assert (totals.n_shadow_hits, totals.shadow_saved_nanos, totals.n_shadow_unknown) == (2, 70, 1)
    assert totals.n_by_outcome == (("miss", 3),)
    assert totals.saved_nanos == 3 * (2_600_000 - 520_000)


async def test_a_query_selects_by_every_field(ledger: Ledger) -> None:
    """Each condition narrows; the start counts, the end does not."""
    other = Attribution(user="bob", feature="mail", task="help", conversation="c2")
    await ledger.record(a_line(0))
    await ledger.record(a_line(1, attribution=other))
    await ledger.record(a_line(2, namespace="lab"))

    async def count(**conditions: object) -> int:
        return (await ledger.savings(SavingsQuery(**conditions))).totals.n_requests  # type: ignore[arg-type]

    assert await count(namespace="lab") == 1
    assert await count(user="bob") == 1
    assert await count(feature="mail") == 1
    assert await count(conversation="c2", namespace="lab") == 0
    assert await count(since_ms=NOW_MS + 1000) == 2
    assert await count(until_ms=NOW_MS + 1000) == 1


async def test_groups_add_up_to_the_totals(ledger: Ledger) -> None:
    """Every line is in one group, most requests first."""
    day_ms = 86_400_000
    for n, namespace in enumerate(["shop", "lab", "shop"]):
        await ledger.record(a_line(n, namespace=namespace))
    await ledger.record(a_hit(9, at_ms=NOW_MS + day_ms))

    report = await ledger.savings(SavingsQuery(group_by=("namespace", "day")))

    assert [group.keys for group in report.groups] == [
        ("shop", "2025-10-09"),
        ("lab", "2025-10-09"),
        ("shop", "2025-10-10"),
    ]
    assert [group.totals.n_requests for group in report.groups] == [2, 1, 1]
    assert sum(group.totals.saved_nanos for group in report.groups) == report.totals.saved_nanos


async def test_small_groups_are_folded_into_one(ledger: Ledger) -> None:
    """However many users there are, a report stays readable, and complete."""
    for n in range(104):
        ledger.note(a_line(n, attribution=Attribution(user=f"user-{n:03}")))
    ledger.note(a_line(104, attribution=Attribution(user="user-103")))

    report = await ledger.savings(SavingsQuery(group_by=("user", "model")))

    assert len(report.groups) == 101
    assert report.groups[0].keys == ("user-103", "small")
    assert report.groups[-1].keys == ("(other)", "(other)")
    assert report.groups[-1].totals.n_requests == 4
    assert sum(group.totals.n_requests for group in report.groups) == 105


@pytest.mark.parametrize(
    "group_by", [("caller",), ("user", "user"), ("user", "day", "model"), ("1; DROP TABLE lines",)]
)
async def test_an_impossible_grouping_is_refused(ledger: Ledger, group_by: tuple[str, ...]) -> None:
    """The message says what can be grouped by."""
    with pytest.raises(ValueError, match="up to two different of namespace, user"):
        await ledger.savings(SavingsQuery(group_by=group_by))


async def test_stage_times_are_nearest_ranks(ledger: Ledger) -> None:
    """Half of the lines are at or below p50; only lines that passed a stage count."""
    stage = a_line().stage_ms[0][0]
    for n in range(200):
        ledger.note(a_line(n, stage_ms=((stage, float(200 - n)),)))

    (times,) = (await ledger.savings(EVERYTHING)).stages
    assert (times.stage, times.n, times.p50_ms, times.p99_ms) == ("near", 200, 100.0, 198.0)


async def test_a_word_brings_along_whom_the_rules_had_routed_to(ledger: Ledger) -> None:
    """Whoever learns of models from words must know that nobody had asked for this one."""
    choice = Choice(models=("large", "small"), p=(0.9, None), chosen="large")
    for n, of_line in enumerate((choice, None)):
        await ledger.record(a_line(n, choice=of_line))

    found = [
        await ledger.feedback(
            Feedback(line_id=a_line(n).line_id, kind=FeedbackKind.NOT_ADEQUATE, at_ms=NOW_MS),
            namespace="shop",
            caller="app",
        )
        for n in range(2)
    ]

    assert [one.chosen for one in found] == ["large", ""]


# --- erasure

OF_BEN = Attribution(user="ben", feature="chat", task="help", conversation="c9")


async def a_life(ledger: Ledger) -> LedgerLine:
    """Let Ann ask, be served Ben's answer, say so, and leave a ticket; Ben asks as well."""
    await ledger.record(a_line(1, request_id="r-1", entry_id=11), key=KEY, kept=KEPT)
    hit = a_hit(2, outcome=Outcome.NEAR, cause=Cause.NEAR, entry_id=22)
    await ledger.record(hit, pair=Pair(asked="mine", stored="bens", expires_at_ms=2**60))
    word = Feedback(
        line_id=hit.line_id,
        kind=FeedbackKind.HIT_RIGHT,
        at_ms=NOW_MS,
        note="call me at home",
        keep_pair_until_ms=2**60,
    )
    await ledger.feedback(word, namespace="shop", caller="app")
    line = an_open_line(3, entry_id=0)
    await ledger.open_ticket(a_ticket(line), line)
    served = a_hit(4, outcome=Outcome.NEAR, cause=Cause.NEAR, entry_id=11, attribution=OF_BEN)
    await ledger.record(served, pair=Pair(asked="bens too", stored="anns", expires_at_ms=2**60))
    return served


async def test_an_erased_user_leaves_sums_and_nothing_else(ledger: Ledger) -> None:
    """Names go, money stays to the nano, and what hung on the lines is gone."""
    await a_life(ledger)
    before = (await ledger.savings(EVERYTHING)).totals

    erased = await ledger.erase_user("ann", "")

    assert erased == Erased(n_lines=3, n_kept=1, n_tickets=1, n_pairs=1, n_labels=1, n_notes=1)
    after = (await ledger.savings(EVERYTHING)).totals
    assert (after.cost_nanos, after.baseline_nanos, after.saved_nanos, after.n_requests) == (
        before.cost_nanos,
        before.baseline_nanos,
        before.saved_nanos,
        before.n_requests,
    )
    assert (after.n_open, after.n_usage_unknown) == (0, 1)
    assert (await ledger.savings(SavingsQuery(user="ann"))).totals.n_requests == 0
    assert (await ledger.savings(SavingsQuery(user="ben"))).totals.n_requests == 1
    line = await ledger.line(a_line(1).line_id)
    assert line is not None
    assert line.attribution == Attribution(user="", feature="chat", task="help", conversation="")
    assert line.request_id == ""
    assert await ledger.kept(KEY, NOW_MS) is None
    with pytest.raises(TicketUnknown):
        async with ledger.redeem(TOKEN, namespace="shop", caller="app", now_ms=NOW_MS):
            raise AssertionError("the ticket is gone")


async def test_erasing_again_finds_nothing(ledger: Ledger) -> None:
    """The second time nothing is left to do, and a dry run before says what the first will do."""
    await a_life(ledger)

    dry = await ledger.erase_user("ann", "shop", is_dry=True)
    done = await ledger.erase_user("ann", "shop")

    assert dry == done
    assert await ledger.erase_user("ann", "shop") == Erased()


async def test_only_the_named_namespace_is_erased(ledger: Ledger) -> None:
    """Users are an app's word: another namespace's of that name is somebody else."""
    await a_life(ledger)

    assert await ledger.erase_user("ann", "elsewhere") == Erased()
    assert (await ledger.savings(SavingsQuery(user="ann"))).totals.n_requests == 3


async def test_what_is_the_users_twice_is_counted_once(ledger: Ledger) -> None:
    """Her request, served by her own entry: a dry run says as much as is there."""
    hit = a_hit(1, outcome=Outcome.NEAR, cause=Cause.NEAR, entry_id=11)
    await ledger.record(hit, pair=Pair(asked="mine", stored="mine too", expires_at_ms=2**60))

    for is_dry in (True, False):
        copies = await ledger.erase_copies({11}, "ann", "shop", is_dry=is_dry)
        lines = await ledger.erase_user("ann", "shop", is_dry=is_dry)
        assert (copies + lines).n_pairs == 1


async def test_what_was_compared_with_an_erased_text_forgets_it(ledger: Ledger) -> None:
    """Pairs and labels of others' requests go where the stored text is the user's."""
    served = await a_life(ledger)
    label = LabelledPair(
        line_id=served.line_id,
        namespace="shop",
        asked="bens too",
        stored="anns",
        is_same=True,
        source=Source.SHADOW,
        at_ms=NOW_MS,
        expires_at_ms=2**60,
        entry_id=11,
    )
    ledger.label(label)

    assert await ledger.made_by("ann", "shop") == {11}
    dry = await ledger.erase_copies({11}, "ann", "shop", is_dry=True)
    assert dry == await ledger.erase_copies({11}, "ann", "shop") == Erased(n_pairs=1, n_labels=1)
    assert await ledger.erase_copies({11}, "ann", "shop") == Erased()
    assert await ledger.free(NOW_MS / 1e3)
