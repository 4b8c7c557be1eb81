"""A call that is made whatever encoder and scorer say does not wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from service.harness import EXACT, MISS, NEAR, Service, eventually

from classifier.errors import BatcherClosed
from router.understand import Ask, Understanding
from scrimp.client import Client
from scrimp.v1 import chat_pb2

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROMPT = "How do volcanoes form under the sea?"
ALIKE = "how do volcanoes form under the sea"


class Held:
    """Stands before the encoder.

    Attributes:
        asked: what has come.
        opened: set to let it through.
        error: what comes out instead.
    """

    def __init__(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        decider = service.running.app.pipeline._decider
        self._understand = decider._understand
        self.asked: list[Ask] = []
        self.opened = asyncio.Event()
        self.error: Exception | None = None
        monkeypatch.setattr(decider, "_understand", self.passed)

    async def passed(self, ask: Ask) -> Understanding:
        self.asked.append(ask)
        await self.opened.wait()
        if self.error is not None:
            raise self.error
        return await self._understand(ask)


@pytest.fixture
def held(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    """The encoder, held; let through at the end, so that nothing is left waiting."""
    encoder = Held(service, monkeypatch)
    yield encoder
    encoder.opened.set()


def pinned(client: Client, prompt: str) -> chat_pb2.ChatRequest:
    """A request for a named model."""
    request = client.request(prompt)
    request.wishes.pinned_model = "small"
    return request


async def test_a_pinned_call_with_nothing_near_begins_at_once(client: Client, held: Held) -> None:
    """Its first words are out before the encoder has spoken; what that said is kept all the same.

    The answer is found by a text alike and, since it was scored, by whoever asks for no model.
    """
    stream = client.stream(pinned(client, PROMPT))
    first = await anext(stream)

    assert first.delta.text
    await eventually(lambda: len(held.asked) == 1)
    held.opened.set()
    *_, last = [event async for event in stream]
    report = last.done.report
    assert report.cache.outcome == MISS
    assert report.routing.scorer not in ("", "unscored")
    near = await client.complete(pinned(client, ALIKE))
    routed = await client.complete(PROMPT)
    assert near.report.cache.outcome == NEAR
    assert routed.report.cache.outcome == EXACT


async def test_a_pinned_call_waits_where_something_may_be_near(
    service: Service, client: Client, held: Held
) -> None:
    """An answer that serves is not bought again to be quick."""
    held.opened.set()
    await client.complete(pinned(client, PROMPT))
    held.opened.clear()
    n_calls = len(service.puppet.calls)

    asking = asyncio.create_task(client.complete(pinned(client, ALIKE)))
    await eventually(lambda: len(held.asked) == 2)
    n_calls_meanwhile = len(service.puppet.calls)
    held.opened.set()
    done = await asking

    assert n_calls_meanwhile == n_calls
    assert done.report.cache.outcome == NEAR


async def test_a_routed_call_waits_for_its_score(
    service: Service, client: Client, held: Held
) -> None:
    """Which model is cheapest is not known before."""
    n_calls = len(service.puppet.calls)

    asking = asyncio.create_task(client.complete(PROMPT))
    await eventually(lambda: len(held.asked) == 1)
    n_calls_meanwhile = len(service.puppet.calls)
    held.opened.set()
    await asking

    assert n_calls_meanwhile == n_calls


async def test_an_answer_in_hand_is_not_lost_to_the_encoder(client: Client, held: Held) -> None:
    """Where it says nothing any more, the answer goes out, and is found by its own words."""
    held.error = BatcherClosed("the service is stopping")
    held.opened.set()

    done = await client.complete(pinned(client, PROMPT))

    held.error = None
    assert done.report.cache.outcome == MISS
    again = await client.complete(pinned(client, PROMPT))
    assert again.report.cache.outcome == EXACT
