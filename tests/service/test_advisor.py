"""The advisor's door: apps that call models themselves."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest
from service.harness import (
    BYPASS,
    EXACT,
    LARGE_NANOS,
    MISS,
    NEAR,
    SMALL_NANOS,
    START_S,
    WIRE_USAGE,
    Service,
    refused,
    serving,
    totals,
)

from scrimp.client import Client
from scrimp.v1 import admin_pb2, advisor_pb2, chat_pb2

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT = "How do volcanoes form under the sea?"


async def test_advice_names_a_model_and_carries_a_ticket(service: Service, client: Client) -> None:
    """Nothing stored: which models to call, best first, and 128 bits that live 10 minutes."""
    found = await client.look_up(PROMPT)

    assert found.WhichOneof("result") == "advice"
    assert found.advice.routing.chain[0] == "small"
    assert len(found.advice.ticket.token) == 16
    assert found.advice.ticket.expires_at_ms == int(service.clock.now_s * 1e3) + 600_000
    assert found.cache.outcome == MISS
    assert not found.HasField("cost")
    assert found.response_id


async def test_what_an_app_stores_is_found(client: Client) -> None:
    """Look up, call, store: the next look-up has the answer, its model and its usage."""
    found = await client.look_up(PROMPT)
    stored = await client.store(found, "By rising magma.", usage=WIRE_USAGE, model="small")

    hit = await client.look_up(PROMPT)

    assert stored.entry_id
    assert not stored.not_stored_reason
    assert hit.WhichOneof("result") == "hit"
    assert hit.hit.answer == chat_pb2.Answer(text="By rising magma.", finish_reason="stop")
    assert (hit.hit.model, hit.hit.usage) == ("small", WIRE_USAGE)
    assert not hit.hit.HasField("audit_ticket")
    assert hit.cache.outcome == EXACT
    assert hit.cache.entry_id == stored.entry_id


async def test_a_store_is_accounted_as_the_call_it_reports(client: Client, namespace: str) -> None:
    """Its cost is the app's own call; the hit that follows saves the whole baseline."""
    found = await client.look_up(PROMPT)
    stored = await client.store(found, "By rising magma.", usage=WIRE_USAGE, model="small")
    hit = await client.look_up(PROMPT)

    assert stored.cost == chat_pb2.Cost(
        cost_usd_nanos=SMALL_NANOS,
        baseline_usd_nanos=LARGE_NANOS,
        saved_usd_nanos=LARGE_NANOS - SMALL_NANOS,
        baseline_model="large",
    )
    assert (hit.cost.cost_usd_nanos, hit.cost.saved_usd_nanos) == (0, LARGE_NANOS)
    sums = await totals(client, namespace)
    assert (sums.n_requests, sums.n_priced, sums.n_open) == (2, 2, 0)
    assert sums.saved_usd_nanos == 2 * LARGE_NANOS - SMALL_NANOS


async def test_near_duplicates_serve_apps_too(client: Client) -> None:
    """Both doors share one cache and one decision."""
    found = await client.look_up("How do I bake sourdough bread at home?")
    await client.store(found, "With patience.", usage=WIRE_USAGE, model="small")

    near = await client.look_up("how do i bake sourdough bread at home")
    via_gateway = await client.complete("how do i bake sourdough bread at home")

    assert near.cache.outcome == NEAR
    assert near.hit.answer.text == via_gateway.answer.text == "With patience."


async def test_the_advised_model_is_meant_where_none_is_named(client: Client) -> None:
    """An app that followed the advice need not repeat it."""
    found = await client.look_up(PROMPT)
    await client.store(found, "By rising magma.", usage=WIRE_USAGE)

    hit = await client.look_up(PROMPT)

    assert hit.hit.model == "small"


async def test_a_ticket_out_is_an_open_line(client: Client, namespace: str) -> None:
    """Until the answer comes back nothing is known: neither cost nor savings, and it is said so."""
    await client.look_up(PROMPT)

    sums = await totals(client, namespace)

    assert (sums.n_requests, sums.n_open, sums.n_priced) == (1, 1, 0)
    assert (sums.cost_usd_nanos, sums.saved_usd_nanos) == (0, 0)


