"""The real litellm library before a real HTTP upstream; collected where it is installed."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from fakes_upstream import (
    KEY,
    USAGE,
    WIRE_USAGE,
    UpstreamServer,
    asked,
    body,
    call,
    chunk,
    events_of,
    gathered,
    hang,
    json_of,
)

from router.errors import ProviderRejected, ProviderTimeout, ProviderUnavailable
from router.providers.litellm import LitellmProvider

pytestmark = pytest.mark.filterwarnings("ignore")  # the library's own


@pytest_asyncio.fixture
async def provider(upstream: UpstreamServer) -> AsyncIterator[LitellmProvider]:
    """The adapter with the library as it is."""
    provider = LitellmProvider(upstream.url, lambda: KEY)
    yield provider
    await provider.close()


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_an_answer_comes_with_its_usage(
    upstream: UpstreamServer, provider: LitellmProvider, is_streamed: bool
) -> None:
    """Whole and streamed; the key goes to our upstream and nowhere else."""
    pieces = [chunk({"content": "By "}), chunk({"content": "magma."}), chunk({}, "stop")]
    usage = chunk() | {"choices": [], "usage": WIRE_USAGE}
    whole = json_of(body({"content": "By magma."}))
    upstream.next(events_of(*pieces, usage) if is_streamed else whole)

    done = await asked(provider, call("openai/m"), is_streamed=is_streamed)

    assert (done.answer.text, done.answer.finish_reason) == ("By magma.", "stop")
    assert done.usage == USAGE
    assert upstream.seen[-1].authorization == f"Bearer {KEY}"
    assert upstream.seen[-1].body["model"] == "m"


async def test_the_library_writes_nothing_into_the_log(
    upstream: UpstreamServer,
    provider: LitellmProvider,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its lines may quote prompts and keys, above all where a call fails."""
    upstream.next(json_of({"error": {"message": f"no such key: {KEY}"}}, 400))

    with caplog.at_level(logging.DEBUG), pytest.raises(ProviderRejected):
        await provider.complete(call("openai/m"))

    written = caplog.text + "".join(capsys.readouterr())
    assert "volcanoes" not in written
    assert KEY not in written


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, ProviderRejected), (401, ProviderUnavailable), (503, ProviderUnavailable)],
)
async def test_a_refusal_is_one_call_and_an_error_of_ours(
    upstream: UpstreamServer,
    provider: LitellmProvider,
    status: int,
    kind: type[ProviderRejected] | type[ProviderUnavailable],
) -> None:
    """The library does not retry."""
    upstream.next(json_of({"error": {"message": "no"}}, status))

    with pytest.raises(kind) as caught:
        await provider.complete(call("openai/m"))

    assert caught.value.kind == f"http_{status}"
    assert len(upstream.seen) == 1


async def test_silence_is_given_up(upstream: UpstreamServer, provider: LitellmProvider) -> None:
    """After the call's own time."""
    upstream.next(hang())
    impatient = call("openai/m")
    object.__setattr__(impatient, "total_s", 0.5)

    with pytest.raises(ProviderTimeout):
        await provider.complete(impatient)


async def test_a_stream_that_is_left_is_closed(
    upstream: UpstreamServer, provider: LitellmProvider
) -> None:
    """And the next call works."""
    upstream.next(events_of(*[chunk({"content": "a"})] * 50, chunk({}, "stop"), pause_s=0.02))
    events = provider.stream(call("openai/m"))
    await anext(events)
    await events.aclose()
    upstream.next(events_of(chunk({"content": "b"}), chunk({}, "stop")))

    _, done = await gathered(provider, call("openai/m"))

    assert done.answer.text == "b"
