"""OpenAI's chat completions, as spoken by OpenAI and by most others.

Source: OpenAI's API reference, "Chat Completions" (object, chunk object, error object), and the
server-sent events of the WHATWG HTML standard, section 9.2.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

import aiohttp

from router.errors import ProviderError, ProviderRejected, ProviderTimeout, ProviderUnavailable
from router.ports import ModelCall
from router.types import (
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

_RETRYABLE_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_MAX_ERROR_CHARS = 300
_MAX_LINE_BYTES = 8 * 1024 * 1024
_MAX_ANSWER_BYTES = 32 * 1024 * 1024
_MAX_TOKENS = 2**31
_OURS = frozenset({"model", "messages", "stream", "stream_options", "request_id"})
_NO_ANSWER = (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError)

Read = Callable[[], Awaitable[bytes]]
"""Returns the next bytes of an upstream's answer, none at its end."""


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
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._api_key = api_key
        self._max_connections = max_connections
        self._session: aiohttp.ClientSession | None = None

    async def complete(self, call: ModelCall) -> Completion:
        """Return the whole answer."""
        body = request_body(call.model, call.request)
        async with self._posted(call, body, _patient(call)) as read:
            raw = await _whole(read)
        return parse_completion(self._without_key(raw))

    async def stream(self, call: ModelCall) -> AsyncGenerator[Delta | Completion, None]:
        """Yield the answer as it comes, then whole."""
        body = request_body(call.model, call.request) | {
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        gathered = StreamedAnswer()
        async with (
            self._posted(call, body, _impatient(call)) as read,
            aclosing(_events(read)) as events,
        ):
            async for data in events:
                if data == b"[DONE]":
                    break
                delta = gathered.add(self._without_key(data))
                if delta is not None:
                    yield delta
        completion = gathered.completion()
        rest = gathered.rest()
        if rest is not None:
            yield rest
        yield completion

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    @asynccontextmanager
    async def _posted(
        self, call: ModelCall, body: dict[str, Any], limits: aiohttp.ClientTimeout
    ) -> AsyncIterator[Read]:
        """Send, and turn whatever goes wrong inside the block into ``ProviderError``.

        The call's whole time bounds every wait for the upstream, never what the caller does with
        the answer meanwhile.
        """
        now = asyncio.get_running_loop().time
        ends_at = now() + call.total_s
        is_sent = False
        try:
            async with asyncio.timeout_at(ends_at):
                response = await self._open().post(
                    self._url, json=body, headers=self._headers(), timeout=limits
                )
            async with response:

                async def read() -> bytes:
                    async with asyncio.timeout_at(ends_at):
                        return await response.content.readany()

                is_sent = True
                await self._raise_for_status(response, read)
                yield read
        except ProviderError:
            raise
        except aiohttp.ConnectionTimeoutError as error:
            waited_s = now() - ends_at + call.total_s
            limit = f"connect_s = {call.connect_s:g} s"
            if limits.connect and waited_s >= limits.connect:
                limit = f"connect_s + first_token_s = {limits.connect:g} s: all were taken"
            raise ProviderUnavailable(
                f"{self._url} cannot be reached: no connection within {limit}", kind="connect"
            ) from error
        except aiohttp.ClientConnectorError as error:
            raise ProviderUnavailable(
                f"{self._url} cannot be reached: {error}", kind="connect"
            ) from error
        except aiohttp.SocketTimeoutError as error:
            raise ProviderTimeout(
                f"{self._url} sent nothing for first_token_s = {call.first_token_s:g} s",
                kind="timeout",
                is_billable=True,
            ) from error
        except TimeoutError as error:
            raise ProviderTimeout(
                f"{self._url} did not finish within total_s = {call.total_s:g} s",
                kind="timeout",
                is_billable=True,
            ) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ProviderUnavailable(
                f"{self._url} broke off: {type(error).__name__}",
                kind="broken" if is_sent else "reset",
                is_billable=True,
            ) from error

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=self._max_connections, keepalive_timeout=30)
            self._session = aiohttp.ClientSession(connector=connector)
        return self._session

    def _headers(self) -> dict[str, str]:
        key = self._api_key()
        return {"Authorization": f"Bearer {key}"} if key else {}

    def _without_key(self, raw: bytes) -> bytes:
        """Strike the key out, should an upstream say it back: errors quote what it says."""
        key = self._api_key().encode()
        return raw.replace(key, b"[key]") if key else raw

    async def _raise_for_status(self, response: aiohttp.ClientResponse, read: Read) -> None:
        """Raise for anything but 200; nothing was billed then."""
        if response.status == 200:
            return
        detail = _error_message(self._without_key(await read()))
        message = f"status {response.status}: {detail}"
        kind = f"http_{response.status}"
        if response.status in _RETRYABLE_STATUS:
            retry_after_s = _retry_after_s(response.headers.get("Retry-After"))
            raise ProviderUnavailable(message, kind=kind, retry_after_s=retry_after_s)
        if response.status in (401, 402, 403, 404):
            # The key, the account or the model is at fault, not the request: another model may
            # serve.
            raise ProviderUnavailable(message, kind=kind, retry_after_s=float("inf"))
        raise ProviderRejected(message, kind=kind)


