"""Keeps callers without a key out of every gRPC service but health, before a message is read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, NoReturn

import grpc
from grpc_health.v1 import health

from router.errors import Unauthenticated
from router.faces.keys import Access, Keys

_OPEN: Final = f"/{health.SERVICE_NAME}/"
_KEY: Final = "authorization"

Metadata = Iterable[tuple[str, str | bytes]]


def said(metadata: Metadata | None, wanted: str) -> str:
    """Return the first text under a key of the metadata; empty: there is none."""
    for key, value in metadata or ():
        if key == wanted:
            return value if isinstance(value, str) else value.decode(errors="replace")
    return ""


def admit(keys: Keys, metadata: Metadata | None) -> Access:
    """Return what the caller may.

    Raises:
        Unauthenticated: a key is wanted, and none that is known came.
    """
    return keys.admit(said(metadata, _KEY))


class Door(grpc.aio.ServerInterceptor):
    """Stands before all services, those that are added one day included.

    Args:
        keys: those that are known now.
    """

    def __init__(self, keys: Callable[[], Keys]) -> None:
        self._keys = keys

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:  # noqa: ANN401  the handlers of any service
        """Let a call through, or refuse it."""
        details = handler_call_details
        if not details.method.startswith(_OPEN):
            try:
                admit(self._keys(), details.invocation_metadata)
            except Unauthenticated as error:
                return _refusing(str(error))
        return await continuation(details)


def _refusing(why: str) -> Any:  # noqa: ANN401
    """Return a handler for any kind of method, as it neither reads nor writes a message."""

    async def refuse(_: object, context: grpc.aio.ServicerContext[Any, Any]) -> NoReturn:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, why)
        raise AssertionError("abort raises")

    return grpc.stream_stream_rpc_method_handler(refuse)
