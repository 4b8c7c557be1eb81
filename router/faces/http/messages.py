"""Anthropic's messages. Source: Anthropic's API reference, "Messages", "Streaming" and "Errors"."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from router import own_words
from router.anthropic_body import read_body
from router.faces.http.api import (
    Asked,
    Body,
    Done,
    Replies,
    Unsaid,
    event,
    finish_of,
)
from router.faces.http.names import ModelNames
from router.faces.http.problems import Problem
from router.faces.http.words import Words
from router.json_fields import as_json, flag, parse, text
from router.types import ANTHROPIC, Answer, Delta, ToolCall, Usage
from scrimp.v1 import gateway_pb2

_STOPS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
_KINDS: Final[Mapping[int, str]] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


class Messages:
    """The API; see ``api.Api``."""

    def read(self, body: Body, words: Words, names: ModelNames) -> Asked:
        """Read a request."""
        wishes = names.wishes(text(body.get("model"), "model"))
        request = read_body(
            body, namespace=words.namespace, caller=words.caller, attribution=words.attribution
        )
        if words.anthropic:
            headers = {name: as_json(value) for name, value in words.anthropic.items()}
            request = replace(request, extra={**request.extra, **headers})
        return Asked(
            request=words.said_of(request, wishes),
            is_streamed=bool(flag(body.get("stream"), "stream")),
            body=body,
        )

    def whole(self, asked: Asked, done: Done) -> dict[str, Any]:
        """Write an answer at once."""
        own = own_words.read(done.answer, ANTHROPIC)
        message = _frame(done.report, done.model) | {
            "content": own.get("content") or list(_blocks(done.answer)),
            "stop_reason": _STOPS[finish_of(done.answer)],
        }
        return message | own_words.body_fields(own) | {"usage": _usage(done.usage, own)}

    def replies(self, asked: Asked) -> Replies:
        """Return a writer for an answer that is streamed."""
        return _Events()

    def problem(self, problem: Problem) -> dict[str, Any]:
        """Write an error."""
        usual = "api_error" if problem.status >= 500 else "invalid_request_error"
        kind = _KINDS.get(problem.status, usual)
        return {"type": "error", "error": {"type": kind, "message": problem.message}}


class _Events:
    """Writes content blocks: one of text, then one for each tool call; or those of Anthropic."""

    def __init__(self) -> None:
        self._has_own = False
        self._unsaid = Unsaid()
        self._n_blocks = 0
        self._is_text_open = False

    def begin(self, report: gateway_pb2.GatewayReport) -> bytes:
        """Say who speaks; the usage comes with the end."""
        message = _frame(report, report.provider_model or report.model)
        return _event("message_start", message=message | {"usage": _usage(None, {})})

    def delta(self, delta: Delta) -> bytes:
        """Write a piece; once it comes in Anthropic's own events, these alone are passed on."""
        self._unsaid.note(delta)
        own = delta.own.get(ANTHROPIC) if delta.own else None
        if own is not None:
            self._has_own = True
            return event(own, str(own["type"]))
        if self._has_own:
            return b""
        sent = b""
        if delta.text:
            sent += self._text(delta.text)
        for call in delta.tool_calls:
            sent += self._close_text() + self._call(call)
        return sent

    def end(self, done: Done) -> bytes:
        """Write what is left, why it ended, and the usage."""
        own = own_words.read(done.answer, ANTHROPIC)
        sent = b""
        if self._unsaid.is_all:
            sent += b"".join(map(self.delta, own_words.replayed(done.answer)))
        sent += self.delta(self._unsaid.of(done.answer))
        if done.answer.refusal:
            sent += self._text(done.answer.refusal)
        stop = {"stop_reason": _STOPS[finish_of(done.answer)], "stop_sequence": None}
        stop |= own_words.body_fields(own)
        return (
            sent
            + self._close_text()
            + _event("message_delta", delta=stop, usage=_usage(done.usage, own))
            + _event("message_stop")
        )

    def broken(self, problem: Problem) -> bytes:
        """Say that no more will come."""
        return event(Messages().problem(problem), "error")

    def _text(self, piece: str) -> bytes:
        sent = b""
        if not self._is_text_open:
            self._is_text_open = True
            sent = self._start({"type": "text", "text": ""})
        return sent + self._piece({"type": "text_delta", "text": piece})

    def _close_text(self) -> bytes:
        if not self._is_text_open:
            return b""
        self._is_text_open = False
        return self._stop()

    def _call(self, call: ToolCall) -> bytes:
        block = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
        piece = {"type": "input_json_delta", "partial_json": json.dumps(_arguments(call))}
        return self._start(block) + self._piece(piece) + self._stop()

    def _start(self, block: dict[str, Any]) -> bytes:
        return _event("content_block_start", index=self._n_blocks, content_block=block)

    def _piece(self, delta: dict[str, Any]) -> bytes:
        return _event("content_block_delta", index=self._n_blocks, delta=delta)

    def _stop(self) -> bytes:
        self._n_blocks += 1
        return _event("content_block_stop", index=self._n_blocks - 1)


def _event(kind: str, **fields: object) -> bytes:
    return event({"type": kind, **fields}, kind)


def _frame(report: gateway_pb2.GatewayReport, model: str) -> dict[str, Any]:
    return {
        "id": f"msg_{report.response_id}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _blocks(answer: Answer) -> Iterator[dict[str, Any]]:
    said = answer.text + answer.refusal
    if said:
        yield {"type": "text", "text": said}
    for call in answer.tool_calls:
        yield {"type": "tool_use", "id": call.id, "name": call.name, "input": _arguments(call)}


def _arguments(call: ToolCall) -> dict[str, Any]:
    """Return a call's arguments as an object; what is none is handed over in one, for no loss."""
    try:
        found = parse(call.arguments_json or "{}")
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"arguments": call.arguments_json}


def _usage(usage: Usage | None, own: Mapping[str, Any]) -> dict[str, Any]:
    """Write a usage; input tokens stand without the cached ones here. Unknown is 0: it must be."""
    usage = usage or Usage(input_tokens=0, output_tokens=0)
    return own_words.usage_fields(own) | {
        "input_tokens": usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
    }
