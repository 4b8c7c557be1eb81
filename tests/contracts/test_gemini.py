"""Gemini's generateContent on the wire, against a real HTTP upstream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
import pytest_asyncio
from fakes_requests import chat, message
from fakes_upstream import (
    KEY,
    UpstreamServer,
    asked,
    call,
    events_of,
    gathered,
    json_of,
    raw,
)
from fakes_wires import GEMINI, completed, gemini_chunks, gemini_response

from router.errors import ProviderError, ProviderRejected, ProviderUnavailable
from router.providers.gemini import GeminiProvider, request_body
from router.types import (
    Completion,
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

CALLS = (
    ToolCall(id="c1", name="search", arguments_json='{"q": "läva"}'),
    ToolCall(id="c2", name="look", arguments_json="{}"),
)
CACHED = Usage(input_tokens=100, output_tokens=7, cache_read_tokens=60)
done = partial(completed, model="gemini-x", usage=CACHED)


@pytest_asyncio.fixture
async def provider(upstream: UpstreamServer) -> AsyncIterator[GeminiProvider]:
    """The adapter that talks to it."""
    provider = GeminiProvider(upstream.url, lambda: KEY)
    yield provider
    await provider.close()


async def test_a_request_is_put_into_its_words(
    upstream: UpstreamServer, provider: GeminiProvider
) -> None:
    """Contents of parts, results by the function's name, the key in its own header."""
    upstream.next(GEMINI.says(done("Hi"), is_streamed=False))
    messages = (
        message("be brief", Role.SYSTEM),
        Message(
            role=Role.USER,
            parts=(
                Part(text="What is this?"),
                Part(media_type="image/png", data=b"png"),
                Part(media_type="video/mp4", uri="gs://bucket/a.mp4"),
            ),
        ),
        Message(role=Role.ASSISTANT, parts=(Part(text="Let me look."),), tool_calls=CALLS),
        Message(role=Role.TOOL, parts=(Part(text='{"found": 1}'),), tool_call_id="c1"),
        Message(role=Role.TOOL, parts=(Part(text="nothing"),), tool_call_id="c2"),
        message("Well?"),
    )
    request = call(
        "models/gemini-2.5-flash",
        messages=messages,
        tools=(Tool(name="search", description="d", parameters_json='{"type": "object"}'),),
        tool_choice_json='{"type": "function", "function": {"name": "search"}}',
        response_format=ResponseFormat(kind="json_schema", schema_json='{"schema": {"x": 1}}'),
        sampling=Sampling(
            temperature=1.5, top_p=0.5, max_tokens=9, stop=("x",), seed=0, presence_penalty=0.5
        ),
        reasoning=Reasoning(budget_tokens=0),
        extra={"safetySettings": "[]", "user": '"u"'},
    )

    await provider.complete(request)

    (seen,) = upstream.seen
    assert seen.path == "/v1/models/gemini-2.5-flash:generateContent"
    assert (seen.headers["x-goog-api-key"], seen.authorization) == (KEY, None)
    assert seen.body == {
        "safetySettings": [],
        "systemInstruction": {"parts": [{"text": "be brief"}]},
        "contents": [
            {
                "role": "user",
                "parts": [
                    {"text": "What is this?"},
                    {"inlineData": {"mimeType": "image/png", "data": "cG5n"}},
                    {"fileData": {"mimeType": "video/mp4", "fileUri": "gs://bucket/a.mp4"}},
                ],
            },
            {
                "role": "model",
                "parts": [
                    {"text": "Let me look."},
                    {"functionCall": {"name": "search", "args": {"q": "läva"}}},
                    {"functionCall": {"name": "look", "args": {}}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"name": "search", "response": {"found": 1}}},
                    {"functionResponse": {"name": "look", "response": {"result": "nothing"}}},
                    {"text": "Well?"},
                ],
            },
        ],
        "tools": [
            {
                "functionDeclarations": [
                    {
                        "name": "search",
                        "description": "d",
                        "parametersJsonSchema": {"type": "object"},
                    }
                ]
            }
        ],
        "toolConfig": {
            "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["search"]}
        },
        "generationConfig": {
            "temperature": 1.5,
            "topP": 0.5,
            "maxOutputTokens": 9,
            "stopSequences": ["x"],
            "seed": 0,
            "presencePenalty": 0.5,
            "thinkingConfig": {"thinkingBudget": 0},
            "responseMimeType": "application/json",
            "responseJsonSchema": {"x": 1},
        },
    }


async def test_a_stream_is_asked_for_in_the_path(
    upstream: UpstreamServer, provider: GeminiProvider
) -> None:
    """As events."""
    upstream.next(GEMINI.says(done("Hi"), is_streamed=True))

    await gathered(provider, call("gemini-2.5-flash"))

    (seen,) = upstream.seen
    assert seen.path.endswith("gemini-2.5-flash:streamGenerateContent")
    assert seen.query == "alt=sse"


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize(
    "said",
    [
        done("Volcanoes form 🌋."),
        done("Volc", "length"),
        done("Let me look.", "tool_calls", tool_calls=CALLS),
        done("Hi", usage=None),
    ],
    ids=["text", "cut at the bound", "text and calls", "no usage"],
)
async def test_answers_come_out_as_they_went_in(
    upstream: UpstreamServer, provider: GeminiProvider, said: Completion, is_streamed: bool
) -> None:
    """Text, calls, finish reason, model, and usage with cached input and thoughts."""
    upstream.next(GEMINI.says(said, is_streamed=is_streamed))

    assert await asked(provider, call(), is_streamed=is_streamed) == said


