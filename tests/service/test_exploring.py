"""Audits of routing through the whole service: who is asked, what it costs, what is learned."""

from __future__ import annotations

from pathlib import Path

import pytest
from service.harness import LARGE_NANOS, SMALL_NANOS, serving, totals

from classifier.local import FEWEST

pytestmark = pytest.mark.asyncio(loop_scope="session")

ALWAYS = {"audits.route_share": 1.0, "cache.max_error_rate": 0.0}
ONLY_TWO = {**ALWAYS, "namespaces": {"acme": {"allowed_models": ["small", "large"]}}}


async def test_the_baseline_is_asked_too_and_the_caller_pays_for_one(tmp_path: Path) -> None:
    """Its cost is an audit's: no request, and off what was saved."""
    prompt = "Name the largest lake of Peru, please."
    async with (
        serving(tmp_path / "data", overrides=ONLY_TWO) as service,
        service.client("acme") as client,
    ):
        done = await client.complete(prompt)
        await service.running.app.exploring.idle()
        sums = await totals(client, "acme")

    assert done.report.cost.cost_usd_nanos == SMALL_NANOS
    assert service.puppet.models(prompt) == ["puppet-small", "puppet-large"]
    assert (sums.n_requests, sums.n_audits) == (1, 1)
    assert sums.saved_usd_nanos_by_cause["audit"] == -LARGE_NANOS


async def test_what_is_learned_changes_the_route_without_a_restart(tmp_path: Path) -> None:
    """The small model's answers differ from the baseline's, time and again: it is given up."""
    folder = tmp_path / "data"
    async with (
        serving(folder, overrides=ONLY_TWO) as service,
        service.client("acme") as client,
    ):
        app = service.running.app
        for n in range(FEWEST):
            prompt = f"Name the river number {n} of that list, please."
            service.puppet.says(prompt, "Yes, that is the Loire.", "No, it is 17 metres high.")
            done = await client.complete(prompt)
            assert done.report.model == "small"
            await app.exploring.idle()
        await app.learned.refresh()
        later = await client.complete("Name the longest road of Peru, please.")
    async with serving(folder, overrides=ONLY_TWO) as service, service.client("acme") as client:
        again = await client.complete("Name the longest road of Chile, please.")

    assert later.report.model == "large"
    assert again.report.model == "large", "and it is remembered"


async def test_what_may_be_personal_is_put_to_nobody_else(tmp_path: Path) -> None:
    """Nor is anything of it kept, though its user is known."""
    prompt = "What is the status of my order, my e-mail is ada@example.com?"
    async with (
        serving(tmp_path / "data", overrides=ONLY_TWO) as service,
        service.client("acme") as client,
    ):
        app = service.running.app
        await client.complete(client.request(prompt, user="ada"))
        await app.exploring.idle()
        sums = await totals(client, "acme")

    assert len(service.puppet.models(prompt)) == 1
    assert sums.n_audits == 0


async def test_without_asking_for_it_nobody_is_asked(tmp_path: Path) -> None:
    """Off by default; with no-store and beyond the budget never."""
    prompt = "Name the largest lake of Peru, please."
    async with serving(tmp_path / "a") as service, service.client("acme") as client:
        await client.complete(prompt)
        await service.running.app.exploring.idle()
        assert service.puppet.models(prompt) == ["puppet-small"]
    broke = {**ONLY_TWO, "audits.budget_usd_per_day": 0.0}
    async with (
        serving(tmp_path / "b", overrides=broke) as service,
        service.client("acme") as client,
    ):
        await client.complete(prompt)
        await service.running.app.exploring.idle()
        assert service.puppet.models(prompt) == ["puppet-small"]
    async with (
        serving(tmp_path / "c", overrides=ONLY_TWO) as service,
        service.client("acme") as client,
    ):
        request = client.request(prompt)
        request.cache_control.no_store = True
        await client.complete(request)
        await service.running.app.exploring.idle()
        assert service.puppet.models(prompt) == ["puppet-small"]
