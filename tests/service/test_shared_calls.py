"""Identical misses in flight share one upstream call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import grpc
import pytest
from service.harness import (
    LARGE_NANOS,
    MISS,
    SHARED,
    SMALL_NANOS,
    Service,
    eventually,
    refused,
    streamed,
    totals,
)

from router.errors import ProviderUnavailable
from scrimp.client import Client
from scrimp.v1 import chat_pb2, gateway_pb2

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT = "How do volcanoes form under the sea?"
Stream = AsyncIterator[gateway_pb2.StreamCompleteResponse]


async def begun(client: Client, request: chat_pb2.ChatRequest) -> Stream:
    """Begin a stream and read its first piece: from then on it takes part in a call."""
    stream = client.stream(request)
    event = await anext(stream)
    assert event.delta.text
    return stream


async def ended(stream: Stream) -> gateway_pb2.CompleteResponse:
    """Read a stream to its end."""
    *_, last = [event async for event in stream]
    return last.done


async def test_identical_misses_share_one_call(service: Service, client: Client) -> None:
    """Who asks the same while it is being answered gets that answer, as if it had asked itself."""
    gate = service.puppet.hold(PROMPT, after_pieces=1)
    request = client.request(PROMPT)
    n_before = len(service.puppet.calls)

    leader = await begun(client, request)
    joiners = [await begun(client, request) for _ in range(3)]
    gate.open()
    led = await ended(leader)
    joined = [await ended(joiner) for joiner in joiners]

    assert len(service.puppet.calls) == n_before + 1
    assert led.report.cache.outcome == MISS
    assert {done.report.cache.outcome for done in joined} == {SHARED}
    assert {done.answer.text for done in joined} == {led.answer.text}
    assert len({done.report.response_id for done in [led, *joined]}) == 4


async def test_a_shared_call_is_paid_once(service: Service, client: Client, namespace: str) -> None:
    """The leader pays; whoever joined saved the whole baseline, counted under its own cause."""
    gate = service.puppet.hold(PROMPT, after_pieces=1)
    leader = await begun(client, client.request(PROMPT))
    joiner = await begun(client, client.request(PROMPT))
    gate.open()

    led, joined = await ended(leader), await ended(joiner)

    assert led.report.cost.cost_usd_nanos == SMALL_NANOS
    assert joined.report.cost.cost_usd_nanos == 0
    assert joined.report.cost.saved_usd_nanos == LARGE_NANOS
    sums = await totals(client, namespace)
    assert dict(sums.n_by_outcome) == {"miss": 1, "shared": 1}
    assert sums.saved_usd_nanos_by_cause["shared"] == LARGE_NANOS
    assert sums.cost_usd_nanos == SMALL_NANOS


async def test_a_unary_call_shares_too(service: Service, client: Client) -> None:
    """Unary callers share with each other and with streams."""
    gate = service.puppet.hold(PROMPT, after_pieces=1)
    n_before = len(service.puppet.calls)
    leader = await begun(client, client.request(PROMPT))
    unary = [asyncio.create_task(client.complete(PROMPT)) for _ in range(3)]
    await eventually(lambda: service.running._edge.n_running == 4)
    await asyncio.sleep(0.2)  # they are at their lookups; nothing tells when they joined
    gate.open()

    led = await ended(leader)
    answers = await asyncio.gather(*unary)

    assert {done.answer.text for done in answers} == {led.answer.text}
    assert len(service.puppet.calls) == n_before + 1


async def test_who_has_more_time_than_the_leader_does_not_fail_with_it(
    service: Service, client: Client
) -> None:
    """The call is given up for want of the leader's time; the joiner makes one of its own."""
    gate = service.puppet.hold(PROMPT)
    slow_down = ProviderUnavailable("slow down", kind="http_429", retry_after_s=0.04)
    request = client.request(PROMPT)
    request.wishes.allowed_models.append("small")  # nobody else may be asked at once
    hurried = client.gateway.Complete(gateway_pb2.CompleteRequest(request=request), timeout=0.5)
    await asyncio.wait_for(gate.reached.wait(), 5)
    patient = asyncio.create_task(client.complete(request))
    with refused(grpc.StatusCode.DEADLINE_EXCEEDED):
        await hurried

    gate.break_off(slow_down)
    done = await asyncio.wait_for(patient, 10)

    assert done.answer.text


