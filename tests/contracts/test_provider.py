"""The promises of ``Provider``, kept by every adapter; and what the fallback makes of them."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

import pytest
import pytest_asyncio
from aiohttp import web
from fakes_litellm import FakeLitellm
from fakes_requests import chat
from fakes_upstream import (
    KEY,
    USAGE,
    WIRE_USAGE,
    Handler,
    UpstreamServer,
    asked,
    body,
    call,
    chunk,
    events_of,
    gathered,
    hang,
    json_of,
    raw,
    upstream_server,
)
from fakes_wires import anthropic_events, anthropic_message, gemini_chunks, gemini_response

from router.errors import (
    NoModelAvailable,
    ProviderError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from router.fallback import Fallback, Patience, Upstream, Walk
from router.ports import ModelCall, StreamingProvider
from router.providers.anthropic import AnthropicProvider
from router.providers.gemini import GeminiProvider
from router.providers.http import read_retry_after
from router.providers.litellm import LitellmProvider
from router.providers.openai import OpenAIProvider
from router.providers.scripted import ScriptedProvider
from router.types import (
    Answer,
    Completion,
    Delta,
    Message,
    Part,
    Reasoning,
    ResponseFormat,
    Role,
    Sampling,
    Tool,
    ToolCall,
    Usage,
)

TEXT = "Volcanoes form where magma rises."
CALLS = (
    ToolCall(id="c1", name="search", arguments_json='{"q": "lava"}'),
    ToolCall(id="c2", name="look", arguments_json="{}"),
)


@pytest_asyncio.fixture
async def openai(upstream: UpstreamServer) -> AsyncIterator[OpenAIProvider]:
    """An adapter that talks to it."""
    provider = OpenAIProvider(upstream.url, lambda: KEY)
    yield provider
    await provider.close()


# ---- the contract ----------------------------------------------------------------------------


class Rig(Protocol):
    """An adapter, and how to make it answer or fail."""

    provider: StreamingProvider

    def will_say(self, text: str) -> None:
        """Let the next calls answer so."""

    def will_fail(self, kind: type[ProviderError]) -> None:
        """Let the next calls fail so."""


class ScriptedRig:
    """The adapter without a network."""

    def __init__(self) -> None:
        self.provider: StreamingProvider = ScriptedProvider({}, words_per_delta=2)

    def will_say(self, text: str) -> None:
        """See ``Rig``."""
        whole = Completion(answer=Answer(text=text), usage=USAGE, provider_model="m-2026")
        self.provider = ScriptedProvider({"m": whole}, words_per_delta=2)

    def will_fail(self, kind: type[ProviderError]) -> None:
        """See ``Rig``."""
        self.provider = ScriptedProvider({"m": kind("told to fail", kind="scripted")})


class OpenAIRig:
    """The adapter over HTTP, with an upstream that speaks both forms."""

    def __init__(self, upstream: UpstreamServer, provider: StreamingProvider) -> None:
        self.provider = provider
        self._upstream = upstream

    def will_say(self, text: str) -> None:
        """See ``Rig``."""

        async def answer(request: web.Request) -> web.StreamResponse:
            if not (await request.json()).get("stream"):
                return await json_of(body({"content": text}))(request)
            words = [
                chunk({"content": w if n == 0 else f" {w}"}) for n, w in enumerate(text.split(" "))
            ]
            return await events_of(
                *words, chunk({}, "stop"), chunk({}) | {"choices": [], "usage": WIRE_USAGE}
            )(request)

        self._upstream.next(answer)

    def will_fail(self, kind: type[ProviderError]) -> None:
        """See ``Rig``."""
        fail = {
            ProviderUnavailable: json_of({"error": {"message": "overloaded"}}, 503),
            ProviderRejected: json_of({"error": {"message": "bad request"}}, 400),
        }
        self._upstream.next(fail[kind])


Whole = Callable[[Completion], dict[str, Any]]
Events = Callable[[Completion], list[bytes]]


class ForeignRig:
    """An adapter of another wire over HTTP; a stream is asked for in the body or in the path."""

    def __init__(
        self, upstream: UpstreamServer, provider: StreamingProvider, whole: Whole, events: Events
    ) -> None:
        self.provider = provider
        self._upstream = upstream
        self._whole = whole
        self._events = events

    def will_say(self, text: str) -> None:
        """See ``Rig``."""
        said = Completion(answer=Answer(text=text), usage=USAGE, provider_model="m-2026")

        async def answer(request: web.Request) -> web.StreamResponse:
            is_streamed = (await request.json()).get("stream") or "stream" in request.path
            if is_streamed:
                return await events_of(*self._events(said), has_end=False)(request)
            return await json_of(self._whole(said))(request)

        self._upstream.next(answer)

    def will_fail(self, kind: type[ProviderError]) -> None:
        """See ``Rig``."""
        status = {ProviderUnavailable: 503, ProviderRejected: 400}[kind]
        self._upstream.next(json_of({"error": {"message": "no", "type": "some_error"}}, status))


@pytest_asyncio.fixture(params=["scripted", "openai", "anthropic", "gemini", "litellm"])
async def rig(
    request: pytest.FixtureRequest, upstream: UpstreamServer, openai: OpenAIProvider
) -> AsyncIterator[Rig]:
    """Every adapter in turn; a new one is a line here."""
    anthropic = AnthropicProvider(upstream.url, lambda: KEY)
    gemini = GeminiProvider(upstream.url, lambda: KEY)
    rigs: dict[str, Callable[[], Rig]] = {
        "scripted": ScriptedRig,
        "openai": lambda: OpenAIRig(upstream, openai),
        "anthropic": lambda: ForeignRig(upstream, anthropic, anthropic_message, anthropic_events),
        "gemini": lambda: ForeignRig(upstream, gemini, gemini_response, gemini_chunks),
        "litellm": lambda: OpenAIRig(
            upstream, LitellmProvider(upstream.url, lambda: KEY, load=FakeLitellm)
        ),
    }
    yield rigs[request.param]()
    await anthropic.close()
    await gemini.close()


async def test_a_completion_is_whole(rig: Rig) -> None:
    """Text, finish reason, usage with cached tokens, and the provider's own model name."""
    rig.will_say(TEXT)

    done = await rig.provider.complete(call())

    assert done == Completion(answer=Answer(text=TEXT), usage=USAGE, provider_model="m-2026")


