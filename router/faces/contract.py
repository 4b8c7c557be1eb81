"""A handler for every method of the contract."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace
from hashlib import sha256
from typing import Any

from google.protobuf.message import Message

from cache.types import EntryId, Selector
from router.advisor import Advisor, LookedUp, Returned
from router.errors import InvalidRequest
from router.faces import reports
from router.faces.bounds import read_name, read_note, seconds
from router.faces.grpc_server import Call, Streamed, Unary
from router.faces.wire import (
    read_answer,
    read_request,
    read_usage,
    write_tool_calls,
)
from router.gateway import Answered, Begun, Gateway
from router.ledger.tickets import TOKEN_BYTES
from router.ledger.types import FeedbackKind, RequestKey, SavingsQuery
from router.once import Once, Replayed
from router.operations import Operations
from router.settings.tables import Limits
from router.types import ChatRequest, Delta, Mode, credible
from scrimp.v1 import (
    admin_pb2,
    advisor_pb2,
    chat_pb2,
    feedback_pb2,
    gateway_pb2,
    savings_pb2,
)

_VERDICTS: Mapping[feedback_pb2.Verdict.ValueType, FeedbackKind] = {
    feedback_pb2.VERDICT_HIT_WRONG: FeedbackKind.HIT_WRONG,
    feedback_pb2.VERDICT_HIT_RIGHT: FeedbackKind.HIT_RIGHT,
    feedback_pb2.VERDICT_NOT_ADEQUATE: FeedbackKind.NOT_ADEQUATE,
    feedback_pb2.VERDICT_ADEQUATE: FeedbackKind.ADEQUATE,
}
_MODES: Mapping[Mode, admin_pb2.Mode.ValueType] = {
    Mode.OFF: admin_pb2.MODE_OFF,
    Mode.SHADOW: admin_pb2.MODE_SHADOW,
    Mode.ON: admin_pb2.MODE_ON,
}
_WIRE_MODES: Mapping[int, Mode | None] = {
    admin_pb2.MODE_UNSPECIFIED: None,
    **{wire: mode for mode, wire in _MODES.items()},
}
_MAX_LISTED = 100
_MAX_ENTRY_IDS = 10_000


class Contract:
    """Joins the contract to the parts that do the work.

    Args:
        gateway, advisor, operations: what does it.
        limits: what requests are held to.
        models: the names that a request's own baseline may have.
        stopping: set when the streams that would go on for ever shall end.
    """

    def __init__(
        self,
        gateway: Gateway,
        advisor: Advisor,
        operations: Operations,
        limits: Limits,
        *,
        models: Collection[str],
        stopping: asyncio.Event,
    ) -> None:
        self._gateway = gateway
        self._advisor = advisor
        self._operations = operations
        self._limits = limits
        self._models = models
        self._is_stopping = stopping
        self._unary: Mapping[str, Unary] = {
            "/scrimp.v1.Gateway/Complete": self.complete,
            "/scrimp.v1.Advisor/LookUp": self.look_up,
            "/scrimp.v1.Advisor/Store": self.store,
            "/scrimp.v1.Feedback/Report": self.report,
            "/scrimp.v1.Admin/Invalidate": self.invalidate,
            "/scrimp.v1.Admin/EraseUser": self.erase_user,
            "/scrimp.v1.Admin/SetMode": self.set_mode,
            "/scrimp.v1.Admin/GetMode": self.get_mode,
            "/scrimp.v1.Savings/GetSavings": self.get_savings,
        }
        self._streamed: Mapping[str, Streamed] = {
            "/scrimp.v1.Gateway/StreamComplete": self.stream_complete,
            "/scrimp.v1.Savings/WatchSavings": self.watch_savings,
        }

    def unary(self) -> Mapping[str, Unary]:
        """Return the handlers of methods with one response, by full name."""
        return self._unary

    def streamed(self) -> Mapping[str, Streamed]:
        """Return the handlers of methods with a stream of responses, by full name."""
        return self._streamed

    async def complete(
        self, call: Call[gateway_pb2.CompleteRequest]
    ) -> gateway_pb2.CompleteResponse:
        """Answer, whole."""
        request = self._request(call)
        once = _once(request, call.wire.request, reports.encode_completed)
        async with aclosing(
            self._gateway.complete(request, once, is_streamed=False)  # type: ignore[type-var]
        ) as events:
            async for event in events:
                if isinstance(event, Answered):
                    return reports.completed(event)
                if isinstance(event, Replayed):
                    return reports.replayed(event)
        raise AssertionError("a gateway request ends with its answer, or raises")

    async def stream_complete(
        self, call: Call[gateway_pb2.StreamCompleteRequest]
    ) -> AsyncIterator[gateway_pb2.StreamCompleteResponse]:
        """Answer, piece by piece."""
        request = self._request(call)
        once = _once(request, call.wire.request, reports.encode_completed)
        async with aclosing(
            self._gateway.complete(request, once, is_streamed=True)  # type: ignore[type-var]
        ) as events:
            async for event in events:
                # What is known before the first piece comes at the end; so do another wire's words.
                if not isinstance(event, Begun) and not _says_nothing(event):
                    yield _streamed(event)

    async def look_up(self, call: Call[advisor_pb2.LookUpRequest]) -> advisor_pb2.LookUpResponse:
        """Return a stored answer or advice."""
        request = self._request(call)
        found = await self._advisor.look_up(
            request, _once(request, call.wire.request, _encode_looked_up)
        )
        if isinstance(found, Replayed):
            response = advisor_pb2.LookUpResponse.FromString(found.response)
            response.replayed = True
            return response
        return reports.looked_up(found)

    async def store(self, call: Call[advisor_pb2.StoreRequest]) -> advisor_pb2.StoreResponse:
        """Take an answer back."""
        wire = call.wire
        namespace = call.access.asks_for(self._name(wire.namespace))
        upstream_ms = None
        if wire.HasField("upstream_ms"):
            upstream_ms = wire.upstream_ms
            if not (math.isfinite(upstream_ms) and upstream_ms >= 0):
                raise InvalidRequest(f"upstream_ms is a number >= 0, got {upstream_ms:g}")
        if len(wire.ticket) != TOKEN_BYTES:
            raise InvalidRequest(f"a ticket is {TOKEN_BYTES} bytes, got {len(wire.ticket)}")
        answer = read_answer(wire.answer) if wire.HasField("answer") else None
        usage = read_usage(wire.usage) if wire.HasField("usage") else None
        returned = Returned(
            answer=answer,
            usage=credible(usage, answer),
            model=read_name(wire.model, "model", self._limits),
            upstream_ms=upstream_ms,
        )
        done = await self._advisor.store(
            wire.ticket, returned, namespace=namespace, caller=call.caller
        )
        return reports.stored(done)

    async def report(self, call: Call[feedback_pb2.ReportRequest]) -> feedback_pb2.ReportResponse:
        """Take feedback."""
        wire = call.wire
        namespace = call.access.asks_for(self._name(wire.namespace))
        verdict = _VERDICTS.get(wire.verdict)
        if verdict is None:
            raise InvalidRequest(
                f"verdict is {wire.verdict}, which is none of "
                f"{', '.join(feedback_pb2.Verdict.Name(known) for known in _VERDICTS)}"
            )
        taken = await self._operations.feedback(
            read_name(wire.response_id, "response_id", self._limits),
            verdict,
            read_note(wire.note),
            namespace=namespace,
            caller=call.caller,
        )
        return feedback_pb2.ReportResponse(is_new=taken.is_new)

    async def invalidate(
        self, call: Call[admin_pb2.InvalidateRequest]
    ) -> admin_pb2.InvalidateResponse:
        """Remove entries."""
        wire = call.wire
        namespace = call.access.clears(self._name(wire.namespace))
        older_than_s = None
        if wire.HasField("older_than_s"):
            older_than_s = seconds(wire.older_than_s, "older_than_s")
        if len(wire.entry_ids) > _MAX_ENTRY_IDS:
            raise InvalidRequest(
                f"entry_ids holds {len(wire.entry_ids)} items, at most {_MAX_ENTRY_IDS} are taken"
            )
        selector = Selector(
            ids=tuple(_entry_id(value) for value in wire.entry_ids),
            namespace=wire.namespace,
            tag=read_name(wire.tag, "tag", self._limits),
            model=read_name(wire.model, "model", self._limits),
            user=read_name(wire.user, "user", self._limits),
            conversation=read_name(wire.conversation, "conversation", self._limits),
            older_than_s=older_than_s,
        )
        if not selector.is_empty():  # an empty one is refused, and not taken for all that is there
            selector = replace(selector, namespace=namespace)
        done = await self._operations.invalidate(selector, dry_run=wire.dry_run)
        return admin_pb2.InvalidateResponse(
            n_entries=done.n_entries,
            entry_ids=[reports.entry_id(value) for value in done.ids[:_MAX_LISTED]],
        )

    async def erase_user(
        self, call: Call[admin_pb2.EraseUserRequest]
    ) -> admin_pb2.EraseUserResponse:
        """Erase a user."""
        wire = call.wire
        namespace = call.access.clears(self._name(wire.namespace))
        user = read_name(wire.user, "user", self._limits)
        done = await self._operations.erase_user(user, namespace, dry_run=wire.dry_run)
        return reports.erased(done)

    async def set_mode(self, call: Call[admin_pb2.SetModeRequest]) -> admin_pb2.SetModeResponse:
        """Switch a namespace."""
        namespace = call.access.governs(self._name(call.wire.namespace))
        if call.wire.mode not in _WIRE_MODES:
            raise InvalidRequest(f"mode is {call.wire.mode}, expected MODE_OFF, _SHADOW or _ON")
        before, now = await self._operations.set_mode(namespace, _WIRE_MODES[call.wire.mode])
        return admin_pb2.SetModeResponse(before=_MODES[before], now=_MODES[now])

    async def get_mode(self, call: Call[admin_pb2.GetModeRequest]) -> admin_pb2.GetModeResponse:
        """Tell a namespace's mode."""
        namespace = call.access.views(self._name(call.wire.namespace))
        mode, is_override = self._operations.mode(namespace)
        return admin_pb2.GetModeResponse(mode=_MODES[mode], is_override=is_override)

    async def get_savings(
        self, call: Call[savings_pb2.GetSavingsRequest]
    ) -> savings_pb2.GetSavingsResponse:
        """Sum the ledger."""
        query = self._query(call)
        return savings_pb2.GetSavingsResponse(report=await self._savings(query))

    async def watch_savings(
        self, call: Call[savings_pb2.WatchSavingsRequest]
    ) -> AsyncIterator[savings_pb2.WatchSavingsResponse]:
        """Sum the ledger, again and again."""
        interval_s = call.wire.interval_s if call.wire.HasField("interval_s") else 5.0
        if not 1 <= interval_s <= 3600:
            raise InvalidRequest(f"interval_s is a number in [1, 3600], got {interval_s:g}")
        query = self._query(call)
        while not self._is_stopping.is_set():
            yield savings_pb2.WatchSavingsResponse(report=await self._savings(query))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_stopping.wait(), interval_s)

    async def _savings(self, query: SavingsQuery) -> savings_pb2.SavingsReport:
        report = await self._operations.savings(query)
        churn = (one for one in self._operations.churn() if query.namespace in ("", one[0]))
        return reports.savings(report, churn)

    def _request(self, call: Call[Any]) -> ChatRequest:
        wire: chat_pb2.ChatRequest = call.wire.request
        baseline = wire.wishes.baseline_model
        if baseline and baseline not in self._models:
            raise InvalidRequest(
                f"wishes.baseline_model {baseline[:64]!r} is not configured; there are: "
                f"{', '.join(self._models)}"
            )
        return read_request(
            wire,
            caller=call.caller,
            access=call.access,
            limits=self._limits,
            deadline_at=call.deadline_at,
        )

    def _name(self, namespace: str) -> str:
        return read_name(namespace, "namespace", self._limits)

    def _query(self, call: Call[Any]) -> SavingsQuery:
        wire: savings_pb2.SavingsFilter = call.wire.filter
        return SavingsQuery(
            namespace=call.access.sums(wire.namespace),
            user=call.access.user(wire.user),
            feature=wire.feature,
            conversation=wire.conversation,
            since_ms=wire.since_ms if wire.HasField("since_ms") else None,
            until_ms=wire.until_ms if wire.HasField("until_ms") else None,
            group_by=tuple(wire.group_by),
        )


