"""A cheap answer that falls short for certain is not what the caller gets."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from service.harness import EXACT, LARGE_NANOS, SMALL_NANOS, serving, streamed, totals

from router.errors import ProviderUnavailable
from router.ports import ModelCall
from router.types import Completion
from scrimp.v1 import chat_pb2, gateway_pb2

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT = "Which metals melt in the hand?"
DECLINED = "I'm sorry, but I can't help with that."
# small is adequate here, and large is a little more probably so.
ESCALATING = {
    "routing.escalate": True,
    "routing.quality_target": 0.9,
    "models.small.ability": 0.9,
    "models.large.ability": 1.0,
    "models.unpriced.ability": -50.0,
}


async def test_a_declined_answer_is_asked_of_a_stronger_model(tmp_path: Path) -> None:
    """Both calls are paid, the better answer is served and kept, and the decision says why."""
    async with (
        serving(tmp_path / "data", overrides=ESCALATING) as service,
        service.client("escalating") as client,
    ):
        service.puppet.says(PROMPT, DECLINED, "Gallium does.")

        done = await client.complete(PROMPT)
        again = await client.complete(PROMPT)

        assert done.answer.text == "Gallium does."
        assert done.report.model == "large"
        assert done.report.cost.cost_usd_nanos == SMALL_NANOS + LARGE_NANOS
        assert done.report.cost.saved_usd_nanos == -SMALL_NANOS
        why = {one.model: one.rejection for one in done.report.routing.candidates}
        assert why["small"] == "its answer was a refusal: set aside"
        assert (again.answer.text, again.report.cache.outcome) == ("Gallium does.", EXACT)
        assert service.puppet.models(PROMPT) == ["puppet-small", "puppet-large"]
        sums = await totals(client, "escalating")
    assert sums.n_attempts == 2


async def test_a_stream_is_not_begun_with_an_answer_that_is_set_aside(tmp_path: Path) -> None:
    """Its pieces come when it is known to be served."""
    async with (
        serving(tmp_path / "data", overrides=ESCALATING) as service,
        service.client() as client,
    ):
        service.puppet.says(PROMPT, DECLINED, "Gallium does.")

        pieces, done = await streamed(client, PROMPT)

        assert "".join(pieces) == done.answer.text == "Gallium does."


async def test_where_no_stronger_model_answers_the_first_answer_is_served(tmp_path: Path) -> None:
    """It was paid for, and is more than an error."""
    gone = ProviderUnavailable("no", kind="http_500")
    async with (
        serving(tmp_path / "data", overrides=ESCALATING) as service,
        service.client() as client,
    ):
        service.puppet.says(PROMPT, DECLINED, gone)

        done = await client.complete(PROMPT)

        assert done.answer.text == DECLINED
        assert done.report.model == "small"
        assert not {one.model: one.rejection for one in done.report.routing.candidates}["small"]


async def test_an_answer_in_hand_is_not_lost_to_a_silent_model(tmp_path: Path) -> None:
    """The caller's deadline is near: what there is is served before it passes."""
    async with (
        serving(tmp_path / "data", overrides=ESCALATING) as service,
        service.client() as client,
    ):
        service.puppet.says(PROMPT, DECLINED)
        answered = service.puppet.complete

        async def silent_when_large(call: ModelCall) -> Completion:
            if call.model == "puppet-large":
                await asyncio.sleep(60)
            return await answered(call)

        service.puppet.complete = silent_when_large  # type: ignore[method-assign]
        request = gateway_pb2.CompleteRequest(request=client.request(PROMPT))

        done = await client.gateway.Complete(request, timeout=1.0)

        assert done.answer.text == DECLINED
        assert done.report.model == "small"


async def test_a_good_answer_costs_one_call(tmp_path: Path) -> None:
    """And so does any answer where nobody asked for escalation."""
    async with (
        serving(tmp_path / "data", overrides=ESCALATING) as service,
        service.client() as client,
    ):
        await client.complete(PROMPT)

        assert service.puppet.models(PROMPT) == ["puppet-small"]
    plain = {**ESCALATING, "routing.escalate": False}
    async with serving(tmp_path / "other", overrides=plain) as service, service.client() as client:
        service.puppet.says(PROMPT, DECLINED)

        done = await client.complete(PROMPT)

        assert done.answer == chat_pb2.Answer(text=DECLINED, finish_reason="stop")
        assert service.puppet.models(PROMPT) == ["puppet-small"]