async def test_a_stream_makes_the_same_completion(rig: Rig) -> None:
    """Deltas first, in several pieces that add up; the completion once, last."""
    rig.will_say(TEXT)

    deltas, done = await gathered(rig.provider, call())

    assert len(deltas) > 1
    assert "".join(delta.text for delta in deltas) == TEXT
    assert done == Completion(answer=Answer(text=TEXT), usage=USAGE, provider_model="m-2026")


@pytest.mark.parametrize("kind", [ProviderUnavailable, ProviderRejected])
@pytest.mark.parametrize("is_streamed", [False, True])
async def test_failures_are_provider_errors(
    rig: Rig, kind: type[ProviderError], is_streamed: bool
) -> None:
    """Of the right kind, with a short word for the ledger; nothing foreign comes out."""
    rig.will_fail(kind)

    with pytest.raises(kind) as caught:
        await asked(rig.provider, call(), is_streamed=is_streamed)

    assert caught.value.kind
    assert caught.value.is_retryable == (kind is not ProviderRejected)
    assert not caught.value.is_billable


async def test_calls_run_at_the_same_time(rig: Rig) -> None:
    """One adapter serves many."""
    rig.will_say(TEXT)

    done = await asyncio.gather(*(rig.provider.complete(call()) for _ in range(20)))

    assert {one.answer.text for one in done} == {TEXT}


async def test_a_provider_can_be_closed_twice(rig: Rig) -> None:
    """Closing what is closed does nothing."""
    rig.will_say(TEXT)
    await rig.provider.complete(call())

    await rig.provider.close()
    await rig.provider.close()


# ---- OpenAI's wire, read ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "is_retryable"),
    [
        (400, ProviderRejected, False),
        (413, ProviderRejected, False),
        (422, ProviderRejected, False),
        (401, ProviderUnavailable, True),
        (402, ProviderUnavailable, True),
        (403, ProviderUnavailable, True),
        (404, ProviderUnavailable, True),
        (408, ProviderUnavailable, True),
        (429, ProviderUnavailable, True),
        (500, ProviderUnavailable, True),
        (502, ProviderUnavailable, True),
        (503, ProviderUnavailable, True),
        (504, ProviderUnavailable, True),
        (522, ProviderUnavailable, True),
        (524, ProviderUnavailable, True),
        (529, ProviderUnavailable, True),
    ],
)
@pytest.mark.parametrize("is_streamed", [False, True])
async def test_statuses_become_errors(
    upstream: UpstreamServer,
    openai: OpenAIProvider,
    status: int,
    kind: type[ProviderError],
    is_retryable: bool,
    is_streamed: bool,
) -> None:
    """Each with its number as the kind and the upstream's own words.

    None was billed, except where somebody on the way gave up: there nobody knows. Of key and
    account no upstream's words are told, which may hold parts of the key.
    """
    upstream.next(json_of({"error": {"message": "that went wrong"}}, status))

    words = "key or account are refused" if status in (401, 402) else "that went wrong"
    with pytest.raises(kind, match=f"status {status}: {words}") as caught:
        await asked(openai, call(), is_streamed=is_streamed)

    assert caught.value.kind == f"http_{status}"
    assert caught.value.is_retryable is is_retryable
    assert caught.value.is_billable is (status in (408, 504, 522, 524))


@pytest.mark.parametrize("status", [401, 402, 403, 404])
async def test_a_fault_of_key_or_account_is_not_tried_again_there(
    upstream: UpstreamServer, openai: OpenAIProvider, status: int
) -> None:
    """The same model would answer the same; another one may serve."""
    upstream.next(json_of({"error": {"message": "no"}}, status))

    with pytest.raises(ProviderUnavailable) as caught:
        await openai.complete(call())

    assert not caught.value.is_repeatable
    assert caught.value.is_account_fault == (status in (401, 402))


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_redirect_is_not_followed(
    upstream: UpstreamServer, openai: OpenAIProvider, status: int, is_streamed: bool
) -> None:
    """Key and prompt stay with the host they were meant for; another model may serve."""
    async with upstream_server() as other:
        other.next(json_of(body({"content": "Give me your key."})))
        location = {"Location": f"{other.url}/chat/completions"}
        upstream.next(json_of({}, status, location))

        with pytest.raises(ProviderUnavailable, match="points elsewhere") as caught:
            await asked(openai, call(), is_streamed=is_streamed)

        assert other.seen == []
    assert caught.value.kind == f"http_{status}"
    assert not caught.value.is_repeatable


@pytest.mark.parametrize(
    ("status", "error", "is_fault"),
    [
        (429, {"code": "insufficient_quota", "message": "You exceeded ..."}, True),
        (400, {"message": "Your credit balance is too low to access the API."}, True),
        (403, {"message": "Insufficient balance"}, True),
        (400, {"message": "bad key", "details": [{"reason": "API_KEY_INVALID"}]}, True),
        (400, {"message": "cannot parse 'Your credit balance is too low'"}, False),
        (429, {"code": "rate_limit_exceeded", "message": "slow down"}, False),
        (500, {"code": "insufficient_quota", "message": "?"}, False),
    ],
)
async def test_out_of_credit_is_the_accounts_fault(
    upstream: UpstreamServer,
    openai: OpenAIProvider,
    status: int,
    error: dict[str, Any],
    is_fault: bool,
) -> None:
    """Whatever status it comes with; a prompt that is quoted in an error does not pass for one."""
    upstream.next(json_of({"error": error}, status))

    with pytest.raises(ProviderError) as caught:
        await openai.complete(call())

    assert caught.value.is_account_fault is is_fault
    assert not (is_fault and caught.value.is_repeatable)
    assert not (is_fault and error["message"] in str(caught.value))