async def test_a_ticket_takes_one_answer(client: Client) -> None:
    """The second store is FAILED_PRECONDITION, and the first answer stands."""
    found = await client.look_up(PROMPT)
    await client.store(found, "First.", usage=WIRE_USAGE, model="small")

    with refused(grpc.StatusCode.FAILED_PRECONDITION, "redeemed", "the first one stands"):
        await client.store(found, "Second.", usage=WIRE_USAGE, model="small")

    assert (await client.look_up(PROMPT)).hit.answer.text == "First."


async def test_of_two_stores_at_once_one_counts(client: Client, namespace: str) -> None:
    """A race for one ticket has one winner and one line."""
    found = await client.look_up(PROMPT)

    results = await asyncio.gather(
        *(client.store(found, f"Answer {n}.", usage=WIRE_USAGE, model="small") for n in range(5)),
        return_exceptions=True,
    )

    won = [result for result in results if isinstance(result, advisor_pb2.StoreResponse)]
    lost = [result for result in results if isinstance(result, grpc.aio.AioRpcError)]
    assert (len(won), len(lost)) == (1, 4)
    assert {error.code() for error in lost} == {grpc.StatusCode.FAILED_PRECONDITION}
    assert (await totals(client, namespace)).cost_usd_nanos == SMALL_NANOS


async def test_a_forged_ticket_is_unknown(client: Client) -> None:
    """Sixteen bytes nobody gave out: NOT_FOUND, with what to do."""
    forged = advisor_pb2.LookUpResponse(
        advice=advisor_pb2.Advice(ticket=advisor_pb2.Ticket(token=bytes(16)))
    )

    with refused(grpc.StatusCode.NOT_FOUND, "look up again"):
        await client.store(forged, "An answer.", model="small")


@pytest.mark.parametrize("token", [b"", b"short", bytes(17)])
async def test_a_ticket_is_16_bytes(client: Client, token: bytes) -> None:
    """Anything else is no ticket: INVALID_ARGUMENT."""
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "a ticket is 16 bytes", str(len(token))):
        await client.advisor.Store(advisor_pb2.StoreRequest(ticket=token))


async def test_a_ticket_is_bound_to_its_caller(service: Service, namespace: str) -> None:
    """Somebody else's ticket is unknown, and still good for its owner."""
    async with service.client(namespace, "ann") as ann, service.client(namespace, "bob") as bob:
        found = await ann.look_up(PROMPT)

        with refused(grpc.StatusCode.NOT_FOUND, "no such ticket"):
            await bob.store(found, "From bob.", model="small")
        stored = await ann.store(found, "From ann.", usage=WIRE_USAGE, model="small")

    assert stored.entry_id


async def test_a_ticket_is_bound_to_its_namespace(client: Client) -> None:
    """In another namespace it is unknown."""
    found = await client.look_up(PROMPT)

    with refused(grpc.StatusCode.NOT_FOUND, "no such ticket"):
        await client.store(found, "An answer.", model="small", namespace="another")


async def test_an_expired_ticket_takes_nothing(service: Service, client: Client) -> None:
    """At the moment it says: FAILED_PRECONDITION, and nothing is stored."""
    found = await client.look_up(PROMPT)
    service.clock.advance(600)

    with refused(grpc.StatusCode.FAILED_PRECONDITION, "expired", "look up again"):
        await client.store(found, "Too late.", usage=WIRE_USAGE, model="small")

    assert (await client.look_up(PROMPT)).WhichOneof("result") == "advice"


async def test_an_expired_ticket_closes_its_line_as_unknown(
    service: Service, client: Client, namespace: str
) -> None:
    """Nobody said what the call used: neither saved nor 0."""
    await client.look_up(PROMPT)
    service.clock.advance(601)

    await service.running.app.ledger.expire_tickets(service.running.app.pipeline.now_ms())

    sums = await totals(client, namespace)
    assert (sums.n_open, sums.n_usage_unknown, sums.n_priced) == (0, 1, 0)
    assert (sums.cost_usd_nanos, sums.baseline_usd_nanos, sums.saved_usd_nanos) == (0, 0, 0)


