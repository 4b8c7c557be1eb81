"""Anthropic's Messages on the wire, against a real HTTP upstream."""

from __future__ import annotations

import json
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
from fakes_wires import ANTHROPIC, anthropic_events, anthropic_message, completed, thought_over

from router.anthropic_body import read_body
from router.errors import ProviderError, ProviderRejected, ProviderUnavailable
from router.providers.anthropic import AnthropicProvider
from router.providers.anthropic_words import request_body
from router.providers.openai_words import request_body as chat_completion_body
from router.types import (
    Attribution,
    ChatRequest,
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
CACHED = Usage(input_tokens=100, output_tokens=7, cache_read_tokens=60, cache_write_tokens=30)
done = partial(completed, model="claude-x", usage=CACHED)
LONG = "You answer questions about volcanoes. " * 200


@pytest_asyncio.fixture
async def provider(upstream: UpstreamServer) -> AsyncIterator[AnthropicProvider]:
    """The adapter that talks to it."""
    provider = AnthropicProvider(upstream.url, lambda: KEY)
    yield provider
    await provider.close()


async def test_a_request_is_put_into_its_words(
    upstream: UpstreamServer, provider: AnthropicProvider
) -> None:
    """System apart, tools and their results as blocks, bounds always, the key in its own header."""
    upstream.next(ANTHROPIC.says(done("Hi"), is_streamed=False))
    messages = (
        message("be brief", Role.SYSTEM),
        Message(
            role=Role.USER,
            parts=(
                Part(text="What is this?"),
                Part(media_type="image/png", data=b"png"),
                Part(media_type="image/png", uri="https://host/a.png"),
                Part(media_type="application/pdf", data=b"pdf"),
            ),
        ),
        Message(role=Role.ASSISTANT, parts=(Part(text="Let me look."),), tool_calls=CALLS),
        Message(role=Role.TOOL, parts=(Part(text="lava"),), tool_call_id="c1"),
        Message(role=Role.TOOL, tool_call_id="c2"),
        message("Well?"),
        message("only use numbers", Role.DEVELOPER),
    )
    request = call(
        messages=messages,
        tools=(Tool(name="search", description="d", parameters_json='{"type": "object", "x": 1}'),),
        tool_choice_json='"required"',
        sampling=Sampling(temperature=1.5, top_p=0.5, max_tokens=9, stop=("x",), seed=3),
        extra={"top_k": "5", "parallel_tool_calls": "false", "user": '"u"', "model": '"other"'},
    )

    await provider.complete(request)

    (seen,) = upstream.seen
    assert seen.path == "/v1/messages"
    assert (seen.headers["x-api-key"], seen.authorization) == (KEY, None)
    assert seen.headers["anthropic-version"] == "2023-06-01"
    assert seen.body == {
        "top_k": 5,
        "model": "m",
        "max_tokens": 9,
        "temperature": 1.0,
        "top_p": 0.5,
        "stop_sequences": ["x"],
        "system": [
            {"type": "text", "text": "be brief"},
            {"type": "text", "text": "only use numbers"},
        ],
        "tools": [
            {"name": "search", "description": "d", "input_schema": {"type": "object", "x": 1}}
        ],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": "cG5n"},
                    },
                    {"type": "image", "source": {"type": "url", "url": "https://host/a.png"}},
                    {
                        "type": "document",
                        "source": {
                            "type": "base64",
                            "media_type": "application/pdf",
                            "data": "cGRm",
                        },
                    },
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "Let me look."},
                    {"type": "tool_use", "id": "c1", "name": "search", "input": {"q": "läva"}},
                    {"type": "tool_use", "id": "c2", "name": "look", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "c1",
                        "content": [{"type": "text", "text": "lava"}],
                    },
                    {"type": "tool_result", "tool_use_id": "c2"},
                    {"type": "text", "text": "Well?"},
                ],
            },
        ],
    }


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize(
    "said",
    [
        done("Volcanoes form 🌋."),
        thought_over(done("Volcanoes form 🌋.")),
        thought_over(done("Let me look.", "tool_calls", tool_calls=CALLS)),
        done("Volc", "length"),
        done("Let me look.", "tool_calls", tool_calls=CALLS),
        done("", "tool_calls", tool_calls=CALLS[1:]),
    ],
    ids=[
        "text",
        "thoughts",
        "thoughts and calls",
        "cut at the bound",
        "text and calls",
        "a call without arguments",
    ],
)
async def test_answers_come_out_as_they_went_in(
    upstream: UpstreamServer, provider: AnthropicProvider, said: Completion, is_streamed: bool
) -> None:
    """Text, calls, stop reason, model, and usage with cached and written input."""
    upstream.next(ANTHROPIC.says(said, is_streamed=is_streamed))

    assert await asked(provider, call(), is_streamed=is_streamed) == said