def _once(request: ChatRequest, wire: Message, encode: Any) -> Once[Any] | None:  # noqa: ANN401
    """Return the use of a request's id; None without one."""
    if not request.request_id:
        return None
    kind = type(wire).DESCRIPTOR.full_name
    body = wire.SerializeToString(deterministic=True)
    return Once(
        key=RequestKey(
            namespace=request.namespace, caller=request.caller, request_id=request.request_id
        ),
        body_digest=sha256(f"{kind}\n{encode.__name__}\n".encode() + body).digest(),
        encode=encode,
    )


def _encode_looked_up(found: LookedUp, without_answer: bool) -> bytes:
    return reports.looked_up(found, without_answer=without_answer).SerializeToString()


def _says_nothing(event: Delta | Answered | Replayed) -> bool:
    return isinstance(event, Delta) and not (event.text or event.tool_calls)


def _streamed(event: Delta | Answered | Replayed) -> gateway_pb2.StreamCompleteResponse:
    if isinstance(event, Delta):
        return gateway_pb2.StreamCompleteResponse(
            delta=gateway_pb2.AnswerDelta(
                text=event.text, tool_calls=write_tool_calls(event.tool_calls)
            )
        )
    done = reports.completed(event) if isinstance(event, Answered) else reports.replayed(event)
    return gateway_pb2.StreamCompleteResponse(done=done)


def _entry_id(value: str) -> EntryId:
    if not value.isascii() or not value.isdigit() or len(value) > 19:
        raise InvalidRequest(f"an entry id is a number as a response gave it, got {value[:40]!r}")
    return EntryId(int(value))
