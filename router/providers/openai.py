"""OpenAI's chat completions, as spoken by OpenAI and by most others.

Source: OpenAI's API reference, "Chat Completions" (object, chunk object, error object), and the
server-sent events of the WHATWG HTML standard, section 9.2.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

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
)

_RETRYABLE_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_MAX_ERROR_CHARS = 300
_MAX_LINE_BYTES = 8 * 1024 * 1024


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
        async with self._posted(call, body) as response:
            raw = await response.read()
        return parse_completion(self._without_key(raw))

    async def stream(self, call: ModelCall) -> AsyncIterator[Delta | Completion]:
        """Yield the answer as it comes, then whole."""
        body = request_body(call.model, call.request) | {
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        gathered = StreamedAnswer()
        async with self._posted(call, body) as response:
            async for data in _events(response.content):
                if data == b"[DONE]":
                    break
                delta = gathered.add(self._without_key(data))
                if delta is not None:
                    yield delta
        tool_calls = gathered.tool_calls()
        if tool_calls:
            yield Delta(tool_calls=tool_calls)
        yield gathered.completion()

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    @asynccontextmanager
    async def _posted(
        self, call: ModelCall, body: dict[str, Any]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send, and turn whatever goes wrong inside the block into ``ProviderError``."""
        is_sent = False
        try:
            async with asyncio.timeout(call.total_s):
                async with asyncio.timeout(call.connect_s + call.first_token_s):
                    response = await self._open().post(
                        self._url, json=body, headers=self._headers(), timeout=_timeout(call)
                    )
                async with response:
                    is_sent = True
                    await self._raise_for_status(response)
                    yield response
        except ProviderError:
            raise
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise ProviderUnavailable(
                f"{self._url} cannot be reached: {error}", kind="connect"
            ) from error
        except TimeoutError as error:
            raise ProviderTimeout(
                f"{self._url} did not answer within {call.total_s:g} s",
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

    async def _raise_for_status(self, response: aiohttp.ClientResponse) -> None:
        """Raise for anything but 200; nothing was billed then."""
        if response.status == 200:
            return
        detail = _error_message(self._without_key(await response.content.read(16_384)))
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


def _timeout(call: ModelCall) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(
        total=None, sock_connect=call.connect_s, sock_read=call.first_token_s
    )


def _error_message(raw: bytes) -> str:
    try:
        found = json.loads(raw)["error"]
        text = str(found["message"] if isinstance(found, dict) else found)
    except (ValueError, KeyError, TypeError):
        text = raw.decode(errors="replace")
    return text[:_MAX_ERROR_CHARS]


def _retry_after_s(header: str | None) -> float | None:
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:
        return None  # a date: the usual backoff serves


def request_body(model: str, request: ChatRequest) -> dict[str, Any]:
    """Return the JSON body of a call; ``request.extra`` never overrides what we set."""
    sampling, reasoning = request.sampling, request.reasoning
    body: dict[str, Any] = {name: json.loads(value) for name, value in request.extra.items()}
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
    if part.media_type.startswith("image/"):
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
        choices = body["choices"]
        first = choices[0]
        message = first["message"]
        logprobs = first.get("logprobs")
        return Completion(
            answer=Answer(
                text=message.get("content") or "",
                finish_reason=first.get("finish_reason") or "",
                tool_calls=tuple(_read_call(call) for call in message.get("tool_calls") or ()),
                refusal=message.get("refusal") or "",
                extra_choices_json=json.dumps(choices[1:]) if len(choices) > 1 else "",
                logprobs_json=json.dumps(logprobs) if logprobs else "",
            ),
            usage=read_usage(body.get("usage")),
            provider_model=str(body.get("model") or ""),
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise ProviderUnavailable(
            f"the upstream's answer is no chat completion: {raw[:80]!r}",
            kind="malformed",
            is_billable=True,
        ) from error


def _read_call(call: dict[str, Any]) -> ToolCall:
    function = call["function"]
    return ToolCall(
        id=call.get("id") or "", name=function["name"], arguments_json=function["arguments"]
    )


def read_usage(usage: dict[str, Any] | None) -> Usage | None:
    """Read a usage block; None when it is missing or says nothing."""
    if not usage or usage.get("prompt_tokens") is None:
        return None
    details = usage.get("prompt_tokens_details") or {}
    return Usage(
        input_tokens=int(usage["prompt_tokens"]),
        output_tokens=int(usage.get("completion_tokens") or 0),
        cache_read_tokens=int(details.get("cached_tokens") or 0),
    )


async def _events(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield the data of every server-sent event."""
    data: list[bytes] = []
    async for line in _lines(stream):
        if not line:
            if data:
                yield b"\n".join(data)
            data = []
        elif line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
    if data:
        yield b"\n".join(data)


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield lines without their ends; a line that never ends is refused."""
    rest = b""
    async for chunk in stream.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r")
        if len(rest) > _MAX_LINE_BYTES:
            raise ValueError("an event line exceeds 8 MiB")
    if rest:
        yield rest


class StreamedAnswer:
    """Gathers chunks into the answer they make."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._refusals: list[str] = []
        self._calls: dict[int, list[str]] = {}
        self._logprobs: list[Any] = []
        self._finish_reason = ""
        self._usage: Usage | None = None
        self._model = ""

    def add(self, data: bytes) -> Delta | None:
        """Take one chunk; return what of it is the caller's to see.

        Usage is read from whatever chunk carries it, with choices or without.

        Raises:
            ProviderUnavailable: the chunk is an error or no chunk.
        """
        try:
            chunk = json.loads(data)
            if "error" in chunk:
                raise ProviderUnavailable(
                    f"the upstream broke off: {_error_message(data)}",
                    kind="stream_error",
                    is_billable=True,
                )
            self._usage = read_usage(chunk.get("usage")) or self._usage
            self._model = chunk.get("model") or self._model
            text = "".join(self._add_choice(choice) for choice in chunk.get("choices") or ())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ProviderUnavailable(
                f"the upstream sent what is no chunk: {data[:80]!r}",
                kind="malformed",
                is_billable=True,
            ) from error
        return Delta(text=text) if text else None

    def _add_choice(self, choice: dict[str, Any]) -> str:
        if choice.get("index", 0) != 0:
            return ""  # further choices are not streamed
        delta = choice.get("delta") or {}
        self._finish_reason = choice.get("finish_reason") or self._finish_reason
        self._refusals.append(delta.get("refusal") or "")
        for call in delta.get("tool_calls") or ():
            self._add_call(call)
        if choice.get("logprobs"):
            self._logprobs.extend(choice["logprobs"].get("content") or ())
        text = str(delta.get("content") or "")
        self._texts.append(text)
        return text

    def _add_call(self, piece: dict[str, Any]) -> None:
        call = self._calls.setdefault(int(piece["index"]), ["", "", ""])
        function = piece.get("function") or {}
        call[0] = piece.get("id") or call[0]
        call[1] = function.get("name") or call[1]
        call[2] += function.get("arguments") or ""

    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Return the calls, whole."""
        return tuple(
            ToolCall(id=call_id, name=name, arguments_json=arguments)
            for _, (call_id, name, arguments) in sorted(self._calls.items())
        )

    def completion(self) -> Completion:
        """Return the whole answer.

        Raises:
            ProviderUnavailable: the stream ended before the answer did.
        """
        if not self._finish_reason:
            raise ProviderUnavailable(
                "the upstream's stream ended before the answer did",
                kind="cut_off",
                is_billable=True,
            )
        logprobs = json.dumps({"content": self._logprobs}) if self._logprobs else ""
        return Completion(
            answer=Answer(
                text="".join(self._texts),
                finish_reason=self._finish_reason,
                tool_calls=self.tool_calls(),
                refusal="".join(self._refusals),
                logprobs_json=logprobs,
            ),
            usage=self._usage,
            provider_model=self._model,
        )