async def test_pieces_are_text_first_and_calls_whole_at_the_end(
    upstream: UpstreamServer, provider: AnthropicProvider
) -> None:
    """Thoughts are no part of the answer."""
    upstream.next(
        ANTHROPIC.says(done("Let me look.", "tool_calls", tool_calls=CALLS), is_streamed=True)
    )

    deltas, _ = await gathered(provider, call())

    assert "".join(delta.text for delta in deltas) == "Let me look."
    assert deltas[-1].tool_calls == CALLS


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_json_is_the_input_of_a_forced_tool(
    upstream: UpstreamServer, provider: AnthropicProvider, is_streamed: bool
) -> None:
    """There is no JSON mode; the caller does not notice."""
    arguments = '{"mass": 5}'
    tool = ToolCall(id="c", name="give_answer", arguments_json=arguments)
    upstream.next(
        ANTHROPIC.says(done("", "tool_calls", tool_calls=(tool,)), is_streamed=is_streamed)
    )
    form = ResponseFormat(
        kind="json_schema", schema_json='{"name": "s", "schema": {"type": "object", "x": 1}}'
    )

    found = await asked(provider, call(response_format=form), is_streamed=is_streamed)

    assert found == done(arguments)
    body = upstream.seen[0].body
    assert body["tools"][0]["input_schema"] == {"type": "object", "x": 1}
    assert body["tool_choice"] == {"type": "tool", "name": "give_answer"}


@pytest.mark.parametrize(
    ("stop", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("pause_turn", "pause_turn"),
    ],
)
async def test_stop_reasons_are_translated(
    upstream: UpstreamServer, provider: AnthropicProvider, stop: str, finish: str
) -> None:
    """Into the words of chat completions; an unknown one stays, and is not stored."""
    upstream.next(json_of(anthropic_message(done("Hi")) | {"stop_reason": stop}))

    assert (await provider.complete(call())).answer.finish_reason == finish


def test_long_prefixes_are_marked_for_the_providers_cache() -> None:
    """Instructions, and in a conversation that goes on its end; short ones are not worth it."""
    mark = {"type": "ephemeral"}
    once = request_body("m", chat(messages=(message(LONG, Role.SYSTEM), message("Hi"))))
    turns = (message("Hi"), message(LONG, Role.ASSISTANT), message("And?"))
    goes_on = request_body("m", chat(messages=turns))
    short = request_body("m", chat(messages=(*turns[:1], message("Hello", Role.ASSISTANT))))
    tools = (Tool(name="t", description=LONG),)
    tooled = request_body("m", chat(messages=(message("Hi"),), tools=tools))

    assert once["system"][-1]["cache_control"] == mark
    assert "cache_control" not in json.dumps(once["messages"])
    assert goes_on["messages"][-1]["content"][-1]["cache_control"] == mark
    assert "cache_control" not in json.dumps(short)
    assert tooled["tools"][-1]["cache_control"] == mark


