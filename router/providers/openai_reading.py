"""What chat completions answer: whole, or gathered from a stream's chunks.

Source: OpenAI's API reference, "Chat Completions" (object, chunk object).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, Final, cast

from router import own_words
from router.json_fields import unknown
from router.providers.http import broken_off, cut_off, malformed
from router.providers.openai_words import tool_call
from router.providers.reading import (
    NO_ANSWER,
    PiecedText,
    count,
    string,
    well_formed,
    well_formed_all,
)
from router.types import OPENAI, Answer, Completion, Delta, ToolCall, Usage, credible

_OF_BODIES: Final = frozenset({"id", "object", "created", "model", "choices", "usage", "error"})
_OF_CHOICES: Final = frozenset({"index", "message", "delta", "finish_reason", "logprobs"})
_OF_MESSAGES: Final = frozenset({"role", "content", "refusal", "tool_calls"})
_OF_CALLS: Final = frozenset({"id", "type", "index", "function"})
_OF_CALLED: Final = frozenset({"name", "arguments"})
_OF_USAGES: Final = frozenset({"prompt_tokens", "completion_tokens", "total_tokens"})


def parse_completion(raw: bytes) -> Completion:
    """Read a chat completion.

    Raises:
        ProviderUnavailable: it is none; it may have been billed.
    """
    try:
        body = json.loads(raw)
        choices = cast("list[dict[str, Any]]", well_formed_all(body["choices"]))
        first = choices[0]
        message = first["message"]
        logprobs = first.get("logprobs")
        body_fields = _own_words(body, _OF_BODIES)
        answer = Answer(
            text=_content_text(message.get("content")),
            finish_reason=string(first.get("finish_reason")),
            tool_calls=tuple(_read_call(call) for call in message.get("tool_calls") or ()),
            refusal=string(message.get("refusal")),
            extra_choices_json=json.dumps(choices[1:]) if len(choices) > 1 else "",
            logprobs_json=json.dumps(logprobs) if logprobs else "",
            extra_json=own_words.written(
                OPENAI,
                message=unknown(message, _OF_MESSAGES),
                choice=unknown(first, _OF_CHOICES),
                **own_words.told_apart(body_fields, _of_usage(body.get("usage"))),
            ),
        )
        return Completion(
            answer=answer,
            usage=credible(read_usage(body.get("usage")), answer),
            provider_model=well_formed(str(body.get("model") or "")),
        )
    except NO_ANSWER as error:
        raise malformed(f"the upstream's answer is no chat completion: {raw[:80]!r}") from error


def _read_call(call: dict[str, Any]) -> ToolCall:
    function = call["function"]
    return ToolCall(
        id=string(call.get("id")),
        name=string(function["name"]),
        arguments_json=string(function["arguments"]),
        extra_json=_written(_of_call(call)),
    )


def _of_call(call: Mapping[str, Any]) -> dict[str, Any]:
    """Return what we do not model of a tool call, also within its function."""
    within = _own_words(call.get("function"), _OF_CALLED)
    return _own_words(call, _OF_CALLS) | ({"function": within} if within else {})


def _written(fields: dict[str, Any]) -> str:
    return json.dumps(fields, ensure_ascii=False) if fields else ""


def _of_usage(usage: object) -> dict[str, Any]:
    own = _own_words(usage, _OF_USAGES)
    details = _own_words(own.pop("prompt_tokens_details", None), ("cached_tokens",))
    return own | ({"prompt_tokens_details": details} if details else {})


def _own_words(value: object, known: Collection[str]) -> dict[str, Any]:
    """Return the fields of an object that we do not model, well formed; none where it is none."""
    if not isinstance(value, dict):
        return {}
    return cast("dict[str, Any]", well_formed_all(unknown(value, known)))


class _Gathered:
    """Fields of deltas: texts and lists grow, anything else is said anew.

    They are joined at the end, once: a long train of thought comes in very many pieces.
    """

    def __init__(self) -> None:
        self._pieces: dict[str, list[Any]] = {}

    def add(self, more: Mapping[str, Any]) -> None:
        for name, value in more.items():
            pieces = self._pieces.get(name)
            if pieces and isinstance(value, str | list) and type(pieces[0]) is type(value):
                pieces.append(value)
            else:
                self._pieces[name] = [value]

    def whole(self) -> dict[str, Any]:
        return {name: _joined(pieces) for name, pieces in self._pieces.items()}


def _joined(pieces: list[Any]) -> object:
    if isinstance(pieces[0], str):
        return "".join(pieces)
    return [one for piece in pieces for one in piece] if len(pieces) > 1 else pieces[0]


def _content_text(content: object) -> str:
    """Return the text of a message: a string, or the text parts of a list, as some servers send."""
    if not isinstance(content, list):
        return string(content)
    return "".join(string(part["text"]) for part in content if part["type"] == "text")


def read_usage(usage: dict[str, Any] | None) -> Usage | None:
    """Read a usage block; None when it is missing, or does not say both counts.

    Cached input stands in ``prompt_tokens_details``, at DeepSeek in ``prompt_cache_hit_tokens``;
    what was written to the provider's cache is told by OpenRouter. Where thinking is counted beside
    ``completion_tokens``, as at xAI, the total tells so; it is output like any.
    """
    if not usage:
        return None
    n_input, n_output = count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
    details = usage.get("prompt_tokens_details") or {}
    n_cached = count(details.get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or 0)
    n_written = count(details.get("cache_write_tokens") or 0)
    if n_input is None or n_output is None or n_cached is None or n_written is None:
        return None
    if n_cached + n_written > n_input:
        return None
    n_total = count(usage.get("total_tokens")) or 0
    return Usage(
        input_tokens=n_input,
        output_tokens=max(n_output, n_total - n_input),
        cache_read_tokens=n_cached,
        cache_write_tokens=n_written,
    )


class _StreamedCall:
    """A tool call, gathered from its pieces."""

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments = PiecedText()
        self._further = _Gathered()

    def add(self, piece: dict[str, Any]) -> None:
        function = piece.get("function") or {}
        self._further.add(_of_call(piece))
        self.id = string(piece.get("id")) or self.id
        self.name = string(function.get("name")) or self.name
        self.arguments.add(string(function.get("arguments")))

    def call(self) -> ToolCall:
        return ToolCall(
            id=well_formed(self.id),
            name=well_formed(self.name),
            arguments_json=self.arguments.whole,
            extra_json=_written(self._further.whole()),
        )


class _StreamedChoice:
    """One choice, gathered from its deltas."""

    def __init__(self) -> None:
        self.text = PiecedText()
        self.refusal = PiecedText()
        self.logprobs: list[Any] = []
        self.finish_reason = ""
        self.of_message = _Gathered()
        self.of_choice: dict[str, Any] = {}
        self._calls: dict[int, _StreamedCall] = {}

    def add(self, choice: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Take what a chunk says of it; return the new text, and what we do not model."""
        delta = choice.get("delta") or {}
        own = _own_words(delta, _OF_MESSAGES)
        self.of_message.add(own)
        self.of_choice |= _own_words(choice, _OF_CHOICES)
        self.finish_reason = well_formed(string(choice.get("finish_reason"))) or self.finish_reason
        self.refusal.add(string(delta.get("refusal")))
        for piece in delta.get("tool_calls") or ():
            self._calls.setdefault(int(piece["index"]), _StreamedCall()).add(piece)
        if choice.get("logprobs"):
            logprobs = well_formed_all(choice["logprobs"].get("content") or [])
            self.logprobs.extend(cast("list[Any]", logprobs))
        return self.text.add(_content_text(delta.get("content"))), own

    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(call.call() for _, call in sorted(self._calls.items()))

    def as_unary(self, index: int) -> dict[str, Any]:
        """The choice as an answer that is no stream would hold it."""
        calls = [tool_call(call) for call in self.tool_calls()]
        message: dict[str, Any] = {
            "role": "assistant",
            "content": self.text.whole or (None if calls or self.refusal.whole else ""),
        }
        if self.refusal.whole:
            message["refusal"] = self.refusal.whole
        if calls:
            message["tool_calls"] = calls
        message = self.of_message.whole() | message
        choice = {"index": index, "message": message, "finish_reason": self.finish_reason}
        return (
            self.of_choice
            | choice
            | ({"logprobs": {"content": self.logprobs}} if self.logprobs else {})
        )


