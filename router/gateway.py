"""The gateway's door: scrimp calls the model."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Hashable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

from cache.normalize import canonical
from router import own_words
from router.accounts import Delivered
from router.decision import Decision
from router.errors import NoModelAvailable, ProviderError, RouterError
from router.escalation import shortfall, stronger
from router.fallback import Fallback, Walk
from router.in_flight import Broadcast, InFlight
from router.ledger.errors import LedgerError
from router.ledger.types import LedgerLine, Outcome, Stage
from router.once import Once, Replayed, Retries
from router.pipeline import Pipeline
from router.types import ANTHROPIC, Answer, ChatRequest, Completion, Delta, Face, Mode, Routing

_PIECE = re.compile(r"\S+\s*|\s+")
_WORDS_PER_PIECE = 8
_LAST_MOMENT_S = 0.2  # before a deadline: time to write the line and send what there is


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The end of a gateway request.

    Attributes:
        completion: the answer; its usage is that of the call that made it.
        line: what the ledger holds of the request.
        routing: None for a hit.
    """

    completion: Completion
    line: LedgerLine
    routing: Routing | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """What is known of a streamed request before its first piece.

    Attributes:
        line: what the ledger will hold, as far as it is known; of a hit all of it. Its model is the
            one that answers.
    """

    line: LedgerLine


Event = Begun | Delta | Answered