def test_a_retry_after_may_be_a_date() -> None:
    """It is taken from now on, to the second; a date that has passed is now."""
    headers = {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}
    then = 1_792_567_680.0

    assert read_retry_after(headers, then - 30.0) == 30.0
    assert read_retry_after(headers, then + 30.0) == 0.0
    assert read_retry_after({**headers, "retry-after-ms": "250"}, then) == 0.25


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("3", 3.0), ("0.5", 0.5), ("-1", 0.0), ("Wed, 21 Oct 2020 07:28:00 GMT", 0.0), ("", None)],
)
async def test_retry_after_is_read(
    upstream: UpstreamServer, openai: OpenAIProvider, header: str, seconds: float | None
) -> None:
    """Seconds as they are, or a date."""
    upstream.next(json_of({"error": "slow down"}, 429, {"Retry-After": header}))

    with pytest.raises(ProviderUnavailable, match="slow down") as caught:
        await openai.complete(call())

    assert caught.value.retry_after_s == seconds


@pytest.mark.parametrize("header", ["nan", "inf", "1e999", "Wed, 99 Foo", "Wed, 21 Oct 99999"])
async def test_a_nonsensical_retry_after_is_no_number(
    upstream: UpstreamServer, openai: OpenAIProvider, header: str
) -> None:
    """Whatever the header says, no NaN reaches a clock."""
    upstream.next(json_of({"error": "slow down"}, 429, {"Retry-After": header}))

    with pytest.raises(ProviderUnavailable) as caught:
        await openai.complete(call())

    assert caught.value.retry_after_s is None


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(raw(b'{"choices": [{"mess'), id="half JSON"),
        pytest.param(raw(b"<html>Welcome to the portal</html>"), id="HTML"),
        pytest.param(raw(b""), id="empty"),
        pytest.param(raw(b"[]"), id="a list"),
        pytest.param(raw(b"null"), id="null"),
        pytest.param(raw(b"\xff\xfe"), id="no UTF-8"),
        pytest.param(json_of({"choices": []}), id="no choices"),
        pytest.param(json_of({"choices": [{"message": None}]}), id="no message"),
        pytest.param(json_of({"choices": [{"message": {"content": "x"}}], "usage": 3}), id="usage"),
        pytest.param(json_of(body({"content": 5})), id="content is a number"),
        pytest.param(json_of(body({"content": {"text": "x"}})), id="content is an object"),
        pytest.param(json_of(body({"content": ["x"]})), id="parts are no objects"),
        pytest.param(json_of(body({"content": [{"type": "text"}]})), id="a part without text"),
        pytest.param(json_of(body({"refusal": 5})), id="refusal is a number"),
        pytest.param(raw(b'{"choices": ' + b"[" * 100_000), id="nested without end"),
        pytest.param(json_of(body({"tool_calls": [{"id": 1}]})), id="tool call"),
    ],
)
async def test_nonsense_is_unavailable_and_may_be_billed(
    upstream: UpstreamServer, openai: OpenAIProvider, answer: Handler
) -> None:
    """Status 200 with what is no completion: work was done over there."""
    upstream.next(answer)

    with pytest.raises(ProviderUnavailable) as caught:
        await openai.complete(call())

    assert caught.value.kind == "malformed"
    assert caught.value.is_billable


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_refused_connection_costs_nothing(is_streamed: bool) -> None:
    """Nobody listens: unavailable, retryable, surely unbilled."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        provider = OpenAIProvider(f"http://127.0.0.1:{taken.getsockname()[1]}/v1", lambda: KEY)

        with pytest.raises(ProviderUnavailable, match="cannot be reached") as caught:
            await asked(provider, call(), is_streamed=is_streamed)

    await provider.close()
    assert (caught.value.kind, caught.value.is_billable) == ("connect", False)


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_slow_upstream_is_a_timeout(
    upstream: UpstreamServer, openai: OpenAIProvider, is_streamed: bool
) -> None:
    """No first byte in time: retryable, and it may have been billed."""
    upstream.next(hang())
    quick = ModelCall(model="m", request=chat("Hi"), connect_s=0.2, first_token_s=0.2, total_s=0.3)

    with pytest.raises(ProviderTimeout) as caught:
        await asked(openai, quick, is_streamed=is_streamed)

    assert caught.value.is_retryable
    assert caught.value.is_billable


async def test_a_stream_that_stalls_is_a_timeout(
    upstream: UpstreamServer, openai: OpenAIProvider
) -> None:
    """The whole call has its time; a trickle does not stretch it."""
    upstream.next(events_of(*[chunk({"content": "x"})] * 100, pause_s=0.05))
    quick = ModelCall(model="m", request=chat("Hi"), connect_s=0.2, first_token_s=0.2, total_s=0.5)

    with pytest.raises(ProviderTimeout) as caught:
        await gathered(openai, quick)

    assert caught.value.is_billable


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param(
            events_of(chunk({"content": "Volcanoes"}), ends=False), "broken", id="connection lost"
        ),
        pytest.param(events_of(chunk({"content": "Volcanoes"})), "cut_off", id="no finish reason"),
        pytest.param(
            events_of(chunk({"content": "Volcanoes"}), {"error": {"message": "server overloaded"}}),
            "stream_error",
            id="an error event",
        ),
        pytest.param(
            events_of(chunk({"content": "Volcanoes"}), b"data: {not json"),
            "malformed",
            id="nonsense",
        ),
        pytest.param(
            events_of(chunk({"content": "Volcanoes"}), b"data: 17"), "malformed", id="a number"
        ),
    ],
)
async def test_half_a_stream_is_told_as_such(
    upstream: UpstreamServer, openai: OpenAIProvider, answer: Handler, kind: str
) -> None:
    """What came is delivered, then the error; never a completion, and it may be billed."""
    upstream.next(answer)
    events = openai.stream(call())

    first = await anext(events)
    with pytest.raises(ProviderUnavailable) as caught:
        await anext(events)

    assert first == Delta(text="Volcanoes")
    assert caught.value.kind == kind
    assert caught.value.is_billable


async def test_tool_calls_are_gathered_from_their_pieces(
    upstream: UpstreamServer, openai: OpenAIProvider
) -> None:
    """Names and arguments come in bits, interleaved; they go out whole, once, in order."""

    def piece(index: int, **function: str) -> dict[str, Any]:
        return {"index": index, "function": function}

    upstream.next(
        events_of(
            chunk({"role": "assistant", "content": None}),
            chunk({"tool_calls": [piece(0, name="search", arguments="") | {"id": "c1"}]}),
            chunk({"tool_calls": [piece(0, arguments='{"q": ')]}),
            chunk({"tool_calls": [piece(1, name="look", arguments="{") | {"id": "c2"}]}),
            chunk({"tool_calls": [piece(0, arguments='"lava"}'), piece(1, arguments="}")]}),
            chunk({}, "tool_calls"),
            chunk() | {"choices": [], "usage": WIRE_USAGE},
        )
    )

    deltas, done = await gathered(openai, call())

    assert deltas == [Delta(tool_calls=CALLS)]
    assert done.answer == Answer(text="", finish_reason="tool_calls", tool_calls=CALLS)
    assert done.usage == USAGE


async def test_tool_calls_of_a_whole_answer_are_read(
    upstream: UpstreamServer, openai: OpenAIProvider
) -> None:
    """Content may be null beside them."""
    wire = [
        {
            "id": c.id,
            "type": "function",
            "function": {"name": c.name, "arguments": c.arguments_json},
        }
        for c in CALLS
    ]
    upstream.next(json_of(body({"content": None, "tool_calls": wire}, "tool_calls")))

    done = await openai.complete(call())

    assert done.answer == Answer(text="", finish_reason="tool_calls", tool_calls=CALLS)


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param(
            [chunk({"content": "Hi"}), chunk({}, "stop"), {"choices": [], "usage": WIRE_USAGE}],
            id="in a chunk of its own",
        ),
        pytest.param(
            [chunk({"content": "Hi"}), chunk({}, "stop", usage=WIRE_USAGE)],
            id="with the last choice",
        ),
        pytest.param(
            [
                chunk({"content": "Hi"}, usage={"prompt_tokens": 12, "completion_tokens": 1}),
                chunk({}, "stop", usage=WIRE_USAGE),
            ],
            id="with every chunk",
        ),
        pytest.param(
            [chunk({"content": "Hi"}, usage=None), chunk({}, "stop", usage=WIRE_USAGE), chunk()],
            id="before the last chunk",
        ),
    ],
)
async def test_usage_is_read_wherever_it_stands(
    upstream: UpstreamServer, openai: OpenAIProvider, chunks: list[dict[str, Any]]
) -> None:
    """Upstreams differ in which chunk carries it, with choices or without."""
    upstream.next(events_of(*chunks))

    _, done = await gathered(openai, call())

    assert done.answer.text == "Hi"
    assert done.usage == USAGE


async def test_an_error_that_is_null_is_none(
    upstream: UpstreamServer, openai: OpenAIProvider
) -> None:
    """Some upstreams write it into every chunk."""
    chunks = [chunk({"content": "Hi"}, error=None), chunk({}, "stop", error=None)]
    upstream.next(events_of(*chunks))

    assert (await gathered(openai, call()))[1].answer.text == "Hi"


@pytest.mark.parametrize(
    ("wire", "usage"),
    [
        (None, None),
        ({}, None),
        ({"prompt_tokens": 3}, None),
        ({"prompt_tokens": 3, "completion_tokens": None}, None),
        ({"completion_tokens": 3}, None),
        ({"prompt_tokens": -3, "completion_tokens": 2}, None),
        ({"prompt_tokens": 3, "completion_tokens": -2}, None),
        ({"prompt_tokens": "3", "completion_tokens": 2}, None),
        ({"prompt_tokens": 3, "completion_tokens": 2.5}, None),
        ({"prompt_tokens": 3, "completion_tokens": True}, None),
        ({"prompt_tokens": 3, "completion_tokens": 10**30}, None),
        ({"prompt_tokens": 3, "completion_tokens": 0}, None),  # it said "Hi"
        ({"prompt_tokens": 0, "completion_tokens": 2}, None),
        (WIRE_USAGE | {"prompt_tokens_details": {"cached_tokens": 13}}, None),
        ({"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": None},
         Usage(input_tokens=3, output_tokens=2)),
        (WIRE_USAGE, USAGE),
        ({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 30,
          "completion_tokens_details": {"reasoning_tokens": 25}},
         Usage(input_tokens=3, output_tokens=27)),
        ({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 1},
         Usage(input_tokens=3, output_tokens=2)),
        ({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": "many"},
         Usage(input_tokens=3, output_tokens=2)),
    ],
)  # fmt: skip
async def test_usage_is_told_or_unknown(
    upstream: UpstreamServer,
    openai: OpenAIProvider,
    wire: dict[str, Any] | None,
    usage: Usage | None,
) -> None:
    """What the provider did not count is None, never 0."""
    upstream.next(json_of(body({"content": "Hi"}) | {"usage": wire}))

    assert (await openai.complete(call())).usage == usage


async def test_a_last_usage_that_cannot_be_read_leaves_it_unknown(
    upstream: UpstreamServer, openai: OpenAIProvider
) -> None:
    """A count from halfway is no count of the whole."""
    halfway = {"prompt_tokens": 12, "completion_tokens": 1}
    upstream.next(
        events_of(
            chunk({"content": "Hi"}, usage=halfway), chunk({}, "stop", usage={"prompt_tokens": 12})
        )
    )

    _, done = await gathered(openai, call())

    assert done.usage is None


async def test_events_are_read_as_the_standard_says(
    upstream: UpstreamServer, openai: OpenAIProvider
) -> None:
    """Comments, other fields, CRLF, split packets and a missing last blank line are all fine."""
    first = json.dumps(chunk({"content": "Volcanöes"})).encode()
    last = json.dumps(chunk({}, "stop")).encode()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        wire = (
            b": ping\r\n\r\nevent: x\r\ndata:" + first + b"\r\n\r\nid: 3\ndata: " + last + b"\n\n"
        )
        for at in range(0, len(wire), 7):
            await response.write(wire[at : at + 7])
            await asyncio.sleep(0)
        await response.write(b"data: [DONE]")
        await response.write_eof()
        return response

    upstream.next(answer)

    _, done = await gathered(openai, call())

    assert done.answer.text == "Volcanöes"


async def test_refusals_choices_and_logprobs_are_kept(
    upstream: UpstreamServer, openai: OpenAIProvider
) -> None:
    """All of an answer reaches the caller."""
    wire = body({"content": "One.", "refusal": None})
    wire["choices"][0]["logprobs"] = {"content": [{"token": "One", "logprob": -0.1}]}
    wire["choices"].append({"index": 1, "message": {"content": "Two."}, "finish_reason": "stop"})
    upstream.next(json_of(wire), json_of(body({"content": None, "refusal": "I won't."})))

    done = await openai.complete(call())
    refused = await openai.complete(call())

    assert json.loads(done.answer.extra_choices_json) == wire["choices"][1:]
    assert json.loads(done.answer.logprobs_json) == wire["choices"][0]["logprobs"]
    assert refused.answer.refusal == "I won't."


def choice_chunk(
    index: int, delta: dict[str, Any], finish: str | None = None, **fields: Any
) -> dict[str, Any]:
    """A chunk of one choice among several."""
    return {"choices": [{"index": index, "delta": delta, "finish_reason": finish, **fields}]}


async def test_further_choices_of_a_stream_are_kept(
    upstream: UpstreamServer, openai: OpenAIProvider
) -> None:
    """Only the first choice is shown as it comes; all are in the answer, as if it came whole."""
    function = {"name": "look", "arguments": "{}"}
    logprobs = {"content": [{"token": "Two", "logprob": -0.1}]}
    upstream.next(
        events_of(
            choice_chunk(1, {"role": "assistant", "content": "Tw"}),
            choice_chunk(0, {"role": "assistant", "content": "One."}),
            choice_chunk(2, {"tool_calls": [{"index": 0, "id": "c1", "function": function}]}),
            choice_chunk(1, {"content": "o."}, logprobs=logprobs),
            choice_chunk(2, {}, "tool_calls"),
            choice_chunk(0, {}, "stop"),
            choice_chunk(1, {}, "length"),
        )
    )

    deltas, done = await gathered(openai, call(sampling=Sampling(n=3)))

    assert deltas == [Delta(text="One.")]
    assert done.answer.text == "One."
    assert json.loads(done.answer.extra_choices_json) == [
        {
            "index": 1,
            "message": {"role": "assistant", "content": "Two."},
            "finish_reason": "length",
            "logprobs": logprobs,
        },
        {
            "index": 2,
            "message": {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": function}],
            },
            "finish_reason": "tool_calls",
        },
    ]


async def test_a_further_choice_that_is_cut_off_is_no_answer(
    upstream: UpstreamServer, openai: OpenAIProvider
) -> None:
    """All choices end, or the answer did not."""
    upstream.next(events_of(choice_chunk(0, {"content": "One."}, "stop"), choice_chunk(1, {})))

    with pytest.raises(ProviderUnavailable) as caught:
        await gathered(openai, call())

    assert caught.value.kind == "cut_off"


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_content_in_parts_is_joined(
    upstream: UpstreamServer, openai: OpenAIProvider, is_streamed: bool
) -> None:
    """Some servers answer in parts; what is no text is passed over."""
    content = [
        {"type": "thinking", "thinking": []},
        {"type": "text", "text": "One"},
        {"type": "text", "text": "."},
    ]
    answer = events_of(chunk({"content": content}, "stop"))
    upstream.next(answer if is_streamed else json_of(body({"content": content})))

    done = await asked(openai, call(), is_streamed=is_streamed)

    assert done.answer.text == "One."


async def test_a_piece_of_a_stream_that_is_no_text_is_malformed(
    upstream: UpstreamServer, openai: OpenAIProvider
) -> None:
    """As in a whole answer; it may have been billed."""
    upstream.next(events_of(chunk({"content": 5})))

    with pytest.raises(ProviderUnavailable) as caught:
        await gathered(openai, call())

    assert (caught.value.kind, caught.value.is_billable) == ("malformed", True)


async def test_lone_surrogates_are_replaced(
    upstream: UpstreamServer, openai: OpenAIProvider
) -> None:
    """JSON may hold half a character, the wire and the disk may not: no field keeps one."""
    half = "a\ud83d"
    function = {"name": half, "arguments": half}
    wire = body(
        {"content": half, "refusal": half, "tool_calls": [{"id": half, "function": function}]},
        half,
        model=half,
    )
    wire["choices"][0]["logprobs"] = {"content": [{"token": half}]}
    wire["choices"].append({"index": 1, "message": {"content": half}})
    upstream.next(json_of(wire))

    done = await openai.complete(call())

    whole = "a\ufffd"
    answer = done.answer
    assert (answer.text, answer.refusal, answer.finish_reason, done.provider_model) == (whole,) * 4
    assert answer.tool_calls == (ToolCall(id=whole, name=whole, arguments_json=whole),)
    assert json.loads(answer.extra_choices_json)[0]["message"]["content"] == whole
    assert json.loads(answer.logprobs_json)["content"][0]["token"] == whole


async def test_a_character_cut_in_two_comes_out_whole(
    upstream: UpstreamServer, openai: OpenAIProvider
) -> None:
    """Its first half waits for the second; every delta can be encoded, and they add up."""
    upstream.next(
        events_of(
            chunk({"content": "lava \ud83c"}),
            chunk({"content": "\udf0b!"}),
            chunk({"content": "\ud83c"}),
            chunk({}, "stop"),
        )
    )

    deltas, done = await gathered(openai, call())

    assert [delta.text for delta in deltas] == ["lava ", "🌋!", "\ufffd"]
    assert done.answer.text == "lava 🌋!\ufffd"


async def test_a_tool_call_whose_characters_are_cut_comes_out_whole(
    upstream: UpstreamServer, openai: OpenAIProvider
) -> None:
    """Arguments are text in pieces, too."""

    def piece(arguments: str) -> dict[str, Any]:
        return {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": arguments}}]}

    upstream.next(events_of(chunk(piece('"\ud83c')), chunk(piece('\udf0b"'), "tool_calls")))

    _, done = await gathered(openai, call())

    assert done.answer.tool_calls[0].arguments_json == '"🌋"'


async def test_words_of_an_error_can_be_encoded(
    upstream: UpstreamServer, openai: OpenAIProvider
) -> None:
    """They go into a status, which is UTF-8."""
    upstream.next(json_of({"error": {"message": "half \ud83d"}}, 400))

    with pytest.raises(ProviderRejected, match="half \ufffd"):
        await openai.complete(call())


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_an_answer_without_end_is_refused(
    upstream: UpstreamServer,
    openai: OpenAIProvider,
    monkeypatch: pytest.MonkeyPatch,
    is_streamed: bool,
) -> None:
    """An upstream gone wild fills no memory; it may be billed."""
    monkeypatch.setattr("router.providers.http.MAX_ANSWER_BYTES", 1000)
    pieces = [chunk({"content": "x" * 100})] * 20
    whole = json_of(body({"content": "x" * 2000}))
    upstream.next(events_of(*pieces, chunk({}, "stop")) if is_streamed else whole)

    with pytest.raises(ProviderUnavailable, match="exceeds 1000 bytes") as caught:
        await asked(openai, call(), is_streamed=is_streamed)

    assert (caught.value.kind, caught.value.is_billable) == ("malformed", True)


# ---- limits of time --------------------------------------------------------------------------


def quick(**limits: Any) -> ModelCall:
    seconds: dict[str, Any] = {"connect_s": 0.2, "first_token_s": 0.2, "total_s": 2.0} | limits
    return ModelCall(model="m", request=chat("Hi"), **seconds)


async def test_a_whole_answer_may_take_longer_than_a_first_piece(
    upstream: UpstreamServer, openai: OpenAIProvider
) -> None:
    """Its first byte comes with its last: only the whole call is timed."""

    async def answer(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.6)
        return await json_of(body({"content": "Hi"}))(request)

    upstream.next(answer)

    done = await openai.complete(quick())

    assert done.answer.text == "Hi"


@pytest.mark.parametrize(
    ("is_streamed", "limits", "named"),
    [
        (False, {"total_s": 0.3}, "total_s = 0.3 s"),
        (True, {"connect_s": 3.0, "total_s": 5.0}, "first_token_s = 0.2 s"),
        (True, {"first_token_s": 1.0, "total_s": 0.3}, "total_s = 0.3 s"),
    ],
)
async def test_a_timeout_names_the_limit(
    upstream: UpstreamServer,
    openai: OpenAIProvider,
    is_streamed: bool,
    limits: dict[str, float],
    named: str,
) -> None:
    """Who reads it knows which setting to change."""
    upstream.next(hang())

    with pytest.raises(ProviderTimeout, match=named):
        await asked(openai, quick(**limits), is_streamed=is_streamed)


async def test_silence_between_pieces_is_a_timeout(
    upstream: UpstreamServer, openai: OpenAIProvider
) -> None:
    """A stream that began and fell silent is not waited for to the end of the call."""
    upstream.next(events_of(chunk({"content": "x"}), chunk({}, "stop"), pause_s=1.0))

    with pytest.raises(ProviderTimeout, match=r"between_tokens_s = 0\.1 s"):
        await gathered(openai, quick(between_tokens_s=0.1))


async def test_silence_within_a_whole_answer_is_a_timeout(
    upstream: UpstreamServer, openai: OpenAIProvider
) -> None:
    """What has begun to come must go on coming, also where it comes whole."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"choices": ')
        await asyncio.sleep(1.0)
        return response

    upstream.next(answer)

    with pytest.raises(ProviderTimeout, match=r"between_tokens_s = 0\.1 s"):
        await openai.complete(quick(between_tokens_s=0.1))


