"""OpenAI's chat completions, as spoken by OpenAI and by most others.

Source: OpenAI's API reference, "Chat Completions" (object, chunk object, error object).
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, cast
from urllib.parse import quote

from router.errors import ProviderRejected
from router.ports import ModelCall
from router.providers.asking import joined
from router.providers.http import HttpUpstream, broken_off, cut_off, malformed
from router.providers.quirks import Quirks, quirks_of
from router.providers.reading import (
    NO_ANSWER,
    PiecedText,
    count,
    string,
    well_formed,
    well_formed_all,
)
from router.types import (
    ANTHROPIC,
    Answer,
    ChatRequest,
    Completion,
    Delta,
    Message,
    Part,
    ResponseFormat,
    Tool,
    ToolCall,
    Usage,
    credible,
)

_COMMON = Quirks()
_OURS = frozenset({"model", "messages", "stream", "stream_options", "request_id", ANTHROPIC})


class OpenAIProvider:
    """One upstream that speaks chat completions.

    Args:
        base_url: up to and with the version, e.g. ``https://host/v1``.
        api_key: returns the key, or an empty string for an upstream without one.
        max_connections: at the same time; further calls wait within their own time limits.
    """

    def __init__(
        self, base_url: str, api_key: Callable[[], str], *, max_connections: int = 512
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._quirks = quirks = quirks_of(base_url)

        def headers() -> dict[str, str]:
            key = api_key()
            return {quirks.key_header: f"{quirks.key_prefix}{key}"} if key else {}

        self._http = HttpUpstream(headers, api_key, max_connections=max_connections)

    async def complete(self, call: ModelCall) -> Completion:
        """Return the whole answer."""
        body = request_body(call.model, call.request, self._quirks)
        with self._http.keyless():
            return parse_completion(await self._http.whole(self._url(call), body, call))

    async def stream(self, call: ModelCall) -> AsyncGenerator[Delta | Completion, None]:
        """Yield the answer as it comes, then whole."""
        body = request_body(call.model, call.request, self._quirks) | {"stream": True}
        if self._quirks.asks_for_usage:
            body["stream_options"] = {"include_usage": True}
        gathered = StreamedAnswer()
        async with aclosing(self._http.streamed(self._url(call), body, call, gathered)) as events:
            async for event in events:
                yield event

    async def close(self) -> None:
        """Close every connection."""
        await self._http.close()

    def _url(self, call: ModelCall) -> str:
        return self._base_url + self._quirks.path.format(model=quote(call.model, safe=""))


def request_body(model: str, request: ChatRequest, quirks: Quirks = _COMMON) -> dict[str, Any]:
    """Return the JSON body of a call; ``request.extra`` never overrides what we set.

    Raises:
        ProviderRejected: chat completions have no words for what is asked.
    """
    sampling, reasoning = request.sampling, request.reasoning
    if reasoning.budget_tokens is not None:
        raise ProviderRejected(
            "reasoning.budget_tokens has no field in chat completions; set reasoning.effort",
            kind="unsupported_reasoning",
        )
    body: dict[str, Any] = {
        name: json.loads(value) for name, value in request.extra.items() if name not in _OURS
    }
    body |= {"model": model, "messages": [_message(message) for message in request.messages]}
    optional: dict[str, Any] = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        quirks.max_tokens_thinking if reasoning.effort else quirks.max_tokens: sampling.max_tokens,
        "stop": list(sampling.stop) or None,
        quirks.seed: sampling.seed,
        "n": sampling.n,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "logprobs": sampling.logprobs,
        "top_logprobs": sampling.top_logprobs,
        "logit_bias": dict(sampling.logit_bias) or None,
        "reasoning_effort": reasoning.effort or None,
        "tools": [_tool(tool) for tool in request.tools] or None,
        "tool_choice": json.loads(request.tool_choice_json) if request.tool_choice_json else None,
        "response_format": _format(request.response_format),
    }
    return body | {name: value for name, value in optional.items() if value is not None}


def _message(message: Message) -> dict[str, Any]:
    body: dict[str, Any] = _further(message.extra_json)
    body |= {"role": message.role.value, "content": _content(message.parts)}
    if message.name:
        body["name"] = message.name
    if message.tool_call_id:
        body["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        body["tool_calls"] = [_tool_call(call) for call in message.tool_calls]
    return body


def _tool_call(call: ToolCall) -> dict[str, Any]:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments_json},
    }


def _content(parts: tuple[Part, ...]) -> str | list[dict[str, Any]] | None:
    if not parts:
        return None
    if len(parts) == 1 and not parts[0].media_type and not _further(parts[0].extra_json):
        return parts[0].text
    return [joined(_further(part.extra_json), _part(part)) for part in parts]


def _further(extra_json: str) -> dict[str, Any]:
    """Return the further fields of a message, a part or a tool, but for another wire's words."""
    found = json.loads(extra_json) if extra_json else {}
    return {name: value for name, value in found.items() if name != ANTHROPIC}


