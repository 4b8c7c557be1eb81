"""A namespace earns its certificate from its own traffic, loses it, and keeps what it knows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pytest
from service.harness import MISS, NEAR, Service, report, serving

from cache.calibration import labels_needed
from scrimp.client import Client
from scrimp.v1 import chat_pb2, savings_pb2

pytestmark = pytest.mark.asyncio(loop_scope="session")

TARGET = 0.1
ENOUGH = labels_needed(TARGET) + 1
OVERRIDES = {
    "audits.share": 1.0,
    "audits.twin_share": 0.0,
    "audits.shadow_share": 0.0,
    "audits.max_waiting": 1_000,
    "cache.max_error_rate": TARGET,
}
_DONE = (
    "repair",
    "paint",
    "sell",
    "insure",
    "photograph",
    "carry",
    "clean",
    "borrow",
    "draw",
    "hide",
)
_THINGS = ("a bicycle", "an old piano", "a wooden boat", "my neighbour's shed", "a marble statue",
           "a garden wall")  # fmt: skip
QUESTIONS = [f"How do I {verb} {thing}?" for thing, verb in product(_THINGS, _DONE)]


async def asked_anew(
    service: Service, client: Client, questions: Sequence[str], *, right: bool
) -> Sequence[int]:
    """Ask each question, then the same without capital and mark; return what the cache did.

    The model, asked again by the audit, says what was stored where that is ``right``, else another
    thing.
    """
    outcomes = []
    for question in questions:
        again = question[0].lower() + question[1:-1]
        service.puppet.says(question, "Slowly and with care, as the manual says.")
        service.puppet.says(
            again,
            "Slowly and with care, as the manual says." if right else "No. Never. 42 times no.",
        )
        await client.complete(question)
        outcomes.append((await client.complete(again)).report.cache.outcome)
    await service.running.app.audits.idle()
    await service.running.app.assurance.refresh()
    return outcomes


async def assured(client: Client) -> savings_pb2.Assurance:
    (found,) = (await report(client, "acme")).assurance
    return found


async def test_a_certificate_is_earned_lost_and_remembered(tmp_path: Path) -> None:
    """Clean audits certify; wrong ones undo it and bar their kind; a restart changes nothing."""
    folder, first, then = tmp_path / "data", QUESTIONS[:ENOUGH], QUESTIONS[ENOUGH:]
    async with serving(folder, overrides=OVERRIDES) as service, service.client("acme") as client:
        clean = await asked_anew(service, client, first, right=True)
        earned = await assured(client)
    async with serving(folder, overrides=OVERRIDES) as service, service.client("acme") as client:
        kept = await assured(client)
        wrong = await asked_anew(service, client, then, right=False)
        lost = await assured(client)
    async with serving(folder, overrides=OVERRIDES) as service, service.client("acme") as client:
        remembered = await assured(client)
        after = await client.complete(QUESTIONS[0][0].lower() + QUESTIONS[0][1:-1])

    assert clean == [NEAR] * len(first)
    assert earned.state == savings_pb2.ASSURANCE_STATE_CERTIFIED
    assert earned.labels_still_needed == 0
    assert earned.error_rate.value == 0
    assert kept == earned
    assert NEAR in wrong
    assert lost.state != savings_pb2.ASSURANCE_STATE_CERTIFIED
    assert lost.error_rate.value > TARGET
    assert list(lost.barred) == ["form"], "what the wrong ones have in common"
    assert remembered == lost
    assert after.report.cache.outcome == MISS
    assert after.report.cache.miss_reason == chat_pb2.MISS_REASON_BARRED
