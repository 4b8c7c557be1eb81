"""The long tail of providers, handed to the litellm library (``pip install 'scrimp[litellm]'``).

Source: litellm's documentation, "Completion", "Streaming", "Exception mapping".

litellm takes and gives chat completions; what is asked and read is what ``openai`` asks and reads.
Retries, fallback, limits of time and the books stay ours: litellm is asked once, for one call.

Its keyword arguments also choose where a call goes, with which key, and what becomes of it. So of
the fields that a caller adds only those of a list reach it, and others are refused: they might send
key and prompt elsewhere.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from router.errors import ProviderError, ProviderTimeout, ProviderUnavailable
from router.ports import ModelCall
from router.providers.asking import unsupported
from router.providers.http import malformed, refusal, without_key
from router.providers.openai_reading import StreamedAnswer, parse_completion
from router.providers.openai_words import OURS, request_body
from router.types import OPENAI, ChatRequest, Completion, Delta

INSTALL: Final = "pip install 'scrimp[litellm]'"
_PASSED: Final = frozenset(
    {"parallel_tool_calls", "prediction", "prompt_cache_key", "safety_identifier", "thinking"}
    | {"top_k", "verbosity", "web_search_options"}
)
"""Fields beside the modelled ones that say something to a model, and nothing to litellm."""
_LOGGERS: Final = ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy")
_PREFIX: Final = re.compile(r"^(litellm\.)?\w+Error: (\w+Exception - )?")
_NO_PARAMETER: Final = "UnsupportedParamsError"


def library() -> Any:  # noqa: ANN401  a module without types
    """Import litellm, which takes seconds, so that it fetches nothing and keeps quiet.

    Raises:
        ImportError: it is not installed; says what to do.
    """
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else it asks a host for prices
    try:
        litellm: Any = importlib.import_module("litellm")
    except ModuleNotFoundError as error:
        if error.name != "litellm":
            raise
        raise ImportError(f'kind = "litellm" needs the library: {INSTALL}') from error
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # errors and debugging quote prompts
    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.drop_params = False  # what a provider lacks is refused, so that another one is asked
    return litellm


class LitellmProvider:
    """Whatever litellm reaches; the model's name says what: ``bedrock/...``, ``vertex_ai/...``.

    Args:
        base_url: where the provider is; empty: where litellm knows it to be.
        api_key: returns the key; empty: litellm looks for what its provider needs itself.
        max_connections: is litellm's to keep; the gate before all providers bounds the calls.
        load: imports the library.
    """

    def __init__(
        self,
        base_url: str,
        api_key: Callable[[], str],
        *,
        max_connections: int = 512,
        load: Callable[[], Any] = library,
    ) -> None:
        self._base_url = base_url
        self._api_key = api_key
        self._litellm = load()

    async def complete(self, call: ModelCall) -> Completion:
        """Return the whole answer."""
        asked = self._asked(call)
        with self._told():
            async with asyncio.timeout(call.total_s):
                answer = await self._litellm.acompletion(**asked)
            return parse_completion(_json_of(answer))

    async def stream(self, call: ModelCall) -> AsyncGenerator[Delta | Completion, None]:
        """Yield the answer as it comes, then whole."""
        asked = self._asked(call) | {"stream": True, "stream_options": {"include_usage": True}}
        gathered = StreamedAnswer(is_own=call.request.wire == OPENAI)
        chunks = self._chunks(call, asked)
        try:
            async for data in chunks:
                with self._told():
                    delta = gathered.add(data)
                if delta is not None:
                    yield delta
        finally:
            await chunks.aclose()
        completion = gathered.completion()
        rest = gathered.rest()
        if rest is not None:
            yield rest
        yield completion

    async def close(self) -> None:
        """Close litellm's connections; they are one pool for the process, and opened anew."""
        close = getattr(self._litellm, "close_litellm_async_clients", None)
        if close is not None:
            await close()

    async def _chunks(
        self, call: ModelCall, asked: Mapping[str, Any]
    ) -> AsyncGenerator[bytes, None]:
        """Yield chunks as JSON. Limits bound every wait for litellm, and no one else's."""
        now = asyncio.get_running_loop().time
        ends_at = now() + call.total_s
        source: Any = None
        try:
            with self._told():
                async with asyncio.timeout_at(
                    min(ends_at, now() + call.connect_s + call.first_token_s)
                ):
                    source = await self._litellm.acompletion(**asked)
            chunks: AsyncIterator[Any] = source.__aiter__()
            limit_s = call.first_token_s
            while True:
                with self._told():
                    async with asyncio.timeout_at(min(ends_at, now() + limit_s)):
                        chunk = await anext(chunks, None)
                    data = None if chunk is None else _json_of(chunk)
                if data is None:
                    return
                yield data
                limit_s = call.between_tokens_s
        finally:
            close = getattr(source, "aclose", None)
            if close is not None:
                await close()

    def _asked(self, call: ModelCall) -> dict[str, Any]:
        """Return the arguments of a call.

        Raises:
            ProviderRejected: a field of the request might be one of litellm's own.
        """
        _refuse_strange(call.request)
        asked: dict[str, Any] = {
            **request_body(call.model, call.request),
            "timeout": call.total_s,
            "num_retries": 0,
            "max_retries": 0,
        }
        if self._base_url:
            asked["base_url"] = self._base_url
        key = self._api_key()
        return asked | ({"api_key": key} if key else {})

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn whatever litellm raises within the block into ``ProviderError``, without the key."""
        key = self._api_key()
        try:
            yield
        except ProviderError as error:
            error.args = tuple(without_key(str(arg), key) for arg in error.args)
            raise
        except Exception as error:  # noqa: BLE001  a library of many: it may raise anything
            told = _error_of(error)
            told.args = tuple(without_key(str(arg), key) for arg in told.args)
            raise told from None  # the cause may hold the key


def _refuse_strange(request: ChatRequest) -> None:
    for name in request.extra:
        if name not in _PASSED and name not in OURS:
            raise unsupported(
                f"{name[:40]} is passed to no provider by way of litellm",
                "leave it out, or ask a model of another provider",
                "field",
            )


def _json_of(answer: Any) -> bytes:  # noqa: ANN401  a model of litellm's
    try:
        return json.dumps(answer.model_dump()).encode()
    except (TypeError, ValueError, AttributeError, RecursionError) as error:
        raise malformed("litellm's answer is no chat completion") from error


def _error_of(error: Exception) -> ProviderError:
    """Say what litellm's error comes to: by its class where that tells more, else by its status."""
    words = _PREFIX.sub("", str(error))
    name = type(error).__name__
    if isinstance(error, TimeoutError) or name == "Timeout":
        return ProviderTimeout(f"litellm: {words or 'too late'}", kind="timeout", is_billable=True)
    if name == _NO_PARAMETER:
        return unsupported(f"litellm: {words[:300]}", "ask a model that has it", "parameter")
    status = getattr(error, "status_code", None)
    if name != "APIConnectionError" and isinstance(status, int) and 300 <= status < 600:
        response = getattr(error, "response", None)
        headers = getattr(response, "headers", None) or {}
        raw = json.dumps({"error": {"message": words, "code": getattr(error, "code", None)}})
        return refusal(status, headers, raw.encode(), time.time())
    return ProviderUnavailable(f"litellm: {name}: {words[:300]}", kind="broken", is_billable=True)
