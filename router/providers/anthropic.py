"""Anthropic's Messages: the adapter; its words stand in ``anthropic_words``."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from router.ports import ModelCall
from router.providers.anthropic_reading import StreamedMessage, parse_message, parse_token_count
from router.providers.anthropic_words import counted_body, headers_of, request_body, wants_json
from router.providers.http import HttpUpstream
from router.types import ANTHROPIC, ANTHROPIC_VERSION, Completion, Delta


class AnthropicProvider:
    """One upstream that speaks Messages.

    Args:
        base_url: up to and with the version, e.g. ``https://host/v1``.
        api_key: returns the key, or an empty string for an upstream without one.
        max_connections: at the same time; further calls wait within their own time limits.
    """

    def __init__(
        self, base_url: str, api_key: Callable[[], str], *, max_connections: int = 512
    ) -> None:
        self._url = base_url.rstrip("/") + "/messages"

        def headers() -> dict[str, str]:
            key = api_key()
            return {"anthropic-version": ANTHROPIC_VERSION} | ({"x-api-key": key} if key else {})

        self._http = HttpUpstream(headers, api_key, max_connections=max_connections)

    async def complete(self, call: ModelCall) -> Completion:
        """Return the whole answer."""
        body = request_body(call.model, call.request, call.max_output_tokens)
        headers = headers_of(call.request)
        with self._http.keyless():
            raw = await self._http.whole(self._url, body, call, headers)
            return parse_message(raw, is_json=wants_json(call.request))

    async def stream(self, call: ModelCall) -> AsyncGenerator[Delta | Completion, None]:
        """Yield the answer as it comes, then whole."""
        body = request_body(call.model, call.request, call.max_output_tokens) | {"stream": True}
        is_own = call.request.wire == ANTHROPIC
        gathered = StreamedMessage(is_json=wants_json(call.request), is_own=is_own)
        headers = headers_of(call.request)
        streamed = self._http.streamed(self._url, body, call, gathered, headers)
        async with aclosing(streamed) as events:
            async for event in events:
                yield event

    async def count_tokens(self, call: ModelCall) -> int:
        """Return the input tokens of a request, as Anthropic counts them."""
        headers = headers_of(call.request)
        with self._http.keyless():
            body = counted_body(call.model, call.request)
            raw = await self._http.whole(f"{self._url}/count_tokens", body, call, headers)
            return parse_token_count(raw)

    async def close(self) -> None:
        """Close every connection."""
        await self._http.close()