async def test_a_ticket_survives_a_restart(tmp_path: Path) -> None:
    """Looked up before, stored after: kept and accounted as if nothing had happened."""
    async with serving(tmp_path / "data") as service, service.client("acme") as client:
        found = await client.look_up(client.request(PROMPT, tags=["geology"], user="ann"))

    async with serving(tmp_path / "data") as service, service.client("acme") as client:
        stored = await client.store(found, "By rising magma.", usage=WIRE_USAGE, model="small")
        hit = await client.look_up(PROMPT)
        tagged = await client.admin.Invalidate(
            admin_pb2.InvalidateRequest(tag="geology", user="ann", dry_run=True)
        )
        sums = await totals(client, "acme")

    assert stored.cost.saved_usd_nanos == LARGE_NANOS - SMALL_NANOS
    assert hit.hit.answer.text == "By rising magma."
    assert list(tagged.entry_ids) == [stored.entry_id]
    assert (sums.n_requests, sums.n_priced) == (2, 2)


async def test_an_expired_ticket_stays_expired_after_a_restart(tmp_path: Path) -> None:
    """A restart is no second life; the line is closed when the service is back."""
    async with serving(tmp_path / "data") as service, service.client("acme") as client:
        found = await client.look_up(PROMPT)
        clock = service.clock
    clock.advance(700)

    async with (
        serving(tmp_path / "data", clock=clock) as service,
        service.client("acme") as client,
    ):
        with refused(grpc.StatusCode.FAILED_PRECONDITION, "expired"):
            await client.store(found, "Too late.", usage=WIRE_USAGE, model="small")
        await service.running.app.ledger.expire_tickets(service.running.app.pipeline.now_ms())
        sums = await totals(client, "acme")

    assert (sums.n_open, sums.n_usage_unknown) == (0, 1)


async def test_a_no_store_ticket_keeps_nothing(client: Client, namespace: str) -> None:
    """The answer is accounted and forgotten."""
    request = client.request(PROMPT)
    request.cache_control.no_store = True
    found = await client.look_up(request)

    stored = await client.store(found, "A secret.", usage=WIRE_USAGE, model="small")

    assert (stored.entry_id, stored.not_stored_reason) == ("", "no_store")
    assert stored.cost.cost_usd_nanos == SMALL_NANOS
    assert (await client.look_up(PROMPT)).WhichOneof("result") == "advice"


async def test_no_store_leaves_no_word_on_disk(tmp_path: Path) -> None:
    """Neither prompt nor answer stands in any file, whichever door they took, retries included."""
    async with serving(tmp_path / "data") as service, service.client("acme") as client:
        service.puppet.says("What is QUESTIONMARKER?", "It is ANSWERMARKER.")
        request = client.request("What is QUESTIONMARKER?", request_id="r1")
        request.cache_control.no_store = True
        await client.complete(request)
        request.request_id = "r2"
        found = await client.look_up(request)
        await client.store(found, "It is ANSWERMARKER.", usage=WIRE_USAGE, model="small")
        request.request_id = "r3"
        await client.look_up(request)  # a ticket that stays out

        on_disk = {path.name: path.read_bytes() for path in (tmp_path / "data").rglob("*.*")}

    assert "ledger.sqlite" in on_disk
    for name, content in on_disk.items():
        assert b"MARKER" not in content, name


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (chat_pb2.Answer(text="Well, it", finish_reason="length"), "truncated"),
        (chat_pb2.Answer(text="I'm sorry, but I can't help with that."), "refused"),
        (chat_pb2.Answer(refusal="No."), "refused"),
        (
            chat_pb2.Answer(
                finish_reason="tool_calls", tool_calls=[chat_pb2.ToolCall(id="1", name="f")]
            ),
            "tool_call",
        ),
        (chat_pb2.Answer(text=" "), "empty"),
    ],
)
async def test_what_is_no_whole_answer_is_accounted_and_not_kept(
    client: Client, answer: chat_pb2.Answer, reason: str
) -> None:
    """The response says why nothing was stored."""
    found = await client.look_up(PROMPT)

    stored = await client.advisor.Store(
        advisor_pb2.StoreRequest(
            ticket=found.advice.ticket.token,
            namespace=client.request("").namespace,
            answer=answer,
            usage=WIRE_USAGE,
            model="small",
        )
    )

    assert (stored.entry_id, stored.not_stored_reason) == ("", reason)
    assert stored.cost.cost_usd_nanos == SMALL_NANOS