class Gateway:
    """Answers requests.

    Args:
        pipeline: what both doors share.
        fallback: walks chains of models.
        retries: joins requests of the same id.
    """

    def __init__(self, pipeline: Pipeline, fallback: Fallback, retries: Retries) -> None:
        self._pipeline = pipeline
        self._fallback = fallback
        self._retries = retries
        self._calls: InFlight[Event] = InFlight()
        self._settling: set[asyncio.Task[Answered]] = set()

    async def complete(
        self, request: ChatRequest, once: Once[Answered] | None, *, is_streamed: bool
    ) -> AsyncIterator[Event | Replayed]:
        """Answer a request: what is known and deltas (if streamed), then once, last, the whole.

        Args:
            request: validated.
            once: None for a request without an id.
            is_streamed: whether the caller wants deltas; it may get none, and the whole at once.
                ``Begun`` comes once, before the first of them.

        Raises:
            AlreadyExists: the id was used for another body.
            UnknownNamespace: the settings close the set.
            NoModelFits, ProviderError, NoModelAvailable: no answer; accounted as failed.
        """
        if once is None:
            async for event in self._complete(request, None, is_streamed):
                yield event
            return
        async for known in self._retries.run(
            once, lambda: self._complete(request, once, is_streamed)
        ):
            yield cast("Event | Replayed", known)

    async def stop(self) -> None:
        """Cancel the calls in flight; they are written off as cancelled."""
        await self._calls.stop_all()
        await asyncio.gather(*self._settling, return_exceptions=True)

    def __len__(self) -> int:
        """Return how many shared upstream calls run."""
        return len(self._calls)

    async def _complete(
        self, request: ChatRequest, once: Once[Answered] | None, is_streamed: bool
    ) -> AsyncIterator[Event]:
        with self._fallback.held():  # settings may change while this runs
            decision, hit = await self._pipeline.decide(request, Face.GATEWAY)
            key = None if hit else _sharing_key(decision)
            running = self._calls.find(key) if key else None
            if hit is None and running is None:
                decision, hit = await self._pipeline.again(decision)
                running = self._calls.find(key) if key else None
            if hit is not None:
                events = self._replay(decision, hit, once, is_streamed)
            elif running is not None:
                events = self._join(decision, running, once, is_streamed)
            else:
                events = self._lead(decision, once, is_streamed)
                if key:
                    events = self._calls.start(key, events, ends_at=request.deadline_at).listen()
            async with aclosing(events):
                async for event in events:
                    yield event

    async def _replay(
        self, decision: Decision, hit: Completion, once: Once[Answered] | None, is_streamed: bool
    ) -> AsyncGenerator[Event, None]:
        """Serve a stored answer; it is noted before the first piece, whoever leaves after that."""
        line = self._pipeline.hit_line(decision, hit, Face.GATEWAY)
        answered = Answered(completion=hit, line=line, routing=None)
        self._pipeline.note(decision, line, once, answered)
        self._pipeline.audits.served(decision, hit, line)
        if is_streamed:
            yield Begun(line=line)
            for delta in _pieces(hit.answer):
                yield delta
        yield answered

    async def _join(
        self,
        decision: Decision,
        running: Broadcast[Event],
        once: Once[Answered] | None,
        is_streamed: bool,
    ) -> AsyncGenerator[Event, None]:
        """Hear a call that another request pays for; its failure is this request's too.

        But a call of its own is made where that broke off within its answer, of which this caller
        has been given nothing (so nothing is spliced), and where it was given up before it began,
        perhaps for want of time, of which this caller has more.
        """
        line_id = self._pipeline.new_line_id()
        has_begun = False
        wants_pieces = is_streamed  # the call may be one that comes whole
        try:
            async for event in running.listen():
                if isinstance(event, Begun):
                    event = self._begun(decision, event.line.model, line_id, Outcome.SHARED)
                elif isinstance(event, Answered):
                    if wants_pieces:
                        yield self._begun(decision, event.line.model, line_id, Outcome.SHARED)
                        for delta in _pieces(event.completion.answer):
                            yield delta
                    event = self._joined(decision, event, line_id, once)
                has_begun = True
                wants_pieces = False
                yield event
            return
        except RouterError as error:
            broke_off = has_begun and not is_streamed and isinstance(error, ProviderError)
            gave_up = not has_begun and isinstance(error, NoModelAvailable)
            if not broke_off and not (gave_up and _outlasts(decision.request, running.ends_at)):
                self._note_failure(decision, Walk(), line_id, type(error).__name__)
                raise
        async with aclosing(self._lead(decision, once, is_streamed)) as events:
            async for event in events:
                yield event

    async def _lead(
        self, decision: Decision, once: Once[Answered] | None, is_streamed: bool
    ) -> AsyncGenerator[Event, None]:
        """Call the chain, keep the answer, write the line; also when it fails or nobody waits.

        What was answered is kept and accounted even if the caller leaves while that happens.
        """
        walk = Walk()
        line_id = self._pipeline.new_line_id()
        settling: asyncio.Task[Answered] | None = None
        has_begun = False
        try:
            async with aclosing(self._called(decision, walk, is_streamed)) as events:
                async for event in events:
                    if isinstance(event, Delta):
                        if not has_begun:
                            has_begun = True
                            yield self._begun(decision, walk.model, line_id, decision.outcome)
                        yield event
                    else:
                        settling = self._begin(self._settle(decision, event, walk, line_id, once))
            if settling is None:
                raise RuntimeError("a chain of models ends with an answer, or raises")
            answered = await asyncio.shield(settling)
        except (asyncio.CancelledError, GeneratorExit):
            if settling is None:
                walk.close_running("cancelled")
                self._note_failure(decision, walk, line_id, "Cancelled")
            raise
        except Exception as error:
            walk.close_running("internal")
            await self._record_failure(decision, walk, line_id, type(error).__name__)
            raise
        yield answered

    def _begin(self, work: Coroutine[None, None, Answered]) -> asyncio.Task[Answered]:
        task = asyncio.create_task(work)
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)
        return task

    async def _called(
        self, decision: Decision, walk: Walk, is_streamed: bool
    ) -> AsyncGenerator[Delta | Completion, None]:
        routing = decision.routing
        chain = routing.chain if routing else ()
        started = time.perf_counter()
        if routing and decision.policy.escalates and stronger(routing, chain[0]):
            # Whole, though it is streamed: a piece that is out can not be set aside.
            completion = await self._checked(decision.request, routing, walk)
            decision.clock.add(Stage.UPSTREAM, started)
            for delta in _pieces(completion.answer) if is_streamed else ():
                yield delta
            yield completion
            return
        async for event in self._fallback.call(
            chain, decision.request, walk, is_streamed=is_streamed
        ):
            if isinstance(event, Completion):
                decision.clock.add(Stage.UPSTREAM, started)
            yield event

    async def _checked(self, request: ChatRequest, routing: Routing, walk: Walk) -> Completion:
        """Return the chain's answer; where it lacks something for certain, a stronger model's.

        Where none of those answers, what there is is served.
        """
        completion = await self._whole(routing.chain, request, walk)
        model, lack = walk.model, shortfall(request, completion)
        better = stronger(routing, model) if lack else ()
        if not better:
            return completion
        walk.put_aside(model, lack)
        self._pipeline.metrics.escalated(model, lack)
        ends_at = request.deadline_at
        left_s = None if ends_at is None else ends_at - time.monotonic() - _LAST_MOMENT_S
        try:
            # An answer in hand is not lost to a stronger model's silence.
            async with asyncio.timeout(left_s):
                return await self._whole(better, request, walk)
        except (RouterError, TimeoutError):
            walk.close_running("timeout")
            walk.take_back(model)
            return completion

    async def _whole(self, chain: Sequence[str], request: ChatRequest, walk: Walk) -> Completion:
        events = self._fallback.call(chain, request, walk, is_streamed=False)
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Completion):
                    return event
        raise RuntimeError("a chain of models ends with an answer, or raises")

    async def _settle(
        self,
        decision: Decision,
        completion: Completion,
        walk: Walk,
        line_id: str,
        once: Once[Answered] | None,
    ) -> Answered:
        """Keep the answer and write the line of a call that worked."""
        decision = await self._pipeline.completed(decision)
        model = walk.model
        started = time.perf_counter()
        kept = await self._pipeline.keep(decision, completion, model)
        decision.clock.add(Stage.STORE, started)
        delivered = Delivered(
            outcome=decision.outcome,
            model=model,
            usage=completion.usage,
            attempts=walk.attempts,
            entry_id=kept.entry_id,
        )
        line = self._line(decision, delivered, line_id)
        routing = walk.explained(decision.routing)
        answered = Answered(completion=completion, line=line, routing=routing)
        await self._pipeline.record(decision, line, once, answered)
        self._pipeline.audits.answered(decision, completion, line)
        if self._pipeline.exploring is not None:
            settings = self._pipeline.settings
            self._pipeline.exploring.answered(
                decision, completion, line, settings=settings, fallback=self._fallback
            )
        self._pipeline.conversations.note(line, completion.answer)
        return answered

    def _begun(self, decision: Decision, model: str, line_id: str, outcome: Outcome) -> Begun:
        """Tell what is known before the first piece; the costs are not yet."""
        delivered = Delivered(outcome=outcome, model=model, is_open=True)
        return Begun(line=self._line(decision, delivered, line_id))

    def _joined(
        self, decision: Decision, led: Answered, line_id: str, once: Once[Answered] | None
    ) -> Answered:
        """Account a call that another request pays for."""
        delivered = Delivered(
            outcome=Outcome.SHARED,
            model=led.line.model,
            usage=led.completion.usage,
            entry_id=led.line.entry_id,
        )
        line = self._line(decision, delivered, line_id)
        answered = Answered(completion=led.completion, line=line, routing=decision.routing)
        self._pipeline.note(decision, line, once, answered)
        return answered

    def _line(self, decision: Decision, delivered: Delivered, line_id: str) -> LedgerLine:
        return self._pipeline.accountant.line(
            decision, delivered, face=Face.GATEWAY, line_id=line_id
        )

    def _failure(self, decision: Decision, walk: Walk, line_id: str, status: str) -> LedgerLine:
        delivered = Delivered(
            outcome=Outcome.FAILED, model=walk.model, attempts=walk.attempts, status=status
        )
        line = self._line(decision, delivered, line_id)
        self._pipeline.metrics.observe(line)
        return line

    async def _record_failure(
        self, decision: Decision, walk: Walk, line_id: str, status: str
    ) -> None:
        try:
            await self._pipeline.ledger.record(self._failure(decision, walk, line_id, status))
        except LedgerError:
            self._pipeline.degraded("ledger")

    def _note_failure(self, decision: Decision, walk: Walk, line_id: str, status: str) -> None:
        """Write a line where nothing may be awaited any more."""
        self._pipeline.ledger.note(self._failure(decision, walk, line_id, status))