async def test_a_slow_reader_is_not_cut_off(
    upstream: UpstreamServer, openai: OpenAIProvider
) -> None:
    """The limits are the upstream's: what the caller does between two pieces is its own time."""
    upstream.next(events_of(chunk({"content": "Hi"}), chunk({}, "stop")))
    texts = []

    async for event in openai.stream(quick(total_s=0.3)):
        await asyncio.sleep(0.5)
        texts.append(event.text if isinstance(event, Delta) else event.answer.text)

    assert texts == ["Hi", "Hi"]


async def test_leaving_a_stream_ends_the_upstreams_work(
    upstream: UpstreamServer, openai: OpenAIProvider
) -> None:
    """The connection is closed, so that nothing more is made, or billed."""
    is_gone = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        data = b"data: " + json.dumps(chunk({"content": "x"})).encode() + b"\n\n"
        while request.transport is not None and not request.transport.is_closing():
            await response.write(data)
            await asyncio.sleep(0.01)
        is_gone.set()
        return response

    upstream.next(answer)
    fallback, _ = chain_of(openai, "a")
    events = fallback.call(["a"], chat("Hi"), Walk(), is_streamed=True)
    await anext(events)

    await events.aclose()

    await asyncio.wait_for(is_gone.wait(), 1.0)


async def test_a_call_given_up_before_it_left_is_no_call(
    upstream: UpstreamServer, openai: OpenAIProvider
) -> None:
    """Who leaves while the connection is being made owes nothing; who leaves later may."""
    upstream.next(hang())
    fallback, _ = chain_of(openai, "a")
    walks = {seconds: Walk() for seconds in (0.0, 0.3)}
    for seconds, walk in walks.items():
        asking = asyncio.create_task(walked(fallback, ["a"], walk))
        await asyncio.sleep(seconds)

        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        walk.close_running("cancelled")

    assert [[a.cost_nanos for a in walk.attempts] for walk in walks.values()] == [[], [None]]
    assert len(upstream.seen) == 1


