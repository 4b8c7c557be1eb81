"""Modes off, shadow and on: what they serve, what they report, and how they are switched."""

from __future__ import annotations

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
    Service,
    refused,
    serving,
    streamed,
    totals,
)

from scrimp.client import Client
from scrimp.v1 import admin_pb2, chat_pb2

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT = "How do volcanoes form under the sea?"


async def test_off_only_meters(service: Service, client: Client, namespace: str) -> None:
    """Everything goes to the baseline, nothing is looked up or kept; costs are counted."""
    await client.set_mode(admin_pb2.MODE_OFF)

    done = [await client.complete(PROMPT) for _ in range(2)]

    for one in done:
        assert one.report.cache.outcome == BYPASS
        assert one.report.cache.miss_reason == chat_pb2.MISS_REASON_MODE_OFF
        assert not one.report.cache.entry_id
        assert one.report.model == "large"
        assert (one.report.cost.cost_usd_nanos, one.report.cost.saved_usd_nanos) == (LARGE_NANOS, 0)
        assert not one.report.HasField("shadow")
    sums = await totals(client, namespace)
    assert (sums.cost_usd_nanos, sums.saved_usd_nanos) == (2 * LARGE_NANOS, 0)


async def test_shadow_serves_nothing(service: Service, client: Client) -> None:
    """A repeat is answered by the baseline model, freshly; the report says what would have been."""
    service.puppet.says(PROMPT, "First.", "Second.")
    await client.set_mode(admin_pb2.MODE_SHADOW)

    first = await client.complete(PROMPT)
    second = await client.complete(PROMPT)

    assert (first.answer.text, second.answer.text) == ("First.", "Second.")
    assert {first.report.model, second.report.model} == {"large"}
    assert {first.report.cache.outcome, second.report.cache.outcome} == {MISS}
    assert {first.report.cost.saved_usd_nanos, second.report.cost.saved_usd_nanos} == {0}
    assert first.report.shadow == chat_pb2.Shadow(
        outcome=MISS, model="small", saved_usd_nanos=LARGE_NANOS - SMALL_NANOS
    )
    assert second.report.shadow == chat_pb2.Shadow(
        outcome=EXACT, model="large", saved_usd_nanos=LARGE_NANOS
    )


async def test_shadow_refuses_nothing(tmp_path: Path) -> None:
    """What mode on would refuse, here a request dearer than it may be, goes to the baseline."""
    more = '[namespaces.thrifty]\nmode = "shadow"\nmax_cost_per_request = 1e-9\n'
    async with (
        serving(tmp_path / "data", more=more) as service,
        service.client("thrifty") as client,
    ):
        done = await client.complete(PROMPT)

        assert done.report.model == "large"
        assert not done.report.HasField("shadow")
        await client.set_mode(admin_pb2.MODE_ON)
        with refused(grpc.StatusCode.FAILED_PRECONDITION, "a request"):
            await client.complete("Another question about volcanoes?")


async def test_shadow_sums_what_it_would_have_saved(client: Client, namespace: str) -> None:
    """The would-be savings stand outside every other sum, which show what was really spent."""
    await client.set_mode(admin_pb2.MODE_SHADOW)

    done = [await client.complete(PROMPT) for _ in range(3)]

    sums = await totals(client, namespace)
    assert sums.n_shadow_hits == 2
    would_be = sum(one.report.shadow.saved_usd_nanos for one in done)
    assert sums.shadow_saved_usd_nanos == would_be == 3 * LARGE_NANOS - SMALL_NANOS
    assert (sums.cost_usd_nanos, sums.saved_usd_nanos) == (3 * LARGE_NANOS, 0)


async def test_shadow_finds_near_duplicates_after_exact_repeats(client: Client) -> None:
    """What is kept in shadow mode is kept as in mode on: a repeat costs no near-duplicate."""
    await client.set_mode(admin_pb2.MODE_SHADOW)
    for _ in range(2):
        await client.complete("How do I bake sourdough bread at home?")

    near = await client.complete("how do i bake sourdough bread at home")

    assert near.report.shadow.outcome == NEAR


