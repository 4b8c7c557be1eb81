"""Taking connections over HTTP: at a port or a Unix socket, so many at once, none for ever.

aiohttp bounds one line, one header and their number; a body has its own time (``bodies``). What it
does not bound is done here: how many connections there are, how long headers may take, and how long
a client may leave its answer unread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

from aiohttp import web

from router.faces.sockets import Moved, bind_unix
from router.faces.tls import Tls

_HANDSHAKE_S: Final = 10.0
_LOOKS_EVERY_S: Final = 5.0
_REFUSED: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\n"
    b"Connection: close\r\n\r\n"
)
_LATE: Final = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """What one connection, and all of them together, may take.

    Attributes:
        max_connections: open at once.
        header_s: seconds for a request's headers.
        unread_s: seconds without the client taking any of what is sent.
    """

    max_connections: int
    header_s: float
    unread_s: float


class Listening:
    """An application that takes connections.

    Attributes:
        address: where, with the port it got.
    """

    def __init__(
        self,
        runner: web.AppRunner,
        server: asyncio.Server,
        address: str,
        limits: ConnectionLimits,
        at: Moved | None = None,
    ) -> None:
        self._runner = runner
        self._server = server
        self._at = at
        self._watch = asyncio.create_task(_drop_unread(runner, limits.unread_s))
        self.address = address

    async def close(self) -> None:
        """Take no more connections, and cancel what still runs."""
        self._watch.cancel()
        self._server.close()
        await self._runner.cleanup()
        if self._at is not None:
            await asyncio.to_thread(self._at.remove)


async def listen(
    runner: web.AppRunner, key: str, address: str, limits: ConnectionLimits, tls: Tls | None = None
) -> Listening:
    """Take connections, encrypted where that is a port and TLS is on.

    Args:
        runner: of the application, not yet set up.
        key: of the settings, for what goes wrong.
        address: ``host:port`` or ``unix:/path``.
        limits: of connections.
        tls: None: it is off.

    Raises:
        OSError: that cannot be listened on.
    """
    await runner.setup()
    loop = asyncio.get_running_loop()
    connect = _bounded(runner, limits)
    try:
        if address.startswith("unix:"):
            bound, at = await asyncio.to_thread(bind_unix, address.removeprefix("unix:"))
            server = await loop.create_unix_server(connect, sock=bound)
            return Listening(runner, server, address, limits, at)
        host, _, port = address.rpartition(":")
        context, handshake_s = (tls.context(), _HANDSHAKE_S) if tls else (None, None)
        server = await loop.create_server(
            connect, host.strip("[]"), int(port), ssl=context, ssl_handshake_timeout=handshake_s
        )
    except OSError as error:
        await runner.cleanup()
        raise OSError(f"{key} {address!r} cannot be listened on: {error}") from error
    where = f"{host}:{server.sockets[0].getsockname()[1]}"
    return Listening(runner, server, where, limits)


def _bounded(runner: web.AppRunner, limits: ConnectionLimits) -> Callable[[], asyncio.Protocol]:
    server = _server(runner)

    def connect() -> asyncio.Protocol:
        if len(server.connections) >= limits.max_connections:
            return _Refusing()
        return _Fresh(server(), limits.header_s)

    return connect


def _server(runner: web.AppRunner) -> web.Server:
    server = runner.server
    assert server is not None  # after setup() there is one
    return server


class _Refusing(asyncio.Protocol):
    """Tells a connection that there are too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            transport.write(_REFUSED)
            transport.close()


class _Fresh(asyncio.Protocol):
    """A connection until its first headers have come; then its handler takes its place.

    The handler itself keeps time between two requests only.
    """

    def __init__(self, handler: web.RequestHandler, header_s: float) -> None:
        self._handler = handler
        self._header_s = header_s
        self._end = b""  # of what came, as an empty line may come in pieces
        self._has_begun = False
        self._transport: asyncio.Transport | None = None
        self._alarm: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._alarm = asyncio.get_running_loop().call_later(self._header_s, self._late)
        self._handler.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if not self._has_begun:  # blank lines before a request are no end of its headers
            data = data.lstrip(b"\r\n")
            if not data:
                return
            self._has_begun = True
        seen = self._end + data
        self._handler.data_received(data)
        if b"\n\r\n" in seen or b"\n\n" in seen:
            self._disarm()
            if self._transport is not None and not self._transport.is_closing():
                self._transport.set_protocol(self._handler)
        self._end = seen[-2:]

    def eof_received(self) -> None:
        self._handler.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self._handler.connection_lost(exc)

    def pause_writing(self) -> None:
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        self._handler.resume_writing()

    def _disarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()

    def _late(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(_LATE)
            self._transport.close()


async def _drop_unread(runner: web.AppRunner, unread_s: float) -> None:
    """Close the connections of clients that take nothing of what is sent, for so long."""
    server = _server(runner)
    now = asyncio.get_running_loop().time
    waiting: dict[web.RequestHandler, tuple[int, float]] = {}
    while True:
        await asyncio.sleep(min(unread_s / 4, _LOOKS_EVERY_S))
        still: dict[web.RequestHandler, tuple[int, float]] = {}
        for handler in server.connections:
            transport = handler.transport
            n_bytes = transport.get_write_buffer_size() if transport else 0
            if transport is None or not n_bytes:
                continue
            before, since = waiting.get(handler, (n_bytes + 1, now()))
            still[handler] = (n_bytes, now() if n_bytes < before else since)
            if now() - still[handler][1] >= unread_s:
                transport.abort()
        waiting = still