# ---- OpenAI's wire, written ------------------------------------------------------------------


async def test_a_request_is_sent_as_it_came(
    upstream: UpstreamServer, openai: OpenAIProvider
) -> None:
    """Every field by its own name; attribution and tags stay here; the key is a bearer's."""
    upstream.next(json_of(body({"content": "Hi"})))
    request = call(
        tools=(Tool(name="search", description="d", parameters_json='{"type": "object"}'),),
        tool_choice_json='"auto"',
        response_format=ResponseFormat(kind="json_schema", schema_json='{"name": "s"}'),
        sampling=Sampling(
            temperature=0.0, top_p=0.5, max_tokens=9, stop=("x",), seed=0, n=2, logprobs=True,
            top_logprobs=1, presence_penalty=0.0, frequency_penalty=-1.0, logit_bias=(("5", 1.0),),
        ),
        extra={
            "verbosity": '"low"', "model": '"another"', "messages": "[]", "stream": "true",
            "stream_options": "{}", "request_id": '"r1"',
        },
        tags=("secret-tag",),
    )  # fmt: skip

    await openai.complete(request)

    (seen,) = upstream.seen
    assert seen.authorization == f"Bearer {KEY}"
    assert seen.body == {
        "verbosity": "low",
        "model": "m",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "How do volcanoes form?"},
        ],
        "temperature": 0.0,
        "top_p": 0.5,
        "max_tokens": 9,
        "stop": ["x"],
        "seed": 0,
        "n": 2,
        "presence_penalty": 0.0,
        "frequency_penalty": -1.0,
        "logprobs": True,
        "top_logprobs": 1,
        "logit_bias": {"5": 1.0},
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "search",
                    "description": "d",
                    "parameters": {"type": "object"},
                },
            }
        ],
        "tool_choice": "auto",
        "response_format": {"type": "json_schema", "json_schema": {"name": "s"}},
    }


