"""The page that Prometheus reads: metrics of all namespaces, for whoever may see them."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from router.errors import NotPermitted, Unauthenticated
from router.faces.desk import Desks
from router.faces.listening import ConnectionLimits, Listening, listen
from router.faces.tls import Tls
from router.metrics import Metrics

_LIMITS: Final = ConnectionLimits(max_connections=64, header_s=10.0, unread_s=30.0)
_MAX_HEADER_BYTES: Final = 8_192
_MAX_BODY_BYTES: Final = 1_024  # there is nothing to send

_silent = logging.getLogger(f"{__name__}.wire")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False


async def listen_metrics(
    metrics: Metrics, desks: Desks, address: str, tls: Tls | None
) -> Listening:
    """Serve the page at ``/metrics``, encrypted where the address is a port and TLS is on.

    Where the service wants keys, the page wants one with the role ``metrics``, or an admin's of all
    namespaces.

    Raises:
        OSError: ``address`` cannot be listened on.
    """

    async def page(request: web.Request) -> web.Response:
        headers = request.headers
        authorization, api_key = headers.get("Authorization", ""), headers.get("x-api-key", "")
        try:
            desks.now.keys.admit(authorization, api_key).reads_metrics()
        except Unauthenticated as error:
            return web.Response(
                status=401, text=f"{error}\n", headers={"WWW-Authenticate": "Bearer"}
            )
        except NotPermitted as error:
            return web.Response(status=403, text=f"{error}\n")
        body = await asyncio.to_thread(metrics.exposition)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    pages = web.Application(client_max_size=_MAX_BODY_BYTES)
    pages.router.add_get("/metrics", page)
    runner = web.AppRunner(
        pages,
        access_log=None,
        logger=_silent,
        keepalive_timeout=75.0,
        max_line_size=_MAX_HEADER_BYTES,
        max_field_size=_MAX_HEADER_BYTES,
        shutdown_timeout=0.5,
    )
    return await listen(runner, "service.metrics_listen", address, _LIMITS, tls)
