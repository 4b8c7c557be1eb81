"""Run the service: gRPC and HTTP in one event loop, the metrics page, and a graceful end."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from router.app import App, build
from router.faces.contract import Contract
from router.faces.edge import Edge
from router.faces.grpc_door import Door
from router.faces.grpc_server import Calls, Health, register
from router.faces.http.server import HttpFace, Listening, listen
from router.faces.keys import Keys
from router.faces.tls import Tls
from router.metrics import Watched
from router.ports import Provider
from router.settings import Settings

_log = logging.getLogger(__name__)


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
    _contract: Contract
    _http: Listening | None
    _metrics: web.AppRunner | None

    async def stop(self) -> None:
        """Say NOT_SERVING, let calls in flight finish within ``drain_s``, then close."""
        drain_s = self.app.settings.service.drain_s
        await self._health.set(is_serving=False)
        self._contract.stop()
        self._edge.close()
        if not await self._edge.drained(drain_s):
            _log.warning("calls were still running after %g s and are cancelled", drain_s)
        await self._server.stop(grace=0.5)
        if self._http is not None:
            await self._http.close()
        if self._metrics is not None:
            await self._metrics.cleanup()
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
    keys = Keys(settings.access_keys)
    server = grpc.aio.server(
        interceptors=[Door(keys)] if keys.are_wanted else [],
        options=[
            ("grpc.max_receive_message_length", settings.limits.max_message_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
        ],
    )
    contract = Contract(
        app.gateway, app.advisor, app.operations, settings.limits, models=settings.models
    )
    register(server, contract, Calls(edge, settings.limits, keys))
    app.metrics.watch(Watched.IN_FLIGHT, lambda: edge.n_running)
    health = Health(server)
    tls = Tls(settings.tls) if settings.tls.is_on else None
    address = _bind(server, settings.service.listen, tls)
    await server.start()
    http = None
    if settings.http.listen:
        http = await listen(HttpFace(app.gateway, app.embeddings, edge, settings), settings, tls)
    metrics, metrics_address = await _serve_metrics(app, settings.service.metrics_listen)
    await health.set(is_serving=True)
    return Running(
        app=app,
        address=address,
        http_address=http.address if http else "",
        metrics_address=metrics_address,
        _server=server,
        _health=health,
        _edge=edge,
        _contract=contract,
        _http=http,
        _metrics=metrics,
    )


def _bind(server: grpc.aio.Server, listen: str, tls: Tls | None) -> str:
    try:
        if tls is None or listen.startswith("unix:"):
            port = server.add_insecure_port(listen)
        else:
            port = server.add_secure_port(listen, tls.grpc_credentials())
    except RuntimeError as error:
        raise OSError(f"service.listen {listen!r} cannot be listened on: {error}") from error
    if listen.startswith("unix:"):
        Path(listen.removeprefix("unix:")).chmod(0o600)
        return listen
    return f"{listen.rpartition(':')[0]}:{port}"


async def _serve_metrics(app: App, listen: str) -> tuple[web.AppRunner | None, str]:
    if not listen:
        return None, ""

    async def page(_: web.Request) -> web.Response:
        body = await asyncio.to_thread(app.metrics.exposition)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    pages = web.Application()
    pages.router.add_get("/metrics", page)
    runner = web.AppRunner(pages, access_log=None)
    await runner.setup()
    host, _, port = listen.rpartition(":")
    site = web.TCPSite(runner, host, int(port))
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        raise OSError(
            f"service.metrics_listen {listen!r} cannot be listened on: {error}"
        ) from error
    bound = runner.addresses[0]
    return runner, f"{bound[0]}:{bound[1]}"


async def serve_forever(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, then drain."""
    running = await start(settings)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopping.set)
    _log.info("listening on %s", running.address)
    if running.http_address:
        _log.info("HTTP on %s", running.http_address)
    if running.metrics_address:
        _log.info("metrics on http://%s/metrics", running.metrics_address)
    await stopping.wait()
    _log.info("stopping")
    await running.stop()