async def test_a_unary_caller_survives_a_stream_that_breaks_off(
    service: Service, client: Client, namespace: str
) -> None:
    """It has been given nothing yet, so nothing is spliced: it makes a call of its own."""
    gate = service.puppet.hold(PROMPT, after_pieces=1)
    leader = await begun(client, client.request(PROMPT))
    unary = asyncio.create_task(client.complete(PROMPT))
    await eventually(lambda: service.running._edge.n_running == 2)
    await asyncio.sleep(0.2)  # it is at its lookup; nothing tells when it joined

    gate.break_off(ProviderUnavailable("cut", kind="cut_off", is_billable=True))

    with refused(grpc.StatusCode.UNAVAILABLE, "cut"):
        await ended(leader)
    done = await unary
    assert done.answer.text == f"An answer to: {PROMPT}"
    assert done.report.cache.outcome == MISS
    assert dict((await totals(client, namespace)).n_by_outcome) == {"miss": 1, "failed": 1}


async def test_a_stream_that_shares_a_whole_answer_gets_it_in_pieces(
    service: Service, client: Client
) -> None:
    """What its caller reads piece by piece is the answer, whoever asked first."""
    gate = service.puppet.hold(PROMPT)
    unary = asyncio.create_task(client.complete(PROMPT))
    await asyncio.wait_for(gate.reached.wait(), 5)
    streaming = asyncio.create_task(streamed(client, PROMPT))
    await eventually(lambda: service.running._edge.n_running == 2)
    await asyncio.sleep(0.2)  # it is at its lookup; nothing tells when it joined
    gate.open()

    led = await unary
    pieces, joined = await streaming

    assert joined.report.cache.outcome == SHARED
    assert "".join(pieces) == joined.answer.text == led.answer.text


async def test_the_others_get_the_answer_when_the_leader_leaves(
    service: Service, client: Client, namespace: str
) -> None:
    """The call belongs to all who wait: it goes on as long as one of them does, and is kept."""
    gate = service.puppet.hold(PROMPT, after_pieces=1)
    leader = client.gateway.StreamComplete(
        gateway_pb2.StreamCompleteRequest(request=client.request(PROMPT))
    )
    await leader.read()
    joiner = await begun(client, client.request(PROMPT))

    leader.cancel()
    await asyncio.sleep(0.1)  # the server hears of it
    gate.open()
    done = await ended(joiner)

    assert done.report.cache.outcome == SHARED
    assert done.answer.text == f"An answer to: {PROMPT}"
    assert PROMPT not in service.puppet.cancelled
    again = await client.complete(PROMPT)
    assert again.report.cache.outcome == chat_pb2.CACHE_OUTCOME_EXACT
    sums = await totals(client, namespace)
    assert sums.cost_usd_nanos == SMALL_NANOS


async def test_when_all_leave_the_call_is_cancelled(
    service: Service, client: Client, namespace: str
) -> None:
    """Nobody waits: the upstream call ends, and its line says that its usage is unknown."""
    prompt = "Who is still waiting for this answer?"
    service.puppet.hold(prompt, after_pieces=1)
    request = gateway_pb2.StreamCompleteRequest(request=client.request(prompt))
    calls = [client.gateway.StreamComplete(request) for _ in range(2)]
    for call in calls:
        await call.read()

    for call in calls:
        call.cancel()
    await eventually(lambda: prompt in service.puppet.cancelled)

    sums = await totals(client, namespace)
    assert dict(sums.n_by_outcome) == {"failed": 1}
    assert sums.n_usage_unknown == 1
    assert (sums.cost_usd_nanos, sums.saved_usd_nanos, sums.n_priced) == (0, 0, 0)


