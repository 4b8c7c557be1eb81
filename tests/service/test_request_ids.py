"""A request id makes retries the same request."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest
from service.harness import EXACT, MISS, Service, eventually, refused, serving, streamed, totals

from router.errors import ProviderUnavailable
from scrimp.client import Client

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT = "How do volcanoes form under the sea?"


async def test_a_retry_gets_the_same_outcome(
    service: Service, client: Client, namespace: str
) -> None:
    """Same id, same body: the same response, marked as replayed; one call, one ledger line."""
    request = client.request(PROMPT, request_id="r1")
    n_before = len(service.puppet.calls)

    first = await client.complete(request)
    again = await client.complete(request)

    assert not first.report.replayed
    assert again.report.replayed
    again.report.replayed = False
    assert again == first
    assert len(service.puppet.calls) == n_before + 1
    assert (await totals(client, namespace)).n_requests == 1


async def test_a_retried_hit_is_the_same_hit(client: Client, namespace: str) -> None:
    """Outcomes of hits are kept too."""
    await client.complete(PROMPT)
    request = client.request(PROMPT, request_id="r1")

    first = await client.complete(request)
    again = await client.complete(request)

    assert first.report.cache.outcome == again.report.cache.outcome == EXACT
    assert again.report.response_id == first.report.response_id
    assert (await totals(client, namespace)).n_requests == 2


async def test_a_retry_in_flight_joins(service: Service, client: Client, namespace: str) -> None:
    """Sent again while the first is running: both get the one outcome."""
    request = client.request(PROMPT, request_id="r1")
    gate = service.puppet.hold(PROMPT)
    n_before = len(service.puppet.calls)

    first = asyncio.create_task(client.complete(request))
    await gate.reached.wait()
    second = asyncio.create_task(client.complete(request))
    await eventually(lambda: service.running._edge.n_running == 2)
    gate.open()
    done = await asyncio.gather(first, second)

    assert done[0] == done[1]
    assert len(service.puppet.calls) == n_before + 1
    assert (await totals(client, namespace)).n_requests == 1


async def test_a_retry_goes_on_when_the_first_caller_left(service: Service, client: Client) -> None:
    """A client that lost its connection and sends again finds its call still running."""
    request = client.request(PROMPT, request_id="r1")
    gate = service.puppet.hold(PROMPT)
    n_before = len(service.puppet.calls)
    first = asyncio.create_task(client.complete(request))
    await gate.reached.wait()
    second = asyncio.create_task(client.complete(request))
    await eventually(lambda: service.running._edge.n_running == 2)
    await asyncio.sleep(0.1)  # it is joining

    first.cancel()
    await eventually(lambda: service.running._edge.n_running == 1)
    gate.open()
    done = await second

    assert done.report.cache.outcome == MISS
    assert len(service.puppet.calls) == n_before + 1


async def test_the_same_id_with_another_body_is_refused(service: Service, client: Client) -> None:
    """ALREADY_EXISTS, after the first ended and while it runs; nobody is called."""
    await client.complete(client.request(PROMPT, request_id="ended"))
    gate = service.puppet.hold(PROMPT)
    request = client.request(PROMPT, request_id="running")
    request.sampling.seed = 1  # not stored yet
    running = asyncio.create_task(client.complete(request))
    await gate.reached.wait()
    n_before = len(service.puppet.calls)

    for request_id in ("ended", "running"):
        with refused(grpc.StatusCode.ALREADY_EXISTS, repr(request_id), "a new id"):
            await client.complete(client.request("Another question.", request_id=request_id))

    assert len(service.puppet.calls) == n_before
    gate.open()
    await running


async def test_an_id_is_scoped_to_its_namespace_and_caller(
    service: Service, namespace: str
) -> None:
    """The same id elsewhere, or of somebody else, is another request."""
    scopes = [(namespace, "ann"), (namespace, "bob"), (f"{namespace}-2", "ann")]
    ids = set()
    for where, caller in scopes:
        async with service.client(where, caller) as client:
            done = await client.complete(client.request(PROMPT, request_id="r1"))
            assert not done.report.replayed
            ids.add(done.report.response_id)

    assert len(ids) == 3


async def test_both_forms_of_a_gateway_call_are_one_request(client: Client) -> None:
    """A stream retried as a unary call, and the reverse, get the kept outcome."""
    _, first = await streamed(client, client.request(PROMPT, request_id="r1"))
    unary = await client.complete(client.request(PROMPT, request_id="r1"))
    _, again = await streamed(client, client.request(PROMPT, request_id="r1"))

    assert unary.report.replayed
    assert again.report.replayed
    assert first.answer == unary.answer == again.answer


async def test_a_look_up_retried_gets_the_same_ticket(client: Client, namespace: str) -> None:
    """One ticket, one open line, however often the app had to ask."""
    request = client.request(PROMPT, request_id="r1")

    first = await client.look_up(request)
    again = await client.look_up(request)

    assert again.replayed
    assert again.advice.ticket == first.advice.ticket
    assert again.response_id == first.response_id
    assert (await totals(client, namespace)).n_open == 1


async def test_the_other_door_is_another_body(client: Client) -> None:
    """An id used for a look-up is not a gateway call's id."""
    await client.look_up(client.request(PROMPT, request_id="r1"))

    with refused(grpc.StatusCode.ALREADY_EXISTS):
        await client.complete(client.request(PROMPT, request_id="r1"))