async def test_calls_without_an_id_get_one(
    upstream: UpstreamServer, provider: GeminiProvider
) -> None:
    """By their place, so that results can be told apart."""
    parts = [{"functionCall": {"name": "f"}}, {"functionCall": {"name": "f", "args": {"x": 1}}}]
    response = gemini_response(done("Hi"))
    response["candidates"][0]["content"]["parts"] = parts
    upstream.next(json_of(response))

    found = await provider.complete(call())

    assert [(c.id, c.arguments_json) for c in found.answer.tool_calls] == [
        ("call_0", "{}"),
        ("call_1", '{"x": 1}'),
    ]


@pytest.mark.parametrize(
    ("model", "is_signed"),
    [("gemini-2.5-flash", False), ("gemini-3-pro-preview", True), ("gemini-3.1-pro", True)],
)
def test_calls_that_are_sent_back_are_signed_where_they_must_be(
    model: str, is_signed: bool
) -> None:
    """The first of a turn, with the mark for a signature that was not kept."""
    messages = (message("Hi"), Message(role=Role.ASSISTANT, tool_calls=CALLS))

    parts = request_body(model, chat(messages=messages))["contents"][1]["parts"]

    assert ["thoughtSignature" in part for part in parts] == [is_signed, False]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("SAFETY", "content_filter"), ("RECITATION", "content_filter"), ("MAX_TOKENS", "length")],
)
async def test_finish_reasons_are_translated(
    upstream: UpstreamServer, provider: GeminiProvider, reason: str, finish: str
) -> None:
    """Into the words of chat completions."""
    response = gemini_response(done("Hi"))
    response["candidates"][0]["finishReason"] = reason
    upstream.next(json_of(response))

    assert (await provider.complete(call())).answer.finish_reason == finish


async def test_a_blocked_prompt_is_an_answer_that_is_filtered(
    upstream: UpstreamServer, provider: GeminiProvider
) -> None:
    """There are no candidates then; the prompt was counted."""
    usage = {"promptTokenCount": 4}
    upstream.next(json_of({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": usage}))

    found = await provider.complete(call())

    assert (found.answer.text, found.answer.finish_reason) == ("", "content_filter")
    assert found.usage == Usage(input_tokens=4, output_tokens=0)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"sampling": Sampling(n=2)}, "unsupported_n"),
        ({"sampling": Sampling(logprobs=True)}, "unsupported_logprobs"),
        (
            {
                "messages": (
                    Message(
                        role=Role.USER, parts=(Part(media_type="image/png", uri="https://host/a"),)
                    ),
                )
            },
            "unsupported_media",
        ),
        (
            {"messages": (message("Hi"), Message(role=Role.TOOL, tool_call_id="c9"))},
            "unsupported_tool_result",
        ),
    ],
)
def test_what_there_are_no_words_for_is_refused(fields: dict[str, Any], kind: str) -> None:
    """Nothing that the caller would miss is dropped; another provider may have the words."""
    with pytest.raises(ProviderRejected) as caught:
        request_body("m", chat(**fields))

    assert caught.value.kind == kind


BROKEN = {"candidates": [{"finishReason": "MALFORMED_FUNCTION_CALL"}]}


@pytest.mark.parametrize(
    ("events", "kind"),
    [
        (gemini_chunks(done("Volcanoes form"))[:-1], "cut_off"),
        ([*gemini_chunks(done("Volcanoes"))[:2], b"data: {half"], "malformed"),
        ([*gemini_chunks(done("Volcanoes"))[:2], b"data: 17"], "malformed"),
        ([b'data: {"error": {"message": "overloaded", "code": 503}}'], "stream_error"),
    ],
)
async def test_half_a_stream_is_told_as_such(
    upstream: UpstreamServer, provider: GeminiProvider, events: list[bytes], kind: str
) -> None:
    """Whatever breaks it off: retryable elsewhere, and perhaps billed."""
    upstream.next(events_of(*events, has_end=False))

    with pytest.raises(ProviderUnavailable) as caught:
        await gathered(provider, call())

    assert (caught.value.kind, caught.value.is_billable) == (kind, True)


async def test_a_call_that_the_model_garbled_is_no_answer(
    upstream: UpstreamServer, provider: GeminiProvider
) -> None:
    """Asking again, or another, helps."""
    upstream.next(json_of(BROKEN))

    with pytest.raises(ProviderUnavailable, match="no response"):
        await provider.complete(call())


async def test_an_error_that_is_null_is_none(
    upstream: UpstreamServer, provider: GeminiProvider
) -> None:
    """Where there is an answer beside it."""
    upstream.next(json_of(gemini_response(done("Hi")) | {"error": None}))

    assert (await provider.complete(call())).answer.text == "Hi"


async def test_a_key_that_is_not_valid_is_the_accounts_fault(
    upstream: UpstreamServer, provider: GeminiProvider
) -> None:
    """It comes as a plain 400."""
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
    error = {"code": 400, "message": "Wrong key.", "status": "INVALID_ARGUMENT", "details": details}
    upstream.next(json_of({"error": error}, 400))

    with pytest.raises(ProviderUnavailable) as caught:
        await provider.complete(call())

    assert caught.value.is_account_fault


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_key_is_never_shown(
    upstream: UpstreamServer, provider: GeminiProvider, is_streamed: bool
) -> None:
    """Not even where the upstream says it back."""
    upstream.next(raw(f"no such key: {KEY}".encode(), 403))

    with pytest.raises(ProviderError) as caught:
        await asked(provider, call(), is_streamed=is_streamed)

    assert KEY not in str(caught.value)