def _patient(call: ModelCall) -> aiohttp.ClientTimeout:
    """Limits where the first byte comes with the whole answer: only to connect."""
    return aiohttp.ClientTimeout(total=None, sock_connect=call.connect_s)


def _impatient(call: ModelCall) -> aiohttp.ClientTimeout:
    """Limits of a stream: to connect, to the first byte, and between the pieces."""
    return aiohttp.ClientTimeout(
        total=None,
        connect=call.connect_s + call.first_token_s,  # with the wait for a free connection
        sock_connect=call.connect_s,
        sock_read=call.first_token_s,
    )


async def _whole(read: Read) -> bytes:
    pieces: list[bytes] = []
    n_bytes = 0
    while piece := await read():
        n_bytes += len(piece)
        if n_bytes > _MAX_ANSWER_BYTES:
            raise _malformed(f"the upstream's answer exceeds {_MAX_ANSWER_BYTES} bytes")
        pieces.append(piece)
    return b"".join(pieces)


def _malformed(message: str) -> ProviderUnavailable:
    return ProviderUnavailable(message, kind="malformed", is_billable=True)


def _error_message(raw: bytes) -> str:
    try:
        found = json.loads(raw)["error"]
        text = str(found["message"] if isinstance(found, dict) else found)
    except _NO_ANSWER:
        text = raw.decode(errors="replace")
    return well_formed(text)[:_MAX_ERROR_CHARS]


def _retry_after_s(header: str | None) -> float | None:
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:
        return None  # a date: the usual backoff serves


def request_body(model: str, request: ChatRequest) -> dict[str, Any]:
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
        "max_completion_tokens" if reasoning.effort else "max_tokens": sampling.max_tokens,
        "stop": list(sampling.stop) or None,
        "seed": sampling.seed,
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
    body: dict[str, Any] = {"role": message.role.value, "content": _content(message.parts)}
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
    if len(parts) == 1 and not parts[0].media_type:
        return parts[0].text
    return [_part(part) for part in parts]


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
    return {"type": "function", "function": function}


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
        choices = cast("list[dict[str, Any]]", _well_formed_all(body["choices"]))
        first = choices[0]
        message = first["message"]
        logprobs = first.get("logprobs")
        answer = Answer(
            text=_content_text(message.get("content")),
            finish_reason=_string(first.get("finish_reason")),
            tool_calls=tuple(_read_call(call) for call in message.get("tool_calls") or ()),
            refusal=_string(message.get("refusal")),
            extra_choices_json=json.dumps(choices[1:]) if len(choices) > 1 else "",
            logprobs_json=json.dumps(logprobs) if logprobs else "",
        )
        return Completion(
            answer=answer,
            usage=credible(read_usage(body.get("usage")), answer),
            provider_model=well_formed(str(body.get("model") or "")),
        )
    except _NO_ANSWER as error:
        raise _malformed(f"the upstream's answer is no chat completion: {raw[:80]!r}") from error


def _read_call(call: dict[str, Any]) -> ToolCall:
    function = call["function"]
    return ToolCall(
        id=_string(call.get("id")),
        name=_string(function["name"]),
        arguments_json=_string(function["arguments"]),
    )


def _string(value: object) -> str:
    """Return a string, empty where there is none; a TypeError for anything else."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError(f"expected a string, got {type(value).__name__}")
    return value


def _content_text(content: object) -> str:
    """Return the text of a message: a string, or the text parts of a list, as some servers send."""
    if not isinstance(content, list):
        return _string(content)
    return "".join(_string(part["text"]) for part in content if part["type"] == "text")


def well_formed(text: str) -> str:
    """Join surrogate pairs and replace lone surrogates: JSON may hold them, UTF-8 may not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _well_formed_all(value: object) -> object:
    """The same for all strings in a JSON value."""
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, list):
        return [_well_formed_all(one) for one in value]
    if isinstance(value, dict):
        return {well_formed(name): _well_formed_all(one) for name, one in value.items()}
    return value