async def test_no_store_keeps_the_outcome_without_the_answer(
    service: Service, client: Client, namespace: str
) -> None:
    """The retry learns what happened and what it cost; the answer was not kept."""
    request = client.request(PROMPT, request_id="r1")
    request.cache_control.no_store = True
    n_before = len(service.puppet.calls)

    first = await client.complete(request)
    again = await client.complete(request)

    assert first.HasField("answer")
    assert not again.HasField("answer")
    assert again.report.replayed
    assert again.report.cost == first.report.cost
    assert len(service.puppet.calls) == n_before + 1
    assert (await totals(client, namespace)).n_requests == 1


async def test_an_outcome_is_kept_for_a_day(service: Service, client: Client) -> None:
    """Within 24 h a retry, afterwards a new request."""
    request = client.request(PROMPT, request_id="r1")
    await client.complete(request)

    service.clock.advance(86_399)
    within = await client.complete(request)
    service.clock.advance(2)
    after = await client.complete(request)

    assert within.report.replayed
    assert not after.report.replayed


async def test_a_failed_request_may_be_retried(
    service: Service, client: Client, namespace: str
) -> None:
    """Nothing came of it, so there is no outcome to repeat: the retry is tried."""
    prompt = "Will the second try work?"
    down = ProviderUnavailable("down", kind="http_503")
    service.puppet.says(prompt, down, down, down, down, "It did.")
    request = client.request(prompt, request_id="r1")
    request.wishes.pinned_model = "small"

    for _ in range(2):
        with refused(grpc.StatusCode.UNAVAILABLE, "down"):
            await client.complete(request)
    done = await client.complete(request)

    assert done.answer.text == "It did."
    assert not done.report.replayed


async def test_an_outcome_survives_a_restart(tmp_path: Path) -> None:
    """The retry may reach the next process."""
    async with serving(tmp_path / "data") as service, service.client("acme") as client:
        first = await client.complete(client.request(PROMPT, request_id="r1"))
        looked_up = await client.look_up(client.request("Another one?", request_id="r2"))

    async with serving(tmp_path / "data") as service, service.client("acme") as client:
        again = await client.complete(client.request(PROMPT, request_id="r1"))
        same = await client.look_up(client.request("Another one?", request_id="r2"))
        with refused(grpc.StatusCode.ALREADY_EXISTS):
            await client.complete(client.request("Yet another.", request_id="r1"))
        sums = await totals(client, "acme")

    assert again.report.replayed
    assert again.report.response_id == first.report.response_id
    assert same.advice.ticket == looked_up.advice.ticket
    assert sums.n_requests == 2