async def test_shadow_streams_the_fresh_answer(service: Service, client: Client) -> None:
    """A stream serves nothing stored either."""
    service.puppet.says(PROMPT, "The first answer.", "The second answer.")
    await client.set_mode(admin_pb2.MODE_SHADOW)
    await streamed(client, PROMPT)

    pieces, done = await streamed(client, PROMPT)

    assert "".join(pieces) == done.answer.text == "The second answer."
    assert done.report.shadow.outcome == EXACT


async def test_a_mode_is_switched_at_run_time(client: Client) -> None:
    """What shadow has learnt serves as soon as the mode is on, and stays unserved when off."""
    await client.set_mode(admin_pb2.MODE_SHADOW)
    await client.complete(PROMPT)

    switched = await client.set_mode(admin_pb2.MODE_ON)
    hit = await client.complete(PROMPT)
    await client.set_mode(admin_pb2.MODE_OFF)
    off = await client.complete(PROMPT)

    assert (switched.before, switched.now) == (admin_pb2.MODE_SHADOW, admin_pb2.MODE_ON)
    assert hit.report.cache.outcome == EXACT
    assert off.report.cache.outcome == BYPASS


async def test_a_mode_can_be_asked_for_and_given_back(service: Service) -> None:
    """MODE_UNSPECIFIED forgets what was set at run time; the file's word holds again."""
    request = admin_pb2.GetModeRequest(namespace="metered")
    async with service.client("metered") as client:
        of_file = await client.admin.GetMode(request)
        await client.set_mode(admin_pb2.MODE_ON)
        set_now = await client.admin.GetMode(request)
        back = await client.set_mode(admin_pb2.MODE_UNSPECIFIED)
        after = await client.admin.GetMode(request)

    assert (of_file.mode, of_file.is_override) == (admin_pb2.MODE_OFF, False)
    assert (set_now.mode, set_now.is_override) == (admin_pb2.MODE_ON, True)
    assert (back.before, back.now) == (admin_pb2.MODE_ON, admin_pb2.MODE_OFF)
    assert (after.mode, after.is_override) == (admin_pb2.MODE_OFF, False)


async def test_an_unknown_mode_is_refused(client: Client) -> None:
    """A number that is no mode: INVALID_ARGUMENT, and nothing is switched."""
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "mode is 9"):
        await client.set_mode(9)  # type: ignore[arg-type]


async def test_a_mode_survives_a_restart(tmp_path: Path) -> None:
    """What was set at run time holds until it is set again."""
    async with serving(tmp_path / "data") as service, service.client("acme") as client:
        await client.set_mode(admin_pb2.MODE_OFF)

    async with serving(tmp_path / "data") as service, service.client("acme") as client:
        kept = await client.admin.GetMode(admin_pb2.GetModeRequest(namespace="acme"))
        done = await client.complete(PROMPT)

    assert (kept.mode, kept.is_override) == (admin_pb2.MODE_OFF, True)
    assert done.report.cache.outcome == BYPASS


async def test_answers_and_sums_survive_a_restart(tmp_path: Path) -> None:
    """Exact and near hits go on where they were, and so do the savings."""
    overrides = {"cache.max_error_rate": 0.1}
    stored = "How do I bake sourdough bread at home?"
    async with (
        serving(tmp_path / "data", overrides=overrides) as service,
        service.client("acme") as client,
    ):
        first = await client.complete(stored)

    async with (
        serving(tmp_path / "data", overrides=overrides) as service,
        service.client("acme") as client,
    ):
        exact = await client.complete(stored)
        near = await client.complete("how do i bake sourdough bread at home")
        sums = await totals(client, "acme")

    assert (exact.report.cache.outcome, near.report.cache.outcome) == (EXACT, NEAR)
    assert exact.answer == near.answer == first.answer
    assert exact.report.usage == first.report.usage
    assert dict(sums.n_by_outcome) == {"miss": 1, "exact": 1, "near": 1}
    assert sums.saved_usd_nanos == 3 * LARGE_NANOS - SMALL_NANOS
