"""The HTTP server: limits, routes, and one flow for every API.

aiohttp's server, because the service carries aiohttp for its providers anyway: no further
dependency, a parser in C, and handlers that are cancelled when their client leaves.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from hashlib import sha256
from typing import Final

from aiohttp import ClientConnectionResetError, web

from router.embeddings import Embeddings
from router.faces import reports
from router.faces.bounds import check_chat
from router.faces.desk import Desk, Desks
from router.faces.edge import Edge
from router.faces.http.admin import erase_user
from router.faces.http.api import Api, Asked, Body, Done, Replies
from router.faces.http.bodies import check_counts, parse_body, read_body
from router.faces.http.chat_completions import ChatCompletions
from router.faces.http.embeddings import ENCODER, embedded
from router.faces.http.feedback import reported
from router.faces.http.messages import Messages
from router.faces.http.openapi import description
from router.faces.http.problems import HttpError, Problem, problem_of
from router.faces.http.responses import Responses
from router.faces.http.words import PREFIX, check_user, read_words, report_headers
from router.faces.keys import Access
from router.faces.listening import ConnectionLimits, Listening, listen
from router.faces.tls import Tls
from router.faces.wire import kept_answer, read_usage
from router.gateway import Answered, Begun, Event
from router.ledger.types import RequestKey
from router.once import Once, Replayed
from router.settings import Settings
from router.types import ChatRequest, Delta
from scrimp.v1 import gateway_pb2

_APIS: Final[Mapping[str, Api]] = {
    "/v1/chat/completions": ChatCompletions(),
    "/v1/messages": Messages(),
    "/v1/responses": Responses(),
}
_USUAL: Final = _APIS["/v1/chat/completions"]
_MESSAGES: Final = "/v1/messages"
_COUNTING: Final = f"{_MESSAGES}/count_tokens"
_SHAPES: Final = {**_APIS, _COUNTING: _APIS[_MESSAGES]}
"""Whose form the errors of an address have, where it is not the usual one's."""
_HEALTH: Final = ("/health", "/healthz")
_ACCESS: Final = web.RequestKey("access", Access)
_DESK: Final = web.RequestKey("desk", Desk)
_STREAM_HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # a proxy that gathers a stream takes away what it is for
}
_ESTIMATED: Final = {f"{PREFIX}estimate": "true"}

# aiohttp quotes what it cannot parse in its log, and a broken request may hold prompts and keys.
_silent = logging.getLogger(f"{__name__}.wire")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False

Found = AsyncIterator[Event | Replayed]