@pytest.mark.parametrize(
    ("reasoning", "max_tokens", "budget"),
    [
        (Reasoning(effort="low"), 2_048, 1_024),
        (Reasoning(effort="low"), 2_047, None),
        (Reasoning(effort="high"), 100, None),
        (Reasoning(effort="high"), 4_000, 2_976),
        (Reasoning(effort="high"), 32_000, 16_384),
        (Reasoning(budget_tokens=2_000), 4_000, 2_000),
        (Reasoning(effort="none"), 4_000, None),
        (Reasoning(), 4_000, None),
    ],
)
def test_thinking_stays_within_the_callers_bound(
    reasoning: Reasoning, max_tokens: int, budget: int | None
) -> None:
    """Less of it, or none where it has no room; what thinking does not take is left out."""
    sampling = Sampling(temperature=0.5, max_tokens=max_tokens)

    body = request_body("m", chat(reasoning=reasoning, sampling=sampling))

    assert body["max_tokens"] == max_tokens
    assert body.get("thinking", {}).get("budget_tokens") == budget
    assert ("temperature" in body) == (budget is None)


def test_thinking_stands_beside_the_answer_where_the_caller_set_no_bound() -> None:
    """The bound is ours then."""
    body = request_body("m", chat(reasoning=Reasoning(effort="high"), sampling=Sampling()))

    assert body["max_tokens"] == 4_096 + 16_384
    assert body["thinking"]["budget_tokens"] == 16_384


def test_a_tools_result_is_not_thought_about() -> None:
    """The thoughts that called it would have to be sent along."""
    messages = (
        message("Hi"),
        Message(role=Role.ASSISTANT, tool_calls=CALLS[:1]),
        Message(role=Role.TOOL, parts=(Part(text="lava"),), tool_call_id="c1"),
    )

    assert "thinking" not in request_body(
        "m", chat(messages=messages, reasoning=Reasoning(effort="low"))
    )


