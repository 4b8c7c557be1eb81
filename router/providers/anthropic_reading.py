"""What Anthropic's Messages answer: whole, or gathered from a stream's events.

Source: Anthropic's API reference, "Messages" and "Streaming messages".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from router import own_words
from router.json_fields import unknown
from router.providers.http import broken_off, cut_off, malformed
from router.providers.reading import NO_ANSWER, PiecedText, count, string, well_formed_all
from router.types import ANTHROPIC, Answer, Completion, Delta, ToolCall, Usage, credible

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

_SAID_BY_FINISH: Final = frozenset({"end_turn", "max_tokens", "tool_use", "refusal"})
"""Reasons to stop that our own word for them stands for without loss."""
_OF_MESSAGES: Final = frozenset({"id", "type", "role", "model", "content", "stop_reason", "usage"})
_OF_USAGES: Final = frozenset(
    {"input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"}
)
_OF_BLOCKS: Final[Mapping[str, frozenset[str]]] = {
    "text": frozenset({"type", "text"}),
    "tool_use": frozenset({"type", "id", "name", "input"}),
}
_OF_CONTENT: Final = frozenset({"content_block_start", "content_block_delta", "content_block_stop"})
_MOST_BLOCKS: Final = 10_000


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
            extra_json="" if is_json else _own_words(body, blocks),
        )
        usage = credible(read_usage(body.get("usage")), answer)
        return Completion(answer=answer, usage=usage, provider_model=string(body.get("model")))
    except NO_ANSWER as error:
        raise malformed(f"the upstream's answer is no message: {raw[:80]!r}") from error


def parse_token_count(raw: bytes) -> int:
    """Read a count of tokens.

    Raises:
        ProviderUnavailable: it is none.
    """
    try:
        found = count(json.loads(raw)["input_tokens"])
    except NO_ANSWER as error:
        raise malformed(f"the upstream's answer is no count of tokens: {raw[:80]!r}") from error
    if found is None:
        raise malformed(f"the upstream's answer is no count of tokens: {raw[:80]!r}")
    return found


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


def _own_words(message: Mapping[str, Any], blocks: Sequence[Mapping[str, Any]]) -> str:
    """Return what we do not model of a message: blocks, why it stopped, further fields."""
    body, stop_reason = unknown(message, _OF_MESSAGES), message.get("stop_reason")
    if stop_reason not in _SAID_BY_FINISH:
        body["stop_reason"] = stop_reason
    usage = message.get("usage")
    of_usage = unknown(usage, _OF_USAGES) if isinstance(usage, dict) else {}
    return own_words.written(
        ANTHROPIC,
        content=[] if _is_plain(blocks) else list(blocks),
        **own_words.told_apart(body, of_usage),
    )


def _is_plain(blocks: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether blocks are one text at most, then calls, and nothing that we do not model."""
    kinds = [str(block.get("type")) for block in blocks]
    n_texts = kinds.count("text")
    return (
        n_texts <= 1
        and kinds == ["text"] * n_texts + ["tool_use"] * (len(kinds) - n_texts)
        and not any(unknown(block, _OF_BLOCKS[block["type"]]) for block in blocks)
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


class _StreamedBlock:
    """A block of any kind, gathered from its pieces."""

    def __init__(self, start: Mapping[str, Any]) -> None:
        self._start = dict(start)
        self.kind = string(start["type"])
        self._texts: dict[str, list[str]] = {}
        self._citations: list[Any] = []

    def add(self, delta: Mapping[str, Any]) -> None:
        """Take a piece: ``x_delta`` brings more of ``x``."""
        name = string(delta["type"]).removesuffix("_delta")
        if name == "citations":
            self._citations.append(delta.get("citation"))
            return
        piece = delta.get("partial_json" if name == "input_json" else name)
        if isinstance(piece, str):
            self._texts.setdefault(name, []).append(piece)

    def block(self) -> dict[str, Any]:
        """Return it as an answer that is no stream would hold it."""
        whole: dict[str, Any] = self._start.copy()
        for name, pieces in self._texts.items():
            text = "".join(pieces)
            if name == "input_json":
                whole["input"] = _input(text)
            else:
                whole[name] = string(whole.get(name)) + text
        if self._citations:
            whole["citations"] = [*(whole.get("citations") or ()), *self._citations]
        return whole


def _input(text: str) -> object:
    try:
        return json.loads(text or "{}")
    except ValueError:
        return {}  # cut off; the call itself tells how far it came


class StreamedMessage:
    """Gathers events into the message they make.

    Args:
        is_json: the input of the forced tool is the answer's text.
        is_own: whoever asked speaks this wire, so that pieces hold the events themselves, too.
    """

    def __init__(self, *, is_json: bool, is_own: bool = False) -> None:
        self._is_json = is_json
        self._is_own = is_own and not is_json
        self._message: dict[str, Any] = {}
        self._blocks: dict[int, _StreamedBlock] = {}
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
            kind = string(event["type"])
            if kind == "error":
                raise broken_off(data)
            text = self._take(event)
        except NO_ANSWER as error:
            raise malformed(f"the upstream sent what is no event: {data[:80]!r}") from error
        if self._is_own and kind in _OF_CONTENT:
            return Delta(text=text, own={ANTHROPIC: event})
        return Delta(text=text) if text else None

    def _take(self, event: Mapping[str, Any]) -> str:
        kind = event["type"]
        if kind == "message_start":
            message = event["message"]
            self._model = string(message.get("model"))
            self._note_usage(message.get("usage"))
            self._message |= unknown(message, _OF_MESSAGES)
        elif kind == "content_block_start":
            block = event["content_block"]
            self._blocks[int(event["index"])] = _StreamedBlock(block)
            if len(self._blocks) > _MOST_BLOCKS:
                raise ValueError("too many blocks")
            if block["type"] == "tool_use":
                self._calls[int(event["index"])] = _StreamedCall(block)
            elif block["type"] == "text":
                return self._text.add(string(block.get("text")))
        elif kind == "content_block_delta":
            return self._take_delta(int(event["index"]), event["delta"])
        elif kind == "message_delta":
            self._stop_reason = string(event["delta"].get("stop_reason")) or self._stop_reason
            self._note_usage(event.get("usage"))
            self._message |= unknown(event["delta"], _OF_MESSAGES)
            self._message |= unknown(event, ("type", "delta", "usage"))
        elif kind == "message_stop":
            self.is_over = True
        return ""

    def _take_delta(self, index: int, delta: Mapping[str, Any]) -> str:
        if index in self._blocks:
            self._blocks[index].add(delta)
        if delta["type"] == "text_delta":
            return self._text.add(string(delta["text"]))
        if delta["type"] == "input_json_delta":
            piece = string(delta["partial_json"])
            if self._is_json:
                return self._text.add(piece)
            if self._blocks[index].kind == "tool_use":  # others run at Anthropic
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
                extra_json="" if self._is_json else self._own_words(),
            )
        except ValueError as error:
            raise malformed("a tool call's arguments are no JSON") from error
        except NO_ANSWER as error:
            raise malformed("the streamed blocks are no message") from error
        usage = credible(read_usage(self._usage), answer)
        return Completion(answer=answer, usage=usage, provider_model=self._model)

    def _own_words(self) -> str:
        message = self._message | {"stop_reason": self._stop_reason, "usage": self._usage}
        return _own_words(message, [one.block() for _, one in sorted(self._blocks.items())])

    def _tool_calls(self) -> tuple[ToolCall, ...]:
        if self._is_json:
            return ()
        is_whole = self._stop_reason not in _CUT_SHORT
        calls: Sequence[_StreamedCall] = [call for _, call in sorted(self._calls.items())]
        return tuple(call.call(is_whole=is_whole) for call in calls)
