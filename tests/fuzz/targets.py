"""What is fuzzed: bytes go in, and come out read or refused; anything else is a fault of ours.

A target takes any bytes. It swallows the errors that its part raises on purpose, and checks what it
made of the rest: it can be written, keyed, translated for every provider and told in every API.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from fakes_wires import (
    anthropic_events,
    anthropic_message,
    completed,
    gemini_chunks,
    gemini_response,
    thought_over,
)
from google.protobuf.message import DecodeError

from router import own_words
from router.choose import estimate_tokens
from router.errors import InvalidRequest, NotPermitted, ProviderError, ProviderRejected
from router.faces.bounds import check_chat
from router.faces.http.api import Api, Done
from router.faces.http.bodies import check_counts, read_json
from router.faces.http.chat_completions import ChatCompletions
from router.faces.http.messages import Messages
from router.faces.http.names import ModelNames
from router.faces.http.problems import HttpError, problem_of
from router.faces.http.responses import Responses
from router.faces.http.words import read_words
from router.faces.keys import Access
from router.faces.wire import kept_answer, read_answer, read_request, write_answer
from router.gateway import _pieces
from router.partition import split
from router.providers import anthropic_words, gemini, http, openai_words
from router.providers.anthropic_reading import StreamedMessage, parse_message
from router.providers.openai_reading import StreamedAnswer, parse_completion
from router.settings import parse
from router.stored_answer import pack, unpack
from router.types import ChatRequest, Completion, Delta, Share, ToolCall
from scrimp.v1 import chat_pb2, gateway_pb2

Target = Callable[[bytes], None]

_SETTINGS: Final = parse('[models.small]\nprovider = "p"\n[providers.p]\nkind = "scripted"\n', {})
_NAMES: Final = ModelNames(_SETTINGS)
_WORDS: Final = read_words({}, None, _SETTINGS.limits, Access())
_APIS: Final[Mapping[str, Api]] = {
    "chat": ChatCompletions(),
    "responses": Responses(),
    "messages": Messages(),
}
_REPORT: Final = gateway_pb2.GatewayReport(response_id="0" * 32, model="small")
_ASKED: Final = {
    name: api.read(
        {
            "model": "auto",
            "max_tokens": 5,
            "input": "hi",
            "messages": [{"role": "user", "content": "hi"}],
            "stream_options": {"include_usage": True},
        },
        _WORDS,
        _NAMES,
    )
    for name, api in _APIS.items()
}


# ---- requests ---------------------------------------------------------------------------------


def _body(name: str) -> Target:
    def target(data: bytes) -> None:
        try:
            body = read_json(data)
            check_counts(body, _SETTINGS.limits)
            words = read_words({}, body.get("metadata"), _SETTINGS.limits, Access())
            asked = _APIS[name].read(body, words, _NAMES)
            check_chat(asked.request, _SETTINGS.limits)
            _APIS[name].replies(asked)
        except (InvalidRequest, HttpError, NotPermitted) as error:
            problem = problem_of(error)
            assert 400 <= problem.status < 500
            _written(_APIS[name].problem(problem))
            return
        _translated(asked.request)
        _written(_APIS[name].whole(asked, _done(_PLAIN)))

    return target


def _wire_request(data: bytes) -> None:
    try:
        wire = chat_pb2.ChatRequest.FromString(data)
        request = read_request(wire, caller="c", access=Access(), limits=_SETTINGS.limits)
    except (DecodeError, InvalidRequest):
        return
    _translated(request)


def _translated(request: ChatRequest) -> None:
    split(request, scope=Share.USER)
    assert estimate_tokens(request) > 0
    for word in (
        lambda: openai_words.request_body("m", request),
        lambda: anthropic_words.request_body("m", request, 8_000),
        lambda: anthropic_words.counted_body("m", request),
        lambda: anthropic_words.headers_of(request),
        lambda: gemini.request_body("gemini-3-pro", request),
    ):
        with suppress(ProviderRejected):  # a wire that has no words for it says so
            _written(word())


# ---- answers ----------------------------------------------------------------------------------


def _whole(read: Callable[[bytes], Completion]) -> Target:
    def target(data: bytes) -> None:
        with suppress(ProviderError):
            _told(read(data), ())

    return target


def _streamed(gathering: Callable[[], Any]) -> Target:
    """Take server-sent events: bytes are read in small pieces, as a network might cut them."""

    def target(data: bytes) -> None:
        gathered = gathering()
        deltas: list[Delta] = []
        with suppress(ProviderError):
            for event in _events(data):
                delta = gathered.add(event)
                if delta is not None:
                    deltas.append(delta)
                if gathered.is_over:
                    break
            completion = gathered.completion()
            rest = gathered.rest()
            _told(completion, [*deltas, *filter(None, [rest])])

    return target


def _events(data: bytes) -> Iterator[bytes]:
    left = [data[start : start + 7] for start in range(0, len(data), 7)][::-1]

    async def read() -> bytes:
        return left.pop() if left else b""

    return _run(http._events(read))


def _run(events: AsyncGenerator[bytes, None]) -> Iterator[bytes]:
    """Run what never waits, without a loop."""
    while True:
        try:
            events.__anext__().send(None)
        except StopIteration as ended:
            yield ended.value
        except StopAsyncIteration:
            return
        else:
            raise AssertionError("it waits for something")


def _told(completion: Completion, deltas: Iterable[Delta]) -> None:
    """Keep an answer, read it back, and tell it in every API, streamed and whole."""
    usage = completion.usage
    kept = unpack(
        pack(completion),
        input_tokens=usage.input_tokens if usage else None,
        output_tokens=usage.output_tokens if usage else None,
    )
    assert kept.answer.text == completion.answer.text
    wire = chat_pb2.Answer()
    write_answer(wire, completion.answer)
    again = chat_pb2.Answer.FromString(wire.SerializeToString())
    assert kept_answer(again).text == completion.answer.text
    for name, api in _APIS.items():
        done = _done(completion)
        _written(api.whole(_ASKED[name], done))
        for said in (tuple(deltas), tuple(_pieces(kept.answer)), ()):
            replies = api.replies(_ASKED[name])
            sent = replies.begin(_REPORT) + b"".join(map(replies.delta, said)) + replies.end(done)
            for one in sent.split(b"\n\n"):
                data = one.partition(b"data: ")[2]
                if data not in (b"", b"[DONE]"):
                    json.loads(data.decode(), parse_constant=_no_constant)


def _done(completion: Completion) -> Done:
    return Done(answer=completion.answer, usage=completion.usage, report=_REPORT)


def _written(value: object) -> None:
    json.dumps(value, allow_nan=False, ensure_ascii=False).encode()


def _no_constant(name: str) -> float:
    raise AssertionError(f"{name} is no JSON")


def _errors(data: bytes) -> None:
    """What upstreams say of their faults, and when they want to be asked again."""
    http.error_message(data).encode()
    for status in (400, 401, 403, 429, 500):
        http.is_account_fault(status, data)
    text = data.decode("latin-1")
    for header in ("Retry-After", "retry-after-ms"):
        seconds = http.read_retry_after({header: text}, 1_700_000_000.0)
        assert seconds is None or seconds >= 0


def _headers(data: bytes) -> None:
    """The words beside a request."""
    lines = data.decode("utf-8", "replace").split("\n")
    pairs = dict(line.split(":", 1) for line in lines if ":" in line)
    with suppress(InvalidRequest, NotPermitted):
        read_words(pairs, pairs, _SETTINGS.limits, Access())


def _handed_back(field: str) -> Target:
    """What an app hands back as an answer reaches other callers."""

    def target(data: bytes) -> None:
        wire = chat_pb2.Answer(text="yes")
        setattr(wire, field, data.decode("utf-8", "ignore"))
        with suppress(InvalidRequest):
            answer = read_answer(wire)
            own_words.kept(answer.extra_json)
            _told(Completion(answer=answer, usage=None), ())

    return target


TARGETS: Final[Mapping[str, Target]] = {
    "chat body": _body("chat"),
    "responses body": _body("responses"),
    "messages body": _body("messages"),
    "request over gRPC": _wire_request,
    "OpenAI's answer": _whole(parse_completion),
    "OpenAI's stream": _streamed(lambda: StreamedAnswer(is_own=True)),
    "Anthropic's answer": _whole(lambda data: parse_message(data, is_json=False)),
    "Anthropic's answer in JSON": _whole(lambda data: parse_message(data, is_json=True)),
    "Anthropic's stream": _streamed(lambda: StreamedMessage(is_json=False, is_own=True)),
    "Gemini's stream": _streamed(gemini.GatheredContent),
    "errors of upstreams": _errors,
    "words in headers": _headers,
    "an app's own words": _handed_back("extra_json"),
    "an app's further choices": _handed_back("extra_choices_json"),
    "an app's log probabilities": _handed_back("logprobs_json"),
}


# ---- seeds ------------------------------------------------------------------------------------

_CALL: Final = ToolCall(id="c1", name="look", arguments_json='{"city": "Oslo"}')
_PLAIN: Final = completed("By rising magma.")
_CALLING: Final = completed("I look.", "tool_calls", tool_calls=(_CALL,))
_CHAT_MESSAGE: Final = {
    "role": "assistant",
    "content": "By magma.",
    "reasoning_content": "Hm.",
    "refusal": None,
    "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}, "x": 1}
    ],
}
_USAGE: Final = {
    "prompt_tokens": 12,
    "completion_tokens": 5,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
_CHAT_ANSWER: Final = {
    "model": "m",
    "system_fingerprint": "fp",
    "choices": [
        {
            "index": 0,
            "message": _CHAT_MESSAGE,
            "finish_reason": "stop",
            "logprobs": {"content": []},
        },
        {"index": 1, "message": {"content": "B"}, "finish_reason": "length"},
    ],
    "usage": _USAGE,
}
_CHUNKS: Final = [
    {"choices": [{"index": 0, "delta": {"role": "assistant", "reasoning_content": "Hm."}}]},
    {
        "choices": [
            {"index": 0, "delta": {"content": "By", "tool_calls": [{"index": 0, "id": "c"}]}}
        ]
    },
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "model": "m"},
    {"choices": [], "usage": _USAGE, "service_tier": "flex"},
]
_CHAT_BODY: Final = {
    "model": "auto",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Hi", "x": 1},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            ],
        },
        _CHAT_MESSAGE,
        {"role": "tool", "tool_call_id": "c1", "content": "4"},
    ],
    "tools": [{"type": "function", "function": {"name": "look", "parameters": {"a": 1}}}],
    "tool_choice": {"type": "function", "function": {"name": "look"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}},
    "stop": ["x"],
    "logit_bias": {"5": 1},
    "metadata": {"x-scrimp-user": "u"},
    "stream_options": {"include_usage": True},
    "n": 1,
}
_RESPONSES_BODY: Final = {
    "model": "auto",
    "instructions": "Be brief.",
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "4"},
        {"type": "reasoning", "summary": []},
    ],
    "tools": [{"type": "function", "name": "look", "parameters": {}}],
    "text": {"format": {"type": "json_schema", "name": "s", "schema": {}}, "verbosity": "low"},
    "reasoning": {"effort": "low"},
}
_MESSAGES_BODY: Final = {
    "model": "auto",
    "max_tokens": 2_000,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Hi", "x": 1},
                {"type": "image", "source": {"type": "url", "url": "https://e.org/a.png"}},
                {"type": "document", "source": {"type": "text", "data": "A"}, "title": "T"},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "I look."},
                {"type": "thinking", "thinking": "Hm.", "signature": "s"},
                {"type": "tool_use", "id": "c1", "name": "look", "input": {"a": 1}},
            ],
            "x": 1,
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "c1", "is_error": True}],
        },
    ],
    "tools": [{"name": "look", "input_schema": {"type": "object"}}],
    "tool_choice": {"type": "tool", "name": "look", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 1_024},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}},
}


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _sse(events: Iterable[bytes]) -> bytes:
    return b"".join(one + b"\n\n" for one in events)


_THOUGHT: Final = thought_over(_CALLING)
SEEDS: Final[Mapping[str, tuple[bytes, ...]]] = {
    "chat body": (_json(_CHAT_BODY),),
    "responses body": (_json(_RESPONSES_BODY),),
    "messages body": (_json(_MESSAGES_BODY),),
    "request over gRPC": (
        chat_pb2.ChatRequest(
            messages=[
                chat_pb2.Message(
                    role=chat_pb2.ROLE_USER,
                    parts=[chat_pb2.Part(text="Hi", extra_json='{"a": 1}')],
                    tool_calls=[chat_pb2.ToolCall(id="c", name="f", arguments_json="{}")],
                )
            ],
            tools=[chat_pb2.Tool(name="f", parameters_json="{}")],
            extra_json={"anthropic": '{"thinking": {}}', "x": "1"},
            tool_choice_json='"auto"',
        ).SerializeToString(),
    ),
    "OpenAI's answer": (_json(_CHAT_ANSWER),),
    "OpenAI's stream": (_sse(b"data: " + _json(one) for one in _CHUNKS) + b"data: [DONE]\n\n",),
    "Anthropic's answer": tuple(_json(anthropic_message(one)) for one in (_PLAIN, _THOUGHT)),
    "Anthropic's answer in JSON": (_json(anthropic_message(_CALLING)),),
    "Anthropic's stream": tuple(_sse(anthropic_events(one)) for one in (_PLAIN, _THOUGHT)),
    "Gemini's stream": (
        _sse(gemini_chunks(_CALLING)),
        b"data: " + _json(gemini_response(_PLAIN)) + b"\n\n",
    ),
    "errors of upstreams": (
        _json({"error": {"message": "no", "code": "insufficient_quota", "details": [{}]}}),
        b"Wed, 21 Oct 2026 07:28:00 GMT",
        b"1.5",
    ),
    "words in headers": (
        b"x-scrimp-user:u\nx-scrimp-cache-control:max-age=5, bypass\nx-scrimp-tags:a,b\n"
        b"anthropic-beta:a,b\nx-scrimp-max-cost-usd:0.1\nx-scrimp-timeout-s:1\n",
    ),
    "an app's own words": (
        _THOUGHT.answer.extra_json.encode(),
        _json({"openai": {"message": {"annotations": [{"url_citation": {}}]}, "usage": {"a": 1}}}),
        _json({"anthropic": {"content": [{"type": "text", "text": "yes", "citations": []}]}}),
    ),
    "an app's further choices": (
        _json([{"index": 1, "message": _CHAT_MESSAGE, "finish_reason": "stop", "x": 1}]),
    ),
    "an app's log probabilities": (_json({"content": [{"token": "a", "logprob": -0.5}]}),),
}


def crashes(target: Target, data: bytes) -> Exception | None:
    """Return what a target raises for bytes that it should have read or refused."""
    try:
        target(data)
    except Exception as error:  # noqa: BLE001  whatever it is, it is what is looked for
        return error
    return None
