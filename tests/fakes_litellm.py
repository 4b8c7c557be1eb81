"""A stand-in for the litellm library: its interface, its errors by name, and HTTP behind it.

It asks whatever ``base_url`` names as an OpenAI-compatible server, as the library does for models
named ``openai/...``, and wraps what comes back in objects with ``model_dump``.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import aiohttp

_OWN = frozenset({"timeout", "num_retries", "max_retries", "base_url", "api_key"})


class LitellmError(Exception):
    """What errors of the library have in common."""

    def __init__(self, message: str, status_code: int, headers: dict[str, str]) -> None:
        super().__init__(f"litellm.{type(self).__name__}: OpenAIException - {message}")
        self.status_code = status_code
        self.response = SimpleNamespace(headers=headers)


class AuthenticationError(LitellmError):
    """401."""


class BadRequestError(LitellmError):
    """400."""


class RateLimitError(LitellmError):
    """429."""


class ServiceUnavailableError(LitellmError):
    """503."""


class UnsupportedParamsError(BadRequestError):
    """The provider has no such parameter."""


class APIConnectionError(LitellmError):
    """No connection; the library says 500 of it."""


class Timeout(LitellmError):
    """Too late; the library says 408 of it."""


_BY_STATUS = {
    400: BadRequestError,
    401: AuthenticationError,
    429: RateLimitError,
    503: ServiceUnavailableError,
}


class Dumped:
    """An answer, or a chunk of one."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def model_dump(self) -> Any:
        return self._value


class Stream:
    """Chunks as they come; closing it ends the upstream call."""

    def __init__(self, session: aiohttp.ClientSession, response: aiohttp.ClientResponse) -> None:
        self._session = session
        self._response = response
        self.is_closed = False

    async def __aiter__(self) -> AsyncIterator[Dumped]:
        async for line in self._response.content:
            data = line.strip().removeprefix(b"data: ")
            if data and data != b"[DONE]":
                yield Dumped(json.loads(data))

    async def aclose(self) -> None:
        self.is_closed = True
        self._response.close()
        await self._session.close()


class FakeLitellm:
    """The module.

    Attributes:
        asked: the arguments of every call.
        streams: every stream that was handed out.
    """

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.streams: list[Stream] = []
        self.raises: Exception | None = None

    async def acompletion(self, **asked: Any) -> Any:
        """Ask."""
        self.asked.append(asked)
        if self.raises is not None:
            raise self.raises
        session = aiohttp.ClientSession()
        try:
            body = {name: value for name, value in asked.items() if name not in _OWN}
            key = {"Authorization": f"Bearer {asked.get('api_key', '')}"}
            url = f"{asked['base_url']}/chat/completions"
            response = await session.post(url, json=body, headers=key)
            if response.status != 200:
                words = await response.text()
                kind = _BY_STATUS.get(response.status, LitellmError)
                raise kind(words, response.status, dict(response.headers))
            if asked.get("stream"):
                self.streams.append(Stream(session, response))
                return self.streams[-1]
            answer = Dumped(await response.json())
        except BaseException:
            await session.close()
            raise
        await session.close()
        return answer