def read_usage(usage: dict[str, Any] | None) -> Usage | None:
    """Read a usage block; None when it is missing, or does not say both counts."""
    if not usage:
        return None
    n_input, n_output = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    n_cached = _count((usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)
    if n_input is None or n_output is None or n_cached is None or n_cached > n_input:
        return None
    return Usage(input_tokens=n_input, output_tokens=n_output, cache_read_tokens=n_cached)


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < _MAX_TOKENS else None


async def _events(read: Read) -> AsyncGenerator[bytes, None]:
    """Yield the data of every server-sent event."""
    data: list[bytes] = []
    async with aclosing(_lines(read)) as lines:
        async for line in lines:
            if not line:
                if data:
                    yield b"\n".join(data)
                data = []
            elif line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" "))
    if data:
        yield b"\n".join(data)


async def _lines(read: Read) -> AsyncGenerator[bytes, None]:
    """Yield lines without their ends; a line that never ends is refused."""
    rest = b""
    while piece := await read():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r")
        if len(rest) > _MAX_LINE_BYTES:
            raise _malformed(f"an event line of the upstream exceeds {_MAX_LINE_BYTES} bytes")
    if rest:
        yield rest


class _Text:
    """Text that comes in pieces, between which a character may be cut in two."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._half = ""

    def add(self, piece: str) -> str:
        """Take a piece; return what can be shown, the first half of a character held back."""
        piece = self._half + piece
        self._half = piece[-1:] if "\ud800" <= piece[-1:] <= "\udbff" else ""
        shown = well_formed(piece.removesuffix(self._half))
        if shown:
            self._pieces.append(shown)
        return shown

    @property
    def rest(self) -> str:
        """What stands for a half that was held back to the end."""
        return well_formed(self._half)

    @property
    def whole(self) -> str:
        """All of it."""
        return "".join(self._pieces) + self.rest


class _StreamedCall:
    """A tool call, gathered from its pieces."""

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments = _Text()

    def add(self, piece: dict[str, Any]) -> None:
        function = piece.get("function") or {}
        self.id = _string(piece.get("id")) or self.id
        self.name = _string(function.get("name")) or self.name
        self.arguments.add(_string(function.get("arguments")))

    def call(self) -> ToolCall:
        return ToolCall(
            id=well_formed(self.id),
            name=well_formed(self.name),
            arguments_json=self.arguments.whole,
        )


class _StreamedChoice:
    """One choice, gathered from its deltas."""

    def __init__(self) -> None:
        self.text = _Text()
        self.refusal = _Text()
        self.logprobs: list[Any] = []
        self.finish_reason = ""
        self._calls: dict[int, _StreamedCall] = {}

    def add(self, choice: dict[str, Any]) -> str:
        """Take what a chunk says of it; return the new text."""
        delta = choice.get("delta") or {}
        self.finish_reason = well_formed(_string(choice.get("finish_reason"))) or self.finish_reason
        self.refusal.add(_string(delta.get("refusal")))
        for piece in delta.get("tool_calls") or ():
            self._calls.setdefault(int(piece["index"]), _StreamedCall()).add(piece)
        if choice.get("logprobs"):
            logprobs = _well_formed_all(choice["logprobs"].get("content") or [])
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
        self._n_bytes = 0
        self._usage: Usage | None = None
        self._model = ""

    def add(self, data: bytes) -> Delta | None:
        """Take one chunk; return what of it is the caller's to see: the first choice's text.

        Usage is read from whatever chunk carries it, with choices or without.

        Raises:
            ProviderUnavailable: the chunk is an error or no chunk, or the answer grew too large.
        """
        try:
            chunk = json.loads(data)
            if "error" in chunk:
                raise ProviderUnavailable(
                    f"the upstream broke off: {_error_message(data)}",
                    kind="stream_error",
                    is_billable=True,
                )
            if chunk.get("usage"):
                self._usage = read_usage(chunk["usage"])
            self._model = well_formed(str(chunk.get("model") or self._model))
            text = "".join(self._add_choice(choice) for choice in chunk.get("choices") or ())
        except _NO_ANSWER as error:
            raise _malformed(f"the upstream sent what is no chunk: {data[:80]!r}") from error
        if self._n_bytes > _MAX_ANSWER_BYTES:
            raise _malformed(f"the upstream's answer exceeds {_MAX_ANSWER_BYTES} bytes")
        return Delta(text=text) if text else None

    def _add_choice(self, choice: dict[str, Any]) -> str:
        self._n_bytes += len(json.dumps(choice))
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
            raise ProviderUnavailable(
                "the upstream's stream ended before the answer did",
                kind="cut_off",
                is_billable=True,
            )
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
