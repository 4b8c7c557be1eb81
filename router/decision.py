"""From a request to what shall be done with it: a stored answer, or a chain of models.

The same path for every face: rules, exact lookup, one run for the near lookup and the score, the
choice of models. It changes nothing but counters.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Protocol

from cache.errors import CacheError
from cache.normalize import canonical
from cache.text_rules import stands_alone
from cache.types import (
    Embedding,
    EntryId,
    Head,
    Hit,
    Miss,
    MissReason,
    OperatingPoint,
    PartitionKey,
    Permit,
    Query,
)
from classifier.errors import BatcherClosed, Overloaded
from classifier.shape import PromptShape
from router.choose import UNSCORED
from router.conversations import Held
from router.errors import NoModelFits
from router.ledger.types import Outcome, Stage
from router.reuse import Reuse, judge
from router.settings import NamespacePolicy, Settings
from router.types import ChatRequest, Mode, Role, Routing
from router.understand import Ask, Understanding

_log = logging.getLogger(__name__)
_MAX_REPEATS = 20_000
_HEAD_START_S = 0.003
_SPOKEN = (Role.USER, Role.ASSISTANT)


class ExactLookup(Protocol):
    """The cache, as far as the exact layer is concerned."""

    async def find_exact(self, query: Query) -> Hit | Miss | None:
        """Return None where the partition has no such text."""

    def holds(self, entry_id: EntryId) -> bool:
        """Tell whether an entry may still be found."""

    def holds_any(self, partition: PartitionKey) -> bool:
        """Tell whether anything may be found in a partition."""


class Choice(Protocol):
    """The routing decision; see ``router.choose``."""

    def route(
        self,
        request: ChatRequest,
        policy: NamespacePolicy,
        found: Understanding,
        held: Held | None = None,
    ) -> Routing:
        """Return the chain for a scored request, whose conversation is with a model already.

        Raises:
            NoModelFits: no configured model can take it.
        """

    def baseline(self, request: ChatRequest, policy: NamespacePolicy) -> Routing:
        """Return the chain as if scrimp were not there: the pinned or the baseline model."""

    def is_adequate(
        self, request: ChatRequest, policy: NamespacePolicy, model: str, scores: tuple[float, ...]
    ) -> bool:
        """Tell whether a stored answer of ``model`` may serve the request."""


class Clock:
    """Milliseconds per stage of one request."""

    __slots__ = ("_started", "stages")

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self.stages: dict[Stage, float] = {}

    def add(self, stage: Stage, since: float) -> None:
        """Count the time since a ``perf_counter`` reading towards a stage."""
        self.stages[stage] = (time.perf_counter() - since) * 1e3

    def readings(self) -> tuple[tuple[Stage, float], ...]:
        """Return the stages passed so far, and the total up to now."""
        total = (time.perf_counter() - self._started) * 1e3
        return (*self.stages.items(), (Stage.TOTAL, total))


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What shall be done with a request.

    Attributes:
        request: the request.
        policy: its namespace's.
        mode: its namespace's, now.
        outcome: exact or near (serve ``hit``); miss or bypass (call ``routing.chain``).
        reuse: what may be kept and shared; None in mode off.
        hit: the stored answer that serves; in shadow mode, that would have served.
        miss: what the lookup came to, if there was one and it was no hit.
        reason: why nothing was served; None for a hit and for the caller's bypass.
        routing: None for a hit.
        would_be: in shadow mode, the routing that mode on would have taken; None for a hit, and
            where mode on would have refused.
        embedding: of the compared text, if it was encoded.
        scores: P(adequate) per tier for it; may be empty.
        clock: the request's.
        query: what was looked up; None where nothing may be.
        later: what is still being found out about the text, where nothing that it may come to
            would change what is done now; see ``Decider.completed``.
    """

    request: ChatRequest
    policy: NamespacePolicy
    mode: Mode
    outcome: Outcome
    clock: Clock
    reuse: Reuse | None = None
    hit: Hit | None = None
    miss: Miss | None = None
    reason: MissReason | None = None
    routing: Routing | None = None
    would_be: Routing | None = None
    embedding: Embedding | None = None
    scores: tuple[float, ...] = ()
    query: Query | None = None
    later: asyncio.Future[Understanding] | None = None

    @property
    def is_served(self) -> bool:
        """Whether the stored answer goes out."""
        return self.outcome in (Outcome.EXACT, Outcome.NEAR)

    @property
    def wants_fresh(self) -> bool:
        """Whether a rule asks for an answer of its own."""
        return self.reason is MissReason.REGENERATE

    @property
    def may_keep(self) -> bool:
        """Whether a fresh answer may be stored for others or later."""
        return (
            self.reuse is not None
            and self.reuse.barrier is None
            and not self.request.cache_control.is_no_store
        )