async def test_a_stream_asks_for_usage(upstream: UpstreamServer, openai: OpenAIProvider) -> None:
    """Otherwise nobody would know what it cost."""
    upstream.next(events_of(chunk({"content": "Hi"}), chunk({}, "stop")))

    await gathered(openai, call())

    assert upstream.seen[0].body["stream"] is True
    assert upstream.seen[0].body["stream_options"] == {"include_usage": True}


async def test_reasoning_models_get_their_own_words(
    upstream: UpstreamServer, openai: OpenAIProvider
) -> None:
    """An effort, and the limit under the name that such models take."""
    upstream.next(json_of(body({"content": "Hi"})))

    await openai.complete(call(reasoning=Reasoning(effort="low"), sampling=Sampling(max_tokens=9)))

    assert upstream.seen[0].body["reasoning_effort"] == "low"
    assert upstream.seen[0].body["max_completion_tokens"] == 9
    assert "max_tokens" not in upstream.seen[0].body


async def test_parts_that_are_no_text_are_sent(
    upstream: UpstreamServer, openai: OpenAIProvider
) -> None:
    """An image by value becomes a data URL, by reference stays one."""
    upstream.next(json_of(body({"content": "Hi"})))
    parts = (
        Part(text="What is this?"),
        Part(media_type="image/png", data=b"\x01\x02", detail="low"),
        Part(media_type="image/png", uri="https://example.org/a.png"),
    )

    await openai.complete(call(messages=(Message(role=Role.USER, parts=parts),)))

    assert upstream.seen[0].body["messages"][0]["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AQI=", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
    ]