class HttpFace:
    """The handlers.

    Args:
        desks: what each request goes by.
        embeddings: the built-in encoder.
        edge: counts the calls in flight, with those of the other faces.
    """

    def __init__(self, desks: Desks, embeddings: Embeddings, edge: Edge) -> None:
        self._desks = desks
        self._embeddings = embeddings
        self._edge = edge

    def application(self) -> web.Application:
        """Return the routes."""
        app = web.Application(
            middlewares=[self._explained],
            client_max_size=self._desks.now.limits.max_message_bytes,
        )
        app.on_response_prepare.append(_anonymous)
        for path, api in _APIS.items():
            app.router.add_post(path, self._chat(api))
        app.router.add_post(_COUNTING, self._count)
        app.router.add_post("/v1/embeddings", self._embed)
        app.router.add_post("/v1/feedback", self._report)
        app.router.add_post("/scrimp/v1/erase", self._erase)
        app.router.add_get("/v1/models", self._list)
        app.router.add_get("/v1/models/{name:.+}", self._describe)
        app.router.add_get("/openapi.json", self._openapi)
        for path in _HEALTH:
            app.router.add_get(path, self._health)
        return app

    @web.middleware
    async def _explained(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """Turn whatever goes wrong before the first byte into the API's own kind of error."""
        try:
            _refuse_pages(request)
            self._admit(request)
            return await handler(request)
        except ClientConnectionResetError:
            raise  # nobody is there to be told
        except Exception as error:  # noqa: BLE001  the outermost edge
            problem = problem_of(error)
        api = _SHAPES.get(request.path, _USUAL)
        response = web.json_response(
            api.problem(problem), status=problem.status, headers=problem.headers
        )
        if problem.status in (408, 413) or self._edge.is_closed:
            response.force_close()
        return response

    def _admit(self, request: web.Request) -> None:
        """Note what it goes by, and what the caller may; only health is told to anyone.

        Raises:
            Unauthenticated: a key is wanted, and none that is known came.
        """
        desk = request[_DESK] = self._desks.now
        if request.path not in _HEALTH:
            headers = request.headers
            request[_ACCESS] = desk.keys.admit(
                headers.get("Authorization", ""), headers.get("x-api-key", "")
            )

    def _chat(self, api: Api) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(http: web.Request) -> web.StreamResponse:
            desk = http[_DESK]
            with self._edge.passing(), desk.held():
                raw = await read_body(http, desk.http.body_s)
                body = await parse_body(raw)
                check_counts(body, desk.limits)
                words = read_words(http.headers, body.get("metadata"), desk.limits, http[_ACCESS])
                asked = api.read(body, words, desk.names)
                check_user(body, http.path, http[_ACCESS])
                check_chat(asked.request, desk.limits)
                once = _once(asked.request, http, raw)
                within_s = desk.http.timeout_s if words.timeout_s is None else words.timeout_s
                request = replace(asked.request, deadline_at=time.monotonic() + within_s)
                # The port promises an iterator; every one that comes is a generator, and closes.
                async with aclosing(
                    desk.terms.gateway.complete(request, once, is_streamed=asked.is_streamed)  # type: ignore[type-var]
                ) as events:
                    if asked.is_streamed:
                        return await _streamed(http, api.replies(asked), events, within_s)
                    async with asyncio.timeout(within_s):
                        return await _whole(api, asked, events)

        return answer

    async def _embed(self, http: web.Request) -> web.Response:
        desk = http[_DESK]
        with self._edge.passing():
            body: Body = await parse_body(await read_body(http, desk.http.body_s))
            check_counts(body, desk.limits)
            read_words(http.headers, body.get("metadata"), desk.limits, http[_ACCESS])
            check_user(body, http.path, http[_ACCESS])
            async with asyncio.timeout(desk.http.timeout_s):
                return web.json_response(await embedded(body, self._embeddings))

    async def _count(self, http: web.Request) -> web.Response:
        """Tell how many tokens a message would be, and where that is an estimate, so."""
        desk = http[_DESK]
        with self._edge.passing(), desk.held():
            body: Body = await parse_body(await read_body(http, desk.http.body_s))
            check_counts(body, desk.limits)
            words = read_words(http.headers, body.get("metadata"), desk.limits, http[_ACCESS])
            # Anything will do for what a message must have and a count does not.
            asked = _SHAPES[_COUNTING].read({"max_tokens": 1, **body}, words, desk.names)
            check_user(body, _MESSAGES, http[_ACCESS])
            check_chat(asked.request, desk.limits)
            async with asyncio.timeout(desk.http.timeout_s):
                counted = await desk.terms.token_counts.of(asked.request)
        told = {"input_tokens": counted.n_tokens}
        if counted.is_estimate:
            return web.json_response(told | {"is_estimate": True}, headers=_ESTIMATED)
        return web.json_response(told)

    async def _report(self, http: web.Request) -> web.Response:
        desk = http[_DESK]
        with self._edge.passing():
            body = await parse_body(await read_body(http, desk.http.body_s))
            words = read_words(http.headers, None, desk.limits, http[_ACCESS])
            return web.json_response(
                await reported(body, words, desk.terms.operations, desk.limits)
            )

    async def _erase(self, http: web.Request) -> web.Response:
        desk = http[_DESK]
        with self._edge.passing():
            body: Body = await parse_body(await read_body(http, desk.http.body_s))
            check_counts(body, desk.limits)
            async with asyncio.timeout(desk.http.timeout_s):
                done = await erase_user(
                    body,
                    http.headers.get(f"{PREFIX}namespace", ""),
                    http[_ACCESS],
                    desk.terms.operations,
                    desk.limits,
                )
            return web.json_response(done)

    async def _list(self, http: web.Request) -> web.Response:
        return web.json_response(http[_DESK].names.listed(self._encoder))

    async def _describe(self, http: web.Request) -> web.Response:
        names = http[_DESK].names
        return web.json_response(names.described(http.match_info["name"], self._encoder))

    async def _openapi(self, _: web.Request) -> web.Response:
        return web.json_response(description())

    async def _health(self, _: web.Request) -> web.Response:
        """Tell whether calls are taken, as gRPC's health service does, and of the settings a word.

        Which file that is and what is wrong in it is told in the log, and not to anyone who asks.
        """
        if self._edge.is_closed:
            return web.json_response({"status": "stopping"}, status=503)
        return web.json_response({"status": "serving", "settings": self._desks.settings_state})

    @property
    def _encoder(self) -> str:
        return ENCODER if self._embeddings.dim else ""


def _refuse_pages(request: web.Request) -> None:
    """Keep web pages out: any page could make its reader's browser ask a service on this machine.

    Raises:
        HttpError: a browser sent it; what these headers say, no page can unsay.
    """
    if "Origin" in request.headers or "Sec-Fetch-Site" in request.headers:
        raise HttpError(
            403, "web_page", "requests from web pages are refused; send them from your own server"
        )


async def _anonymous(_: web.Request, response: web.StreamResponse) -> None:
    """Tell nobody which versions of what are behind this; aiohttp would."""
    response.headers["Server"] = "scrimp"


def _once(request: ChatRequest, http: web.Request, raw: bytes) -> Once[Answered] | None:
    """Return the use of a request's id; the same id goes with the same bytes and the same words."""
    if not request.request_id:
        return None
    words = sorted(
        (name.lower(), value)
        for name, value in http.headers.items()
        if name.lower().startswith(PREFIX)
    )
    digest = sha256(repr((http.path, words)).encode("utf-8", "backslashreplace") + b"\n" + raw)
    return Once(
        key=RequestKey(
            namespace=request.namespace, caller=request.caller, request_id=request.request_id
        ),
        body_digest=digest.digest(),
        encode=reports.encode_completed,
    )


async def _whole(api: Api, asked: Asked, events: Found) -> web.Response:
    async for event in events:
        if isinstance(event, Answered | Replayed):
            done = _done(event)
            return web.json_response(api.whole(asked, done), headers=report_headers(done.report))
    raise AssertionError("a gateway request ends with its answer, or raises")


async def _streamed(
    http: web.Request, replies: Replies, events: Found, within_s: float
) -> web.StreamResponse:
    """Send an answer as it comes; what fails after the first byte is the stream's last event."""
    stream = _Stream(http, replies)
    try:
        async with asyncio.timeout(within_s):
            async for event in events:
                await stream.take(event)
    except ClientConnectionResetError:
        raise
    except Exception as error:
        if not stream.is_open:
            raise
        stream.break_off(problem_of(error))
    return await stream.close()


class _Events(web.StreamResponse):
    """Sends its headers with the first event, not before: one packet instead of two."""

    _send_headers_immediately = False


class _Stream:
    """One response of server-sent events."""

    def __init__(self, http: web.Request, replies: Replies) -> None:
        self._http = http
        self._replies = replies
        self._response = _Events(headers=_STREAM_HEADERS)
        self._begun: Begun | None = None
        self._end = b""
        self.is_open = False

    async def take(self, event: Event | Replayed) -> None:
        """Send an event of the gateway; beginning and end go out with what stands beside them."""
        if isinstance(event, Begun):
            self._begun = event
        elif isinstance(event, Delta):
            head = b""
            if self._begun is not None and not self.is_open:
                head = await self._open(reports.begun(self._begun))
            await self._response.write(head + self._replies.delta(event))
        else:
            done = _done(event)
            head = b"" if self.is_open else await self._open(done.report)
            self._end = head + self._replies.end(done)

    def break_off(self, problem: Problem) -> None:
        """Say that no more will come."""
        self._end = self._replies.broken(problem)

    async def close(self) -> web.StreamResponse:
        """End the response."""
        await self._response.write_eof(self._end)
        return self._response

    async def _open(self, report: gateway_pb2.GatewayReport) -> bytes:
        """Begin the response; returns the first words of its body."""
        self._response.headers.update(report_headers(report))
        self.is_open = True
        await self._response.prepare(self._http)
        return self._replies.begin(report)


def _done(event: Answered | Replayed) -> Done:
    if isinstance(event, Answered):
        completion = event.completion
        report = reports.completed(event, without_answer=True).report
        return Done(answer=completion.answer, usage=completion.usage, report=report)
    kept = reports.replayed(event)
    if not kept.HasField("answer"):
        raise HttpError(
            409,
            "answer_not_kept",
            "this request id was used before with no-store, so its answer is gone; send a new id",
        )
    usage = read_usage(kept.report.usage) if kept.report.HasField("usage") else None
    return Done(answer=kept_answer(kept.answer), usage=usage, report=kept.report)


async def listen_http(face: HttpFace, settings: Settings, tls: Tls | None = None) -> Listening:
    """Take connections at ``http.listen``, encrypted where that is a port and TLS is on.

    Raises:
        OSError: that cannot be listened on.
    """
    http = settings.http
    runner = web.AppRunner(
        face.application(),
        access_log=None,
        logger=_silent,
        handler_cancellation=True,  # a client that leaves stops the upstream call
        keepalive_timeout=http.idle_s,
        max_line_size=http.max_header_bytes,
        max_field_size=http.max_header_bytes,
        shutdown_timeout=0.5,  # the service has waited for its calls before this
    )
    limits = ConnectionLimits(
        max_connections=http.max_connections, header_s=http.header_s, unread_s=http.idle_s
    )
    return await listen(runner, "http.listen", http.listen, limits, tls)
