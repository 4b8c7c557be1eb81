"""Expected costs follow the lengths of a namespace's answers, also after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest
from service.harness import SMALL_NANOS, Service, serving

from scrimp.client import Client

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def expected_cost(service: Service, client: Client, prompt: str) -> int:
    done = await client.complete(prompt)
    return next(
        one.expected_cost_usd_nanos
        for one in done.report.routing.candidates
        if one.model == "small"
    )


async def test_what_an_answer_costs_is_learned_and_remembered(tmp_path: Path) -> None:
    """300 tokens are assumed at first; the puppet's answers have 100."""
    folder = tmp_path / "data"
    async with serving(folder) as service, service.client("acme") as client:
        first = await expected_cost(service, client, "Name the largest lake of Peru, please.")
        for n in range(25):
            await client.complete(f"Name the river number {n} of that list, please.")
    async with serving(folder) as service, service.client("acme") as client:
        later = await expected_cost(service, client, "Name the longest road of Peru, please.")

    output = 600  # nano-dollars a token
    assert first - later == 200 * output
    assert later < SMALL_NANOS
