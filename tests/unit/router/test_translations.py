"""Requests and answers in the words of other wires: rules that hold for all of them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from fakes_requests import chat, message
from fakes_wires import anthropic_events, anthropic_message, gemini_chunks, gemini_response
from hypothesis import example, given
from hypothesis import strategies as st

from router.errors import ProviderError
from router.providers import anthropic_reading, anthropic_words, gemini, openai_reading
from router.types import (
    Answer,
    ChatRequest,
    Completion,
    Message,
    Part,
    Role,
    Sampling,
    ToolCall,
    Usage,
)

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
names = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
objects = st.dictionaries(names, texts | st.integers() | st.booleans(), max_size=3)
calls = st.builds(
    ToolCall,
    id=names,
    name=names,
    arguments_json=objects.map(lambda o: json.dumps(o, ensure_ascii=False)),
)


@st.composite
def turns(draw: st.DrawFn) -> list[Message]:
    """Return what a conversation adds: said by one, or called and answered by a tool."""
    role = draw(
        st.sampled_from([Role.SYSTEM, Role.DEVELOPER, Role.USER, Role.ASSISTANT, Role.TOOL])
    )
    parts = tuple(Part(text=text) for text in draw(st.lists(texts, max_size=3)))
    if role is not Role.TOOL:
        return [Message(role=role, parts=parts)]
    asked = draw(calls)
    return [
        Message(role=Role.ASSISTANT, tool_calls=(asked,)),
        Message(role=Role.TOOL, parts=parts, tool_call_id=asked.id),
    ]


requests = st.builds(
    lambda several, temperature: chat(
        messages=tuple(message for one in several for message in one),
        sampling=Sampling(temperature=temperature),
    ),
    st.lists(turns(), min_size=1, max_size=6),
    st.none() | st.floats(0, 2),
)


@st.composite
def usages(draw: st.DrawFn, *, writes: bool) -> Usage:
    fresh = draw(st.integers(1, 10_000))
    read, written = draw(st.integers(0, 5_000)), draw(st.integers(0, 5_000)) if writes else 0
    return Usage(
        input_tokens=fresh + read + written,
        output_tokens=draw(st.integers(1, 10_000)),
        cache_read_tokens=read,
        cache_write_tokens=written,
    )


@st.composite
def completions(draw: st.DrawFn, *, writes: bool) -> Completion:
    asked = draw(st.lists(calls, max_size=3))
    finish = "tool_calls" if asked else draw(st.sampled_from(["stop", "length"]))
    return Completion(
        answer=Answer(text=draw(texts), finish_reason=finish, tool_calls=tuple(asked)),
        usage=draw(usages(writes=writes)),
        provider_model=draw(names),
    )


def _said(value: object, key: str) -> list[str]:
    """Return every text under a key, in order."""
    if isinstance(value, list):
        return [text for one in value for text in _said(one, key)]
    if isinstance(value, dict):
        own = [value[key]] if isinstance(value.get(key), str) else []
        return own + [text for one in value.values() for text in _said(one, key)]
    return []


def _texts(request: ChatRequest, *, of_tools: bool) -> list[str]:
    return [
        part.text
        for message in request.messages
        if message.role not in (Role.SYSTEM, Role.DEVELOPER)
        and (of_tools or message.role is not Role.TOOL)
        for part in message.parts
        if part.text
    ]


@given(requests)
def test_messages_say_all_that_was_said_in_order(request: ChatRequest) -> None:
    """Turns alternate, no text is lost or moved, every call and result keeps its id."""
    body = anthropic_words.request_body("m", request)

    json.dumps(body)
    roles = [turn["role"] for turn in body["messages"]]
    assert all(one != other for one, other in itertools.pairwise(roles))
    instructing = [
        part.text
        for message in request.messages
        if message.role in (Role.SYSTEM, Role.DEVELOPER)
        for part in message.parts
        if part.text
    ]
    said = _said(body.get("system", []), "text") + _said(body["messages"], "text")
    assert said == instructing + _texts(request, of_tools=True)
    asked = [call.id for message in request.messages for call in message.tool_calls]
    blocks = [block for turn in body["messages"] for block in turn["content"]]
    assert [block["id"] for block in blocks if block["type"] == "tool_use"] == asked
    assert [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"] == asked


@given(requests)
def test_contents_say_all_that_was_said_in_order(request: ChatRequest) -> None:
    """Turns alternate, no text is lost or moved, every result names its function."""
    body = gemini.request_body("gemini-3-pro", request)

    json.dumps(body)
    roles = [turn["role"] for turn in body["contents"]]
    assert all(one != other for one, other in itertools.pairwise(roles))
    if "systemInstruction" in body or _texts(request, of_tools=False):
        parts = [part for turn in body["contents"] for part in turn["parts"]]
        said = [part["text"] for part in parts if "text" in part]
        assert said == _texts(request, of_tools=False)
    asked = [call.name for message in request.messages for call in message.tool_calls]
    parts = [part for turn in body["contents"] for part in turn["parts"]]
    assert [p["functionCall"]["name"] for p in parts if "functionCall" in p] == asked
    assert len([p for p in parts if "functionResponse" in p]) == len(asked)


@given(completions(writes=True), st.integers(1, 7))
def test_a_message_is_read_as_it_was_said(said: Completion, size: int) -> None:
    """Whole, and streamed in pieces of any size."""
    gathered = anthropic_reading.StreamedMessage(is_json=False)
    deltas = [gathered.add(event.split(b"data: ", 1)[1]) for event in anthropic_events(said, size)]

    whole = anthropic_reading.parse_message(
        json.dumps(anthropic_message(said)).encode(), is_json=False
    )

    assert whole == gathered.completion() == said
    assert "".join(delta.text for delta in deltas if delta) == said.answer.text


@given(completions(writes=False), st.integers(1, 7))
def test_content_is_read_as_it_was_said(said: Completion, size: int) -> None:
    """Whole, and streamed in pieces of any size."""
    gathered, whole = gemini.GatheredContent(), gemini.GatheredContent()
    deltas = [gathered.add(chunk.removeprefix(b"data: ")) for chunk in gemini_chunks(said, size)]

    whole.add(json.dumps(gemini_response(said)).encode())

    if not (said.answer.tool_calls and said.answer.finish_reason == "length"):
        assert whole.completion() == gathered.completion() == said
    assert "".join(delta.text for delta in deltas if delta) == said.answer.text


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(
            ["type", "content", "content_block", "delta", "index", "message", "usage", "text",
             "stop_reason", "input", "candidates", "parts", "functionCall", "finishReason",
             "usageMetadata", "promptFeedback", "choices", "error", "model", "name", "args"]
        ),
        inner | st.sampled_from(["message_start", "content_block_delta", "tool_use", "text"]),
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


def _openai_stream(data: bytes) -> object:
    gathered = openai_reading.StreamedAnswer()
    gathered.add(data)
    return gathered.completion()


def _anthropic_stream(data: bytes) -> object:
    gathered = anthropic_reading.StreamedMessage(is_json=False)
    gathered.add(data)
    return gathered.completion()


def _gemini(data: bytes) -> object:
    gathered = gemini.GatheredContent()
    gathered.add(data)
    return gathered.completion()


def _anthropic(data: bytes) -> object:
    return anthropic_reading.parse_message(data, is_json=False)


@pytest.mark.parametrize(
    "read",
    [openai_reading.parse_completion, _openai_stream, _anthropic, _anthropic_stream, _gemini],
)
@example(b'{"choices": [{"index": Infinity}]}')
@given(junk.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40))
def test_whatever_comes_is_read_or_refused(read: Callable[[bytes], Any], data: bytes) -> None:
    """A strange answer is a provider's error, and never a crash of ours."""
    with suppress(ProviderError):
        read(data)


@pytest.mark.parametrize(
    "order", ["[1.0, 0]", "[true, 0]", "[1, 1]", "[0]", "[3, 0]", '["1"]', "{}"]
)
def test_an_order_that_is_none_is_passed_over(order: str) -> None:
    """Thoughts, words and calls come in the usual order then; anyone can send such fields."""
    thought = '{"type": "thinking", "thinking": "Hm.", "signature": "s"}'
    turn = Message(
        role=Role.ASSISTANT,
        parts=(Part(text="Hi."),),
        extra_json=f'{{"anthropic": {{"thinking_blocks": [{thought}], "order": {order}}}}}',
    )

    body = anthropic_words.request_body("m", chat(messages=(message("Hello?"), turn)))

    kinds = [block["type"] for block in body["messages"][1]["content"]]
    assert kinds == ["thinking", "text"]