def _sharing_key(decision: Decision) -> Hashable:
    """Return what requests must agree in to share a call; None where none may.

    Never shared: what may not be kept (personal without user, time-bound, no-store), what the
    caller or a rule wants fresh (bypass, regenerate), mode off and shadow, and sampling for variety
    (a temperature above 0 with a request id of its own).
    """
    request, reuse = decision.request, decision.reuse
    is_for_variety = bool(request.sampling.temperature) and bool(request.request_id)
    if (
        reuse is None
        or decision.mode is not Mode.ON
        or decision.outcome is not Outcome.MISS
        or not decision.may_keep
        or decision.wants_fresh
        or is_for_variety
    ):
        return None
    return (
        reuse.split.partition,
        canonical(reuse.split.text),
        request.sampling.temperature,
        request.sampling.max_tokens,
        request.wire == ANTHROPIC,  # only then are thoughts told as they come
        decision.routing.chain if decision.routing else (),
    )


def _outlasts(request: ChatRequest, ends_at: float | None) -> bool:
    """Tell whether a caller waits longer than a call that ended for want of time."""
    mine = request.deadline_at
    return ends_at is not None and (mine is None or mine > ends_at + _LAST_MOMENT_S)


def _pieces(answer: Answer) -> Iterator[Delta]:
    """Yield a stored answer as a model would have streamed it."""
    has_text = False
    for delta in own_words.replayed(answer):
        has_text |= bool(delta.text)
        yield delta
    words = () if has_text else _PIECE.findall(answer.text)
    for start in range(0, len(words), _WORDS_PER_PIECE):
        yield Delta(text="".join(words[start : start + _WORDS_PER_PIECE]))
    if answer.tool_calls:
        yield Delta(tool_calls=answer.tool_calls)
