"""What Anthropic's Messages answer: whole, or gathered from a stream's events.

Source: Anthropic's API reference, "Messages" and "Streaming messages".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from router.providers.http import broken_off, cut_off, malformed
from router.providers.reading import NO_ANSWER, PiecedText, count, string, well_formed_all
from router.types import Answer, Completion, Delta, ToolCall, Usage, credible

_FINISH_REASONS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_CUT_SHORT: Final = frozenset({"max_tokens", "model_context_window_exceeded"})
"""Reasons to stop in the midst of a tool call, which is told as far as it came."""


def parse_message(raw: bytes, *, is_json: bool) -> Completion:
    """Read a message.

    Raises:
        ProviderUnavailable: it is none; it may have been billed.
    """
    try:
        body = well_formed_all(json.loads(raw))
        if not isinstance(body, dict):
            raise TypeError("a message is an object")
        blocks = body["content"]
        calls = [block for block in blocks if block["type"] == "tool_use"]
        text = "".join(string(block["text"]) for block in blocks if block["type"] == "text")
        if is_json and calls:
            text, calls = _dumped(calls[0]["input"]), []
        answer = Answer(
            text=text,
            finish_reason=_finish_reason(string(body["stop_reason"]), is_json=is_json),
            tool_calls=tuple(
                ToolCall(
                    id=string(call["id"]),
                    name=string(call["name"]),
                    arguments_json=_dumped(call["input"]),
                )
                for call in calls
            ),
        )
        usage = credible(read_usage(body.get("usage")), answer)
        return Completion(answer=answer, usage=usage, provider_model=string(body.get("model")))
    except NO_ANSWER as error:
        raise malformed(f"the upstream's answer is no message: {raw[:80]!r}") from error


def read_usage(usage: Mapping[str, Any] | None) -> Usage | None:
    """Read a usage block; None when it does not say all counts it must."""
    if not usage:
        return None
    fresh, output = count(usage.get("input_tokens")), count(usage.get("output_tokens"))
    read = count(usage.get("cache_read_input_tokens") or 0)
    written = count(usage.get("cache_creation_input_tokens") or 0)
    if fresh is None or output is None or read is None or written is None:
        return None
    return Usage(
        input_tokens=fresh + read + written,
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=written,
    )


def _finish_reason(stop_reason: str, *, is_json: bool) -> str:
    if is_json and stop_reason == "tool_use":
        return "stop"
    return _FINISH_REASONS.get(stop_reason, stop_reason)


def _dumped(value: object) -> str:
    if not isinstance(value, dict):
        raise TypeError(f"expected an object, got {type(value).__name__}")
    return json.dumps(value, ensure_ascii=False)


class _StreamedCall:
    """A tool call, gathered from its pieces."""

    def __init__(self, block: Mapping[str, Any]) -> None:
        self._id = string(block.get("id"))
        self._name = string(block.get("name"))
        self.arguments = PiecedText()

    def call(self, *, is_whole: bool) -> ToolCall:
        arguments = self.arguments.whole or "{}"
        if is_whole:
            json.loads(arguments)  # one that is cut is none
        return ToolCall(id=self._id, name=self._name, arguments_json=arguments)


class StreamedMessage:
    """Gathers events into the message they make.

    Args:
        is_json: the input of the forced tool is the answer's text.
    """

    def __init__(self, *, is_json: bool) -> None:
        self._is_json = is_json
        self._text = PiecedText()
        self._calls: dict[int, _StreamedCall] = {}
        self._usage: dict[str, Any] = {}
        self._model = ""
        self._stop_reason = ""
        self.is_over = False

    def add(self, data: bytes) -> Delta | None:
        """Take one event; return the text it brings. Kinds of events that are not known pass by.

        Raises:
            ProviderUnavailable: it tells of an error, or is no event.
        """
        try:
            event = well_formed_all(json.loads(data))
            if not isinstance(event, dict):
                raise TypeError("an event is an object")
            if event["type"] == "error":
                raise broken_off(data)
            text = self._take(event)
        except NO_ANSWER as error:
            raise malformed(f"the upstream sent what is no event: {data[:80]!r}") from error
        return Delta(text=text) if text else None

    def _take(self, event: Mapping[str, Any]) -> str:
        kind = event["type"]
        if kind == "message_start":
            self._model = string(event["message"].get("model"))
            self._note_usage(event["message"].get("usage"))
        elif kind == "content_block_start":
            block = event["content_block"]
            if block["type"] == "tool_use":
                self._calls[int(event["index"])] = _StreamedCall(block)
            elif block["type"] == "text":
                return self._text.add(string(block.get("text")))
        elif kind == "content_block_delta":
            return self._take_delta(int(event["index"]), event["delta"])
        elif kind == "message_delta":
            self._stop_reason = string(event["delta"].get("stop_reason")) or self._stop_reason
            self._note_usage(event.get("usage"))
        elif kind == "message_stop":
            self.is_over = True
        return ""

    def _take_delta(self, index: int, delta: Mapping[str, Any]) -> str:
        if delta["type"] == "text_delta":
            return self._text.add(string(delta["text"]))
        if delta["type"] == "input_json_delta":
            piece = string(delta["partial_json"])
            if self._is_json:
                return self._text.add(piece)
            self._calls[index].arguments.add(piece)
        return ""  # thoughts, signatures, citations

    def _note_usage(self, usage: Mapping[str, Any] | None) -> None:
        """Counts are cumulative: a later one replaces an earlier one."""
        self._usage |= {name: n for name, n in (usage or {}).items() if n is not None}

    def rest(self) -> Delta | None:
        """Return what only the end makes whole: tool calls, and a character that stayed half."""
        delta = Delta(text=self._text.rest, tool_calls=self._tool_calls())
        return delta if delta.text or delta.tool_calls else None

    def completion(self) -> Completion:
        """Return the whole answer.

        Raises:
            ProviderUnavailable: the stream ended before the answer did.
        """
        if not self._stop_reason:
            raise cut_off()
        try:
            answer = Answer(
                text=self._text.whole,
                finish_reason=_finish_reason(self._stop_reason, is_json=self._is_json),
                tool_calls=self._tool_calls(),
            )
        except ValueError as error:
            raise malformed("a tool call's arguments are no JSON") from error
        usage = credible(read_usage(self._usage), answer)
        return Completion(answer=answer, usage=usage, provider_model=self._model)

    def _tool_calls(self) -> tuple[ToolCall, ...]:
        if self._is_json:
            return ()
        is_whole = self._stop_reason not in _CUT_SHORT
        calls: Sequence[_StreamedCall] = [call for _, call in sorted(self._calls.items())]
        return tuple(call.call(is_whole=is_whole) for call in calls)
