"""Whatever JSON comes: it is read, or refused with a sentence; it is never a failure of ours."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.choose import estimate_tokens
from router.errors import InvalidRequest, ProviderRejected
from router.faces.bounds import check_chat
from router.faces.http.api import Api, Done
from router.faces.http.bodies import read_json
from router.faces.http.chat_completions import ChatCompletions
from router.faces.http.messages import Messages
from router.faces.http.names import ModelNames
from router.faces.http.problems import HttpError, problem_of
from router.faces.http.responses import Responses
from router.faces.http.words import read_words
from router.faces.keys import Access
from router.partition import split
from router.providers.openai_words import request_body
from router.settings import parse
from router.types import Answer, Delta, Share, ToolCall, Usage
from scrimp.v1 import gateway_pb2

SETTINGS = parse('[models.small]\nprovider = "p"\n[providers.p]\nkind = "scripted"\n', {})
NAMES = ModelNames(SETTINGS)
APIS: dict[str, Api] = {
    "chat": ChatCompletions(),
    "responses": Responses(),
    "messages": Messages(),
}

TEXT = st.text(max_size=8)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3)
)
KINDS = (
    *("text", "image_url", "image", "document", "file", "input_audio", "refusal", "tool_use"),
    *("tool_result", "thinking", "input_text", "input_image", "input_file", "output_text"),
    *("function", "custom", "message", "function_call", "function_call_output", "reasoning"),
    *("json_object", "json_schema", "base64", "url", "enabled", "auto", "any", "tool"),
)
ROLES = ("system", "developer", "user", "assistant", "tool")
INNER = (
    *("content", "text", "name", "id", "arguments", "function", "parameters", "image_url", "url"),
    *("source", "data", "media_type", "file", "input_audio", "tool_calls", "tool_call_id"),
    *("tool_use_id", "input", "input_schema", "call_id", "output", "json_schema", "schema"),
    *("format", "effort", "budget_tokens", "refusal", "include_usage", "x-scrimp-user"),
)
OUTER = (
    *("messages", "input", "instructions", "system", "tools", "tool_choice", "response_format"),
    *("text", "reasoning", "thinking", "output_config", "metadata", "user", "stop", "n", "seed"),
    *("stop_sequences", "temperature", "top_p", "max_tokens", "max_output_tokens", "logit_bias"),
    *("stream", "stream_options", "include", "logprobs", "top_logprobs", "functions", "further"),
)


def _objects(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    fields = st.dictionaries(st.sampled_from(INNER), values, max_size=3)
    typed = st.fixed_dictionaries({}, optional={"type": st.sampled_from(KINDS)})
    return st.builds(lambda one, two: one | two, fields, typed)


# Objects whose fields are those of the APIs, filled with what belongs there or with anything else.
VALUES = st.recursive(
    st.sampled_from(KINDS) | SCALARS,
    lambda inner: st.lists(inner, max_size=2) | _objects(inner),
    max_leaves=6,
)


TURNS = st.builds(lambda one, role: one | {"role": role}, _objects(VALUES), st.sampled_from(ROLES))
BODIES = st.builds(
    lambda fields, turns: (
        {"model": "auto", "max_tokens": 9, "input": turns, "messages": turns} | fields
    ),
    st.dictionaries(st.sampled_from(OUTER), VALUES, max_size=3),
    st.lists(TURNS, min_size=1, max_size=2),
)


@pytest.mark.parametrize("name", APIS)
@settings(max_examples=150)
@given(body=BODIES | st.dictionaries(TEXT, ANYTHING, max_size=4))
def test_any_body_is_read_or_refused(name: str, body: dict[str, Any]) -> None:
    """What is read has a key, a size, and a body for a provider; what is refused has a 4xx."""
    try:
        found = read_json(json.dumps(body).encode())
        words = read_words({}, found.get("metadata"), SETTINGS.limits, Access())
        asked = APIS[name].read(found, words, NAMES)
        check_chat(asked.request, SETTINGS.limits)
        APIS[name].replies(asked)
    except (InvalidRequest, HttpError) as error:
        problem = problem_of(error)
        assert 400 <= problem.status < 500
        assert problem.message
        assert json.dumps(APIS[name].problem(problem))
        return

    split(asked.request, scope=Share.USER)
    assert estimate_tokens(asked.request) > 0
    with suppress(ProviderRejected):  # a provider that has no words for it says so
        assert json.dumps(request_body("m", asked.request), allow_nan=False)


@settings(max_examples=150)
@given(raw=st.binary(max_size=40) | st.text(max_size=40).map(lambda text: text.encode()))
def test_any_bytes_are_a_json_object_or_refused(raw: bytes) -> None:
    """And what is read can be written again as UTF-8."""
    try:
        found = read_json(raw)
    except InvalidRequest:
        return

    json.dumps(found, ensure_ascii=False, allow_nan=False).encode()


ANSWERS = st.builds(
    Answer,
    text=st.text(max_size=20),
    finish_reason=st.sampled_from(["stop", "length", "tool_calls", "end_turn", "", "odd"]),
    tool_calls=st.lists(
        st.builds(
            ToolCall,
            id=TEXT,
            name=TEXT,
            arguments_json=st.sampled_from(["{}", '{"a": 1}', "[1]", "no JSON", ""]),
        ),
        max_size=2,
    ).map(tuple),
    refusal=st.sampled_from(["", "No."]),
)


@pytest.mark.parametrize("name", APIS)
@given(answer=ANSWERS, cuts=st.lists(st.integers(0, 20), max_size=3), has_usage=st.booleans())
def test_a_stream_says_what_the_whole_says(
    name: str, answer: Answer, cuts: list[int], has_usage: bool
) -> None:
    """However an answer is cut into pieces, or if it comes in none: its texts make the whole."""
    body = {
        "model": "auto",
        "max_tokens": 5,
        "input": "hi",
        "messages": [{"role": "user", "content": "hi"}],
    }
    api = APIS[name]
    asked = api.read(body, read_words({}, None, SETTINGS.limits, Access()), NAMES)
    report = gateway_pb2.GatewayReport(response_id="0" * 32, model="small")
    usage = Usage(input_tokens=3, output_tokens=2) if has_usage else None
    done = Done(answer=answer, usage=usage, report=report)
    replies = api.replies(asked)
    ends = sorted({min(cut, len(answer.text)) for cut in cuts} | {len(answer.text)})
    pieces = [answer.text[a:b] for a, b in zip([0, *ends], ends, strict=False)] if cuts else []

    sent = replies.begin(report)
    for piece in filter(None, pieces):
        sent += replies.delta(Delta(text=piece))
    sent += replies.end(done)

    assert json.dumps(api.whole(asked, done))
    assert _streamed_text(name, sent) == answer.text


def _streamed_text(name: str, sent: bytes) -> str:
    """Gather the text of a stream as each API has it."""
    text = ""
    for one in sent.decode().split("\n\n"):
        data = one.rpartition("data: ")[2]
        if not data.startswith("{"):
            continue
        event = json.loads(data)
        if name == "chat":
            text += (event["choices"][0]["delta"].get("content") or "") if event["choices"] else ""
        elif event["type"] == "response.output_text.delta":
            text += event["delta"]
        elif event["type"] == "content_block_delta":
            text += event["delta"].get("text", "")
    return text.removesuffix("No.") if name == "messages" and text.endswith("No.") else text