async def test_what_failed_fails_for_all_who_waited(service: Service, client: Client) -> None:
    """A shared call that breaks off breaks off for everyone, and nobody is called again for it."""
    from router.errors import ProviderUnavailable

    prompt = "Why did this break off for everyone?"
    gate = service.puppet.hold(prompt)
    service.puppet.says(prompt, ProviderUnavailable("went away", kind="http_503"))
    leader = asyncio.create_task(client.complete(prompt))
    await gate.reached.wait()
    joiner = asyncio.create_task(client.complete(prompt))
    await eventually(lambda: service.running._edge.n_running == 2)
    await asyncio.sleep(0.2)  # it is at its lookup
    gate.open()

    for call in (leader, joiner):
        with refused(grpc.StatusCode.UNAVAILABLE, "went away"):
            await call


def with_bypass(request: chat_pb2.ChatRequest) -> None:
    request.cache_control.bypass = True


def with_no_store(request: chat_pb2.ChatRequest) -> None:
    request.cache_control.no_store = True


def with_other_length(request: chat_pb2.ChatRequest) -> None:
    request.sampling.max_tokens = 5_000


def with_other_temperature(request: chat_pb2.ChatRequest) -> None:
    request.sampling.temperature = 0.4


def with_pin(request: chat_pb2.ChatRequest) -> None:
    request.wishes.pinned_model = "large"


@pytest.mark.parametrize(
    "change", [with_bypass, with_no_store, with_other_length, with_other_temperature, with_pin]
)
async def test_a_request_that_differs_does_not_join(
    service: Service, client: Client, change: Callable[[chat_pb2.ChatRequest], None]
) -> None:
    """Bypass and no-store never join; another length, temperature or model is another call."""
    gate = service.puppet.hold(PROMPT, after_pieces=1)
    n_before = len(service.puppet.calls)
    leader = await begun(client, client.request(PROMPT))
    other = client.request(PROMPT)
    change(other)

    second = await begun(client, other)
    gate.open()
    done = [await ended(stream) for stream in (leader, second)]

    assert len(service.puppet.calls) == n_before + 2
    assert SHARED not in {one.report.cache.outcome for one in done}


@pytest.mark.parametrize(
    ("prompt", "users"),
    [
        pytest.param("What is in my order number 4711?", ("", ""), id="personal, no user"),
        pytest.param("What does my contract say about holidays?", ("ann", "bob"), id="two users"),
        pytest.param("What is the weather in Oslo today?", ("ann", "ann"), id="time-bound"),
    ],
)
async def test_what_may_not_be_reused_is_not_shared(
    service: Service, client: Client, prompt: str, users: tuple[str, str]
) -> None:
    """Personal prompts of different or unknown users, and time-bound ones, have own calls."""
    gate = service.puppet.hold(prompt, after_pieces=1)
    n_before = len(service.puppet.calls)

    streams = [await begun(client, client.request(prompt, user=user)) for user in users]
    gate.open()
    for stream in streams:
        await ended(stream)

    assert len(service.puppet.calls) == n_before + 2


async def test_a_users_own_personal_prompt_is_shared(service: Service, client: Client) -> None:
    """The same user asks the same twice at once: one call."""
    prompt = "What does my contract say about holidays?"
    gate = service.puppet.hold(prompt, after_pieces=1)
    n_before = len(service.puppet.calls)

    streams = [await begun(client, client.request(prompt, user="ann")) for _ in range(2)]
    gate.open()
    done = [await ended(stream) for stream in streams]

    assert len(service.puppet.calls) == n_before + 1
    assert done[1].report.cache.outcome == SHARED