def asking(*parts: Part) -> ModelCall:
    return call(messages=(Message(role=Role.USER, parts=parts),))


async def test_sound_and_files_are_sent_by_value(
    upstream: UpstreamServer, openai: OpenAIProvider
) -> None:
    """Each in its own form."""
    upstream.next(json_of(body({"content": "Hi"})))

    await openai.complete(
        asking(
            Part(media_type="audio/wav", data=b"\x01\x02"),
            Part(media_type="application/pdf", data=b"\x01\x02", uri="a.pdf"),
        )
    )

    assert upstream.seen[0].body["messages"][0]["content"] == [
        {"type": "input_audio", "input_audio": {"data": "AQI=", "format": "wav"}},
        {
            "type": "file",
            "file": {"file_data": "data:application/pdf;base64,AQI=", "filename": "a.pdf"},
        },
    ]


@pytest.mark.parametrize(
    "part",
    [
        Part(media_type="audio/wav", uri="https://example.org/a.wav"),
        Part(media_type="application/pdf", uri="https://example.org/a.pdf"),
        Part(media_type="image/png"),
    ],
)
@pytest.mark.parametrize("is_streamed", [False, True])
async def test_media_that_cannot_be_sent_are_refused(
    upstream: UpstreamServer, openai: OpenAIProvider, part: Part, is_streamed: bool
) -> None:
    """No model is asked about an empty file; nothing was called, so nothing is billed."""
    with pytest.raises(ProviderRejected, match=f"{part.media_type} has no data") as caught:
        await asked(openai, asking(part), is_streamed=is_streamed)

    assert (caught.value.kind, caught.value.is_billable) == ("unsupported_media", False)
    assert upstream.seen == []


async def test_a_thinking_budget_is_refused(
    upstream: UpstreamServer, openai: OpenAIProvider
) -> None:
    """Chat completions have no such field: better a word than thoughts without a limit."""
    with pytest.raises(ProviderRejected, match=r"reasoning\.budget_tokens") as caught:
        await openai.complete(call(reasoning=Reasoning(budget_tokens=100)))

    assert (caught.value.kind, caught.value.is_billable) == ("unsupported_reasoning", False)
    assert upstream.seen == []


async def test_no_key_is_sent_where_there_is_none(upstream: UpstreamServer) -> None:
    """A server of one's own asks for none."""
    upstream.next(json_of(body({"content": "Hi"})))
    provider = OpenAIProvider(upstream.url, lambda: "")

    await provider.complete(call())
    await provider.close()

    assert upstream.seen[0].authorization is None


async def test_no_call_is_made_by_what_is_closed(upstream: UpstreamServer) -> None:
    """It would open connections that nobody closes."""
    upstream.next(json_of(body({"content": "Hi"})))
    provider = OpenAIProvider(upstream.url, lambda: "")
    await provider.close()

    with pytest.raises(ProviderUnavailable, match="closed") as caught:
        await provider.complete(call())

    assert not caught.value.is_billable
    assert upstream.seen == []


@pytest.mark.parametrize(
    "answer",
    [
        json_of({"error": {"message": f"Incorrect API key provided: {KEY}"}}, 401),
        raw(f"no JSON, but {KEY}".encode()),
        raw(b"x" * 60 + KEY.encode()),  # quoted up to within the key
        raw(b"\xff" + KEY.encode()),
        events_of({"error": {"message": f"bad key {KEY}"}}),
    ],
)
@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_key_is_never_shown(
    upstream: UpstreamServer,
    openai: OpenAIProvider,
    caplog: pytest.LogCaptureFixture,
    answer: Handler,
    is_streamed: bool,
) -> None:
    """Not in an error, its causes, or a log, even where the upstream says it back to us."""
    upstream.next(answer)
    caplog.set_level(logging.DEBUG)

    with pytest.raises(ProviderError) as caught:
        await asked(openai, call(), is_streamed=is_streamed)

    error: BaseException | None = caught.value
    while error is not None:
        assert KEY[:16] not in f"{error!r} {error}"
        error = error.__cause__
    assert KEY not in caplog.text
    assert KEY not in repr(openai)