@dataclass(slots=True)
class Repeats:
    """Who asked what in which conversation just now: "regenerate" asks for another answer.

    Kept as digests of 16 bytes, so that long texts take no more memory than short ones.
    """

    _seen: OrderedDict[bytes, float] = field(default_factory=OrderedDict)

    def is_repeat(self, request: ChatRequest, reuse: Reuse, within_s: float, now_s: float) -> bool:
        """Tell whether the same was asked within the time, and remember it was asked now."""
        who = request.attribution
        if not within_s or not who.user or not who.conversation:
            return False
        what = (
            request.namespace,
            who.user,
            who.conversation,
            reuse.split.partition.hex(),
            canonical(reuse.split.text),
        )
        key = blake2b(repr(what).encode(), digest_size=16).digest()
        before = self._seen.pop(key, None)
        self._seen[key] = now_s
        if len(self._seen) > _MAX_REPEATS:
            self._seen.popitem(last=False)
        return before is not None and now_s - before < within_s


class Decider:
    """Makes decisions.

    Args:
        settings: policies and limits.
        modes: set at run time, by namespace; wins over the settings.
        cache: for the exact layer.
        understand: waits for the batched run; raises Overloaded when too many wait.
        rules: scores without any model, at once; for when the run is not to be had.
        choice: the routing decision.
        point: the operating point of a namespace, now.
        now_s: seconds since the epoch.
        on_degraded: told which part failed.
        on_miss: told of every lookup that found nothing, to name causes of changed partitions.
        held: the model that a request's conversation is with, None where nobody knows.
        repeats: who asked what just now; None: nobody yet.
        since_s: when what stands behind a model's name began to, in seconds since the epoch;
            answers that are older are another model's.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        modes: Mapping[str, Mode],
        cache: ExactLookup,
        understand: Callable[[Ask], Awaitable[Understanding]],
        rules: Callable[[Ask], Understanding],
        choice: Choice,
        point: Callable[[str, NamespacePolicy], OperatingPoint],
        now_s: Callable[[], float],
        on_degraded: Callable[[str], None],
        on_miss: Callable[[str, Reuse], None],
        held: Callable[[ChatRequest], Held | None] = lambda _: None,
        repeats: Repeats | None = None,
        since_s: Callable[[str], float] = lambda _: 0.0,
    ) -> None:
        self._since_s = since_s
        self._settings = settings
        self._modes = modes
        self._cache = cache
        self._understand = understand
        self._rules = rules
        self._choice = choice
        self._point = point
        self._now_s = now_s
        self._on_degraded = on_degraded
        self._on_miss = on_miss
        self._held = held
        self._repeats = Repeats() if repeats is None else repeats

    async def decide(self, request: ChatRequest, *, is_called_here: bool = False) -> Decision:
        """Decide on a request.

        Args:
            request: what is asked.
            is_called_here: the chain is called by this service. Then a call that is to be made
                whatever encoder and scorer say begins before they have spoken.

        Raises:
            UnknownNamespace: the settings close the set.
            NoModelFits: no configured model can take it, and nothing stored serves.
        """
        clock = Clock()
        policy = self._settings.policy(request.namespace)
        mode = self._modes.get(request.namespace, policy.mode)
        if mode is Mode.OFF:
            return Decision(
                request=request,
                policy=policy,
                mode=mode,
                outcome=Outcome.BYPASS,
                clock=clock,
                reason=MissReason.MODE_OFF,
                routing=self._choice.baseline(request, policy),
            )
        decided = await self._decide_on(
            request, policy, mode, clock, may_hurry=is_called_here and mode is Mode.ON
        )
        return decided if mode is Mode.ON else self._in_shadow(decided)

    async def _decide_on(
        self,
        request: ChatRequest,
        policy: NamespacePolicy,
        mode: Mode,
        clock: Clock,
        *,
        may_hurry: bool,
    ) -> Decision:
        """Decide as mode on does."""
        reuse = judge(request, policy)
        is_bypass = request.cache_control.is_bypass
        reason = reuse.barrier
        if self._repeats.is_repeat(request, reuse, policy.reuse.regenerate_s, self._now_s()):
            reason = reason or MissReason.REGENERATE
        query = None
        if reason is None and not is_bypass:
            query = self._query(request, policy, reuse)
        found = await self._exact(query, clock)
        if isinstance(found, Hit):
            return Decision(
                request=request,
                policy=policy,
                mode=mode,
                outcome=Outcome.EXACT,
                clock=clock,
                reuse=reuse,
                hit=found,
                scores=found.head.scores,
            )
        later = None
        if may_hurry and self._is_settled(request, policy, query):
            later = _begun(self._understood_later(_shape(request), clock))
            understood = _nothing_near(query)
        else:
            understood = await self._understood(_shape(request), query, clock)
        near = _named(understood.found, request)
        if isinstance(near, Hit) and not self._cache.holds(near.head.id):
            near = Miss(reason=MissReason.NOTHING_SIMILAR)  # invalidated while it was judged
        if isinstance(near, Hit):
            return Decision(
                request=request,
                policy=policy,
                mode=mode,
                outcome=Outcome.NEAR,
                clock=clock,
                reuse=reuse,
                hit=near,
                embedding=understood.embedding,
                scores=understood.scores,
            )
        miss = found or near
        if miss is not None:
            reason = miss.reason
            self._on_miss(request.namespace, reuse)
        routing = self._routed(request, policy, mode, understood, clock)
        return Decision(
            request=request,
            policy=policy,
            mode=mode,
            outcome=Outcome.BYPASS if is_bypass else Outcome.MISS,
            clock=clock,
            reuse=reuse,
            miss=miss,
            reason=None if is_bypass else reason,
            routing=routing,
            embedding=understood.embedding,
            scores=understood.scores,
            query=query,
            later=later,
        )

    def _is_settled(
        self, request: ChatRequest, policy: NamespacePolicy, query: Query | None
    ) -> bool:
        """Tell whether nothing near can serve, and the model is known without a score."""
        partition = None if query is None or query.exact_only else query.partition
        if partition is not None and self._cache.holds_any(partition):
            return False
        return bool(request.wishes.pinned_model or policy.pinned_model)

    async def completed(self, decision: Decision) -> Decision:
        """Return a decision with what was found out about the text while a model answered.

        The model stays; that it was the one is told with the scores now. Never raises: the answer
        is there, and was paid.
        """
        if decision.later is None:
            return decision
        request, policy = decision.request, decision.policy
        try:
            understood = await decision.later
            routing = self._choice.route(request, policy, understood, self._held(request))
        except (BatcherClosed, NoModelFits):
            return replace(decision, later=None)
        return replace(
            decision,
            routing=routing,
            embedding=understood.embedding,
            scores=understood.scores,
            later=None,
        )

    def _routed(
        self,
        request: ChatRequest,
        policy: NamespacePolicy,
        mode: Mode,
        understood: Understanding,
        clock: Clock,
    ) -> Routing | None:
        """Choose; None in shadow mode where nothing fits, for there nothing is refused."""
        started = time.perf_counter()
        try:
            return self._choice.route(request, policy, understood, self._held(request))
        except NoModelFits:
            if mode is Mode.SHADOW:
                return None
            raise
        finally:
            clock.add(Stage.ROUTE, started)

    def undecided(self, request: ChatRequest) -> Decision:
        """Return the empty decision of a request that could not be decided, to account it."""
        policy = self._settings.policy(request.namespace)
        return Decision(
            request=request,
            policy=policy,
            mode=self._modes.get(request.namespace, policy.mode),
            outcome=Outcome.FAILED,
            clock=Clock(),
        )

    async def again(self, decision: Decision) -> Decision:
        """Look a missed text up once more: another request may have stored it meanwhile."""
        if decision.query is None or decision.mode is not Mode.ON:
            return decision
        found = await self._exact(decision.query, decision.clock)
        if not isinstance(found, Hit):
            return decision
        return replace(
            decision, outcome=Outcome.EXACT, hit=found, miss=None, reason=None, routing=None
        )

    async def without_hit(self, decision: Decision) -> Decision:
        """Decide again on a request whose stored answer turned out unreadable.

        Raises:
            NoModelFits: no configured model can take it.
        """
        ask = Ask(shape=_shape(decision.request), query=None)
        request = decision.request
        held = self._held(request)
        routing = self._choice.route(request, decision.policy, self._rules(ask), held)
        return replace(
            decision,
            outcome=Outcome.MISS,
            hit=None,
            reason=MissReason.CACHE_DEGRADED,
            routing=routing,
        )

    def _in_shadow(self, decided: Decision) -> Decision:
        """Keep what was decided to report it, and do as if scrimp were not there."""
        routing = self._choice.baseline(decided.request, decided.policy)
        outcome = Outcome.BYPASS if decided.outcome is Outcome.BYPASS else Outcome.MISS
        return replace(decided, outcome=outcome, routing=routing, would_be=decided.routing)

    def _query(self, request: ChatRequest, policy: NamespacePolicy, reuse: Reuse) -> Query:
        return Query(
            partition=reuse.split.partition,
            text=reuse.split.text,
            policy=policy.reuse,
            permit=self._permit(request, policy),
            point=self._point(request.namespace, policy),
            max_age_s=reuse.max_age_s,
            exact_only=reuse.exact_only,
        )

    def _permit(self, request: ChatRequest, policy: NamespacePolicy) -> Permit:
        most = request.sampling.max_tokens

        def refusal(head: Head) -> MissReason | None:
            if head.created_at_s < self._since_s(head.model):
                return MissReason.MODEL_NOT_ALLOWED
            if not self._choice.is_adequate(request, policy, head.model, head.scores):
                return MissReason.MODEL_NOT_ALLOWED
            if most is not None and (head.output_tokens is None or head.output_tokens > most):
                return MissReason.MAX_TOKENS
            return None

        return refusal

    async def _exact(self, query: Query | None, clock: Clock) -> Hit | Miss | None:
        if query is None:
            return None
        started = time.perf_counter()
        try:
            return await self._cache.find_exact(query)
        except CacheError:
            _log.exception("the exact lookup failed; the request goes on without it")
            self._on_degraded("cache")
            return Miss(reason=MissReason.CACHE_DEGRADED)
        finally:
            clock.add(Stage.EXACT, started)

    async def _understood(
        self, shape: PromptShape, query: Query | None, clock: Clock
    ) -> Understanding:
        started = time.perf_counter()
        ask = Ask(shape=shape, query=query)
        try:
            return await self._understand(ask)
        except Overloaded:
            self._on_degraded("encoder_queue")
            return self._rules(ask)
        finally:
            clock.add(Stage.NEAR, started)

    async def _understood_later(self, shape: PromptShape, clock: Clock) -> Understanding:
        """Find out what is kept with the answer; the call goes out first, both want the cores."""
        await asyncio.sleep(_HEAD_START_S)
        return await self._understood(shape, None, clock)


def _begun(work: Coroutine[None, None, Understanding]) -> asyncio.Future[Understanding]:
    """Run work that perhaps nobody will wait for; then its failure is nobody's, either."""
    task = asyncio.create_task(work)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task


