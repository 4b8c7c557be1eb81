"""The advisor's door: the app calls the model itself, and brings the answer back with a ticket."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, replace
from typing import cast

from cache.errors import EntryRefused
from cache.types import Draft, Embedding, PartitionKey
from router.accounts import Delivered
from router.audits import near_miss
from router.decision import Decision
from router.errors import UnknownNamespace
from router.ledger.accounting import attempt_cost
from router.ledger.errors import LedgerUnavailable
from router.ledger.tickets import digest_of, new_token
from router.ledger.types import Attempt, LedgerLine, Ticket
from router.once import Once, Replayed, Retries
from router.pipeline import Kept, Pipeline
from router.reuse import exact_only
from router.settings.privacy import kept_s
from router.stored_answer import pack
from router.types import Answer, ChatRequest, Completion, Face, Routing, Usage

_MAX_EMBEDDINGS = 10_000  # about 20 MB; older tickets are encoded again when they come back

Embeddings = OrderedDict[bytes, Embedding]


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketOut:
    """A ticket on its way to the app. ``token`` is 16 random bytes; only its digest is kept."""

    token: bytes
    expires_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LookedUp:
    """The end of a look-up.

    Attributes:
        hit: the stored answer; None: the app shall call ``routing.chain[0]``.
        line: open while a ticket is out.
        routing: None for a hit.
        ticket: None for a hit without audit, and where the ledger cannot take one.
    """

    hit: Completion | None
    line: LedgerLine
    routing: Routing | None
    ticket: TicketOut | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """What an app brings for a ticket.

    Attributes:
        answer: None when the app's call failed.
        usage: None when the app does not know it.
        model: the settings' name of the model that answered; empty: the one that was advised.
        upstream_ms: how long the app's call took; None: unknown.
    """

    answer: Answer | None
    usage: Usage | None
    model: str = ""
    upstream_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The end of a store; ``kept`` says why where nothing was kept."""

    line: LedgerLine
    kept: Kept


