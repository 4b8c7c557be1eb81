"""Run the service: gRPC and HTTP in one event loop, the metrics page, and a graceful end."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

import grpc

from router.app import App, build
from router.faces.desk import Desks, desk_of
from router.faces.edge import Edge
from router.faces.grpc_door import Door
from router.faces.grpc_server import Calls, Health, register
from router.faces.http.server import HttpFace, listen_http
from router.faces.listening import Listening
from router.faces.metrics_page import listen_metrics
from router.faces.sockets import Moved, moved, temporary
from router.faces.tls import Tls
from router.metrics import Watched
from router.ports import Provider
from router.rereading import Rereading, SettingsState
from router.settings import Settings
from router.settings.source import Source

_log = logging.getLogger(__name__)
_STREAMS_PER_PLACE = 2  # more calls than there are places come in, to be told that there are none
_MAX_METADATA_BYTES = 16_384
_HANDSHAKE_MS = 10_000
_PING_MS, _PONG_MS = 60_000, 20_000
_IDLE_MS = 600_000


@dataclass(slots=True, kw_only=True)
class Running:
    """A service that takes calls.

    Attributes:
        app: its parts.
        address: where gRPC listens, with the port it got.
        http_address: the same of HTTP; empty: nowhere.
        metrics_address: where the metrics page is; empty: nowhere.
    """

    app: App
    address: str
    http_address: str
    metrics_address: str
    _server: grpc.aio.Server
    _health: Health
    _edge: Edge
    _desks: Desks
    _stopping: asyncio.Event
    _at: Moved | None
    _http: Listening | None
    _metrics: Listening | None

    async def switch(self, settings: Settings) -> None:
        """Put other settings into use for whatever begins from now on.

        Args:
            settings: as ``settings.changes`` gives them: what needs a restart is as it was.

        Raises:
            LedgerUnavailable: what audits cost today cannot be read; nothing was changed.
        """
        terms = await self.app.terms.prepare(settings)
        desk = desk_of(terms, self._stopping)
        # No await from here to the end: nobody sees half of it.
        self.app.terms.switch(terms)
        self._edge.go_by(settings.limits)
        self._desks.now = desk

    def rereading(self, file: Source | None) -> Rereading:
        """Return what reads the settings again; ``run`` it as a task."""

        def tell(state: SettingsState) -> None:
            self._desks.settings_state = state.value

        return Rereading(
            file,
            in_use=lambda: self.app.settings,
            switch=self.switch,
            let_go=self.app.terms.let_go,
            mode_set=self.app.terms.mode_set,
            tell=tell,
            metrics=self.app.metrics,
        )

    async def stop(self) -> None:
        """Say NOT_SERVING, let calls in flight finish within ``drain_s``, then close."""
        drain_s = self.app.settings.service.drain_s
        await self._health.set(is_serving=False)
        self._stopping.set()
        self._edge.close()
        if not await self._edge.drained(drain_s):
            _log.warning("calls were still running after %g s and are cancelled", drain_s)
        await self._server.stop(grace=0.5)
        for listening in (self._http, self._metrics):
            if listening is not None:
                await listening.close()
        if self._at is not None:
            await asyncio.to_thread(self._at.remove)
        await self.app.close()


async def start(
    settings: Settings,
    providers: Mapping[str, Provider] | None = None,
    *,
    now_s: Callable[[], float] = time.time,
) -> Running:
    """Start the service.

    Args:
        settings: from ``router.settings.load``.
        providers: adapters by provider name that replace those of the settings, for tests.
        now_s: seconds since the epoch.

    Raises:
        OSError: an address cannot be listened on.
        OpenRefused, LedgerRefused: the data folder cannot be used.
    """
    app = await asyncio.to_thread(build, settings, providers, now_s=now_s)
    try:
        await app.start()
        return await _listen(app)
    except BaseException:
        await app.close()
        raise


async def _listen(app: App) -> Running:
    settings = app.settings
    edge = Edge(settings.limits)
    stopping = asyncio.Event()
    desks = Desks(desk_of(app.terms.now, stopping))
    server = grpc.aio.server(
        interceptors=[Door(lambda: desks.now.keys)], options=_grpc_options(settings)
    )
    register(server, desks.now.contract, Calls(edge, lambda: desks.now))
    app.metrics.watch(Watched.IN_FLIGHT, lambda: edge.n_running)
    health = Health(server)
    tls = Tls(settings.tls) if settings.tls.is_on else None
    async with AsyncExitStack() as opened:  # what listens ends where a later part cannot
        address, at = _bind(server, settings.service.listen, tls)
        opened.push_async_callback(server.stop, None)
        if at is not None:
            opened.callback(at.remove)
        await server.start()
        http = metrics = None
        if settings.http.listen:
            http = await listen_http(HttpFace(desks, app.embeddings, edge), settings, tls)
            opened.push_async_callback(http.close)
        if settings.service.metrics_listen:
            where = settings.service.metrics_listen
            metrics = await listen_metrics(app.metrics, desks, where, tls)
        opened.pop_all()
    await health.set(is_serving=True)
    return Running(
        app=app,
        address=address,
        http_address=http.address if http else "",
        metrics_address=metrics.address if metrics else "",
        _server=server,
        _health=health,
        _edge=edge,
        _desks=desks,
        _stopping=stopping,
        _at=at,
        _http=http,
        _metrics=metrics,
    )


def _grpc_options(settings: Settings) -> list[tuple[str, int]]:
    """Return what one connection may take, and for how long it may be of no use."""
    limits = settings.limits
    return [
        ("grpc.max_receive_message_length", limits.max_message_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),
        ("grpc.max_allowed_incoming_connections", settings.service.max_connections),
        ("grpc.max_concurrent_streams", _STREAMS_PER_PLACE * limits.max_in_flight),
        ("grpc.max_metadata_size", _MAX_METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", _MAX_METADATA_BYTES),
        ("grpc.server_handshake_timeout_ms", _HANDSHAKE_MS),
        ("grpc.keepalive_time_ms", _PING_MS),  # finds out whose machine is gone
        ("grpc.keepalive_timeout_ms", _PONG_MS),
        ("grpc.max_connection_idle_ms", _IDLE_MS),
    ]


def _bind(server: grpc.aio.Server, listen: str, tls: Tls | None) -> tuple[str, Moved | None]:
    try:
        if listen.startswith("unix:"):
            path = listen.removeprefix("unix:")
            beside = temporary(path)
            server.add_insecure_port(f"unix:{beside}")
            return listen, moved(beside, path)
        if tls is None:
            port = server.add_insecure_port(listen)
        else:
            port = server.add_secure_port(listen, tls.grpc_credentials())
    except (RuntimeError, OSError) as error:
        raise OSError(f"service.listen {listen!r} cannot be listened on: {error}") from error
    return f"{listen.rpartition(':')[0]}:{port}", None


async def serve_forever(settings: Settings, file: Source | None = None) -> None:
    """Run until SIGTERM or SIGINT, then drain.

    Args:
        settings: to begin with.
        file: where they are read again when it changes, and on SIGHUP; None: nowhere.
    """
    running = await start(settings)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopping.set)
    rereading = running.rereading(file)
    loop.add_signal_handler(signal.SIGHUP, rereading.ask)
    reading = asyncio.create_task(rereading.run())
    _log.info("listening on %s", running.address)
    if running.http_address:
        _log.info("HTTP on %s", running.http_address)
    if running.metrics_address:
        scheme = "https" if settings.tls.is_on else "http"
        _log.info("metrics on %s://%s/metrics", scheme, running.metrics_address)
    await stopping.wait()
    _log.info("stopping")
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await running.stop()