async def test_a_failed_call_closes_its_line(client: Client, namespace: str) -> None:
    """A store without an answer: the app's call failed, nothing is kept and nothing was saved."""
    found = await client.look_up(PROMPT)

    stored = await client.advisor.Store(
        advisor_pb2.StoreRequest(
            ticket=found.advice.ticket.token, namespace=namespace, model="small"
        )
    )

    assert (stored.entry_id, stored.not_stored_reason) == ("", "failed")
    sums = await totals(client, namespace)
    assert dict(sums.n_by_outcome) == {"failed": 1}
    assert (sums.n_open, sums.saved_usd_nanos) == (0, 0)


async def test_a_store_of_unknown_usage_is_counted_apart(client: Client, namespace: str) -> None:
    """The answer is kept; its cost is absent, not 0."""
    found = await client.look_up(PROMPT)

    stored = await client.store(found, "By rising magma.", model="small")

    assert stored.entry_id
    assert stored.cost == chat_pb2.Cost(baseline_model="large")
    sums = await totals(client, namespace)
    assert (sums.n_usage_unknown, sums.n_priced) == (1, 0)


async def test_a_hit_of_unknown_usage_saves_an_unknown_amount(
    client: Client, namespace: str
) -> None:
    """What the first call used was never told, so nobody knows what its repeat saved."""
    found = await client.look_up(PROMPT)
    await client.store(found, "By rising magma.", model="small")

    hit = await client.look_up(PROMPT)

    assert hit.cache.outcome == EXACT
    assert not hit.cost.HasField("saved_usd_nanos")
    assert not hit.hit.HasField("usage")
    assert (await totals(client, namespace)).n_usage_unknown == 2


async def test_a_model_outside_the_settings_has_no_price_and_serves_nobody(
    client: Client, namespace: str
) -> None:
    """What an app took elsewhere is accounted apart, and its adequacy is unknown."""
    found = await client.look_up(PROMPT)

    stored = await client.store(found, "By magic.", usage=WIRE_USAGE, model="home-grown")

    assert not stored.cost.HasField("cost_usd_nanos")
    assert (await totals(client, namespace)).n_unpriced == 1
    again = await client.look_up(PROMPT)
    assert again.cache.miss_reason == chat_pb2.MISS_REASON_MODEL_NOT_ALLOWED


async def test_mode_off_advises_the_baseline_and_keeps_nothing(client: Client) -> None:
    """Metering only, at this door too."""
    await client.set_mode(admin_pb2.MODE_OFF)
    found = await client.look_up(PROMPT)

    stored = await client.store(found, "By rising magma.", usage=WIRE_USAGE, model="large")

    assert list(found.advice.routing.chain) == ["large"]
    assert found.cache.outcome == BYPASS
    assert not stored.entry_id
    assert (await client.look_up(PROMPT)).WhichOneof("result") == "advice"


async def test_shadow_gives_advice_and_says_what_it_would_have_served(client: Client) -> None:
    """A stored answer is not handed out, only reported."""
    await client.set_mode(admin_pb2.MODE_SHADOW)
    found = await client.look_up(PROMPT)
    await client.store(found, "By rising magma.", usage=WIRE_USAGE, model="large")

    again = await client.look_up(PROMPT)

    assert again.WhichOneof("result") == "advice"
    assert again.shadow.outcome == EXACT
    assert again.shadow.model == "large"


async def test_shadow_savings_of_an_app_are_known_when_it_stores(
    client: Client, namespace: str
) -> None:
    """The would-be savings rest on the answer's tokens, which come with the store."""
    await client.set_mode(admin_pb2.MODE_SHADOW)
    for _ in range(2):
        found = await client.look_up(PROMPT)
        await client.store(found, "By rising magma.", usage=WIRE_USAGE, model="large")

    sums = await totals(client, namespace)

    assert sums.n_shadow_hits == 1
    assert sums.shadow_saved_usd_nanos == 2 * LARGE_NANOS - SMALL_NANOS


STORED = "How do I bake sourdough bread at home?"
ASKED = "how do i bake sourdough bread at home"
AUDITED = {"audits.share": 1.0, "cache.max_error_rate": 0.1}