def _part(part: Part) -> dict[str, Any]:
    if not part.media_type:
        return {"type": "text", "text": part.text}
    is_image = part.media_type.startswith("image/")
    if not part.data and not (is_image and part.uri):
        raise ProviderRejected(
            f"a part of type {part.media_type} has no data; chat completions take only images by "
            "reference, so send its bytes in data",
            kind="unsupported_media",
        )
    if is_image:
        url = part.uri or f"data:{part.media_type};base64,{b64encode(part.data).decode()}"
        return {"type": "image_url", "image_url": {"url": url} | _detail(part)}
    if part.media_type.startswith("audio/"):
        form = part.media_type.removeprefix("audio/")
        return {
            "type": "input_audio",
            "input_audio": {"data": b64encode(part.data).decode(), "format": form},
        }
    data = f"data:{part.media_type};base64,{b64encode(part.data).decode()}"
    return {"type": "file", "file": {"file_data": data, "filename": part.uri or "file"}}


def _detail(part: Part) -> dict[str, str]:
    return {"detail": part.detail} if part.detail else {}


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    if tool.parameters_json:
        function["parameters"] = json.loads(tool.parameters_json)
    if tool.is_strict is not None:
        function["strict"] = tool.is_strict
    return joined(_further(tool.extra_json), {"type": "function", "function": function})


def _format(form: ResponseFormat) -> dict[str, Any] | None:
    if form.kind == "text":
        return None
    if form.kind == "json_schema":
        return {"type": "json_schema", "json_schema": json.loads(form.schema_json)}
    return {"type": form.kind}


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
        answer = Answer(
            text=_content_text(message.get("content")),
            finish_reason=string(first.get("finish_reason")),
            tool_calls=tuple(_read_call(call) for call in message.get("tool_calls") or ()),
            refusal=string(message.get("refusal")),
            extra_choices_json=json.dumps(choices[1:]) if len(choices) > 1 else "",
            logprobs_json=json.dumps(logprobs) if logprobs else "",
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
    )


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

    def add(self, piece: dict[str, Any]) -> None:
        function = piece.get("function") or {}
        self.id = string(piece.get("id")) or self.id
        self.name = string(function.get("name")) or self.name
        self.arguments.add(string(function.get("arguments")))

    def call(self) -> ToolCall:
        return ToolCall(
            id=well_formed(self.id),
            name=well_formed(self.name),
            arguments_json=self.arguments.whole,
        )


class _StreamedChoice:
    """One choice, gathered from its deltas."""

    def __init__(self) -> None:
        self.text = PiecedText()
        self.refusal = PiecedText()
        self.logprobs: list[Any] = []
        self.finish_reason = ""
        self._calls: dict[int, _StreamedCall] = {}

    def add(self, choice: dict[str, Any]) -> str:
        """Take what a chunk says of it; return the new text."""
        delta = choice.get("delta") or {}
        self.finish_reason = well_formed(string(choice.get("finish_reason"))) or self.finish_reason
        self.refusal.add(string(delta.get("refusal")))
        for piece in delta.get("tool_calls") or ():
            self._calls.setdefault(int(piece["index"]), _StreamedCall()).add(piece)
        if choice.get("logprobs"):
            logprobs = well_formed_all(choice["logprobs"].get("content") or [])
            self.logprobs.extend(cast("list[Any]", logprobs))
        return self.text.add(_content_text(delta.get("content")))

    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(call.call() for _, call in sorted(self._calls.items()))

    def as_unary(self, index: int) -> dict[str, Any]:
        """The choice as an answer that is no stream would hold it."""
        calls = [_tool_call(call) for call in self.tool_calls()]
        message: dict[str, Any] = {
            "role": "assistant",
            "content": self.text.whole or (None if calls or self.refusal.whole else ""),
        }
        if self.refusal.whole:
            message["refusal"] = self.refusal.whole
        if calls:
            message["tool_calls"] = calls
        choice = {"index": index, "message": message, "finish_reason": self.finish_reason}
        return choice | ({"logprobs": {"content": self.logprobs}} if self.logprobs else {})


class StreamedAnswer:
    """Gathers chunks into the answer they make."""

    def __init__(self) -> None:
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
            self._model = well_formed(str(chunk.get("model") or self._model))
            text = "".join(self._add_choice(choice) for choice in chunk.get("choices") or ())
        except NO_ANSWER as error:
            raise malformed(f"the upstream sent what is no chunk: {data[:80]!r}") from error
        return Delta(text=text) if text else None

    def _add_choice(self, choice: dict[str, Any]) -> str:
        index = int(choice.get("index") or 0)
        text = self._choices.setdefault(index, _StreamedChoice()).add(choice)
        return text if index == 0 else ""

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
        )
        return Completion(
            answer=answer, usage=credible(self._usage, answer), provider_model=self._model
        )
