"""The long tail by way of litellm: a stand-in for the library, and a real HTTP upstream behind it.

The library itself brings sixty packages and takes seconds to import, so that the tests do without;
``test_litellm_library.py`` asks the real one, and is collected where that is installed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from fakes_litellm import (
    APIConnectionError,
    BadRequestError,
    FakeLitellm,
    LitellmError,
    RateLimitError,
    Timeout,
    UnsupportedParamsError,
)
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

from router.errors import ProviderError, ProviderRejected, ProviderTimeout, ProviderUnavailable
from router.providers.litellm import LitellmProvider, library
from router.types import Sampling, ToolCall


@pytest.fixture
def fake() -> FakeLitellm:
    """The library."""
    return FakeLitellm()


@pytest_asyncio.fixture
async def provider(upstream: UpstreamServer, fake: FakeLitellm) -> AsyncIterator[LitellmProvider]:
    """The adapter that asks it."""
    provider = LitellmProvider(upstream.url, lambda: KEY, load=lambda: fake)
    yield provider
    await provider.close()


async def test_a_call_is_one_call(
    upstream: UpstreamServer, provider: LitellmProvider, fake: FakeLitellm
) -> None:
    """In the words of chat completions, with our address and key, and no retries of its own."""
    upstream.next(json_of(body({"content": "Hi"})))

    await provider.complete(
        call("bedrock/m", sampling=Sampling(max_tokens=9), extra={"top_k": "5"})
    )

    (said,) = fake.asked
    assert (said["model"], said["max_tokens"], said["top_k"]) == ("bedrock/m", 9, 5)
    assert (said["base_url"], said["api_key"], said["timeout"]) == (upstream.url, KEY, 5.0)
    assert (said["num_retries"], said["max_retries"]) == (0, 0)


async def test_without_address_and_key_the_library_finds_its_own(fake: FakeLitellm) -> None:
    """As for a cloud whose credentials stand in the environment."""
    fake.raises = BadRequestError("no", 400, {})
    provider = LitellmProvider("", lambda: "", load=lambda: fake)

    with pytest.raises(ProviderRejected):
        await provider.complete(call())

    assert not {"base_url", "api_key"} & set(fake.asked[0])


@pytest.mark.parametrize(
    "name", ["api_base", "base_url", "api_key", "mock_response", "extra_headers", "metadata", "x"]
)
async def test_what_might_be_the_librarys_own_is_refused(
    provider: LitellmProvider, fake: FakeLitellm, name: str
) -> None:
    """A caller must not choose where key and prompt go; nobody is called."""
    with pytest.raises(ProviderRejected, match=name) as caught:
        await provider.complete(call(extra={name: '"https://elsewhere"'}))

    assert caught.value.kind == "unsupported_field"
    assert fake.asked == []


async def test_tool_calls_and_usage_are_gathered(
    upstream: UpstreamServer, provider: LitellmProvider
) -> None:
    """From chunks, as those of any chat completion."""
    first = {"index": 0, "id": "c1", "function": {"name": "f", "arguments": '{"a"'}}
    rest = {"index": 0, "function": {"arguments": ": 1}"}}
    upstream.next(
        events_of(
            chunk({"tool_calls": [first]}),
            chunk({"tool_calls": [rest]}),
            chunk({}, "tool_calls"),
            chunk() | {"choices": [], "usage": WIRE_USAGE},
        )
    )

    deltas, done = await gathered(provider, call())

    assert done.answer.tool_calls == (ToolCall(id="c1", name="f", arguments_json='{"a": 1}'),)
    assert deltas[-1].tool_calls == done.answer.tool_calls
    assert done.usage == USAGE


@pytest.mark.parametrize(
    ("raised", "kind", "word", "is_retryable"),
    [
        (Timeout("late", 408, {}), ProviderTimeout, "timeout", True),
        (UnsupportedParamsError("n", 400, {}), ProviderRejected, "unsupported_parameter", False),
        (BadRequestError("too long", 400, {}), ProviderRejected, "http_400", False),
        (APIConnectionError("refused", 500, {}), ProviderUnavailable, "broken", True),
        (LitellmError("no", 502, {}), ProviderUnavailable, "http_502", True),
        (KeyError("choices"), ProviderUnavailable, "broken", True),
    ],
)
@pytest.mark.parametrize("is_streamed", [False, True])
async def test_errors_are_mapped_by_class_and_status(
    provider: LitellmProvider,
    fake: FakeLitellm,
    raised: Exception,
    kind: type[ProviderError],
    word: str,
    is_retryable: bool,
    is_streamed: bool,
) -> None:
    """Whatever the library raises is an error of ours."""
    fake.raises = raised

    with pytest.raises(kind) as caught:
        await asked(provider, call(), is_streamed=is_streamed)

    assert (caught.value.kind, caught.value.is_retryable) == (word, is_retryable)


async def test_retry_after_and_faults_of_the_account_are_read(
    provider: LitellmProvider, fake: FakeLitellm
) -> None:
    """From the headers of the library's error, and from its words without the library's prefix."""
    fake.raises = RateLimitError("slow down", 429, {"Retry-After": "7"})
    with pytest.raises(ProviderUnavailable) as busy:
        await provider.complete(call())
    fake.raises = RateLimitError("insufficient credits", 429, {})
    with pytest.raises(ProviderUnavailable) as broke:
        await provider.complete(call())

    assert (busy.value.retry_after_s, busy.value.is_account_fault) == (7.0, False)
    assert broke.value.is_account_fault


async def test_a_key_is_never_shown(provider: LitellmProvider, fake: FakeLitellm) -> None:
    """Not even where the library says it back."""
    fake.raises = BadRequestError(f"no such key: {KEY}", 400, {})

    with pytest.raises(ProviderRejected) as caught:
        await provider.complete(call())

    assert KEY not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_silent_provider_is_given_up(
    upstream: UpstreamServer, provider: LitellmProvider, is_streamed: bool
) -> None:
    """After ``total_s``, of a stream after the time to its first piece."""
    upstream.next(hang())
    impatient = call()
    object.__setattr__(impatient, "total_s", 0.2)

    with pytest.raises(ProviderTimeout) as caught:
        await asked(provider, impatient, is_streamed=is_streamed)

    assert caught.value.is_billable


async def test_a_caller_who_leaves_ends_the_call(
    upstream: UpstreamServer, provider: LitellmProvider, fake: FakeLitellm
) -> None:
    """The library's stream is closed with ours."""
    upstream.next(events_of(*[chunk({"content": "a"})] * 50, pause_s=0.05))
    events = provider.stream(call())

    await anext(events)
    await events.aclose()

    assert [stream.is_closed for stream in fake.streams] == [True]


async def test_a_cancelled_call_is_over(
    upstream: UpstreamServer, provider: LitellmProvider
) -> None:
    """Cancellation goes through, and is no error of a provider."""
    upstream.next(hang())
    running = asyncio.create_task(provider.complete(call()))
    while not upstream.seen:  # noqa: ASYNC110  nothing tells when it is there
        await asyncio.sleep(0.01)

    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.setitem(__import__("sys").modules, "litellm", None)

    with pytest.raises(ImportError, match=r"pip install 'scrimp\[litellm\]'"):
        library()
