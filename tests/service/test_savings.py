"""What was spent and saved: the sums are those of the responses."""

from __future__ import annotations

import asyncio
import json

import grpc
import pytest
from service.harness import LARGE_NANOS, SMALL_NANOS, Service, report, totals

from router.commands.report import report as report_command
from router.errors import ProviderUnavailable
from router.ledger.types import SavingsQuery
from scrimp.client import Client
from scrimp.v1 import gateway_pb2, savings_pb2

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT = "How do volcanoes form under the sea?"


async def some_traffic(service: Service, client: Client) -> list[gateway_pb2.CompleteResponse]:
    """A miss, an exact and a near hit, a pinned call, a fallback, a bypass; by two users."""
    down = ProviderUnavailable("down", kind="http_503")
    service.puppet.says("Why is glass transparent?", down, "Because of its band gap.")
    pinned = client.request("Why do cats purr?", user="ann", feature="chat")
    pinned.wishes.pinned_model = "large"
    weak = client.request("Why do dogs bark?", user="ann", feature="chat", task="t1")
    weak.wishes.pinned_model = "weak"
    bypass = client.request(PROMPT, user="bob", feature="search")
    bypass.cache_control.bypass = True
    requests = [
        client.request("How do I bake sourdough bread at home?", user="ann", feature="chat"),
        client.request("How do I bake sourdough bread at home?", user="bob", feature="chat"),
        client.request("how do i bake sourdough bread at home", user="bob", feature="search"),
        pinned,
        weak,
        client.request("Why is glass transparent?", user="bob", feature="search"),
        bypass,
    ]
    return [await client.complete(request) for request in requests]


async def test_the_sums_are_those_of_the_responses(
    service: Service, client: Client, namespace: str
) -> None:
    """Cost, baseline and saved add up to the nano, and by cause as well."""
    done = await some_traffic(service, client)

    sums = await totals(client, namespace)

    costs = [one.report.cost for one in done]
    assert sums.n_requests == sums.n_priced == len(done)
    assert sums.cost_usd_nanos == sum(cost.cost_usd_nanos for cost in costs)
    assert sums.baseline_usd_nanos == sum(cost.baseline_usd_nanos for cost in costs)
    assert sums.saved_usd_nanos == sum(cost.saved_usd_nanos for cost in costs)
    assert sums.cost_usd_nanos + sums.saved_usd_nanos == sums.baseline_usd_nanos
    assert sum(sums.saved_usd_nanos_by_cause.values()) == sums.saved_usd_nanos
    assert sums.saved_usd_nanos_by_cause["exact"] == LARGE_NANOS
    assert sums.saved_usd_nanos_by_cause["near"] == LARGE_NANOS
    assert dict(sums.n_by_outcome) == {"miss": 4, "exact": 1, "near": 1, "bypass": 1}
    assert dict(sums.n_by_model) == {"small": 3, "large": 1, "weak": 1}
    assert (sums.n_attempts, sums.n_failed_attempts) == (6, 1)
    assert (sums.input_tokens, sums.output_tokens) == (5_000, 500)


@pytest.mark.parametrize("by", ["user", "feature", "task", "model", "namespace", "conversation"])
async def test_groups_add_up_to_the_whole(
    service: Service, client: Client, namespace: str, by: str
) -> None:
    """However it is cut, nothing is lost and nothing counted twice."""
    await some_traffic(service, client)

    found = await report(client, namespace, by)

    groups = found.groups
    assert sum(group.totals.n_requests for group in groups) == found.totals.n_requests
    assert sum(group.totals.saved_usd_nanos for group in groups) == found.totals.saved_usd_nanos
    for group in groups:
        cost, saved = group.totals.cost_usd_nanos, group.totals.saved_usd_nanos
        assert cost + saved == group.totals.baseline_usd_nanos


async def test_groups_name_their_keys(service: Service, client: Client, namespace: str) -> None:
    """Two keys: in the order in which they were asked for."""
    await some_traffic(service, client)

    found = await report(client, namespace, "user", "feature")

    by_keys = {tuple(group.keys): group.totals.n_requests for group in found.groups}
    assert by_keys == {("ann", "chat"): 3, ("bob", "search"): 3, ("bob", "chat"): 1}


