"""The gRPC server: wire messages in, wire messages out, errors to statuses, nothing else."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Generic, Protocol, TypeVar, cast

import grpc
from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from router.errors import InvalidRequest, RouterError
from router.faces.bounds import read_name
from router.faces.edge import Edge
from router.faces.grpc_door import admit, said
from router.faces.keys import Access, Keys
from router.faces.statuses import sentence_of, sentence_of_bug, status_of
from router.settings.tables import Limits
from scrimp.v1 import (
    admin_pb2,
    advisor_pb2,
    feedback_pb2,
    gateway_pb2,
    savings_pb2,
)

_log = logging.getLogger(__name__)
_MODULES: tuple[ModuleType, ...] = (
    gateway_pb2,
    advisor_pb2,
    feedback_pb2,
    admin_pb2,
    savings_pb2,
)
_ENDLESS = frozenset({"/scrimp.v1.Savings/WatchSavings"})
CALLER_KEY = "scrimp-caller"
_PUSHBACK_KEY = "grpc-retry-pushback-ms"

Context = grpc.aio.ServicerContext[Any, Any]
M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Malformed:
    """Bytes that are no message of the expected type."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[M]):
    """One call as a handler sees it.

    Attributes:
        wire: the request message.
        caller: who calls, as far as is known.
        access: what it may.
        deadline_at: seconds of the monotonic clock, when the caller stops waiting.
    """

    wire: M
    caller: str
    access: Access
    deadline_at: float


Unary = Callable[[Call[Any]], Awaitable[Message]]
Streamed = Callable[[Call[Any]], AsyncIterator[Message]]


class Handlers(Protocol):
    """Gives the handler of every method of the contract, by its full name."""

    def unary(self) -> Mapping[str, Unary]:
        """Handlers of methods with one response: ``/scrimp.v1.Gateway/Complete``, ..."""

    def streamed(self) -> Mapping[str, Streamed]:
        """Handlers of methods with a stream of responses."""


class Calls:
    """Wraps handlers with what gRPC asks of every call: deadlines, and errors made statuses.

    Args:
        edge: counts the calls in flight.
        limits: from the settings.
        keys: that callers come with.
    """

    def __init__(self, edge: Edge, limits: Limits, keys: Keys) -> None:
        self._edge = edge
        self._limits = limits
        self._keys = keys

    def unary(self, handler: Unary) -> Callable[[Message | Malformed, Context], Awaitable[Any]]:
        """Wrap a handler with one response."""

        async def answer(wire: Message | Malformed, context: Context) -> Any:  # noqa: ANN401
            try:
                with self._edge.passing():
                    call = self._call(wire, context)
                    async with asyncio.timeout(self._time_left(context)):
                        return await handler(call)
            except Exception as error:  # noqa: BLE001  the outermost edge
                await _abort(context, error)

        return answer

    def streamed(
        self, handler: Streamed, *, is_endless: bool = False
    ) -> Callable[[Message | Malformed, Context], Any]:
        """Wrap a handler with a stream of responses; an endless one gets no deadline of ours."""

        async def answer(wire: Message | Malformed, context: Context) -> AsyncIterator[Any]:
            try:
                with self._edge.passing():
                    call = self._call(wire, context)
                    ends = asyncio.get_running_loop().time() + self._time_left(context)
                    async with aclosing(cast("Any", handler(call))) as events:
                        while True:
                            async with asyncio.timeout_at(None if is_endless else ends):
                                event = await anext(events, None)
                            if event is None:
                                break
                            yield event
            except Exception as error:  # noqa: BLE001  the outermost edge
                await _abort(context, error)

        return answer

    def _call(self, wire: Message | Malformed, context: Context) -> Call[Any]:
        metadata = context.invocation_metadata()
        access = admit(self._keys, metadata)
        if isinstance(wire, Malformed):
            raise InvalidRequest(wire.reason)
        stated = read_name(said(metadata, CALLER_KEY), f"metadata {CALLER_KEY}", self._limits)
        deadline_at = time.monotonic() + self._time_left(context)
        return Call(wire=wire, caller=access.caller(stated), access=access, deadline_at=deadline_at)

    def _time_left(self, context: Context) -> float:
        left = context.time_remaining()
        most = self._limits.default_deadline_s
        return most if left is None else left


async def _abort(context: Context, error: Exception) -> None:
    if isinstance(error, grpc.aio.AbortError):
        raise error
    status = status_of(error)
    if status is None:
        _log.error("a handler failed unexpectedly", exc_info=error)
        await context.abort(grpc.StatusCode.INTERNAL, sentence_of_bug(error))
    else:
        await context.abort(status.grpc, sentence_of(error), _pushback(error))


def _pushback(error: Exception) -> tuple[tuple[str, str], ...]:
    """Say when to come back, in the trailing metadata that gRPC's own retries heed."""
    after_s = error.retry_after_s if isinstance(error, RouterError) else None
    if after_s is None or not math.isfinite(after_s):
        return ()
    return ((_PUSHBACK_KEY, str(math.ceil(after_s * 1e3))),)


def parser(message_class: type[M]) -> Callable[[bytes], M | Malformed]:
    """Return a deserializer that never raises, so that the caller learns what is wrong."""

    def parse(raw: bytes) -> M | Malformed:
        try:
            return message_class.FromString(raw)
        except DecodeError as error:
            return Malformed(
                f"the message is no valid {message_class.DESCRIPTOR.full_name}: {error}; "
                f"strings must be UTF-8 and fields of the contract's types"
            )

    return parse


def register(server: grpc.aio.Server, handlers: Handlers, calls: Calls) -> None:
    """Add every service of the contract to a server, with health and reflection.

    Raises:
        KeyError: a method of the contract has no handler.
    """
    unary, streamed = handlers.unary(), handlers.streamed()
    names = []
    for module in _MODULES:
        for service in module.DESCRIPTOR.services_by_name.values():
            names.append(service.full_name)
            methods = {}
            for method in service.methods:
                path = f"/{service.full_name}/{method.name}"
                parse = parser(method.input_type._concrete_class)
                write = method.output_type._concrete_class.SerializeToString
                if method.server_streaming:
                    methods[method.name] = grpc.unary_stream_rpc_method_handler(
                        calls.streamed(streamed[path], is_endless=path in _ENDLESS), parse, write
                    )
                else:
                    methods[method.name] = grpc.unary_unary_rpc_method_handler(
                        calls.unary(unary[path]), parse, write
                    )
            server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(service.full_name, methods),)
            )
    reflection.enable_server_reflection(
        (*names, health.SERVICE_NAME, reflection.SERVICE_NAME), server
    )


class Health:
    """The standard health service, for the whole server and each service of the contract."""

    def __init__(self, server: grpc.aio.Server) -> None:
        self._servicer = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    async def set(self, *, is_serving: bool) -> None:
        """Tell everyone whether calls are taken."""
        serving = health_pb2.HealthCheckResponse
        status = serving.SERVING if is_serving else serving.NOT_SERVING
        names = [
            service.full_name
            for module in _MODULES
            for service in module.DESCRIPTOR.services_by_name.values()
        ]
        for name in ("", *names):
            await self._servicer.set(name, status)