THOUGHTS: list[Any] = [
    {"type": "thinking", "thinking": "Hm.", "signature": "abc"},
    {"type": "redacted_thinking", "data": "xyz"},
]
IN_ITS_OWN_WORDS: dict[str, Any] = {
    "model": "claude-x",
    "max_tokens": 2_000,
    "temperature": 1.0,
    "thinking": {"type": "enabled", "budget_tokens": 1_024},
    "output_config": {"effort": "low"},
    "service_tier": "standard_only",
    "top_k": 5,
    "tools": [
        {
            "name": "search",
            "input_schema": {"type": "object"},
            "strict": True,
            "input_examples": [{"q": "lava"}],
        }
    ],
    "messages": [
        {
            "role": "user",
            "content": [
                {
                    "type": "document",
                    "source": {"type": "text", "media_type": "text/plain", "data": "A report."},
                    "title": "Report",
                    "citations": {"enabled": True},
                },
                {
                    "type": "document",
                    "source": {"type": "url", "url": "https://host/a.pdf"},
                    "context": "from last year",
                },
                {"type": "text", "text": "What does it say?"},
            ],
        },
        {
            "role": "assistant",
            "content": [
                *THOUGHTS,
                {"type": "text", "text": "Let me look.", "citations": [{"cited_text": "A"}]},
                {"type": "tool_use", "id": "c1", "name": "search", "input": {"q": "lava"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "c1",
                    "is_error": True,
                    "content": [{"type": "text", "text": "not found"}],
                },
            ],
        },
    ],
}


def as_messages(body: dict[str, Any]) -> ChatRequest:
    return read_body(body, namespace="n", caller="c", attribution=Attribution())


def test_what_came_in_its_own_words_goes_out_in_them() -> None:
    """Thoughts, citations, titles, failed tools, thinking, effort: as if nobody stood between."""
    assert request_body("claude-x", as_messages(IN_ITS_OWN_WORDS)) == IN_ITS_OWN_WORDS


def test_a_format_asked_in_its_own_words_forces_no_tool() -> None:
    """The model's own JSON mode, also beside tools."""
    form = {"type": "json_schema", "schema": {"type": "object"}}
    asked = IN_ITS_OWN_WORDS | {"output_config": {"format": form}}

    assert request_body("claude-x", as_messages(asked)) == asked


def test_there_is_no_thinking_without_the_thoughts_that_called_a_tool() -> None:
    """It would be refused; without it the request is answered."""
    without = json.loads(json.dumps(IN_ITS_OWN_WORDS))
    del without["messages"][1]["content"][:2]

    assert "thinking" not in request_body("claude-x", as_messages(without))


def test_its_own_words_are_left_out_where_nobody_has_them() -> None:
    """Chat completions get what they know."""
    asked = json.loads(json.dumps(IN_ITS_OWN_WORDS)) | {"thinking": None}
    del asked["messages"][0]["content"][1]  # by reference they take no document at all

    body = chat_completion_body("m", as_messages(asked))

    written = json.dumps(body)
    for word in ("anthropic", "thinking", "citations", "title", "is_error", "output_config"):
        assert word not in written
    assert body["reasoning_effort"] == "low"


def test_other_wires_further_fields_are_left_out() -> None:
    """Fields within messages that came as chat completions are no words of this wire."""
    messages = (
        message("Hi"),
        Message(
            role=Role.ASSISTANT,
            parts=(Part(text="Ho", extra_json='{"x": 1}'),),
            extra_json='{"reasoning_content": "Hm."}',
        ),
        message("Well?"),
    )
    tools = (Tool(name="f", extra_json='{"y": 1}'),)

    body = request_body("m", chat(messages=messages, tools=tools))

    assert body["messages"][1]["content"] == [{"type": "text", "text": "Ho"}]
    assert body["tools"] == [{"name": "f", "input_schema": {"type": "object"}}]


@pytest.mark.parametrize("strange", ["5", "[1]", '{"thinking_blocks": 5}', '{"stream": true}'])
def test_strange_words_do_no_harm(strange: str) -> None:
    """A caller of another API may write anything under that name."""
    extra_json = f'{{"anthropic": {strange}}}'
    turn = Message(role=Role.ASSISTANT, parts=(Part(text="Ho"),), extra_json=extra_json)

    body = request_body(
        "m", chat(messages=(message("Hi"), turn, message("So?")), extra={"anthropic": strange})
    )

    assert body["messages"][1]["content"] == [{"type": "text", "text": "Ho"}]
    assert "stream" not in body


def test_instructions_alone_are_the_question() -> None:
    """There is no call without a turn."""
    body = request_body("m", chat(messages=(message("Say hello.", Role.SYSTEM),)))

    assert "system" not in body
    assert body["messages"][0]["content"][0]["text"] == "Say hello."


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"sampling": Sampling(n=2)}, "unsupported_n"),
        ({"sampling": Sampling(logprobs=True)}, "unsupported_logprobs"),
        ({"sampling": Sampling(logit_bias=(("5", 1.0),))}, "unsupported_logit_bias"),
        (
            {"response_format": ResponseFormat(kind="json_object"), "tools": (Tool(name="t"),)},
            "unsupported_json",
        ),
        (
            {
                "messages": (
                    Message(role=Role.USER, parts=(Part(media_type="audio/wav", data=b"x"),)),
                )
            },
            "unsupported_media",
        ),
        (
            {
                "messages": (
                    message("Hi"),
                    Message(
                        role=Role.ASSISTANT,
                        tool_calls=(ToolCall(id="c", name="f", arguments_json="[1"),),
                    ),
                )
            },
            "unsupported_arguments",
        ),
        (
            {"tool_choice_json": '{"type": "x"}', "tools": (Tool(name="t"),)},
            "unsupported_tool_choice",
        ),
    ],
)
def test_what_there_are_no_words_for_is_refused(fields: dict[str, Any], kind: str) -> None:
    """Nothing that the caller would miss is dropped; another provider may have the words."""
    with pytest.raises(ProviderRejected) as caught:
        request_body("m", chat(**fields))

    assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("events", "kind"),
    [
        (anthropic_events(done("Volcanoes form"))[:-2], "cut_off"),
        ([*anthropic_events(done("Volcanoes"))[:5], b"data: {half"], "malformed"),
        ([*anthropic_events(done("Volcanoes"))[:5], b"data: 17"], "malformed"),
        (
            [
                *anthropic_events(done("Volcanoes"))[:5],
                b'event: error\ndata: {"type": "error", "error": {"message": "overloaded"}}',
            ],
            "stream_error",
        ),
    ],
)
async def test_half_a_stream_is_told_as_such(
    upstream: UpstreamServer, provider: AnthropicProvider, events: list[bytes], kind: str
) -> None:
    """Whatever breaks it off: retryable elsewhere, and perhaps billed."""
    upstream.next(events_of(*events, has_end=False))

    with pytest.raises(ProviderUnavailable) as caught:
        await gathered(provider, call())

    assert (caught.value.kind, caught.value.is_billable) == (kind, True)