async def test_an_audited_hit_asks_for_the_models_own_answer(tmp_path: Path) -> None:
    """With share = 1 every near hit brings a ticket; the call is an audit's cost, not the hit's."""
    async with (
        serving(tmp_path / "data", overrides=AUDITED) as service,
        service.client("acme") as client,
    ):
        found = await client.look_up(STORED)
        await client.store(found, "Mix, wait, bake.", usage=WIRE_USAGE, model="small")

        hit = await client.look_up(ASKED)
        before = await totals(client, "acme")
        audited = await client.advisor.Store(
            advisor_pb2.StoreRequest(
                ticket=hit.hit.audit_ticket.token,
                namespace="acme",
                answer=chat_pb2.Answer(text="Mix it, wait, and bake it.", finish_reason="stop"),
                usage=WIRE_USAGE,
                model="small",
            )
        )
        after = await totals(client, "acme")
        still = await client.look_up(ASKED)

    assert hit.hit.answer.text == "Mix, wait, bake."
    assert len(hit.hit.audit_ticket.token) == 16
    assert hit.hit.audit_ticket.expires_at_ms == int(START_S * 1e3) + 600_000
    assert hit.cost.saved_usd_nanos == LARGE_NANOS, "known at once, whatever becomes of the audit"
    assert (before.n_requests, before.n_audits, before.n_open) == (2, 1, 1)
    assert (audited.entry_id, audited.not_stored_reason) == ("", "audit")
    assert audited.cost.cost_usd_nanos == SMALL_NANOS
    assert audited.cost.saved_usd_nanos == -SMALL_NANOS
    assert (after.n_requests, after.n_audits, after.n_open) == (2, 1, 0)
    assert after.saved_usd_nanos_by_cause["audit"] == -SMALL_NANOS
    assert after.saved_usd_nanos == before.saved_usd_nanos - SMALL_NANOS
    assert still.hit.answer.text == "Mix, wait, bake."


async def test_an_audit_nobody_made_leaves_the_hit_as_it_was(tmp_path: Path) -> None:
    """The app's call failed, or the ticket was never brought back: what was saved stands."""
    async with (
        serving(tmp_path / "data", overrides=AUDITED) as service,
        service.client("acme") as client,
    ):
        found = await client.look_up(STORED)
        await client.store(found, "Mix, wait, bake.", usage=WIRE_USAGE, model="small")
        hit = await client.look_up(ASKED)
        await client.advisor.Store(
            advisor_pb2.StoreRequest(ticket=hit.hit.audit_ticket.token, namespace="acme")
        )
        sums = await totals(client, "acme")

    assert dict(sums.n_by_outcome) == {"miss": 1, "near": 1}
    assert (sums.n_audits, sums.n_usage_unknown) == (1, 1)
    assert sums.saved_usd_nanos_by_cause["near"] == LARGE_NANOS


async def test_an_exact_hit_is_not_audited(tmp_path: Path) -> None:
    """The same question has the same answer."""
    async with (
        serving(tmp_path / "data", overrides=AUDITED) as service,
        service.client("acme") as client,
    ):
        found = await client.look_up(STORED)
        await client.store(found, "Mix, wait, bake.", usage=WIRE_USAGE, model="small")

        hit = await client.look_up(STORED)

    assert hit.cache.outcome == EXACT
    assert not hit.hit.HasField("audit_ticket")


@pytest.mark.parametrize("upstream_ms", [-1.0, float("nan"), float("inf")])
async def test_a_nonsensical_duration_is_refused(client: Client, upstream_ms: float) -> None:
    """And the ticket stays good."""
    found = await client.look_up(PROMPT)
    wire = advisor_pb2.StoreRequest(
        ticket=found.advice.ticket.token,
        namespace=client.request("").namespace,
        answer=chat_pb2.Answer(text="By rising magma."),
        upstream_ms=upstream_ms,
    )

    with refused(grpc.StatusCode.INVALID_ARGUMENT, "upstream_ms"):
        await client.advisor.Store(wire)

    wire.upstream_ms = 12
    assert (await client.advisor.Store(wire)).entry_id


async def test_a_nonsensical_usage_is_refused(client: Client) -> None:
    """Parts beyond the whole: INVALID_ARGUMENT, and the ticket stays good."""
    found = await client.look_up(PROMPT)
    nonsense = chat_pb2.Usage(input_tokens=10, output_tokens=1, cache_read_tokens=11)

    with refused(grpc.StatusCode.INVALID_ARGUMENT, "usage.input_tokens", "11 cached"):
        await client.store(found, "By rising magma.", usage=nonsense)

    assert (await client.store(found, "By rising magma.", usage=WIRE_USAGE)).entry_id