class Advisor:
    """Looks up, advises, and takes answers back.

    Args:
        pipeline: what both doors share.
        price: (model, usage) to nano-dollars, None when unknown.
        retries: joins requests of the same id.
        embeddings: of the texts that tickets are out for, by the ticket's digest; None: of none.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        price: Callable[[str, Usage], int | None],
        retries: Retries,
        embeddings: Embeddings | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._price = price
        self._retries = retries
        self._embeddings = OrderedDict() if embeddings is None else embeddings
        self._storing: set[asyncio.Task[Stored]] = set()

    async def look_up(
        self, request: ChatRequest, once: Once[LookedUp] | None
    ) -> LookedUp | Replayed:
        """Return a stored answer, or which model to call, with a ticket.

        Raises:
            AlreadyExists: the id was used for another body.
            UnknownNamespace: the settings close the set.
            NoModelFits: no configured model can take the request.
        """
        if once is None:
            return await self._look_up(request, None)
        async for event in self._retries.run(once, lambda: self._look_up_as_event(request, once)):
            return cast("LookedUp | Replayed", event)
        raise AssertionError("a look-up is one event")

    async def _look_up_as_event(
        self, request: ChatRequest, once: Once[LookedUp]
    ) -> AsyncIterator[LookedUp]:
        yield await self._look_up(request, once)

    async def _look_up(self, request: ChatRequest, once: Once[LookedUp] | None) -> LookedUp:
        decision, hit = await self._pipeline.decide(request, Face.ADVISOR)
        if hit is not None:
            line = self._pipeline.hit_line(decision, hit, Face.ADVISOR)
            found = LookedUp(hit=hit, line=line, routing=None, ticket=None)
            out = self._new_ticket()
            propensity = self._pipeline.audits.offered(decision, hit, digest_of(out.token))
            if propensity is not None:
                return await self._with_audit(decision, found, once, out, propensity)
            self._pipeline.note(decision, line, once, found)
            return found
        chain = decision.routing.chain if decision.routing else ("",)
        delivered = Delivered(outcome=decision.outcome, model=chain[0], is_open=True)
        line = self._pipeline.accountant.line(
            decision, delivered, face=Face.ADVISOR, line_id=self._pipeline.new_line_id()
        )
        advised = LookedUp(hit=None, line=line, routing=decision.routing, ticket=None)
        return await self._with_ticket(decision, advised, once)

    def _new_ticket(self) -> TicketOut:
        ttl_ms = self._pipeline.settings.service.ticket_ttl_s * 1_000
        return TicketOut(token=new_token(), expires_at_ms=self._pipeline.now_ms() + ttl_ms)

    async def _with_audit(
        self,
        decision: Decision,
        found: LookedUp,
        once: Once[LookedUp] | None,
        out: TicketOut,
        propensity: float,
    ) -> LookedUp:
        """Send a hit with a ticket that asks for the model's own answer.

        The hit's line is final; the ticket's is the audit's own.
        """
        pipeline = self._pipeline
        ticketed = replace(found, ticket=out)
        key, kept = pipeline.kept(decision, once, ticketed)
        pipeline.metrics.observe(found.line)
        line = pipeline.audits.audit_line(found.line)
        ticket = _audit_ticket(decision, line, out, propensity)
        try:
            await pipeline.ledger.open_ticket(
                ticket, line, key=key, kept=kept, hit=found.line, pair=pipeline.pair(decision)
            )
        except LedgerUnavailable:
            pipeline.degraded("ledger")
            return found  # without a ticket; the line is lost with it, and that is counted
        return ticketed

    async def _with_ticket(
        self, decision: Decision, looked_up: LookedUp, once: Once[LookedUp] | None
    ) -> LookedUp:
        """Send a ticket along; where the ledger cannot take one, none, and that is counted."""
        pipeline = self._pipeline
        out = self._new_ticket()
        ticketed = LookedUp(
            hit=looked_up.hit, line=looked_up.line, routing=looked_up.routing, ticket=out
        )
        key, kept = pipeline.kept(decision, once, ticketed)
        pipeline.metrics.observe(looked_up.line)
        pipeline.on_routed(decision, looked_up.line)
        ticket = _ticket(decision, ticketed, out)
        self._remember(ticket, decision.embedding)
        try:
            await pipeline.ledger.open_ticket(ticket, looked_up.line, key=key, kept=kept)
        except LedgerUnavailable:
            pipeline.degraded("ledger")
            return looked_up  # without a ticket; the line is lost with it, and that is counted
        return ticketed

    def _remember(self, ticket: Ticket, embedding: Embedding | None) -> None:
        """Spare the answer's return a second run of the encoder."""
        if embedding is None or not ticket.text:
            return
        self._embeddings[ticket.digest] = embedding
        if len(self._embeddings) > _MAX_EMBEDDINGS:
            self._embeddings.popitem(last=False)

    def forget(self) -> None:
        """Forget what was made of prompts whose answers are still to come; it is made again."""
        self._embeddings.clear()

    async def stop(self) -> None:
        """Wait for the answers that are being stored."""
        await asyncio.gather(*self._storing, return_exceptions=True)

    async def store(
        self, token: bytes, returned: Returned, *, namespace: str, caller: str
    ) -> Stored:
        """Take the app's answer for a ticket; durable when it returns.

        Raises:
            TicketUnknown, TicketExpired, TicketSpent: see ``router.ledger.errors``.
            LedgerUnavailable, StoreUnavailable: nothing was changed; bring the ticket again.
        """
        return await asyncio.shield(
            self._begin(self._store(token, returned, namespace=namespace, caller=caller))
        )

    def _begin(self, work: Coroutine[None, None, Stored]) -> asyncio.Task[Stored]:
        """Begin what goes on when the caller leaves: a ticket is spent whole or not at all."""
        task = asyncio.create_task(work)
        self._storing.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Stored]) -> None:
        self._storing.discard(task)
        if not task.cancelled():
            task.exception()  # whoever still waits has it; an abandoned one is no news

    async def _store(
        self, token: bytes, returned: Returned, *, namespace: str, caller: str
    ) -> Stored:
        pipeline = self._pipeline
        async with pipeline.ledger.redeem(
            token, namespace=namespace, caller=caller, now_ms=pipeline.now_ms()
        ) as redemption:
            ticket = redemption.ticket
            model = returned.model or (ticket.models[0] if ticket.models else "")
            kept = await self._keep(ticket, returned, model, redemption.line.at_ms)
            line = pipeline.accountant.closed(
                redemption.line,
                model=model,
                usage=returned.usage,
                attempts=(self._attempt(returned, model),),
            )
            if not ticket.is_audit:
                line = replace(line, entry_id=kept.entry_id)
            await redemption.settle(line)
        pipeline.metrics.settled(line)
        pipeline.on_called(line)
        pipeline.audits.returned(ticket, returned.answer, line)
        if returned.answer is not None and not ticket.is_audit:
            pipeline.conversations.note(line, returned.answer)
        return Stored(line=line, kept=kept)

    def _ttl_s(self, ticket: Ticket, asked_at_ms: int) -> int:
        """Return for how long an answer is kept: its prompt waited with the ticket already."""
        try:
            text_s = self._pipeline.settings.policy(ticket.namespace).text_s
        except UnknownNamespace:  # its ticket is older than the settings
            text_s = self._pipeline.settings.default_policy.text_s
        if text_s is None:
            return ticket.ttl_s
        waited_s = (self._pipeline.now_ms() - asked_at_ms) / 1e3
        return max(0, min(ticket.ttl_s, int(kept_s(text_s) - waited_s)))

    def _attempt(self, returned: Returned, model: str) -> Attempt:
        return Attempt(
            model=model,
            provider="",  # the app's own call: we do not know whom it asked
            status="failed" if returned.answer is None else "ok",
            usage=returned.usage,
            cost_nanos=attempt_cost(model, returned.usage, self._price),
            wall_ms=returned.upstream_ms or 0.0,
        )

    async def _keep(self, ticket: Ticket, returned: Returned, model: str, asked_at_ms: int) -> Kept:
        if returned.answer is None:
            return Kept(reason="failed")
        if ticket.is_no_store:
            return Kept(reason="no_store")
        if ticket.is_audit:
            return Kept(reason="audit")
        if not ticket.partition:
            return Kept(reason="not_reusable")
        completion = Completion(answer=returned.answer, usage=returned.usage)
        usage = returned.usage
        draft = Draft(
            partition=PartitionKey(ticket.partition),
            namespace=ticket.namespace,
            text=ticket.text,
            answer=pack(completion),
            model=model,
            input_tokens=usage.input_tokens if usage else None,
            output_tokens=usage.output_tokens if usage else None,
            ttl_s=self._ttl_s(ticket, asked_at_ms),
            embedding=self._embeddings.pop(ticket.digest, None),
            scores=ticket.scores,
            user=ticket.user,
            conversation=ticket.conversation,
            tags=ticket.tags,
            exact_only=exact_only(ticket.text) is not None,
        )
        try:
            return await self._pipeline.put(completion, draft)
        except EntryRefused:
            return Kept(reason="too_large")  # bringing it again would not help