@pytest.mark.parametrize("stop", ["max_tokens", "model_context_window_exceeded", "tool_use"])
async def test_a_tool_call_may_be_cut_by_the_limit_of_tokens(
    upstream: UpstreamServer, provider: AnthropicProvider, stop: str
) -> None:
    """It is told as far as it came, with what it cost; cut for no reason it is none."""
    events = anthropic_events(done(finish="tool_calls", tool_calls=CALLS[:1]))
    last = max(n for n, event in enumerate(events) if b"input_json_delta" in event)
    cut = [
        event.replace(b'"stop_reason": "tool_use"', b'"stop_reason": "%s"' % stop.encode())
        for event in events[:last] + events[last + 1 :]
    ]
    upstream.next(events_of(*cut, has_end=False))

    if stop == "tool_use":
        with pytest.raises(ProviderUnavailable, match="no JSON"):
            await gathered(provider, call())
        return
    deltas, completion = await gathered(provider, call())

    (partial,) = completion.answer.tool_calls
    assert CALLS[0].arguments_json.startswith(partial.arguments_json)
    assert partial.arguments_json != CALLS[0].arguments_json
    assert deltas[-1].tool_calls == (partial,)
    assert (completion.answer.finish_reason, completion.usage) == ("length", CACHED)


async def test_unknown_events_pass_by(
    upstream: UpstreamServer, provider: AnthropicProvider
) -> None:
    """As the reference asks of clients."""
    events = anthropic_events(done("Hi"))
    news = b'event: news\ndata: {"type": "news", "content": 1}'
    upstream.next(events_of(*events[:3], news, *events[3:], has_end=False))

    assert (await gathered(provider, call()))[1] == done("Hi")


async def test_out_of_credit_opens_the_account_fault(
    upstream: UpstreamServer, provider: AnthropicProvider
) -> None:
    """It comes as a plain 400."""
    words = "Your credit balance is too low to access the Anthropic API. Please go to Plans."
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": words}}
    upstream.next(json_of(error, 400))

    with pytest.raises(ProviderUnavailable, match="account are refused") as caught:
        await provider.complete(call())

    assert caught.value.is_account_fault


async def test_a_usage_that_cannot_be_read_is_unknown(
    upstream: UpstreamServer, provider: AnthropicProvider
) -> None:
    """Never 0."""
    upstream.next(json_of(anthropic_message(done("Hi")) | {"usage": {"input_tokens": 3}}))

    assert (await provider.complete(call())).usage is None


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_key_is_never_shown(
    upstream: UpstreamServer, provider: AnthropicProvider, is_streamed: bool
) -> None:
    """Not even where the upstream says it back."""
    upstream.next(raw(f"no such key: {KEY}".encode(), 403))

    with pytest.raises(ProviderError) as caught:
        await asked(provider, call(), is_streamed=is_streamed)

    assert KEY not in str(caught.value)