def _nothing_near(query: Query | None) -> Understanding:
    """Return what is understood of a text before anything has been found out."""
    found = Miss(reason=query.exact_only or MissReason.NOTHING_SIMILAR) if query else None
    return Understanding(found=found, embedding=None, scores=(), scorer_id=UNSCORED)


def _named(found: Hit | Miss | None, request: ChatRequest) -> Hit | Miss | None:
    """Tell apart the misses that the partition's earlier turns may have caused.

    They bound from above what looking beyond them would bring: an answer to the same words may be
    stored after other turns, or nowhere.
    """
    if not isinstance(found, Miss) or found.reason is not MissReason.NOTHING_SIMILAR:
        return found
    *earlier, last = request.messages
    is_follow_up = any(message.role in _SPOKEN for message in earlier)
    if not is_follow_up or not stands_alone(last.own_text):
        return found
    return replace(found, reason=MissReason.NEEDS_CONTEXT)


def _shape(request: ChatRequest) -> PromptShape:
    n_chars = n_context = n_turns = 0
    for message in request.messages:
        n_turns += message.role is Role.USER
        for part in message.parts:
            n_chars += len(part.text)
            if part.is_context:
                n_context += len(part.text)
    return PromptShape(
        text=request.messages[-1].own_text,
        n_turns=n_turns,
        n_chars_total=n_chars,
        n_tools=len(request.tools),
        has_json_format=request.response_format.kind != "text",
        n_context_chars=n_context,
    )
