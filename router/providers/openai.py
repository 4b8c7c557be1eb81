"""OpenAI's chat completions, as spoken by OpenAI and by most others: the adapter."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from urllib.parse import quote

from router.ports import ModelCall
from router.providers.http import HttpUpstream
from router.providers.openai_reading import StreamedAnswer, parse_completion
from router.providers.openai_words import request_body
from router.providers.quirks import quirks_of
from router.types import OPENAI, Completion, Delta


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
        gathered = StreamedAnswer(is_own=call.request.wire == OPENAI)
        async with aclosing(self._http.streamed(self._url(call), body, call, gathered)) as events:
            async for event in events:
                yield event

    async def close(self) -> None:
        """Close every connection."""
        await self._http.close()

    def _url(self, call: ModelCall) -> str:
        return self._base_url + self._quirks.path.format(model=quote(call.model, safe=""))