class StreamedAnswer:
    """Gathers chunks into the answer they make.

    Args:
        is_own: whoever asked speaks this wire, so that pieces hold what we do not model, too.
    """

    def __init__(self, *, is_own: bool = False) -> None:
        self._is_own = is_own
        self._of_body: dict[str, Any] = {}
        self._of_usage: dict[str, Any] = {}
        self._choices: dict[int, _StreamedChoice] = {0: _StreamedChoice()}
        self._usage: Usage | None = None
        self._model = ""
        self.is_over = False

    def add(self, data: bytes) -> Delta | None:
        """Take one chunk; return what of it is the caller's to see: the first choice's text.

        Usage is read from whatever chunk carries it, with choices or without.

        Raises:
            ProviderUnavailable: the chunk is an error or no chunk.
        """
        if data == b"[DONE]":
            self.is_over = True
            return None
        try:
            chunk = json.loads(data)
            if chunk.get("error"):  # some send it with every chunk, as null
                raise broken_off(data)
            usage = chunk.get("usage") or (chunk.get("x_groq") or {}).get("usage")
            if usage:
                self._usage = read_usage(usage)
                self._of_usage = _of_usage(usage)
            self._model = well_formed(str(chunk.get("model") or self._model))
            self._of_body |= _own_words(chunk, _OF_BODIES)
            said = [self._add_choice(choice) for choice in chunk.get("choices") or ()]
        except NO_ANSWER as error:
            raise malformed(f"the upstream sent what is no chunk: {data[:80]!r}") from error
        text = "".join(one for one, _ in said)
        own = {name: one for _, fields in said for name, one in fields.items()}
        if own and self._is_own:
            return Delta(text=text, own={OPENAI: own})
        return Delta(text=text) if text else None

    def _add_choice(self, choice: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        index = int(choice.get("index") or 0)
        said = self._choices.setdefault(index, _StreamedChoice()).add(choice)
        return said if index == 0 else ("", {})

    def rest(self) -> Delta | None:
        """Return what only the end makes whole: tool calls, and a character that stayed half."""
        first = self._choices[0]
        delta = Delta(text=first.text.rest, tool_calls=first.tool_calls())
        return delta if delta.text or delta.tool_calls else None

    def completion(self) -> Completion:
        """Return the whole answer.

        Raises:
            ProviderUnavailable: the stream ended before the answer did.
        """
        if not all(choice.finish_reason for choice in self._choices.values()):
            raise cut_off()
        first = self._choices[0]
        extra = [choice.as_unary(n) for n, choice in sorted(self._choices.items()) if n != 0]
        answer = Answer(
            text=first.text.whole,
            finish_reason=first.finish_reason,
            tool_calls=first.tool_calls(),
            refusal=first.refusal.whole,
            extra_choices_json=json.dumps(extra) if extra else "",
            logprobs_json=json.dumps({"content": first.logprobs}) if first.logprobs else "",
            extra_json=own_words.written(
                OPENAI,
                message=first.of_message.whole(),
                choice=first.of_choice,
                **own_words.told_apart(self._of_body, self._of_usage),
            ),
        )
        return Completion(
            answer=answer, usage=credible(self._usage, answer), provider_model=self._model
        )
