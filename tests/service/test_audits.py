"""Audits and near misses through the whole service: what is called, what it costs, what is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from service.harness import (
    LARGE_NANOS,
    MISS,
    NEAR,
    SMALL_NANOS,
    WIRE_USAGE,
    Service,
    refused,
    serving,
    totals,
)

from cache.calibration import Source
from router.errors import ProviderUnavailable
from router.ledger.labels import labelled_pairs
from scrimp.client import Client
from scrimp.v1 import feedback_pb2

pytestmark = pytest.mark.asyncio(loop_scope="session")

STORED = "How do I bake sourdough bread at home?"
ASKED = "how do i bake sourdough bread at home"
ANSWER = "Mix, wait, bake."
OVERRIDES = {
    "audits.share": 1.0,
    "audits.twin_share": 0.0,
    "audits.shadow_share": 1.0,
    "cache.max_error_rate": 0.1,
}


@asynccontextmanager
async def auditing(folder: Path, **more: object) -> AsyncIterator[tuple[Service, Client]]:
    overrides: Mapping[str, object] = {**OVERRIDES, **more}
    async with serving(folder, overrides=overrides) as service, service.client("acme") as client:
        service.puppet.says(STORED, ANSWER)
        yield service, client


async def test_an_audit_costs_what_it_costs_and_the_hit_stays_free(tmp_path: Path) -> None:
    """Cost + saved = baseline, with the audit's cost taken off what was saved."""
    async with auditing(tmp_path / "data") as (service, client):
        service.puppet.says(ASKED, ANSWER)
        first = await client.complete(STORED)
        near = await client.complete(ASKED)
        await service.running.app.audits.idle()
        sums = await totals(client, "acme")

    assert near.report.cache.outcome == NEAR
    assert (near.report.cost.cost_usd_nanos, near.answer) == (0, first.answer)
    assert service.puppet.models(ASKED) == ["puppet-small"], "by the model that made the entry"
    assert (sums.n_requests, sums.n_audits) == (2, 1)
    assert sums.cost_usd_nanos == 2 * SMALL_NANOS
    assert sums.baseline_usd_nanos == 2 * LARGE_NANOS
    assert sums.saved_usd_nanos == 2 * (LARGE_NANOS - SMALL_NANOS)
    assert dict(sums.saved_usd_nanos_by_cause) == {
        "near": LARGE_NANOS,
        "routing": LARGE_NANOS - SMALL_NANOS,
        "audit": -SMALL_NANOS,
    }


async def test_what_audits_find_is_kept_for_training(tmp_path: Path) -> None:
    """A pair of texts with the verdict."""
    folder = tmp_path / "data"
    async with auditing(folder) as (service, client):
        service.puppet.says(ASKED, "I'm sorry, but I can't help with that.")
        await client.complete(STORED)
        await client.complete(ASKED)
        await service.running.app.audits.idle()

    (pair,) = labelled_pairs(folder)
    assert (pair.asked, pair.stored) == (ASKED, STORED)
    assert (pair.is_same, pair.source) == (False, Source.AUDIT)


async def test_the_caller_does_not_wait_for_the_audit(tmp_path: Path) -> None:
    """The hit is there while the model still thinks; stopping then writes the audit off."""
    async with auditing(tmp_path / "data") as (service, client):
        await client.complete(STORED)
        gate = service.puppet.hold(ASKED)

        near = await client.complete(ASKED)
        await gate.reached.wait()

        assert near.report.cache.outcome == NEAR

    assert service.puppet.cancelled == [ASKED]


async def test_with_no_store_nothing_is_audited(tmp_path: Path) -> None:
    """Its text goes to nobody but the cache's lookup."""
    async with auditing(tmp_path / "data") as (service, client):
        await client.complete(STORED)
        request = client.request(ASKED)
        request.cache_control.no_store = True
        near = await client.complete(request)
        await service.running.app.audits.idle()

    assert near.report.cache.outcome == NEAR
    assert service.puppet.models(ASKED) == []


async def test_a_provider_that_is_down_fails_no_hit(tmp_path: Path) -> None:
    """Hits go on; the audit is accounted as it ended."""
    async with auditing(tmp_path / "data") as (service, client):
        await client.complete(STORED)
        service.puppet.says(ASKED, ProviderUnavailable("down", kind="http_503"))
        near = await client.complete(ASKED)
        await service.running.app.audits.idle()
        sums = await totals(client, "acme")

    assert near.report.cache.outcome == NEAR
    assert (sums.n_audits, sums.saved_usd_nanos_by_cause["audit"]) == (1, 0)


async def test_nobody_can_judge_an_audit(tmp_path: Path) -> None:
    """Its line was received by no one."""
    async with auditing(tmp_path / "data") as (service, client):
        await client.complete(STORED)
        await client.complete(ASKED)
        await service.running.app.audits.idle()
        ledger = service.running.app.ledger
        ids = await ledger._quick.run(
            lambda c: c.execute("SELECT hex(line_id) FROM lines WHERE outcome = 'audit'").fetchall()
        )

        with refused(grpc.StatusCode.NOT_FOUND, "received no request"):
            await client.report(ids[0][0].lower(), feedback_pb2.VERDICT_ADEQUATE)


@pytest.mark.parametrize("door", ["gateway", "advisor"])
async def test_a_needless_miss_is_found(tmp_path: Path, door: str) -> None:
    """In shadow mode the hit that would have been is compared with the answer that came."""
    folder = tmp_path / "data"
    more: dict[str, object] = {"service.mode": "shadow", "audits.share": 0.0}
    async with auditing(folder, **more) as (service, client):
        service.puppet.says(ASKED, ANSWER)
        for prompt in (STORED, ASKED):
            if door == "gateway":
                done = await client.complete(prompt)
                assert done.report.cache.outcome == MISS
            else:
                found = await client.look_up(prompt)
                await client.store(found, ANSWER, usage=WIRE_USAGE, model="large")
        await service.running.app.audits.idle()

    (pair,) = labelled_pairs(folder)
    assert (pair.asked, pair.stored) == (ASKED, STORED)
    assert (pair.is_same, pair.source) == (True, Source.SHADOW)