def _ticket(decision: Decision, looked_up: LookedUp, out: TicketOut) -> Ticket:
    """Return the ticket of an answer that is to come."""
    request, reuse = decision.request, decision.reuse
    may_keep = decision.may_keep and reuse is not None
    nearest = near_miss(decision)
    return Ticket(
        digest=digest_of(out.token),
        line_id=looked_up.line.line_id,
        namespace=request.namespace,
        caller=request.caller,
        partition=bytes(reuse.split.partition) if reuse and may_keep else b"",
        text=reuse.split.text if reuse and may_keep else "",
        is_no_store=request.cache_control.is_no_store,
        is_personal=reuse is not None and reuse.is_personal,
        entry_id=nearest.entry_id if nearest else 0,
        p_right=nearest.p_right if nearest else None,
        traits=nearest.traits if nearest else (),
        models=looked_up.routing.chain if looked_up.routing else (),
        ttl_s=reuse.ttl_s if reuse else 0,
        scores=decision.scores,
        user=request.attribution.user,
        conversation=request.attribution.conversation,
        tags=request.tags,
        expires_at_ms=out.expires_at_ms,
    )


def _audit_ticket(
    decision: Decision, line: LedgerLine, out: TicketOut, propensity: float
) -> Ticket:
    """Return the ticket that asks for the model's own answer to a hit; nothing is stored by it."""
    request, reuse, hit = decision.request, decision.reuse, decision.hit
    if hit is None or reuse is None:
        raise ValueError("only a hit can be audited")
    return Ticket(
        digest=digest_of(out.token),
        line_id=line.line_id,
        namespace=request.namespace,
        caller=request.caller,
        partition=b"",
        text=reuse.split.text,
        is_no_store=request.cache_control.is_no_store,
        is_audit=True,
        is_personal=reuse.is_personal,
        entry_id=hit.head.id,
        p_right=hit.p_right,
        traits=hit.traits,
        propensity=propensity,
        models=(hit.head.model,),
        user=request.attribution.user,
        conversation=request.attribution.conversation,
        expires_at_ms=out.expires_at_ms,
    )