@pytest.mark.parametrize("key", ["EMPTY", "token", KEY])
@pytest.mark.parametrize("is_streamed", [False, True])
async def test_an_answer_may_hold_what_the_key_is(
    upstream: UpstreamServer, key: str, is_streamed: bool
) -> None:
    """It comes out as it was said: servers of one's own take any word for a key."""
    provider = OpenAIProvider(upstream.url, lambda: key)
    text = f"The tokenizer makes a token of {key} and a tuple of EMPTY."
    OpenAIRig(upstream, provider).will_say(text)

    completion = await asked(provider, call(), is_streamed=is_streamed)
    await provider.close()

    assert completion.answer.text == text


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_short_key_is_struck_out_of_errors_where_it_stands_alone(
    upstream: UpstreamServer, is_streamed: bool
) -> None:
    """The words around it stay readable."""
    provider = OpenAIProvider(upstream.url, lambda: "token")
    upstream.next(json_of({"error": {"message": "max_tokens: bad token."}}, 400))

    with pytest.raises(ProviderRejected, match=r"max_tokens: bad \[key\]\."):
        await asked(provider, call(), is_streamed=is_streamed)

    await provider.close()


# ---- what the fallback makes of it -----------------------------------------------------------


class Naps:
    """Instead of sleeping, notes for how long."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        """Sleep, so to speak."""
        self.taken.append(seconds)


def chain_of(provider: StreamingProvider, *models: str) -> tuple[Fallback, Naps]:
    upstreams = {
        model: [Upstream(model=model, provider_name="p", provider=provider, provider_model=model)]
        for model in models
    }
    naps = Naps()
    patience = Patience(tries_per_model=2, max_backoff_s=5.0)
    return Fallback(upstreams, patience, lambda model, usage: 7, sleep=naps), naps


async def walked(
    fallback: Fallback, chain: list[str], walk: Walk, *, is_streamed: bool = False
) -> list[Delta | Completion]:
    request = chat("How do volcanoes form?")
    return [event async for event in fallback.call(chain, request, walk, is_streamed=is_streamed)]


async def test_the_next_model_is_asked_after_the_last_try(
    upstream: UpstreamServer, openai: OpenAIProvider
) -> None:
    """Two tries for the first, then the next; every attempt is noted with what it cost."""
    upstream.next(json_of({}, 500), json_of({}, 503), json_of(body({"content": "Hi"})))
    fallback, naps = chain_of(openai, "a", "b")
    walk = Walk()

    events = await walked(fallback, ["a", "b"], walk)

    assert [event.answer.text for event in events if isinstance(event, Completion)] == ["Hi"]
    assert [(a.model, a.status, a.cost_nanos) for a in walk.attempts] == [
        ("a", "http_500", 0),
        ("a", "http_503", 0),
        ("b", "ok", 7),
    ]
    assert len(naps.taken) == 1


async def test_retry_after_is_honoured(upstream: UpstreamServer, openai: OpenAIProvider) -> None:
    """The same model is asked again after the time it named."""
    upstream.next(
        json_of({"error": "slow"}, 429, {"Retry-After": "3"}), json_of(body({"content": "Hi"}))
    )
    fallback, naps = chain_of(openai, "a", "b")
    walk = Walk()

    await walked(fallback, ["a", "b"], walk)

    assert naps.taken == [pytest.approx(3.0, abs=0.5)]
    assert [a.model for a in walk.attempts] == ["a", "a"]


async def test_a_retry_after_beyond_patience_moves_on(
    upstream: UpstreamServer, openai: OpenAIProvider
) -> None:
    """Nobody waits a minute where another model can answer now."""
    upstream.next(
        json_of({"error": "slow"}, 429, {"Retry-After": "60"}), json_of(body({"content": "Hi"}))
    )
    fallback, naps = chain_of(openai, "a", "b")
    walk = Walk()

    await walked(fallback, ["a", "b"], walk)

    assert naps.taken == []
    assert [a.model for a in walk.attempts] == ["a", "b"]


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_rejection_ends_the_walk(
    upstream: UpstreamServer, openai: OpenAIProvider, is_streamed: bool
) -> None:
    """It would be refused again: one call."""
    upstream.next(json_of({"error": "no"}, 451))
    fallback, _ = chain_of(openai, "a", "b")
    walk = Walk()

    with pytest.raises(ProviderRejected):
        await walked(fallback, ["a", "b"], walk, is_streamed=is_streamed)

    assert len(upstream.seen) == 1


async def test_after_the_first_piece_nobody_else_is_asked(
    upstream: UpstreamServer, openai: OpenAIProvider
) -> None:
    """Two models' words are never spliced: the error is told as it is."""
    upstream.next(
        events_of(chunk({"content": "Volcanoes"}), ends=False), json_of(body({"content": "Hi"}))
    )
    fallback, _ = chain_of(openai, "a", "b")
    walk = Walk()

    with pytest.raises(ProviderUnavailable):
        await walked(fallback, ["a", "b"], walk, is_streamed=True)

    assert len(upstream.seen) == 1
    assert [(a.status, a.cost_nanos) for a in walk.attempts] == [("broken", None)]


async def test_before_the_first_piece_the_next_model_takes_over(
    upstream: UpstreamServer, openai: OpenAIProvider
) -> None:
    """A stream that fails before it says anything is retried like any call."""
    stream = events_of(chunk({"content": "Hi"}), chunk({}, "stop"))
    upstream.next(json_of({}, 500), json_of({}, 500), stream)
    fallback, _ = chain_of(openai, "a", "b")
    walk = Walk()

    events = await walked(fallback, ["a", "b"], walk, is_streamed=True)

    assert events[0] == Delta(text="Hi")
    assert walk.attempts[-1].model == "b"


async def test_when_nobody_answers_all_failures_are_listed(
    upstream: UpstreamServer, openai: OpenAIProvider
) -> None:
    """In order, each with its own words."""
    upstream.next(json_of({"error": "down"}, 503))
    fallback, _ = chain_of(openai, "a", "b")

    with pytest.raises(NoModelAvailable, match="after 4 attempts") as caught:
        await walked(fallback, ["a", "b"], Walk())

    assert [model for model, _ in caught.value.failures] == ["a", "a", "b", "b"]