async def test_filters_select(service: Service, client: Client, namespace: str) -> None:
    """By user and feature, and by time: since is inclusive, until exclusive."""
    start_ms = int(service.clock.now_s * 1e3)
    await client.complete(client.request(PROMPT, user="ann"))
    service.clock.advance(10)
    await client.complete(client.request(PROMPT, user="bob"))
    later_ms = start_ms + 10_000

    async def n_requests(**fields: object) -> int:
        wanted = savings_pb2.SavingsFilter(namespace=namespace, **fields)  # type: ignore[arg-type]
        request = savings_pb2.GetSavingsRequest(filter=wanted)
        return (await client.savings.GetSavings(request)).report.totals.n_requests

    assert await n_requests() == 2
    assert await n_requests(user="ann") == 1
    assert await n_requests(user="nobody") == 0
    assert await n_requests(since_ms=later_ms) == 1
    assert await n_requests(since_ms=start_ms, until_ms=later_ms) == 1
    assert await n_requests(until_ms=start_ms) == 0


async def test_unknown_prices_are_counted_apart(
    service: Service, client: Client, namespace: str
) -> None:
    """A model without a price: the request stands outside the identity, never as 0."""
    request = client.request(PROMPT)
    request.wishes.pinned_model = "unpriced"

    done = await client.complete(request)
    await client.complete("How is glass made?")

    assert not done.report.cost.HasField("cost_usd_nanos")
    assert not done.report.cost.HasField("saved_usd_nanos")
    assert done.report.cost.baseline_usd_nanos == LARGE_NANOS
    sums = await totals(client, namespace)
    assert (sums.n_requests, sums.n_priced, sums.n_unpriced) == (2, 1, 1)
    assert (sums.cost_usd_nanos, sums.baseline_usd_nanos) == (SMALL_NANOS, LARGE_NANOS)


async def test_a_report_carries_stages_and_assumptions(client: Client, namespace: str) -> None:
    """p50 and p99 of every stage that was passed, and what the baseline takes for granted."""
    await client.complete(PROMPT)
    await client.complete(PROMPT)

    found = await report(client, namespace)

    by_stage = {stage.stage: stage for stage in found.stages}
    assert (by_stage["total"].n, by_stage["upstream"].n) == (2, 1)
    assert 0 < by_stage["total"].p50_ms <= by_stage["total"].p99_ms
    assert any("tokens" in words for words in found.assumptions)


async def test_savings_can_be_watched(client: Client, namespace: str) -> None:
    """The stream brings the sums at once and again after every interval."""
    wanted = savings_pb2.SavingsFilter(namespace=namespace)
    call = client.savings.WatchSavings(savings_pb2.WatchSavingsRequest(filter=wanted, interval_s=1))
    first = await call.read()
    await client.complete(PROMPT)

    second = await asyncio.wait_for(call.read(), 5)
    call.cancel()

    assert isinstance(first, savings_pb2.WatchSavingsResponse)
    assert isinstance(second, savings_pb2.WatchSavingsResponse)
    assert first.report.totals.n_requests == 0
    assert second.report.totals.n_requests == 1


@pytest.mark.parametrize("interval_s", [0.0, -1.0, 0.5, 3601.0, float("nan"), float("inf")])
async def test_a_nonsensical_interval_is_refused(client: Client, interval_s: float) -> None:
    """INVALID_ARGUMENT before any report."""
    call = client.savings.WatchSavings(savings_pb2.WatchSavingsRequest(interval_s=interval_s))

    with pytest.raises(grpc.aio.AioRpcError, match="interval_s is a number in"):
        await call.read()


@pytest.mark.parametrize("group_by", [["colour"], ["user", "model", "day"], ["user", "user"]])
async def test_a_nonsensical_grouping_is_refused(client: Client, group_by: list[str]) -> None:
    """INVALID_ARGUMENT, and the sentence names what can be grouped by."""
    wanted = savings_pb2.SavingsFilter(group_by=group_by)

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.savings.GetSavings(savings_pb2.GetSavingsRequest(filter=wanted))

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "group" in (caught.value.details() or "")


async def test_scrimp_report_sees_the_same(
    service: Service, client: Client, namespace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command reads the ledger of the running service and comes to the same sums."""
    await some_traffic(service, client)
    by_wire = await totals(client, namespace)

    status = await asyncio.to_thread(
        report_command, service.folder, SavingsQuery(namespace=namespace), True
    )

    assert status == 0
    by_command = json.loads(capsys.readouterr().out)["totals"]
    assert by_command["n_requests"] == by_wire.n_requests
    assert by_command["cost_nanos"] == by_wire.cost_usd_nanos
    assert by_command["baseline_nanos"] == by_wire.baseline_usd_nanos
    assert by_command["saved_nanos"] == by_wire.saved_usd_nanos


async def test_metrics_count_the_same(service: Service, client: Client) -> None:
    """What a scrape shows grows with the ledger, under conventional names."""
    await client.complete(PROMPT)

    page = service.running.app.metrics.exposition().decode()

    assert "# TYPE scrimp_requests_total counter" in page
    assert 'outcome="miss"' in page
    assert "scrimp_cache_entries" in page
