"""A real HTTP upstream for tests, and calls to it; bodies are those of chat completions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from fakes_requests import chat

from router.ports import ModelCall, StreamingProvider
from router.types import Completion, Delta, Usage

KEY = "sk-secret-0123456789abcdef"
USAGE = Usage(input_tokens=12, output_tokens=5, cache_read_tokens=4)
WIRE_USAGE = {
    "prompt_tokens": 12,
    "completion_tokens": 5,
    "total_tokens": 17,
    "prompt_tokens_details": {"cached_tokens": 4},
}


def call(model: str = "m", **fields: Any) -> ModelCall:
    return ModelCall(
        model=model,
        request=chat("How do volcanoes form?", **fields),
        connect_s=2.0,
        first_token_s=2.0,
        total_s=5.0,
    )


@dataclass(slots=True)
class Seen:
    """A request as the upstream got it."""

    body: dict[str, Any]
    authorization: str | None
    path: str
    query: str
    headers: Mapping[str, str]


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class UpstreamServer:
    """A small HTTP server that answers as it is told to.

    Attributes:
        url: its base URL, version included.
        answers: what the next requests get, in order; the last stays.
        seen: every request.
    """

    url: str = ""
    answers: list[Handler] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)

    def next(self, *answers: Handler) -> None:
        """Set what the next requests get."""
        self.answers = list(answers)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer as told."""
        self.seen.append(
            Seen(
                body=await request.json(),
                authorization=request.headers.get("Authorization"),
                path=request.path,
                query=request.query_string,
                headers=dict(request.headers),
            )
        )
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return await answer(request)


@asynccontextmanager
async def upstream_server() -> AsyncIterator[UpstreamServer]:
    server = UpstreamServer()
    app = web.Application()
    app.router.add_post("/v1/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}/v1"
    try:
        yield server
    finally:
        await runner.cleanup()


def body(message: dict[str, Any], finish_reason: str = "stop", **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}}
    return {
        "id": "x",
        "object": "chat.completion",
        "model": "m-2026",
        "choices": [choice | {"finish_reason": finish_reason}],
        "usage": WIRE_USAGE,
        **fields,
    }


def json_of(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Handler:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(content, status=status, headers=headers)

    return answer


def raw(content: bytes, status: int = 200) -> Handler:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=content, status=status, content_type="application/json")

    return answer


def events_of(
    *chunks: Any, ends: bool = True, pause_s: float = 0.0, has_end: bool = True
) -> Handler:
    """Stream chunks as server-sent events.

    Args:
        chunks: JSON values, or whole events.
        ends: without an end the connection breaks off.
        pause_s: seconds between two of them.
        has_end: whether the end is said, as chat completions do.
    """

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for chunk in chunks:
            data = chunk if isinstance(chunk, bytes) else b"data: " + json.dumps(chunk).encode()
            await response.write(data + b"\n\n")
            await asyncio.sleep(pause_s)
        if ends:
            await response.write(b"data: [DONE]\n\n" if has_end else b"")
            await response.write_eof()
        elif request.transport is not None:
            request.transport.abort()
        return response

    return answer


def chunk(
    delta: dict[str, Any] | None = None,
    finish: str | None = None,
    **fields: Any,
) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return {"object": "chat.completion.chunk", "model": "m-2026", "choices": [choice], **fields}


def hang(seconds: float = 30.0) -> Handler:
    async def answer(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return web.Response()

    return answer


async def asked(provider: StreamingProvider, one: ModelCall, *, is_streamed: bool) -> Completion:
    """Ask in one form or the other."""
    if is_streamed:
        return (await gathered(provider, one))[1]
    return await provider.complete(one)


async def gathered(provider: StreamingProvider, one: ModelCall) -> tuple[list[Delta], Completion]:
    """Read a stream to its end, which is the completion."""
    events = [event async for event in provider.stream(one)]
    *deltas, last = events
    assert isinstance(last, Completion)
    return [delta for delta in deltas if isinstance(delta, Delta)], last
