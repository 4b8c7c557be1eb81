"""The gRPC server: wire messages in, wire messages out, errors to statuses, nothing else."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, aclosing
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Generic, Protocol, TypeVar, cast

import grpc
from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from router.errors import InvalidRequest, RouterError, Unauthenticated
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


class Serving(Protocol):
    """What a call goes by, from its beginning to its end; see ``router.faces.desk``."""

    @property
    def contract(self) -> Handlers:
        """The handlers."""

    @property
    def keys(self) -> Keys:
        """The keys that callers come with."""

    @property
    def limits(self) -> Limits:
        """What requests are held to."""

    def held(self) -> AbstractContextManager[None]:
        """Keep what a call needs while the block runs."""


class Calls:
    """Wraps handlers with what gRPC asks of every call: deadlines, and errors made statuses.

    Args:
        edge: counts the calls in flight.
        now: what a call that comes now goes by.
    """

    def __init__(self, edge: Edge, now: Callable[[], Serving]) -> None:
        self._edge = edge
        self._now = now

    def unary(self, path: str) -> Callable[[Message | Malformed, Context], Awaitable[Any]]:
        """Return what answers a method with one response."""

        async def answer(wire: Message | Malformed, context: Context) -> Any:  # noqa: ANN401
            serving = self._now()
            try:
                with self._edge.passing(), serving.held():
                    call = _call(serving, wire, context)
                    async with asyncio.timeout(_time_left(serving, context)):
                        return await serving.contract.unary()[path](call)
            except Exception as error:  # noqa: BLE001  the outermost edge
                await _abort(context, error)

        return answer

    def streamed(self, path: str) -> Callable[[Message | Malformed, Context], Any]:
        """Return what answers a method with a stream of responses."""

        async def answer(wire: Message | Malformed, context: Context) -> AsyncIterator[Any]:
            serving = self._now()
            try:
                with self._edge.passing(), serving.held():
                    call = _call(serving, wire, context)
                    ends = asyncio.get_running_loop().time() + _time_left(serving, context)
                    handler = serving.contract.streamed()[path]
                    async with aclosing(cast("Any", handler(call))) as events:
                        while True:
                            async with asyncio.timeout_at(ends):
                                event = await anext(events, None)
                            if event is None:
                                break
                            yield event
            except Exception as error:  # noqa: BLE001  the outermost edge
                await _abort(context, error)

        return answer

    def endless(self, path: str) -> Callable[[Message | Malformed, Context], Any]:
        """Return what answers a method whose stream goes on: it gets no deadline of ours.

        Its key may be taken back meanwhile, so that its rights are looked up at every response.
        """

        async def answer(wire: Message | Malformed, context: Context) -> AsyncIterator[Any]:
            serving = self._now()
            try:
                with self._edge.passing():
                    call = _call(serving, wire, context)
                    handler = serving.contract.streamed()[path]
                    async with aclosing(cast("Any", handler(call))) as events:
                        async for event in events:
                            _check_still(self._now().keys, call, context)
                            yield event
            except Exception as error:  # noqa: BLE001  the outermost edge
                await _abort(context, error)

        return answer


def _call(serving: Serving, wire: Message | Malformed, context: Context) -> Call[Any]:
    metadata = context.invocation_metadata()
    access = admit(serving.keys, metadata)
    if isinstance(wire, Malformed):
        raise InvalidRequest(wire.reason)
    stated = read_name(said(metadata, CALLER_KEY), f"metadata {CALLER_KEY}", serving.limits)
    deadline_at = time.monotonic() + _time_left(serving, context)
    return Call(wire=wire, caller=access.caller(stated), access=access, deadline_at=deadline_at)


def _time_left(serving: Serving, context: Context) -> float:
    left = context.time_remaining()
    most = serving.limits.default_deadline_s
    return most if left is None else left


def _check_still(keys: Keys, call: Call[Any], context: Context) -> None:
    """Check that a caller may still what it might when it began.

    Raises:
        Unauthenticated: its key is gone, or stands for something else now.
    """
    if not admit(keys, context.invocation_metadata()).is_as(call.access):
        raise Unauthenticated("what the key may has changed; call again")


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

    Args:
        server: not yet started.
        handlers: of now; later ones are of the same methods.
        calls: wraps them.

    Raises:
        KeyError: a method of the contract has no handler.
    """
    known = {**handlers.unary(), **handlers.streamed()}
    names = []
    for module in _MODULES:
        for service in module.DESCRIPTOR.services_by_name.values():
            names.append(service.full_name)
            methods = {}
            for method in service.methods:
                path = f"/{service.full_name}/{method.name}"
                if path not in known:
                    raise KeyError(path)
                parse = parser(method.input_type._concrete_class)
                write = method.output_type._concrete_class.SerializeToString
                if method.server_streaming:
                    answer = calls.endless if path in _ENDLESS else calls.streamed
                    methods[method.name] = grpc.unary_stream_rpc_method_handler(
                        answer(path), parse, write
                    )
                else:
                    methods[method.name] = grpc.unary_unary_rpc_method_handler(
                        calls.unary(path), parse, write
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
